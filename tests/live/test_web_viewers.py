"""Viewers over real WebRTC on this machine, with aiortc on their side."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import aioice.ice
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtp import RTCP_PSFB_FIR, RTCP_PSFB_PLI, RtcpPsfbPacket
from web_session import (
    PATIENCE,
    PaintedCamera,
    Served,
    Watcher,
    painted,
    publish,
    serving,
    until,
    watching,
)

from runtime.live.actions import Hide, SetAttribute
from runtime.web.aiortc_hooks import only_loopback
from runtime.web.codec import CodecName, EncodeConfig
from runtime.web.peers import Peer
from runtime.web.server import WebConfig


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_viewer_sees_the_avatar(codec: CodecName) -> None:
    async def body(url: str) -> None:
        async with watching(url) as (watcher,):
            await watcher.decoded(20)
            assert watcher.numbers == sorted(watcher.numbers)
            # A still one may be repeated for the newcomer
            assert len(set(watcher.numbers)) >= len(watcher.numbers) - 1
            assert watcher.image is not None
            assert np.abs(watcher.image.astype(int) - painted(watcher.numbers[-1])).mean() < 4

    with serving(WebConfig(port=0, codec=codec)) as served:
        asyncio.run(body(served.url))


@pytest.mark.slow
def test_eight_viewers_share_one_encoding() -> None:
    with serving() as served:

        async def body() -> None:
            async with watching(served.url, 8) as watchers:
                assert served.server.viewers == 8
                encoded, drawn = len(served.clock._samples), served.session.count  # pyright: ignore[reportPrivateUsage]
                await asyncio.gather(*(watcher.decoded(30) for watcher in watchers))
                encoded = len(served.clock._samples) - encoded  # pyright: ignore[reportPrivateUsage]
                assert encoded <= served.session.count - drawn + 3  # one each, not eight
            await until(lambda: served.server.viewers == 0)

        asyncio.run(body())


def test_a_viewer_is_ended_by_request_and_by_leaving() -> None:
    with serving() as served:

        async def body() -> None:
            async with watching(served.url, 2) as (asks, leaves), aiohttp.ClientSession() as http:
                assert served.server.viewers == 2
                async with http.delete(served.url + asks.location[1:]) as reply:
                    assert reply.status == 200
                await until(lambda: served.server.viewers == 1)
                await until(lambda: asks.connection.connectionState == "closed")
                async with http.delete(served.url + asks.location[1:]) as reply:
                    assert reply.status == 404
                await leaves.connection.close()
                await until(lambda: served.server.viewers == 0)

        asyncio.run(body())


@pytest.mark.slow
def test_a_viewer_that_vanishes_is_forgotten_and_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.4)  # thirty seconds otherwise
    # More than two seconds, as a busy machine may pause for one
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 6)
    with serving() as served:

        async def body() -> None:
            async with watching(served.url, 2) as (stays, vanishes):
                # As if the plug was pulled: no goodbye
                for transceiver in vanishes.connection.getTransceivers():
                    ice: Any = transceiver.receiver.transport.transport._connection  # pyright: ignore[reportPrivateUsage]
                    ice._query_consent_task.cancel()
                    for protocol in ice._protocols:
                        protocol.transport.abort()
                await stays.decoded(10)
                await until(lambda: served.server.viewers == 1)
                await stays.decoded(10)

        asyncio.run(body())


@pytest.mark.slow
def test_a_viewer_that_never_connects_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough to be counted on a busy machine
    monkeypatch.setattr("runtime.web.peers._CONNECT", 3.0)
    with serving() as served:

        async def body() -> None:
            watcher = Watcher()
            async with aiohttp.ClientSession() as http:
                # with candidates where nobody answers
                await watcher.join(
                    http,
                    served.url,
                    change=lambda sdp: sdp.replace("a=ice-pwd:", "a=ice-pwd:wrong"),
                )
            assert watcher.status == 201 and served.server.viewers == 1
            await until(lambda: served.server.viewers == 0)
            await watcher.close()

        asyncio.run(body())


def test_a_viewer_without_candidates_is_found_by_its_connectivity_checks() -> None:
    """As browsers are that hide their addresses behind mDNS names."""

    def hide(sdp: str) -> str:
        return "\r\n".join(
            line
            for line in sdp.split("\r\n")
            if not line.startswith(("a=candidate", "a=end-of-candidates"))
        )

    with serving() as served:

        async def body() -> None:
            watcher = Watcher()
            async with aiohttp.ClientSession() as http:
                await watcher.join(http, served.url, change=hide)
            await watcher.decoded(5)
            await watcher.close()

        asyncio.run(body())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RTCP_PSFB_PLI, RTCP_PSFB_FIR])
def test_a_keyframe_request_reaches_the_encoder(kind: int) -> None:
    # Whose decoder says which frames are keyframes
    with serving(WebConfig(port=0, codec="h264")) as served:

        async def body() -> None:
            async with watching(served.url) as (watcher,):
                # The first keyframe is over, and its answer to requests too
                await watcher.decoded(20)
                before = watcher.keyframes
                receiver: Any = watcher.connection.getReceivers()[0]
                (ssrc,) = receiver._RTCRtpReceiver__remote_streams
                sender = receiver._RTCRtpReceiver__rtcp_ssrc
                await receiver._send_rtcp(RtcpPsfbPacket(fmt=kind, ssrc=sender, media_ssrc=ssrc))
                await until(lambda: watcher.keyframes == before + 1)
                await watcher.decoded(30)
                assert watcher.keyframes == before + 1

        asyncio.run(body())


@pytest.mark.slow
def test_a_flood_of_keyframe_requests_ruins_nothing() -> None:
    # Whose decoder says which frames are keyframes
    with serving(WebConfig(port=0, codec="h264")) as served:

        async def body() -> None:
            async with watching(served.url) as (watcher,):
                receiver: Any = watcher.connection.getReceivers()[0]
                (ssrc,) = receiver._RTCRtpReceiver__remote_streams
                first, before, began = len(watcher.numbers), watcher.keyframes, time.monotonic()
                while len(watcher.numbers) < first + 60:  # two seconds, where the machine keeps up
                    await receiver._send_rtcp_pli(ssrc)
                    await asyncio.sleep(0.005)
                # Two were on their way
                most = 2 + (time.monotonic() - began) / EncodeConfig().keyframe_spacing
                assert 1 <= watcher.keyframes - before <= most < 50

        asyncio.run(body())


def test_the_size_may_change_while_somebody_watches() -> None:
    with serving() as served:

        async def body() -> None:
            async with watching(served.url) as (watcher,):
                for size in ((512, 192), (320, 240), (256, 192)):
                    served.session.size = size
                    await until(
                        lambda size=size: (
                            watcher.image is not None and watcher.image.shape[1::-1] == size
                        )
                    )
                    await watcher.decoded(5)
                    assert watcher.image is not None
                    expected = painted(watcher.numbers[-1], width=size[0], height=size[1])
                    assert np.abs(watcher.image.astype(int) - expected).mean() < 4

        asyncio.run(body())


def test_there_is_a_limit_of_viewers() -> None:
    with serving(WebConfig(port=0, max_viewers=1)) as served:

        async def body() -> None:
            async with watching(served.url) as (inside,), aiohttp.ClientSession() as http:
                outside = Watcher()
                await outside.join(http, served.url)
                assert outside.status == 503
                await outside.close()
                await inside.decoded(5)
                await inside.close()
                await until(lambda: served.server.viewers == 0)
                again = Watcher()
                await again.join(http, served.url)
                await again.decoded(1)
                await again.close()

        asyncio.run(body())


def test_offers_that_ask_for_something_else_are_refused() -> None:
    with serving() as served:

        async def body() -> None:
            async with aiohttp.ClientSession() as http:
                for wanted, instead in (
                    ("a=recvonly", "a=sendonly"),
                    ("VP8/90000", "AV9/90000"),
                    ("a=ice-pwd", "a=ice"),
                    ("m=video ", "m=video nine"),
                ):
                    watcher = Watcher()
                    await watcher.join(
                        http,
                        served.url,
                        change=lambda sdp, pair=(wanted, instead): sdp.replace(*pair),
                    )
                    assert watcher.status == 400
                    await watcher.close()
            assert served.server.viewers == 0

        asyncio.run(body())


def test_sound_that_is_offered_too_is_not_taken() -> None:
    with serving() as served:

        async def body() -> None:
            watcher = Watcher()
            watcher.connection.addTransceiver("audio", direction="recvonly")
            async with aiohttp.ClientSession() as http:
                await watcher.join(http, served.url)
            await watcher.decoded(3)
            directions = {
                each.kind: each.currentDirection for each in watcher.connection.getTransceivers()
            }
            assert directions == {"audio": "inactive", "video": "recvonly"}
            await watcher.close()

        asyncio.run(body())


@pytest.mark.slow
def test_the_data_channel_takes_actions_and_tells_what_changes() -> None:
    with serving() as served:

        async def body() -> None:
            async with watching(served.url, 2) as (acts, looks):

                def told(watcher: Watcher, message: dict[str, object]) -> bool:
                    return message in [json.loads(text) for text in watcher.messages]

                for watcher in (acts, looks):
                    await until(
                        lambda watcher=watcher: told(
                            watcher, {"state": {"hidden": False, "acts": 0}}
                        )
                    )
                    await until(lambda watcher=watcher: told(watcher, {"stats": {"fps": 30.0}}))
                acts.channel.send('{"action": "hide", "on": true}')
                acts.channel.send('{"action": "attribute", "name": "hat", "weight": 0.5}')
                for watcher in (acts, looks):
                    await until(
                        lambda watcher=watcher: told(
                            watcher, {"state": {"hidden": True, "acts": 2}}
                        )
                    )
                assert served.session.acts == [Hide(on=True), SetAttribute("hat", 0.5)]
                states = sum("state" in text for text in looks.messages)
                await looks.decoded(30)
                # Nothing new, nothing said
                assert sum("state" in text for text in looks.messages) == states

        asyncio.run(body())


def test_the_data_channel_answers_errors() -> None:
    with serving() as served:

        async def body() -> None:
            async with watching(served.url) as (watcher,):
                for sent, problem in (
                    ("{", "not JSON"),
                    ("[" * 9000, "nested"),
                    ("[]", "not a JSON object"),
                    (b"\0", "binary"),
                    ("x" * 17_000, "larger than"),
                    ('{"action": "fly"}', "unknown action"),
                    ('{"action": "attribute", "name": "beard"}', "no attribute beard"),
                    ('{"action": "gain", "region": "eyes", "value": NaN}', "NaN"),
                ):

                    def said(problem: str = problem) -> bool:
                        return any(
                            problem in json.loads(text).get("error", "")
                            for text in watcher.messages
                        )

                    watcher.messages.clear()
                    watcher.channel.send(sent)
                    await until(said)
                assert served.session.acts == []

        asyncio.run(body())


@pytest.mark.slow
def test_a_flood_of_actions_is_bounded() -> None:
    with serving() as served:

        async def body() -> None:
            async with watching(served.url, 2) as (floods, watches):
                for _ in range(2000):
                    floods.channel.send('{"action": "hide"}')
                await until(lambda: any("too many actions" in text for text in floods.messages))
                await watches.decoded(30)
                assert len(served.session.acts) < 1000

        asyncio.run(body())


def test_other_channels_are_closed() -> None:
    with serving() as served:

        async def body() -> None:
            watcher = Watcher()
            others = [watcher.connection.createDataChannel(name) for name in ("other", "control")]
            async with aiohttp.ClientSession() as http:
                await watcher.join(http, served.url)
            await until(lambda: all(other.readyState == "closed" for other in others))
            assert watcher.channel.readyState == "open"
            await watcher.decoded(1)
            await watcher.close()

        asyncio.run(body())


def test_closing_leaves_no_thread_and_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """Also with viewers that are connected, connecting, and gone, and with a camera."""
    before = set(threading.enumerate())
    with serving(with_camera=True) as served:

        async def body() -> None:
            async with (
                watching(served.url, 3) as (stays, _, leaves),
                aiohttp.ClientSession() as http,
            ):
                camera, _ = await publish(http, served.url, PaintedCamera())
                await until(lambda: served.camera.read(0) is not None)
                await leaves.connection.close()
                connecting = Watcher()
                await connecting.join(
                    http,
                    served.url,
                    change=lambda sdp: sdp.replace("a=ice-pwd:", "a=ice-pwd:wrong"),
                )
                await asyncio.get_running_loop().run_in_executor(None, served.server.close)
                assert served.server.viewers == 0
                await until(lambda: stays.connection.connectionState == "closed")
                await connecting.close()
                await camera.close()
                served.server.close()

        asyncio.run(asyncio.wait_for(body(), 3 * PATIENCE))
    assert set(threading.enumerate()) <= before
    # Such as of tasks that did not end
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_closing_in_the_middle_of_connecting_leaves_nothing_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """ICE finishes with a peer that never takes the answer; what would begin then must not begin on a closed connection."""
    before = set(threading.enumerate())

    async def body(served: Served, wait: float) -> None:
        async with aiohttp.ClientSession() as http:
            peer = Watcher()
            peer.connection.addTransceiver(PaintedCamera(), direction="sendrecv")
            await peer.connection.setLocalDescription(await peer.connection.createOffer())
            headers = {"Content-Type": "application/sdp"}
            for path in ("whep", "whip"):
                async with http.post(
                    served.url + path, data=peer.connection.localDescription.sdp, headers=headers
                ) as reply:
                    assert reply.status == 201
            await asyncio.sleep(wait)
            await peer.close()

    for wait in (0.0, 0.02, 0.05, 0.1, 0.3):
        with serving(with_camera=True) as served:
            asyncio.run(body(served, wait))
        assert set(threading.enumerate()) <= before
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_peer_ends_once() -> None:
    async def body() -> None:
        ended: list[Peer] = []
        peer = Peer((), ended.append)
        await asyncio.gather(peer.end(), peer.end())
        await peer.end()
        assert ended == [peer]

    asyncio.run(body())


def hosts(answer: str) -> set[str]:
    """The addresses of an answer's candidates."""
    return {line.split(" ")[4] for line in answer.splitlines() if line.startswith("a=candidate:")}


