"""How built-in looks come in once they are learnt, by the measure that users have."""

from __future__ import annotations

import numpy as np
import pytest

from faces import plain_person
from offline.looks.edit import with_built_in
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.cli.measure import measured

LOOKS = ("hat-beanie", "headphones", "glasses-black", "beard-stubble", "hair-fringe")
MOST_STEP = 1.6


@pytest.fixture(scope="module")
def blended(mean_head: PhotoGeometry) -> Avatar:
    avatar, complaints = with_built_in(plain_person(mean_head), LOOKS, progress=lambda *_: None)
    assert not complaints
    return avatar


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOKS)
def test_looks_come_in_evenly_and_keep_to_their_part(blended: Avatar, name: str) -> None:
    result, _ = measured(blended, "person", name, None)
    assert result.worst(lambda view: view.step_ratio, max) < MOST_STEP
    assert result.worst(lambda view: view.outside_psnr, min) > 38
    assert result.unseen is not None and result.unseen.psnr > 34 and result.unseen.ssim > 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hat-beanie", "headphones"])
def test_solid_things_are_never_seen_through_as_a_whole(blended: Avatar, name: str) -> None:
    """At every weight most of their pieces are there, or are not there; what comes is an edge between."""
    look = next(one for one in blended.attributes if one.name == name)
    assert isinstance(look, LearnedAttribute)
    full = with_attributes(blended, blended.attributes, {name: 1.0}).opacities[-len(look.added) :]
    before = 0.0
    for weight in (0.15, 0.25, 0.5, 0.75):
        share = with_attributes(blended, blended.attributes, {name: weight}).opacities[
            -len(look.added) :
        ] / np.maximum(full, 0.05)
        assert ((share > 0.1) & (share < 0.8)).mean() < 0.4
        there = float((share > 0.8).mean())
        assert there > before
        before = there
