"""Correctives that are made up, for any avatar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perse_live.attributes import Attribute, LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.correctives import (
    Component,
    Correctives,
    Curve,
    Deltas,
    LookCorrectives,
    bump,
    ramp,
)

COMPONENTS = (
    Component("blink-left", (ramp("eyeBlinkLeft", 0.1, 1.0),)),
    Component("half-left", (bump("eyeBlinkLeft", 0.1, 0.5, 0.9),)),
    Component("look-down-left", (ramp("eyeBlinkLeft", 0.0, 0.5), ramp("gazePitchLeft", 0.0, -0.3))),
    Component("jaw-open", (Curve("jawOpen", ((0.0, 0.0), (0.2, -0.5), (0.4, 0.25), (0.6, 1.0))),)),
    Component("sway", (Curve("swayRoll", ((-0.5, -1.0), (0.5, 1.0))),)),
    Component("look-aside", (Curve("gazeYawRight", ((-0.4, -1.0), (0.0, 0.0), (0.4, 1.0))),)),
)


def toy_deltas(gaussians: int, *, seed: int = 0, share: float = 0.3) -> Deltas:
    """Of `COMPONENTS`, of so many Gaussians: a share of them each, at random, with values that half precision holds; the first
    moves nothing, and the fourth touches nothing.
    """
    random = np.random.default_rng(seed)
    chosen = random.random((len(COMPONENTS), gaussians)) < share
    chosen[3] = False
    starts = np.concatenate([[0], np.cumsum(chosen.sum(1))]).astype(np.int32)
    count = int(starts[-1])

    def some(*shape: int) -> np.ndarray:
        return (random.integers(-512, 512, (count, *shape)) / np.float32(1024)).astype(np.float32)

    offsets = some(3) * np.float32(1 / 256)
    offsets[: starts[1]] = 0
    return Deltas(starts, np.nonzero(chosen)[1].astype(np.int32), some(3), some(), offsets)


def with_toy_correctives(avatar: Avatar, *, seed: int = 0) -> Avatar:
    """The avatar with correctives, and with those of its looks: every second look has some."""
    looks = tuple(
        with_own(one, seed=seed + k) if k % 2 else one for k, one in enumerate(avatar.attributes)
    )
    return replace(
        avatar,
        correctives=Correctives(COMPONENTS, toy_deltas(len(avatar), seed=seed)),
        attributes=looks,
    )


def with_own(one: Attribute | LearnedAttribute, *, seed: int) -> Attribute | LearnedAttribute:
    """A look with correctives."""
    kept = (np.random.default_rng(seed).integers(0, 256, len(one.ids)) / np.float32(255)).astype(
        np.float32
    )
    return replace(
        one, correctives=LookCorrectives(kept, toy_deltas(len(one.ids) + len(one.added), seed=seed))
    )


def doings(count: int, *, seed: int = 0) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """Expressions (52,) and gazes (2, 2) at random, some at rest."""
    random = np.random.default_rng(seed)
    found = [
        (random.random(52).astype(np.float32), random.normal(0, 0.25, (2, 2)).astype(np.float32))
        for _ in range(count)
    ]
    return [*found, (np.zeros(52, np.float32), np.zeros((2, 2), np.float32))]
