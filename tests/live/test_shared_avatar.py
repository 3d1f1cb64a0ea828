"""Viewers that draw a shared avatar by themselves: their rights, what they are sent, and what a real browser draws of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from live_avatars import dressable_avatar
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from running_session import SMALL, motionless, pictures, running
from web_session import PATIENCE, until

from export.web.bundle import bundle_of, viewer_scripts
from perse_live.motion import MotionDecoder, MotionState
from runtime.live.actions import Hide, SetAttribute, SetBadge, SwitchAvatar
from runtime.live.clock import StageClock
from runtime.live.painter import Actor, actor_of
from runtime.live.scripted import Scripted
from runtime.live.session import LiveSession
from runtime.web.aiortc_hooks import offer_loopback
from runtime.web.server import WebConfig, WebServer
from runtime.web.shared_motion import Sharing

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--allow-loopback-in-peer-connection",
]
OWNER = {"Authorization": "Bearer the-owners-token"}


@dataclass
class Shared:
    session: LiveSession
    url: str
    watch: str
    viewer: dict[str, str]
    """The header of who has the link to watch."""


@pytest.fixture(scope="module")
def actors() -> list[Actor]:
    avatar = dressable_avatar()
    other = replace(avatar, colors=avatar.colors[:, ::-1].copy())
    return [actor_of("me", avatar), actor_of("other", other)]


@contextlib.contextmanager
def sharing(
    actors: list[Actor], *, shared: bool = True, script: Scripted | None = None, most: int = 16
) -> Generator[Shared, None, None]:
    """A real session that performs by itself, and its server."""
    config = replace(SMALL, width=256, height=256, badge=SetBadge("off", "pictures are compared"))
    with running(actors, config=config, script=script) as session:
        server = WebServer(
            session,
            StageClock(),
            WebConfig(port=0, token="the-owners-token", max_viewers=most),
            sharing=Sharing(
                lambda avatar, weights: bundle_of(avatar, attributes=weights), viewer_scripts()
            )
            if shared
            else None,
        )
        try:
            url = server.start().partition("#")[0]
            watch = server.watch_link()
            viewer = {"Authorization": f"Bearer {watch.partition('#token=')[2]}"}
            yield Shared(session, url, watch, viewer)
        finally:
            server.close()


class Listener:
    """What a viewer has been sent."""

    def __init__(self) -> None:
        self.scenes: list[dict[str, Any]] = []
        self.states: list[tuple[MotionState, float]] = []
        self.lost = 0
        self.decoder = MotionDecoder()

    def take(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.scenes.append(json.loads(data))
            return
        found = self.decoder.decode(data)
        if found is None:
            self.lost += 1
        else:
            self.states.append(found)


@contextlib.asynccontextmanager
async def listening(shared: Shared) -> AsyncGenerator[tuple[Listener, Any], None]:
    """A viewer with a WebSocket."""
    listener = Listener()
    async with aiohttp.ClientSession(headers=shared.viewer) as http:
        async with http.post(f"{shared.url}shared/ticket") as reply:
            address = (await reply.json())["address"]
        async with (
            aiohttp.ClientSession() as plain,
            plain.ws_connect(shared.url + address[1:]) as socket,
        ):

            async def read() -> None:
                async for message in socket:
                    listener.take(message.data)

            reading = asyncio.create_task(read())
            try:
                yield listener, socket
            finally:
                reading.cancel()


def test_a_viewer_gets_the_bundle_and_can_do_nothing_else(actors: list[Actor]) -> None:
    async def body(shared: Shared) -> None:
        async with listening(shared) as (listener, _), aiohttp.ClientSession() as http:
            await until(lambda: len(listener.states) > 3 and len(listener.scenes) > 0)
            bundle = f"shared/{listener.scenes[-1]['bundle']}"

            async def ask(method: str, path: str, headers: dict[str, str], **more: Any) -> int:
                async with http.request(
                    method, shared.url + path, headers=headers, **more
                ) as reply:
                    return reply.status

            async with http.get(f"{shared.url}{bundle}.bin", headers=shared.viewer) as reply:
                arrays = await reply.read()
            manifest, expected = bundle_of(actors[0].avatar, attributes={})
            assert arrays == expected
            async with http.get(f"{shared.url}{bundle}.json", headers=shared.viewer) as reply:
                assert await reply.json() == json.loads(manifest)
            for path in ("shared/avatar.js", "shared/splats.js"):
                assert await ask("GET", path, {}) == 200
            for method, path in (
                ("GET", f"{bundle}.bin"),
                ("GET", f"{bundle}.json"),
                ("POST", "shared/ticket"),
                ("POST", "shared/rtc"),
                ("GET", "shared/motion"),
                ("GET", "shared/motion?ticket=made-up"),
            ):
                assert await ask(method, path, {}) == 401, path
            async with http.post(f"{shared.url}shared/ticket", headers=shared.viewer) as reply:
                address = (await reply.json())["address"][1:]
            async with http.ws_connect(shared.url + address):
                assert await ask("GET", address, {}) == 401, "a ticket lets in once"
            for method, path in (
                ("GET", "api/state"),
                ("GET", "api/stats"),
                ("POST", "api/action"),
                ("GET", "recording"),
                ("POST", "recording"),
                ("GET", "api/studio"),
                ("POST", "whip"),
            ):
                assert await ask(method, path, shared.viewer) == 403, path
            assert await ask("GET", "api/state", OWNER) == 200
            assert await ask("GET", f"shared/{'0' * 32}.bin", shared.viewer) == 404

    with sharing(actors) as shared:
        asyncio.run(body(shared))


def test_an_avatar_that_is_not_shared_stays_here(actors: list[Actor]) -> None:
    async def body(shared: Shared) -> None:
        async with aiohttp.ClientSession(headers=OWNER) as http:
            for method, path in (
                ("GET", "shared/avatar.js"),
                ("GET", f"shared/{'0' * 32}.bin"),
                ("POST", "shared/ticket"),
                ("POST", "shared/rtc"),
                ("GET", "shared/motion"),
            ):
                async with http.request(method, shared.url + path) as reply:
                    assert reply.status == 404
            async with http.get(f"{shared.url}api/watch", headers=shared.viewer) as reply:
                assert (await reply.json())["shared"] is False

    with sharing(actors, shared=False) as shared:
        asyncio.run(body(shared))


@pytest.mark.slow
def test_what_is_sent_is_what_is_drawn_and_follows_the_driver(actors: list[Actor]) -> None:
    async def body(shared: Shared) -> None:
        session = shared.session
        async with listening(shared) as (listener, socket):
            await until(lambda: len(listener.states) > 3)
            listener.states.clear()
            frames = await asyncio.to_thread(pictures, session, 8)
            sent = list(listener.states)
            motions = [frame.motion for frame in frames if frame.motion is not None]
            near = [
                min(np.abs(state.t_cam_head - motion.pose.t_cam_head).max() for motion in motions)
                for state, _ in sent
            ]
            assert np.median(near) < 1e-4
            plain = listener.scenes[-1]
            assert not plain["hidden"] and plain["camera"]["width"] == 256

            session.act(Hide(True))
            await until(lambda: listener.scenes[-1]["hidden"])
            await until(lambda: not listener.states[-1][0].expression.any())
            session.act(Hide(False))
            await until(lambda: not listener.scenes[-1]["hidden"])

            name = actors[0].avatar.attributes[0].name
            session.act(SetAttribute(name, 1.0))
            await until(lambda: listener.states[-1][0].weights[0] == 1)
            await until(lambda: listener.scenes[-1]["bundle"] != plain["bundle"])
            await until(lambda: listener.states[-1][1] > 0)
            async with (
                aiohttp.ClientSession(headers=shared.viewer) as http,
                http.get(f"{shared.url}shared/{listener.scenes[-1]['bundle']}.bin") as reply,
            ):
                assert await reply.read() == bundle_of(actors[0].avatar, attributes={name: 1.0})[1]

            session.act(SetAttribute(name, 0.0))
            session.act(SwitchAvatar(2))
            other = bundle_of(actors[1].avatar, attributes={})[1]

            async def shows_the_other() -> bool:
                async with (
                    aiohttp.ClientSession(headers=shared.viewer) as http,
                    http.get(f"{shared.url}shared/{listener.scenes[-1]['bundle']}.bin") as reply,
                ):
                    return await reply.read() == other

            deadline = time.monotonic() + PATIENCE
            while not await shows_the_other():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)

            listener.decoder, listener.lost = MotionDecoder(), 0  # as if the key message was lost
            states = len(listener.states)
            await socket.send_str("key")
            await until(lambda: len(listener.states) > states + 3)

    with sharing(actors) as shared:
        asyncio.run(body(shared))


async def _with_channels(shared: Shared) -> tuple[RTCPeerConnection, Listener, int]:
    """A viewer with data channels; its connection, what it hears, and the answer's status."""
    connection, listener = RTCPeerConnection(RTCConfiguration(iceServers=[])), Listener()
    for channel in (
        connection.createDataChannel("motion", ordered=False, maxRetransmits=0),
        connection.createDataChannel("scene"),
    ):
        channel.on("message", listener.take)
    offer_loopback(connection)
    await connection.setLocalDescription(await connection.createOffer())
    async with (
        aiohttp.ClientSession(headers=shared.viewer) as http,
        http.post(
            f"{shared.url}shared/rtc",
            data=connection.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        ) as reply,
    ):
        if reply.status == 201:
            answer = RTCSessionDescription(await reply.text(), "answer")
            await connection.setRemoteDescription(answer)
        return connection, listener, reply.status


