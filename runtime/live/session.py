"""A live session: connects feed, drawing loop, scene, recordings and sinks.

Threads: the source reads pictures, the feed tracks, the drawing loop draws, each sink writes. They exchange data by slots that
keep only the newest item.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from perse_live.errors import UserError
from perse_live.motion_file import MotionHeader
from runtime.live.actions import Action, Mute, Recalibrate, Record, SetBadge, SetVirtualCamera
from runtime.live.clock import StageClock
from runtime.live.config import LiveConfig
from runtime.live.drawing import DrawingLoop
from runtime.live.feeds import CalibrationState, Feed
from runtime.live.frames import DrawnFrame
from runtime.live.notices import Notices
from runtime.live.outlets import Outlet
from runtime.live.painter import Actor
from runtime.live.recordings import Recordings
from runtime.live.scene import Scene
from runtime.live.scripted import Scripted
from runtime.live.slot import Latest
from runtime.live.virtual_camera import VirtualCameraSwitch
from runtime.sinks.contract import Recorder, Sink
from runtime.sound.voice import Voice

_STAGES = ("capture", "track", "animate", "render", "encode")


class LiveSession:
    """A session with one avatar shown at a time; implements `runtime.live.control.Control`. Use it in a `with` block or close
    it.
    """

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

        actors: the avatars, the first one on stage; without any, nothing is drawn until `put_on_stage`. feed: source of
        motion, owned by the session from here on; None: the script only, which also plays while no face is seen.
        source_kind: as in docs/live-api.md. clocks: of the stages capture, track, animate, render, encode. keys: text of the
        action of each page key. recorder: opens a recording; record_to: where recordings go (numbered from the second on), None
        for a name with date and time in this folder. virtual_camera: opens one; None: there is none to switch on. pictures: what
        additional backgrounds by name. Raises UserError for a background that cannot be had.
        """
        self._feed, self._source_kind = feed, source_kind
        self.clocks, self._keys = dict(clocks), dict(keys)
        self._acting = threading.RLock()  # serialises actions
        self._drawn: Latest[DrawnFrame] = Latest()
        self._notices = Notices()
        self._scene = Scene(actors, config, pictures)
        self._drawing = DrawingLoop(
            self._scene, feed, script, self.clocks, self._drawn, self._notices
        )
        self._recordings = Recordings(recorder, record_to, self._drawn, self._notices)
        self._virtual_camera = VirtualCameraSwitch(virtual_camera, self._drawn)
        self._sinks: tuple[Outlet, ...] = ()
        self._voice: Voice | None = None
        self._count_viewers: Callable[[], int] = lambda: 0

    # ----- life

    def start(self) -> None:
        """Start tracking and drawing."""
        if self._feed is not None:
            self._feed.start()
        self._drawing.start()

    def wait_for_picture(self, timeout: float) -> None:
        """Wait for the first frame.

        timeout: seconds. Raises UserError where drawing failed or none came in time.
        """
        found = self._drawn.wait(0, timeout)
        if self.failure is not None:
            raise UserError(f"the avatar cannot be drawn: {self.failure}") from self.failure
        if found is None:
            raise UserError(
                f"no picture within {timeout:.0f} s: the machine is too slow or busy; perse-live doctor says where"
            )

    @property
    def ended(self) -> bool:
        """Whether drawing has stopped, or a film that is shown once has come to its end."""
        feed = self._feed  # a failed source is reported, and the session continues
        over = feed is not None and feed.ended and not feed.problem
        return not self._drawing.alive or (over and self._source_kind == "file")

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended drawing; None while it works."""
        return self._drawing.failure

    def record_now(self) -> None:
        """Start recording; raises UserError where the file cannot be written."""
        self._recordings.start()

    def close(self) -> None:
        """End everything: recordings are finished, no thread is left. Closing again does nothing."""
        self._drawing.close()
        if self._feed is not None:
            self._feed.close()
        self._virtual_camera.close()
        for outlet in self._sinks:
            outlet.close()
        self._recordings.close()
        self._drawn.close()

    def __enter__(self) -> LiveSession:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    # ----- avatars, sinks, voice

    def motion_header(self) -> MotionHeader:
        """Header for a recording of motion that begins now."""
        return self._scene.motion_header()

    def have_voice(self, voice: Voice) -> None:
        """Set the driver's voice, which the caller closes; call it before `start`."""
        self._voice = voice

    def add_sink(self, sink: Sink) -> None:
        """Add a sink for the newest frames; the session takes ownership of it."""
        with self._acting:
            self._sinks = (*self._sinks, Outlet(sink, self._drawn))

    def put_on_stage(self, actor: Actor) -> None:
        """Show an avatar: it replaces the one of the same name, or is added.

        The least recently added one is unloaded where there are too many.
        """
        self._scene.put_on_stage(actor)
        self._drawing.wake()

    def follow(self, feed: Feed | None, source_kind: str) -> None:
        """Switch to another feed, owned by the session from here on; the previous one is closed.

        feed, source_kind: as at the start.
        """
        with self._acting:
            before, self._feed, self._source_kind = self._feed, feed, source_kind
            if feed is not None and self._drawing.alive:
                feed.start()
            self._drawing.follow(feed)
        if before is not None:
            before.close()
        if feed is not None and not self._drawing.alive:  # the session was closed meanwhile
            feed.close()

    def replace_on_stage(self, actor: Actor) -> None:
        """Replace the loaded avatar of the same name; the avatar shown does not change otherwise."""
        self._scene.replace_on_stage(actor)
        self._drawing.wake()

    def rename_actor(self, old: str, new: str) -> None:
        """Rename a loaded avatar."""
        self._scene.rename_actor(old, new)

    @property
    def actors(self) -> tuple[Actor, ...]:
        """The avatars that are loaded."""
        return self._scene.actors

    @property
    def shown_name(self) -> str:
        """Name of the avatar shown; "" for none."""
        return self._scene.shown_name

    @property
    def config(self) -> LiveConfig:
        """The current configuration."""
        return self._scene.config

    # ----- what others ask and tell

    def picture_latency(self) -> float | None:
        """Median latency of the last eight frames, seconds from camera picture to the end of drawing; None without frames."""
        return self._drawing.latency.timing().ms / 1000 or None

    @property
    def silent(self) -> bool:
        """Whether the voice is silenced: muted, or the driver hides."""
        choices = self._scene.choices
        return choices.muted or choices.hidden

    @property
    def drawn(self) -> Latest[DrawnFrame]:
        """The newest picture of the avatar."""
        return self._drawn

    @property
    def recording(self) -> Path | None:
        """The file that is being recorded."""
        running = self._recordings.running
        return None if running is None else running.path

    @property
    def recorded(self) -> Path | None:
        """The last recording that was finished."""
        return self._recordings.last

    def notice(self, text: str) -> None:
        """Show a short notice on every page."""
        self._notices.add(text)

    def count_viewers_by(self, count: Callable[[], int]) -> None:
        """Set the function that counts viewers."""
        self._count_viewers = count

    def act(self, action: Action) -> None:
        """Perform an action; see `Control`."""
        with self._acting:
            match action:
                case Recalibrate(seconds):
                    if self._feed is None:
                        raise UserError("there is no camera to calibrate: nobody drives the avatar")
                    self._feed.recalibrate(seconds)
                case Record(on):
                    wanted = self._recordings.running is None if on is None else on
                    if wanted:
                        self._recordings.start()
                    else:
                        self._recordings.stop()
                case SetVirtualCamera(on):
                    self._virtual_camera.switch(on, self._scene.config)
                case Mute() if self._voice is None or not self._voice.on:
                    raise UserError(
                        "there is no voice to mute: start the session with --microphone, or turn on the page's microphone"
                    )
                case _:
                    self._scene.apply(action, time.monotonic())
            if isinstance(action, SetBadge) and action.place == "off":
                self.notice(f"the avatar badge is off: {action.reason}")
            self._drawing.wake()

    def state(self) -> dict[str, object]:
        """Settings and state; see docs/live-api.md."""
        now = time.monotonic()
        feed, voice, recording = self._feed, self._voice, self._recordings.running
        calibration = CalibrationState("done") if feed is None else feed.calibration()
        outlets = (*self._sinks, *self._virtual_camera.outlets, *self._recordings.outlets)
        return {
            **self._scene.state(now, self._keys),
            "voice": None
            if voice is None or not voice.on
            else {
                "name": voice.name,
                "problem": voice.problem,
                "muted": self._scene.choices.muted,
                "level": round(voice.level, 4),
                "delay_ms": round(1000 * voice.delay),
            },
            "recorded": None if self.recorded is None else self.recorded.name,
            "recording": None
            if recording is None
            else {"path": recording.path.name, "seconds": round(now - recording.begun, 1)},
            "calibration": {
                "phase": calibration.phase,
                "seconds": round(calibration.seconds, 1),
            },
            "face": self._drawing.face,
            "source": {
                "name": "none" if feed is None else feed.name,
                "kind": self._source_kind,
                "problem": "" if feed is None else feed.problem,
            },
            "virtual_camera": self._virtual_camera.on,
            "sinks": [{"name": one.sink.name, "problem": one.problem} for one in outlets],
            "keys": self._keys,
            "notices": self._notices.recent(now),
        }

    def stats(self) -> dict[str, object]:
        """Frame rates, times and latency; see docs/live-api.md."""
        timings = {name: self.clocks[name].timing() for name in _STAGES}
        latency = self._drawing.latency.timing()
        governor = self._drawing.governor
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
                "scale": governor.effort.scale,
                "gaussians": governor.effort.gaussians,
                "reason": governor.reason,
            },
        }
