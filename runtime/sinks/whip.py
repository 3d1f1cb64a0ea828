"""Publishing the avatar to a WHIP server, such as an SFU that thousands watch through: picture and voice, encoded once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import aiohttp
import numpy as np
from aiortc import RTCIceServer, RTCRtpSender
from yarl import URL

from perse_live.errors import UserError
from perse_live.threads import name_this_thread
from runtime.live.clock import StageClock
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest
from runtime.sound.voice import Voice
from runtime.web.aiortc_hooks import on_keyframe_request
from runtime.web.codec import CodecName, EncodeConfig
from runtime.web.encoder import SharedEncoder
from runtime.web.event_loop import log_loop_error, settle
from runtime.web.ice import IceServer
from runtime.web.peers import Peer
from runtime.web.viewers import PacketTrack
from runtime.web.voice import SharedVoice, VoiceTrack
from runtime.web.whip_http import (
    WhipRefused,
    WhipTarget,
    delete_session,
    post_offer,
    recommended_ice_servers,
)

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the first attempt to connect again, and at most between two attempts."""
_STABLE = 30.0  # seconds after which a connection counts as good: the pauses begin again
_KEYFRAMES = 2.0  # seconds between keyframes: what services ask for that cut a stream into segments (HLS), Twitch among them
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([\w-]+)/", re.MULTILINE)
_MIME_TYPES: dict[CodecName, str] = {"vp8": "video/VP8", "h264": "video/H264"}


def pause_before(attempt: int, chance: float) -> float:
    """Seconds to wait before an attempt to connect again: doubled each time up to `LONGEST_PAUSE`, and spread by a fifth.

    attempt: counted from 0; chance: in [0, 1), spreads the attempts of many publishers after a server's restart.
    """
    pause = LONGEST_PAUSE if attempt > 10 else min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
    return pause * (0.8 + 0.2 * chance)


@dataclass(frozen=True, eq=False)
class _Session:
    peer: Peer
    resource: URL | None
    """To be deleted at the end."""
    ended: asyncio.Event
    began: float
    """Seconds of time.monotonic()."""


