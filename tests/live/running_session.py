"""A real live session for tests: its camera sees what a test holds before it, its avatars are made up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from perse_live.arrays import UInt8Array
from pictures import astronaut_before_camera
from runtime.live.clock import StageClock
from runtime.live.config import LiveConfig
from runtime.live.feeds import Feed, PictureFeed
from runtime.live.frames import CapturedFrame, DrawnFrame
from runtime.live.painter import Actor
from runtime.live.scripted import Scripted, idle_script
from runtime.live.session import LiveSession
from runtime.performance import idling
from runtime.sinks.contract import Sink
from runtime.sinks.recording import RecordingSink
from runtime.sources.contract import PictureSource
from runtime.tracker import TrackerConfig

PATIENCE = 30.0  # seconds that a test waits for what must come
SMALL = LiveConfig(width=128, height=128, threads=1)
MAGENTA = (255, 0, 255)
_NECK = np.array([0.0, -0.12, -0.1])


def scene(*, shift: int = 0, color: tuple[int, int, int] = MAGENTA) -> UInt8Array:
    """What a camera of 320x240 sees: a face, moved sideways by pixels, in a room of one colour."""
    return astronaut_before_camera(shift=shift, color=color)


EMPTY_ROOM: UInt8Array = np.full((240, 320, 3), MAGENTA, np.uint8)


class HeldCamera:
    """A camera at 30 pictures a second; tests change what is before it: a picture, None (nothing comes), or an error."""

    def __init__(self, before: UInt8Array | Exception | None) -> None:
        self.before, self.name, self.live = before, "camera 0", True
        self.closed = False

    def read(self, timeout: float) -> CapturedFrame | None:
        time.sleep(min(timeout, 1 / 30))
        before = self.before
        if isinstance(before, Exception):
            raise before
        return None if before is None else CapturedFrame(before, time.monotonic())

    def close(self) -> None:
        self.closed = True


class Gallery:
    """A sink that looks at every frame it gets, and keeps the last."""

    name = "gallery"
    path = Path("gallery")

    def __init__(self, look: Callable[[DrawnFrame], None] = lambda _: None) -> None:
        self._look, self.count, self.closed = look, 0, False
        self.last: DrawnFrame | None = None

    def write(self, frame: DrawnFrame) -> None:
        self._look(frame)
        self.last, self.count = frame, self.count + 1

    def close(self) -> None:
        self.closed = True


def clocks() -> dict[str, StageClock]:
    return {name: StageClock() for name in ("capture", "track", "animate", "render", "encode")}


def tracking(source: PictureSource, measured: dict[str, StageClock]) -> PictureFeed:
    """A feed that tracks the face in a source's pictures."""
    return PictureFeed(
        source, capture=measured["capture"], track=measured["track"], config=TrackerConfig()
    )


def motionless() -> Scripted:
    """A script in which nothing happens, so that pictures can be compared."""
    first, second = idling(4.0, 10.0)[:2]
    assert not first.expression.any()
    return Scripted((first, replace(first, time=second.time)), _NECK)


@contextlib.contextmanager
def running(
    avatars: Sequence[Actor],
    source: PictureSource | None = None,
    *,
    config: LiveConfig = SMALL,
    kind: str = "camera",
    script: Scripted | None = None,
    feed: Callable[[dict[str, StageClock]], Feed] | None = None,
    record_to: Path | None = None,
    virtual_camera: Callable[[LiveConfig], Sink] | None = None,
) -> Generator[LiveSession, None, None]:
    """A session that runs; source: tracked with MediaPipe; feed: makes another feed instead; neither: nobody drives."""
    measured = clocks()
    made = (
        feed(measured)
        if feed is not None
        else tracking(source, measured)
        if source is not None
        else None
    )
    session = LiveSession(
        avatars,
        config,
        feed=made,
        source_kind=kind if made is not None else "none",
        script=script or idle_script(_NECK),
        clocks=measured,
        keys={"1": "attribute 1", "h": "hide"},
        recorder=lambda path: RecordingSink(path, fps=30.0),
        record_to=record_to,
        virtual_camera=virtual_camera,
    )
    with session:
        session.start()
        if avatars:
            session.wait_for_picture(60.0)
        yield session


def told(session: LiveSession) -> dict[str, Any]:
    """The state, whose inner types tests know."""
    return session.state()


def until(true: Callable[[], bool], what: str = "it did not come about") -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def pictures(session: LiveSession, count: int = 1) -> list[DrawnFrame]:
    """The next frames that begin to be drawn from now on."""
    found = session.drawn.wait(0, PATIENCE)
    assert found is not None
    seen = found[0] + 1  # the one after this may have been begun before
    frames: list[DrawnFrame] = []
    while len(frames) < count:
        found = session.drawn.wait(seen, PATIENCE)
        assert found is not None, "no picture came"
        seen = found[0]
        frames.append(found[1])
    return frames


def own_threads() -> set[threading.Thread]:
    """All threads but the helpers that rasterisers keep for good."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("splat")}
