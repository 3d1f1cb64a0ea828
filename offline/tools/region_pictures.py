"""A picture of the named regions of the mean head, and of the charts of its vertices.

Run as `python -m offline.tools.region_pictures docs`: it writes `template-regions.webp` into that folder.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import numpy as np

from offline.rig.anatomy import HeadCharts, head_charts
from offline.rig.anny_head import load_anny_head
from offline.rig.identity import identity_rig, load_identity_model
from offline.rig.photo_geometry import PhotoGeometry, attribute_map, photo_geometry
from offline.rig.template_regions import NECK_AXIS_DEPTH, REGIONS
from offline.stage_pictures import Panel, shaded, strip
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.files import write_image
from perse_live.head.landmarks import load_landmark_model
from perse_live.head.rig import Part
from perse_live.rotations import FACING_CAMERA, from_euler_degrees

# Pixels of a panel, panels in a row, pixels that a head is drawn with
_SIDE, _COLUMNS, _PICTURE = (100, 10, 320)
_TINT, _SHARE = np.array([214.0, 56.0, 56.0]), 0.6
_YAWS = (0.0, -75.0)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the picture goes")
    folder = parser.parse_args().folder
    views = [_view(yaw) for yaw in _YAWS]
    template = views[0].template
    charts = head_charts(load_anny_head(), template, load_landmark_model())
    panels: list[Panel] = []
    for name, region in REGIONS.items():
        panels += _panels(views, region.contains(template).astype(np.float32), name)
    for name in (field.name for field in fields(HeadCharts)):
        panels += _panels(views, getattr(charts, name), f"chart: {name.replace('_', ' ')}")
    on_axis = np.abs(template[:, 2] - NECK_AXIS_DEPTH) < 0.004
    panels += _panels(views, on_axis.astype(np.float32), "depth of the neck's axis")
    rows = [strip(panels[k : k + _COLUMNS], _SIDE) for k in range(0, len(panels), _COLUMNS)]
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    write_image(folder / "template-regions.webp", np.concatenate(padded))


def _view(yaw: float) -> PhotoGeometry:
    """The mean head turned by yaw degrees before a camera that shows head and neck."""
    rig = identity_rig(load_identity_model(), np.zeros(1))
    turn = FACING_CAMERA @ from_euler_degrees(yaw, 0.0, 0.0)
    camera = Camera(_PICTURE, _PICTURE, 1.9 * _PICTURE, 1.9 * _PICTURE, _PICTURE / 2, _PICTURE / 2)
    middle = turn @ np.array([0.0, -0.02, -0.07])
    return photo_geometry(
        camera, rig, rig.vertices, turn, np.array([0.0, 0.0, 0.72]) - middle, rig.vertices
    )


def _panels(views: list[PhotoGeometry], weights: Float32Array, name: str) -> list[Panel]:
    """The head from each side with weights (V,) of its vertices in red."""
    return [(_tinted(view, weights), name if k == 0 else "") for k, view in enumerate(views)]


def _tinted(view: PhotoGeometry, weights: Float32Array) -> UInt8Array:
    share = (
        _SHARE
        * np.nan_to_num(attribute_map(view, weights[:, None]))
        * view.part_map(Part.SKIN)[..., None]
    )
    return np.clip(shaded(view) * (1 - share) + _TINT * share, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
