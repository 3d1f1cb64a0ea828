"""All measures of one avatar, and of a set of portraits as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from perse_live.avatar import Avatar
from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.evaluation.portraits.drift import drift
from perse_live.evaluation.portraits.hair_detail import hair_detail
from perse_live.evaluation.portraits.holes import holes
from perse_live.evaluation.portraits.lids import lid_steps, lid_tone, open_lids
from perse_live.evaluation.portraits.specks import specks
from perse_live.evaluation.portraits.steps import border_steps, plane_steps
from perse_live.evaluation.portraits.views import CLOSING, TURNS, photo_view, turned_view

FORMAT, VERSION = "perse-live portraits", 3
"""Of the JSON; a file of another version is not compared."""
_LARGEST_FILE = 1 << 22  # bytes; a face takes 250


@dataclass(frozen=True)
class PortraitScores:
    """One avatar, seen from -35 to 35 degrees of yaw; see docs/measures.md."""

    person_psnr: float | None
    """dB, the photo's view inside the person's outline, measured by `build`; higher is better. None: not measured."""
    face_psnr: float | None
    """dB, the same inside the face."""
    specks: float
    """Hundredths of Delta E; see `specks.specks`."""
    holes: float
    """Percent; see `holes.holes`."""
    plane_steps: float
    """Delta E; see `steps.plane_steps`."""
    border_steps: float
    """Delta E; see `steps.border_steps`."""
    drift: float
    """Delta E; see `drift.drift`."""
    open_lids: float
    """Percent; see `lids.open_lids`."""
    lid_tone: float
    """Delta E; see `lids.lid_tone`."""
    lid_steps: float
    """Delta E; see `lids.lid_steps`."""
    hair_detail: float | None = None
    """[0, 1], higher is better; see `hair_detail.hair_detail`. None: too little hair, or not measured."""


HIGHER_IS_BETTER = {
    one.name: one.name.endswith(("psnr", "hair_detail")) for one in fields(PortraitScores)
}
"""Every measure, in the order in which they are shown."""


@dataclass(frozen=True)
class Battery:
    """The scores of a set of portraits."""

    faces: dict[str, PortraitScores]
    """By the picture's file name."""
    refused: dict[str, str]
    """Pictures of which no avatar can be made, by file name, with what is wrong with each."""


def score_avatar(avatar: Avatar) -> PortraitScores:
    """Measure one avatar. Deterministic; about two seconds of processor time. Raises UserError where scipy is missing."""
    photo, front = photo_view(avatar), turned_view(avatar, 0.0)
    closing = [turned_view(avatar, 0.0, blink=share) for share in CLOSING]
    turned = [turned_view(avatar, yaw) for yaw in TURNS]
    everything = [front, *turned]
    made = avatar.provenance
    return PortraitScores(
        made.person_psnr,
        made.face_psnr,
        100 * specks(avatar, turned, photo),
        holes(avatar, turned),
        plane_steps(avatar, everything, photo),
        border_steps(avatar, everything, photo),
        drift(avatar, everything, photo),
        open_lids(avatar, front, closing[-1]),
        lid_tone(avatar, front, closing[-1]),
        lid_steps(avatar, front, closing),
        hair_detail(avatar, front, [turned[0], turned[-1]]),
    )


def battery_json(battery: Battery, creator: str) -> dict[str, Any]:
    """The battery as one JSON object; creator: program and version."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "creator": creator,
        "higher_is_better": HIGHER_IS_BETTER,
        "faces": {
            name: {
                key: None if value is None else round(value, 4)
                for key, value in asdict(scores).items()
            }
            for name, scores in battery.faces.items()
        },
        "refused": battery.refused,
    }


def read_battery(path: Path) -> Battery:
    """What `battery_json` made. Raises UserError, one line, for a file that is missing or something else."""
    wrong = f"{path} is not of this version of perse-live eval --portraits --json (format {FORMAT!r}, version {VERSION})"
    try:
        content = parse_json_object(path.read_bytes(), max_bytes=_LARGEST_FILE)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give the JSON of an earlier run"
        ) from error
    except CheckedError as error:
        raise UserError(f"{wrong}: {error}") from error
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{wrong}: measure that build again")
    try:
        faces = {
            str(name): PortraitScores(**{key: _number(key, value) for key, value in scores.items()})
            for name, scores in content["faces"].items()
        }
        return Battery(
            faces, {str(name): str(reason) for name, reason in content["refused"].items()}
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{wrong}: its faces are incomplete") from error


def _number(measure: str, value: Any) -> Any:
    """A figure of a file; only those of the photo's view and of hair may be missing.

    Raises ValueError for what is no finite number.
    """
    if value is None:
        if not measure.endswith(("psnr", "hair_detail")):
            raise ValueError("missing")
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number
