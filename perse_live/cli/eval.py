"""`perse-live eval`: likeness by self-reenactment of real clips, or quality of the avatars of a folder of portraits."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import (
    FrameProgress,
    StepProgress,
    print_json,
    printable,
    step_progress,
    warn,
)
from perse_live.cli.options import JsonSwitch, Network, Replacing
from perse_live.cli.portraits import eval_portraits
from perse_live.cli.shared import BUILDING_ASSETS, fetch, make_folder, without_offline
from perse_live.errors import UserError
from perse_live.files import CREATOR, write_bytes, write_image
from perse_live.outputs import check_output_folder

if TYPE_CHECKING:
    from perse_live.arrays import UInt8Array
    from perse_live.evaluation.identity import IdentityModel
    from perse_live.evaluation.protocol import ClipPlan
    from perse_live.evaluation.scores import FilmScores
    from perse_live.film.reader import Film, FilmFrame

_SHOWN = (
    "psnr",
    "psnr_in",
    "ssim",
    "psnr_mouth",
    "psnr_eyes",
    "psnr_lids",
    "akd",
    "akd_expr",
    "bs_l1",
    "bs_corr",
    "pose_deg",
    "detect",
    "jitter",
    "jitter_err",
    "folds",
    "id_ref",
)
_MAX_EXTRAS = 6
# Files of a clip in its folder
_WRITTEN = ("source.png", "drive.mp4", "drawn.mp4", "scores.json")
_CONSENT = "nobody: built by perse-live eval to be measured, and not kept"


@dataclass(frozen=True)
class Eval:
    """Measure likeness and motion: one frame of a clip becomes an avatar, the others drive it and are compared with it.

    With --portraits, measure how good avatars of single pictures look when their heads turn.
    """

    clips: Annotated[Positional[tuple[Path, ...]], arg(metavar="CLIP")] = ()
    """Videos of one talking person each, a few seconds or more. The avatars are measured and not kept."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FOLDER")] = None
    """Keep each clip's portrait, reference film, rendering and scores in this folder; of portraits, a sheet of all faces
    and the figures. It is made where it is missing."""
    portraits: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Instead of clips: build an avatar of every picture in this folder, and measure specks, holes, steps and drift of colour
    and open lids; see docs/measures.md."""
    avatars: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """With --portraits: keep the avatars here, and measure those that are here already without building them."""
    against: Annotated[Path | None, arg(metavar="JSON")] = None
    """With --portraits: compare with the figures of an earlier run, as --json prints them."""
    extras: int = 0
    """Number of further frames to build from, as by `build --extra`; they and their neighbours are not scored."""
    identity_model: Annotated[Path | None, arg(metavar="FILE")] = None
    """A face-embedding model that you supply, in ONNX (as ArcFace's: one face, RGB in [-1, 1]), to measure whether the person is
    recognised. face_identity.onnx in the folder that PERSE_LIVE_ASSETS names is found by itself. Without one, identity
    is not measured."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class _Evaluated:
    clip: Path
    plan: ClipPlan
    scores: FilmScores


def run(command: Eval) -> None:
    """Evaluate clips or portraits and print their scores."""
    from perse_live.evaluation.identity import find_identity_model
    from perse_live.evaluation.scores import HIGHER_IS_BETTER, mean_scores
    from perse_live.film.reader import open_film

    if command.portraits is not None:
        if command.clips:
            raise UserError(
                "clips and --portraits are measured in different ways: give one of them"
            )
        if command.extras or command.identity_model is not None:
            raise UserError(
                "--extras and --identity-model go with clips: leave them out with --portraits"
            )
        eval_portraits(
            command.portraits,
            avatars=command.avatars,
            against=command.against,
            output=command.output,
            as_json=command.json,
            overwrite=command.replacing.overwrite,
            network=command.network,
        )
        return
    if command.avatars is not None or command.against is not None:
        raise UserError("--avatars and --against go with --portraits: name the folder of pictures")
    if not command.clips:
        raise UserError(
            "no clip is named: give one or more videos of a talking person; see perse-live eval --help"
        )
    if not 0 <= command.extras <= _MAX_EXTRAS:
        raise UserError(f"--extras {command.extras} is out of range: choose 0 to {_MAX_EXTRAS}")
    for clip in command.clips:
        open_film(clip)  # a wrong file is said before the work begins
    if command.output is not None:
        for name in _names(command.clips):
            check_output_folder(
                command.output / name,
                _WRITTEN,
                inputs=command.clips,
                overwrite=command.replacing.overwrite,
            )
    identity = find_identity_model(command.identity_model)
    with step_progress() as progress, contextlib.ExitStack() as stack:
        fetch(BUILDING_ASSETS, command.network, progress)
        root = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perse-live-eval-")))
            if command.output is None
            else make_folder(command.output)
        )
        results = [
            _evaluate(clip, make_folder(root / name), command.extras, identity, progress)
            for clip, name in zip(command.clips, _names(command.clips), strict=True)
        ]
    mean = mean_scores([one.scores for one in results])
    if command.json:
        further = f" and {command.extras} further frames" if command.extras else ""
        print_json(
            {
                "protocol": f"self-reenactment of one portrait{further}, face hull only, on black",
                "higher_is_better": HIGHER_IS_BETTER,
                "identity_model": None if identity is None else identity.name,
                "clips": [_summary(one) for one in results],
                "mean": mean,
            }
        )
        return
    rows = [(one.clip.stem, one.scores.frames, one.scores.means) for one in results]
    if len(rows) > 1:
        rows.append(("mean", sum(frames for _, frames, _ in rows), mean))
    print(" ".join([f"{'clip':<16}", "frames", *(f"{name:>10}" for name in _SHOWN)]))
    for name, frames, scores in rows:
        print(
            " ".join(
                [
                    f"{printable(name)[:16]:<16}",
                    f"{frames:>6}",
                    *(f"{_figure(scores[one]):>10}" for one in _SHOWN),
                ]
            )
        )
    print(
        "inside the face, on black; akd: landmark error, % of the eye distance; jitter: 1 is as lively as the film"
    )
    if identity is None:
        print("id_ref: not measured without an identity model; see perse-live eval --help")


