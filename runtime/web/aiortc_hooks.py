"""The places where aiortc has to be reached behind its public face; each is one function, and tests watch over each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from fractions import Fraction
from functools import partial
from typing import Any, cast

import aioice.ice
import aiortc.rtcrtpreceiver
import av
from aioice.candidate import Candidate
from aiortc import RTCIceTransport, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.codecs.base import Decoder
from aiortc.rtp import RtcpSrPacket
from av.codec.context import CodecContext
from av.frame import Frame

_log = logging.getLogger(__name__)

MAX_PICTURE_PIXELS = 3840 * 2160
"""Of a picture that a browser sends; larger ones are not decoded, as nine of 8192 x 8192 would take 1.6 GB."""

_LOOPBACK = "127.0.0.1"
_RECEIVE = "datagram_received"
_VIDEO_TIME_BASE = Fraction(1, 90_000)  # RTP's clock for video
_CONNECT = "_RTCPeerConnection__connect"
_TIMESTAMPS_OF_RECEIVER = "_RTCRtpReceiver__timestamp_mapper"
_GET_DECODER = "get_decoder"  # as aiortc's receivers look it up, in their module


def on_keyframe_request(sender: RTCRtpSender, callback: Callable[[], None]) -> None:
    """Call back for each keyframe request (PLI or FIR) of the peer.

    aiortc passes such requests to its encoder only, which is unused here: the packets are encoded already.
    Raises AttributeError where this aiortc has no such method.
    """
    assert callable(sender._send_keyframe)  # pyright: ignore[reportPrivateUsage]
    sender._send_keyframe = callback  # pyright: ignore[reportPrivateUsage]


def offer_loopback(connection: RTCPeerConnection) -> None:
    """Add 127.0.0.1, which aioice leaves out, to the host candidates; between setRemoteDescription and setLocalDescription.

    For peers that may be on this machine or elsewhere. On a machine without any other interface (offline, in a container) there
    would be no candidate at all.
    """
    for transport in _ice_transports(connection):
        ice = transport.iceGatherer._connection  # pyright: ignore[reportPrivateUsage]
        ice.get_component_candidates = partial(_gather_with_loopback, ice.get_component_candidates)


def only_loopback(connection: RTCPeerConnection, *, all_addresses: bool = False) -> None:
    """Let only peers on this machine connect; between setRemoteDescription and setLocalDescription.

    aioice opens sockets on all addresses but 127.0.0.1, so that others in the network could reach them. Here it opens one on
    127.0.0.1 only. all_addresses: on this machine's other addresses too, for peers that do not send to loopback (Firefox); what
    comes in there from any address that is not this machine's is dropped unread.
    """
    for transport in _ice_transports(connection):
        ice = transport.iceGatherer._connection  # pyright: ignore[reportPrivateUsage]
        ice.get_component_candidates = partial(
            _gather_local, ice, ice.get_component_candidates, all_addresses
        )


def limit_decoded_pictures() -> None:
    """Let no receiver of this process decode pictures of more than `MAX_PICTURE_PIXELS`; calling again does nothing.

    FFmpeg checks the size that a keyframe declares before it allocates anything, libvpx (aiortc's decoder of VP8) does not.
    """
    setattr(aiortc.rtcrtpreceiver, _GET_DECODER, _limited_decoder)


_stock_decoder: Callable[[Any], Decoder] = getattr(aiortc.rtcrtpreceiver, _GET_DECODER)


def _limited_decoder(codec: Any) -> Decoder:
    library = {"video/vp8": "vp8", "video/h264": "h264"}.get(codec.mimeType.lower())
    if library is None:
        return _stock_decoder(codec)
    return _LimitedDecoder(library)


class _LimitedDecoder(Decoder):
    """FFmpeg's decoder with a bound on the picture's size."""

    def __init__(self, library: str) -> None:
        self._library, self._told = library, False
        self._context = self._open()

    def _open(self) -> Any:
        context: Any = CodecContext.create(self._library, "r")
        context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
        return context

    def decode(self, encoded_frame: Any) -> list[Frame]:
        """As aiortc's decoders. Raises av.error.FFmpegError for what cannot be decoded."""
        packet: Any = av.Packet(encoded_frame.data)
        packet.pts, packet.time_base = encoded_frame.timestamp, _VIDEO_TIME_BASE
        frames = cast("list[Any]", self._context.decode(packet))
        small = [frame for frame in frames if frame.width * frame.height <= MAX_PICTURE_PIXELS]
        if len(small) < len(frames) and not self._told:
            self._told = True
            _log.warning(
                "pictures of more than %d pixels are not taken from a browser", MAX_PICTURE_PIXELS
            )
        return cast("list[Frame]", small)


def on_sender_report(receiver: RTCRtpReceiver, callback: Callable[[RtcpSrPacket], None]) -> None:
    """Call back for each sender report (RTCP SR); before the first packet.

    aiortc keeps no RTP timestamp of them. Raises AttributeError where this aiortc has no such method.
    """
    stock: Callable[[Any], Awaitable[None]] = receiver._handle_rtcp_packet  # pyright: ignore[reportPrivateUsage]

    async def handle(packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket):
            callback(packet)
        await stock(packet)

    receiver._handle_rtcp_packet = handle  # pyright: ignore[reportPrivateUsage]


def rtp_origin(receiver: RTCRtpReceiver) -> int | None:
    """The RTP timestamp from which aiortc counts the `pts` of frames; None before the first one.

    Raises AttributeError where this aiortc keeps it elsewhere.
    """
    return getattr(receiver, _TIMESTAMPS_OF_RECEIVER)._origin


def track_connecting(connection: RTCPeerConnection) -> set[asyncio.Task[None]]:
    """The tasks in which a connection comes about, as they come and go; before the first description is set.

    They have to be cancelled before closing: aiortc 1.16 lets them run on, and what they start on a closed connection (consent
    checks, the receiver's thread) nobody ends. Raises AttributeError where this aiortc has no such method.
    """
    connect: Callable[[], Awaitable[None]] = getattr(connection, _CONNECT)
    tasks: set[asyncio.Task[None]] = set()

    async def connect_tracked() -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        tasks.add(task)
        try:
            await connect()
        finally:
            tasks.discard(task)

    setattr(connection, _CONNECT, connect_tracked)
    return tasks


async def _gather_with_loopback(
    gather: Callable[[int, list[str], int], Awaitable[list[Candidate]]],
    component: int,
    addresses: list[str],
    timeout: int = 5,
) -> list[Candidate]:
    return await gather(component, [_LOOPBACK, *addresses], timeout)


async def _gather_local(
    ice: aioice.ice.Connection,
    gather: Callable[[int, list[str], int], Awaitable[list[Candidate]]],
    all_addresses: bool,
    component: int,
    addresses: list[str],
    timeout: int = 5,
) -> list[Candidate]:
    if not all_addresses:
        return await gather(component, [_LOOPBACK], timeout)
    found = await gather(component, [_LOOPBACK, *addresses], timeout)
    ours = {_LOOPBACK, *addresses}
    for protocol in ice._protocols:  # pyright: ignore[reportPrivateUsage]
        setattr(protocol, _RECEIVE, partial(_receive_from, ours, protocol.datagram_received))
    return found


def _receive_from(
    ours: set[str], receive: Callable[[Any, Any], None], data: bytes, address: tuple[str, int]
) -> None:
    if address[0] in ours:
        receive(data, address)


def _ice_transports(connection: RTCPeerConnection) -> set[RTCIceTransport]:
    dtls = {transceiver.receiver.transport for transceiver in connection.getTransceivers()}
    if connection.sctp is not None:
        dtls.add(connection.sctp.transport)
    return {transport.transport for transport in dtls}
