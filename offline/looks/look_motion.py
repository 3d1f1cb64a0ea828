"""Secondary motion of looks: the hair and the earrings that they add swing as the avatar's hair does."""

from __future__ import annotations

import numpy as np

from offline.secondary_motion import (
    HAIR,
    PIVOT,
    SWAYS,
    hanging,
    head_weights,
    in_bindings,
    looseness,
    swings,
)
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.correctives import Deltas, InvalidCorrectivesError
from perse_live.decoder.features import places_at_rest

_EARRINGS = "earrings"  # the slot
_FIELDS = ("ids", "colors", "opacities", "offsets")  # of deltas


def with_look_motion(avatar: Avatar, look: Attribute, deltas: Deltas) -> Deltas:
    """Deltas of a look with those by which the hair or the earrings that it adds swing.

    deltas: of the avatar's components; ids: as of `perse_live.correctives.LookCorrectives`.
    """
    names = [one.name for one in avatar.correctives.components]
    numbers = [names.index(one.name) for one in SWAYS if one.name in names]
    added = look.added
    places = places_at_rest(avatar.rig, added.surface, added.rigid)
    if len(numbers) < len(SWAYS) or not len(places):
        return deltas
    if look.slot == _EARRINGS:
        fields = swings(*hanging(places))
    else:
        loose = np.where(np.isin(added.regions, HAIR), looseness(places), 0)
        fields = swings(
            places - PIVOT, loose * head_weights(avatar.rig, added.surface, added.rigid)
        )
    first = len(look.ids)
    parts: list[tuple[np.ndarray, ...]] = [
        tuple(getattr(deltas, name)[deltas.starts[k] : deltas.starts[k + 1]] for name in _FIELDS)
        for k in range(len(names))
    ]
    for k, field in zip(numbers, fields, strict=True):
        shift = in_bindings(avatar.rig, added.surface, field)
        ids = np.nonzero(shift.any(1))[0]
        if len(parts[k][0]):
            raise InvalidCorrectivesError(f"look {look.name!r} has a sway of its own")
        parts[k] = (first + ids, np.zeros((len(ids), 3)), np.zeros(len(ids)), shift[ids])
    starts = np.concatenate([[0], np.cumsum([len(ids) for ids, *_ in parts])]).astype(np.int32)
    ids, *values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Deltas(starts, ids.astype(np.int32), *(array.astype(np.float32) for array in values))
