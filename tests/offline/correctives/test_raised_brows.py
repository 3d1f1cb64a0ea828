"""Raised brows smooth the fold above the eye, and leave lashes, and the photo's own raised brows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.correctives.wrinkles import with_wrinkles
from offline.looks.face.rest_positions import landmarks_on, places_at_rest
from perse_live.arrays import Float32Array
from perse_live.avatar import Avatar, corrected
from perse_live.correctives import no_correctives
from perse_live.head.expressions import expression
from perse_live.regions import Region


def _opacities(avatar: Avatar, own: float, raised: float) -> Float32Array:
    """(G,) with brows raised, of a photo that shows them raised by `own`."""
    bare = replace(
        avatar,
        correctives=no_correctives(),
        source=replace(avatar.source, expression=expression(browInnerUp=own)),
    )
    doing = expression(browInnerUp=raised)
    return corrected(with_wrinkles(bare, 0.5), doing, np.zeros((2, 2), np.float32)).opacities


@pytest.mark.slow
def test_the_fold_above_an_eye_fades_as_brows_rise_and_lashes_stay(
    astronaut_avatar: Avatar,
) -> None:
    lid = landmarks_on(astronaut_avatar, astronaut_avatar.rig.vertices)[159]
    places = places_at_rest(astronaut_avatar)
    near = np.abs(places[:, 0] - lid[0]) < 0.003
    veil = near & (astronaut_avatar.regions == Region.LASHES) & (astronaut_avatar.opacities > 0.05)
    above, lashes = (
        veil & (places[:, 1] > lid[1] + 0.0055),
        veil & (np.abs(places[:, 1] - lid[1]) < 0.0005),
    )
    assert above.sum() > 5 and lashes.sum() > 5
    rest, up = (_opacities(astronaut_avatar, 0.0, strength) for strength in (0.0, 1.0))
    np.testing.assert_array_equal(rest, astronaut_avatar.opacities)
    assert (up[above] < 0.2 * rest[above]).all()
    np.testing.assert_allclose(up[lashes], rest[lashes], atol=0.02)
    np.testing.assert_allclose(_opacities(astronaut_avatar, 0.9, 0.9), rest, atol=1e-6)
