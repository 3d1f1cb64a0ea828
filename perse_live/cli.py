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
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tyro.conf import FlagCreatePairsOff

from perse_live.assets import asset_path
from perse_live.commands import (
    AnyCommand,
    AttributeAdd,
    AttributeList,
    AttributePreview,
    AttributeRemove,
    Attributes,
    Bench,
    Build,
    Command,
    Demo,
    Doctor,
    Drive,
    Export,
    Info,
    Live,
    Network,
    Render,
)
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

if TYPE_CHECKING:
    from perse_live.avatar import Avatar

TRACEBACK_VARIABLE = "PERSE_LIVE_TRACEBACK"
"""Set to 1 to see where an unexpected error comes from."""

_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")  # on importing OpenCV or MediaPipe
_LIBRARY_PACKAGES = "libgl1 libegl1 libgles2 libglib2.0-0"
_TRACKING_ASSETS = ("face_landmarker",)
_BUILDING_ASSETS = ("face_landmarker", "selfie_segmentation")

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


def _parse(words: Sequence[str]) -> AnyCommand:
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(Command, prog="perse-live", description="One portrait becomes an avatar that moves.", args=words,
                            config=(FlagCreatePairsOff,))
    except SystemExit as stop:
        if stop.code:
            raise UserError(_usage_line(complaint.getvalue())) from None
        raise


def _usage_line(box: str) -> str:
    """The gist of tyro's framed complaint: what stands between title and first rule, without the help on each option.

    Frames are of dashes and blanks where the terminal knows no others.
    """
    lines: list[str] = []
    for framed in box.splitlines()[1:]:
        line = framed.strip("│")
        if line.strip(" ─-╰╯"):
            if not line.startswith(" " * 8):
                lines.append(line.strip())
        elif lines:
            break
    return f"{' '.join(lines).rstrip('.') or 'the command is not understood'}: see perse-live --help"


def _run(command: AnyCommand) -> None:
    match command:
        case Demo():
            _demo(command)
        case Build():
            _build(command)
        case Drive():
            _drive(command)
        case Render():
            _render(command)
        case Attributes():
            _attributes(command)
        case Export():
            _export(command)
        case Live():
            _live(command)
        case Info():
            _info(command)
        case Bench():
            _bench(command)
        case Doctor():
            _doctor(command)


def _build(command: Build) -> None:
    _check_suffix(command.output, ".perse")
    if not command.photo.is_file():
        raise UserError(f"{command.photo}: no such file: give the path of a portrait photo")
    _named_attributes(command.attributes)
    by = f"the user {user_name()}, by --consent" if command.consent else ask_consent(command.photo)
    _build_to(command.output, command.photo, by, command.network, attributes=command.attributes)


def _named_attributes(text: str) -> tuple[str, ...]:
    """What --attributes stands for: none, or words that `registry.named` knows, with commas between them."""
    from offline.attributes.registry import NONE_WORD, named

    return () if text.strip() == NONE_WORD else named([word.strip() for word in text.split(",")])


