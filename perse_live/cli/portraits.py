"""`perse-live eval --portraits`: how good the avatars of a folder of pictures look when their heads turn."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from perse_live.cli.console import StepProgress, print_json, print_written, printable, step_progress
from perse_live.cli.options import Network
from perse_live.cli.shared import BUILDING_ASSETS, fetch, make_folder, without_offline
from perse_live.errors import UserError
from perse_live.files import file_sha256, write_bytes, write_image
from perse_live.outputs import check_output_folder, written_by_us

if TYPE_CHECKING:
    from perse_live.avatar import Avatar
    from perse_live.evaluation.portraits.battery import Battery, PortraitScores
    from perse_live.evaluation.portraits.comparison import Comparison
    from runtime.portrait_sheet import PortraitRow

_CONSENT = "nobody: built by perse-live eval to be measured"
# As `perse_live.photo` reads
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff")
_SHEET, _FIGURES = "portraits.png", "portraits.json"


def eval_portraits(
    folder: Path,
    *,
    avatars: Path | None,
    against: Path | None,
    output: Path | None,
    as_json: bool,
    overwrite: bool,
    network: Network,
) -> None:
    """Build and measure an avatar of every picture in a folder, and print the figures.

    avatars: where avatars are taken from and kept, by the pictures' names; None: they are not kept. against: figures of an
    earlier run to compare with. output: folder for the sheet and the figures. overwrite: replace files there that are not from
    perse-live. Raises UserError for wrong input, and where no avatar can be made of any of the pictures.
    """
    import json

    from perse_live.evaluation.portraits.battery import (
        Battery,
        battery_json,
        read_battery,
        score_avatar,
    )
    from perse_live.evaluation.portraits.comparison import compare

    pictures = _pictures(folder)
    if output is not None:
        inputs = [*pictures, *([] if against is None else [against])]
        check_output_folder(output, (_SHEET, _FIGURES), inputs=inputs, overwrite=overwrite)
    before = None if against is None else read_battery(against)
    faces: dict[str, PortraitScores] = {}
    refused: dict[str, str] = {}
    rows: list[PortraitRow] = []
    with step_progress() as progress, contextlib.ExitStack() as stack:
        kept = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perse-live-eval-")))
            if avatars is None
            else make_folder(avatars)
        )
        if output is not None:
            make_folder(output)
        for picture in pictures:
            try:
                avatar = _avatar_of(picture, kept / f"{picture.stem}.perse", network, progress)
            except _RefusedError as error:
                refused[picture.name] = str(error)
                continue
            progress(f"{picture.name}: measuring", 0.0)
            faces[picture.name] = score_avatar(avatar)
            if output is not None:
                rows.append(_row(picture.name, avatar, faces[picture.name]))
    if not faces:
        raise UserError(
            f"no avatar could be made of any picture in {folder}: {next(iter(refused.values()))}"
        )
    battery = Battery(faces, refused)
    comparison = None if before is None else compare(before, battery)
    content = battery_json(battery, _creator())
    if output is not None:
        from runtime.portrait_sheet import portrait_sheet

        write_image(output / _SHEET, portrait_sheet("Portraits at rest", rows))
        write_bytes(
            output / _FIGURES, (json.dumps(content, allow_nan=False, indent=1) + "\n").encode()
        )
    if as_json:
        print_json(content if comparison is None else {**content, "against": _compared(comparison)})
        return
    _print_scores(battery)
    if comparison is not None:
        _print_comparison(comparison)
    if output is not None:
        print_written("sheet", output / _SHEET)
        print_written("figures", output / _FIGURES)


class _RefusedError(Exception):
    """No avatar can be made of a picture; the text says why."""


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, by name, with distinct stems; without the sheet of an earlier run."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: give one with portrait photos")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.suffix.lower() in _SUFFIXES
        and not (path.name == _SHEET and written_by_us(path))
    )
    if not found:
        raise UserError(f"{folder}: there is no picture in it: give a folder with portrait photos")
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise UserError(
                f"{stems[path.stem]} and {path.name} differ in their endings only: rename one of them"
            )
        stems[path.stem] = path
    return found


def _avatar_of(picture: Path, kept: Path, network: Network, progress: StepProgress) -> Avatar:
    """The avatar of a picture, from its file or made now. Raises _RefusedError where none can be made of it."""
    from perse_live.avatar import load_avatar, save_avatar

    if not kept.exists():
        try:
            from offline.build_state import Consent
            from offline.pipeline import build_avatar
        except ModuleNotFoundError as error:
            raise without_offline(error) from error
        fetch(BUILDING_ASSETS, network, progress)
        consent = Consent(by=_CONSENT, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
        try:
            made = build_avatar(
                picture,
                consent=consent,
                progress=lambda step, share: progress(f"{picture.name}: {step}", share),
            )
        except UserError as error:
            raise _RefusedError(str(error)) from error
        save_avatar(kept, made)
    avatar = load_avatar(kept)
    if avatar.provenance.photo_sha256 != file_sha256(picture):
        raise UserError(
            f"{kept} was made of another photo than {picture}: remove it, or give another folder for --avatars"
        )
    return avatar


def _row(name: str, avatar: Avatar, scores: PortraitScores) -> PortraitRow:
    from runtime.portrait_sheet import PortraitRow, portrait_tiles

    figures = "   ·   ".join(
        f"{measure.replace('_', ' ')} {_figure(value)}" for measure, value in vars(scores).items()
    )
    return PortraitRow(name, figures, portrait_tiles(avatar))


def _creator() -> str:
    import importlib.metadata

    return f"perse-live {importlib.metadata.version('perse-live')}"


def _compared(comparison: Comparison) -> dict[str, object]:
    return {
        "verdict": comparison.verdict,
        "missing": comparison.missing,
        "changes": {
            name: {
                "before": round(one.before, 4),
                "after": round(one.after, 4),
                "better": one.better,
                "worse": one.worse,
            }
            for name, one in comparison.changes.items()
        },
    }


def _print_scores(battery: Battery) -> None:
    from perse_live.evaluation.portraits.battery import HIGHER_IS_BETTER

    rows = [
        [name, *(_figure(value) for value in vars(scores).values())]
        for name, scores in battery.faces.items()
    ]
    if len(rows) > 1:
        values = [
            [getattr(scores, measure) for scores in battery.faces.values()]
            for measure in HIGHER_IS_BETTER
        ]
        measured = [[value for value in one if value is not None] for one in values]
        rows.append(["mean", *(_figure(sum(one) / len(one) if one else None) for one in measured)])
    _print_table(["portrait", *(name.replace("_", " ") for name in HIGHER_IS_BETTER)], rows)
    for name, reason in battery.refused.items():
        print(f"refused: {printable(name)}: {printable(reason)}")


def _print_comparison(comparison: Comparison) -> None:
    rows = [
        [
            name.replace("_", " "),
            _figure(one.before),
            _figure(one.after),
            _names(one.better),
            _names(one.worse),
        ]
        for name, one in comparison.changes.items()
    ]
    _print_table(["measure", "mean before", "now", "better", "worse"], rows)
    if comparison.missing:
        print(f"in one of the runs only: {_names(comparison.missing)}")
    print(f"verdict: {comparison.verdict}")


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    """A table on stdout, as wide as it must be."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(head):
        table.add_column(
            name,
            justify="right" if number and name not in ("better", "worse") else "left",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*(printable(text) for text in row))
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = max(console.width, 200)
    console.print(table)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(printable(name) for name in names) or "-"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"
