"""Connection limits: idle or unauthenticated clients cannot lock out the page's owner.

Connections are counted when they are accepted, before TLS: in total and per address. At a limit, the oldest connection that
has not presented the token is dropped, first those of clients that never have; authenticated connections are never dropped. A
connection without a complete request is dropped after ten seconds, one without the token after thirty. Clients that never
presented the token are accepted at a limited rate, as each may cost a TLS handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)
_BACKLOG = 256  # connections that the system keeps until they are accepted
_MAX_CLIENTS = 4096  # clients that are remembered
# For who asks for too much without the token; short, as others may share the address
_BLOCKED_SECONDS = 1.0
_PAUSE = 0.2  # seconds, where the system has no descriptors left


@dataclass(frozen=True)
class ConnectionLimits:
    """Numbers of connections, and time limits for authentication."""

    most: int = 256
    """In all; a browser keeps up to six."""
    most_per_address: int = 48
    """From one IPv4 address, or one IPv6 network of 64 bits."""
    request_seconds: float = 10.0
    """From accepting to the end of the first request's headers, TLS included."""
    token_seconds: float = 30.0
    """From accepting to the first request that was allowed. Static files need no token, and slow lines take a while for them."""
    idle_seconds: float = 30.0
    """Between two requests."""
    requests_per_second: float = 50.0
    """Without the token, from one client; a page has about 50 files. Who asks for more is disconnected for a second."""
    most_requests: int = 1000
    """Without the token, from one client at once: sixteen viewers behind one address."""
    strangers_per_second: float = 100.0
    """Connections of clients that never have shown the token; a handshake takes 1 to 2 ms of a core."""
    most_strangers: int = 300
    """Of them, at once."""


