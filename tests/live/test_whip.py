"""Publishing to a WHIP server: what is sent, what servers may answer, and connections that are lost."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from live_frames import drawn, picture, two_up
from voices import TONE, tone, voice_of
from web_session import PATIENCE, key_pair, number_in, painted
from whip_server import Reply, WhipServer, whip_server

from perse_live.errors import UserError
from runtime.live.frames import DrawnFrame
from runtime.live.outlets import Outlet
from runtime.live.slot import Latest
from runtime.sinks import whip
from runtime.sinks.contract import ReconnectingSink
from runtime.sinks.whip import FIRST_PAUSE, LONGEST_PAUSE, WhipSink, chosen_codec, pause_before
from runtime.sound.contract import RATE
from runtime.sound.voice import Voice
from runtime.web import whip_http
from runtime.web.codec import EncodeConfig
from runtime.web.whip_http import ice_servers_in, whip_target

SECRET = "a-stream-key-that-nobody-may-see"


def until(true: Callable[[], bool], what: str = "it did not come about") -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextlib.contextmanager
def showing(sink: WhipSink) -> Generator[None, None, None]:
    """Paints into a sink, 30 pictures a second, and closes it."""
    ended = threading.Event()

    def paint() -> None:
        number = 0
        while not ended.wait(1 / 30):
            number += 1
            sink.write(DrawnFrame(painted(number), False, time.monotonic(), None, number))

    thread = threading.Thread(target=paint)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sink.close()


def published(
    server: WhipServer,
    *,
    token: str | None = None,
    codec: str = "vp8",
    voice: Voice | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> WhipSink:
    config = EncodeConfig(codec="vp8" if codec == "vp8" else "h264")
    return WhipSink(whip_target(server.url, token), config, voice=voice, tell=tell)


# ----- what is sent


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["video/VP8", "video/H264"])
@pytest.mark.parametrize("preferred", ["vp8", "h264"])
def test_the_server_chooses_the_codec_and_gets_every_picture(taken: str, preferred: str) -> None:
    with whip_server(SECRET) as server:
        server.codecs = (taken,)
        sink = published(server, token=SECRET, codec=preferred)
        assert SECRET not in sink.name and "/whip" not in sink.name
        with showing(sink):
            until(lambda: len(server.stream.pictures) > 3 and server.stream.keyframes > 1)
            numbers = [number_in(image) for image in server.stream.pictures]
            assert numbers == sorted(numbers) and numbers[0] > 0
            assert sink.problem == ""
        assert server.stream.deleted
        until(lambda: server.stream.connection.connectionState == "closed")
    assert {given for _, _, given in server.requests} == {f"Bearer {SECRET}"}
    assert [method for method, _, _ in server.requests] == ["OPTIONS", "POST", "DELETE"]
    assert "m=audio" not in server.stream.offer, "there is no voice"


@pytest.mark.slow
@pytest.mark.parametrize("taken", [True, False])
def test_the_voice_goes_along_where_the_server_takes_it(taken: bool) -> None:
    with whip_server() as server, voice_of(tone) as voice:
        server.takes_sound = taken
        with showing(published(server, voice=voice)):
            until(lambda: len(server.stream.pictures) > 3)
            if taken:
                until(lambda: len(server.stream.sound) > 60)
        first, last = server.streams[0], server.streams[-1]
        assert first.deleted and last.deleted
    assert "m=audio" in first.offer
    if not taken:
        assert last.sound == [] and "m=audio" not in last.offer
        return
    samples = np.concatenate([frame.to_ndarray()[0, ::2] for frame in last.sound[-40:]])
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert abs(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()] - TONE) < 5


def test_of_a_transparent_picture_viewers_get_the_avatar_on_black() -> None:
    frame = drawn(two_up(picture(3), 128), matte=True)
    alone = whip._without_matte(frame)  # pyright: ignore[reportPrivateUsage]
    assert not alone.matte and alone.image.shape == picture(3).shape
    assert alone.i420().shape == (picture(3).shape[0] * 3 // 2, picture(3).shape[1])
    plain = drawn(picture(3))
    assert whip._without_matte(plain) is plain  # pyright: ignore[reportPrivateUsage]


# ----- what servers may answer


def answering(status: int, text: str = "", kind: str = "text/plain", **headers: str) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status,
            text=text,
            content_type=kind,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return reply


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (answering(401, "no"), r"does not take the stream \(401 no\): check the token"),
        (answering(403), r"\(403\): check the token and what it allows"),
        (answering(404, "<p>", "text/html"), r"\(404\): check the address after --publish$"),
        (answering(405), r"\(405\): check the address after --publish: it is no WHIP address"),
        (
            answering(406, '{"error": "H264 only"}', "application/json"),
            r"\(406 H264 only\): another --codec may help",
        ),
        (answering(409), r"\(409\): somebody publishes there already"),
        (answering(500, f"bad {SECRET}\nline"), r"has failed \(500 bad \*\*\* line\): its log"),
        (answering(503, Retry_After="7"), r"has failed \(503\): it is busy"),
        (
            answering(301, Location=f"https://new.example.org/{SECRET}"),
            r"has moved to new\.example\.org \(301\): give --publish the new address",
        ),
        (answering(307), r"redirects to nowhere \(307\)"),
        (answering(307, Location="/whip/me"), r"redirects more than 5 times"),
        (answering(201, "<p>", "text/html"), r"answers without SDP"),
        (answering(201, "v=0\r\nm=video", "application/sdp"), r"takes neither VP8 nor H.264"),
        (
            answering(
                201, "v=0\r\nm=video 9 RTP 96\r\na=rtpmap:96 VP8/90000\r\n", "application/sdp"
            ),
            r"the SDP answer cannot be used",
        ),
        (answering(201, "v=0" + "x" * 70_000, "application/sdp"), r"answers without SDP"),
    ],
)
def test_a_refusal_is_one_line_and_shows_no_secret(
    reply: Reply, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with whip_server(SECRET) as server:
        server.before = reply
        with pytest.raises(UserError, match=line) as caught:
            published(server, token=SECRET)
        host = re.escape(server.url.split("/")[2])
    said = str(caught.value)
    assert re.match(host, said) or "SDP answer" in said
    assert "\n" not in said and SECRET not in said and SECRET not in caplog.text
    assert not any(thread.name == "publish" for thread in threading.enumerate())


def test_a_missing_token_and_a_wrong_one_are_told_apart() -> None:
    with whip_server(SECRET) as server:
        with pytest.raises(UserError, match=r"asks for a token \(401\): give it with --publish"):
            published(server)
        with pytest.raises(UserError, match=r"\(401 no such token\): check the token") as caught:
            published(server, token="wrong-token")
        assert "wrong-token" not in str(caught.value)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_is_followed_with_body_and_token(status: int) -> None:
    with whip_server(SECRET) as server:

        async def once(request: web.Request) -> web.StreamResponse:
            server.before = None
            return await answering(status, Location="/elsewhere")(request)

        server.before = once
        with showing(published(server, token=SECRET)):
            until(lambda: len(server.stream.pictures) > 1)
    assert [path for method, path, _ in server.requests if method == "POST"] == [
        "/whip/me",
        "/elsewhere",
    ]


def test_a_server_that_never_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip_http, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(whip_http, "_OPTIONAL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/whip"
        with pytest.raises(UserError, match=r"does not answer within 0 s: check the address"):
            WhipSink(whip_target(url, None), EncodeConfig())


def test_nobody_there_no_such_name_and_no_http_are_one_line_each() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with pytest.raises(
        UserError, match=r"127\.0\.0\.1:\d+ cannot be reached \(Connection refused\): check that"
    ):
        WhipSink(whip_target(f"http://127.0.0.1:{free}/whip", None), EncodeConfig())
    with pytest.raises(UserError, match=r"there-is-none\.invalid is not found"):
        WhipSink(whip_target("http://there-is-none.invalid/whip", None), EncodeConfig())
    with socket.create_server(("127.0.0.1", 0)) as odd:

        def speak() -> None:
            for _ in range(2):  # OPTIONS, POST
                connection, _ = odd.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"220 mail\r\n\r\n")

        speaking = threading.Thread(target=speak)
        speaking.start()
        with pytest.raises(UserError, match=r"does not speak HTTP as expected"):
            WhipSink(whip_target(f"http://127.0.0.1:{odd.getsockname()[1]}/", None), EncodeConfig())
        speaking.join()


def test_tls_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = key_pair(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with whip_server(SECRET, tls) as server:
        with pytest.raises(
            UserError, match=r"certificate of 127\.0\.0\.1:\d+ is not trusted \(self"
        ):
            published(server, token=SECRET)
        assert server.requests == [], "the token was not shown"

        async def downgrade(_: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/whip")

        context = ssl.create_default_context(cafile=str(cert))
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)
        with showing(published(server, token=SECRET)):
            until(lambda: len(server.stream.pictures) > 1)
        server.before = downgrade
        with pytest.raises(UserError, match=r"redirects to 127\.0\.0\.1:9, which is not encrypted"):
            published(server, token=SECRET)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.org/whip",
        "ftp://example.org/whip",
        "https://",
        "https://example.org:0/",
        "http://[::1/whip",
        f"https://me:{SECRET}@example.org/whip",
    ],
)
def test_an_address_that_is_none_is_one_line(address: str) -> None:
    with pytest.raises(UserError, match="--publish") as caught:
        whip_target(address, None)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ümlaut"])
def test_a_token_that_no_header_can_carry_is_one_line(token: str) -> None:
    with pytest.raises(UserError, match="no spaces") as caught:
        whip_target("https://example.org/whip", token)
    assert token not in str(caught.value)


def test_a_target_s_text_shows_no_secret() -> None:
    target = whip_target(f"https://example.org/{SECRET}/publish?key={SECRET}", SECRET)
    assert SECRET not in repr(target) and target.host == "example.org"
    assert whip_target("http://[::1]:8080/whip", None).host == "[::1]:8080"


# ----- ICE servers


def test_ice_servers_are_read_from_links() -> None:
    found = ice_servers_in(
        [
            '<stun:stun.example.net>; rel="ice-server", <https://example.net>; rel="next"',
            '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="us,er"; '
            'credential="my;pass\\"word"; credential-type="password"',
            '<turn:turn.example.net>; rel="ice-server"',  # without credentials it is of no use
            '<turn:turn.example.net>; rel="ice-server"; username="a"; credential="b"; credential-type="oauth"',
            '<http://example.net>; rel="ice-server"',
        ]
    )
    assert [one.url for one in found] == [
        "stun:stun.example.net",
        "turn:turn.example.net?transport=udp",
    ]
    assert (found[1].username, found[1].credential) == ("us,er", 'my;pass"word')


@given(st.lists(st.text('<>;,="\\ \nrel-icsvtun:?', max_size=60), max_size=3))
def test_any_links_are_read_without_an_error(links: list[str]) -> None:
    assert len(ice_servers_in(links)) <= 8


def test_recommended_ice_servers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those told before the offer at once, those in the answer where nothing gets through without them."""
    asked, hidden = list[tuple[str, ...]](), list[bool]()
    stock = whip.Peer

    def peer(servers: list[whip.RTCIceServer], *given: object, **named: bool) -> whip.Peer:
        asked.append(tuple(str(one.urls) for one in servers))
        if hidden:  # nothing gets through: no need to wait long
            monkeypatch.setattr("runtime.web.peers._CONNECT", 1.0 if len(asked) == 1 else 20.0)
        return stock([], *given, **named)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(whip, "Peer", peer)
    with whip_server() as server:
        server.links = ['<stun:stun.example.net>; rel="ice-server"']
        with showing(published(server)):
            until(lambda: len(server.stream.pictures) > 1)
        assert asked == [("stun:stun.example.net",)]

        server.links, asked[:] = [], []
        server.links_in_answer = ['<stun:other.example.net>; rel="ice-server"']
        hidden.append(True)

        def hide(sdp: str) -> str:  # what nothing gets through to
            return re.sub(r"a=candidate:.*\r\n", "", sdp)

        stock_accept = stock.accept

        async def accept(self: whip.Peer, sdp: str) -> None:
            await stock_accept(self, hide(sdp) if len(asked) == 1 else sdp)

        monkeypatch.setattr(stock, "accept", accept)
        with showing(published(server)):
            until(lambda: len(server.stream.pictures) > 1)
        assert asked == [(), ("stun:other.example.net",)]
        assert server.streams[-2].deleted


