"""The drawing thread: a loop that turns the newest observation into the next frame.

Animating and rendering share buffers, so they run in one thread. A frame is drawn as soon as its observation arrives; without
one, at the target rate.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError, gist
from perse_live.memory import return_free_memory
from perse_live.rotations import FACING_CAMERA
from perse_live.threads import name_this_thread
from runtime.live.clock import StageClock
from runtime.live.extrapolation import MotionExtrapolator
from runtime.live.feeds import Feed, Observation
from runtime.live.frames import DrawnFrame
from runtime.live.gains import strengthened
from runtime.live.governor import LADDER, Effort, Governor
from runtime.live.notices import Notices
from runtime.live.painter import Actor, Painter, placed
from runtime.live.relay import Relay
from runtime.live.scene import Scene, Snapshot
from runtime.live.scripted import Scripted
from runtime.live.slot import Latest
from runtime.presence import Presence, Shoulders, at_rest
from runtime.secondary_motion import SecondaryMotion
from runtime.stage import Motion
from runtime.tracker import TrackedFrame

_log = logging.getLogger(__name__)
_TIDY_SECONDS = 20.0  # between two returns of free memory to the system
_FAILURE_SECONDS = 30.0  # window within which failures of drawing are counted
_MAX_FAILURES = 2  # failures in that window that are recovered from
_WARM_UP = 45  # frames at the start that are not timed: code and models are being loaded
_EMPTY_SECONDS = 0.25  # polling interval while no avatar is loaded
# Of the target rate: a tracker slower than this has frames drawn between its observations
_FOLLOWS = 0.8
_PATIENCE = 0.6  # of a frame's interval, waited beyond the due time for an observation

_PainterKey = tuple[Actor, int, int]  # avatar, width, height


class DrawingLoop:
    """Draws the scene until it is closed or drawing fails repeatedly."""

    def __init__(
        self,
        scene: Scene,
        feed: Feed | None,
        script: Scripted,
        clocks: Mapping[str, StageClock],
        drawn: Latest[DrawnFrame],
        notices: Notices,
    ) -> None:
        """Prepare; `start` begins.

        feed: source of motion; None: the script only, which also plays while no face is seen. clocks: of at least the stages
        track, animate and render. drawn: receives the frames; closed when drawing ends.
        """
        self._scene, self._feed, self._script = scene, feed, script
        self._clocks, self._drawn, self._notices = clocks, drawn, notices
        self._governor = Governor(scene.config.target_fps)
        self._latency = StageClock()
        self._face = "none" if feed is None else "idle"
        self._failure: BaseException | None = None
        self._stopped, self._woken = threading.Event(), threading.Event()
        self._secondary: tuple[Actor, SecondaryMotion] | None = None
        self._still: tuple[object, UInt8Array] | None = None
        self._background = ThreadPoolExecutor(
            1, thread_name_prefix="prepare", initializer=name_this_thread
        )
        self._thread = threading.Thread(target=self._work, name="draw", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def wake(self) -> None:
        """Draw the next frame at once, because something was changed."""
        self._woken.set()

    def follow(self, feed: Feed | None) -> None:
        """Use another feed, or the script only, from the next frame on."""
        self._feed = feed
        self._woken.set()

    def close(self) -> None:
        """End the thread; closing again does nothing."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        self._background.shutdown(cancel_futures=True)

    @property
    def alive(self) -> bool:
        """Whether frames are being drawn."""
        return self._thread.is_alive()

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended drawing; None while it works."""
        return self._failure

    @property
    def face(self) -> str:
        """Whether the driver's face is "tracked", "held" after it was lost, or the avatar "idle"; "none" without a feed."""
        return self._face

    @property
    def governor(self) -> Governor:
        """The governor that chooses the effort."""
        return self._governor

    @property
    def latency(self) -> StageClock:
        """Latency from a camera picture to the end of drawing its frame."""
        return self._latency

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
        presence, shoulders = Presence(self._at_rest), Shoulders(FACING_CAMERA)
        extrapolator = MotionExtrapolator()
        painters = Relay(self._painter, self._background)
        failures: deque[float] = deque()
        last: Actor | None = None  # that was drawn
        followed = self._feed
        seen = number = 0
        due = tidied = time.monotonic()
        while not self._stopped.is_set():
            if not self._scene.actors:
                self._woken.wait(_EMPTY_SECONDS)
                self._woken.clear()
                due = time.monotonic()
                continue
            interval = 1 / self._scene.config.target_fps
            if followed is not (feed := self._feed):  # its observations are counted from 1 again
                followed, seen, extrapolator = feed, 0, MotionExtrapolator()
            found = self._wait(feed, seen, due, interval)
            captured: float | None = None
            if found is not None:
                self._clocks["render"].drop(max(0, found[0] - seen - 1))
                seen, observation = found
                extrapolator.add(observation, time.monotonic())
                captured = observation.captured if observation.motion is not None else None
            begin = time.monotonic()
            scene = self._scene.snapshot(begin)
            if scene is None:
                continue
            config, choices = scene.config, scene.choices
            face = extrapolator.motion(begin)
            if face is not None:
                face = strengthened(face, choices.gains, dead_zone=config.dead_zone)
            shown = presence.update(face, begin)
            self._face = _face_word(feed, face, presence.holding(begin))
            R_cam_body = shoulders.update(shown.R_cam_head, begin)
            if begin >= tidied + _TIDY_SECONDS:
                tidied = begin
                self._background.submit(
                    return_free_memory
                )  # of avatars and encoders that are closed
            try:
                key, painter = painters.get((scene.actor, config.width, config.height))
                actor = key[0]
                motion: Motion | None = None
                if choices.hidden:
                    picture, captured = self._hidden_picture(painter, key, scene), None
                else:
                    self._still = None
                    motion = placed(actor, shown, R_cam_body)
                    if not config.still:
                        motion = self._with_secondary_motion(motion, actor, begin)
                    picture = self._paint(painter, motion, scene, self._effort(config.target_fps))
                    if number > _WARM_UP:
                        self._govern(time.monotonic() - begin)
            except (
                Exception
            ) as error:  # graphics drivers and lack of memory raise exceptions of many types
                if last is None:
                    raise
                wanted = scene.actor
                if wanted.name == last.name or not self._switched_back(error, wanted, last):
                    self._recover(error, failures, begin)
                painters, self._still = Relay(self._painter, self._background), None
                continue
            number, last = number + 1, actor
            end = time.monotonic()
            if captured is not None:
                self._latency.add(end - captured)
            matte = choices.backdrop.matte
            self._drawn.put(
                DrawnFrame(picture, matte, end, captured, number, motion, scene.weights, actor)
            )
            due = begin + interval

    def _wait(
        self, feed: Feed | None, seen: int, due: float, interval: float
    ) -> tuple[int, Observation] | None:
        """Wait for the next observation; None when a frame is due without one."""
        now = time.monotonic()
        if feed is None or feed.ended:
            self._woken.wait(max(0.0, due - now))
            self._woken.clear()
            return None
        per_second = self._clocks["track"].timing().per_second
        patience = _PATIENCE * interval if per_second * interval >= _FOLLOWS else 0.0
        return feed.observations.wait(seen, max(0.0, due + patience - now))

    def _at_rest(self, now: float, last: TrackedFrame | None) -> TrackedFrame:
        return self._script.at(now)

    def _with_secondary_motion(self, motion: Motion, actor: Actor, now: float) -> Motion:
        """Add secondary motion and shoulders; reset when the avatar changes, as its head did not move before."""
        if self._secondary is None or self._secondary[0] is not actor:
            self._secondary = actor, SecondaryMotion()
        return replace(motion, secondary=self._secondary[1].update(motion.pose, now))

    def _hidden_picture(self, painter: Painter, key: _PainterKey, scene: Snapshot) -> UInt8Array:
        """The avatar at rest, drawn while the driver hides: once, and again while its attributes fade."""
        actor = key[0]
        wanted = (*key, scene.choices.backdrop, scene.choices.badge, scene.weights)
        if self._still is None or self._still[0] != wanted:
            rest = placed(actor, at_rest(np.zeros(3, np.float32)), FACING_CAMERA)
            effort = self._effort(scene.config.target_fps)
            self._still = wanted, self._paint(painter, rest, scene, effort)
        return self._still[1]

    def _painter(self, wanted: _PainterKey) -> Painter:
        actor, width, height = wanted
        painter = Painter(
            actor,
            width,
            height,
            threads=self._scene.config.threads,
            animate=self._clocks["animate"],
            render=self._clocks["render"],
            executor=self._background,
        )
        painter.prepare(self._governor.effort)
        return painter

    def _paint(
        self, painter: Painter, motion: Motion, scene: Snapshot, effort: Effort
    ) -> UInt8Array:
        badge, weights = scene.choices.badge.place, scene.weights
        backdrop = scene.choices.backdrop
        try:
            return painter.paint(motion, backdrop, badge=badge, effort=effort, weights=weights)
        except UserError as error:  # a background picture that no longer exists
            self._notices.add(str(error))
            self._scene.take_plain_background()
            backdrop = self._scene.choices.backdrop
            return painter.paint(motion, backdrop, badge=badge, effort=effort, weights=weights)

    def _switched_back(self, error: Exception, wanted: Actor, before: Actor) -> bool:
        """Whether the avatar drawn before is still loaded, and is shown instead of one that cannot be drawn."""
        if not self._scene.switch_to(before.name):
            return False
        self._notices.add(
            f"the avatar {wanted.name} cannot be drawn, so {before.name} stays: {gist(error)}"
        )
        return True

    def _recover(self, error: Exception, failures: deque[float], now: float) -> None:
        """Recover after drawing has failed: with the same engine, at the second failure within half a minute with the CPU engine.

        failures: times of earlier failures, seconds. Raises the error at the third failure.
        """
        failures.append(now)
        while now - failures[0] > _FAILURE_SECONDS:
            failures.popleft()
        if len(failures) > _MAX_FAILURES:
            raise error
        _log.debug("drawing has failed", exc_info=error)
        to_cpu = len(failures) == _MAX_FAILURES and self._scene.take_cpu_engine()
        how = "goes on with the CPU" if to_cpu else "begins again"
        self._notices.add(f"drawing has failed and {how}: {gist(error)}")

    def _effort(self, target_fps: float) -> Effort:
        """The effort for the next frame; the governor is reset when the target rate changes."""
        if target_fps != self._governor.target_fps:
            self._governor = Governor(target_fps)
        return self._governor.effort

    def _govern(self, seconds: float) -> None:
        governor = self._governor
        before = governor.effort
        after = governor.update(seconds, time.monotonic())
        if LADDER[0] in (before, after) and before != after:  # the steps between are in the figures
            fps = governor.target_fps
            self._notices.add(
                "drawing at full size again"
                if after == LADDER[0]
                else f"the machine is busy: drawing less to keep {fps:.0f} pictures a second"
            )


def _face_word(feed: Feed | None, face: TrackedFrame | None, holding: bool) -> str:
    if feed is None:
        return "none"
    return "tracked" if face is not None else "held" if holding else "idle"
