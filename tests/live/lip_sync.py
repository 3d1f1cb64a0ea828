"""Lips against voice, from a browser's camera and microphone to a recording and to a WHEP viewer.

    PYTHONPATH=tests python tests/live/lip_sync.py --minutes 5

A peer sends pictures that turn from dark to light or back at each second, and a clap with each, as a browser sends camera and
microphone. A real session turns the avatar's head as its pictures turn (which stands for the tracker, and takes as long), and
passes the voice on. Prints by how many milliseconds the clap is later than the turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from live_avatars import dressable_avatar
from motions import turned
from running_session import SMALL, clocks, motionless
from voices import claps

from perse_live.arrays import Float32Array, FloatArray
from runtime.live.clock import StageClock
from runtime.live.feeds import MotionFeed, Observation
from runtime.live.painter import actor_of
from runtime.live.scripted import turned_on_neck
from runtime.live.session import LiveSession
from runtime.sinks.recording import RecordingSink
from runtime.sound.browser import BrowserMicrophone
from runtime.sound.contract import BLOCK, RATE
from runtime.sound.voice import Voice
from runtime.sources.browser import BrowserCamera
from runtime.sources.contract import SourceLost
from runtime.tracker import TrackedFrame
from runtime.web.aiortc_hooks import offer_loopback
from runtime.web.sender_clock import SenderClock
from runtime.web.server import WebConfig, WebServer

_NECK = np.array([0.0, -0.12, -0.1])
_VIDEO_RATE = 90_000
_TRACKING = 0.02  # seconds that finding a face and fitting the head take, about
_APART = 0.45  # seconds from a clap within which its turn is looked for


@dataclass(frozen=True)
class Apart:
    """Seconds by which claps are later than their turns."""

    recording: FloatArray
    viewer: FloatArray


class _LightOrDark(MotionFeed):
    """Motion by a picture's brightness: the head is turned to one side or the other."""

    def __init__(self, camera: BrowserCamera, track: StageClock) -> None:
        super().__init__(_Nobody(), track=track, neck_pivot=_NECK)
        self._camera = camera

    def _run(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(SourceLost):
                frame = self._camera.read(0.2)
                if frame is not None:
                    time.sleep(_TRACKING)
                    motion = turned(25 if frame.image.mean() > 120 else -25, time=frame.time)
                    shift = motion.t_cam_head + turned_on_neck(motion.R_cam_head, _NECK)
                    moved = replace(motion, t_cam_head=shift.astype(np.float32))
                    self.observations.put(Observation(moved, frame.time))


class _Nobody:
    name = "light or dark"

    def read(self, timeout: float) -> TrackedFrame | None:
        return None

    def close(self) -> None:
        pass


class _Flashes(MediaStreamTrack):
    """Sent as late as sound is: aiortc tells receivers when a packet was sent, not when it was captured."""

    kind = "video"

    def __init__(self, begin: float) -> None:
        super().__init__()
        self._begin, self._number = begin, 0

    async def recv(self) -> VideoFrame:
        self._number += 1
        due = self._begin + self._number / 30 + BLOCK / RATE
        await asyncio.sleep(due - time.monotonic())
        grey = 220 if self._number // 30 % 2 else 30
        frame = VideoFrame.from_ndarray(np.full((96, 128, 3), grey, np.uint8), format="rgb24")
        frame.pts, frame.time_base = self._number * _VIDEO_RATE // 30, Fraction(1, _VIDEO_RATE)
        return frame


class _Claps(MediaStreamTrack):
    """Sent once a block is complete, as a microphone's."""

    kind = "audio"

    def __init__(self, begin: float) -> None:
        super().__init__()
        self._begin, self._number = begin, 0

    async def recv(self) -> AudioFrame:
        first = self._number * BLOCK
        self._number += 1
        await asyncio.sleep(self._begin + self._number * BLOCK / RATE - time.monotonic())
        samples = claps((first + np.arange(BLOCK)) / RATE)
        frame = AudioFrame.from_ndarray(
            (samples[None] * 32767).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        return frame


async def _negotiated(http: aiohttp.ClientSession, url: str, peer: RTCPeerConnection) -> None:
    offer_loopback(peer)
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with http.post(url, data=peer.localDescription.sdp, headers=headers) as reply:
        answer = await reply.text()
        assert reply.status == 201, answer
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))


