"""One encoder for all viewers: a thread encodes each drawn picture once and passes the packet to every subscriber."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from typing import Any

from av.packet import Packet

from perse_live.errors import gist
from perse_live.threads import name_this_thread
from runtime.live.clock import StageClock
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest
from runtime.web.codec import VIDEO_CLOCK, EncodeConfig, PictureEncoder

_log = logging.getLogger(__name__)

_STILL = 0.1  # seconds without a new picture after which a requested keyframe repeats the last one
_WAITING_PACKETS = 8  # packets that a viewer may be behind: a quarter of a second
_UNDELIVERED = 4  # packets on their way to the event loop


class StreamEnded(Exception):
    """The stream has ended."""


class Subscription:
    """One viewer's queue of packets; used in the event loop only."""

    def __init__(self, encoder: SharedEncoder) -> None:
        self._encoder = encoder
        self._packets: deque[Packet[Any]] = deque()
        self._changed = asyncio.Event()
        self._lost = True  # nothing decodes before a keyframe
        self._closed = False

    async def next(self) -> Packet[Any]:
        """The next packet; the first, and the first after falling behind, is a keyframe.

        Raises StreamEnded once closed.
        """
        while not self._packets and not self._closed:
            if self._lost:
                # here, not where it fell behind: viewers that are gone must not request keyframes
                self._encoder.request_keyframe()
            self._changed.clear()
            await self._changed.wait()
        if self._closed:
            raise StreamEnded
        return self._packets.popleft()

    def close(self) -> None:
        """Take no more packets; closing again does nothing."""
        self._closed = True
        self._packets.clear()
        self._changed.set()
        self._encoder._forget(self)  # pyright: ignore[reportPrivateUsage]

    def offer(self, packet: Packet[Any]) -> None:
        """Queue a packet if it is decodable for this viewer; never blocks."""
        if self._lost and not packet.is_keyframe:
            return
        if len(self._packets) >= _WAITING_PACKETS:
            self._packets.clear()
            self._lost = not packet.is_keyframe
            if self._lost:
                return
        self._lost = False
        self._packets.append(packet)
        self._changed.set()


class KeyframeRequests:
    """Merges keyframe requests and enforces a minimum distance between keyframes. Thread-safe."""

    def __init__(self, spacing: float) -> None:
        self._spacing = spacing  # seconds
        self._asked = False
        self._last = -float("inf")

    def ask(self) -> None:
        """Request a keyframe."""
        self._asked = True

    def due(self, now: float) -> bool:
        """Whether the next picture should be one. now: seconds."""
        return self._asked and now - self._last >= self._spacing

    def made(self, now: float) -> None:
        """Note that a keyframe was sent, which answers all requests so far."""
        self._asked, self._last = False, now


class SharedEncoder:
    """Encodes while there are subscribers; idle otherwise."""

    def __init__(
        self, drawn: Latest[DrawnFrame], clock: StageClock, config: EncodeConfig | None = None
    ) -> None:
        self._drawn, self._clock, self._config = drawn, clock, config or EncodeConfig()
        self._keyframes = KeyframeRequests(self._config.keyframe_spacing)
        self._subscriptions: set[Subscription] = set()  # touched in the event loop only
        self._state = threading.Condition()
        self._watched = self._closing = False
        self._failing = False  # to encode; said once
        self._room = threading.Semaphore(_UNDELIVERED)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def config(self) -> EncodeConfig:
        """The encoder settings."""
        return self._config

    def start(self) -> None:
        """Begin; called once, in the event loop that shall get the packets."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="encode")
        self._thread.start()

    def subscribe(self) -> Subscription:
        """Watch, until the subscription is closed; called in the event loop."""
        subscription = Subscription(self)
        self._subscriptions.add(subscription)
        self._note_watched()
        return subscription

    def request_keyframe(self) -> None:
        """Request a keyframe among the next pictures; may be called at any rate."""
        self._keyframes.ask()

    def close(self) -> None:
        """End the thread and all subscriptions; called in the event loop. Closing again does nothing."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        for subscription in list(self._subscriptions):
            subscription.close()
        if self._thread is not None:
            self._thread.join()

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self._note_watched()

    def _note_watched(self) -> None:
        with self._state:
            self._watched = bool(self._subscriptions)
            self._state.notify_all()

    def _run(self) -> None:
        name_this_thread()
        encoder = PictureEncoder(self._config)
        frame: DrawnFrame | None = None
        seen = 0
        origin, ticks = time.monotonic(), -1
        while not self._closing and not self._drawn.closed:
            slept = self._slept_until_watched()
            newest = self._drawn.wait(seen, _STILL)
            now = time.monotonic()
            if newest is not None:
                if frame is not None and not slept:
                    self._clock.drop(newest[0] - seen - 1)
                seen, frame = newest
                shown = frame.time
            elif frame is not None and self._keyframes.due(now):
                shown = now  # the picture has not changed, but a new viewer needs a keyframe
            else:
                continue
            ticks = max(round((shown - origin) * VIDEO_CLOCK), ticks + 1)
            packet = self._encoded(encoder, frame, ticks, keyframe=self._keyframes.due(now))
            if packet is not None:
                if packet.is_keyframe:
                    self._keyframes.made(now)
                self._hand_over(packet)

    def _slept_until_watched(self) -> bool:
        """Wait for a subscriber; returns whether there was none before."""
        with self._state:
            idle = not self._watched
            self._state.wait_for(lambda: self._watched or self._closing)
            return idle

    def _encoded(
        self, encoder: PictureEncoder, frame: DrawnFrame, ticks: int, *, keyframe: bool
    ) -> Packet[Any] | None:
        try:
            with self._clock.measured():
                packet = encoder.encode(frame.i420(), ticks, keyframe=keyframe)
        except Exception as error:  # continue with the next picture: this thread serves all viewers
            if not self._failing:
                _log.warning(
                    "a picture of %dx%d could not be encoded for viewers: %s",
                    frame.image.shape[1],
                    frame.image.shape[0],
                    gist(error),
                )
            self._failing = True
            return None
        self._failing = False
        return packet

    def _hand_over(self, packet: Packet[Any]) -> None:
        """Pass a packet to the event loop; waits while that is blocked, so that pictures are dropped before encoding, not
        after.
        """
        assert self._loop is not None
        while not self._room.acquire(timeout=_STILL):
            if self._closing:
                return
        try:
            self._loop.call_soon_threadsafe(self._deliver, packet)
        except RuntimeError:  # the loop is gone: the session ends
            self._closing = True

    def _deliver(self, packet: Packet[Any]) -> None:
        self._room.release()
        for subscription in self._subscriptions:
            subscription.offer(packet)
