"""A camera sent by WebRTC to the session, with aiortc on the sending side."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from fractions import Fraction
from typing import Any

import aiohttp
import aiortc.rtcrtpreceiver
import av
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpCodecParameters
from aiortc.jitterbuffer import JitterFrame
from av.error import FFmpegError
from av.video.frame import VideoFrame
from web_session import (
    PATIENCE,
    PaintedCamera,
    Watcher,
    number_in,
    painted,
    publish,
    serving,
    until,
)

from perse_live.arrays import UInt8Array
from runtime.live.frames import CapturedFrame
from runtime.sources.browser import BrowserCamera
from runtime.sources.contract import PictureSource, SourceLost
from runtime.web.aiortc_hooks import limit_decoded_pictures

HEADERS = {"Content-Type": "application/sdp"}


def read_one(camera: PictureSource) -> CapturedFrame:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(SourceLost):  # until it is back
            frame = camera.read(0.2)
            if frame is not None:
                return frame
    raise AssertionError("no picture came")


def test_what_is_published_can_be_read() -> None:
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                assert served.camera.read(0) is None  # nobody yet, which is not a loss
                connection, answer = await publish(http, served.url, PaintedCamera())
                assert (
                    "a=recvonly" in answer
                    and "a=sendonly" not in answer
                    and "a=sendrecv" not in answer
                )
                loop = asyncio.get_running_loop()
                frames = [
                    await loop.run_in_executor(None, read_one, served.camera) for _ in range(10)
                ]
                numbers = [number_in(frame.image) for frame in frames]
                assert numbers == sorted(set(numbers))
                last = frames[-1]
                assert np.abs(last.image.astype(int) - painted(numbers[-1])).mean() < 6
                assert 0 <= time.monotonic() - last.time < PATIENCE
                await connection.close()

        asyncio.run(body())


def test_a_new_camera_replaces_the_old_one() -> None:
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                first, _ = await publish(http, served.url, PaintedCamera())
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, read_one, served.camera)
                refused = Watcher()  # an offer that cannot be met replaces nothing
                refused.connection.addTransceiver("video", direction="recvonly")
                await refused.connection.setLocalDescription(await refused.connection.createOffer())
                async with http.post(
                    f"{served.url}whip",
                    data=refused.connection.localDescription.sdp,
                    headers=HEADERS,
                ) as reply:
                    assert reply.status == 400
                await refused.close()
                assert first.connectionState == "connected"
                second, _ = await publish(http, served.url, PaintedCamera())
                await until(lambda: first.connectionState == "closed")
                await loop.run_in_executor(None, read_one, served.camera)
                await until(lambda: second.connectionState == "connected")
                await second.close()

        asyncio.run(body())


@pytest.mark.slow
def test_a_camera_that_is_taken_away_is_a_loss_and_may_come_back() -> None:
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                loop = asyncio.get_running_loop()
                for _ in range(2):
                    connection, _ = await publish(http, served.url, PaintedCamera())
                    await loop.run_in_executor(None, read_one, served.camera)
                    await connection.close()

                    def read_until_lost() -> None:
                        for _ in range(100):
                            served.camera.read(0.2)

                    with pytest.raises(SourceLost, match="live page"):
                        await loop.run_in_executor(None, read_until_lost)

        asyncio.run(body())


def test_a_camera_is_ended_by_request() -> None:
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                watcher = Watcher()
                watcher.connection.addTransceiver(PaintedCamera(), direction="sendonly")
                await watcher.connection.setLocalDescription(await watcher.connection.createOffer())
                async with http.post(
                    f"{served.url}whip",
                    data=watcher.connection.localDescription.sdp,
                    headers=HEADERS,
                ) as reply:
                    location = reply.headers["Location"]
                for status in (200, 404):
                    async with http.delete(served.url + location[1:]) as reply:
                        assert reply.status == status
                await watcher.close()

        asyncio.run(body())


def test_nobody_may_publish_to_a_session_without_a_browser_camera() -> None:
    with serving() as served:

        async def body() -> None:
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{served.url}whip", data="v=0", headers=HEADERS) as reply,
            ):
                assert reply.status == 404 and "--camera browser" in (await reply.json())["error"]

        asyncio.run(body())


def test_the_camera_picture_goes_to_nobody() -> None:
    """Not to viewers, not to the publisher, by no route: whatever is sent is the avatar's."""
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                watcher, sees_back = Watcher(), Watcher()
                connection, _ = await publish(http, served.url, PaintedCamera())
                both = sees_back.connection.addTransceiver(PaintedCamera(), direction="sendrecv")
                await sees_back.connection.setLocalDescription(
                    await sees_back.connection.createOffer()
                )
                offer = sees_back.connection.localDescription.sdp
                async with http.post(f"{served.url}whep", data=offer, headers=HEADERS) as reply:
                    assert reply.status == 201 and "a=sendonly" in await reply.text()
                async with http.post(f"{served.url}whip", data=offer, headers=HEADERS) as reply:
                    assert reply.status == 201 and "a=recvonly" in await reply.text()
                assert both.direction == "sendrecv"
                await watcher.join(http, served.url)
                await watcher.decoded(10)
                assert watcher.image is not None
                # The avatar's count; the camera's begins at 0
                assert number_in(watcher.image) >= 20_000
                for path in ("api/state", "api/stats"):
                    async with http.get(served.url + path) as reply:
                        assert (
                            reply.content_type == "application/json"
                            and len(await reply.read()) < 5000
                        )
                await watcher.close()
                await sees_back.close()
                await connection.close()

        served.session.count = 20_000
        asyncio.run(body())