class _Viewer:
    """Notes when, by the server's clock, the head was where and how loud it was."""

    def __init__(self) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.heads: list[tuple[float, float]] = []
        self.sound: list[tuple[float, Float32Array]] = []
        self._tasks: list[asyncio.Task[None]] = []
        for kind, rate in (("video", _VIDEO_RATE), ("audio", RATE)):
            receiver = self.peer.addTransceiver(kind, direction="recvonly").receiver
            clock = SenderClock(receiver, rate)
            self.peer.on("track", lambda track, k=kind, c=clock: self._begin(track, k, c))

    def _begin(self, track: MediaStreamTrack, kind: str, clock: SenderClock) -> None:
        if track.kind == kind:
            self._tasks.append(asyncio.create_task(self._read(track, clock)))

    async def _read(self, track: MediaStreamTrack, clock: SenderClock) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                moment = clock.captured(frame.pts)
                if moment is None:
                    continue
                if isinstance(frame, VideoFrame):
                    self.heads.append((moment, head_in(frame.to_ndarray(format="gray"))))
                else:
                    samples = frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.float32) / 32768
                    self.sound.append((moment, samples))

    async def close(self) -> None:
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def head_in(grey: Any) -> float:
    """Where the head is, pixels from the left; the badge is below it."""
    upper = grey[: grey.shape[0] // 2].astype(int)
    columns = np.nonzero(np.abs(upper - int(grey[0, 0])) > 25)[1]
    return float(columns.mean()) if len(columns) else float("nan")


def turns_of(heads: list[tuple[float, float]]) -> FloatArray:
    """When the head came to the other side, seconds."""
    times, places = np.array(heads).T
    seen = ~np.isnan(places)
    times, places = times[seen], places[seen]
    right = places > (np.percentile(places, 5) + np.percentile(places, 95)) / 2
    return times[1:][right[1:] != right[:-1]]


def onsets(samples: Float32Array, rate: int) -> FloatArray:
    """Seconds at which it is loud after 0.2 s of silence."""
    loud = np.nonzero(np.abs(samples) > 0.15)[0]
    return loud[np.diff(loud, prepend=-rate) > 0.2 * rate] / rate


def _claps_heard(sound: list[tuple[float, Float32Array]]) -> FloatArray:
    """Seconds of each clap's begin; a clap may be in two pieces."""
    found = [
        moment + float(one)
        for moment, samples in sound
        for one in np.nonzero(np.abs(samples) > 0.15)[0][:1] / RATE
    ]
    return np.array([one for k, one in enumerate(found) if k == 0 or one - found[k - 1] > 0.2])


def apart(heard: FloatArray, turns: FloatArray) -> FloatArray:
    """Seconds from each clap's turn to the clap."""
    late = np.array([clap - turns[np.abs(turns - clap).argmin()] for clap in heard])
    return late[np.abs(late) < _APART]


async def _run(url: str, microphone: BrowserMicrophone, seconds: float) -> _Viewer:
    begin = time.monotonic() + 0.5
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sender.addTransceiver(_Flashes(begin), direction="sendonly")
    sender.addTransceiver(_Claps(begin), direction="sendonly")
    viewer = _Viewer()
    try:
        async with aiohttp.ClientSession() as http:
            await _negotiated(http, f"{url}whip?sound=on", sender)
            while not microphone.on:
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)  # reports of both sides, and the picture's latency
            await _negotiated(http, f"{url}whep", viewer.peer)
            await asyncio.sleep(seconds)
        return viewer
    finally:
        await sender.close()
        await viewer.close()


def measured(folder: Path, seconds: float) -> Apart:
    """What a session of so many seconds gives."""
    camera, microphone, stages = BrowserCamera(), BrowserMicrophone(), clocks()
    session = LiveSession(
        [actor_of("me", dressable_avatar(gaussians=4000))],
        SMALL,
        feed=_LightOrDark(camera, stages["track"]),
        source_kind="browser",
        script=motionless(),
        clocks=stages,
        keys={},
        record_to=folder / "me.mkv",
        recorder=lambda path: RecordingSink(path, fps=30, listen=voice.hear),
    )
    voice = Voice(microphone, latency=session.picture_latency, silent=lambda: session.silent)
    session.have_voice(voice)
    config = WebConfig(port=0)
    server = WebServer(
        session, StageClock(), config, camera=camera, microphone=microphone, voice=voice
    )
    with session, contextlib.closing(voice), contextlib.closing(server):
        url = server.start()
        session.start()
        voice.start()
        session.wait_for_picture(60.0)
        recorder = threading.Timer(4.0, session.record_now)
        recorder.start()
        viewer = asyncio.run(_run(url, microphone, seconds))
        recorder.join()
    with av.open(str(folder / "me.mkv")) as film:
        frames = list(film.decode(audio=0))
    rate, first = frames[0].sample_rate, float((frames[0].pts or 0) * (frames[0].time_base or 0))
    samples: Any = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    with av.open(str(folder / "me.mkv")) as film:
        heads = [
            (float((one.pts or 0) * (one.time_base or 0)), head_in(one.to_ndarray(format="gray")))
            for one in film.decode(video=0)
        ]
    return Apart(
        recording=apart(first + onsets(samples, rate), turns_of(heads)),
        viewer=apart(_claps_heard(viewer.sound), turns_of(viewer.heads)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), 60 * options.minutes)
    for where, late in (("recording", found.recording), ("viewer", found.viewer)):
        ms = 1000 * late
        print(
            f"{where:9}  {len(ms):4} claps  median {np.median(ms):+5.0f} ms  5 to 95 %"
            f" {np.percentile(ms, 5):+5.0f} to {np.percentile(ms, 95):+5.0f}"
            f"  first tenth {np.median(ms[: max(1, len(ms) // 10)]):+5.0f}"
            f"  last tenth {np.median(ms[-max(1, len(ms) // 10) :]):+5.0f}"
        )


if __name__ == "__main__":
    main()
