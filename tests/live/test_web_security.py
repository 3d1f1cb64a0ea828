from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import cv2
import numpy as np
import pytest
from web_session import key_pair

from perse_live.errors import UserError
from runtime.web.ice import ice_server
from runtime.web.offers import parse_offer
from runtime.web.pages import page_file
from runtime.web.security import (
    Tickets,
    bearer_token,
    host_fits,
    is_loopback,
    link,
    new_token,
    origin_fits,
    read_token,
    terminal_qr,
    tls_context,
    token_fits,
)
from runtime.web.shared_machine import another_user

OFFER = "\r\n".join(
    (
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=fingerprint:sha-256 AB:CD",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=candidate:1 1 udp 2122260223 12ab-34.local 50000 typ host generation 0",
        "a=candidate:2 1 udp 2122260223 127.0.0.1 50001 typ host generation 0",
        "a=end-of-candidates",
        "",
    )
)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("laptop.local", False),
    ],
)
def test_only_loopback_addresses_count_as_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize(
    "header", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"]
)
def test_a_loopback_server_answers_to_its_names(header: str) -> None:
    assert host_fits(header, listening="127.0.0.1")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "[::1",
        "localhost@evil.example",
        "192.168.1.4:8080",
    ],
)
def test_a_loopback_server_answers_to_no_other_name(header: str | None) -> None:
    assert not host_fits(header, listening="127.0.0.1")


def test_a_public_server_leaves_names_to_the_token() -> None:
    assert host_fits("laptop.local:8080", listening="0.0.0.0")
    assert not host_fits(None, listening="0.0.0.0")


def test_only_this_servers_page_or_no_page_may_ask() -> None:
    assert origin_fits(None, "localhost:8080")
    assert origin_fits("http://localhost:8080", "localhost:8080")
    assert origin_fits("https://LAPTOP.local", "laptop.local")
    for origin in ("http://evil.example", "null", "http://localhost:9999", "http://[broken", ""):
        assert not origin_fits(origin, "localhost:8080")


def test_the_token_is_needed_where_there_is_one() -> None:
    token = new_token()
    assert len(token) >= 20 and token != new_token()
    assert token_fits("", bearer_token(None))
    assert token_fits(token, bearer_token(f"Bearer {token}"))
    assert token_fits(token, bearer_token(f"bearer  {token} "))
    for authorization in (
        None,
        "",
        token,
        token[:-1],
        f"Basic {token}",
        "Bearer",
        "Bearer wrong",
        "Bearer \udcff",
        "Bearer ünrecht",
        f"Bearer {token[:-1]}",
    ):
        assert not token_fits(token, bearer_token(authorization))


def test_tickets_work_once_and_for_a_while() -> None:
    tickets = Tickets(60.0, most=2)
    first, second = tickets.issue(0.0), tickets.issue(1.0)
    assert first != second and not tickets.redeem("", 1.0)
    assert tickets.redeem(first, 60.0) and not tickets.redeem(first, 60.0)
    assert not tickets.redeem(second, 61.1)
    issued = [tickets.issue(100.0) for _ in range(3)]
    assert [tickets.redeem(one, 100.0) for one in issued] == [False, True, True]


def test_ice_servers_are_read() -> None:
    stun, turn = (
        ice_server("stun:stun.example:3478"),
        ice_server("turn:me:se-cret@[::1]:3478?transport=tcp"),
    )
    assert (stun.url, stun.username) == ("stun:stun.example:3478", None)
    assert (turn.url, turn.username, turn.credential) == (
        "turn:[::1]:3478?transport=tcp",
        "me",
        "se-cret",
    )
    assert "se-cret" not in repr(turn)
    timed = ice_server("turn:1730000000%3Ame:a%40b@turn.example")
    assert (timed.username, timed.credential) == ("1730000000:me", "a@b")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "stun:",
        "turn:turn.example",
        "stun:me:secret@host",
        "http://host",
        "stun:host?transport=udp",
        "stun:host:port",
        "stun:a b",
    ],
)
def test_what_is_no_ice_server_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="is not an ICE server"):
        ice_server(url)