def _evaluate(
    clip: Path, folder: Path, extras: int, identity: IdentityModel | None, progress: StepProgress
) -> _Evaluated:
    """Split, build, drive and score one clip, in a separate folder."""
    try:
        from offline.build_state import Consent
        from offline.pipeline import build_avatar
        from perse_live.photo import Photo
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    from perse_live.evaluation.protocol import chosen, cut, plan_clip, survey
    from perse_live.evaluation.scores import score_film
    from perse_live.film.reader import open_film
    from runtime.background import Color
    from runtime.drive import drive_matched

    def report_step(step: str, share: float) -> None:
        progress(f"{clip.name}: {step}", share)

    def frame_progress(step: str) -> FrameProgress:
        return lambda done, total: report_step(step, done / max(total or done, 1))

    looked_at = frame_progress("looking at every frame")
    film = open_film(clip)
    seen = survey(
        _watched(film.frames(), film.frame_count, looked_at), interval=float(1 / film.rate)
    )
    for line in film.warnings():
        warn(f"warning: {line}")
    try:
        plan = plan_clip(seen, extras=extras)
    except UserError as error:
        raise UserError(f"{clip}: {error}") from error
    report_step("cutting out", 0.0)
    portrait, real, drawn, figures = (folder / name for name in _WRITTEN)
    source = _split(film, plan, portrait, real)
    consent = Consent(by=_CONSENT, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    further = [
        Photo(cut(frame, plan), "", f"frame {number} of {clip.name}")
        for number, frame in zip(
            sorted(plan.extras),
            chosen((frame.image for frame in film.frames()), plan.extras),
            strict=True,
        )
    ]
    avatar = build_avatar(portrait, consent=consent, extra=further, progress=report_step)
    drive_matched(
        avatar, real, drawn, background=Color(0, 0, 0), progress=frame_progress("driving")
    )
    reference = open_film(real)
    truth, rendering = (
        [frame.image for frame in one.frames()] for one in (reference, open_film(drawn))
    )
    scores = score_film(
        truth,
        rendering,
        source,
        rate=float(reference.rate),
        numbers=plan.frames,
        identity=identity,
        progress=lambda share: report_step("scoring", share),
    )
    result = _Evaluated(clip, plan, scores)
    write_bytes(figures, json.dumps(_summary(result), allow_nan=False, indent=1).encode())
    return result


def _split(film: Film, plan: ClipPlan, portrait: Path, real: Path) -> UInt8Array:
    """Write the portrait and the reference film of a clip. Returns the portrait (size, size, 3) RGB."""
    from perse_live.evaluation.protocol import cut
    from perse_live.film.writer import Encoding, film_writer

    faithful = Encoding(crf=4, preset="medium")
    wanted, source = frozenset(plan.frames), None
    with film_writer(
        real, width=plan.size, height=plan.size, rate=film.rate / plan.stride, encoding=faithful
    ) as writer:
        for frame in film.frames():
            if frame.index == plan.source:
                source = cut(frame.image, plan)
            if frame.index in wanted:
                writer.write(cut(frame.image, plan))
    assert source is not None
    write_image(portrait, source)
    return source


def _watched(
    frames: Iterator[FilmFrame], count: int | None, progress: FrameProgress
) -> Iterator[UInt8Array]:
    for frame in frames:
        yield frame.image
        progress(frame.index + 1, None if count is None else max(count, frame.index + 1))


def _summary(one: _Evaluated) -> dict[str, object]:
    return {
        "creator": CREATOR,
        "clip": str(one.clip),
        "source_frame": one.plan.source,
        "extra_frames": one.plan.extras,
        "frames": one.scores.frames,
        "stride": one.plan.stride,
        "undetected": one.scores.undetected,
        "scores": one.scores.means,
    }


def _names(clips: Sequence[Path]) -> list[str]:
    """A folder name for each clip, all different."""
    names: list[str] = []
    for clip in clips:
        name, number = clip.stem or "clip", 2
        while name in names:
            name, number = f"{clip.stem}-{number}", number + 1
        names.append(name)
    return names


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
