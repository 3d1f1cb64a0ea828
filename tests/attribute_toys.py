"""Attributes that are made up, to be tested with any avatar."""

from __future__ import annotations

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array
from perse_live.attributes import (
    PACE_KNOTS,
    AddedGaussians,
    Attribute,
    LearnedAttribute,
    LearnedGaussians,
)
from perse_live.avatar import Avatar
from perse_live.decoder.network import CODES, FEATURES, OUTPUTS, WIDTH, Adapter, Decoder
from perse_live.regions import Region


def toy_attribute(
    avatar: Avatar,
    name: str,
    slot: str,
    *,
    seed: int = 0,
    changed: int = 40,
    moved: int = 30,
    on_surface: int = 50,
    free: int = 20,
) -> Attribute:
    """Changes, moves and adds as many as asked, at random; everything in range."""
    random = np.random.default_rng(seed)

    def some(*shape: int, low: float = 0.0, high: float = 1.0) -> Float32Array:
        return random.uniform(low, high, shape).astype(np.float32)

    def chosen(count: int, of: int) -> np.ndarray:
        return random.choice(of, count, replace=False).astype(np.int32)

    surface = SurfaceBinding(
        random.integers(0, len(avatar.rig.triangles), on_surface).astype(np.int32),
        some(on_surface, 3) * np.array([1, 1, 0.01], np.float32),
        some(on_surface, 4, low=-0.2, high=0.2),
        some(on_surface, low=1e-4, high=1e-3),
        random.integers(0, 2, on_surface).astype(np.uint8),
    )
    quats = random.normal(size=(free, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    rigid = RigidBinding(
        some(free, 3, low=-0.1, high=0.1),
        quats.astype(np.float32),
        some(free, 3, low=2e-4, high=3e-3),
        some(free),
    )
    count = on_surface + free
    added = AddedGaussians(
        surface,
        some(on_surface, 3) * np.array([1, 1, 0.01], np.float32),
        rigid,
        some(free, 3, low=-0.1, high=0.1),
        some(count),
        some(count, 3),
        np.full(count, Region.HAIR, np.uint8),
        some(count, high=0.9),
        0.3,
    )
    return Attribute(
        name,
        name.replace("-", " ").capitalize(),
        slot,
        chosen(changed, len(avatar)),
        some(changed, 3),
        some(changed),
        chosen(moved, len(avatar.rig.vertices)),
        some(moved, 3, low=-0.01, high=0.01),
        added,
    )


def toy_decoder(*, seed: int = 0) -> Decoder:
    """A decoder at random."""
    random = np.random.default_rng(seed)

    def some(*shape: int) -> Float32Array:
        return random.normal(0, 1 / shape[-1] ** 0.5, shape).astype(np.float32)

    return Decoder(
        some(WIDTH, FEATURES),
        some(WIDTH),
        some(WIDTH, WIDTH),
        some(WIDTH),
        some(OUTPUTS, WIDTH),
        some(OUTPUTS),
    )


def toy_adapter(*, seed: int = 0, rank: int = 4) -> Adapter:
    """An adapter at random, whose outputs are near 1."""
    random = np.random.default_rng(seed)

    def some(*shape: int) -> Float32Array:
        return random.normal(0, 0.5 / shape[-1] ** 0.5, shape).astype(np.float32)

    return Adapter(
        some(rank, FEATURES + CODES),
        some(WIDTH, rank),
        some(rank, WIDTH),
        some(WIDTH, rank),
        some(rank, WIDTH),
        some(OUTPUTS, rank),
        2.0 * rank,
    )


def toy_pace(power: float) -> Float32Array:
    """Fast at first below 1, slow above."""
    return (np.linspace(0, 1, PACE_KNOTS) ** power).round(5).astype(np.float32)


def toy_learned(
    avatar: Avatar,
    name: str,
    slot: str,
    *,
    seed: int = 0,
    moves_base: bool = False,
    tints_hair: bool = False,
    **sizes: int,
) -> LearnedAttribute:
    """A learned attribute at random; sizes as for `toy_attribute`; every second one has a pace."""
    look, random = (
        toy_attribute(avatar, name, slot, seed=seed, **sizes),
        np.random.default_rng(seed + 100),
    )
    codes, added = (
        random.normal(0, 1, (len(look.ids) + len(look.added), CODES)).astype(np.float32),
        look.added,
    )
    return LearnedAttribute(
        name,
        look.label,
        slot,
        look.ids,
        codes[: len(look.ids)],
        LearnedGaussians(
            added.surface, added.rigid, added.colors, added.regions, codes[len(look.ids) :]
        ),
        toy_adapter(seed=seed, rank=3 + seed % 3),
        moves_base,
        tints_hair,
        look.vertex_ids,
        look.vertex_offsets,
        pace=None if seed % 2 else toy_pace(0.6 + 0.1 * seed),
    )
