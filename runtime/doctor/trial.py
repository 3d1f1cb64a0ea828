"""The live pipeline for a few seconds, without a camera: how long each stage takes on this machine, and which one is slow."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from perse_live.arrays import UInt8Array
from perse_live.assets import asset_path
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.follow import FaceFollower
from perse_live.head.landmarks import load_landmark_model
from perse_live.rotations import FACING_CAMERA
from runtime.bench.drawing import machine, synthetic_avatar
from runtime.doctor.finding import Finding
from runtime.doctor.machine import usable_cores
from runtime.live.clock import StageClock
from runtime.live.gains import Gains, strengthened
from runtime.live.i420 import to_i420
from runtime.live.painter import CANONICAL, Painter, actor_of, backdrop_of, placed
from runtime.performance import performance
from runtime.presence import at_rest
from runtime.smoothing import OneEuroConfig
from runtime.tracker import StrangerTracker, TrackedFrame, TrackerConfig
from runtime.web.codec import VIDEO_CLOCK, CodecName, EncodeConfig, PictureEncoder

Progress = Callable[[str, float], None]
"""Called with the current step and the fraction done."""

VISIBLE = 20_000
"""Gaussians of the synthetic head that are seen; avatars from a photo have 20,000 to 30,000."""

_CAMERA = (640, 480)
_SWAY = 8  # pixels that the picture wanders, so that no two are alike
_WARM_UP_PICTURES = 24
_MIN_PICTURES, _LONGEST_SECONDS = 3, 60.0  # measured, however slow the machine is
_STAGES = ("detect", "fit", "animate", "render", "encode")
_THREADS = (("detect", "fit"), ("animate", "render"), ("encode",))
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "detect": "finding the face is the slow stage: close other programs, or let a phone track you (--camera vmc:0.0.0.0)",
        "fit": "fitting the face is the slow stage: close other programs, or let a phone track you (--camera vmc:0.0.0.0)",
        "animate": "posing the avatar is the slow stage: draw fewer Gaussians (--max-gaussians 15000)",
        "render": "drawing is the slow stage: draw smaller (--size 384) or fewer Gaussians (--max-gaussians 15000)",
        "encode": "encoding is the slow stage: choose the other codec (--codec h264), or draw smaller (--size 384)",
    }
)


@dataclass(frozen=True)
class Trial:
    """What was measured, and on what."""

    machine: Mapping[str, str | int]
    """Processor, cores, system and Python."""
    avatar: str
    """Description of the drawn avatar."""
    camera: str
    """Description of the camera's replacement, or why nothing was tracked."""
    size: int
    """Of the drawn picture, pixels."""
    codec: str
    """That it was encoded with."""
    seconds: float
    """That were measured, after everything was compiled and loaded."""
    start_seconds: float
    """Until the first picture was encoded; compiling, at a first start, is in it."""
    frames: int
    """Pictures that went through all stages."""
    cpu_ms: float
    """Milliseconds of processor time that a picture took, on all cores together."""
    stages: Mapping[str, float]
    """Median milliseconds of each stage that ran: detect, fit, animate, render, encode; one after the other, with nothing
    else running.
    """

    @property
    def slow_stage(self) -> str:
        """The one that takes longest."""
        return max(self.stages, key=lambda name: self.stages[name])

    @property
    def latency_ms(self) -> float:
        """Of all stages together: from a picture to its answer, encoded."""
        return sum(self.stages.values())

    def most_fps(self, cores: float) -> float:
        """Pictures a second that a session may reach at most on so many cores.

        Its threads (tracking, drawing, encoding) run concurrently: the slowest one sets the rate, or the work of them all.
        """
        threads = [sum(self.stages.get(stage, 0.0) for stage in stages) for stages in _THREADS]
        return 1000 / max(*threads, self.cpu_ms / cores)


