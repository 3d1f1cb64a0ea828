"""Viewers that draw by themselves: bundles over HTTP, scenes and motion over WebRTC data channels or WebSockets.

A message is encoded once and written to every viewer; slow viewers miss messages, and nothing is queued. Data channels
do not wait for lost packets, but cost the publisher many times what WebSockets cost (docs/reach.md): their number is limited.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from aiohttp import WSMsgType, web
from aiortc import RTCDataChannel, RTCIceServer
from aiortc.exceptions import InvalidStateError

from runtime.web.offers import Offer
from runtime.web.peers import Peer
from runtime.web.shared_motion import SharedMotion, Update
from runtime.web.viewers import TooManyViewers
from runtime.web.voice import SharedVoice, VoiceTrack

MOTION, SCENE = "motion", "scene"
"""Names of the data channels: unordered and unreliable, and reliable."""
ASK_FOR_KEY = "key"
"""Request of a viewer that has lost the key message."""
_KEY_SECONDS = 0.2  # between two answers to one viewer
_MAX_SOCKETS = 240
_HEARTBEAT = 10.0  # seconds between pings of a WebSocket
_BINARY = 0x82  # first byte of a WebSocket's whole binary message (RFC 6455, section 5.2)


class _Viewer(ABC):
    """A viewer; subclasses implement the transport."""

    def __init__(self) -> None:
        self._answered = 0.0

    @abstractmethod
    def tell(self, scene: str) -> None:
        """Send a scene."""

    @abstractmethod
    def move(self, message: bytes, framed: bytes) -> None:
        """Send a message of motion; framed: the same as a WebSocket's frame."""

    def may_ask(self) -> bool:
        """Whether a request for the key message is answered now."""
        now = time.monotonic()
        due = now - self._answered >= _KEY_SECONDS
        if due:
            self._answered = now
        return due


class _SocketViewer(_Viewer):
    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        super().__init__()
        self._socket, self._transport = socket, transport
        self._sending: set[asyncio.Task[None]] = set()

    def tell(self, scene: str) -> None:
        task = asyncio.get_running_loop().create_task(self._socket.send_str(scene))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # the connection has gone: its reader ends it

    def move(self, message: bytes, framed: bytes) -> None:
        transport = self._transport
        if not transport.is_closing() and not transport.get_write_buffer_size():
            transport.write(framed)  # a whole frame, so that it cannot come into another one


class _ChannelViewer(_Viewer):
    def __init__(self) -> None:
        super().__init__()
        self.motion: RTCDataChannel | None = None
        self.scene: RTCDataChannel | None = None

    def tell(self, scene: str) -> None:
        _send(self.scene, scene)

    def move(self, message: bytes, framed: bytes) -> None:
        _send(self.motion, message)