def _build_to(output: Path, photo: Path, consent_by: str, network: Network, *, attributes: str) -> None:
    """Build an avatar and its contact sheet, and say where they are."""
    try:
        from offline.attributes.edit import with_built_in
        from offline.build import Consent, build_avatar
    except ModuleNotFoundError as error:
        raise _without_offline(error) from error
    from perse_live.avatar import save_avatar
    from runtime.sheet import contact_sheet

    consent = Consent(by=consent_by, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
    with step_progress() as progress:
        _fetch(_BUILDING_ASSETS, network, progress)
        avatar = build_avatar(photo, consent=consent, progress=progress)
        avatar, complaints = with_built_in(avatar, _named_attributes(attributes), progress=progress)
        sheet = contact_sheet(avatar)
    save_avatar(output, avatar)
    write_image(output.with_suffix(".png"), sheet)
    for warning in (*avatar.provenance.warnings, *complaints):
        _warn(f"warning: {warning}")
    _say_written("avatar", output)
    _say_written("contact sheet", output.with_suffix(".png"))


def _demo(command: Demo) -> None:
    from runtime.live.run import PERFORMANCE, LiveOptions, check_options, run_live
    from runtime.live.settings import load_settings
    from runtime.perform import perform
    from runtime.performance import performance
    from runtime.web.server import WebConfig

    settings = load_settings()
    page = command.page
    # first, so that an impossible wish costs no build
    check_options(LiveOptions((), seconds=page.seconds))
    frames = () if command.output is None else performance(command.film_seconds, command.fps)
    avatar_path = (command.output or Path("perse-live-demo")).with_suffix(".perse")
    with step_progress() as progress:
        _fetch(("sample_portrait",), command.network, progress)
    _build_to(avatar_path, asset_path("sample_portrait"), "NASA, by releasing the portrait to the public", command.network,
              attributes="default")
    if command.output is not None:
        from perse_live.avatar import load_avatar

        with frame_progress("performing") as progress:
            perform(load_avatar(avatar_path), frames, command.output, fps=command.fps, size=command.size, progress=progress)
        _say_written("video", command.output)
    options = LiveOptions((avatar_path,), camera=PERFORMANCE, hotkeys=False, browser=not page.no_browser, seconds=page.seconds,
                          background="photo", web=WebConfig(host=page.host, port=page.port))
    run_live(options, settings, say=_say, warn=_warn)


def _live(command: Live) -> None:
    from runtime.live.actions import SetBadge
    from runtime.live.run import LiveOptions, parse_size, run_live, web_config
    from runtime.live.settings import load_settings
    from runtime.web.server import WebConfig

    if not command.avatars:
        raise UserError("no avatar is named: give a .perse file, made by perse-live build; see perse-live live --help")
    if command.badge == "off" and not command.badge_reason.strip():
        raise UserError("the badge stays on without a reason: add --badge-reason TEXT, or choose a corner")
    settings = load_settings(command.settings)
    width, height = parse_size(command.size)
    page = command.page
    web = web_config(WebConfig(host=page.host, port=page.port, token=command.token, cert=command.cert, key=command.key), settings,
                     codec=command.codec, bitrate=command.bitrate, ice=command.ice)
    with step_progress() as progress:
        _fetch(_TRACKING_ASSETS, command.network, progress)
    options = LiveOptions(
        command.avatars, camera=command.camera, once=command.once, virtual_camera=command.virtual_camera, device=command.device,
        preview=command.preview, record=command.record, width=width, height=height, fps=command.fps,
        max_gaussians=command.max_gaussians, background=command.background,
        badge=None if command.badge is None else SetBadge(command.badge, command.badge_reason),
        threads=min(os.cpu_count() or 1, 4), hotkeys=not command.no_hotkeys, browser=not page.no_browser, seconds=page.seconds,
        web=web)
    run_live(options, settings, say=_say, warn=_warn)


def _doctor(command: Doctor) -> None:
    from runtime.doctor.examination import examine
    from runtime.doctor.trial import judge, trial

    avatar = None
    if command.avatar is not None:
        from perse_live.avatar import load_avatar

        avatar = load_avatar(command.avatar)
    with step_progress() as progress:
        findings = examine(port=command.port, progress=progress)
        result = trial(avatar, offline=command.network.offline, progress=progress)
    findings.append(judge(result))
    if command.json:
        print_json({"findings": [asdict(finding) for finding in findings], "trial": asdict(result)})
        return
    for finding in findings:
        print(f"{finding.status:<8} {finding.name}: {printable(finding.found)}")
        if finding.advice:
            print(f"{'':<9}-> {printable(finding.advice)}")


def _drive(command: Drive) -> None:
    from perse_live.avatar import load_avatar
    from runtime.background import parse_background
    from runtime.dressing import dressed
    from runtime.drive import drive_matched, drive_relative

    background = parse_background(command.background)
    drive = drive_matched if command.match else drive_relative
    avatar = dressed(load_avatar(command.avatar), command.attribute)
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


def _export(command: Export) -> None:
    from export.interchange import parse_formats, write_interchange
    from export.state import state_gaussians
    from perse_live.avatar import load_avatar
    from perse_live.head.expressions import EXPRESSION_NAMES, from_scores
    from perse_live.weights import parse_weights

    formats = parse_formats(command.formats)
    expression = from_scores(parse_weights(command.expression, EXPRESSION_NAMES, "expression"))
    avatar = load_avatar(command.avatar)
    weights = parse_weights(command.attribute, [one.name for one in avatar.attributes], "attribute")
    gaussians = state_gaussians(avatar, attributes=weights, expression=expression)
    for path in write_interchange(gaussians, command.output, command.avatar.stem, formats):
        _say_written(path.suffix[1:], path)


def _attributes(command: Attributes) -> None:
    match command.do:
        case AttributeList():
            _list_attributes(command.do)
        case AttributeAdd():
            _add_attributes(command.do)
        case AttributeRemove():
            _remove_attributes(command.do)
        case AttributePreview():
            _preview_attributes(command.do)


def _list_attributes(command: AttributeList) -> None:
    from offline.attributes.registry import TITLES
    from perse_live.avatar import load_avatar

    avatar = load_avatar(command.avatar)
    there = [{"name": one.name, "label": one.label, "slot": one.slot, "key": key, "gaussians": len(one.added)}
             for key, one in enumerate(avatar.attributes, 1)]
    names = {one.name for one in avatar.attributes}
    possible = [{"name": name, "label": label, "slot": slot} for name, (label, slot) in TITLES.items() if name not in names]
    if command.json:
        print_json({"file": str(command.avatar), "attributes": there, "available": possible})
        return
    print(f"in {printable(str(command.avatar))}:" if there else f"none in {printable(str(command.avatar))}")
    for one in there:
        print(f"{one['key']:>4}  {one['name']:<20} {printable(str(one['label'])):<26} {one['slot']}")
    if possible:
        print("can be added:")
    for one in possible:
        print(f"{'':>4}  {one['name']:<20} {one['label']:<26} {one['slot']}")


def _add_attributes(command: AttributeAdd) -> None:
    from offline.attributes.registry import named
    from perse_live.avatar import load_avatar, save_avatar

    names = named(_some(command.names, "default"))
    avatar = load_avatar(command.avatar)
    try:
        from offline.attributes.edit import with_built_in

        with step_progress() as progress:
            avatar, complaints = with_built_in(avatar, names, progress=progress)
    except ModuleNotFoundError as error:
        raise _without_offline(error) from error
    save_avatar(command.avatar, avatar)
    for complaint in complaints:
        _warn(f"warning: {complaint}")
    _say_attributes(command.avatar, avatar)


def _remove_attributes(command: AttributeRemove) -> None:
    from offline.attributes.edit import without
    from offline.attributes.registry import ALL_WORD
    from perse_live.avatar import load_avatar, save_avatar

    names = _some(command.names, "beard-full")
    avatar = load_avatar(command.avatar)
    fewer = without(avatar, [one.name for one in avatar.attributes] if names == (ALL_WORD,) else names)
    save_avatar(command.avatar, fewer)
    _say_attributes(command.avatar, fewer)


def _preview_attributes(command: AttributePreview) -> None:
    from perse_live.avatar import load_avatar
    from runtime.attribute_sheet import attribute_sheet

    avatar = load_avatar(command.avatar)
    if not avatar.attributes:
        raise UserError(f"{command.avatar} has no attributes: perse-live attribute add {command.avatar} default")
    write_image(command.output, attribute_sheet(avatar, avatar.attributes))
    _say_written("attribute sheet", command.output)


def _some(names: tuple[str, ...], example: str) -> tuple[str, ...]:
    if not names:
        raise UserError(f"no attribute is named: give names such as {example}; perse-live attribute list shows them")
    return names


def _say_attributes(path: Path, avatar: Avatar) -> None:
    print(f"{printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB):"
          f" {', '.join(one.name for one in avatar.attributes) or 'no attributes'}")


def _without_offline(error: ModuleNotFoundError) -> UserError:
    return UserError(f"building needs the package {error.name}, which is not here: pip install perse-live[offline]")


def _info(command: Info) -> None:
    from perse_live.avatar import load_avatar

    avatar = load_avatar(command.avatar)
    content: dict[str, object] = {
        "file": str(command.avatar), "bytes": command.avatar.stat().st_size, "gaussians": len(avatar),
        "vertices": len(avatar.rig.vertices), "triangles": len(avatar.rig.triangles), "camera": asdict(avatar.source.camera),
        "attributes": [one.name for one in avatar.attributes], **asdict(avatar.provenance),
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


def _say(text: str) -> None:
    print(text, flush=True)


def _warn(text: str) -> None:
    print(f"perse-live: {printable(text)}", file=sys.stderr, flush=True)


def _check_suffix(path: Path, suffix: str) -> None:
    if path.suffix.lower() != suffix:
        raise UserError(f"cannot write {path}: name it {suffix}, such as {path.with_suffix(suffix)}")


def _say_written(what: str, path: Path) -> None:
    print(f"{what}: {printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    sys.exit(main())
