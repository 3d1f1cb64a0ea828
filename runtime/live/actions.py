"""What can be done to a running session: by key, by the page, over the API. One vocabulary for all of them.

As JSON an action is an object with the name under "action" and its parameters as further fields; as text (for key bindings)
the name with at most one parameter: "attribute 3", "hide", "avatar 2".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from perse_live.errors import UserError

GAIN_REGIONS = ("head", "brows", "eyes", "mouth")
BADGE_PLACES = ("top-left", "top-right", "bottom-left", "bottom-right", "off")
MAX_GAIN = 2.0
PICTURE_SIDES = (128, 1920)
"""Pixels: least and most of a picture's width and height."""
_MAX_WEIGHTS, _LONGEST_NAME = 64, 40


@dataclass(frozen=True)
class SetAttribute:
    """Fade an attribute to a weight, or toggle it."""

    name: str
    """An attribute's name, or its number from 1."""
    weight: float | None = None
    """[0, 1]; None: toggle."""


@dataclass(frozen=True)
class StepAttribute:
    """Fade to the next or the previous attribute alone."""

    step: int
    """1 or -1."""


@dataclass(frozen=True)
class ClearAttributes:
    """Fade all attributes out."""


@dataclass(frozen=True)
class Recalibrate:
    """Learn the driver's neutral face again after a countdown."""

    seconds: float = 3.0
    """Of the countdown, [0, 10]."""


@dataclass(frozen=True)
class Mirror:
    """Mirror the preview, never the output."""

    on: bool | None = None
    """None: toggle."""


@dataclass(frozen=True)
class Hide:
    """Panic: show a still picture until it is lifted."""

    on: bool | None = None
    """None: toggle."""


@dataclass(frozen=True)
class Mute:
    """Mute the driver's voice."""

    on: bool | None = None
    """None: toggle."""


@dataclass(frozen=True)
class Record:
    """Start or stop recording."""

    on: bool | None = None
    """None: toggle."""


@dataclass(frozen=True)
class SwitchAvatar:
    """Show another of the loaded avatars."""

    number: int
    """From 1."""


@dataclass(frozen=True)
class SetBackground:
    """Choose what stands behind the avatar."""

    background: str
    """`RRGGBB`, "photo" (the avatar's own, blurred), "green" or "alpha"; a picture only where the session knows it."""


@dataclass(frozen=True)
class SetGain:
    """Strengthen or weaken part of the motion."""

    region: str
    """One of `GAIN_REGIONS`."""
    value: float
    """[0, 2]; 1 as tracked."""


@dataclass(frozen=True)
class SetBadge:
    """Move the badge that says this is an avatar, or take it off, which needs a reason."""

    place: str
    """One of `BADGE_PLACES`."""
    reason: str = ""
    """Why it may be off; kept in the log."""


@dataclass(frozen=True)
class SetWeights:
    """Fade all attributes at once: those named to their weights, all others out."""

    weights: Mapping[str, float]
    """By name, [0, 1]; names that the avatar has not are ignored."""


@dataclass(frozen=True)
class SetPicture:
    """Draw pictures of another size, or more or fewer a second."""

    width: int
    """Pixels, even."""
    height: int
    """Pixels, even."""
    fps: float
    """To keep."""


@dataclass(frozen=True)
class SetVirtualCamera:
    """Offer the picture to other programs as a camera, or stop that."""

    on: bool | None = None
    """None: toggle."""


Action = (
    SetAttribute
    | StepAttribute
    | ClearAttributes
    | Recalibrate
    | Mirror
    | Hide
    | Mute
    | Record
    | SwitchAvatar
    | SetBackground
    | SetGain
    | SetBadge
    | SetWeights
    | SetPicture
    | SetVirtualCamera
)


def parse_action(message: Mapping[str, object]) -> Action:
    """An action from its JSON object.

    Raises UserError, naming the field, for an unknown action, a missing or unknown field, or a value of the wrong kind or range.
    """
    name = message.get("action")
    if not isinstance(name, str) or name not in _PARSERS:
        raise UserError(f"unknown action {_shown(name)}: give one of {', '.join(_PARSERS)}")
    fields = _Fields(name, {key: value for key, value in message.items() if key != "action"})
    action = _PARSERS[name](fields)
    fields.finish()
    return action


def parse_action_text(text: str) -> Action:
    """An action from a key binding, such as "attribute 3".

    Raises UserError as `parse_action` does.
    """
    words = text.split()
    if not words or len(words) > 2 or (len(words) == 2 and words[0] not in _TEXT_FIELDS):
        raise UserError(
            f"unknown action {_shown(text)}: write a name and at most one parameter, such as 'attribute 3' or 'hide'"
        )
    message: dict[str, object] = {"action": words[0]}
    if len(words) == 2:
        field, kind = _TEXT_FIELDS[words[0]]
        if kind is int and not re.fullmatch(r"\d{1,4}", words[1]):
            raise UserError(f"action {_shown(text)}: {_shown(words[1])} is not a number from 1")
        message[field] = kind(words[1])
    return parse_action(message)


