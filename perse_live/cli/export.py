"""`perse-live export`: files for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from perse_live.cli.console import say_written
from perse_live.cli.options import AvatarFile


@dataclass(frozen=True)
class Export:
    """Write an avatar as files for other programs, in one expression and look."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The folder to write into, made where it is missing; the files are named as the avatar's."""
    formats: Annotated[str, arg(metavar="NAMES")] = "ply"
    """Which, with commas between: ply (as 3D Gaussian Splatting writes it), spz (Niantic's), splat (antimatter15's), glb
    (glTF with KHR_gaussian_splatting). In spz and glb y is up and the face looks to +z; ply and splat have y down and the face to
    -z, as their viewers expect. Metres."""
    attribute: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """Attributes to wear, such as hair-copper=0.7; weights from 0 to 1."""
    expression: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """The expression, by ARKit names such as jawOpen=0.5; weights from 0 to 1; at rest without."""


def run(command: Export) -> None:
    """Write files of an avatar."""
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
        say_written(path.suffix[1:], path)
