"""A network between a viewer and the server, as bad as a test wants it: a UDP relay on this machine."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass, field
from typing import Any

_LOOPBACK = "127.0.0.1"
_CANDIDATE = re.compile(
    r"(a=candidate:\S+ \d+ udp \d+ )127\.0\.0\.1 (\d+)( typ host)", re.IGNORECASE
)


@dataclass
class BadLink:
    """Passes packets on in both directions, or not; used in one event loop. Close it."""

    loss: float = 0.0
    """Share of packets that are lost, [0, 1]."""
    jitter: float = 0.0
    """Seconds by which packets are delayed at most, each by another time, so that they overtake each other."""
    passed: int = 0
    lost: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(0))
    _transports: list[asyncio.DatagramTransport] = field(
        default_factory=list[asyncio.DatagramTransport]
    )
    _port: int = 0

    def hide_viewer(self, offer: str) -> str:
        """An offer without the viewer's own addresses, so that there is no way past the relay."""
        return "\r\n".join(
            line
            for line in offer.split("\r\n")
            if not line.startswith(("a=candidate", "a=end-of-candidates"))
        )

    async def open(self) -> None:
        """Open the viewer's side; its port is in what `through` gives."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _ViewerSide(self), local_addr=(_LOOPBACK, 0)
        )
        self._transports.append(transport)
        self._port = transport.get_extra_info("sockname")[1]

    def through(self, answer: str) -> str:
        """The server's answer with the relay's address in place of the server's."""
        found = _CANDIDATE.search(answer)
        assert found is not None, answer
        self.server = (_LOOPBACK, int(found[2]))
        return _CANDIDATE.sub(rf"\g<1>{_LOOPBACK} {self._port}\g<3>", answer)

    def carry(self, transport: asyncio.DatagramTransport, data: bytes, address: Any) -> None:
        """Send a packet on, now, later or never."""
        if self._random.random() < self.loss:
            self.lost += 1
            return
        self.passed += 1
        if self.jitter:
            asyncio.get_running_loop().call_later(
                self._random.random() * self.jitter, transport.sendto, data, address
            )
        else:
            transport.sendto(data, address)

    def add(self, transport: asyncio.DatagramTransport) -> None:
        """One more to close."""
        self._transports.append(transport)

    def close(self) -> None:
        """End it."""
        for transport in self._transports:
            transport.close()


class _ViewerSide(asyncio.DatagramProtocol):
    """Where viewers send to; each of their addresses gets a separate socket on the server's side, as behind a router."""

    def __init__(self, link: BadLink) -> None:
        self._link = link
        self._upstream: dict[Any, asyncio.Task[asyncio.DatagramTransport]] = {}

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr not in self._upstream:
            self._upstream[addr] = asyncio.get_running_loop().create_task(self._open(addr))
        self._upstream[addr].add_done_callback(
            lambda task: self._link.carry(task.result(), data, None)
        )

    async def _open(self, viewer: Any) -> asyncio.DatagramTransport:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _ServerSide(self._link, self._transport, viewer), remote_addr=self._link.server
        )
        self._link.add(transport)
        return transport


class _ServerSide(asyncio.DatagramProtocol):
    def __init__(self, link: BadLink, to_viewer: asyncio.DatagramTransport, viewer: Any) -> None:
        self._link, self._to_viewer, self._viewer = link, to_viewer, viewer

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._link.carry(self._to_viewer, data, self._viewer)
