"""`perse-live report`: measures every figure of the documentation on this machine, by the commands themselves."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from perse_live.assets import asset_path
from perse_live.child import installed_program, module_command
from perse_live.cli.console import print_written, step_progress
from perse_live.cli.options import Network, Replacing
from perse_live.cli.shared import fetch, require_builder
from perse_live.errors import UserError
from perse_live.figures import (
    FORMAT,
    VERSION,
    check_figures,
    figures_page,
    is_figures_page,
    read_figures,
)
from perse_live.files import CREATOR, write_bytes
from perse_live.outputs import check_outputs


@dataclass(frozen=True)
class Report:
    """Measure every figure of the documentation on this machine, into one JSON file, and render the page of figures.

    Parts whose input is not given are left out. Parts that the file holds already and that are not measured again stay, with the
    commit, machine and date of their measurement. Run it on a quiet machine.
    """

    output: Annotated[Path, arg(aliases=["-o"], metavar="JSON")] = Path("figures.json")
    """The file of figures; figures that are not measured again are kept."""
    render: Annotated[Path | None, arg(metavar="MARKDOWN")] = None
    """Also write the page of figures."""
    only: Annotated[tuple[str, ...], arg(metavar="PART")] = ()
    """Measure only these: drawing, build, build-attributes, engine, start, live, drive, studio, peers, attributes, portraits,
    clips; `none` measures nothing and only renders."""
    video: Path | None = None
    """A film of a talking face: for the parts start, live and drive."""
    portraits: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Pictures for the part portraits."""
    clips: Annotated[tuple[Path, ...], arg(metavar="CLIP")] = ()
    """Films of one talking person each, for the part clips."""
    seconds: float = 60.0
    """Seconds for which the part live measures."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Inputs:
    """What the parts measure with."""

    photo: Path
    """The sample portrait."""
    folder: Path
    """For avatars and films, gone afterwards."""
    video: Path | None
    portraits: Path | None
    clips: tuple[Path, ...]
    seconds: float

    @property
    def avatar(self) -> Path:
        """The sample portrait's avatar with nine attributes, which the part build-attributes makes."""
        return self.folder / "sample.perse"


Words = Callable[[Inputs], list[str] | None]
"""The command line of a part, without the program; None where an input is missing."""


def _with_video(words: Callable[[Inputs, str], list[str]]) -> Words:
    return lambda given: None if given.video is None else words(given, str(given.video))


def _build(given: Inputs, attributes: str, name: str) -> list[str]:
    return [
        "build",
        str(given.photo),
        "-o",
        str(given.folder / name),
        "--consent",
        "--attributes",
        attributes,
    ]


PARTS: dict[str, Words] = {
    "drawing": lambda given: ["bench", "--json"],
    "build": lambda given: _build(given, "none", "bare.perse"),
    "build-attributes": lambda given: _build(given, "default", "sample.perse"),
    "engine": lambda given: ["bench", str(given.avatar), "--engine", "cpu", "--json"],
    "start": _with_video(
        lambda given, video: ["bench", "--start", str(given.avatar), video, "--json"]
    ),
    "live": _with_video(
        lambda given, video: [
            "bench",
            "--live",
            str(given.avatar),
            video,
            "--seconds",
            f"{given.seconds:g}",
            "--json",
        ]
    ),
    "drive": _with_video(
        lambda given, video: [
            "drive",
            str(given.avatar),
            video,
            "-o",
            str(given.folder / "out.mp4"),
            "--no-c2pa",
        ]
    ),
    "studio": lambda given: ["bench", "--studio", str(given.photo), "--json"],
    "peers": lambda given: ["bench", str(given.avatar), "--peers", "--json"],
    "attributes": lambda given: ["attribute", "measure", str(given.avatar), "--json"],
    "portraits": lambda given: (
        None if given.portraits is None else ["eval", "--portraits", str(given.portraits), "--json"]
    ),
    "clips": lambda given: ["eval", *map(str, given.clips), "--json"] if given.clips else None,
}
"""Every part with its command, in the order in which they run: the build first, whose avatar the others use."""
_NEEDS_AVATAR = ("engine", "start", "live", "drive", "peers", "attributes")


