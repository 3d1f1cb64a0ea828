from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attribute_toys import toy_attribute
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.regions import Region
from runtime.attributes import with_default_attributes, with_fixed_attributes
from runtime.tints import tints_of
from toys import toy_avatar


@pytest.fixture(scope="module")
def haired() -> Avatar:
    """An avatar with hair, whose file has no attributes."""
    toy = toy_avatar(gaussians=600)
    regions = toy.regions.copy()
    regions[len(toy.surface.triangles) :] = Region.HAIR
    return replace(toy, regions=regions)


def test_an_avatar_without_attributes_is_given_tints(haired: Avatar) -> None:
    assert (
        [one.name for one in with_default_attributes(haired).attributes]
        == [one.name for one in tints_of(haired)]
        != []
    )
    bearded = replace(haired, attributes=(toy_attribute(haired, "beard", "beard"),))
    assert with_default_attributes(bearded) is bearded


def test_to_be_dressed_for_good(haired: Avatar) -> None:
    assert with_fixed_attributes(haired, ()) is haired
    shown = with_fixed_attributes(haired, ("hair-copper=0.7",))
    np.testing.assert_array_equal(
        shown.colors, with_attributes(haired, tints_of(haired), {"hair-copper": 0.7}).colors
    )
    bearded = replace(haired, attributes=(toy_attribute(haired, "beard", "beard"),))
    assert len(with_fixed_attributes(bearded, ("beard=1",))) == len(bearded) + 70
    assert with_fixed_attributes(bearded, ("beard=1",)).attributes == (), (
        "they belong to the avatar without them"
    )


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        ("beard=1", "there is no attribute 'beard': there are hair-copper"),
        ("hair-copper", "not a number from 0 to 1"),
        ("hair-copper=2", "not a number"),
        ("hair-copper=-0.1", "not a number"),
        ("hair-copper=nan", "not a number"),
        ("hair-copper=a", "write hair-copper=0.7"),
        ("", "there is no attribute ''"),
    ],
)
def test_wishes_that_are_not_understood(haired: Avatar, wish: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        with_fixed_attributes(haired, (wish,))
    assert what in str(caught.value)
    with pytest.raises(UserError, match="there are none"):
        with_fixed_attributes(toy_avatar(), ("hair-copper=1",))
