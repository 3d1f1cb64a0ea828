"""Parsing of weights on the command line: NAME=WEIGHT."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from perse_live.errors import UserError

_MANY = 12  # names listed in an error message


def parse_weights(wishes: Sequence[str], names: Collection[str], what: str) -> dict[str, float]:
    """Weights by name from words such as "jawOpen=0.5"; of a name given twice the last counts.

    names: the valid names; what: the kind of thing, for error messages.
    Raises UserError for an unknown name and for a weight that is not a number in [0, 1].
    """
    weights: dict[str, float] = {}
    for wish in wishes:
        name, _, value = wish.partition("=")
        if name not in names:
            likely = get_close_matches(name, names, 5, 0) if len(names) > _MANY else list(names)
            some = (
                f"there are {', '.join(likely)}{' and others' if len(names) > _MANY else ''}"
                if names
                else "there are none"
            )
            raise UserError(f"there is no {what} {name[:40]!r}: {some}")
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if not 0 <= weight <= 1:
            raise UserError(
                f"the weight of {what} {wish[:60]!r} is not a number from 0 to 1: write {name}=0.7"
            )
        weights[name] = weight
    return weights
