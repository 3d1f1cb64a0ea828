from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribute_toys import toy_adapter, toy_decoder
from hypothesis_profiles import examples
from perse_live.decoder.features import features_of, into_binding, places_at_rest
from perse_live.decoder.kernel import Packed, decode_rows
from perse_live.decoder.network import CODES, FEATURES, OUTPUTS, Adapter, Folded, decode, fold
from toys import toy_avatar


def rows(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return (
        random.normal(0, 1, (count, FEATURES)).astype(np.float32),
        random.normal(0, 1, (count, CODES)).astype(np.float32),
    )


def quickly(
    folded: Folded,
    features: np.ndarray,
    codes: np.ndarray | None,
    *,
    base: np.ndarray | None = None,
) -> np.ndarray:
    packed, count = Packed(), len(features)
    packed.take(folded)
    out = np.full((count, OUTPUTS), np.nan, np.float32)
    decode_rows(
        packed.weights,
        packed.offsets,
        features,
        np.arange(count, dtype=np.int32),
        np.zeros((0, CODES), np.float32) if codes is None else codes,
        np.zeros((count, OUTPUTS), np.float32) if base is None else base,
        out,
    )
    return out


@examples(30)
@given(st.integers(0, 70), st.booleans(), st.floats(0, 1), st.sampled_from([0.01, 1.0, 6.0]))
def test_the_kernel_decodes_as_the_clear_twin_does(
    count: int, coded: bool, weight: float, loudness: float
) -> None:
    features, codes = rows(count)
    features, given_codes = (loudness * features).astype(np.float32), codes if coded else None
    folded = fold(toy_decoder(), [(toy_adapter(), weight)], reader=0)
    expected = decode(folded, features, given_codes)
    np.testing.assert_allclose(
        quickly(folded, features, given_codes), expected, rtol=1e-5, atol=1e-5 * max(loudness, 1)
    )


def test_rows_are_gathered_and_their_base_taken_off() -> None:
    features, codes = rows(50)
    base = rows(50, seed=1)[1]
    chosen = np.array([7, 3, 49, 3], np.int32)
    folded, packed, out = (
        fold(toy_decoder(), [(toy_adapter(), 0.5)], reader=0),
        Packed(),
        np.empty((4, OUTPUTS), np.float32),
    )
    packed.take(folded)
    decode_rows(packed.weights, packed.offsets, features, chosen, codes[:4], base, out)
    np.testing.assert_allclose(
        out, decode(folded, features[chosen], codes[:4]) - base[chosen], atol=1e-5
    )


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([None, 0, 1]))
def test_folding_is_the_sum_of_low_rank_products(
    first: float, second: float, reader: int | None
) -> None:
    decoder, adapters = (
        toy_decoder(),
        [(toy_adapter(seed=1), first), (toy_adapter(seed=2, rank=6), second)],
    )
    folded = fold(decoder, adapters, reader=reader)
    for layer in (1, 2, 3):
        weight = np.zeros_like(getattr(folded, f"w{layer}"), np.float64)
        columns = getattr(decoder, f"w{layer}")
        weight[:, : columns.shape[1]] = columns
        for k, (one, share) in enumerate(adapters):
            product = (
                share
                * one.alpha
                / one.rank
                * getattr(one, f"b{layer}").astype(np.float64)
                @ getattr(one, f"a{layer}")
            )
            if layer == 1 and k != reader:
                product[:, FEATURES:] = 0
            weight += product
        np.testing.assert_allclose(getattr(folded, f"w{layer}"), weight, atol=1e-5)


def test_without_adapters_the_decoder_is_itself() -> None:
    decoder, (features, codes) = toy_decoder(), rows(20)
    plain = fold(decoder, [], reader=None)
    np.testing.assert_array_equal(plain.w1[:, :FEATURES], decoder.w1)
    # It knows no codes
    np.testing.assert_array_equal(decode(plain, features, codes), decode(plain, features, None))
    silent = fold(decoder, [(toy_adapter(), 0.0)], reader=0)
    np.testing.assert_array_equal(decode(silent, features, codes), decode(plain, features, codes))


def test_the_torch_module_folds_and_decodes_the_same() -> None:
    torch = pytest.importorskip("torch")
    from perse_live.decoder.torch_module import FoldedModule

    decoder, (features, codes) = toy_decoder(), rows(40)
    adapters: list[Adapter] = [toy_adapter(seed=k, rank=3 + k) for k in range(3)]
    weights = [0.3, 0.0, 0.9]
    module = FoldedModule(decoder, adapters)
    for reader in (0, 2):
        reads = torch.zeros(3)
        reads[reader] = 1
        out = module(
            torch.from_numpy(features), torch.from_numpy(codes), torch.tensor(weights), reads
        )
        folded = fold(decoder, list(zip(adapters, weights, strict=True)), reader=reader)
        np.testing.assert_allclose(out.numpy(), decode(folded, features, codes), atol=1e-5)


def test_a_displacement_at_rest_is_one_of_the_binding() -> None:
    avatar = toy_avatar(gaussians=500)
    surface, rig = avatar.surface, avatar.rig
    step = np.random.default_rng(0).normal(0, 0.002, (len(surface.triangles), 3)).astype(np.float32)
    moved = replace(
        surface,
        positions=surface.positions + (into_binding(rig, surface) @ step[:, :, None])[:, :, 0],
    )
    before, after = (
        places_at_rest(rig, one, avatar.rigid)[: len(step)] for one in (surface, moved)
    )
    np.testing.assert_allclose(after - before, step, atol=2e-5)


def test_features_tell_places_colours_and_kinds_apart() -> None:
    avatar = toy_avatar(gaussians=300)
    places = places_at_rest(avatar.rig, avatar.surface, avatar.rigid)
    features = features_of(places, avatar.colors, avatar.regions)
    assert features.shape == (len(avatar), FEATURES) and features.dtype == np.float32
    np.testing.assert_array_equal(features[:, -4:].sum(1), 1)
    assert np.abs(features[:, 3:12]).max() <= 1 + 1e-6
    np.testing.assert_array_equal(
        features_of(places[:5], avatar.colors[:5], avatar.regions[:5]), features[:5]
    )