@pytest.mark.parametrize(
    "url",
    [
        "turn:me:s3cret",
        "turn:me:s3cret@",
        "turn:me:s3cret@a@host",
        "turns:s3cret:@host",
        "stun:me:s3cret@h",
        "http://me:s3cret@host",
        "turn:me:s3cret@host:port",
        "turn:s3cret" * 200,
    ],
)
def test_refusals_show_no_credentials(url: str) -> None:
    with pytest.raises(UserError, match="is not an ICE server") as refusal:
        ice_server(url)
    assert "s3cret" not in str(refusal.value)


def test_links_can_be_opened() -> None:
    assert link(host="127.0.0.1", port=8080, tls=False, token="") == "http://127.0.0.1:8080/"
    assert link(host="::1", port=1, tls=True, token="a b&/") == "https://[::1]:1/#token=a%20b%26%2F"
    assert "0.0.0.0" not in link(host="0.0.0.0", port=1, tls=False, token="x")


def test_the_qr_code_reads_as_the_link() -> None:
    url = link(host="192.168.100.200", port=8080, tls=True, token=new_token())
    rows = terminal_qr(url).splitlines()
    # Light is drawn, on a dark terminal
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    modules = np.array(
        [[halves[cell][half] for cell in row] for row in rows for half in (0, 1)], np.uint8
    )
    picture = cv2.resize(modules, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == url


def test_tls_takes_a_pair_or_one_file(tmp_path: Path) -> None:
    cert, key = key_pair(tmp_path)
    assert isinstance(tls_context(cert, key), ssl.SSLContext)
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    assert isinstance(tls_context(both, None), ssl.SSLContext)


def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    cert, key = key_pair(tmp_path)
    with pytest.raises(UserError, match=r"absent\.pem is not a file"):
        tls_context(tmp_path / "absent.pem", key)
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    for pair in ((rubbish, key), (cert, rubbish), (cert, None)):
        with pytest.raises(UserError, match="cannot be used for TLS"):
            tls_context(*pair)


def test_a_key_with_a_password_does_not_ask_for_it(tmp_path: Path) -> None:
    cert, key = key_pair(tmp_path)
    locked = tmp_path / "locked.pem"
    command = ["openssl", "rsa", "-aes256", "-in", key, "-out", locked, "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(UserError, match="cannot be used for TLS"):
        tls_context(cert, locked)


@pytest.mark.parametrize(
    ("lines", "vp8", "h264"),
    [
        ((), "is without video/VP8", "is without video/H264"),
        (("a=rtpmap:96 vp8/90000",), "", "is without"),
        (("a=rtpmap:96 H264/90000",), "is without", "without packetization-mode=1"),
        (
            ("a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=0;profile-level-id=42e01f"),
            "is without",
            "packetization-mode=1",
        ),
        (
            ("a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1;profile-level-id=640c1f"),
            "is without",
            "profiles 640C1F",
        ),
        (
            ("a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1; profile-level-id=<b>"),
            "is without",
            "profiles unknown",
        ),
        (
            (
                "a=rtpmap:96 H264/90000",
                "a=fmtp:96 packetization-mode=1;profile-level-id=640c1f",
                "a=rtpmap:97 H264/90000",
                "a=fmtp:97 a=1; packetization-mode=1;profile-level-id=42001f",
            ),
            "is without",
            "",
        ),
        (("a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1"), "is without", ""),
    ],
)
def test_what_an_offers_codecs_lack_is_said(lines: tuple[str, ...], vp8: str, h264: str) -> None:
    offer = parse_offer(
        (OFFER + "".join(f"{line}\r\n" for line in lines)).encode(), local_peer=False
    )
    wanted: tuple[tuple[Literal["VP8", "H264"], str], ...] = (("VP8", vp8), ("H264", h264))
    for codec, obstacle in wanted:
        found = offer.codec_obstacle(codec)
        assert obstacle in found and bool(obstacle) == bool(found)


def test_offers_of_peers_on_this_machine_lose_names_that_are_slow_to_resolve() -> None:
    local = parse_offer(OFFER.encode(), local_peer=True).sdp
    assert ".local" not in local and "127.0.0.1 50001" in local and "end-of-candidates" not in local
    assert parse_offer(OFFER.encode(), local_peer=False).sdp == OFFER
    assert parse_offer(OFFER.replace("\r", "").encode(), local_peer=False).sdp == OFFER


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "must begin with v=0"),
        (b"\xff\xfe", "not text"),
        (b"{}", "must begin with v=0"),
        (b"v=0\r\n", "no video"),
        (OFFER.replace("m=video", "m=audio").encode(), "no video"),
        (OFFER.replace("a=fingerprint", "a=nothing").encode(), "fingerprint"),
        ((OFFER + "m=text 9 UDP 0\r\n").encode(), "other than video"),
        ((OFFER + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 9).encode(), "media sections"),
        ((OFFER + "a=candidate:1 1 udp 1 127.0.0.1 1 typ host\r\n" * 99).encode(), "candidates"),
    ],
)
def test_what_is_no_offer_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as refusal:
        parse_offer(body, local_peer=True)
    assert "\n" not in str(refusal.value)


