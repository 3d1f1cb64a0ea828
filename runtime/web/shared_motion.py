"""Data for viewers that draw by themselves: the avatar's bundle for each look, and its motion as messages.

A separate thread turns drawn frames into messages, once for all viewers. A scene names their bundle and the framing of the
picture. Bundles are made in the background, once the attributes' weights have come to rest; until then viewers keep
the last one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from perse_live.avatar import Avatar
from perse_live.motion import MotionEncoder
from perse_live.rotations import FACING_CAMERA
from perse_live.threads import name_this_thread
from runtime.live.control import Control
from runtime.live.frames import DrawnFrame
from runtime.live.framing import camera_of
from runtime.live.motion_state import state_of
from runtime.live.painter import Actor, placed
from runtime.presence import at_rest

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 0.2
_STATE_SECONDS = 0.2  # seconds between checks of background and badge
_SETTLED_SECONDS = 0.15  # seconds that weights must be constant before a bundle is made for them
_KEPT_BUNDLES = 4  # viewers may still fetch the last ones
_WEIGHT_STEPS = 255
_PLAIN = "d9dbde"  # the background where a session's is no colour
_COLORS = MappingProxyType({"green": "00b140"})

Weights = tuple[tuple[str, int], ...]
"""Of the attributes above 0: names and 255ths."""


@dataclass(frozen=True)
class Sharing:
    """What viewers need to draw an avatar by themselves."""

    bundle: Callable[[Avatar, Mapping[str, float]], tuple[bytes, bytes]]
    """Makes the manifest (JSON) and the arrays of an avatar at attribute weights, by name."""
    scripts: Mapping[str, bytes]
    """The modules that pose and draw such a bundle in a browser, by file name."""


@dataclass(frozen=True)
class Bundle:
    """An avatar in one look, as it goes over the network."""

    id: str
    """Of its content."""
    manifest: bytes
    """JSON, compressed by zlib (the coding `deflate` of HTTP)."""
    arrays: bytes
    """Likewise."""


@dataclass(frozen=True)
class Update:
    """Messages to all viewers."""

    scene: str | None
    """JSON text, before the message; None where nothing has changed."""
    message: bytes
    """Of motion; empty for none."""


class SharedMotion:
    """Turns a session's frames into updates on a separate thread."""

    def __init__(self, control: Control, sharing: Sharing) -> None:
        self._control, self._sharing = control, sharing
        self._encoder, self._start = MotionEncoder(), time.monotonic()
        self._epoch = time.time()
        self._lock = threading.Lock()
        self._bundles: OrderedDict[str, Bundle] = OrderedDict()
        self._known: dict[tuple[int, Weights], str] = {}  # ids by actor and weights
        self._failed: set[tuple[int, Weights]] = set()
        self._making: tuple[tuple[int, Weights], Future[Bundle]] | None = None
        self._actors: dict[int, Actor] = {}  # keeps their ids from being given to others
        self._shown: Bundle | None = None
        self._scene = ""
        self._deliver: Callable[[Update], None] = lambda _: None
        self._stopped = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="bundle")
        self._thread = threading.Thread(target=self._work, name="share", daemon=True)

    def start(self, deliver: Callable[[Update], None]) -> None:
        """Begin; deliver: called on the thread for every frame."""
        self._deliver = deliver
        self._thread.start()

    @property
    def scene(self) -> str:
        """The last scene, for those who join; empty before the first."""
        return self._scene

    @property
    def key_message(self) -> bytes:
        """The last key message, for those who join or have lost it."""
        return self._encoder.key_message

    def bundle(self, bundle_id: str) -> Bundle | None:
        """One of the last bundles."""
        with self._lock:
            return self._bundles.get(bundle_id)

    def close(self) -> None:
        """End the thread; closing again does nothing."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._executor.shutdown(cancel_futures=True)

    def _work(self) -> None:
        name_this_thread()
        seen, looked, facts = 0, 0.0, _Facts()
        weights_now: Weights = ()
        steady_since = 0.0
        while not self._stopped.is_set() and not self._control.drawn.closed:
            found = self._control.drawn.wait(seen, _WAIT_SECONDS)
            if found is None:
                continue
            seen, frame = found
            actor, now = frame.actor, time.monotonic()
            if actor is None:
                continue
            try:
                if now - looked >= _STATE_SECONDS:
                    looked, facts = now, _facts_of(self._control.state())
                weights = _steps_of(frame.weights, actor)
                if weights != weights_now:
                    weights_now, steady_since = weights, now
                if now - steady_since >= _SETTLED_SECONDS or self._shown is None:
                    self._have(actor, weights)
                self._deliver(self._update(frame, actor, facts))
            except Exception:  # viewers that draw by themselves must not end the session
                _log.exception("a frame could not be shared")

    def _have(self, actor: Actor, weights: Weights) -> None:
        """Switch to the bundle of an actor at weights; start making it where it does not exist."""
        wanted = (id(actor), weights)
        if wanted in self._failed:
            return
        with self._lock:
            known = self._bundles.get(self._known.get(wanted, ""))
        if known is not None:
            self._shown = known
            return
        if self._making is None:
            self._actors[id(actor)] = actor
            self._making = wanted, self._executor.submit(self._made, actor, weights)
        made_for, future = self._making
        if not future.done():
            return
        self._making = None
        try:
            made = future.result()
        except Exception:  # the last look stays
            _log.exception("the avatar in another look could not be made ready for viewers")
            self._failed.add(made_for)
            return
        with self._lock:
            self._bundles[made.id] = made
            self._bundles.move_to_end(made.id)
            self._known[made_for] = made.id
            while len(self._bundles) > _KEPT_BUNDLES:
                gone, _ = self._bundles.popitem(last=False)
                self._known = {key: one for key, one in self._known.items() if one != gone}
            kept = {key[0] for key in self._known}
            self._actors = {key: one for key, one in self._actors.items() if key in kept}
        if made_for == wanted:
            self._shown = made

    def _made(self, actor: Actor, weights: Weights) -> Bundle:
        manifest, arrays = self._sharing.bundle(
            actor.avatar, {name: step / _WEIGHT_STEPS for name, step in weights}
        )
        digest = hashlib.sha256(manifest + arrays).hexdigest()[:32]
        return Bundle(digest, zlib.compress(manifest), zlib.compress(arrays, 1))

    def _update(self, frame: DrawnFrame, actor: Actor, facts: _Facts) -> Update:
        if self._shown is None:
            return Update(None, b"")
        width, height = facts.size or frame.image.shape[1::-1]
        scene = json.dumps(
            {
                "bundle": self._shown.id,
                "camera": vars(camera_of(actor.avatar.source.camera, actor.view, width, height)),
                "background": facts.background,
                "badge": facts.badge,
                "hidden": frame.motion is None,
                "attributes": [one.name for one in actor.avatar.attributes],
                "epoch": round(1000 * self._epoch),
            }
        )
        changed, self._scene = scene != self._scene, scene
        motion = frame.motion
        if motion is None:  # the driver hides
            motion = placed(actor, at_rest(np.zeros(3, np.float32)), FACING_CAMERA)
        names = [one.name for one in actor.avatar.attributes]
        message = self._encoder.encode(
            state_of(motion, frame.weights, names), frame.time - self._start
        )
        return Update(scene if changed else None, message)


@dataclass(frozen=True)
class _Facts:
    """The part of a session's state that concerns the picture."""

    size: tuple[int, int] | None = None
    background: str = _PLAIN
    badge: str = "bottom-right"


def _facts_of(state: Mapping[str, object]) -> _Facts:
    size, badge, background = state.get("size"), state.get("badge"), str(state.get("background"))
    background = _COLORS.get(background, background)
    return _Facts(
        (int(size[0]), int(size[1])) if isinstance(size, list) else None,
        background if len(background) == 6 and background.isalnum() else _PLAIN,
        str(badge.get("place")) if isinstance(badge, dict) else "bottom-right",
    )


def _steps_of(weights: Mapping[str, float], actor: Actor) -> Weights:
    found = (
        (one.name, round(_WEIGHT_STEPS * weights.get(one.name, 0.0)))
        for one in actor.avatar.attributes
    )
    return tuple((name, step) for name, step in found if step > 0)
