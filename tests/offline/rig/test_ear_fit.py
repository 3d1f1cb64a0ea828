"""The rig's ears take the silhouette that the photo shows of the person's."""

from __future__ import annotations

import numpy as np
import pytest

from offline.rig.anny_head import chart, load_anny_head
from offline.rig.ear_fit import ear_offsets
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from perse_live.arrays import BoolArray, Float32Array
from perse_live.rotations import from_axis_angle


@pytest.fixture(scope="module")
def ears() -> Float32Array:
    return np.asarray(chart(load_anny_head(), "ears"), np.float32)


def _turned(head: PhotoGeometry, degrees: float, vertices: Float32Array) -> PhotoGeometry:
    """The head turned aside, with other vertices (head frame)."""
    turn = from_axis_angle(np.array([0.0, np.radians(degrees), 0.0]))
    return photo_geometry(
        head.camera, head.rig, vertices, head.R_cam_head @ turn, head.t_cam_head, head.template
    )


def _fitted(
    head: PhotoGeometry, person: BoolArray, ears: Float32Array, hair: BoolArray | None = None
) -> PhotoGeometry:
    nothing = np.zeros(person.shape, np.bool_)
    hairy = (nothing if hair is None else hair).astype(np.float32)
    offsets = ear_offsets(head, person, hairy, nothing, ears)
    vertices = head.to_head(head.vertices + offsets).astype(np.float32)
    return photo_geometry(
        head.camera, head.rig, vertices, head.R_cam_head, head.t_cam_head, head.template
    )


def _with_ears(head: PhotoGeometry, ears: Float32Array, off: float, tall: float) -> Float32Array:
    """Vertices (V, 3), head frame, of a head whose ears stand off farther and are taller."""
    vertices = head.rig.vertices.copy()
    middle = np.average(vertices[:, 1], weights=ears)
    beyond = np.clip(np.abs(vertices[:, 0]) - 0.068, 0, None)
    vertices[:, 0] += ears * (off - 1) * beyond * np.sign(vertices[:, 0])
    vertices[:, 1] += ears * (tall - 1) * (vertices[:, 1] - middle)
    return vertices


@pytest.mark.parametrize("degrees", [0.0, 15.0, -25.0])
@pytest.mark.parametrize(("off", "tall"), [(2.2, 1.25), (0.5, 1.0)])
def test_ears_take_the_persons_silhouette(
    mean_head: PhotoGeometry, ears: Float32Array, degrees: float, off: float, tall: float
) -> None:
    before = _turned(mean_head, degrees, mean_head.rig.vertices)
    person = _turned(mean_head, degrees, _with_ears(mean_head, ears, off, tall)).seen.covered
    after = _fitted(before, person, ears)
    assert (after.seen.covered ^ person).sum() < 0.4 * (before.seen.covered ^ person).sum()


def test_ears_of_the_rigs_own_shape_stay(mean_head: PhotoGeometry, ears: Float32Array) -> None:
    offsets = ear_offsets(
        mean_head,
        mean_head.seen.covered,
        np.zeros((512, 512), np.float32),
        np.zeros((512, 512), np.bool_),
        ears,
    )
    assert (
        np.linalg.norm(offsets, axis=1).max() < 0.005
    )  # the convex hull is a little larger than the ear


def test_ears_lie_flat_under_hair(mean_head: PhotoGeometry, ears: Float32Array) -> None:
    """Hair all round the head: the ears would pierce it when the head turns."""
    person, flat = np.ones((512, 512), np.bool_), _with_ears(mean_head, ears, 0.0, 1.0)
    after = _fitted(mean_head, person, ears, hair=~_turned(mean_head, 0, flat).seen.covered)
    core = ears > 0.3
    stand = [np.abs(head.to_head(head.vertices)[core, 0]).max() for head in (mean_head, after)]
    assert stand[1] < stand[0] - 0.005
