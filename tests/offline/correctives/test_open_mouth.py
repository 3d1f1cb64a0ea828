"""What a closed mouth draws along its lips' line is not on lips that part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.correctives.open_mouth import with_open_mouth
from offline.looks.face.rest_positions import along_line, landmarks_on, places_at_rest
from perse_live.avatar import Avatar, corrected
from perse_live.correctives import no_correctives
from perse_live.head.expressions import expression
from perse_live.head.landmarks import INNER_LIP_RING
from perse_live.regions import Region
from toys import toy_avatar

_AHEAD = np.zeros((2, 2), np.float32)


@pytest.mark.slow
def test_the_line_of_closed_lips_is_gone_where_they_have_parted(astronaut_avatar: Avatar) -> None:
    line = landmarks_on(astronaut_avatar, astronaut_avatar.rig.vertices)[list(INNER_LIP_RING)]
    lips = astronaut_avatar.regions == Region.LIPS
    on_line = lips & (along_line(places_at_rest(astronaut_avatar), line)[0] < 0.0012)
    assert on_line.sum() > 50
    colors = np.where(on_line[:, None], 0.05, astronaut_avatar.colors).astype(np.float32)
    closed = expression()
    drawn = replace(
        astronaut_avatar,
        colors=colors,
        correctives=no_correctives(),
        source=replace(astronaut_avatar.source, expression=closed),
    )
    made = with_open_mouth(drawn)
    np.testing.assert_array_equal(corrected(made, closed, _AHEAD).colors, colors)
    parted = corrected(made, expression(jawOpen=0.4), _AHEAD).colors
    beside = np.median(colors[lips & ~on_line], 0)
    np.testing.assert_allclose(np.median(parted[on_line], 0), beside, atol=0.15)
    far = np.abs(places_at_rest(drawn) - line.mean(0)).max(1) > 0.05
    np.testing.assert_array_equal(parted[far], colors[far])


def test_a_photo_with_an_open_mouth_shows_no_line() -> None:
    avatar = toy_avatar(gaussians=300)
    avatar = replace(avatar, source=replace(avatar.source, expression=expression(jawOpen=0.6)))
    assert with_open_mouth(avatar) is avatar
