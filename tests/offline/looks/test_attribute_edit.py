from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from attribute_toys import toy_attribute, toy_decoder, toy_learned
from offline.looks import edit
from offline.looks.edit import taught, with_built_in, without
from offline.looks.registry import DEFAULT, TITLES, builders, named
from offline.training.learning import FitConfig, fit_attribute, with_learned
from offline.training.regression import RegressionConfig
from perse_live.attribute_file import MAX_ADDED, MAX_LABEL
from perse_live.attributes import SLOTS, Attribute, LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from toys import toy_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    toy = toy_avatar(gaussians=300)
    return replace(
        toy,
        decoder=toy_decoder(),
        attributes=(toy_learned(toy, "beard", "beard"), toy_learned(toy, "hat", "hat", seed=1)),
    )


def names_of(avatar: Avatar) -> list[str]:
    return [one.name for one in avatar.attributes]


def test_there_is_somebody_for_every_title_and_a_title_for_everybody() -> None:
    from offline.looks import with_geometry, without_geometry
    from offline.looks.hair import hair_length

    assert set(TITLES) == set(without_geometry.BUILT_IN) | set(with_geometry.BUILT_IN) | set(
        hair_length.BUILT_IN
    )
    assert list(builders()) == list(TITLES)
    assert len(TITLES) >= 16
    for name, (label, slot) in TITLES.items():
        assert slot in SLOTS and 0 < len(label) <= MAX_LABEL, name
    assert set(DEFAULT) <= set(TITLES) and 1 < len(DEFAULT) <= 9


def test_words_stand_for_attributes() -> None:
    assert named(["beard-full", "sunglasses", "beard-full"]) == ("beard-full", "sunglasses")
    assert named(["all"]) == tuple(TITLES)
    assert named(["hat-cap", "default"])[:1] == ("hat-cap",)
    assert set(named(["default", "hair-pink"])) == {*DEFAULT, "hair-pink"}
    assert named([]) == ()
    with pytest.raises(
        UserError, match=r"unknown attribute 'nose-ring': there are all, default, .*beard-full"
    ):
        named(["all", "nose-ring"])


def test_what_is_there_is_replaced_in_its_place_and_the_rest_comes_behind(avatar: Avatar) -> None:
    beard, tie = (
        toy_learned(avatar, "beard", "beard", seed=5),
        toy_learned(avatar, "tie", "cloth", seed=6),
    )
    more = with_learned(with_learned(avatar, tie), beard)
    assert names_of(more) == ["beard", "hat", "tie"]
    assert more.attributes[0] is beard
    assert avatar.attributes[0] is not beard


def test_there_is_only_so_much_room(avatar: Avatar) -> None:
    many = tuple(toy_learned(avatar, f"look-{k}", "hat", on_surface=1, free=1) for k in range(62))
    with pytest.raises(UserError, match="no room for 65 attributes: an avatar may have 64"):
        with_learned(
            replace(avatar, attributes=(*avatar.attributes, *many)),
            toy_learned(avatar, "last", "hat"),
        )
    with pytest.raises(UserError, match="Gaussians that they add"):
        with_learned(avatar, toy_learned(avatar, "forest", "hat", on_surface=MAX_ADDED, free=0))


def test_what_is_taken_away_is_gone_and_what_is_not_there_is_said(avatar: Avatar) -> None:
    assert names_of(without(avatar, ["beard"])) == ["hat"]
    assert names_of(without(avatar, ["beard", "hat", "beard"])) == []
    with pytest.raises(UserError, match="no attribute 'nose' to remove: there are beard, hat"):
        without(avatar, ["hat", "nose"])


@pytest.mark.slow
def test_makers_see_the_avatar_as_it_is_without_attributes(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cap(given: Avatar) -> Attribute:
        assert given.attributes == ()
        return toy_attribute(given, "hat-cap", "hat")

    def bun(_: Avatar) -> Attribute:
        raise UserError("there is no hair to tie")

    makers: dict[str, Callable[[Avatar], Attribute]] = {"hat-cap": cap, "hair-bun": bun}
    monkeypatch.setattr(edit, "builders", lambda: makers)
    told: list[float] = []
    more, complaints = with_built_in(
        avatar, ["hair-bun", "hat-cap"], progress=lambda _, share: told.append(share)
    )
    assert names_of(more) == ["beard", "hat", "hat-cap"]
    assert complaints == ["no hair-bun: there is no hair to tie"]
    assert told[0] == 0 and told[-1] == 1
    with pytest.raises(UserError, match="no hair-bun"):
        with_built_in(avatar, ["hair-bun"], progress=lambda *_: None)
    same, complaints = with_built_in(avatar, [], progress=lambda *_: None)
    assert names_of(same) == names_of(avatar) and complaints == []


@pytest.mark.slow
def test_slots_learned_at_the_same_time_end_as_one_after_the_other(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = {
        "hat-cap": "hat",
        "earrings-pearl": "earrings",
        "hat-wide": "hat",
        "headphones": "headphones",
    }
    makers = {name: partial(toy_attribute, name=name, slot=slot) for name, slot in slots.items()}
    monkeypatch.setattr(edit, "builders", lambda: makers)
    short = FitConfig(
        RegressionConfig(steps=12, steps_in_place=12, steps_among_mates=12, drawn_steps=2)
    )
    together, _ = with_built_in(avatar, list(slots), progress=lambda *_: None, config=short)
    in_turn = avatar
    for make in makers.values():
        in_turn = fit_attribute(
            in_turn,
            taught(make(replace(avatar, attributes=()))),
            (),
            progress=lambda *_: None,
            config=short,
        )
    assert names_of(together) == names_of(in_turn) == ["beard", "hat", *slots]
    for one, other in zip(together.attributes, in_turn.attributes, strict=True):
        assert isinstance(one, LearnedAttribute) and isinstance(other, LearnedAttribute)
        np.testing.assert_array_equal(one.codes, other.codes)
        for factor in ("a1", "b1", "a2", "b2", "a3", "b3"):
            np.testing.assert_array_equal(
                getattr(one.adapter, factor), getattr(other.adapter, factor)
            )
