"""Sources of motion that a page may choose during a session, by ids that are never used as paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from perse_live.errors import UserError
from runtime.sources.camera import CameraInfo, list_cameras
from runtime.sources.open import BROWSER

_CAMERA = "camera-"  # how the ids of this machine's cameras begin; their number follows
_GIVEN = "given"
NONE = "none"


@dataclass(frozen=True)
class SourceChoice:
    """One of the sources."""

    id: str
    kind: str
    """"browser", "camera", "given" (what `--camera` named at the start) or "none"."""
    name: str
    """For people, where the kind does not say all."""
    camera: str
    """As `--camera` takes it."""
    problem: str = ""
    """Why it cannot be used, and what to do; empty for none."""

    def to_json(self) -> dict[str, str]:
        """As a JSON object for the page, without local paths."""
        return {name: value for name, value in asdict(self).items() if name != "camera"}


def source_choices(
    given: str, *, cameras: Callable[[], Sequence[CameraInfo]] = list_cameras
) -> list[SourceChoice]:
    """The current choices: a page's camera, this machine's cameras, what was given at the start, and none.

    given: the text of `--camera`. cameras: lists those of this machine.
    """
    local = [
        SourceChoice(f"{_CAMERA}{one.index}", "camera", one.name, str(one.index), one.problem)
        for one in cameras()
    ]
    choices = [SourceChoice(BROWSER, "browser", "", BROWSER), *local]
    if given != NONE and all(given != one.camera for one in choices):
        choices.append(SourceChoice(_GIVEN, "given", Path(given).name, given))
    return [*choices, SourceChoice(NONE, "none", "", NONE)]


def source_id(given: str) -> str:
    """The id of what `--camera` names. given: its text."""
    if given in (BROWSER, NONE):
        return given
    return f"{_CAMERA}{int(given)}" if given.isascii() and given.isdigit() else _GIVEN


def chosen_source(choices: Sequence[SourceChoice], choice_id: str) -> SourceChoice:
    """The choice of an id. Raises UserError where there is none, or it cannot be used."""
    found = next((one for one in choices if one.id == choice_id), None)
    if found is None:
        raise UserError(
            "this camera is not there any more: plug it in again, or choose another one"
        )
    if found.problem:
        raise UserError(f"{found.name}: {found.problem}")
    return found
