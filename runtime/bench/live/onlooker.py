"""Viewers in a separate process, so that their cost is not counted as the session's: aiortc peers.

`python -m runtime.bench.live.onlooker URL COUNT decoding|receiving [TOKEN]`: prints "watching" once all get pictures, and
ends when its standard input does. Those that decode then say which stamps they read when, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import aiohttp
import aiortc.rtcrtpreceiver
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from runtime.bench.live.stamps import stamp_in
from runtime.web.aiortc_hooks import offer_loopback
from runtime.web.jitter import deliver_frames_at_once

_DECODER = "get_decoder"  # of aiortc's receivers, where it looks for one
_PATIENCE = 20.0  # seconds for the first picture


class _NoDecoder:
    """In place of aiortc's decoder: passes nothing on."""

    def __init__(self, arrived: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        self._arrived, self._loop = arrived, loop

    def decode(self, _: Any) -> list[Any]:
        self._loop.call_soon_threadsafe(self._arrived.set)
        return []


class _Onlooker:
    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.arrived = asyncio.Event()
        self.stamps: list[tuple[int, float]] = []
        self._task: asyncio.Task[None] | None = None
        self.connection.on("track", self._take)

    async def join(self, http: aiohttp.ClientSession, url: str) -> None:
        transceiver = self.connection.addTransceiver("video", direction="recvonly")
        deliver_frames_at_once(transceiver.receiver)
        offer_loopback(self.connection)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        body = self.connection.localDescription.sdp
        async with http.post(
            f"{url}whep", data=body, headers={"Content-Type": "application/sdp"}
        ) as reply:
            answer = await reply.text()
            if reply.status != 201:
                raise RuntimeError(answer)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(self.arrived.wait(), _PATIENCE)

    def _take(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.get_running_loop().create_task(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                image: Any = frame.to_ndarray(format="rgb24")
                number = stamp_in(image)
                self.stamps.append((-1 if number is None else number, time.time()))
                self.arrived.set()

    async def close(self) -> None:
        await self.connection.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


async def _watch(url: str, count: int, *, decoding: bool, token: str) -> None:
    loop = asyncio.get_running_loop()
    onlookers = [_Onlooker() for _ in range(count)]
    if not decoding:
        waiting = iter(onlookers)
        # one after the other joins
        setattr(aiortc.rtcrtpreceiver, _DECODER, lambda _: _NoDecoder(next(waiting).arrived, loop))
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with aiohttp.ClientSession(headers=headers) as http:
            for onlooker in onlookers:
                await onlooker.join(http, url)
        print("watching", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        print(
            json.dumps([stamp for onlooker in onlookers for stamp in onlooker.stamps]), flush=True
        )
    finally:
        for onlooker in onlookers:
            await onlooker.close()


if __name__ == "__main__":
    asyncio.run(
        _watch(
            sys.argv[1],
            int(sys.argv[2]),
            decoding=sys.argv[3] == "decoding",
            token="".join(sys.argv[4:5]),
        )
    )
