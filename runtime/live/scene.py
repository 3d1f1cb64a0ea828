"""The scene: loaded avatars, attribute weights, and the driver's choices for the picture."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perse_live.attributes import Look
from perse_live.errors import UserError
from perse_live.motion_file import MotionHeader
from runtime.engines.cpu import CpuEngine
from runtime.live.actions import (
    Action,
    ClearAttributes,
    Hide,
    Mirror,
    Mute,
    SetAttribute,
    SetBackground,
    SetBadge,
    SetGain,
    SetPicture,
    SetWeights,
    StepAttribute,
    SwitchAvatar,
)
from runtime.live.config import LiveConfig
from runtime.live.fades import Fade
from runtime.live.gains import Gains
from runtime.live.painter import Actor, Backdrop, backdrop_of

_COLOR = re.compile("#?[0-9a-fA-F]{6}")
_PLAIN = "d9dbde"  # fallback where the chosen background cannot be read
_MAX_ACTORS = 4  # avatars loaded at a time: each takes 100 MB


@dataclass(frozen=True)
class Choices:
    """The driver's choices; replaced as a whole, so that the drawing thread sees a consistent state."""

    actor: int
    """Index of the avatar shown, from 0."""
    backdrop: Backdrop
    gains: Gains
    badge: SetBadge
    mirror: bool = False
    hidden: bool = False
    """Whether the avatar is shown at rest, independent of the driver."""
    muted: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The state that one frame is drawn from."""

    actor: Actor
    config: LiveConfig
    choices: Choices
    weights: Mapping[str, float]
    """[0, 1] of each attribute, by name."""


class Scene:
    """Loaded avatars, attribute weights and choices. Thread-safe."""

    def __init__(
        self,
        actors: Sequence[Actor],
        config: LiveConfig,
        pictures: Callable[[], Mapping[str, Path]],
    ) -> None:
        """Begin with the first avatar, at rest, without attributes.

        pictures: additional backgrounds by name. Raises UserError for a background that cannot be
        had.
        """
        self._lock = threading.RLock()
        self._actors, self._config, self._pictures = tuple(actors), config, pictures
        self._given = len(self._actors)  # avatars of the command line are never unloaded
        known = pictures().get(config.background)
        if known is not None:
            backdrop = Backdrop(config.background, None, known)
            self._image = config.image
        else:
            backdrop = backdrop_of(config.background, image=config.image)
            self._image = config.image or backdrop.picture
        self._choices = Choices(0, backdrop, config.gains, config.badge)
        self._fades = {
            one.name: Fade() for actor in self._actors for one in actor.avatar.attributes
        }

    # ----- what is there

    @property
    def actors(self) -> tuple[Actor, ...]:
        """The avatars that are loaded."""
        return self._actors

    @property
    def config(self) -> LiveConfig:
        """The picture's size and rate as they are now, and what the session began with."""
        return self._config

    @property
    def choices(self) -> Choices:
        """What the driver has chosen."""
        return self._choices

    def snapshot(self, now: float) -> Snapshot | None:
        """The state for a frame at `now` (seconds); None while no avatar is loaded."""
        with self._lock:
            actor = self._shown()
            if actor is None:
                return None
            weights = {name: fade.at(now) for name, fade in self._fades.items()}
            return Snapshot(actor, self._config, self._choices, weights)

    def motion_header(self) -> MotionHeader:
        """Header for a recording of motion that begins now."""
        with self._lock:
            config, choices = self._config, self._choices
            names = tuple(one.name for one in self._attributes())
            return MotionHeader(
                config.width,
                config.height,
                config.target_fps,
                choices.badge.place,
                choices.backdrop.text,
                names,
            )

    def state(self, now: float, keys: Mapping[str, str]) -> dict[str, object]:
        """The scene's part of the session's state; see docs/live-api.md.

        now: seconds; keys: the text of the action of each page key.
        """
        key_of = {text: key for key, text in reversed(list(keys.items()))}
        with self._lock:
            choices = self._choices
            return {
                "avatars": [one.name for one in self._actors],
                "avatar": choices.actor + 1 if self._actors else 0,
                "attributes": [
                    {
                        "name": one.name,
                        "label": one.label,
                        "slot": one.slot,
                        "key": key_of.get(f"attribute {number}", ""),
                        "target": self._fades[one.name].target,
                        "weight": round(self._fades[one.name].at(now), 3),
                    }
                    for number, one in enumerate(self._attributes(), 1)
                ],
                "background": choices.backdrop.text,
                "backgrounds": self._background_names(),
                "gains": {
                    name: getattr(choices.gains, name)
                    for name in ("head", "brows", "eyes", "mouth")
                },
                "mirror": choices.mirror,
                "hidden": choices.hidden,
                "badge": {"place": choices.badge.place, "reason": choices.badge.reason},
                "size": [self._config.width, self._config.height],
                "target_fps": self._config.target_fps,
            }

    # ----- avatars

    def put_on_stage(self, actor: Actor) -> None:
        """Show an avatar: it replaces the one of the same name, or is added.

        The least recently added one is unloaded where there are too many.
        """
        with self._lock:
            place = self._place(actor.name)
            if place is None:
                kept = self._actors[-(max(_MAX_ACTORS, self._given + 1) - 1) :]
                self._actors, place = (*kept, actor), len(kept)
            else:
                self._actors = (*self._actors[:place], actor, *self._actors[place + 1 :])
            for one in actor.avatar.attributes:
                self._fades.setdefault(one.name, Fade())
            backdrop = self._choices.backdrop
            self._choices = replace(self._choices, actor=place)
            if backdrop.text not in self._background_names():
                self.take_plain_background()

    def replace_on_stage(self, actor: Actor) -> None:
        """Replace the loaded avatar of the same name; the avatar shown does not change otherwise."""
        with self._lock:
            shown = self._choices.actor
            if self._place(actor.name) is not None:
                self.put_on_stage(actor)
                self._choices = replace(self._choices, actor=shown)

    def rename_actor(self, old: str, new: str) -> None:
        """Rename a loaded avatar."""
        with self._lock:
            self._actors = tuple(
                replace(one, name=new) if one.name == old else one for one in self._actors
            )

    def switch_to(self, name: str) -> bool:
        """Show the loaded avatar of a name; False where there is none."""
        with self._lock:
            place = self._place(name)
            if place is not None:
                self._choices = replace(self._choices, actor=place)
            return place is not None

    def take_cpu_engine(self) -> bool:
        """Switch every avatar to the CPU engine; False where all use it already."""
        with self._lock:
            if all(actor.engine is None for actor in self._actors):
                return False
            self._actors = tuple(replace(actor, engine=CpuEngine()) for actor in self._actors)
            return True

    def take_plain_background(self) -> None:
        """Replace a background that can no longer be read by a plain one."""
        with self._lock:
            self._choices = replace(self._choices, backdrop=backdrop_of(_PLAIN))

    @property
    def shown_name(self) -> str:
        """Name of the avatar shown; "" for none."""
        with self._lock:
            actor = self._shown()
        return "" if actor is None else actor.name

    def _place(self, name: str) -> int | None:
        return next((k for k, one in enumerate(self._actors) if one.name == name), None)

    def _shown(self) -> Actor | None:
        return self._actors[self._choices.actor] if self._actors else None

    # ----- what the driver asks for

    def apply(self, action: Action, now: float) -> bool:
        """Change the scene at `now` (seconds); False for an action that is not the scene's.

        Raises UserError, and changes nothing, where it cannot be done.
        """
        with self._lock:
            choices = self._choices
            match action:
                case SetAttribute(name, weight):
                    self._set_attribute(name, weight, now)
                case StepAttribute(step):
                    self._step_attribute(step, now)
                case SetWeights(weights):
                    for name, fade in self._fades.items():
                        fade.to(weights.get(name, 0.0), now)
                case ClearAttributes():
                    for fade in self._fades.values():
                        fade.to(0.0, now)
                case Mirror(on):
                    choices = replace(choices, mirror=not choices.mirror if on is None else on)
                case Hide(on):
                    choices = replace(choices, hidden=not choices.hidden if on is None else on)
                case Mute(on):
                    choices = replace(choices, muted=not choices.muted if on is None else on)
                case SwitchAvatar(number):
                    if number > len(self._actors):
                        raise UserError(f"there is no avatar {number}: {len(self._actors)} loaded")
                    choices = replace(choices, actor=number - 1)
                case SetBackground(text):
                    choices = replace(choices, backdrop=self._named_backdrop(text))
                case SetGain(region, value):
                    choices = replace(choices, gains=replace(choices.gains, **{region: value}))
                case SetBadge():
                    choices = replace(choices, badge=action)
                case SetPicture(width, height, fps):
                    self._config = replace(self._config, width=width, height=height, target_fps=fps)
                case _:
                    return False
            self._choices = choices
            return True

    def _attributes(self) -> tuple[Look, ...]:
        actor = self._shown()
        return () if actor is None else tuple(actor.avatar.attributes)

    def _set_attribute(self, name: str, weight: float | None, now: float) -> None:
        attributes = self._attributes()
        chosen = next((one for one in attributes if one.name == name), None)
        if chosen is None and name.isdecimal() and 1 <= int(name) <= len(attributes):
            chosen = attributes[int(name) - 1]
        if chosen is None:
            names = ", ".join(one.name for one in attributes) or "none"
            raise UserError(f"there is no attribute {name[:40]!r}: there are {names}")
        fade = self._fades[chosen.name]
        target = (0.0 if fade.target > 0 else 1.0) if weight is None else weight
        fade.to(target, now)
        if target > 0:  # attributes of one slot share the weight 1
            others = [
                self._fades[one.name]
                for one in attributes
                if one.slot == chosen.slot and one is not chosen
            ]
            taken = sum(other.target for other in others)
            if taken > 1 - target:
                for other in others:
                    other.to(other.target * (1 - target) / taken, now)

    def _step_attribute(self, step: int, now: float) -> None:
        fades = [self._fades[one.name] for one in self._attributes()]
        if not fades:
            raise UserError("this avatar has no attributes")
        strongest = max(range(len(fades)), key=lambda i: fades[i].target)
        on = fades[strongest].target > 0
        chosen = (strongest + step) % len(fades) if on else (0 if step > 0 else len(fades) - 1)
        for i, fade in enumerate(fades):
            fade.to(1.0 if i == chosen else 0.0, now)

    def _background_names(self) -> list[str]:
        actor = self._shown()
        photo = ["photo"] if actor is None or actor.avatar.source.backdrop is not None else []
        image = ["image"] if self._image is not None else []
        usual = [_PLAIN, *photo, *image, "green", "alpha"]
        return list(dict.fromkeys([self._choices.backdrop.text, *usual, *self._pictures()]))

    def _named_backdrop(self, text: str) -> Backdrop:
        """The background of a name that a page or a key may choose: never a path."""
        if (picture := self._pictures().get(text)) is not None:
            return Backdrop(text, None, picture)
        names = self._background_names()
        if text not in names and not _COLOR.fullmatch(text):
            raise UserError(
                f"unknown background {text[:40]!r}: give a colour RRGGBB, {', '.join(names[1:])}"
            )
        return backdrop_of(text, image=self._image)