class _Fields:
    """The parameters of one action; each is taken once."""

    def __init__(self, action: str, values: dict[str, object]) -> None:
        self._action, self._values = action, values

    def text(
        self,
        name: str,
        *,
        default: str | None = None,
        among: tuple[str, ...] | None = None,
        longest: int = 200,
    ) -> str:
        value = self._values.pop(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise self.wrong(name, value, f"a text of at most {longest} characters")
        if among is not None and value not in among:
            raise self.wrong(name, value, f"one of {', '.join(among)}")
        return value

    def number(
        self, name: str, least: float, most: float, *, default: float | None = None
    ) -> float:
        value: Any = self._values.pop(name, default)
        real = isinstance(value, int | float) and not isinstance(value, bool)
        # NaN is not between anything; whole numbers may be too large for math.isfinite
        if not (real and least <= value <= most):
            raise self.wrong(name, value, f"a number from {least:g} to {most:g}")
        return float(value)

    def whole(self, name: str, least: int, most: int) -> int:
        number = self.number(name, least, most)
        if not number.is_integer():
            raise self.wrong(name, number, f"a whole number from {least} to {most}")
        return int(number)

    def optional_number(self, name: str, least: float, most: float) -> float | None:
        if self._values.get(name) is None:
            self._values.pop(name, None)
            return None
        return self.number(name, least, most)

    def switch(self, name: str) -> bool | None:
        value = self._values.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def weights(self, name: str) -> dict[str, float]:
        value = self._values.pop(name, None)
        weights = cast("dict[str, object]", value) if isinstance(value, dict) else None
        if (
            weights is None
            or len(weights) > _MAX_WEIGHTS
            or any(len(key) > _LONGEST_NAME for key in weights)
        ):
            raise self.wrong(
                name,
                value,
                f"an object with at most {_MAX_WEIGHTS} weights by names of attributes",
            )
        inner = _Fields(f"{self._action}: {name}", dict(weights))
        return {key: inner.number(key, 0, 1) for key in weights}

    def finish(self) -> None:
        if self._values:
            raise UserError(
                f"action {self._action}: unknown field {_shown(next(iter(self._values)))}"
            )

    def wrong(self, name: str, value: object, wanted: str) -> UserError:
        return UserError(f"action {self._action}: {name} is {_shown(value)}; it must be {wanted}")


def _set_attribute(fields: _Fields) -> Action:
    return SetAttribute(fields.text("name"), fields.optional_number("weight", 0, 1))


def _set_badge(fields: _Fields) -> Action:
    badge = SetBadge(fields.text("place", among=BADGE_PLACES), fields.text("reason", default=""))
    if badge.place == "off" and not badge.reason.strip():
        raise UserError(
            "action badge: taking the badge off needs a reason: give one under 'reason'"
        )
    return badge


def _even_side(fields: _Fields, name: str) -> int:
    return fields.whole(name, *PICTURE_SIDES) // 2 * 2


_PARSERS: Mapping[str, Callable[[_Fields], Action]] = MappingProxyType(
    {
        "attribute": _set_attribute,
        "next-attribute": lambda fields: StepAttribute(1),
        "previous-attribute": lambda fields: StepAttribute(-1),
        "no-attributes": lambda fields: ClearAttributes(),
        "recalibrate": lambda fields: Recalibrate(fields.number("seconds", 0, 10, default=3.0)),
        "mirror": lambda fields: Mirror(fields.switch("on")),
        "hide": lambda fields: Hide(fields.switch("on")),
        "mute": lambda fields: Mute(fields.switch("on")),
        "record": lambda fields: Record(fields.switch("on")),
        "avatar": lambda fields: SwitchAvatar(fields.whole("number", 1, 1000)),
        "background": lambda fields: SetBackground(fields.text("background")),
        "gain": lambda fields: SetGain(
            fields.text("region", among=GAIN_REGIONS), fields.number("value", 0, MAX_GAIN)
        ),
        "badge": _set_badge,
        "weights": lambda fields: SetWeights(fields.weights("weights")),
        "picture": lambda fields: SetPicture(
            _even_side(fields, "width"), _even_side(fields, "height"), fields.number("fps", 5, 120)
        ),
        "virtual-camera": lambda fields: SetVirtualCamera(fields.switch("on")),
    }
)
_TEXT_FIELDS: Mapping[str, tuple[str, type[str] | type[int]]] = MappingProxyType(
    {
        "attribute": ("name", str),
        "avatar": ("number", int),
        "background": ("background", str),
        "recalibrate": ("seconds", int),
    }
)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