def answer_to(config: WebConfig, change: Callable[[str], str]) -> tuple[int, str]:
    """Status and answer or error."""
    with serving(config) as served:

        async def body() -> tuple[int, str]:
            async with aiohttp.ClientSession() as http:
                peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
                peer.addTransceiver("video", direction="recvonly")
                await peer.setLocalDescription(await peer.createOffer())
                offer = change(peer.localDescription.sdp)
                async with http.post(
                    f"{served.url}whep", data=offer, headers={"Content-Type": "application/sdp"}
                ) as reply:
                    status, text = reply.status, await reply.text()
                await peer.close()
                return status, text

        return asyncio.run(body())


def test_a_page_for_this_machine_opens_sockets_on_loopback_only() -> None:
    status, answer = answer_to(WebConfig(port=0), lambda offer: offer)
    assert status == 201 and hosts(answer) == {"127.0.0.1"}


def test_firefox_gets_this_machines_addresses_too_but_nobody_else_is_heard() -> None:
    status, answer = answer_to(
        WebConfig(port=0),
        lambda offer: re.sub("^o=-", "o=mozilla...SDPARTA-99.0", offer, flags=re.M),
    )
    local = set(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True))
    assert status == 201 and hosts(answer) == {"127.0.0.1", *local}

    async def body() -> list[bytes]:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.createDataChannel("any")
        only_loopback(connection, all_addresses=True)
        await connection.setLocalDescription(await connection.createOffer())
        assert connection.sctp is not None
        ice = connection.sctp.transport.transport.iceGatherer._connection  # pyright: ignore[reportPrivateUsage]
        heard: list[bytes] = []
        for protocol in list[Any](ice._protocols):  # pyright: ignore[reportPrivateUsage]
            receiver, protocol.receiver = (
                protocol.receiver,
                SimpleNamespace(data_received=lambda data, _: heard.append(data)),
            )
            for address in (*local, "127.0.0.1", "192.0.2.7", "203.0.113.5"):
                protocol.datagram_received(b"not STUN from " + address.encode(), (address, 5000))
            protocol.receiver = receiver
        await connection.close()
        return heard

    heard = asyncio.run(body())
    assert {text.rpartition(b" ")[2].decode() for text in heard} == {"127.0.0.1", *local}


@pytest.mark.parametrize(
    ("codec", "change", "said"),
    [
        (
            "h264",
            lambda offer: offer.replace("packetization-mode=1", "packetization-mode=0"),
            "without packetization-mode=1",
        ),
        (
            "h264",
            lambda offer: re.sub("profile-level-id=......", "profile-level-id=640c1f", offer),
            "profiles 640C1F",
        ),
        ("vp8", lambda offer: offer.replace("VP8/90000", "VP9/90000"), "without video/VP8"),
        ("vp8", lambda offer: re.sub("a=ice-(ufrag|pwd).*\r\n", "", offer), "cannot be answered"),
        (
            "vp8",
            lambda offer: offer.replace("a=setup:actpass", "a=setup:nonsense"),
            "cannot be answered",
        ),
    ],
)
def test_a_refused_offer_is_told_why_in_words(
    codec: CodecName, change: Callable[[str], str], said: str
) -> None:
    status, error = answer_to(WebConfig(port=0, codec=codec), change)
    assert status == 400 and said in error
    assert not re.search("Error|NoneType|attribute|object|KeyError", json.loads(error)["error"])