def trial(
    avatar: Avatar | None = None,
    *,
    seconds: float = 3.0,
    size: int = 512,
    threads: int = 2,
    codec: CodecName = "vp8",
    offline: bool = False,
    progress: Progress = lambda *_: None,
) -> Trial:
    """Run the stages of a live session one after the other on the sample portrait as if a camera saw it.

    avatar: None for a synthetic head of `VISIBLE` Gaussians. seconds: to measure, [0.2, 8]; size: of the picture, even pixels;
    threads: for drawing. offline: forbid fetching the portrait (13.7 MB) and the face model (3.8 MB) where they are missing; the
    face stages are then left out, and the result says so. progress: told of fetching and measuring.
    Raises UserError only for seconds or a size out of range.
    """
    if not (0.2 <= seconds <= 8 and 16 <= size <= 4096 and size % 2 == 0):
        raise UserError(
            f"trial: {seconds} s at {size} pixels: give 0.2 to 8 s, and an even size from 16 to 4096"
        )
    driver = _open_driver(offline, progress)
    try:
        return _measure(avatar, driver, seconds, size, threads, codec, progress)
    finally:
        driver.close()


def judge(result: Trial, *, target_fps: float = 30.0, cores: float | None = None) -> Finding:
    """Whether a machine keeps up, and what to do where it does not. cores: None for those that this process may use."""
    fps = result.most_fps(usable_cores() if cores is None else cores)
    times = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in result.stages.items())
    found = (
        f"median ms: {times}; together {result.latency_ms:.1f}; slowest {result.slow_stage}; at most {fps:.0f} pictures"
        f" a second (measured on {result.frames} pictures of {result.avatar}, {result.size}x{result.size};"
        f" camera: {result.camera})"
    )
    if fps < target_fps:
        return Finding("trial", "warning", found, _ADVICE[result.slow_stage])
    return Finding("trial", "ok", found)


class _Driver(Protocol):
    """Source of motion."""

    @property
    def description(self) -> str:
        """Text for display."""
        ...

    def motion(self, number: int, time: float, watch: _Stopwatch) -> TrackedFrame | None:
        """Of the picture of this number, from 0, at a time in seconds, relative to `CANONICAL`; None: no face was found."""
        ...

    def close(self) -> None:
        """Free what it holds; closing again does nothing."""
        ...