def test_pictures_that_nobody_reads_are_not_converted() -> None:
    camera = BrowserCamera()
    converted: list[int] = []

    def picture(number: int) -> UInt8Array:
        converted.append(number)
        return painted(number)

    for number in range(100):
        camera.offer(lambda number=number: picture(number), float(number))
    frame = camera.read(0)
    assert frame is not None and frame.time == 99.0 and number_in(frame.image) == 99
    assert converted == [99]
    assert camera.read(0) is None


def test_a_reader_that_waits_is_released_at_the_end() -> None:
    camera = BrowserCamera()
    results: list[CapturedFrame | None] = []
    reader = threading.Thread(target=lambda: results.append(camera.read(PATIENCE)))
    reader.start()
    camera.close()
    camera.close()
    reader.join(PATIENCE)
    assert results == [None]
    assert camera.name == "browser camera" and camera.live


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "mime_type"), [("libvpx", "video/VP8"), ("libx264", "video/H264")]
)
def test_pictures_that_are_too_large_are_not_decoded(encoder: str, mime_type: str) -> None:
    """A keyframe of a few hundred bytes may declare any size; the usual ones are decoded as before."""
    limit_decoded_pictures()
    decoder: Any = getattr(aiortc.rtcrtpreceiver, "get_decoder")(
        RTCRtpCodecParameters(mime_type, clockRate=90_000)
    )
    for width, height, decoded in ((640, 480, True), (3840, 2176, False), (3840, 2160, True)):
        context: Any = av.CodecContext.create(encoder, "w")
        context.width, context.height, context.pix_fmt, context.time_base = (
            width,
            height,
            "yuv420p",
            Fraction(1, 30),
        )
        context.options = (
            {"deadline": "realtime", "lag-in-frames": "0"}
            if encoder == "libvpx"
            else {"tune": "zerolatency"}
        )
        frame = VideoFrame(width, height, "yuv420p")
        frame.pts = 0
        (packet,) = [*context.encode(frame), *context.encode(None)][:1]
        frames: list[Any] = []
        with contextlib.suppress(FFmpegError):
            frames = decoder.decode(JitterFrame(bytes(packet), 0))
        frames = [one for one in frames if (one.width, one.height) == (width, height)]
        assert bool(frames) == decoded, (width, height)


def test_a_camera_without_a_codec_that_is_taken_is_told_why() -> None:
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
                sender.addTransceiver(PaintedCamera(), direction="sendonly")
                await sender.setLocalDescription(await sender.createOffer())
                offer = sender.localDescription.sdp.replace("VP8/90000", "VP9/90000").replace(
                    "packetization-mode=1", "a=b"
                )
                async with http.post(f"{served.url}whip", data=offer, headers=HEADERS) as reply:
                    error = (await reply.json())["error"]
                    assert (
                        reply.status == 400
                        and "without video/VP8 and has H264 only without packetization-mode=1"
                        in error
                    )
                await sender.close()

        asyncio.run(body())