def default_limits() -> ConnectionLimits:
    """The limits, with at most a third of the descriptors that this process may open."""
    if (most := _descriptors()) is None:
        return ConnectionLimits()
    usual = ConnectionLimits()
    per_address = max(6, min(usual.most_per_address, most // 6))
    return ConnectionLimits(most=max(8, min(usual.most, most // 3)), most_per_address=per_address)


def client_key(address: str) -> str:
    """The key of a client: an IPv4 address, or the 64-bit network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


@dataclass(eq=False)
class _Connection:
    key: str
    socket: socket.socket
    protocol: asyncio.Protocol | None = None
    transport: asyncio.BaseTransport | None = None
    opening: asyncio.Task[None] | None = None
    deadline: asyncio.TimerHandle | None = None
    requested: bool = False
    trusted: bool = False
    ended: bool = False


@dataclass
class _Spent:
    """A leaky bucket of requests without the token."""

    time: float
    amount: float = 0.0
    blocked_until: float = -math.inf

    def add(self, now: float, per_second: float) -> float:
        """One more. now: seconds; per_second: that run off. Returns how many there are now."""
        self.amount = max(0.0, self.amount - (now - self.time) * per_second) + 1
        self.time = now
        return self.amount


class _Tracked(asyncio.Protocol):
    """Forwards all events to the HTTP protocol, and reports the loss of the connection."""

    def __init__(
        self, inner: asyncio.Protocol, connection: _Connection, lost: Callable[[_Connection], None]
    ) -> None:
        self._inner, self._connection, self._lost = inner, connection, lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self._connection)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class Listener:
    """Listening sockets and their connections; used in the event loop only."""

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        limits: ConnectionLimits,
        tls: ssl.SSLContext | None,
    ) -> None:
        """make_protocol: of HTTP, for each connection."""
        self._make_protocol, self._limits, self._tls = make_protocol, limits, tls
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._connections: dict[_Connection, None] = {}  # in the order of accepting
        self._of_protocol: dict[object, _Connection] = {}
        self._per_key: Counter[str] = Counter()
        self._spent: dict[str, _Spent] = {}
        self._strangers = _Spent(-math.inf)
        self._known: dict[str, None] = {}  # clients that have shown the token, the latest last

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def start(self, host: str, port: int) -> int:
        """Listen on all addresses of a host; returns the port. Raises OSError where that is not possible."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                listening = socket.socket(family, kind, protocol)
                self._sockets.append(listening)
                _prepare(listening)
                listening.bind((address[0], port or self._port() or 0, *address[2:]))
                listening.listen(_BACKLOG)
        except OSError:
            self._close_sockets()
            raise
        self._accepting = [loop.create_task(self._accept(listening)) for listening in self._sockets]
        return self._port()

    def requested(self, protocol: object) -> None:
        """A connection's request is complete. protocol: what `make_protocol` gave."""
        connection = self._of_protocol.get(protocol)
        if connection is not None and not connection.requested:
            connection.requested = True
            self._limit(connection, self._limits.token_seconds - self._limits.request_seconds)

    def without_token(self, protocol: object) -> bool:
        """A request came without the token; whether it may be answered. Else the client's connections without it are dropped."""
        connection = self._of_protocol.get(protocol)
        if connection is None:
            return False
        now = asyncio.get_running_loop().time()
        spent = self._spent.pop(connection.key, None) or _Spent(now)
        self._spent[connection.key] = spent  # the last one again
        while len(self._spent) > _MAX_CLIENTS:
            del self._spent[next(iter(self._spent))]
        if spent.add(now, self._limits.requests_per_second) <= self._limits.most_requests:
            return True
        if not connection.key.startswith("127."):  # the owner is there too
            spent.blocked_until = now + _BLOCKED_SECONDS
        while self._make_room(connection.key):
            pass
        return False

    def trusted(self, protocol: object) -> None:
        """A connection's request was allowed."""
        connection = self._of_protocol.get(protocol)
        if connection is not None:
            connection.requested = connection.trusted = True
            self._known.pop(connection.key, None)
            self._known[connection.key] = None
            if len(self._known) > _MAX_CLIENTS:
                del self._known[next(iter(self._known))]
            if connection.deadline is not None:
                connection.deadline.cancel()

    async def close(self) -> None:
        """Accept no more connections; those that are open stay open, but for those that have not come about."""
        for task in self._accepting:
            task.cancel()
        opening = [
            connection.opening for connection in self._connections if connection.transport is None
        ]
        for connection in list(self._connections):
            if connection.transport is None:
                self._drop(connection)
        await asyncio.gather(
            *self._accepting,
            *(task for task in opening if task is not None),
            return_exceptions=True,
        )
        self._close_sockets()

    def _port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    def _close_sockets(self) -> None:
        for listening in self._sockets:
            listening.close()
        self._sockets = []

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except ConnectionError:  # given up before it was accepted
                continue
            except OSError as error:  # no file descriptors left
                _log.debug("a connection cannot be accepted: %s", error)
                self._make_room(None)
                await asyncio.sleep(_PAUSE)
                continue
            self._admit(accepted, client_key(str(address[0])))

    def _admit(self, accepted: socket.socket, key: str) -> None:
        spent, now = self._spent.get(key), asyncio.get_running_loop().time()
        if (spent is not None and now < spent.blocked_until) or self._too_many_strangers(key, now):
            accepted.close()
            return
        full = self._per_key[key] >= self._limits.most_per_address and not self._make_room(key)
        if full or (len(self._connections) >= self._limits.most and not self._make_room(None)):
            accepted.close()
            return
        connection = _Connection(key, accepted)
        self._connections[connection] = None
        self._per_key[key] += 1
        self._limit(connection, self._limits.request_seconds)
        connection.opening = asyncio.get_running_loop().create_task(self._open(connection))

    async def _open(self, connection: _Connection) -> None:
        """TLS, where there is any, and the protocol."""

        def protocol() -> asyncio.Protocol:
            inner = connection.protocol = self._make_protocol()
            self._of_protocol[inner] = connection
            return _Tracked(inner, connection, self._forget)

        patience = self._limits.request_seconds if self._tls is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol, connection.socket, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            self._forget(connection)
            connection.socket.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            _log.debug("a connection did not come about: %s", error)

    def _limit(self, connection: _Connection, seconds: float) -> None:
        if connection.deadline is not None:
            connection.deadline.cancel()
        connection.deadline = asyncio.get_running_loop().call_later(
            max(0.0, seconds), self._drop, connection
        )

    def _too_many_strangers(self, key: str, now: float) -> bool:
        if key in self._known:
            return False
        limits = self._limits
        if self._strangers.add(now, limits.strangers_per_second) <= limits.most_strangers:
            return False
        self._strangers.amount -= 1  # rejected connections do not count
        return True

    def _make_room(self, key: str | None) -> bool:
        """Drop the oldest connection that has not shown the token, of a client or of any; whether there was one.

        Of any: of a client that has shown it only where there is no other.
        """
        droppable = [
            connection
            for connection in self._connections
            if not connection.trusted and key in (None, connection.key)
        ]
        if not droppable:
            return False
        strangers = (one for one in droppable if one.key not in self._known)
        self._drop(next(strangers, droppable[0]))
        return True

    def _drop(self, connection: _Connection) -> None:
        self._forget(connection)
        if isinstance(connection.transport, asyncio.WriteTransport):
            connection.transport.abort()
        elif connection.opening is not None:
            connection.opening.cancel()
            # Where it had not begun yet
            connection.opening.add_done_callback(lambda _: connection.socket.close())

    def _forget(self, connection: _Connection) -> None:
        if not connection.ended:
            connection.ended = True
            if connection.deadline is not None:
                connection.deadline.cancel()
            self._connections.pop(connection)
            self._of_protocol.pop(connection.protocol, None)
            self._per_key[connection.key] -= 1
            if not self._per_key[connection.key]:
                del self._per_key[connection.key]


class WrongTokens:
    """Slows down guessing: every wrong token from a client is answered half a second after the one before."""

    def __init__(
        self, *, spacing: float = 0.5, most_waiting: float = 10.0, most_clients: int = _MAX_CLIENTS
    ) -> None:
        """spacing, most_waiting: seconds; most_clients: that are remembered."""
        self._spacing, self._most_waiting, self._most_clients = spacing, most_waiting, most_clients
        self._free_at: dict[str, float] = {}

    def delay(self, address: str, now: float) -> float:
        """Seconds to wait before a wrong token is answered; infinite for a client that has too many waiting. now: seconds."""
        key = client_key(address)
        start = max(self._free_at.pop(key, -math.inf), now)
        if start - now > self._most_waiting:
            self._free_at[key] = start
            return math.inf
        while len(self._free_at) >= self._most_clients:
            del self._free_at[next(iter(self._free_at))]
        self._free_at[key] = start + self._spacing
        return start + self._spacing - now


def _prepare(listening: socket.socket) -> None:
    """Set socket options as asyncio's servers do."""
    listening.setblocking(False)
    # Not on Windows, where it would share a port that is in use
    with contextlib.suppress(AttributeError, OSError):
        if hasattr(socket, "SO_REUSEPORT"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listening.family == socket.AF_INET6:
        with contextlib.suppress(OSError):
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _descriptors() -> int | None:
    """How many files and sockets this process may have open; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
