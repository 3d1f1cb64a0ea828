"""`perse-live export`: files for other programs, and engines for fast GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import print_written, printable, say, step_progress
from perse_live.cli.options import AvatarFile, Replacing
from perse_live.engines.folder import BACKENDS, Backend
from perse_live.errors import UserError
from perse_live.outputs import check_output_folder, check_replaced_folder

if TYPE_CHECKING:
    from perse_live.avatar import Avatar


@dataclass(frozen=True)
class Export:
    """Write an avatar as files for other programs, in one expression and look, or as engines that pose it at full speed."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The folder to write into, made where it is missing; the files are named as the avatar's."""
    formats: Annotated[str | None, arg(metavar="NAMES")] = None
    """Files for other programs, with commas between; `ply` where no engines are asked for: ply (as 3D Gaussian Splatting writes
    it), spz (Niantic's), splat (antimatter15's), glb (glTF with KHR_gaussian_splatting), web (a folder with a page in which the
    avatar moves). In spz and glb y is up and the face looks to +z; ply and splat have y down and the face to -z, as their
    viewers expect. Metres."""
    attribute: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """Attributes to apply, such as hair-copper=0.7; weights from 0 to 1."""
    expression: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """The expression, by ARKit names such as jawOpen=0.5; weights from 0 to 1; at rest without."""
    engines: Annotated[str | None, arg(metavar="NAMES")] = None
    """Engines, with commas between: onnx (for any ONNX runtime), tensorrt (built on the GPU that will run it), tensorrt-rtx
    (built ahead of time for many GPUs, without one). They go into a folder NAME.engines; keep it next to the avatar's file
    and `live` finds it."""
    precision: Literal["fp32", "fp16", "both"] = "both"
    """Precision of the engines; with fp16 only sums of small displacements are in half precision, never positions."""
    compute_capability: Annotated[str, arg(metavar="NUMBERS")] = "75,80,86,89,120"
    """GPUs for tensorrt-rtx: 75 (RTX 20; fp16 only), 80 (A100), 86 (RTX 30), 89 (RTX 40), 120 (RTX 50), 121 (Spark)."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)


def run(command: Export) -> None:
    """Write files of an avatar."""
    from export.interchange import WEB, parse_formats, write_interchange
    from export.state import state_gaussians
    from export.web.bundle import write_bundle
    from perse_live.avatar import load_avatar
    from perse_live.head.expressions import EXPRESSION_NAMES, from_scores
    from perse_live.weights import parse_weights

    formats = (
        ()
        if command.formats is None and command.engines is not None
        else parse_formats(command.formats or "ply")
    )
    backends = () if command.engines is None else _backends(command.engines)
    _check_outputs(command, formats, engines=bool(backends))
    expression = from_scores(parse_weights(command.expression, EXPRESSION_NAMES, "expression"))
    avatar = load_avatar(command.avatar)
    weights = parse_weights(command.attribute, [one.name for one in avatar.attributes], "attribute")
    if backends:
        _export_engines(command, avatar, backends)
    if WEB in formats:
        page = write_bundle(avatar, command.output, command.avatar.stem, attributes=weights)
        say(
            f"{WEB}: {printable(str(page))}, a page for any web server, such as python3 -m http.server -d FOLDER"
        )
    if files := [one for one in formats if one != WEB]:
        gaussians = state_gaussians(avatar, attributes=weights, expression=expression)
        for path in write_interchange(gaussians, command.output, command.avatar.stem, files):
            print_written(path.suffix[1:], path)


def _check_outputs(command: Export, formats: Sequence[str], *, engines: bool) -> None:
    from export.interchange import WEB
    from export.web import bundle
    from perse_live.engines import folder

    stem, inputs, overwrite = command.avatar.stem, [command.avatar], command.replacing.overwrite
    check_output_folder(
        command.output,
        [f"{stem}.{one}" for one in formats if one != WEB],
        inputs=inputs,
        overwrite=overwrite,
    )
    if WEB in formats:
        check_replaced_folder(
            command.output / f"{stem}{bundle.SUFFIX}",
            bundle.FILES,
            inputs=inputs,
            overwrite=overwrite,
        )
    if engines:
        target = command.output / f"{stem}{folder.SUFFIX}"
        check_replaced_folder(
            target, folder.known_files(target), inputs=inputs, overwrite=overwrite
        )


def _export_engines(command: Export, avatar: Avatar, backends: tuple[Backend, ...]) -> None:
    from export.engines.compile import parse_compute_capabilities
    from export.engines.folder import export_engines
    from perse_live.engines.folder import PRECISIONS

    capabilities = parse_compute_capabilities(command.compute_capability)
    precisions = PRECISIONS if command.precision == "both" else (command.precision,)
    with step_progress() as progress:
        made = export_engines(
            avatar,
            command.avatar,
            command.output,
            backends=backends,
            precisions=precisions,
            compute_capabilities=capabilities,
            progress=progress,
        )
    for file in made.files:
        print_written(f"{file.backend} {file.graph} {file.precision}", made.path / file.file)


def _backends(text: str) -> tuple[Backend, ...]:
    names = dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip())
    if unknown := [name for name in names if name not in BACKENDS]:
        raise UserError(f"there is no engine {unknown[0][:40]!r}: there are {', '.join(BACKENDS)}")
    if not names:
        raise UserError(
            f"no engine is named: write --engines {','.join(BACKENDS)} or some of these"
        )
    return tuple(one for one in BACKENDS if one in names)
