"""The command line `perse-live`.

The only module that knows all stages; each is imported inside the command that needs it, so that `drive` starts without torch.
Exit codes: 0 done, 2 bad usage or bad input, 1 anything else (interrupted too).
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg, subcommand

from perse_live.assets import asset_path
from perse_live.console import (
    StepProgress,
    ask_consent,
    frame_progress,
    print_json,
    print_table,
    printable,
    step_progress,
    user_name,
)
from perse_live.errors import UserError
from perse_live.files import write_image

TRACEBACK_VARIABLE = "PERSE_LIVE_TRACEBACK"
"""Set to 1 to see where an unexpected error comes from."""

_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")  # on importing OpenCV or MediaPipe
_LIBRARY_PACKAGES = "libgl1 libegl1 libgles2 libglib2.0-0"
_TRACKING_ASSETS = ("face_landmarker",)
_BUILDING_ASSETS = ("face_landmarker", "selfie_segmentation")

_Photo = Annotated[Path, arg(metavar="PHOTO")]
_Avatar = Annotated[Path, arg(metavar="AVATAR")]
_Video = Annotated[Path, arg(metavar="VIDEO")]
_Output = Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
_Json = Annotated[bool, arg(name="json")]


@dataclass(frozen=True)
class Network:
    """Whether anything may be fetched."""

    offline: bool = False
    """Forbid all downloads; model files must then be in the cache, or in the folder that PERSE_LIVE_ASSETS names."""


@dataclass(frozen=True)
class Demo:
    """Build an avatar from the sample portrait and let it perform: no camera and no file needed."""

    output: _Output = Path("perse-live-demo.mp4")
    """The video to write; the avatar (.perse) and a contact sheet (.png) go beside it under the same name."""
    seconds: float = 15.0
    """Length of the performance; from 15 on it shows everything it has."""
    fps: float = 30.0
    """Frames per second."""
    size: int = 512
    """Width and height of the video, pixels."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Build:
    """Build an avatar from one portrait photo."""

    photo: Positional[_Photo]
    """A photo with one face, from 256 pixels on; with several faces the largest is taken."""
    output: _Output
    """The avatar file to write (.perse); a contact sheet (.png) goes beside it under the same name."""
    consent: bool = False
    """Declare that the person in the photo agrees to the avatar, instead of being asked on the terminal."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Drive:
    """Move an avatar as the face in a video moves."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    video: Positional[_Video]
    """The video to follow; the output has its size, frame rate, number of frames and sound."""
    output: _Output
    """The video to write: .mp4, .mov or .mkv; with a transparent background .mov or .webm."""
    match: bool = False
    """Take the driver's place, pose and absolute expression in each picture. Without it the motion is relative to the driver's
    own neutral face, and the avatar stays where it was in its photo."""
    background: str = "d9dbde"
    """What stands behind the avatar: a colour RRGGBB, the path of a picture, or `alpha`."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Render:
    """Draw a contact sheet of an avatar: turns and expressions."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    output: _Output
    """The picture to write (.png or .jpg)."""


@dataclass(frozen=True)
class Info:
    """Say what is in an avatar file."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    json: _Json = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Bench:
    """Measure how fast this machine draws: milliseconds per stage, and frames per second."""

    json: _Json = False
    """Print one JSON object instead of a table."""


_Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Build, subcommand("build")]
    | Annotated[Drive, subcommand("drive")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Info, subcommand("info")]
    | Annotated[Bench, subcommand("bench")]
)

_AnyCommand = Demo | Build | Drive | Render | Info | Bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and say how it went. Returns the exit code.

    arguments: without the program's name; by default the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        print(f"perse-live {importlib.metadata.version('perse-live')}")
        return 0
    try:
        _run(_parse(words))
    except SystemExit as stop:  # after --help
        return int(stop.code or 0)
    except UserError as error:
        return _fail(2, str(error))
    except KeyboardInterrupt:
        return _fail(1, "interrupted")
    except Exception as error:
        if library := _MISSING_LIBRARY.search(str(error)):
            return _fail(2, f"the system library {library[1]} is missing: on Debian and Ubuntu,"
                            f" apt-get install {_LIBRARY_PACKAGES}")
        if _is_set(TRACEBACK_VARIABLE):
            raise
        return _fail(1, f"unexpected {type(error).__name__}: {error} ({TRACEBACK_VARIABLE}=1 shows where it comes from)")
    return 0


def _fail(code: int, message: str) -> int:
    print(f"perse-live: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def _parse(words: Sequence[str]) -> _AnyCommand:
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(_Command, prog="perse-live", description="One portrait becomes an avatar that moves.", args=words,
                            config=(FlagCreatePairsOff,))
    except SystemExit as stop:
        if stop.code:
            raise UserError(_usage_line(complaint.getvalue())) from None
        raise


def _usage_line(box: str) -> str:
    """The gist of tyro's framed complaint: what stands before its first rule, without the help on each option."""
    lines: list[str] = []
    for framed in box.splitlines():
        line = framed.strip("│")
        if lines and not line.strip(" ─╰╯"):
            break
        if not framed.startswith("╭") and line and not line.startswith(" " * 8):
            lines.append(line.strip())
    return f"{' '.join(lines).rstrip('.') or 'the command is not understood'}: see perse-live --help"


