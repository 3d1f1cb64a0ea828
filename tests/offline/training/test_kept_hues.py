from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.training.kept_hues import with_kept_hues
from perse_live.arrays import Float32Array
from perse_live.decoder.network import (
    CODES,
    COLOR,
    FEATURES,
    OUTPUTS,
    WIDTH,
    Adapter,
    Decoder,
    decode,
    fold,
)

OWN, ADDED, RANK = 80, 120, 16


def numbers(seed: int, *shape: int, scale: float = 1.0) -> Float32Array:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(
        numbers(1, WIDTH, FEATURES, scale=0.25),
        numbers(2, WIDTH, scale=0.1),
        numbers(3, WIDTH, WIDTH, scale=0.12),
        numbers(4, WIDTH, scale=0.1),
        numbers(5, OUTPUTS, WIDTH, scale=0.12),
        numbers(6, OUTPUTS, scale=0.1),
    )


@pytest.fixture
def adapter() -> Adapter:
    return Adapter(
        numbers(7, RANK, FEATURES + CODES, scale=0.2),
        numbers(8, WIDTH, RANK, scale=0.1),
        numbers(9, RANK, WIDTH, scale=0.1),
        numbers(10, WIDTH, RANK, scale=0.1),
        numbers(11, RANK, WIDTH, scale=0.1),
        numbers(12, OUTPUTS, RANK, scale=0.1),
        float(RANK),
    )


def changes(
    decoder: Decoder, adapter: Adapter, features: Float32Array, codes: Float32Array, weight: float
) -> Float32Array:
    plain = decode(fold(decoder, [], reader=None), features, None)
    return decode(fold(decoder, [(adapter, weight)], reader=0), features, codes) - plain


def test_what_is_added_keeps_its_colour_and_the_avatar_s_own_what_it_was_taught(
    decoder: Decoder, adapter: Adapter
) -> None:
    # rows of one kind each, as a part's are: what one adapter can tell
    features = numbers(20, OWN + ADDED, FEATURES, scale=0.15)
    features[OWN:] += numbers(21, FEATURES)
    codes = numbers(22, OWN + ADDED, CODES, scale=0.5)
    kept = with_kept_hues(decoder, adapter, features, codes, OWN)
    for weight in (0.3, 0.7, 1.0):
        before, after = (changes(decoder, one, features, codes, weight) for one in (adapter, kept))
        assert np.abs(after[OWN:, COLOR]).mean() < 0.4 * np.abs(before[OWN:, COLOR]).mean()
        assert (
            np.abs(after[:OWN, COLOR] - before[:OWN, COLOR]).mean()
            < 0.4 * np.abs(before[:OWN, COLOR]).mean()
        )
        np.testing.assert_array_equal(after[:, COLOR.stop :], before[:, COLOR.stop :])


def test_without_anything_added_the_adapter_stays_as_it_is(
    decoder: Decoder, adapter: Adapter
) -> None:
    assert (
        with_kept_hues(decoder, adapter, numbers(30, OWN, FEATURES), numbers(31, OWN, CODES), OWN)
        is adapter
    )


def test_it_touches_nothing_but_colours(decoder: Decoder, adapter: Adapter) -> None:
    kept = with_kept_hues(
        decoder, adapter, numbers(30, ADDED, FEATURES), numbers(31, ADDED, CODES), 0
    )
    same = replace(kept, b3=adapter.b3)
    for name, array in vars(adapter).items():
        np.testing.assert_array_equal(getattr(same, name), array)
    assert (kept.b3[: COLOR.stop] != adapter.b3[: COLOR.stop]).any()
    np.testing.assert_array_equal(kept.b3[COLOR.stop :], adapter.b3[COLOR.stop :])
