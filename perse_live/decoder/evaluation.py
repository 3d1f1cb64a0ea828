"""Fast repeated evaluation of one avatar's decoder: work that is independent of the weights is done once, buffers are reused.

The reference is `perse_live.decoder.attribute_change`.
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
"""Pairs of attribute index and weight."""


class _Rows:
    """Input rows of the decoder, its last outputs for them, and the weights that these belong to."""

    def __init__(
        self, features: Float32Array, base: Float32Array, rows: Int32Array, codes: Float32Array
    ) -> None:
        self.features, self.base, self.rows = features, base, rows
        self.codes = np.ascontiguousarray(codes, np.float32)
        self.out = np.zeros((len(rows), OUTPUTS), np.float32)
        self.evaluated_for: object = None

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
    """Outputs of an avatar's decoder at any weights. Not thread-safe."""

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
        self._base = [_Rows(features, base, one.ids, one.codes) for one in self._attributes]
        self._added: list[_Rows] = []
        self._hair: list[_Rows] = []
        for one in self._attributes:
            added_features = np.ascontiguousarray(features_of_added(rig, one))
            added_base = np.ascontiguousarray(decode(plain, added_features, None), np.float32)
            self._added.append(
                _Rows(
                    added_features,
                    added_base,
                    np.arange(len(added_features), dtype=np.int32),
                    one.added.codes,
                )
            )
            self._hair.append(
                _Rows(
                    added_features,
                    added_base,
                    np.nonzero(one.added.regions == Region.HAIR)[0].astype(np.int32),
                    no_codes(0),
                )
            )
        self.matrices = [
            np.ascontiguousarray(into_binding(rig, one.added.surface)) for one in self._attributes
        ]

    def base(self, k: int, weight: float) -> Float32Array:
        """Decoded changes (N, OUTPUTS) of the base Gaussians that attribute k changes; a buffer that later calls overwrite."""
        rows = self._base[k]
        if len(rows.rows) and rows.evaluated_for != weight:
            self._pack([(self._attributes[k].adapter, weight)], reader=0)
            rows.decode(self._packed)
            rows.evaluated_for = weight
        return rows.out

    def added(self, k: int, active: Key) -> Float32Array:
        """Decoded changes (S + R, OUTPUTS) of the Gaussians that attribute k adds; a buffer that later calls overwrite.

        active: all active attributes, k among them, with weights above 0.
        """
        one, rows = self._attributes[k], self._added[k]
        mates = [(j, weight) for j, weight in active if self._attributes[j].slot == one.slot]
        tints = [
            (j, weight)
            for j, weight in active
            if self._attributes[j].tints_hair and self._attributes[j].slot != one.slot
        ]
        key = (*mates, None, *tints)
        if len(rows.rows) and rows.evaluated_for != key:
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
            rows.evaluated_for = key
        return rows.out

    def _pack(self, adapters: Sequence[tuple[Adapter, float]], *, reader: int | None) -> None:
        self._packed.take(fold(self._decoder, adapters, reader=reader))
