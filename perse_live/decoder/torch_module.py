"""The shared decoder as a torch module: what peft puts adapters on, and what is exported.

Nothing else of `perse_live.decoder` imports torch, and the runtime does not import this.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from perse_live.decoder.network import CODES, FEATURES, MAX_RANK, OUTPUTS, WIDTH, Adapter, Decoder

LAYERS = ("first", "second", "third")
"""Names of the linear layers."""


class DecoderModule(nn.Module):
    """`Decoder` on rows of FEATURES features and then CODES codes for each of `readers` attributes, for which W0 is 0."""

    def __init__(self, decoder: Decoder, *, readers: int) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES + CODES * readers, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.third = nn.Linear(WIDTH, OUTPUTS)
        with torch.no_grad():
            self.first.weight.zero_()
            self.first.weight[:, :FEATURES] = torch.from_numpy(decoder.w1)
            for layer, weight in ((self.second, decoder.w2), (self.third, decoder.w3)):
                layer.weight.copy_(torch.from_numpy(weight))
            for layer, offset in (
                (self.first, decoder.c1),
                (self.second, decoder.c2),
                (self.third, decoder.c3),
            ):
                layer.bias.copy_(torch.from_numpy(offset))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """rows: (N, FEATURES + CODES * readers). Returns (N, OUTPUTS)."""
        hidden = nn.functional.silu(self.first(rows))
        hidden = nn.functional.silu(self.second(hidden))
        return self.third(hidden)


class FoldedModule(nn.Module):
    """`fold` and `decode` for K adapters with their weights as an input: plain products, sums and SiLU."""

    w1: torch.Tensor
    w2: torch.Tensor
    w3: torch.Tensor
    c1: torch.Tensor
    c2: torch.Tensor
    c3: torch.Tensor
    a1: torch.Tensor
    a2: torch.Tensor
    a3: torch.Tensor
    b1: torch.Tensor
    b2: torch.Tensor
    b3: torch.Tensor

    def __init__(self, decoder: Decoder, adapters: Sequence[Adapter]) -> None:
        super().__init__()
        held = {name: torch.from_numpy(array).clone() for name, array in vars(decoder).items()}
        held["w1"] = torch.cat([held["w1"], torch.zeros(WIDTH, CODES)], 1)
        for layer in (1, 2, 3):
            # (K, R, in)
            held[f"a{layer}"] = torch.stack(
                [_padded(one, f"a{layer}", 0) * one.scale for one in adapters]
            )
            # (K, out, R)
            held[f"b{layer}"] = torch.stack([_padded(one, f"b{layer}", 1) for one in adapters])
        for name, tensor in held.items():
            self.register_buffer(name, tensor)

    def forward(
        self,
        features: torch.Tensor,
        codes: torch.Tensor,
        weights: torch.Tensor,
        reads: torch.Tensor,
    ) -> torch.Tensor:
        """D of the rows, (N, OUTPUTS), with W0 not yet taken off.

        features: (N, FEATURES); codes: (N, CODES); weights: (K,); reads: (K,) 1 for the adapter that the codes belong to, else 0.
        """
        rows = torch.cat([features, codes], 1)
        seen = torch.cat([torch.ones(len(reads), FEATURES), reads[:, None].expand(-1, CODES)], 1)
        w1 = self.w1 + ((weights[:, None, None] * self.b1) @ (self.a1 * seen[:, None])).sum(0)
        w2 = self.w2 + ((weights[:, None, None] * self.b2) @ self.a2).sum(0)
        w3 = self.w3 + ((weights[:, None, None] * self.b3) @ self.a3).sum(0)
        hidden = nn.functional.silu(rows @ w1.T + self.c1)
        hidden = nn.functional.silu(hidden @ w2.T + self.c2)
        return hidden @ w3.T + self.c3


def _padded(adapter: Adapter, name: str, axis: int) -> torch.Tensor:
    """A factor, with zeros up to the greatest rank, so that all can be stacked."""
    array = torch.from_numpy(getattr(adapter, name))
    wanted = list(array.shape)
    wanted[axis] = MAX_RANK
    out = torch.zeros(wanted)
    out[tuple(slice(size) for size in array.shape)] = array
    return out
