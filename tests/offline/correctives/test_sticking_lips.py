"""Lips stick together near the corners while the jaw begins to open, and come apart from the middle outwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.correctives.sticking_lips import with_sticking_lips
from offline.looks.face.rest_positions import along_line, landmarks_on
from perse_live.animator import Animator
from perse_live.arrays import FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import no_correctives
from perse_live.head.expressions import expression
from perse_live.head.landmarks import INNER_LIP_CORNERS, INNER_LIP_LOWER, INNER_LIP_UPPER
from perse_live.head.rig import expressed
from perse_live.regions import Region
from runtime.stage import facing_pose
from toys import toy_avatar

_AHEAD = np.zeros((2, 2), np.float32)


def _lips(avatar: Avatar, jaw: float) -> FloatArray:
    """(N, 3) metres, head frame."""
    pose = facing_pose(avatar)
    drawn = Animator(avatar, threads=1).pose(expression(jawOpen=jaw), _AHEAD, pose).means
    return ((drawn - pose.t_cam_head) @ pose.R_cam_head)[avatar.regions == Region.LIPS]


@pytest.mark.slow
def test_lips_part_from_the_middle_outwards(astronaut_avatar: Avatar) -> None:
    closed = replace(
        astronaut_avatar,
        correctives=no_correctives(),
        source=replace(astronaut_avatar.source, expression=expression()),
    )
    made = with_sticking_lips(closed)
    parted = landmarks_on(closed, expressed(closed.rig, expression(jawOpen=0.1)))
    upper, lower = (parted[list(edge)] for edge in (INNER_LIP_UPPER, INNER_LIP_LOWER))
    loose, sticking = _lips(closed, 0.1), _lips(made, 0.1)
    corners = parted[list(INNER_LIP_CORNERS), 0]
    half, middle = np.ptp(corners) / 2, corners.mean()
    aside = np.abs(loose[:, 0] - middle) / half
    to_upper, to_lower = (along_line(loose, edge)[0] for edge in (upper, lower))
    moved = sticking[:, 1] - loose[:, 1]
    beside = (aside > 0.75) & (aside < 0.9)
    below, above = (
        moved[beside & (near < 0.0015) & (near < other)].mean()
        for near, other in ((to_lower, to_upper), (to_upper, to_lower))
    )
    gap = (1 - 0.82) * float(np.linalg.norm(upper[4] - lower[4]))
    assert below > 0.0005 and above < -0.0002
    assert below - above > 0.5 * gap  # little of the gap is left
    assert np.abs(sticking - loose)[aside < 0.45].max() < 1e-6  # the middle is open
    for jaw in (0.0, 0.3):
        np.testing.assert_allclose(_lips(made, jaw), _lips(closed, jaw), atol=1e-7)


def test_a_photo_with_a_slightly_open_mouth_shows_how_its_lips_part() -> None:
    avatar = toy_avatar(gaussians=300)
    avatar = replace(avatar, source=replace(avatar.source, expression=expression(jawOpen=0.1)))
    assert with_sticking_lips(avatar) is avatar
