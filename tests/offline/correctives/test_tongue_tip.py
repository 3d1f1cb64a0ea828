"""The tongue's tip rises to the upper teeth in "l", lies between the rows in "th", and is the rig's at rest and far out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perse_live.animator import Animator
from perse_live.arrays import FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import no_correctives
from perse_live.head.expressions import expression
from perse_live.head.rig import Part, expressed, vertices_of
from perse_live.regions import Region
from runtime.stage import facing_pose

_AHEAD = np.zeros((2, 2), np.float32)


def _tongue(avatar: Avatar, **doing: float) -> tuple[FloatArray, FloatArray, float]:
    """The tongue's Gaussians (N, 3) as drawn and as the rig has them, and the height of the upper incisors' edges."""
    strengths, pose = expression(**doing), facing_pose(avatar)
    teeth = expressed(avatar.rig, strengths)[vertices_of(avatar.rig, Part.TEETH_UPPER)]
    edge = float(teeth[np.abs(teeth[:, 0]) < 0.006, 1].min())
    drawn, low = (
        (
            (Animator(one, threads=1).pose(strengths, _AHEAD, pose).means - pose.t_cam_head)
            @ pose.R_cam_head
        )[avatar.regions == Region.TONGUE]
        for one in (avatar, replace(avatar, correctives=no_correctives()))
    )
    return drawn, low, edge


def _tip(tongue: FloatArray) -> float:
    return float(tongue[tongue[:, 2] > tongue[:, 2].max() - 0.004, 1].max())


@pytest.mark.slow
def test_the_tip_is_at_the_upper_teeth_in_l_and_between_the_rows_in_th(
    astronaut_avatar: Avatar,
) -> None:
    raised, low, edge = _tongue(astronaut_avatar, jawOpen=0.25, tongueOut=0.2)
    assert _tip(low) < edge - 0.004
    assert edge - 0.002 < _tip(raised) < edge + 0.001
    raised, low, edge = _tongue(astronaut_avatar, jawOpen=0.18, tongueOut=0.4)
    assert _tip(low) + 0.001 < _tip(raised) < edge
    for doing in ({"jawOpen": 0.3}, {"jawOpen": 0.4, "tongueOut": 1.0}):
        raised, low, _ = _tongue(astronaut_avatar, **doing)
        np.testing.assert_array_equal(raised, low)