class _Portrait:
    """The sample portrait, seen by a camera that sways, and the tracker that looks at it."""

    description = "the sample portrait as 640x480 pictures that sway"

    def __init__(self, offline: bool, progress: Progress) -> None:
        """Raises UserError where the portrait or the face model cannot be had."""
        with Image.open(asset_path("sample_portrait", offline=offline, report=progress)) as image:
            portrait = np.asarray(image.convert("RGB"))
        asset_path("face_landmarker", offline=offline, report=progress)
        width, height = _CAMERA
        # The head is in the upper three quarters
        shown = portrait[: portrait.shape[1] * height // width]
        self._large: UInt8Array = np.asarray(
            cv2.resize(shown, (width + 2 * _SWAY, height + 2 * _SWAY)), np.uint8
        )
        self._tracker = StrangerTracker(
            CANONICAL, load_landmark_model(), config=TrackerConfig(smoothing=OneEuroConfig())
        )
        self._follower = FaceFollower()

    def motion(self, number: int, time: float, watch: _Stopwatch) -> TrackedFrame | None:
        width, height = _CAMERA
        left, top = (round(_SWAY * (1 + np.sin(speed * time))) for speed in (2.1, 3.4))
        picture = np.ascontiguousarray(self._large[top : top + height, left : left + width])
        with watch.measured("detect"):
            face = self._follower.update(picture, time)
        with watch.measured("fit"):
            return self._tracker.update(face, time)

    def close(self) -> None:
        self._follower.close()


class _Script:
    """Scripted motion."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._frames = performance(15.0, 30.0)

    @property
    def description(self) -> str:
        return f"none, so nothing was tracked ({self._why})"

    def motion(self, number: int, time: float, watch: _Stopwatch) -> TrackedFrame | None:
        frame = self._frames[number % len(self._frames)]
        return replace(
            at_rest(np.zeros(3, np.float32)), expression=frame.expression, gaze=frame.gaze
        )

    def close(self) -> None:
        pass


def _open_driver(offline: bool, progress: Progress) -> _Driver:
    try:
        portrait = _Portrait(offline, progress)
    except UserError as error:
        return _Script(str(error))
    if all(portrait.motion(number, number / 30, _Stopwatch()) is None for number in range(4)):
        portrait.close()
        return _Script("no face was found in the sample portrait")
    return portrait


class _Stopwatch:
    """Times of each stage."""

    def __init__(self) -> None:
        self._times: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def measured(self, stage: str) -> Generator[None, None, None]:
        start = time.perf_counter()
        yield
        self._times[stage].append(1000 * (time.perf_counter() - start))

    def medians(self) -> dict[str, float]:
        return {stage: float(np.median(times)) for stage, times in self._times.items()}


class _Pipeline:
    """All stages on one thread."""

    def __init__(
        self, avatar: Avatar, driver: _Driver, size: int, threads: int, codec: CodecName
    ) -> None:
        self._actor, self._driver, self._size, self._threads = (
            actor_of("trial", avatar),
            driver,
            size,
            threads,
        )
        self._backdrop, self._encoder = (
            backdrop_of("d9dbde"),
            PictureEncoder(EncodeConfig(codec=codec)),
        )
        self._begin, self._number = time.perf_counter(), 0
        self.forget()

    def forget(self) -> None:
        """Discard the measurements so far."""
        self._watch, self._animate, self._render = _Stopwatch(), StageClock(), StageClock()
        self._painter = Painter(
            self._actor,
            self._size,
            self._size,
            threads=self._threads,
            animate=self._animate,
            render=self._render,
        )

    def run(self) -> bool:
        """One picture through all stages; False where no face was found in it."""
        now = 1.0 + time.perf_counter() - self._begin  # after the driver's first looks
        motion = self._driver.motion(self._number, now, self._watch)
        self._number += 1
        if motion is None:
            return False
        motion = strengthened(motion, Gains(), dead_zone=0.02)
        image = self._painter.paint(
            placed(self._actor, motion, FACING_CAMERA), self._backdrop, badge="bottom-right"
        )
        with self._watch.measured("encode"):
            self._encoder.encode(to_i420(image), round(now * VIDEO_CLOCK), keyframe=False)
        return True

    def medians(self) -> dict[str, float]:
        found = {
            **self._watch.medians(),
            "animate": self._animate.timing().ms,
            "render": self._render.timing().ms,
        }
        return {stage: found[stage] for stage in _STAGES if stage in found}


def _measure(
    avatar: Avatar | None,
    driver: _Driver,
    seconds: float,
    size: int,
    threads: int,
    codec: CodecName,
    progress: Progress,
) -> Trial:
    begin = time.perf_counter()
    shown = synthetic_avatar(VISIBLE, np.random.default_rng(0)) if avatar is None else avatar
    name = f"{'a synthetic head' if avatar is None else 'the avatar'} of {len(shown):,} Gaussians"
    pipeline = _Pipeline(shown, driver, size, threads, codec)
    progress("warming up", 0.0)
    pipeline.run()
    start_seconds = time.perf_counter() - begin
    for number in range(1, _WARM_UP_PICTURES):  # the driver's neutral face is learned meanwhile
        progress("warming up", number / _WARM_UP_PICTURES)
        pipeline.run()
    progress("warming up", 1.0)
    pipeline.forget()
    pipeline.run()  # the new painter's first picture fills its buffers
    frames, start, worked = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < seconds or (
        frames < _MIN_PICTURES and passed < _LONGEST_SECONDS
    ):
        frames += pipeline.run()
        progress("measuring", min(1.0, passed / seconds))
    cpu_ms = 1000 * (time.process_time() - worked) / max(frames, 1)
    progress("measuring", 1.0)
    return Trial(
        machine(),
        name,
        driver.description,
        size,
        codec,
        passed,
        start_seconds,
        frames,
        cpu_ms,
        pipeline.medians(),
    )
