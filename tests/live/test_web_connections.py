"""Strangers who connect and say nothing, or little: the page's owner and its viewers are served as before."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from web_session import PATIENCE, PaintedSession, Watcher, key_pair, number_in, until

from runtime.live.clock import StageClock
from runtime.web.connections import ConnectionLimits, client_key, default_limits
from runtime.web.server import WebConfig, WebServer

SHORT = ConnectionLimits(
    most=12, most_per_address=8, request_seconds=0.5, token_seconds=1.5, idle_seconds=1.0
)
TOKEN = {"Authorization": "Bearer a-long-secret"}


@contextlib.contextmanager
def serving(
    limits: ConnectionLimits | None = None, config: WebConfig | None = None
) -> Generator[tuple[str, int]]:
    """The page's address without the token, and its port."""
    session = PaintedSession()
    server = WebServer(
        session, StageClock(), config or WebConfig(port=0, token="a-long-secret"), limits=limits
    )
    try:
        url = server.start().partition("#")[0]
        yield url, urlsplit(url).port or 0
    finally:
        server.close()
        session.close()


class Stranger:
    """A connection that says what it is given and no more."""

    def __init__(self, port: int, says: bytes = b"", *, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
        if says:
            self.socket.sendall(says)
        self.socket.setblocking(False)

    @property
    def dropped(self) -> bool:
        try:
            return self.socket.recv(65536) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def until_dropped(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.dropped:
            assert time.monotonic() < deadline, "it is still connected"
            time.sleep(0.02)

    def say(self, text: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(text)


def strangers(
    stack: contextlib.ExitStack, port: int, count: int, says: bytes = b"", *, addresses: int = 1
) -> list[Stranger]:
    """At most a bounded number of connections, from addresses of loopback in turn."""
    found: list[Stranger] = []
    for k in range(count):
        one = Stranger(port, says, source=f"127.0.0.{1 + k % addresses}")
        stack.callback(one.socket.close)
        found.append(one)
    return found


def ask(url: str, path: str = "api/state", **options: Any) -> int:
    async def request() -> int:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as http,
            http.get(f"{url}{path}", headers=TOKEN, **options) as reply,
        ):
            await reply.read()
            return reply.status

    return asyncio.run(request())


@pytest.mark.slow
@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /static/main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /api/action HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{",
    ],
)
def test_who_does_not_show_the_token_in_time_is_dropped(says: bytes) -> None:
    with serving(SHORT) as (_, port), contextlib.ExitStack() as stack:
        strangers(stack, port, 1, says)[0].until_dropped()


def test_slow_headers_do_not_count_as_a_request() -> None:
    with serving(SHORT) as (_, port), contextlib.ExitStack() as stack:
        one = strangers(stack, port, 1, b"GET / HTTP/1.1\r\n")[0]
        deadline = time.monotonic() + PATIENCE
        while not one.dropped:
            assert time.monotonic() < deadline
            one.say(b"X-Slow: 1\r\n")
            time.sleep(0.05)


def test_a_handshake_that_never_comes_is_dropped_too(tmp_path: Path) -> None:
    cert, key = key_pair(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    with (
        serving(SHORT, WebConfig(port=0, token="a-long-secret", cert=cert, key=key)) as (url, port),
        contextlib.ExitStack() as stack,
    ):
        waiting = strangers(stack, port, 30, addresses=10)
        waiting += strangers(stack, port, 10, b"\x16\x03\x01\x02\x00\x01", addresses=10)
        assert ask(url, ssl=trusting) == 200
        for one in waiting:
            one.until_dropped()
        assert ask(url, ssl=trusting) == 200


def test_strangers_beyond_the_limits_make_room_for_the_owner() -> None:
    with (
        serving(ConnectionLimits(most=12, most_per_address=8)) as (url, port),
        contextlib.ExitStack() as stack,
    ):
        same = strangers(stack, port, 20)
        same[0].until_dropped()
        assert ask(url) == 200
        others = strangers(stack, port, 40, addresses=20)
        others[1].until_dropped()  # [0] has the address of the owner
        assert ask(url) == 200
        everyone = (*same, *others)
        deadline = time.monotonic() + PATIENCE
        while sum(not one.dropped for one in everyone) > 12:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not others[-1].dropped, "the newest stays"


def test_who_has_shown_the_token_is_never_dropped_for_others() -> None:
    allowed = (
        b"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a-long-secret\r\n\r\n"
    )
    with (
        serving(ConnectionLimits(most=12, most_per_address=8)) as (_, port),
        contextlib.ExitStack() as stack,
    ):
        owner = strangers(stack, port, 1)[0]
        for _ in range(3):
            owner.say(allowed)
            deadline = time.monotonic() + PATIENCE
            answer = b""
            while b"hidden" not in answer:
                assert time.monotonic() < deadline
                with contextlib.suppress(BlockingIOError):
                    answer += owner.socket.recv(65536)
                time.sleep(0.01)
            assert b" 200 OK" in answer
            strangers(stack, port, 30, addresses=15)


def test_who_has_shown_the_token_before_is_dropped_last() -> None:
    """An owner's next connection, whose request has not come yet, does not make room for strangers."""
    limits = ConnectionLimits(most=12, most_per_address=8)
    with serving(limits) as (url, port), contextlib.ExitStack() as stack:
        assert ask(url) == 200
        owner = strangers(stack, port, 1)[0]
        others = [Stranger(port, source=f"127.0.0.{2 + k}") for k in range(30)]
        for one in others:
            stack.callback(one.socket.close)
        others[15].until_dropped()
        assert not owner.dropped


def test_strangers_are_let_in_at_a_limited_rate_and_the_owner_at_once() -> None:
    limits = ConnectionLimits(strangers_per_second=0.001, most_strangers=3)
    with serving(limits) as (url, port), contextlib.ExitStack() as stack:
        assert ask(url) == 200
        others = [Stranger(port, source=f"127.0.0.{2 + k}") for k in range(5)]
        for one in others:
            stack.callback(one.socket.close)
        others[-1].until_dropped()
        assert [one.dropped for one in others] == [False, False, True, True, True]
        assert ask(url) == 200


def test_an_owner_without_room_is_refused_not_left_waiting() -> None:
    """All connections of an address have shown the token: one more is closed at once."""
    allowed = (
        b"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a-long-secret\r\n\r\n"
    )
    with (
        serving(ConnectionLimits(most=12, most_per_address=3)) as (_, port),
        contextlib.ExitStack() as stack,
    ):
        for one in strangers(stack, port, 3, allowed):
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(BlockingIOError):
                    if b"200 OK" in one.socket.recv(65536):
                        break
                assert time.monotonic() < deadline
                time.sleep(0.01)
        strangers(stack, port, 1)[0].until_dropped()


@pytest.mark.slow
def test_600_silent_strangers_are_not_noticed() -> None:
    """More connections than the process may have descriptors left for, a third of them half a request, from 60 addresses."""
    with serving() as (url, port), contextlib.ExitStack() as stack:

        async def body() -> tuple[int, int]:
            loop = asyncio.get_running_loop()
            watcher = Watcher()
            async with aiohttp.ClientSession(
                headers=TOKEN, timeout=aiohttp.ClientTimeout(PATIENCE)
            ) as http:
                await watcher.join(http, url)
                await watcher.decoded(3)
                half = b"GET / HTTP/1.1\r\nHost: x\r\n"
                await loop.run_in_executor(None, lambda: strangers(stack, port, 400, addresses=60))
                await loop.run_in_executor(
                    None, lambda: strangers(stack, port, 200, half, addresses=60)
                )
                before = watcher.numbers[-1]
                for path in ("", "static/main.js", "api/state", "api/stats"):
                    async with http.get(f"{url}{path}") as reply:
                        assert reply.status == 200
                late = Watcher()
                await late.join(http, url)
                await late.decoded(3)
                await watcher.decoded(30)
                await until(lambda: watcher.numbers[-1] > before + 30)
                assert watcher.image is not None and number_in(watcher.image) == watcher.numbers[-1]
            await late.close()
            await watcher.close()
            return before, watcher.numbers[-1]

        before, after = asyncio.run(body())
        assert after > before


def test_the_limits_leave_descriptors_for_everything_else() -> None:
    limits = default_limits()
    assert 6 <= limits.most_per_address < limits.most <= 256


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_a_client_is_an_address_or_an_ipv6_network(one: str, other: str, same: bool) -> None:
    assert (client_key(one) == client_key(other)) is same


def test_who_asks_too_much_without_the_token_is_disconnected_for_a_moment() -> None:
    limits = ConnectionLimits(requests_per_second=1.0, most_requests=30)
    with serving(limits) as (url, port), contextlib.ExitStack() as stack:
        asking = strangers(
            stack, port, 3, b"GET /static/main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20
        )
        for one in asking:
            one.until_dropped()
        assert ask(url) == 200, "who has the token is served from the same address"


def test_who_has_the_token_may_ask_as_often_as_he_likes() -> None:
    with serving(ConnectionLimits(requests_per_second=1.0, most_requests=5)) as (url, _):

        async def often() -> set[int]:
            async with aiohttp.ClientSession(url, headers=TOKEN) as http:
                found: set[int] = set()
                for _ in range(60):
                    async with http.get("api/state") as reply:
                        found.add(reply.status)
                return found

        assert asyncio.run(often()) == {200}
