"""Keep the colours of a solid object constant while it appears.

Its Gaussians appear within a small fraction of the transition; a network that fits opacities, positions and colours together
spends its capacity there and leaves black glasses slightly green at half weight. Colours are linear in the last layer's factor
B, so its rows for colour are solved for again: weighted least squares over the transition, regularised towards the trained
values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.decoder.network import (
    COLOR,
    FEATURES,
    OPACITY,
    Adapter,
    Decoder,
    Folded,
    fold,
    silu,
)

_SHARES = np.linspace(
    0.05, 1, 12
)  # stages of the transition that the least-squares problem samples
_UNSEEN_COUNTS = 0.02  # weight of a transparent sample, relative to an opaque one
_OWN_COUNTS = 0.3  # weight of base Gaussians, which keep their trained colours
_HELD = 1e-4  # weight of the trained values, relative to the mean diagonal of the normal equations


def with_kept_hues(
    decoder: Decoder, adapter: Adapter, features: Float32Array, codes: Float32Array, own: int
) -> Adapter:
    """The adapter with the colours of added Gaussians as constant over the transition as possible.

    features: (N, FEATURES), codes: (N, CODES), of which the first `own` are base Gaussians.
    """
    if own == len(features):
        return adapter
    learnt = adapter.b3[COLOR].T.astype(np.float64)
    plain = _hidden(fold(decoder, [], reader=None), features, np.zeros_like(codes)) @ decoder.w3.T
    normal, wanted = np.zeros((adapter.rank, adapter.rank)), np.zeros((adapter.rank, 3))
    for share in _SHARES:
        folded = fold(decoder, [(adapter, float(share))], reader=0)
        hidden = _hidden(folded, features, codes)
        lever = share * adapter.scale * (hidden @ adapter.a3.T)
        goal = (plain - hidden @ decoder.w3.T)[:, COLOR]  # colours without the attribute
        goal[:own] = lever[:own] @ learnt
        counts = np.clip((hidden @ folded.w3.T - plain)[:, OPACITY], _UNSEEN_COUNTS, 1)
        counts[:own] = _OWN_COUNTS
        weighted = (lever * counts[:, None]).T
        normal += weighted @ lever
        wanted += weighted @ goal
    held = _HELD * np.trace(normal) / adapter.rank * np.eye(adapter.rank)
    b3 = adapter.b3.copy()
    b3[COLOR] = np.linalg.solve(normal + held, wanted + held @ learnt).T
    return replace(adapter, b3=b3)


def _hidden(folded: Folded, features: Float32Array, codes: Float32Array) -> FloatArray:
    first = features @ folded.w1[:, :FEATURES].T + codes @ folded.w1[:, FEATURES:].T + folded.c1
    return silu(silu(first) @ folded.w2.T + folded.c2).astype(np.float64)
