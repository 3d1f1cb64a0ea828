"""The HTTP side: routes, what is refused and how, where the server listens."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import re
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
import aioice.ice
import pytest
from web_session import PaintedSession, Watcher, key_pair, serving

from perse_live.errors import UserError
from runtime.live.actions import Hide
from runtime.live.clock import StageClock
from runtime.web import app
from runtime.web.connections import WrongTokens
from runtime.web.server import WebConfig, WebServer

JSON, SDP = {"Content-Type": "application/json"}, {"Content-Type": "application/sdp"}


def ask(url: str, method: str, path: str, **options: Any) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON or text, and headers."""

    async def request() -> tuple[int, Any, dict[str, str]]:
        base, _, fragment = url.partition("#")
        if token := fragment.partition("=")[2]:
            options["headers"] = {
                "Authorization": f"Bearer {unquote(token)}",
                **options.get("headers", {}),
            }
        connector = aiohttp.TCPConnector(ssl=options.pop("ssl", True))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.request(method, f"{base}{path}", **options) as reply,
        ):
            body = await reply.read()
            parsed = (
                json.loads(body)
                if body and reply.content_type == "application/json"
                else body.decode()
            )
            return reply.status, parsed, dict(reply.headers)

    return asyncio.run(request())


def test_state_figures_and_actions() -> None:
    with serving() as served:
        assert ask(served.url, "GET", "api/state")[:2] == (200, {"hidden": False, "acts": 0})
        assert ask(served.url, "GET", "api/stats")[:2] == (200, {"fps": 30.0})
        answer = ask(
            served.url, "POST", "api/action", data='{"action": "hide", "on": true}', headers=JSON
        )
        assert answer[:2] == (200, {"hidden": True, "acts": 1})
        assert served.session.acts == [Hide(on=True)]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "nothing", {}, 404),
        ("GET", "static/../server.py", {}, 404),
        ("GET", "static/%2e%2e/server.py", {}, 404),
        ("GET", "static/nothing.js", {}, 404),
        ("DELETE", "whep/nobody", {}, 404),
        ("DELETE", "whip/nobody", {}, 404),
        ("POST", "api/state", {}, 405),
        ("GET", "whep", {}, 405),
        ("OPTIONS", "whep", {}, 405),
        ("POST", "api/action", {"data": "{}"}, 415),
        ("POST", "whep", {"data": "v=0"}, 415),
        ("POST", "whep", {"json": {}}, 415),
        ("POST", "api/action", {"data": "{", "headers": JSON}, 400),
        ("POST", "api/action", {"data": b"\xff", "headers": JSON}, 400),
        (
            "POST",
            "api/action",
            {"data": '{"action": "attribute", "name": "beard"}', "headers": JSON},
            400,
        ),
        ("POST", "api/action", {"data": " " * 16_385, "headers": JSON}, 413),
        ("POST", "whep", {"data": "v=0\r\n" + "a=x\r\n" * 20_000, "headers": SDP}, 413),
        ("POST", "whep", {"data": "", "headers": SDP}, 400),
        ("POST", "whep", {"data": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "headers": SDP}, 400),
        (
            "POST",
            "whep",
            {"data": "v=0\r\na=fingerprint:x y\r\nm=video\r\nm=video 9 a 96\r\n", "headers": SDP},
            400,
        ),
        (
            "POST",
            "whep",
            {
                "data": "v=0\r\na=fingerprint:x\r\nm=video 9 UDP x\r\na=rtpmap:96 VP8/90000",
                "headers": SDP,
            },
            400,
        ),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    method: str, path: str, options: dict[str, Any], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as served:
        got, body, headers = ask(served.url, method, path, **options)
        assert got == status
        assert list(body) == ["error"] and body["error"] and "\n" not in body["error"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert served.server.viewers == 0 and served.session.acts == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_body_in_pieces_is_bounded_too() -> None:
    async def pieces() -> Any:
        for _ in range(10_000):
            yield b" " * 1000

    with serving() as served:
        try:
            status = ask(served.url, "POST", "api/action", data=pieces(), headers=JSON)[0]
        except aiohttp.ClientError:
            return  # it hung up on us, which will do as well
        assert status == 413


def test_every_answer_forbids_what_a_page_does_not_need() -> None:
    with serving() as served:
        headers = ask(served.url, "GET", "api/state")[2]
        assert (
            "script-src 'self'" in headers["Content-Security-Policy"]
            and "unsafe" not in headers["Content-Security-Policy"]
        )
        assert (
            headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
        )


def test_the_page_is_served() -> None:
    with serving() as served:
        for path in ("", "obs"):
            status, text, headers = ask(served.url, "GET", path)
            assert (
                status == 200
                and headers["Content-Type"] == "text/html; charset=utf-8"
                and "<!doctype html>" in text.lower()
            )
            files = re.findall(r'(?:src|href)="/(static/[^"]+)"', text)
            assert files
            for file in files:
                status, _, headers = ask(served.url, "GET", file)
                assert status == 200
                if file.endswith(".js"):
                    assert headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_the_last_recording_can_be_fetched_and_nothing_else(tmp_path: Path) -> None:
    with serving() as served:
        assert ask(served.url, "GET", "recording")[0] == 404
        served.session.recorded = tmp_path / 'my "film".mp4'
        assert ask(served.url, "GET", "recording")[0] == 404  # moved away
        served.session.recorded.write_bytes(b"film")
        status, text, headers = ask(served.url, "GET", "recording")
        assert (status, text) == (200, "film")
        assert (
            headers["Content-Disposition"] == 'attachment; filename="my__film_.mp4"'
            and headers["Content-Type"] == "video/mp4"
        )
        assert (
            ask(served.url, "GET", "recording", headers={"Origin": "http://evil.example"})[0] == 403
        )


def test_a_recordings_address_works_once_and_without_the_token(tmp_path: Path) -> None:
    with serving(WebConfig(port=0, token="a-long-secret")) as served:
        served.session.recorded = tmp_path / "film.mp4"
        served.session.recorded.write_bytes(b"film")
        local = served.url.partition("#")[0]
        address = ask(served.url, "POST", "recording")[1]["address"].removeprefix("/")
        assert "a-long-secret" not in address
        assert ask(local, "GET", address, headers={"Origin": "http://evil.example"})[0] == 403
        assert ask(local, "HEAD", address)[0] == 200
        assert ask(local, "GET", address)[:2] == (200, "film")
        assert ask(local, "GET", address)[0] == 401
        assert ask(local, "HEAD", address)[0] == 401
        assert ask(served.url, "GET", "recording")[:2] == (200, "film")


@pytest.mark.slow
def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays = WrongTokens(spacing=0.5, most_waiting=10.0, most_clients=3)
    assert [delays.delay("192.0.2.1", 0.0) for _ in range(3)] == [0.5, 1.0, 1.5]
    assert delays.delay("192.0.2.2", 0.0) == 0.5
    assert delays.delay("192.0.2.1", 100.0) == 0.5
    assert [math.isinf(delays.delay("2001:db8::" + str(k), 0.0)) for k in range(30)] == [
        False
    ] * 21 + [True] * 9
    half = functools.partial(WrongTokens, spacing=0.25, most_waiting=5.0)  # of the times in use
    monkeypatch.setattr(app, "WrongTokens", half)
    with serving(WebConfig(port=0, token="a-long-secret")) as served:

        async def guess() -> tuple[list[tuple[int, float]], tuple[int, float]]:
            async with aiohttp.ClientSession(served.url.partition("#")[0]) as http:

                async def status(token: str) -> tuple[int, float]:
                    """The answer's status, and after how many seconds it came."""
                    begin = time.monotonic()
                    async with http.get(
                        "api/state", headers={"Authorization": f"Bearer {token}"}
                    ) as reply:
                        return reply.status, time.monotonic() - begin

                wrong = [asyncio.create_task(status(f"guess-{k}")) for k in range(40)]
                await asyncio.sleep(0.1)
                right = await status("a-long-secret")
                return list(await asyncio.gather(*wrong)), right

        wrong, right = asyncio.run(guess())
        statuses = [status for status, _ in wrong]
        assert statuses.count(429) > 10 and statuses.count(401) >= 20 and len(statuses) == 40
        refused = sorted(seconds for status, seconds in wrong if status == 401)
        assert right[0] == 200 and right[1] < refused[len(refused) // 2]


def test_other_sites_are_turned_away() -> None:
    with serving() as served:
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
        ):
            for method, path in (
                ("GET", "api/state"),
                ("POST", "whep"),
                ("GET", "static/favicon.svg"),
            ):
                assert ask(served.url, method, path, headers=headers)[0] == 403
        port = served.url.rsplit(":", 1)[1].rstrip("/")
        headers = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
        assert ask(served.url, "GET", "api/state", headers=headers)[0] == 200


@pytest.mark.slow
def test_a_server_for_others_needs_the_token(caplog: pytest.LogCaptureFixture) -> None:
    with serving(WebConfig(host="0.0.0.0", port=0)) as served:
        assert "without TLS" in caplog.text
        base, _, token = served.url.partition("#token=")
        port = int(base.rstrip("/").rsplit(":", 1)[1])
        local = f"http://127.0.0.1:{port}/"
        assert len(token) >= 20
        for request in (
            "GET api/state",
            "GET recording",
            "POST recording",
            "POST whep",
            "POST whip",
            "DELETE whep/x",
            "POST api/action",
            "GET no",
            "POST ",
            "GET recording?ticket=wrong",
        ):
            method, path = request.split(" ")
            assert ask(local, method, path)[0] == 401
            assert ask(f"{local}#token=wrong", method, path)[0] == 401
        assert ask(local, "GET", f"api/state?token={token}")[0] == 401, (
            "addresses stay in logs and histories"
        )
        assert ask(f"{local}#token={token}", "GET", "api/state")[0] == 200
        for path in ("", "obs", "static/main.js"):
            # The token of the page's address is in its fragment, which is not sent
            assert ask(local, "GET", path)[0] == 200
        assert token not in str(ask(local, "GET", "api/state"))


@pytest.mark.skipif(
    not aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True),
    reason="this machine has no network",
)
def test_a_server_for_others_has_viewers_too() -> None:
    with serving(WebConfig(host="0.0.0.0", port=0, token="a-long-secret")) as served:
        port = served.url.partition("#")[0].rstrip("/").rsplit(":", 1)[1]
        assert served.url.endswith("#token=a-long-secret")

        async def body() -> None:
            watcher = Watcher()
            async with aiohttp.ClientSession(
                headers={"Authorization": "Bearer a-long-secret"}
            ) as http:
                await watcher.join(http, f"http://127.0.0.1:{port}/")
            await watcher.decoded(3)
            await watcher.close()

        asyncio.run(body())