def test_data_channels_carry_the_same_and_are_limited(actors: list[Actor]) -> None:
    async def body(shared: Shared) -> None:
        connection, listener, status = await _with_channels(shared)
        assert status == 201
        await until(lambda: len(listener.scenes) > 0 and len(listener.states) > 10)
        refused, _, status = await _with_channels(shared)
        assert status == 503
        await refused.close()
        async with listening(shared) as (by_socket, _):
            await until(lambda: len(by_socket.states) > 3)
        await connection.close()

    with sharing(actors, most=1) as shared:
        asyncio.run(body(shared))


def _evaluated(page: Page, script: str, good: Callable[[Any], bool]) -> Any:
    """What a script gives, once it is good; the page's policy forbids playwright's own waiting."""
    deadline = time.monotonic() + 4 * PATIENCE
    while not good(found := page.evaluate(script)):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def _canvas(page: Page) -> np.ndarray:
    picture = page.evaluate("document.getElementById('drawn').toDataURL('image/png')")
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))).convert("RGB")
    ).astype(int)


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")
def test_a_browser_draws_what_the_session_draws_and_turns_the_head(actors: list[Actor]) -> None:
    with sharing(actors, script=motionless()) as shared, sync_playwright() as driver:
        shared.session.act(Hide(True))  # both draw the avatar at rest then
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 256, "height": 256})
        for query, way in (("", "rtc"), ("?socket", "socket")):
            page.goto(shared.watch.replace("/watch", f"/watch{query}"))
            figures = _evaluated(
                page,
                "window.perse?.figures()",
                lambda found: bool(found) and found["drawn"] > 3 and found["scene"]["hidden"],
            )
            assert figures["way"] == way
            drawn = pictures(shared.session)[-1].image.astype(int)
            assert np.abs(_canvas(page) - drawn).mean() < 2
        shared.session.act(SetAttribute(actors[0].avatar.attributes[0].name, 1.0))
        worn = _evaluated(
            page, "window.perse.figures()", lambda found: found["bundle"] != figures["bundle"]
        )
        assert worn["bundle"] == worn["scene"]["bundle"]
        # The look before is gone
        _evaluated(page, "document.getElementById('before').hidden", bool)
        _evaluated(page, "window.perse.figures().drawn", lambda found: found > worn["drawn"] + 1)
        drawn = _canvas(page)
        page.mouse.move(128, 128)
        page.mouse.down()
        page.mouse.move(200, 128, steps=4)
        page.mouse.up()
        assert page.evaluate("window.perse.turn.yaw") > 20
        before = page.evaluate("window.perse.figures().drawn")
        _evaluated(page, "window.perse.figures().drawn", lambda found: found > before + 2)
        assert np.abs(_canvas(page) - drawn).mean() > 4
        browser.close()
