from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from offline.training.pairs import Travel
from perse_live.decoder.network import COLOR, OPACITY, OUTPUTS, PLACE


def travel(seed: int, *, count: int = 6, knots: int = 13) -> Travel:
    """From hidden and elsewhere at share 0 to nothing changed at 1."""
    changes = torch.randn(knots, count, OUTPUTS, generator=torch.Generator().manual_seed(seed))
    changes *= torch.linspace(1, 0, knots)[:, None, None]
    changes[..., OPACITY] = torch.linspace(-0.3, 1, knots)[:, None]
    return Travel(changes)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_what_is_hidden_stays_hidden_and_the_whole_weight_changes_nothing(
    seed: int, share: float
) -> None:
    outputs = torch.randn(6, OUTPUTS, generator=torch.Generator().manual_seed(seed + 1))
    outputs[:3, OPACITY], outputs[3:, OPACITY] = -0.2, 0.9
    chosen, way = torch.arange(6), travel(seed)
    there = way.applied(outputs, chosen, share)
    assert (there[:3, OPACITY] < 0).all()
    assert (there[3:, OPACITY] <= 0.9 + 1e-6).all()
    assert (way.applied(outputs, chosen, 0.0)[:, OPACITY] < 0).all()
    whole = way.applied(outputs, chosen, 1.0)
    np.testing.assert_allclose(whole.numpy(), outputs.numpy(), atol=1e-6)


def test_rows_are_mixed_between_knots() -> None:
    way, outputs = travel(3), torch.zeros(2, OUTPUTS)
    chosen = torch.tensor([4, 1])
    found = way.applied(outputs, chosen, 2.25 / 12)
    wanted = 0.75 * way.changes[2, chosen] + 0.25 * way.changes[3, chosen]
    for part in (COLOR, PLACE):
        np.testing.assert_allclose(found[:, part].numpy(), wanted[:, part].numpy(), atol=1e-6)