def test_nothing_outside_of_the_page_folder_is_given_out(tmp_path: Path) -> None:
    page = tmp_path / "page"
    (page / "icons").mkdir(parents=True)
    (page / "app.js").write_text("1")
    (page / "icons" / "face.svg").write_text("<svg/>")
    (page / "notes.txt").write_text("not a page's")
    (tmp_path / "secret.js").write_text("secret")
    (page / "link.js").symlink_to(tmp_path / "secret.js")
    assert page_file("app.js", page) == (b"1", "text/javascript")
    assert page_file("icons/face.svg", page) == (b"<svg/>", "image/svg+xml")
    outside = str(tmp_path / "secret.js")
    for name in (
        "../secret.js",
        "icons/../../secret.js",
        "/etc/passwd",
        outside,
        "link.js",
        "notes.txt",
        "icons",
        "",
        "a\0b.js",
        "x" * 5000 + ".js",
    ):
        assert page_file(name, page) is None


def test_a_token_is_read_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-long-secret \nmore\n")
    file.chmod(0o600)
    assert read_token(file) == "a-long-secret"
    for content, mode, problem in (
        (b"a-long-secret", 0o640, "chmod 600"),
        (b"", 0o600, "is empty"),
        (b"\n", 0o600, "is empty"),
        (b"\xff", 0o600, "is not text"),
    ):
        file.write_bytes(content)
        file.chmod(mode)
        with pytest.raises(UserError, match=problem) as caught:
            read_token(file)
        assert "a-long-secret" not in str(caught.value)
    for missing in (tmp_path / "absent", tmp_path):
        with pytest.raises(UserError, match="is not a file"):
            read_token(missing)


@pytest.mark.skipif(sys.platform != "linux", reason="by Linux's list of processes")
def test_other_people_on_this_machine_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Entry:
        def __init__(self, name: str, uid: int) -> None:
            self.name, self._uid = name, uid

        def stat(self) -> SimpleNamespace:
            if self._uid < 0:
                raise FileNotFoundError
            return SimpleNamespace(st_uid=self._uid)

    import pwd

    def account(uid: int) -> SimpleNamespace:
        return SimpleNamespace(
            pw_name={54321: "guest", 2_000_001: "colleague", 61200: "service"}[uid]
        )

    monkeypatch.setattr(pwd, "getpwuid", account)
    ours = os.getuid()
    for owners, found in (
        ((), ""),
        ((0, 33, 65534, ours), ""),
        ((-1, ours), ""),
        ((0, 54321), "guest"),
        ((100_999, 61200), ""),
        ((100_999, 2_000_001), "colleague"),
    ):
        monkeypatch.setattr(
            os,
            "scandir",
            lambda _, owners=owners: [Entry(f"{k}", uid) for k, uid in enumerate(owners)],
        )
        assert another_user() == found
    monkeypatch.undo()
    assert another_user(processes=tmp_path / "none") == ""
