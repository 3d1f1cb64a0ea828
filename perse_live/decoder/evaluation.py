"""Evaluating the network for one avatar again and again: what does not depend on weights is prepared once, buffers are kept.

Does what `perse_live.decoder.attribute_change` says, which it is tested against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perse_live.arrays import Float32Array, Int32Array
from perse_live.attributes import LearnedAttribute
from perse_live.decoder.attribute_change import features_of_added, no_codes
from perse_live.decoder.features import into_binding
from perse_live.decoder.kernel import Packed, add_colors, decode_rows
from perse_live.decoder.network import OUTPUTS, Adapter, Decoder, decode, fold
from perse_live.head.rig import HeadRig
from perse_live.regions import Region

Key = tuple[tuple[int, float], ...]
"""Numbers of attributes, and their weights."""


class _Rows:
    """Rows of the network, and what it said of them last."""

    def __init__(
        self, features: Float32Array, base: Float32Array, rows: Int32Array, codes: Float32Array
    ) -> None:
        self.features, self.base, self.rows = features, base, rows
        self.codes = np.ascontiguousarray(codes, np.float32)
        self.out = np.zeros((len(rows), OUTPUTS), np.float32)
        self.said: object = None

    def decode(self, packed: Packed) -> None:
        decode_rows(
            packed.weights,
            packed.offsets,
            self.features,
            self.rows,
            self.codes,
            self.base,
            self.out,
        )


class Evaluation:
    """The outputs of an avatar's network under any weights; for one thread at a time."""

    def __init__(
        self,
        decoder: Decoder,
        rig: HeadRig,
        features: Float32Array,
        attributes: Sequence[LearnedAttribute],
    ) -> None:
        """features: (G, FEATURES) of the avatar's base Gaussians."""
        self._decoder, self._attributes, self._packed = decoder, tuple(attributes), Packed()
        plain = fold(decoder, [], reader=None)
        base = np.ascontiguousarray(decode(plain, features, None), np.float32)
        self._own = [_Rows(features, base, one.ids, one.codes) for one in self._attributes]
        self._added: list[_Rows] = []
        self._hair: list[_Rows] = []
        for one in self._attributes:
            own = np.ascontiguousarray(features_of_added(rig, one))
            rest = np.ascontiguousarray(decode(plain, own, None), np.float32)
            self._added.append(
                _Rows(own, rest, np.arange(len(own), dtype=np.int32), one.added.codes)
            )
            self._hair.append(
                _Rows(
                    own,
                    rest,
                    np.nonzero(one.added.regions == Region.HAIR)[0].astype(np.int32),
                    no_codes(0),
                )
            )
        self.matrices = [
            np.ascontiguousarray(into_binding(rig, one.added.surface)) for one in self._attributes
        ]

    def own(self, k: int, weight: float) -> Float32Array:
        """(N, OUTPUTS) of attribute k's support among the avatar's base Gaussians; a buffer."""
        rows = self._own[k]
        if len(rows.rows) and rows.said != weight:
            self._pack([(self._attributes[k].adapter, weight)], reader=0)
            rows.decode(self._packed)
            rows.said = weight
        return rows.out

    def added(self, k: int, active: Key) -> Float32Array:
        """(S + R, OUTPUTS) of what attribute k adds, when these (all above 0, k among them) are active; a buffer."""
        one, rows = self._attributes[k], self._added[k]
        mates = [(j, weight) for j, weight in active if self._attributes[j].slot == one.slot]
        tints = [
            (j, weight)
            for j, weight in active
            if self._attributes[j].tints_hair and self._attributes[j].slot != one.slot
        ]
        key = (*mates, None, *tints)
        if len(rows.rows) and rows.said != key:
            self._pack(
                [(self._attributes[j].adapter, weight) for j, weight in mates],
                reader=[j for j, _ in mates].index(k),
            )
            rows.decode(self._packed)
            hair = self._hair[k]
            for j, weight in tints if len(hair.rows) else []:
                self._pack([(self._attributes[j].adapter, weight)], reader=None)
                hair.decode(self._packed)
                add_colors(rows.out, hair.rows, hair.out)
            rows.said = key
        return rows.out

    def _pack(self, adapters: Sequence[tuple[Adapter, float]], *, reader: int | None) -> None:
        self._packed.take(fold(self._decoder, adapters, reader=reader))