def test_a_taken_port_is_named_with_what_to_do() -> None:
    threads = set(threading.enumerate())
    session = PaintedSession()
    try:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            server = WebServer(session, StageClock(), WebConfig(port=port))
            with pytest.raises(UserError, match=rf"port {port} on 127.0.0.1 is taken .*--port"):
                server.start()
            server.close()
        assert server.start().endswith(f":{port}/")  # free again
        server.close()
        server.close()
    finally:
        session.close()
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (WebConfig(host="203.0.113.9", port=0), "not an address of this machine"),
        (WebConfig(host="no such name", port=0), "not an address of this machine"),
        (WebConfig(port=70_000), "port 70000 does not exist"),
        (WebConfig(port=0, token="short"), "token is too short"),
        (WebConfig(port=0, key=Path("key.pem")), "--key without --cert"),
        (WebConfig(port=0, cert=Path("absent.pem")), r"absent\.pem is not a file"),
    ],
)
def test_settings_that_cannot_work_are_refused(config: WebConfig, problem: str) -> None:
    session = PaintedSession()
    try:
        with pytest.raises(UserError, match=problem) as refusal:
            WebServer(session, StageClock(), config).start()
        assert "\n" not in str(refusal.value)
    finally:
        session.close()


def test_tls(tmp_path: Path) -> None:
    cert, key = key_pair(tmp_path)
    with serving(WebConfig(port=0, cert=cert, key=key)) as served:
        assert served.url.startswith("https://")
        assert (
            ask(served.url, "GET", "api/state", ssl=ssl.create_default_context(cafile=str(cert)))[0]
            == 200
        )


def test_pages_have_no_inline_scripts_and_answers_no_cookies() -> None:
    with serving() as served:
        for path in ("", "obs"):
            _, text, headers = ask(served.url, "GET", path)
            assert "Set-Cookie" not in headers
            policy = headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy and "style-src 'self';" in policy
            assert not re.search(
                r"<script(?![^>]*\ssrc=)|\son\w+\s*=|\sstyle\s*=|javascript:", text
            )
        assert "Set-Cookie" not in ask(served.url, "GET", "api/state")[2]


def test_no_token_gets_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(WebConfig(port=0, token="a-long-secret")) as served:
        local = served.url.partition("#")[0]
        assert ask(served.url, "GET", "api/state")[0] == 200
        assert ask(served.url, "POST", "whep", data="v=0", headers=SDP)[0] == 400
        assert (
            ask(local, "GET", "api/state", headers={"Authorization": "Bearer a-wrong-secret"})[0]
            == 401
        )
        assert ask(local, "GET", "api/state?token=a-long-secret")[0] == 401
    assert "secret" not in caplog.text
