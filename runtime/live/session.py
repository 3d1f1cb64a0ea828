"""The session itself: observations in, drawn frames out, and everything that can be done to it meanwhile.

Threads: the source's own reads pictures, the feed's tracks, one here draws (animating and rendering share buffers, so they share
a thread), and every sink has its own. All hand-overs are latest-only slots. A frame is drawn as soon as its observation is
there; without one, at the target rate.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.attributes import Look
from perse_live.errors import UserError, gist
from perse_live.memory import return_free_memory
from perse_live.motion_file import MotionHeader
from perse_live.outputs import free_name
from perse_live.rotations import FACING_CAMERA
from perse_live.threads import name_this_thread
from runtime.engines.cpu import CpuEngine
from runtime.live.actions import (
    Action,
    ClearAttributes,
    Hide,
    Mirror,
    Mute,
    Recalibrate,
    Record,
    SetAttribute,
    SetBackground,
    SetBadge,
    SetGain,
    SetPicture,
    SetVirtualCamera,
    SetWeights,
    StepAttribute,
    SwitchAvatar,
)
from runtime.live.clock import StageClock
from runtime.live.fades import Fade
from runtime.live.feeds import CalibrationState, Feed, Observation
from runtime.live.frames import DrawnFrame
from runtime.live.gains import Gains, strengthened
from runtime.live.governor import LADDER, Effort, Governor
from runtime.live.outlets import Outlet
from runtime.live.painter import Actor, Backdrop, Painter, backdrop_of, placed
from runtime.live.relay import Relay
from runtime.live.scripted import Scripted
from runtime.live.slot import Latest
from runtime.presence import Presence, Shoulders, at_rest, mixed
from runtime.secondary_motion import SecondaryMotion
from runtime.sinks.contract import Recorder, Sink
from runtime.sound.voice import Voice
from runtime.stage import Motion
from runtime.tracker import TrackedFrame

_log = logging.getLogger(__name__)
_STALE_SECONDS = 0.4  # without an observation, after which the face counts as lost
_NOTICE_SECONDS = 8.0
_TIDY_SECONDS = 20.0
_FAILURE_SECONDS, _MOST_FAILURES = 30.0, 2  # within which drawing may fail so often and begin anew
_WARM_UP = 45  # frames that say nothing of the machine's speed: code and models are being loaded
_PREDICTED = 0.8  # of the last step that is carried on between two observations
_COLOR = re.compile("#?[0-9a-fA-F]{6}")
_PLAIN = "d9dbde"  # the background where the one that was chosen cannot be had
_MOST_ACTORS = 4  # loaded at a time: each takes 100 MB
_EMPTY_SECONDS = 0.25  # between looks while no avatar is there
_STAGES = ("capture", "track", "animate", "render", "encode")


@dataclass(frozen=True)
class LiveConfig:
    """How a session looks and works; what can be changed while it runs starts from here."""

    width: int = 512
    """Of the picture, pixels, even."""
    height: int = 512
    """Of the picture, pixels, even."""
    target_fps: float = 30.0
    """Frames per second to keep; above the camera's rate, motion is carried on between its pictures."""
    threads: int = 2
    """That drawing may use."""
    background: str = "d9dbde"
    """As `backdrop_of` reads it."""
    image: Path | None = None
    """The picture that the background "image" stands for."""
    gains: Gains = field(default_factory=Gains)
    """How strongly the avatar follows."""
    dead_zone: float = 0.02
    """[0, 0.5] expressions weaker than this count as rest."""
    badge: SetBadge = field(default_factory=lambda: SetBadge("bottom-right"))
    """Where it says that this is an avatar."""
    still: bool = False
    """Whether hair does not swing and shoulders do not breathe."""


@dataclass(frozen=True)
class _Choices:
    """What the driver has chosen; replaced as a whole, so that the drawing thread always sees one state."""

    actor: int
    backdrop: Backdrop
    gains: Gains
    badge: SetBadge
    mirror: bool = False
    hidden: bool = False
    muted: bool = False


