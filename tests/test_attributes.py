from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from attribute_toys import toy_adapter, toy_attribute, toy_decoder, toy_learned, toy_pace
from hypothesis_profiles import examples
from perse_live import attribute_file
from perse_live.attribute_file import MAX_ADDED, MAX_CHANGED, MAX_MOVED, as_stored
from perse_live.attributes import (
    SLOTS,
    LearnedAttribute,
    LearnedGaussians,
    PhotoOrigin,
    none_learned,
)
from perse_live.avatar import Avatar, load_avatar, save_avatar
from perse_live.decoder.network import MAX_RANK
from perse_live.errors import UserError
from toys import toy_avatar

Arrays = dict[str, np.ndarray]
Manifest = dict[str, Any]
Change = Callable[[Arrays, Manifest], object]
PREFIX = "attributes."


@pytest.fixture(scope="module")
def bare() -> Avatar:
    return toy_avatar(gaussians=300)


@pytest.fixture(scope="module")
def avatar(bare: Avatar) -> Avatar:
    return replace(
        bare,
        decoder=toy_decoder(),
        attributes=(
            toy_learned(bare, "beard-full", "beard"),
            toy_learned(bare, "hat-cap", "hat", seed=1, on_surface=0, moves_base=True),
            replace(
                toy_learned(bare, "nose-2", "nose", seed=2, tints_hair=True), added=none_learned()
            ),
            toy_learned(bare, "glasses", "glasses", seed=3, changed=0, moved=0),
        ),
    )


@pytest.fixture(scope="module")
def sound(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "toy.perse"
    save_avatar(path, avatar)
    return path.read_bytes()


def parts(content: bytes) -> tuple[Arrays, Manifest]:
    size = int.from_bytes(content[:8], "little")
    manifest = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["manifest"])
    return {name: array.copy() for name, array in safetensors.numpy.load(content).items()}, manifest


def altered(path: Path, content: bytes, change: Change) -> Path:
    """A file with something changed behind the back of `save_avatar`."""
    arrays, manifest = parts(content)
    change(arrays, manifest)
    path.write_bytes(safetensors.numpy.save(arrays, metadata={"manifest": json.dumps(manifest)}))
    return path


def fields(one: LearnedAttribute) -> dict[str, np.ndarray]:
    added = one.added
    return {
        **{
            name: value
            for part in (one, one.adapter)
            for name, value in vars(part).items()
            if isinstance(value, np.ndarray)
        },
        **{
            f"added.{name}": value
            for name, value in vars(added).items()
            if isinstance(value, np.ndarray)
        },
        **{f"surface.{name}": value for name, value in vars(added.surface).items()},
        **{f"rigid.{name}": value for name, value in vars(added.rigid).items()},
    }


def learned(avatar: Avatar) -> list[LearnedAttribute]:
    return [one for one in avatar.attributes if isinstance(one, LearnedAttribute)]