def _run(command: _AnyCommand) -> None:
    match command:
        case Demo():
            _demo(command)
        case Build():
            _build(command)
        case Drive():
            _drive(command)
        case Render():
            _render(command)
        case Info():
            _info(command)
        case Bench():
            _bench(command)


def _build(command: Build) -> None:
    _check_suffix(command.output, ".perse")
    if not command.photo.is_file():
        raise UserError(f"{command.photo}: no such file: give the path of a portrait photo")
    by = f"the user {user_name()}, by --consent" if command.consent else ask_consent(command.photo)
    _build_to(command.output, command.photo, by, command.network)


def _build_to(output: Path, photo: Path, consent_by: str, network: Network) -> None:
    """Build an avatar and its contact sheet, and say where they are."""
    try:
        from offline.build import Consent, build_avatar
    except ModuleNotFoundError as error:
        raise UserError(f"building needs the package {error.name}, which is not here: pip install perse-live[offline]") from error
    from perse_live.avatar import save_avatar
    from runtime.sheet import contact_sheet

    consent = Consent(by=consent_by, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    with step_progress() as progress:
        _fetch(_BUILDING_ASSETS, network, progress)
        avatar = build_avatar(photo, consent=consent, progress=progress)
        sheet = contact_sheet(avatar)
    save_avatar(output, avatar)
    write_image(output.with_suffix(".png"), sheet)
    for warning in avatar.provenance.warnings:
        print(f"perse-live: warning: {printable(warning)}", file=sys.stderr)
    _say_written("avatar", output)
    _say_written("contact sheet", output.with_suffix(".png"))


def _demo(command: Demo) -> None:
    from runtime.perform import perform
    from runtime.performance import performance

    frames = performance(command.seconds, command.fps)  # first, so that an impossible wish costs no build
    avatar_path = command.output.with_suffix(".perse")
    with step_progress() as progress:
        _fetch(("sample_portrait",), command.network, progress)
    _build_to(avatar_path, asset_path("sample_portrait"), "NASA, by releasing the portrait to the public", command.network)

    from perse_live.avatar import load_avatar

    with frame_progress("performing") as progress:
        perform(load_avatar(avatar_path), frames, command.output, fps=command.fps, size=command.size, progress=progress)
    _say_written("video", command.output)


def _drive(command: Drive) -> None:
    from perse_live.avatar import load_avatar
    from runtime.background import parse_background
    from runtime.drive import drive_matched, drive_relative

    background = parse_background(command.background)
    drive = drive_matched if command.match else drive_relative
    avatar = load_avatar(command.avatar)
    with step_progress() as steps:
        _fetch(_TRACKING_ASSETS, command.network, steps)
    with frame_progress("driving") as progress:
        drive(avatar, command.video, command.output, background=background, progress=progress)
    _say_written("video", command.output)


def _render(command: Render) -> None:
    from perse_live.avatar import load_avatar
    from runtime.sheet import contact_sheet

    write_image(command.output, contact_sheet(load_avatar(command.avatar)))
    _say_written("contact sheet", command.output)


def _info(command: Info) -> None:
    from perse_live.avatar import load_avatar

    avatar = load_avatar(command.avatar)
    content: dict[str, object] = {
        "file": str(command.avatar), "bytes": command.avatar.stat().st_size, "gaussians": len(avatar),
        "vertices": len(avatar.rig.vertices), "triangles": len(avatar.rig.triangles), "camera": asdict(avatar.source.camera),
        **asdict(avatar.provenance),
    }
    if command.json:
        print_json(content)
    else:
        print_table(content)


def _bench(command: Bench) -> None:
    from runtime.bench import SIZE, bench, machine

    with step_progress() as progress:
        results = bench(progress=progress)
    if command.json:
        print_json({"machine": machine(), "width": SIZE, "height": SIZE,
                    "results": [{**asdict(result), "fps": result.fps} for result in results]})
        return
    print_table(machine())
    for result in results:
        times = ", ".join(f"{name} {timing.median_ms:.2f} ({timing.p95_ms:.2f})" for name, timing in result.stages.items())
        print(f"{result.visible:>6,} visible, {result.threads} thread{'s' if result.threads > 1 else ' '}: {result.fps:4.0f} fps;"
              f" ms median (p95): {times}")


def _fetch(names: Sequence[str], network: Network, progress: StepProgress) -> None:
    """Bring model files into the cache where they are missing; what needs them finds them there."""
    for name in names:
        asset_path(name, offline=network.offline, report=progress)


def _check_suffix(path: Path, suffix: str) -> None:
    if path.suffix.lower() != suffix:
        raise UserError(f"cannot write {path}: name it {suffix}, such as {path.with_suffix(suffix)}")


def _say_written(what: str, path: Path) -> None:
    print(f"{what}: {printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    sys.exit(main())
