"""The shared decoder and its LoRA adapters, as plain arrays.

A Gaussian's row is [features, codes]; the decoder is Linear, SiLU, Linear, SiLU, Linear. An attribute k is a LoRA adapter on
all three layers (Hu et al. 2022): under weights w the network has W0 + sum_k w_k s_k B_k A_k, which is folded once and then costs
what the plain decoder does. The new state of a Gaussian is its state plus D(row; folded) - D(row; W0), so that nothing changes at
weight 0. W0 ignores the codes: only adapters read them, each the codes of its attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perse_live.arrays import Float32Array

FEATURES, CODES, WIDTH, OUTPUTS = 16, 8, 64, 8
MAX_RANK = 16

COLOR, OPACITY, PLACE, SIZE = slice(0, 3), 3, slice(4, 7), 7
"""What the outputs are: sRGB, opacity, displacement at rest in `PLACE_UNIT`, logarithm of the size."""
PLACE_UNIT = 0.02
"""Metres that an output of 1 displaces by: hair and hats travel by centimetres, and outputs stay near 1."""
MAX_PLACE, MAX_SIZE = 25.0, 4.0
"""Bounds of the outputs: half a metre, and a factor of 55 of the size."""


@dataclass(frozen=True, eq=False)
class Decoder:
    """W0: what all attributes of an avatar share."""

    w1: Float32Array
    """(WIDTH, FEATURES)"""
    c1: Float32Array
    """(WIDTH,)"""
    w2: Float32Array
    """(WIDTH, WIDTH)"""
    c2: Float32Array
    """(WIDTH,)"""
    w3: Float32Array
    """(OUTPUTS, WIDTH)"""
    c3: Float32Array
    """(OUTPUTS,)"""


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter of rank R on the three layers."""

    a1: Float32Array
    """(R, FEATURES + CODES)"""
    b1: Float32Array
    """(WIDTH, R)"""
    a2: Float32Array
    """(R, WIDTH)"""
    b2: Float32Array
    """(WIDTH, R)"""
    a3: Float32Array
    """(R, WIDTH)"""
    b3: Float32Array
    """(OUTPUTS, R)"""
    alpha: float
    """The adapter counts alpha / R times, as in peft."""

    @property
    def rank(self) -> int:
        """R."""
        return len(self.a1)

    @property
    def scale(self) -> float:
        """What B A is multiplied with at weight 1."""
        return self.alpha / self.rank


class Folded(NamedTuple):
    """A decoder with its adapters in it: three plain layers."""

    w1: Float32Array
    """(WIDTH, FEATURES + CODES)"""
    c1: Float32Array
    w2: Float32Array
    c2: Float32Array
    w3: Float32Array
    c3: Float32Array


def fold(
    decoder: Decoder, adapters: Sequence[tuple[Adapter, float]], *, reader: int | None
) -> Folded:
    """W0 + sum of weight * scale * B A.

    adapters: with their weights; reader: which of them the rows' codes belong to (the others see zeros in their place), None
    where the rows have no codes.
    """
    w1 = np.concatenate([decoder.w1, np.zeros((WIDTH, CODES), np.float32)], 1)
    w2, w3 = decoder.w2.copy(), decoder.w3.copy()
    for k, (one, weight) in enumerate(adapters):
        share = np.float32(weight * one.scale)
        added = share * (one.b1 @ one.a1)
        if k != reader:
            added[:, FEATURES:] = 0
        w1 += added
        w2 += share * (one.b2 @ one.a2)
        w3 += share * (one.b3 @ one.a3)
    return Folded(w1, decoder.c1, w2, decoder.c2, w3, decoder.c3)


def decode(folded: Folded, features: Float32Array, codes: Float32Array | None) -> Float32Array:
    """D(rows): features (N, FEATURES), codes (N, CODES) or None for zeros. Returns (N, OUTPUTS).

    The plain reference of `perse_live.decoder.kernel.decode_rows`.
    """
    hidden = features @ folded.w1[:, :FEATURES].T + folded.c1
    if codes is not None:
        hidden += codes @ folded.w1[:, FEATURES:].T
    hidden = silu(silu(hidden) @ folded.w2.T + folded.c2)
    return hidden @ folded.w3.T + folded.c3


def silu(x: Float32Array) -> Float32Array:
    """SiLU: x / (1 + exp(-x))."""
    return x / (np.float32(1) + np.exp(-x))
