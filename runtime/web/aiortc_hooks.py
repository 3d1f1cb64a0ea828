"""The places where aiortc has to be reached behind its public face; each is one function, and tests watch over each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from aioice.candidate import Candidate
from aiortc import RTCIceTransport, RTCPeerConnection, RTCRtpSender

_LOOPBACK = "127.0.0.1"
_CONNECT = "_RTCPeerConnection__connect"


def on_keyframe_request(sender: RTCRtpSender, callback: Callable[[], None]) -> None:
    """Call back for each keyframe request (PLI or FIR) of the peer.

    aiortc keeps such requests to its own encoder, which does nothing here: the packets come encoded.
    Raises AttributeError where this aiortc has no such method.
    """
    assert callable(sender._send_keyframe)  # pyright: ignore[reportPrivateUsage]
    sender._send_keyframe = callback  # pyright: ignore[reportPrivateUsage]


def offer_loopback(connection: RTCPeerConnection) -> None:
    """Let a peer on this machine connect through 127.0.0.1; between setRemoteDescription and setLocalDescription.

    aioice leaves 127.0.0.1 out of its host candidates. On a machine without any other interface (offline, in a container) there
    would be no candidate at all. The other addresses stay: browsers that bind to one of them do not send to loopback everywhere.
    """
    for transport in _ice_transports(connection):
        ice = transport.iceGatherer._connection  # pyright: ignore[reportPrivateUsage]
        ice.get_component_candidates = partial(_gather_with_loopback, ice.get_component_candidates)


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


async def _gather_with_loopback(gather: Callable[[int, list[str], int], Awaitable[list[Candidate]]], component: int,
                                addresses: list[str], timeout: int = 5) -> list[Candidate]:
    return await gather(component, [_LOOPBACK, *addresses], timeout)


def _ice_transports(connection: RTCPeerConnection) -> set[RTCIceTransport]:
    dtls = {transceiver.receiver.transport for transceiver in connection.getTransceivers()}
    if connection.sctp is not None:
        dtls.add(connection.sctp.transport)
    return {transport.transport for transport in dtls}
