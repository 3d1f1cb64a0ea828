"""Comparison of two runs of the battery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perse_live.errors import UserError
from perse_live.evaluation.portraits.battery import HIGHER_IS_BETTER, Battery

_HARDLY = {
    "person_psnr": 0.2,
    "face_psnr": 0.2,
    "specks": 0.3,
    "holes": 0.02,
    "plane_steps": 0.1,
    "border_steps": 0.1,
    "drift": 0.2,
    "open_lids": 0.5,
    "lid_tone": 0.3,
    "lid_steps": 0.2,
    "hair_detail": 0.05,
}
"""Change of one face's figure that nobody sees, in the figure's unit."""
_SHARE = 0.05  # of a figure before, below which a change says nothing either

Verdict = Literal["better", "worse", "mixed", "alike"]


@dataclass(frozen=True)
class Change:
    """How one figure has changed over the faces that both runs have."""

    before: float
    """Mean over the faces."""
    after: float
    better: tuple[str, ...]
    """Faces whose figure is better by more than can be overlooked."""
    worse: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What a change of the builder did."""

    changes: dict[str, Change]
    """By the measure's name."""
    missing: tuple[str, ...]
    """Faces that only one of the runs has."""
    verdict: Verdict
    """better: some face is better in some figure and none is worse in any; worse: the other way round; mixed: both; alike."""


def compare(before: Battery, after: Battery) -> Comparison:
    """Compare two runs face by face. Raises UserError where they have no face in common."""
    common = [name for name in after.faces if name in before.faces]
    if not common:
        raise UserError("the two runs have no portrait in common: measure the same folder")
    changes: dict[str, Change] = {}
    for measure, higher in HIGHER_IS_BETTER.items():
        both = {
            name: (getattr(before.faces[name], measure), getattr(after.faces[name], measure))
            for name in common
        }
        pairs = {
            name: (float(a), float(b))
            for name, (a, b) in both.items()
            if a is not None and b is not None
        }
        if not pairs:
            continue
        gains = {
            name: (b - a if higher else a - b, max(_HARDLY[measure], 0.0 if higher else _SHARE * a))
            for name, (a, b) in pairs.items()
        }
        changes[measure] = Change(
            sum(a for a, _ in pairs.values()) / len(pairs),
            sum(b for _, b in pairs.values()) / len(pairs),
            tuple(name for name, (gain, least) in gains.items() if gain > least),
            tuple(name for name, (gain, least) in gains.items() if -gain > least),
        )
    better, worse = (
        any(getattr(one, side) for one in changes.values()) for side in ("better", "worse")
    )
    lost = any(name in after.refused for name in before.faces)
    verdict: Verdict = (
        "mixed"
        if better and (worse or lost)
        else "better"
        if better
        else "worse"
        if worse or lost
        else "alike"
    )
    missing = tuple(sorted(set(before.faces) ^ set(after.faces)))
    return Comparison(changes, missing, verdict)