class DrawingViewers:
    """All viewers that draw; used in the event loop only, except for `count`."""

    def __init__(
        self,
        shared: SharedMotion,
        *,
        voice: SharedVoice | None,
        ice_servers: Sequence[RTCIceServer],
        most_peers: int,
        loopback: bool,
    ) -> None:
        """voice: for those with WebRTC who want sound; most_peers: with data channels at a time; loopback: as `Peer.answer`."""
        self._shared, self._voice, self._ice_servers = shared, voice, ice_servers
        self._most_peers, self._loopback = most_peers, loopback
        self._viewers: set[_Viewer] = set()
        self._peers: dict[Peer, _ChannelViewer] = {}
        self._voices: dict[Peer, VoiceTrack] = {}
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def count(self) -> int:
        """Number of viewers connected or connecting."""
        return len(self._peers) + len(self._sockets)

    def start(self) -> None:
        """Begin to send."""
        loop = asyncio.get_running_loop()

        def deliver(update: Update) -> None:
            if self._viewers and not loop.is_closed():
                loop.call_soon_threadsafe(self._broadcast, update)

        self._shared.start(deliver)

    def _broadcast(self, update: Update) -> None:
        framed = _framed(update.message)
        for viewer in list(self._viewers):
            if update.scene is not None:
                viewer.tell(update.scene)
            if update.message:
                viewer.move(update.message, framed)

    def _welcome(self, viewer: _Viewer) -> None:
        if self._shared.scene:
            viewer.tell(self._shared.scene)
        self._give_key(viewer)

    def _give_key(self, viewer: _Viewer) -> None:
        if (key := self._shared.key_message) and viewer.may_ask():
            viewer.move(key, _framed(key))

    async def serve_socket(self, request: web.Request) -> web.WebSocketResponse:
        """Serve a viewer over a WebSocket until it leaves."""
        if len(self._sockets) >= _MAX_SOCKETS:
            raise web.HTTPServiceUnavailable(text=f"{_MAX_SOCKETS} viewers draw already")
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT, compress=False, max_msg_size=1024, timeout=1.0
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        viewer = _SocketViewer(socket, transport)
        self._sockets.add(socket)
        self._viewers.add(viewer)
        try:
            self._welcome(viewer)
            async for message in socket:
                if message.type == WSMsgType.TEXT and message.data == ASK_FOR_KEY:
                    self._give_key(viewer)
        finally:
            self._viewers.discard(viewer)
            self._sockets.discard(socket)
        return socket

    async def connect(self, offer: Offer) -> tuple[str, str]:
        """Take a viewer with data channels: its id and the SDP answer.

        Raises TooManyViewers where there is no room, and UserError where the offer cannot be met.
        """
        if len(self._peers) >= self._most_peers:
            raise TooManyViewers(
                f"{self._most_peers} viewers have a data channel already: use the WebSocket"
            )
        peer = Peer(self._ice_servers, self._forget)
        viewer = self._peers[peer] = _ChannelViewer()
        peer.connection.on("datachannel", lambda channel: self._open(viewer, channel))
        heard = None
        if self._voice is not None and offer.takes_sound:
            voice = self._voices[peer] = self._voice.track()
            heard = peer.connection.addTransceiver(voice, direction="sendonly")
        return peer.id, await peer.answer(offer, None, sound=heard, loopback=self._loopback)

    async def end(self, peer_id: str) -> bool:
        """End a connection; False where there is none of that id."""
        for peer in list(self._peers):
            if peer.id == peer_id:
                await peer.end()
                return True
        return False

    async def close(self) -> None:
        """End all, and the thread behind."""
        await asyncio.gather(
            *(peer.end() for peer in list(self._peers)),
            *(socket.close() for socket in list(self._sockets)),
            return_exceptions=True,
        )
        await asyncio.get_running_loop().run_in_executor(None, self._shared.close)

    def _open(self, viewer: _ChannelViewer, channel: RTCDataChannel) -> None:
        if channel.label == MOTION and viewer.motion is None:
            viewer.motion = channel
        elif channel.label == SCENE and viewer.scene is None:
            viewer.scene = channel
            channel.on("message", lambda text: text == ASK_FOR_KEY and self._give_key(viewer))
        else:
            channel.close()
            return
        if (
            viewer.motion is not None
            and viewer.scene is not None
            and viewer in self._peers.values()
        ):
            self._viewers.add(viewer)
            self._welcome(viewer)

    def _forget(self, peer: Peer) -> None:
        self._viewers.discard(self._peers.pop(peer))
        if peer in self._voices:
            self._voices.pop(peer).stop()


def _framed(message: bytes) -> bytes:
    """A binary message as a WebSocket's frame from the server: whole, not masked, shorter than 64 KiB."""
    if len(message) < 126:
        return bytes([_BINARY, len(message)]) + message
    return bytes([_BINARY, 126]) + len(message).to_bytes(2, "big") + message


def _send(channel: RTCDataChannel | None, data: str | bytes) -> None:
    """Send what there is room for: a channel that does not drain misses messages of motion."""
    if channel is None or channel.readyState != "open":
        return
    if isinstance(data, bytes) and channel.bufferedAmount > 0:
        return
    try:
        channel.send(data)
    except (InvalidStateError, ConnectionError, ValueError):
        return