# ----- connections that are lost


@given(st.integers(0, 2000), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_their_limit_and_never_beyond(attempt: int, chance: float) -> None:
    pause = pause_before(attempt, chance)
    assert 0.8 * FIRST_PAUSE <= pause <= LONGEST_PAUSE
    assert pause_before(attempt + 1, chance) >= pause
    assert pause_before(attempt, 0.0) <= pause


def test_a_lost_connection_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "FIRST_PAUSE", 0.05)
    told = list[str]()
    with whip_server(SECRET) as server:
        sink = published(server, token=SECRET, tell=told.append)
        assert isinstance(sink, ReconnectingSink)
        with showing(sink):
            until(lambda: len(server.stream.pictures) > 1)
            server.before = answering(503, Retry_After="0")
            server.lose()
            until(lambda: "(503)" in sink.problem)
            server.before = None
            until(lambda: len(server.streams) == 2 and len(server.stream.pictures) > 1)
            until(lambda: sink.problem == "")
        assert [stream.deleted for stream in server.streams] == [True, True]
    assert "was lost: connecting again" in told[0]
    assert "(503)" in told[1]
    assert told[-1] == f"{sink.name} again"
    assert len(set(told)) == len(told), "each cause is said once"


def test_a_refusal_for_good_ends_the_sink_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "FIRST_PAUSE", 0.05)
    drawn_frames: Latest[DrawnFrame] = Latest()
    with whip_server(SECRET) as server:
        outlet = Outlet(published(server, token=SECRET), drawn_frames)
        server.token = "another-token"
        server.lose()
        number = 0
        deadline = time.monotonic() + PATIENCE
        while outlet.running:
            assert time.monotonic() < deadline
            number += 1
            drawn_frames.put(drawn(picture(number), number=number))
            time.sleep(0.02)
        assert "(401 no such token): check the token" in outlet.problem
        outlet.close()


def test_closing_does_not_wait_for_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "FIRST_PAUSE", 1e6)
    monkeypatch.setattr(whip, "LONGEST_PAUSE", 1e6)
    with whip_server() as server:
        sink = published(server)
        server.lose()
        until(lambda: "was lost" in sink.problem)
        sink.close()
        sink.close()


# ----- answers


@pytest.mark.parametrize(
    ("formats", "codec"),
    [("96", "vp8"), ("98 96", "h264"), ("99 96", "vp8"), ("99", None), ("97 98", "h264")],
)
def test_the_first_codec_of_an_answer_is_sent(formats: str, codec: str | None) -> None:
    maps = "96 VP8/90000", "97 rtx/90000", "98 H264/90000", "99 VP9/90000"
    lines = [f"m=video 9 UDP/TLS/RTP/SAVPF {formats}", *(f"a=rtpmap:{one}" for one in maps)]
    assert chosen_codec("v=0\r\n" + "".join(f"{line}\r\n" for line in lines)) == codec
