"""What a solid thing adds keeps its colour while it comes.

Its pieces appear so suddenly that a network which learns opacities, places and colours together spends itself on them and leaves
black glasses a little green half-way. Colours are linear in the last layer's factor B, so that factor's rows of colour are solved
for once more by themselves: weighted least squares over the way, near what was learnt.
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

_SHARES = np.linspace(0.05, 1, 12)  # of the way, at which colours are looked at
_UNSEEN_COUNTS = 0.02  # times as much as what is opaque
_OWN_COUNTS = 0.3  # the avatar's own Gaussians, which keep what they were taught
_HELD = 1e-4  # pull towards what was learnt, against the mean of the normal matrix's diagonal


def with_kept_hues(
    decoder: Decoder, adapter: Adapter, features: Float32Array, codes: Float32Array, own: int
) -> Adapter:
    """An adapter that changes the colours of what it adds as little as it can.

    features: (N, FEATURES), codes: (N, CODES), of which the first `own` are the avatar's.
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
        goal = (plain - hidden @ decoder.w3.T)[:, COLOR]  # colours as without it
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
