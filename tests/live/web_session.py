"""What the tests of the web server share: a session that paints, and peers that watch it or send it a camera."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from runtime.live.actions import Action, Hide, SetAttribute
from runtime.live.clock import StageClock
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest
from runtime.sources.browser import BrowserCamera
from runtime.web.aiortc_hooks import offer_loopback
from runtime.web.server import WebConfig, WebServer

PATIENCE = 20.0  # seconds that a test waits for what must come
_BITS, _CELL = 16, 12  # a frame's number is painted as so many cells of so many pixels


def painted(number: int, *, width: int = 256, height: int = 192) -> UInt8Array:
    """A picture that a decoder can be checked by: its number as black and white cells above red, green, blue and grey."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = (200, 40, 40)
    image[:, width // 2 :] = (40, 180, 60)
    image[height // 2 :, : width // 2] = (40, 60, 200)
    image[height // 2 :, width // 2 :] = (128, 128, 128)
    for bit in range(_BITS):
        image[:_CELL, bit * _CELL : (bit + 1) * _CELL] = 235 if number >> bit & 1 else 16
    return image


def number_in(image: UInt8Array) -> int:
    """The number painted into a picture, also after encoding."""
    row = image[_CELL // 2, :, 1]
    return sum(1 << bit for bit in range(_BITS) if row[bit * _CELL + _CELL // 2] > 128)


class PaintedSession:
    """A `Control` whose avatar is a painted picture that counts."""

    def __init__(self, rate: float = 30.0) -> None:
        self.drawn: Latest[DrawnFrame] = Latest()
        self.size: tuple[int, int] = (256, 192)
        self.acts: list[Action] = []
        self.count = 0
        self.recorded: Path | None = None
        self.painting = threading.Event()
        self.painting.set()
        self._rate, self._ended = rate, threading.Event()
        self._thread = threading.Thread(target=self._paint, name="painter")
        self._thread.start()

    def act(self, action: Action) -> None:
        if isinstance(action, SetAttribute) and action.name != "hat":
            raise UserError(f"there is no attribute {action.name}")
        self.acts.append(action)

    def state(self) -> dict[str, object]:
        return {
            "hidden": any(isinstance(action, Hide) for action in self.acts),
            "acts": len(self.acts),
        }

    def stats(self) -> dict[str, object]:
        return {"fps": 30.0}

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.drawn.close()

    def _paint(self) -> None:
        while not self._ended.wait(1 / self._rate):
            if self.painting.is_set():
                self.count += 1
                image = painted(self.count, width=self.size[0], height=self.size[1])
                self.drawn.put(DrawnFrame(image, False, time.monotonic(), None, self.count))


@dataclass
class Served:
    """A running server and what it serves."""

    session: PaintedSession
    server: WebServer
    url: str
    clock: StageClock
    camera: BrowserCamera = field(default_factory=BrowserCamera)


@contextlib.contextmanager
def serving(
    config: WebConfig | None = None, *, with_camera: bool = False
) -> Generator[Served, None, None]:
    """A server on a free port with a painted session."""
    session, clock, camera = PaintedSession(), StageClock(), BrowserCamera()
    server = WebServer(
        session, clock, config or WebConfig(port=0), camera=camera if with_camera else None
    )
    try:
        yield Served(session, server, server.start(), clock, camera)
    finally:
        server.close()
        session.close()
        camera.close()


class Watcher:
    """An aiortc viewer: keeps the numbers of the frames it decoded, the last picture, and what came over its data channel."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.connection.createDataChannel("control")
        self.messages: list[str] = []
        self.numbers: list[int] = []
        self.keyframes = 0
        self.image: UInt8Array | None = None
        self.location = ""
        self.status = 0
        self._task: asyncio.Task[None] | None = None
        self.channel.on("message", self.messages.append)
        self.connection.on("track", self._watch)

    async def join(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        change: Callable[[str], str] = lambda sdp: sdp,
        change_answer: Callable[[str], str] = lambda sdp: sdp,
    ) -> None:
        self.connection.addTransceiver("video", direction="recvonly")
        offer_loopback(self.connection)  # for machines without a network
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = change(self.connection.localDescription.sdp)
        async with http.post(
            f"{url}whep", data=offer, headers={"Content-Type": "application/sdp"}
        ) as reply:
            self.status, text = reply.status, await reply.text()
            if reply.status != 201:
                return
            self.location = reply.headers["Location"]
        await self.connection.setRemoteDescription(
            RTCSessionDescription(change_answer(text), "answer")
        )

    async def decoded(self, count: int) -> None:
        """Wait for so many more frames."""
        target = len(self.numbers) + count
        await until(lambda: len(self.numbers) >= target)

    async def close(self) -> None:
        await self.connection.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _watch(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.get_running_loop().create_task(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                image: Any = frame.to_ndarray(format="rgb24")
                self.image = image
                self.keyframes += frame.key_frame
                self.numbers.append(number_in(image))


class PaintedCamera(VideoStreamTrack):
    """A camera that counts, at 30 pictures a second."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        self.count += 1
        frame = VideoFrame.from_ndarray(painted(self.count), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


async def publish(
    http: aiohttp.ClientSession, url: str, camera: MediaStreamTrack
) -> tuple[RTCPeerConnection, str]:
    """Send a camera; its connection and the answer."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(camera, direction="sendonly")
    offer_loopback(connection)
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with http.post(
        f"{url}whip", data=connection.localDescription.sdp, headers=headers
    ) as reply:
        assert reply.status == 201, await reply.text()
        answer = await reply.text()
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return connection, answer


@contextlib.asynccontextmanager
async def watching(url: str, count: int = 1) -> AsyncGenerator[list[Watcher], None]:
    """Viewers that see something."""
    watchers = [Watcher() for _ in range(count)]
    try:
        async with aiohttp.ClientSession() as http:
            for watcher in watchers:
                await watcher.join(http, url)
                assert watcher.status == 201
        for watcher in watchers:
            await watcher.decoded(1)
            await until(lambda watcher=watcher: watcher.channel.readyState == "open")
        yield watchers
    finally:
        for watcher in watchers:
            await watcher.close()


def key_pair(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine and its key, made by openssl; skips the test where that is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            cert,
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)
