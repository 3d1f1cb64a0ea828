"""A strict WHIP server for tests, with aiohttp and aiortc: it takes only what RFC 9725 allows, and looks at what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from perse_live.arrays import UInt8Array
from runtime.web.aiortc_hooks import limit_decoded_pictures, only_loopback

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Stream:
    """What has come over one connection."""

    connection: RTCPeerConnection
    codec: str
    offer: str
    pictures: list[UInt8Array] = field(default_factory=list[Any])
    keyframes: int = 0
    sound: list[AudioFrame] = field(default_factory=list[AudioFrame])
    deleted: bool = False


class WhipServer:
    """Used through `whip_server`; attributes may be changed between requests."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.codecs: tuple[str, ...] = ("video/VP8", "video/H264")
        self.takes_sound = True
        self.before: Reply | None = None
        """Answers a POST instead, where it is set."""
        self.links: list[str] = []
        self.links_in_answer: list[str] = []
        self.streams: list[Stream] = []
        self.requests: list[tuple[str, str, str]] = []
        """Method, path, and the header Authorization."""
        self.look: Callable[[UInt8Array], None] = lambda _: None
        self.url = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._readers: set[asyncio.Task[None]] = set()

    @property
    def stream(self) -> Stream:
        return self.streams[-1]

    def lose(self) -> None:
        """Let the newest connection break off, as with a server that is restarted."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self._lose(self.stream), self.loop).result(20)

    # ----- in the server's loop

    async def _lose(self, stream: Stream) -> None:
        while stream.connection.connectionState != "connected":  # else the other side is not told
            await asyncio.sleep(0.02)
        await stream.connection.close()

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/whip/me", self._publish),
                web.options("/whip/me", self._options),
                web.post("/elsewhere", self._publish),
                web.delete("/session/{number}", self._delete),
            ]
        )
        return app

    async def close(self) -> None:
        for stream in self.streams:
            await stream.connection.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _note(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        self.requests.append((request.method, request.path, given))
        if self.token is not None and given != f"Bearer {self.token}":
            raise web.HTTPUnauthorized(text="no such token")

    async def _options(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        return self._with_links(web.Response(status=204), self.links)

    async def _publish(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if self.before is not None:
            return await self.before(request)
        if request.headers.get("Content-Type") != "application/sdp":
            raise web.HTTPUnsupportedMediaType(text="send application/sdp")
        offer = await request.text()
        check_offer(offer)
        limit_decoded_pictures()  # by FFmpeg's decoders, which tell keyframes
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        stream = Stream(connection, "", offer)
        connection.on("track", lambda track: self._start(stream, track))
        transceiver = connection.addTransceiver("video", direction="recvonly")
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        wanted = [one for name in self.codecs for one in capabilities if one.mimeType == name]
        transceiver.setCodecPreferences(wanted)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        only_loopback(connection)
        await connection.setLocalDescription(await connection.createAnswer())
        answer = connection.localDescription.sdp
        if not self.takes_sound:
            answer = re.sub(
                r"m=audio \d+ (.*?) .*?(?=m=|\Z)", r"m=audio 0 \1 0\r\n", answer, flags=re.DOTALL
            )
        number = len(self.streams)
        self.streams.append(stream)
        headers = {"Location": f"/session/{number}"}
        response = web.Response(
            status=201, text=answer, content_type="application/sdp", headers=headers
        )
        return self._with_links(response, self.links_in_answer)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        stream = self.streams[int(request.match_info["number"])]
        stream.deleted = True
        await stream.connection.close()
        return web.Response(status=200)

    def _with_links(self, response: web.Response, links: list[str]) -> web.Response:
        for link in links:
            response.headers.add("Link", link)
        return response

    def _start(self, stream: Stream, track: MediaStreamTrack) -> None:
        self._readers.add(asyncio.get_running_loop().create_task(self._read(stream, track)))

    async def _read(self, stream: Stream, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    image: Any = frame.to_ndarray(format="rgb24")
                    self.look(image)
                    stream.keyframes += frame.key_frame
                    stream.pictures = [*stream.pictures[-3:], image]
                elif isinstance(frame, AudioFrame):
                    stream.sound.append(frame)


def check_offer(sdp: str) -> None:
    """Raises web.HTTPNotAcceptable for an offer that RFC 9725, section 4.2, does not allow."""
    sections = re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)[1:]
    mids = re.findall(r"^a=mid:(\S+)", sdp, re.MULTILINE)
    complaints = [
        text
        for wrong, text in (
            (f"a=group:BUNDLE {' '.join(mids)}\r\n" not in sdp, "media are not bundled"),
            (any("a=sendonly" not in one for one in sections), "not sendonly"),
            (any("a=setup:actpass" not in one for one in sections), "setup is not actpass"),
            (any("a=rtcp-mux" not in one for one in sections), "no rtcp-mux"),
            ("a=candidate:" not in sdp, "no candidates"),
            (len({re.findall(r"a=msid:(\S+)", one)[0] for one in sections}) != 1, "two streams"),
        )
        if wrong
    ]
    if complaints:
        raise web.HTTPNotAcceptable(text=", ".join(complaints))


@contextlib.contextmanager
def whip_server(
    token: str | None = None, tls: ssl.SSLContext | None = None
) -> Generator[WhipServer, None, None]:
    """A server on a free port of this machine, on a separate thread."""
    server = WhipServer(token)
    ready, leave = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server.loop = asyncio.get_running_loop()
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/whip/me"
        ready.set()
        await leave.wait()
        await server.close()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="whip server")
    thread.start()
    assert ready.wait(20)
    try:
        yield server
    finally:
        assert server.loop is not None
        server.loop.call_soon_threadsafe(leave.set)
        thread.join()
