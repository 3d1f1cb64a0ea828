"""The browser's or OBS's camera over WebRTC (WHIP). Its pictures go to the session's source of pictures and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import cast

from aiortc import MediaStreamTrack, RTCIceServer
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from runtime.sources.browser import BrowserCamera
from runtime.web.aiortc_hooks import limit_decoded_pictures
from runtime.web.bandwidth import promise_bandwidth
from runtime.web.jitter import deliver_frames_at_once
from runtime.web.offers import Offer
from runtime.web.peers import Peer


class Publisher:
    """Takes one camera at a time: a new one replaces the old one. Used in the event loop only."""

    def __init__(
        self, camera: BrowserCamera, *, ice_servers: Sequence[RTCIceServer], loopback: bool
    ) -> None:
        self._camera, self._ice_servers, self._loopback = camera, ice_servers, loopback
        self._readers: dict[Peer, asyncio.Task[None] | None] = {}

    async def publish(self, offer: Offer) -> tuple[str, str]:
        """Take a camera: its id and the SDP answer.

        Raises UserError where the offer cannot be met, and while the session takes its motion from elsewhere; the camera before
        stays then.
        """
        if self._camera.closed:
            raise UserError(
                "the motion comes from another source just now: choose this browser's camera on the stage first"
            )
        obstacles = [offer.codec_obstacle(codec) for codec in ("VP8", "H264")]
        if all(obstacles):
            raise UserError(
                f"the SDP offer {' and '.join(obstacles)}: send VP8, or H264 with packetization-mode=1 as Baseline"
            )
        before = list(self._readers)
        peer = Peer(self._ice_servers, self._forget)
        self._readers[peer] = None
        transceiver = peer.connection.addTransceiver("video", direction="recvonly")
        limit_decoded_pictures()
        deliver_frames_at_once(transceiver.receiver)
        promise_bandwidth(transceiver.receiver)
        answer = await peer.answer(offer, transceiver, loopback=self._loopback)
        for old in before:
            old.end()
        if peer in self._readers:
            reading = _read(transceiver.receiver.track, self._camera)
            self._readers[peer] = asyncio.get_running_loop().create_task(reading)
        return peer.id, answer

    async def end(self, peer_id: str) -> bool:
        """End a camera's connection; False where there is none of that id."""
        for peer in list(self._readers):
            if peer.id == peer_id:
                await peer.end()
                return True
        return False

    async def close(self) -> None:
        """End the connection, if there is one."""
        await asyncio.gather(*(peer.end() for peer in list(self._readers)))

    def _forget(self, peer: Peer) -> None:
        reader = self._readers.pop(peer)
        if reader is not None:
            reader.cancel()


async def _read(track: MediaStreamTrack, camera: BrowserCamera) -> None:
    """Empties aiortc's queue, which has no bound, into the camera's slot for one. Whoever takes it from there converts it."""
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        if isinstance(frame, VideoFrame):
            camera.offer(partial(_rgb, frame), time.monotonic())


def _rgb(frame: VideoFrame) -> UInt8Array:
    """(H, W, 3) RGB."""
    return cast("UInt8Array", frame.to_ndarray(format="rgb24"))
