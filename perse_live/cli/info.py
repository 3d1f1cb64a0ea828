"""`perse-live info`: what is in an avatar file."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tyro.conf import Positional

from perse_live.cli.console import print_json, print_table
from perse_live.cli.options import AvatarFile, JsonSwitch
from perse_live.cli.shared import from_photos


@dataclass(frozen=True)
class Info:
    """Show what an avatar file contains."""

    avatar: Positional[AvatarFile]
    """An avatar file (.perse)."""
    json: JsonSwitch = False
    """Print one JSON object instead of a table."""


def run(command: Info) -> None:
    """Print what an avatar file holds."""
    import numpy as np

    from perse_live.avatar import load_avatar

    avatar = load_avatar(command.avatar)
    content: dict[str, object] = {
        "file": str(command.avatar),
        "bytes": command.avatar.stat().st_size,
        "gaussians": len(avatar),
        "vertices": len(avatar.rig.vertices),
        "triangles": len(avatar.rig.triangles),
        "camera": asdict(avatar.source.camera),
        "attributes": [one.name for one in avatar.attributes],
        "attributes_from_photos": from_photos(avatar),
        "correctives": [one.name for one in avatar.correctives.components],
        "corrected_gaussians": len(np.unique(avatar.correctives.deltas.ids)),
        **asdict(avatar.provenance),
    }
    if command.json:
        print_json(content)
    else:
        print_table(content)