class LiveSession:
    """One avatar on stage; `runtime.live.control.Control` for all that steer it. Use it in a `with` block or close it."""

    def __init__(
        self,
        actors: Sequence[Actor],
        config: LiveConfig,
        *,
        feed: Feed | None,
        source_kind: str,
        script: Scripted,
        clocks: Mapping[str, StageClock],
        keys: Mapping[str, str],
        recorder: Callable[[Path], Recorder],
        record_to: Path | None = None,
        virtual_camera: Callable[[LiveConfig], Sink] | None = None,
        pictures: Callable[[], Mapping[str, Path]] = dict,
    ) -> None:
        """Prepare; `start` begins.

        actors: the avatars, the first one on stage; without any, nothing is drawn until `put_on_stage`. feed: where motion comes
        from, None for the script alone, which also fills the time while nobody is there; it is the session's from here on.
        source_kind: as in docs/live-api.md. clocks: of the stages capture, track, animate, render, encode. keys: text of the
        action of each page key. recorder: opens a recording; record_to: where recordings go (numbered from the second on), None
        for a name with date and time in this folder. virtual_camera: opens one; None: there is none to switch on. pictures: what
        backgrounds there are beside the usual ones, by name. Raises UserError for a background that cannot be had.
        """
        self._actors, self._config, self._feed, self._source_kind = (
            tuple(actors),
            config,
            feed,
            source_kind,
        )
        self._script, self.clocks, self._keys = script, dict(clocks), dict(keys)
        self._recorder, self._record_to, self._recordings = recorder, record_to, 0
        self._open_virtual_camera, self._pictures = virtual_camera, pictures
        self._virtual_camera: Outlet | None = None
        self._given = len(self._actors)  # these are not let go
        known = pictures().get(config.background)
        backdrop = (
            backdrop_of(config.background, image=config.image)
            if known is None
            else (Backdrop(config.background, None, known))
        )
        image = config.image or (backdrop.picture if known is None else None)
        self._image = image
        self._choices = _Choices(0, backdrop, config.gains, config.badge)
        self._fades = {
            one.name: Fade() for actor in self._actors for one in actor.avatar.attributes
        }
        self._changing = threading.RLock()
        self._drawn: Latest[DrawnFrame] = Latest()
        self._outlets: list[Outlet] = []
        self._recording: tuple[Outlet, Path, float] | None = None
        self._finishing: dict[
            Path, Outlet
        ] = {}  # recordings that were stopped: their files take a moment
        self._recorded: Path | None = None
        self._notices: deque[tuple[float, str]] = deque(maxlen=6)
        self._latency = StageClock()
        self._voice: Voice | None = None
        self._count_viewers: Callable[[], int] = lambda: 0
        self._governor = Governor(config.target_fps)
        self._face = "none" if feed is None else "idle"
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._failure: BaseException | None = None
        self._aside = ThreadPoolExecutor(
            1, thread_name_prefix="prepare", initializer=name_this_thread
        )
        self._thread = threading.Thread(target=self._work, name="draw", daemon=True)

    # ----- life

    def start(self) -> None:
        """Begin to follow and to draw."""
        if self._feed is not None:
            self._feed.start()
        self._thread.start()

    def wait_for_picture(self, timeout: float) -> None:
        """Wait for the first frame.

        timeout: seconds. Raises UserError where drawing failed or none came in time.
        """
        found = self._drawn.wait(0, timeout)
        if self._failure is not None:
            raise UserError(f"the avatar cannot be drawn: {self._failure}") from self._failure
        if found is None:
            raise UserError(
                f"no picture within {timeout:.0f} s: the machine is too slow or busy; perse-live doctor says where"
            )

    @property
    def ended(self) -> bool:
        """Whether drawing has stopped, or a film that is shown once has come to its end."""
        feed = self._feed
        over = (
            feed is not None and feed.ended and not feed.problem
        )  # one that has failed is shown, and the avatar stays
        return not self._thread.is_alive() or (over and self._source_kind == "file")

    @property
    def failure(self) -> BaseException | None:
        """What drawing has failed with; None while it goes well."""
        return self._failure

    def record_now(self) -> None:
        """Start recording; raises UserError where the file cannot be written."""
        with self._changing:
            self._record(True)

    def close(self) -> None:
        """End everything: recordings are finished, no thread is left. Closing again does nothing."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        self._aside.shutdown(cancel_futures=True)
        if self._feed is not None:
            self._feed.close()
        for outlet in (*self._outlets, *self._finishing.values()):
            outlet.close()
        self._drawn.close()

    def __enter__(self) -> LiveSession:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def motion_header(self) -> MotionHeader:
        """What a recording of motion that begins now is made with."""
        choices = self._choices
        names = tuple(one.name for one in self._actors[choices.actor].avatar.attributes)
        config = self._config
        return MotionHeader(
            config.width,
            config.height,
            config.target_fps,
            choices.badge.place,
            choices.backdrop.text,
            names,
        )

    def have_voice(self, voice: Voice) -> None:
        """Tell of the driver's voice, which somebody else closes; before `start`."""
        self._voice = voice

    def add_sink(self, sink: Sink) -> None:
        """Show every newest frame to one more sink, which is the session's from here on."""
        with self._changing:
            self._outlets.append(Outlet(sink, self._drawn))

    def put_on_stage(self, actor: Actor) -> None:
        """Show an avatar: in place of the one of the same name where there is one, else beside those that are there.

        The least recently added one is let go where there are too many.
        """
        with self._changing:
            place = next((k for k, one in enumerate(self._actors) if one.name == actor.name), None)
            if place is None:
                kept = self._actors[-(max(_MOST_ACTORS, self._given + 1) - 1) :]
                self._actors, place = (*kept, actor), len(kept)
            else:
                self._actors = (*self._actors[:place], actor, *self._actors[place + 1 :])
            for one in actor.avatar.attributes:
                self._fades.setdefault(one.name, Fade())
            backdrop = self._choices.backdrop
            self._choices = replace(self._choices, actor=place)
            if backdrop.text not in self._background_names():
                self._choices = replace(self._choices, backdrop=backdrop_of(_PLAIN))
            self._woken.set()

    def replace_on_stage(self, actor: Actor) -> None:
        """Another version of a loaded avatar, known by its name; which one is shown stays as it is."""
        with self._changing:
            shown = self._choices.actor
            if any(one.name == actor.name for one in self._actors):
                self.put_on_stage(actor)
                self._choices = replace(self._choices, actor=shown)

    def rename_actor(self, old: str, new: str) -> None:
        """An avatar is called otherwise from here on."""
        with self._changing:
            self._actors = tuple(
                replace(one, name=new) if one.name == old else one for one in self._actors
            )

    @property
    def actors(self) -> tuple[Actor, ...]:
        """The avatars that are loaded."""
        return self._actors

    @property
    def config(self) -> LiveConfig:
        """How it looks and works now."""
        return self._config

    # ----- what others ask and tell

    def picture_latency(self) -> float | None:
        """Seconds from a camera picture to the end of drawing its answer, the median of the last eight; None if there is none."""
        return self._latency.timing().ms / 1000 or None

    @property
    def silent(self) -> bool:
        """Whether the voice may not be heard: muted, or the driver hides."""
        choices = self._choices
        return choices.muted or choices.hidden

    @property
    def drawn(self) -> Latest[DrawnFrame]:
        """The newest picture of the avatar."""
        return self._drawn

    @property
    def recorded(self) -> Path | None:
        """The last recording that was finished."""
        return self._recorded

    def notice(self, text: str) -> None:
        """Say something to the driver, on every page, for a moment."""
        _log.info("%s", text)
        with self._changing:  # sinks and keys tell from threads of their own, while `state` reads
            self._notices.append((time.monotonic(), text))

    def act(self, action: Action) -> None:
        """Do something; see `Control`."""
        with self._changing:
            now = time.monotonic()
            match action:
                case SetAttribute(name, weight):
                    self._set_attribute(name, weight, now)
                case StepAttribute(step):
                    self._step_attribute(step, now)
                case ClearAttributes():
                    for fade in self._fades.values():
                        fade.to(0.0, now)
                case Recalibrate(seconds):
                    if self._feed is None:
                        raise UserError("there is no camera to calibrate: nobody drives the avatar")
                    self._feed.recalibrate(seconds)
                case Mirror(on):
                    self._choices = replace(
                        self._choices, mirror=not self._choices.mirror if on is None else on
                    )
                case Hide(on):
                    self._choices = replace(
                        self._choices, hidden=not self._choices.hidden if on is None else on
                    )
                case Mute(on):
                    if self._voice is None:
                        raise UserError(
                            "there is no voice to mute: start the session with --microphone"
                        )
                    self._choices = replace(
                        self._choices, muted=not self._choices.muted if on is None else on
                    )
                case Record(on):
                    self._record((self._running_recording() is None) if on is None else on)
                case SwitchAvatar(number):
                    if number > len(self._actors):
                        raise UserError(f"there is no avatar {number}: {len(self._actors)} loaded")
                    self._choices = replace(self._choices, actor=number - 1)
                case SetBackground(text):
                    self._choices = replace(self._choices, backdrop=self._named_backdrop(text))
                case SetGain(region, value):
                    self._choices = replace(
                        self._choices, gains=replace(self._choices.gains, **{region: value})
                    )
                case SetBadge():
                    if action.place == "off":
                        self.notice(f"the avatar badge is off: {action.reason}")
                    self._choices = replace(self._choices, badge=action)
                case SetWeights(weights):
                    for name, fade in self._fades.items():
                        fade.to(weights.get(name, 0.0), now)
                case SetPicture(width, height, fps):
                    if fps != self._config.target_fps:
                        self._governor = Governor(fps)
                    self._config = replace(self._config, width=width, height=height, target_fps=fps)
                case SetVirtualCamera(on):
                    self._switch_virtual_camera(self._virtual_camera is None if on is None else on)
            self._woken.set()

    def _switch_virtual_camera(self, on: bool) -> None:
        running = (
            self._virtual_camera
            if self._virtual_camera is not None and self._virtual_camera.running
            else None
        )
        if on and running is None:
            if self._open_virtual_camera is None:
                raise UserError("this session has no virtual camera to switch on")
            self._forget_virtual_camera()
            self._virtual_camera = Outlet(self._open_virtual_camera(self._config), self._drawn)
            self._outlets.append(self._virtual_camera)
        elif not on:
            self._forget_virtual_camera()

    def _forget_virtual_camera(self) -> None:
        outlet, self._virtual_camera = self._virtual_camera, None
        if outlet is not None:
            self._outlets = [one for one in self._outlets if one is not outlet]
            outlet.close()  # the device must be free before it can be opened again; a frame is written in a few milliseconds

    def _shown_actor(self) -> Actor | None:
        return self._actors[self._choices.actor] if self._actors else None

    def _attributes(self) -> tuple[Look, ...]:
        actor = self._shown_actor()
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

    def _running_recording(self) -> tuple[Outlet, Path, float] | None:
        return (
            self._recording if self._recording is not None and self._recording[0].running else None
        )

    def _record(self, on: bool) -> None:
        running = self._running_recording()
        if on and running is None:
            path = self._recording_path()
            recorder = self._recorder(path)
            outlet = Outlet(
                recorder, self._drawn, on_end=lambda problem: self._note_recorded(recorder, problem)
            )
            failed = None if self._recording is None else self._recording[0]
            self._recording = outlet, path, time.monotonic()
            self._recordings += 1
            self._outlets = [
                one for one in self._outlets if one.running or (one.problem and one is not failed)
            ]
            self._outlets.append(outlet)
            self.notice(f"recording to {path.name}")
        elif not on and running is not None:
            outlet, path, _ = running
            outlet.finish()  # writing the rest takes up to 0.1 s, and drawing must not wait for that
            self._finishing = {
                **{name: one for name, one in self._finishing.items() if one.running},
                path: outlet,
            }
            self._recording = None
            self._outlets.remove(outlet)

    def _note_recorded(self, recorder: Recorder, problem: str) -> None:
        """On the recording's own thread, once its file is as good as it gets.

        One that was cut short, as by a full disk, does not take the place of the last good one.
        """
        path = recorder.path
        if path.is_file() and not (problem and self._recorded is not None):
            self._recorded = path
        self.notice(problem or f"recorded {path.name}")

    def _recording_path(self) -> Path:
        if self._record_to is not None and self._recordings == 0:
            return self._record_to
        wish = self._record_to or Path(f"perse-live-{datetime.now().strftime('%Y%m%d-%H%M%S')}.mp4")
        return free_name(wish, taken=self._finishing)

    def _background_names(self) -> list[str]:
        actor = self._shown_actor()
        photo = ["photo"] if actor is None or actor.avatar.source.backdrop is not None else []
        image = ["image"] if self._image is not None else []
        return list(
            dict.fromkeys(
                [
                    self._choices.backdrop.text,
                    _PLAIN,
                    *photo,
                    *image,
                    "green",
                    "alpha",
                    *self._pictures(),
                ]
            )
        )

    def _named_backdrop(self, text: str) -> Backdrop:
        """What a page or a key may choose: never a path."""
        if (picture := self._pictures().get(text)) is not None:
            return Backdrop(text, None, picture)
        if text not in self._background_names() and not _COLOR.fullmatch(text):
            raise UserError(
                f"unknown background {text[:40]!r}: give a colour RRGGBB, {', '.join(self._background_names()[1:])}"
            )
        return backdrop_of(text, image=self._image)

    def state(self) -> dict[str, object]:
        """What is chosen and what goes on; see docs/live-api.md."""
        with self._changing:
            now = time.monotonic()
            choices = self._choices
            recording = self._running_recording()
            calibration = (
                CalibrationState("done") if self._feed is None else self._feed.calibration()
            )
            key_of = {text: key for key, text in reversed(list(self._keys.items()))}
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
                "voice": None
                if self._voice is None
                else {
                    "name": self._voice.name,
                    "problem": self._voice.problem,
                    "muted": choices.muted,
                    "level": round(self._voice.level, 4),
                    "delay_ms": round(1000 * self._voice.delay),
                },
                "recorded": None if self._recorded is None else self._recorded.name,
                "recording": None
                if recording is None
                else {"path": recording[1].name, "seconds": round(now - recording[2], 1)},
                "calibration": {
                    "phase": calibration.phase,
                    "seconds": round(calibration.seconds, 1),
                },
                "face": self._face,
                "source": {
                    "name": "none" if self._feed is None else self._feed.name,
                    "kind": self._source_kind,
                    "problem": "" if self._feed is None else self._feed.problem,
                },
                "virtual_camera": None
                if self._open_virtual_camera is None
                else (self._virtual_camera is not None and self._virtual_camera.running),
                "sinks": [
                    {"name": outlet.sink.name, "problem": outlet.problem}
                    for outlet in self._outlets
                ],
                "size": [self._config.width, self._config.height],
                "target_fps": self._config.target_fps,
                "keys": self._keys,
                "notices": [text for when, text in self._notices if now - when < _NOTICE_SECONDS],
            }

    def count_viewers_by(self, count: Callable[[], int]) -> None:
        """Tell whom to ask how many watch."""
        self._count_viewers = count

    def stats(self) -> dict[str, object]:
        """How fast it goes; see docs/live-api.md."""
        timings = {name: self.clocks[name].timing() for name in _STAGES}
        latency = self._latency.timing()
        effort = self._governor.effort
        return {
            "fps": round(timings["render"].per_second, 1),
            "latency_ms": round(latency.ms, 1) if latency.ms else None,
            "slow_stage": max(_STAGES[1:], key=lambda name: timings[name].ms),
            "viewers": self._count_viewers(),
            "stages": {
                name: {
                    "ms": round(one.ms, 2),
                    "p95_ms": round(one.p95_ms, 2),
                    "per_second": round(one.per_second, 1),
                    "dropped": one.dropped,
                }
                for name, one in timings.items()
            },
            "governor": {
                "scale": effort.scale,
                "gaussians": effort.gaussians,
                "reason": self._governor.reason,
            },
        }

    # ----- drawing

    def _work(self) -> None:
        name_this_thread()
        try:
            self._draw()
        except BaseException as error:
            self._failure = error
            _log.exception("drawing has failed")
        finally:
            self._drawn.close()

    def _draw(self) -> None:
        presence, shoulders = Presence(self._rest), Shoulders(FACING_CAMERA)
        secondary = SecondaryMotion()
        swaying: Actor | None = None
        watch = _Watch()
        painters = Relay(self._painter, self._aside)
        still: tuple[object, UInt8Array] | None = None
        failures: deque[float] = deque()
        last: Actor | None = None  # that was drawn
        seen = number = 0
        due = tidied = time.monotonic()
        while not self._stopped.is_set():
            if not self._actors:
                self._woken.wait(_EMPTY_SECONDS)
                self._woken.clear()
                due = time.monotonic()
                continue
            interval = 1 / self._config.target_fps
            found = self._wait(seen, due, interval)
            captured: float | None = None
            if found is not None:
                self.clocks["render"].drop(max(0, found[0] - seen - 1))
                seen, observation = found
                watch.note(observation, time.monotonic())
                captured = observation.captured if observation.motion is not None else None
            begin = time.monotonic()
            with self._changing:
                choices, config = self._choices, self._config
                wanted = self._actors[choices.actor]
                weights = {name: fade.at(begin) for name, fade in self._fades.items()}
            face = watch.motion(begin)
            if face is not None:
                face = strengthened(face, choices.gains, dead_zone=self._config.dead_zone)
            shown = presence.update(face, begin)
            self._face = _face_word(self._feed, face, presence.holding(begin))
            body = shoulders.update(shown.R_cam_head, begin)
            if begin >= tidied + _TIDY_SECONDS:
                tidied = begin
                self._aside.submit(
                    return_free_memory
                )  # of avatars, efforts and encoders that are gone
            try:
                (actor, _, _), painter = painters.get((wanted, config.width, config.height))
                effort = self._governor.effort
                if choices.hidden:
                    wish = (actor, config.width, config.height, choices.backdrop, choices.badge)
                    if still is None or still[0] != wish:
                        still = wish, self._still(painter, actor, weights, choices, effort)
                    picture, captured, motion = still[1], None, None
                else:
                    still = None
                    if (
                        swaying is not actor
                    ):  # another head is elsewhere, without having moved there
                        secondary, swaying = SecondaryMotion(), actor
                    motion = placed(actor, shown, body)
                    if not config.still:
                        motion = replace(motion, secondary=secondary.update(motion.pose, begin))
                    picture = self._paint(painter, motion, weights, choices, effort)
                    if number > _WARM_UP:
                        self._govern(time.monotonic() - begin)
            except (
                Exception
            ) as error:  # of a graphics driver, for want of memory: their list is open
                if last is None:
                    raise
                if wanted.name == last.name or not self._switched_back(error, wanted, last):
                    self._recover(error, failures, begin)
                painters, still = Relay(self._painter, self._aside), None
                continue
            number, last = number + 1, actor
            end = time.monotonic()
            if captured is not None:
                self._latency.add(end - captured)
            self._drawn.put(
                DrawnFrame(picture, choices.backdrop.matte, end, captured, number, motion, weights)
            )
            due = begin + interval

    def _wait(self, seen: int, due: float, interval: float) -> tuple[int, Observation] | None:
        """The next observation as soon as it is there; None when a frame is due without one."""
        feed = self._feed
        now = time.monotonic()
        if feed is None or feed.ended:
            self._woken.wait(max(0.0, due - now))
            self._woken.clear()
            return None
        track = self.clocks["track"].timing()
        follows = (
            track.per_second >= 0.8 * self._config.target_fps
        )  # else frames are drawn between observations
        return feed.observations.wait(
            seen, max(0.0, due + (0.6 * interval if follows else 0.0) - now)
        )

    def _rest(self, now: float, last: TrackedFrame | None) -> TrackedFrame:
        return self._script.at(now)

    def _painter(self, wanted: tuple[Actor, int, int]) -> Painter:
        actor, width, height = wanted
        painter = Painter(
            actor,
            width,
            height,
            threads=self._config.threads,
            animate=self.clocks["animate"],
            render=self.clocks["render"],
            aside=self._aside,
        )
        painter.prepare(self._governor.effort)
        return painter

    def _paint(
        self,
        painter: Painter,
        motion: Motion,
        weights: Mapping[str, float],
        choices: _Choices,
        effort: Effort,
    ) -> UInt8Array:
        badge = choices.badge.place
        try:
            return painter.paint(
                motion, choices.backdrop, badge=badge, effort=effort, weights=weights
            )
        except UserError as error:  # a background picture that has gone
            self.notice(str(error))
            with self._changing:
                self._choices = replace(self._choices, backdrop=backdrop_of(_PLAIN))
            return painter.paint(
                motion, self._choices.backdrop, badge=badge, effort=effort, weights=weights
            )

    def _still(
        self,
        painter: Painter,
        actor: Actor,
        weights: Mapping[str, float],
        choices: _Choices,
        effort: Effort,
    ) -> UInt8Array:
        """What is shown while the driver hides: the avatar at rest."""
        rest = placed(actor, at_rest(np.zeros(3, np.float32)), FACING_CAMERA)
        return self._paint(painter, rest, weights, choices, effort)

    def _switched_back(self, error: Exception, wanted: Actor, before: Actor) -> bool:
        """Whether the avatar that was drawn before is still there, and stays, as the one that was switched to cannot be drawn."""
        with self._changing:
            place = next((k for k, one in enumerate(self._actors) if one.name == before.name), None)
            if place is None:
                return False
            self._choices = replace(self._choices, actor=place)
        self.notice(
            f"the avatar {wanted.name} cannot be drawn, so {before.name} stays: {gist(error)}"
        )
        return True

    def _recover(self, error: Exception, failures: deque[float], now: float) -> None:
        """Get ready to draw anew after drawing has failed: by the same engine, the second time within half a minute by the CPU.

        failures: when it failed before, seconds. Raises the error at the third time; nothing helps then.
        """
        failures.append(now)
        while now - failures[0] > _FAILURE_SECONDS:
            failures.popleft()
        if len(failures) > _MOST_FAILURES:
            raise error
        _log.debug("drawing has failed", exc_info=error)
        how = "begins anew"
        if len(failures) == _MOST_FAILURES and any(
            actor.engine is not None for actor in self._actors
        ):
            how = "goes on with the CPU"
            with self._changing:
                self._actors = tuple(replace(actor, engine=CpuEngine()) for actor in self._actors)
        self.notice(f"drawing has failed and {how}: {gist(error)}")

    def _govern(self, seconds: float) -> None:
        before = self._governor.effort
        after = self._governor.update(seconds, time.monotonic())
        if LADDER[0] in (before, after) and before != after:  # the steps between are in the figures
            self.notice(
                "drawing at full size again"
                if after == LADDER[0]
                else f"the machine is busy: drawing less to keep {self._config.target_fps:.0f} pictures a second"
            )


class _Watch:
    """The newest motion, carried on a little where pictures come more slowly than frames are drawn."""

    def __init__(self) -> None:
        self._last: TrackedFrame | None = None
        self._before: TrackedFrame | None = None
        self._arrived = -np.inf

    def note(self, observation: Observation, now: float) -> None:
        """Take a new observation, which arrived at `now`."""
        self._before = self._last if observation.motion is not None else None
        self._last, self._arrived = observation.motion, now

    def motion(self, now: float) -> TrackedFrame | None:
        """What the face does now, as far as known; None where nobody is there."""
        last, before = self._last, self._before
        late = now - self._arrived
        if last is None or late > _STALE_SECONDS:
            return None
        if before is None or late < 0.004:
            return last
        step = last.timestamp - before.timestamp
        if not 0 < step < 0.2:
            return last
        return mixed(before, last, 1 + _PREDICTED * min(late / step, 1.0))


def _face_word(feed: Feed | None, face: TrackedFrame | None, holding: bool) -> str:
    if feed is None:
        return "none"
    return "tracked" if face is not None else "held" if holding else "idle"