class WhipSink:
    """A `Sink` with an event loop on a separate thread; a connection that is lost comes back by itself."""

    def __init__(
        self,
        target: WhipTarget,
        encoding: EncodeConfig,
        *,
        ice_servers: tuple[IceServer, ...] = (),
        voice: Voice | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect. encoding: its codec is offered first, the server chooses. voice: sent too, where the server takes sound.
        tell: given a line when the connection is lost, and when it is back; on the sink's thread.

        Raises UserError, one line that says why and what to do, where the server refuses or cannot be reached.
        """
        self._target, self._encoding, self._voice, self._tell = target, encoding, voice, tell
        self._ice_servers = ice_servers
        self._learnt: tuple[IceServer, ...] = ()
        self._frames: Latest[DrawnFrame] = Latest()
        self._encoders: dict[CodecName, SharedEncoder] = {}
        self._shared_voice: SharedVoice | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._closing = False
        self._failure: UserError | None = None
        self.problem = ""
        """Why the stream is disconnected; empty while it is connected."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="publish")
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Display name, such as "publishing to live.example.org"."""
        return f"publishing to {self._target.host}"

    def write(self, frame: DrawnFrame) -> None:
        """Show a frame. Raises UserError once the server has refused for good."""
        if self._failure is not None:
            raise self._failure
        self._frames.put(_without_matte(frame))

    def close(self) -> None:
        """Tell the server that the stream is over. Closing again does nothing."""
        self._closing = True
        if self._loop is not None and self._leave is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()
        self._frames.close()

    # ----- on the sink's thread

    def _run(self, ready: Future[None]) -> None:
        name_this_thread()
        try:
            asyncio.run(self._work(ready))
        except BaseException as error:
            if ready.done():
                _log.exception("%s ended", self.name)
                self._failure = UserError(f"{self.name} ended by a fault: the log says more")
            else:
                ready.set_exception(error)

    async def _work(self, ready: Future[None]) -> None:
        self._leave, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._loop.set_exception_handler(log_loop_error)
        if self._closing:
            return
        if self._voice is not None:
            self._shared_voice = SharedVoice(self._voice)
        try:
            async with aiohttp.ClientSession() as http:
                session = await self._until_leaving(self._connected(http))
                if session is None:  # closed meanwhile
                    ready.cancel()
                    return
                ready.set_result(None)
                await self._publish(http, session)
        finally:
            if self._shared_voice is not None:
                self._shared_voice.close()
            for encoder in self._encoders.values():
                encoder.close()
            await settle()

    async def _publish(self, http: aiohttp.ClientSession, first: _Session) -> None:
        """Keep the stream up until the end."""
        assert self._leave is not None
        session: _Session | None = first
        attempt = 0
        while session is not None:
            await self._until_leaving(self._watched(session))
            await asyncio.gather(
                session.peer.end(), delete_session(http, self._target, session.resource)
            )
            if self._leave.is_set():
                return
            if time.monotonic() - session.began > _STABLE:
                attempt = 0
            self._say(f"the connection to {self._target.host} was lost: connecting again")
            session, attempt = await self._connected_again(http, attempt)

    async def _connected_again(
        self, http: aiohttp.ClientSession, attempt: int
    ) -> tuple[_Session | None, int]:
        """A new session and the number of the attempt after it; None at the end, or where the server refuses for good."""
        asked = 0.0
        while True:
            pause = max(asked, pause_before(attempt, random.random()))
            attempt += 1
            await self._until_leaving(asyncio.sleep(pause))
            try:
                session = await self._until_leaving(self._connected(http))
            except WhipRefused as error:
                self._say(str(error))
                if error.final:
                    self._failure = error
                    return None, attempt
                asked = error.retry_after
            except UserError as error:
                self._say(str(error))
            else:
                if session is not None:
                    self.problem = ""
                    self._tell(f"{self.name} again")
                return session, attempt

    def _say(self, problem: str) -> None:
        """Say a problem that was not said just before."""
        if problem != self.problem:
            self.problem = problem
            _log.warning("%s", problem)
            self._tell(problem)

    async def _until_leaving(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """Result of the work, or None at the end. Raises what the work raises."""
        assert self._leave is not None
        task = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._leave.wait())
        try:
            await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            leaving.cancel()
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, UserError):
                    await task

    async def _watched(self, session: _Session) -> None:
        """Returns when the connection is lost; asks for keyframes meanwhile."""
        while not session.ended.is_set():
            for encoder in self._encoders.values():
                encoder.request_keyframe()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(session.ended.wait(), _KEYFRAMES)

    async def _connected(self, http: aiohttp.ClientSession) -> _Session:
        """A connection to the server, with media on the way. Raises UserError."""
        recommended = await recommended_ice_servers(http, self._target)
        known = self._ice_servers or recommended or self._learnt
        try:
            return await self._negotiated(http, known, with_sound=self._shared_voice is not None)
        except _SoundRefused:
            _log.warning("%s takes no sound: the picture is sent alone", self._target.host)
            return await self._negotiated(http, known, with_sound=False)
        except _NotConnected:
            if self._ice_servers or not self._learnt or self._learnt == known:
                raise
            return await self._negotiated(  # it has named servers in its answer
                http, self._learnt, with_sound=self._shared_voice is not None
            )

    async def _negotiated(
        self, http: aiohttp.ClientSession, ice_servers: tuple[IceServer, ...], *, with_sound: bool
    ) -> _Session:
        ended, connected = asyncio.Event(), asyncio.Event()
        servers = [RTCIceServer(one.url, one.username, one.credential) for one in ice_servers]
        peer = Peer(servers, lambda _: ended.set(), bundle=True)
        peer.connection.on(
            "connectionstatechange",
            lambda: connected.set() if peer.connection.connectionState == "connected" else None,
        )
        resource: URL | None = None
        voice: VoiceTrack | None = None
        try:
            video = peer.connection.addTransceiver("video", direction="sendonly")
            capabilities = RTCRtpSender.getCapabilities("video").codecs
            first = _MIME_TYPES[self._encoding.codec]
            # sorted is stable: the codec that is preferred comes first, its profiles in aiortc's order
            video.setCodecPreferences(sorted(capabilities, key=lambda one: one.mimeType != first))
            if with_sound and self._shared_voice is not None:
                voice = self._shared_voice.track()
                peer.connection.addTransceiver(voice, direction="sendonly")
            offer = await peer.offer(loopback=self._target.on_this_machine)
            answer = await post_offer(http, self._target, offer)
            resource, self._learnt = answer.session, answer.ice_servers or self._learnt
            if voice is not None and _is_rejected(answer.sdp, "audio"):
                raise _SoundRefused
            codec = chosen_codec(answer.sdp)
            if codec is None or _is_rejected(answer.sdp, "video"):
                raise WhipRefused(f"{self._target.host} takes neither VP8 nor H.264")
            video.setCodecPreferences(
                [one for one in capabilities if one.mimeType in (_MIME_TYPES[codec], "video/rtx")]
            )
            await peer.accept(answer.sdp)
            encoder = self._encoder(codec)
            on_keyframe_request(video.sender, encoder.request_keyframe)
            video.sender.replaceTrack(PacketTrack(encoder))
            await _first(connected, ended)
            if not connected.is_set():
                raise _NotConnected(
                    f"{self._target.host} has taken the stream, but media does not get through to it (UDP): see"
                    " --ice and the server's own address"
                )
            return _Session(peer, resource, ended, time.monotonic())
        except BaseException:
            if voice is not None:
                voice.stop()
            peer.end()
            await asyncio.shield(delete_session(http, self._target, resource))
            raise

    def _encoder(self, codec: CodecName) -> SharedEncoder:
        """Of that codec, running; one that was used before idles and costs nothing."""
        if codec not in self._encoders:
            config = replace(self._encoding, codec=codec)
            self._encoders[codec] = SharedEncoder(self._frames, StageClock(), config)
            self._encoders[codec].start()
        return self._encoders[codec]


class _SoundRefused(Exception):
    """The server takes the picture, but no sound."""


class _NotConnected(UserError):
    """Offer and answer are exchanged, but nothing gets through."""


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _section(sdp: str, kind: str) -> str:
    """The media section of a kind, from its m= line on; empty where there is none."""
    found = re.search(rf"^m={kind} .*?(?=^m=|\Z)", sdp, re.MULTILINE | re.DOTALL)
    return "" if found is None else found[0]


def _is_rejected(sdp: str, kind: str) -> bool:
    """Whether an answer declines a kind of media: port 0 (RFC 3264, section 6), or no section at all."""
    section = _section(sdp, kind)
    return not section or section.startswith(f"m={kind} 0 ")


def chosen_codec(sdp: str) -> CodecName | None:
    """The video codec that an answer wants: the first of its payload types that we encode (RFC 3264, section 6.1)."""
    section = _section(sdp, "video")
    names = {number: name.upper() for number, name in _RTPMAP.findall(section)}
    for payload_type in section.splitlines()[0].split()[3:] if section else ():
        match names.get(payload_type):
            case "VP8":
                return "vp8"
            case "H264":
                return "h264"
            case _:
                pass
    return None


def _without_matte(frame: DrawnFrame) -> DrawnFrame:
    """Of a two-up matte the avatar on black: viewers know no transparency."""
    if not frame.matte:
        return frame
    half = frame.image.shape[1] // 2
    return replace(frame, image=np.ascontiguousarray(frame.image[:, :half]), matte=False)