def test_attributes_come_back_as_precise_as_they_are_seen(
    avatar: Avatar, sound: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "toy.perse"
    path.write_bytes(sound)
    loaded = load_avatar(path)
    again = learned(loaded)
    assert loaded.decoder is not None and avatar.decoder is not None
    for name, array in vars(avatar.decoder).items():
        np.testing.assert_array_equal(getattr(loaded.decoder, name), array)
    assert [(one.name, one.label, one.slot) for one in again] == [
        (one.name, one.label, one.slot) for one in avatar.attributes
    ]
    for before, after in zip(learned(avatar), again, strict=True):
        assert len(after.added) == len(before.added)
        assert (after.moves_base, after.tints_hair) == (before.moves_base, before.tints_hair)
        assert after.adapter.alpha == before.adapter.alpha
        was = fields(before)
        for name, array in fields(after).items():
            assert array.dtype == was[name].dtype, name
            assert array.flags.c_contiguous and array.flags.writeable, name
            if array.dtype.kind != "f" or name in (
                "rigid.means",
                "a1",
                "b1",
                "a2",
                "b2",
                "a3",
                "b3",
            ):
                np.testing.assert_array_equal(array, was[name], err_msg=name)
            else:
                step = 0.5 / 255 if "colors" in name else 1e-6
                np.testing.assert_allclose(
                    array, was[name], rtol=2**-10, atol=1.01 * step, err_msg=name
                )


def test_saving_twice_gives_the_same_bytes(sound: bytes, tmp_path: Path) -> None:
    first, second = tmp_path / "first.perse", tmp_path / "second.perse"
    first.write_bytes(sound)
    save_avatar(second, load_avatar(first))
    assert second.read_bytes() == sound


def test_without_attributes_a_file_says_nothing_of_them(bare: Avatar, tmp_path: Path) -> None:
    save_avatar(tmp_path / "bare.perse", bare)
    arrays, manifest = parts((tmp_path / "bare.perse").read_bytes())
    assert not [name for name in arrays if name.startswith(PREFIX)]
    assert "attributes" not in manifest
    assert not [name for name in arrays if name.startswith("decoder.")]
    assert load_avatar(tmp_path / "bare.perse").attributes == ()


def test_the_manifest_tells_other_programs_names_slots_keys_and_defaults(sound: bytes) -> None:
    entry = parts(sound)[1]["attributes"][1]
    assert {key: entry[key] for key in ("name", "label", "slot", "key", "default")} == {
        "name": "hat-cap",
        "label": "Hat cap",
        "slot": "hat",
        "key": 2,
        "default": 0.0,
    }


def test_whose_photo_a_look_is_from_and_its_pace_stay_with_it(bare: Avatar, tmp_path: Path) -> None:
    origin = PhotoOrigin("ab" * 32, "the user me, by --consent", "2026-01-01T00:00:00+00:00")
    look = replace(toy_learned(bare, "hair-friend", "hair"), origin=origin, pace=toy_pace(1.7))
    save_avatar(
        tmp_path / "toy.perse",
        replace(
            bare,
            attributes=(look, toy_learned(bare, "beard", "beard", seed=1)),
            decoder=toy_decoder(),
        ),
    )
    again = learned(load_avatar(tmp_path / "toy.perse"))
    assert again[0].origin == origin and again[1].origin is None and again[1].pace is None
    assert again[0].pace is not None
    np.testing.assert_array_equal(again[0].pace, toy_pace(1.7))


def test_a_full_wardrobe_keeps_an_avatar_small(tmp_path: Path) -> None:
    large = toy_avatar(gaussians=22_000)
    assert len(large) < 45_000
    many = tuple(
        toy_learned(
            large,
            f"look-{k}",
            SLOTS[k % len(SLOTS)],
            seed=k,
            changed=15_000,
            moved=3_000,
            on_surface=1_250,
            free=1_250,
        )
        for k in range(40)
    )
    save_avatar(tmp_path / "full.perse", replace(large, attributes=many, decoder=toy_decoder()))
    assert (
        sum(len(one.ids) for one in many) == MAX_CHANGED
        and sum(len(one.vertex_ids) for one in many) == MAX_MOVED
    )
    assert sum(len(one.added) for one in many) == MAX_ADDED
    assert (tmp_path / "full.perse").stat().st_size < 25 << 20


def name_at(k: int, key: str, value: object) -> Change:
    return lambda _, manifest: manifest["attributes"][k].update({key: value})


def put(name: str, value: float, index: Any = 0) -> Change:
    def change(arrays: Arrays, _: Manifest) -> None:
        arrays[PREFIX + name][index] = value

    return change


def double(name: str) -> Change:
    def change(arrays: Arrays, _: Manifest) -> None:
        arrays[PREFIX + name][1] = arrays[PREFIX + name][0]

    return change


def shorten(*names: str) -> Change:
    def change(arrays: Arrays, _: Manifest) -> None:
        for name in names:
            arrays[PREFIX + name] = np.ascontiguousarray(arrays[PREFIX + name][:-1])

    return change


def cast_to(name: str, dtype: Any) -> Change:
    return lambda arrays, _: arrays.update({PREFIX + name: arrays[PREFIX + name].astype(dtype)})


def one_more(_: Arrays, manifest: Manifest) -> None:
    manifest["attributes"].append({"name": "more", "label": "More", "slot": "hat"})


def far_too_many(_: Arrays, manifest: Manifest) -> None:
    manifest["attributes"] *= 17


def too_many_added(arrays: Arrays, _: Manifest) -> None:
    for name, array in list(arrays.items()):
        if name.startswith(PREFIX + "added."):
            arrays[name] = np.zeros((MAX_ADDED + 1, *array.shape[1:]), array.dtype)


def no_arrays(arrays: Arrays, _: Manifest) -> None:
    for name in [name for name in arrays if name.startswith(PREFIX)]:
        del arrays[name]


HOSTILE: list[tuple[Change, str]] = [
    (name_at(0, "name", "hat-cap"), "the same name"),
    (name_at(0, "name", "Beard"), "up to 40 of a-z"),
    (name_at(0, "name", ""), "up to 40 of a-z"),
    (name_at(0, "name", "a" * 41), "up to 40 of a-z"),
    (name_at(0, "name", "beard\n"), "up to 40 of a-z"),
    (name_at(0, "name", "../../x"), "up to 40 of a-z"),
    (name_at(0, "name", 7), "no name, label or slot"),
    (name_at(0, "label", "a\x1b[2J"), "printable"),
    (name_at(0, "label", "two\nlines"), "printable"),
    (name_at(0, "label", " "), "printable"),
    (name_at(0, "label", "x" * 61), "printable"),
    (name_at(0, "slot", "elbow"), "unknown slot 'elbow'"),
    (name_at(0, "slot", "e" * 9000), "unknown slot"),
    (name_at(0, "slot", None), "no name, label or slot"),
    (name_at(0, "pace", "fast"), "pace of attribute"),
    (name_at(0, "pace", [0.0, 1.0]), "pace of attribute"),
    (name_at(0, "pace", [0.0, *[float("nan")] * 39, 1.0]), "NaN"),
    (name_at(0, "pace", [0.0, *[0.9] * 20, *[0.1] * 19, 1.0]), "pace of attribute"),
    (name_at(0, "pace", [0.0, *["x"] * 39, 1.0]), "pace of attribute"),
    (name_at(0, "photo", "mine"), "whose photo"),
    (
        name_at(0, "photo", {"photo_sha256": "a", "consent_by": "", "consent_at": "now"}),
        "whose photo",
    ),
    (
        name_at(0, "photo", {"photo_sha256": "a", "consent_by": "x" * 301, "consent_at": "now"}),
        "whose photo",
    ),
    (lambda _, manifest: manifest.update(attributes={"a": 1}), "not a list"),
    (lambda _, manifest: manifest.update(attributes=[1, 2, 3, 4]), "no name, label or slot"),
    (lambda _, manifest: manifest.pop("attributes"), "names 0 attributes"),
    (one_more, "names 5 attributes, its arrays hold 4"),
    (far_too_many, "more than 64"),
    (no_arrays, "no array 'attributes."),
    (lambda arrays, _: arrays.pop(PREFIX + "added.codes"), "no array 'attributes.added.codes'"),
    (lambda arrays, _: arrays.pop("decoder.w2"), "its network is incomplete"),
    (
        lambda arrays, _: [
            arrays.pop(name) for name in list(arrays) if name.startswith("decoder.")
        ],
        "no network that decodes",
    ),
    (lambda arrays, _: arrays["decoder.w2"].__setitem__((0, 0), 0.5), "trained for another avatar"),
    (lambda arrays, _: arrays["colors"].__setitem__((0, 0), 0.123), "trained for another avatar"),
    (lambda _, manifest: manifest.pop("network"), "trained for another avatar"),
    (
        lambda _, manifest: manifest.update(network={"sha256": "0" * 64}),
        "trained for another avatar",
    ),
    (lambda arrays, _: arrays["decoder.w3"].__setitem__((0, 0), np.nan), "not finite"),
    (lambda arrays, _: arrays["decoder.w3"].__setitem__((0, 0), 1e9), "above 60"),
    (lambda arrays, _: arrays.update({PREFIX + "extra": np.zeros(2, np.float32)}), "unknown array"),
    (put("counts", 2**32 - 1, (0, 0)), "another length"),
    (put("counts", 0, (0, 2)), "another length"),
    (shorten("counts", "alphas", "flags"), "names 4 attributes, its arrays hold 3"),
    (put("counts", 17, (0, 4)), "another length"),
    (shorten("ids", "codes"), "another length"),
    (shorten("codes"), "attributes.codes"),
    (shorten("adapter.a1"), "attributes.adapter"),
    (
        shorten("adapter.a1", "adapter.b1", "adapter.a2", "adapter.b2", "adapter.a3", "adapter.b3"),
        "another length",
    ),
    (put("alphas", -1.0), "alphas"),
    (put("alphas", np.nan), "not finite"),
    (put("flags", 2), "flags"),
    (put("codes", np.nan), "not finite"),
    (put("codes", 200.0), "above 100"),
    (put("adapter.b2", np.inf), "not finite"),
    (put("adapter.b2", 100.0), "above 60"),
    (put("ids", 10**6), "index 1000000"),
    (put("ids", -1), "index -1"),
    (double("ids"), "same index twice in its ids"),
    (double("vertex_ids"), "same index twice in its vertex_ids"),
    (put("vertex_ids", 10**6), "index 1000000"),
    (put("vertex_offsets", 1.0), "above 0.5"),
    (put("vertex_offsets", np.inf), "not finite"),
    (put("surface.triangles", 10**6), "index 1000000"),
    (put("surface.positions", np.nan), "not finite"),
    (put("surface.axes", 5e3), "above 1000"),
    (put("surface.two_sided", 2), "above 1"),
    (put("rigid.quats", 0.0), "unit length"),
    (put("rigid.scales", 0.0), "rigid.scales"),
    (put("rigid.means", 10.0), "above 3"),
    (put("rigid.head_weights", -0.5), "below 0"),
    (put("added.regions", 200), "above 63"),
    (cast_to("added.colors", np.float32), "instead of uint8"),
    (cast_to("rigid.means", np.float64), "instead of float32"),
    (too_many_added, "outside 0 to 100000"),
]


@pytest.mark.parametrize(("change", "what"), HOSTILE)
def test_hostile_attributes_are_one_clear_error(
    sound: bytes, tmp_path: Path, change: Change, what: str
) -> None:
    path = altered(tmp_path / "toy.perse", sound, change)
    with pytest.raises(UserError) as caught:
        load_avatar(path)
    message = str(caught.value)
    assert what in message
    assert "toy.perse" in message
    assert message.isprintable() and len(message) < 400


@pytest.mark.slow
@examples(120, allowed=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_numbers_are_a_file_is_refused_or_can_be_trusted(
    sound: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    def change(arrays: Arrays, _: Manifest) -> None:
        for name in data.draw(
            st.lists(
                st.sampled_from(sorted(attribute_file.ATTRIBUTE_ARRAYS)), min_size=1, max_size=3
            )
        ):
            array = arrays[name].reshape(-1).view(np.uint8)
            at = data.draw(st.integers(0, len(array) - 1))
            array[at] = data.draw(st.integers(0, 255))

    path = altered(tmp_path / "toy.perse", sound, change)
    try:
        avatar = load_avatar(path)
    except UserError as error:
        assert "toy.perse" in str(error)
        return
    assert sum(len(one.added) for one in avatar.attributes) <= MAX_ADDED
    for one in learned(avatar):
        assert one.adapter.alpha >= 0
        for name, array in fields(one).items():
            assert np.isfinite(array).all(), name
        for ids, count in (
            (one.ids, len(avatar)),
            (one.vertex_ids, len(avatar.rig.vertices)),
            (one.added.surface.triangles, len(avatar.rig.triangles)),
        ):
            assert not len(ids) or (ids.min() >= 0 and ids.max() < count)
        assert (
            len(one.added)
            == len(one.added.surface.triangles) + len(one.added.rigid.means)
            == len(one.added.regions)
        )


def with_added(one: LearnedAttribute, **changes: object) -> LearnedAttribute:
    return replace(one, added=LearnedGaussians(**{**vars(one.added), **changes}))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda one: replace(one, name="Beard"), "up to 40"),
        (lambda one: replace(one, slot="tail"), "slot"),
        (lambda one: replace(one, label=""), "label"),
        (lambda one: replace(one, codes=one.codes[:-1]), "codes has shape"),
        (lambda one: replace(one, codes=one.codes[:, :-1]), "codes has shape"),
        (lambda one: replace(one, codes=np.full_like(one.codes, 1e6)), "not finite"),
        (lambda one: with_added(one, colors=one.added.colors + np.float32(0.5)), "outside 0 to 1"),
        (lambda one: replace(one, ids=np.zeros_like(one.ids)), "twice"),
        (
            lambda one: replace(one, vertex_offsets=np.full_like(one.vertex_offsets, 1e6)),
            "not finite",
        ),
        (lambda one: replace(one, adapter=toy_adapter(rank=MAX_RANK + 1)), "rank"),
        (
            lambda one: replace(one, adapter=replace(one.adapter, b3=one.adapter.b3[:-1])),
            "b3 has shape",
        ),
        (lambda one: with_added(one, codes=one.added.codes[1:]), "added.codes has shape"),
    ],
)
def test_attributes_that_could_not_be_loaded_are_not_saved(
    bare: Avatar, tmp_path: Path, change: Callable[[LearnedAttribute], LearnedAttribute], what: str
) -> None:
    broken = replace(
        bare, attributes=(change(toy_learned(bare, "beard", "beard")),), decoder=toy_decoder()
    )
    with pytest.raises(ValueError, match=what):
        save_avatar(tmp_path / "broken.perse", broken)
    assert list(tmp_path.iterdir()) == []


def test_what_no_network_has_learned_is_not_saved(bare: Avatar, tmp_path: Path) -> None:
    for broken, what in (
        (
            replace(
                bare, attributes=(toy_attribute(bare, "beard", "beard"),), decoder=toy_decoder()
            ),
            "learned",
        ),
        (replace(bare, attributes=(toy_learned(bare, "beard", "beard"),)), "no decoder"),
    ):
        with pytest.raises(ValueError, match=what):
            save_avatar(tmp_path / "broken.perse", broken)
    assert list(tmp_path.iterdir()) == []


def test_an_attribute_as_stored_is_the_one_that_comes_back(
    avatar: Avatar, sound: bytes, tmp_path: Path
) -> None:
    (tmp_path / "toy.perse").write_bytes(sound)
    for before, after in zip(
        learned(avatar), learned(load_avatar(tmp_path / "toy.perse")), strict=True
    ):
        stored = fields(as_stored(before))
        for name, array in fields(after).items():
            np.testing.assert_array_equal(array, stored[name], err_msg=name)