def run(command: Report) -> None:
    """Measure what can be measured, write the file, render the page."""
    parts = _chosen(command)
    inputs = [one for one in (command.video, *command.clips) if one is not None]
    replaced = command.replacing.overwrite
    check_outputs([command.output], inputs=inputs, overwrite=replaced or _is_ours(command.output))
    if command.render is not None:
        check_outputs(
            [command.render], inputs=inputs, overwrite=replaced or is_figures_page(command.render)
        )
    kept = (
        read_figures(command.output)
        if command.output.is_file() and command.output.stat().st_size
        else {}
    )
    measured: dict[str, Any] = {}
    if parts:
        require_builder()
        with (
            tempfile.TemporaryDirectory(prefix="perse-live-report-") as name,
            step_progress() as progress,
        ):
            fetch(("sample_portrait",), command.network, progress)
            given = Inputs(
                asset_path("sample_portrait"),
                Path(name),
                command.video,
                command.portraits,
                command.clips,
                command.seconds,
            )
            if any(part in _NEEDS_AVATAR for part in parts) and "build-attributes" not in parts:
                progress("building the avatar", 0.0)
                _run(PARTS["build-attributes"](given) or [])
            for k, part in enumerate(parts):
                words = PARTS[part](given)
                if words is not None:
                    progress(f"measuring {part}", k / len(parts))
                    measured[part] = _measured(words, given)
    parts_now: dict[str, Any] = {
        name: found for name in PARTS if (found := measured.get(name) or kept.get(name)) is not None
    }
    content = {"format": FORMAT, "version": VERSION, "creator": CREATOR, "parts": parts_now}
    check_figures(content)
    write_bytes(command.output, (json.dumps(content, allow_nan=False, indent=1) + "\n").encode())
    print_written("figures", command.output)
    if command.render is not None:
        write_bytes(command.render, figures_page(parts_now).encode())
        print_written("page of figures", command.render)


def _chosen(command: Report) -> list[str]:
    for part in command.only:
        if part not in PARTS and part != "none":
            raise UserError(
                f"there is no part {part[:40]!r} to measure: there are {', '.join(PARTS)} and none"
            )
    if command.video is None and (
        wanting := [part for part in command.only if part in ("start", "live", "drive")]
    ):
        raise UserError(f"the part {wanting[0]} needs a film of a face: add --video FILM")
    return [part for part in PARTS if not command.only or part in command.only]


def _is_ours(path: Path) -> bool:
    """Whether the file is an earlier one of figures; a missing one counts too."""
    try:
        read_figures(path)
    except UserError:
        return not path.exists()
    return True


def _measured(words: list[str], given: Inputs) -> dict[str, Any]:
    """Run a command. Returns its JSON or its files' figures, how long it took, and what a reader must know to repeat it."""
    seconds, processor, output = _run(words)
    result: dict[str, Any]
    if "--json" in words:
        result = json.loads(output)
    elif words[0] == "build":
        made = words[words.index("-o") + 1]
        result = json.loads(_run(["info", made, "--json"])[2])
    else:
        from perse_live.film.reader import open_film

        frames = open_film(Path(words[words.index("-o") + 1])).frame_count or 0
        result = {"frames": frames, "fps": frames / seconds}
    return {
        "command": _shown(words, given),
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "commit": _commit(),
        "release": version("perse-live"),
        "machine": _machine(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "result": _without_paths(result),
    }


def _run(words: Sequence[str]) -> tuple[float, float, str]:
    """Wall seconds, processor seconds (0 where the system does not say), and what it printed. Raises UserError where it fails."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(
        module_command("perse_live.cli", *words),
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
    )
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        complaint = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise UserError(
            f"perse-live {words[0]} failed: {complaint[0].removeprefix('perse-live: ')}"
        )
    processor = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return seconds, processor, done.stdout


def _shown(words: Sequence[str], given: Inputs) -> str:
    """The command with placeholders for the files of this machine."""
    names = {
        str(given.photo): "PORTRAIT.png",
        str(given.avatar): "ME.perse",
        str(given.folder / "bare.perse"): "ME.perse",
        str(given.folder / "out.mp4"): "OUT.mp4",
        str(given.video): "CLIP",
        str(given.portraits): "FOLDER",
    }
    names |= {str(clip): f"CLIP{k + 1}" for k, clip in enumerate(given.clips)}
    return " ".join(["perse-live", *(names.get(word, word) for word in words)])


def _without_paths(value: Any) -> Any:
    """A result in which files have only their names: paths say who measured."""
    if isinstance(value, dict):
        return {key: _without_paths(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_paths(one) for one in value]
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value


def _machine() -> dict[str, Any]:
    from runtime.bench.drawing import machine

    load = None if sys.platform == "win32" else round(os.getloadavg()[0], 2)
    return {**machine(), "implementation": platform.python_implementation(), "load": load}


def _commit() -> str:
    """Of the source tree that runs, with "+" where it has changes; empty for an installed release."""
    git, tree = installed_program("git"), Path(__file__).resolve().parents[2]
    if git is None or not (tree / ".git").exists():
        return ""

    def asked(*words: str) -> str:
        return subprocess.run(
            [git, "-C", str(tree), *words], check=False, capture_output=True, text=True
        ).stdout.strip()

    changed = asked("status", "--porcelain", "--untracked-files=no")
    return asked("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
