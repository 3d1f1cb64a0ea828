"""Debian's Janus as a real SFU: its videoroom, behind a thin WHIP adapter, since Janus speaks WHIP only through another program.

POST /whip   an offer; the answer is Janus's own (Location: /session)
DELETE /session
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

_PATIENCE = 30.0  # seconds
_ROOM, _FEED = 1, 7
_PLUGIN = "janus.plugin.videoroom"
_CONFIG = """general: {{
  plugins_folder = "{library}/plugins"
  transports_folder = "{library}/transports"
  debug_level = 3
  session_timeout = 0
}}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
CHROMIUM_SUBSCRIBES = """async (port) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, "janus-protocol");
  await new Promise((done) => { socket.onopen = done; });
  let number = 0, session;
  const ask = (message) => new Promise((done) => {
    const transaction = String(number++);
    socket.addEventListener("message", ({ data }) => {
      const answer = JSON.parse(data);
      if (answer.transaction === transaction && answer.janus !== "ack") done(answer);
    });
    socket.send(JSON.stringify({ ...message, transaction, ...(session ? { session_id: session } : {}) }));
  });
  session = (await ask({ janus: "create" })).data.id;
  const handle_id = (await ask({ janus: "attach", plugin: "janus.plugin.videoroom" })).data.id;
  const join = { request: "join", ptype: "subscriber", room: ROOM, streams: [{ feed: FEED }] };
  const { jsep } = await ask({ janus: "message", handle_id, body: join });
  const peer = window.peer = new RTCPeerConnection();
  const stream = new MediaStream();
  peer.ontrack = ({ track }) => stream.addTrack(track);
  await peer.setRemoteDescription(jsep);
  await peer.setLocalDescription();
  await new Promise((done) => {
    if (peer.iceGatheringState === "complete") done();
    peer.onicegatheringstatechange = () => { if (peer.iceGatheringState === "complete") done(); };
  });
  await ask({ janus: "message", handle_id, body: { request: "start" }, jsep: peer.localDescription.toJSON() });
  window.video = document.createElement("video");
  video.muted = true;
  video.srcObject = stream;
  await video.play();
}""".replace("ROOM", str(_ROOM)).replace("FEED", str(_FEED))
"""What makes a page watch; its video is `window.video`."""
_WEBSOCKETS = 'general: {{ ws = true\n ws_port = {port}\n ws_ip = "127.0.0.1" }}\nadmin: {{ admin_ws = false }}\n'


class JanusApi:
    """One session with Janus, by a WebSocket."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count()
        self._session: int | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read())

    async def attach(self) -> int:
        """A new handle of the videoroom."""
        if self._session is None:
            self._session = (await self._ask({"janus": "create"}))["data"]["id"]
        return int((await self._ask({"janus": "attach", "plugin": _PLUGIN}))["data"]["id"])

    async def say(self, handle: int, body: dict[str, Any], **jsep: str) -> dict[str, Any]:
        """What the videoroom answers. jsep: type and sdp."""
        message = {"janus": "message", "handle_id": handle, "body": body}
        answer = await self._ask({**message, "jsep": jsep} if jsep else message)
        data: dict[str, Any] = answer["plugindata"]["data"]
        assert "error" not in data, data
        return {**data, "jsep": answer.get("jsep")}

    async def detach(self, handle: int) -> None:
        await self._ask({"janus": "detach", "handle_id": handle})

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        transaction = str(next(self._numbers))
        waiting = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        session = {} if self._session is None else {"session_id": self._session}
        await self._socket.send_json({**message, **session, "transaction": transaction})
        return await asyncio.wait_for(waiting, _PATIENCE)

    async def _read(self) -> None:
        async for message in self._socket:
            answer: dict[str, Any] = message.json()
            if answer.get("janus") != "ack":  # the answer itself comes as an event
                waiting = self._waiting.pop(answer.get("transaction", ""), None)
                if waiting is not None:
                    waiting.set_result(answer)


@contextlib.asynccontextmanager
async def janus_api(port: int) -> AsyncGenerator[JanusApi, None]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://127.0.0.1:{port}/", protocols=["janus-protocol"]) as connected,
    ):
        api = JanusApi(connected)
        try:
            yield api
        finally:
            await api.close()


async def subscribe(api: JanusApi) -> RTCPeerConnection:
    """A viewer of what is published; it takes what Janus offers, and its tracks come with the event "track"."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.tracks = []  # pyright: ignore[reportAttributeAccessIssue]
    connection.on("track", lambda track: tracks_of(connection).append(track))
    handle = await api.attach()
    wish = {
        "request": "join",
        "ptype": "subscriber",
        "room": _ROOM,
        "streams": [{"feed": _FEED}],
    }
    offered = (await api.say(handle, wish))["jsep"]
    await connection.setRemoteDescription(RTCSessionDescription(offered["sdp"], "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    answer = connection.localDescription.sdp
    await api.say(handle, {"request": "start"}, type="answer", sdp=answer)
    return connection


def tracks_of(connection: RTCPeerConnection) -> list[MediaStreamTrack]:
    return connection.tracks  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]


class _Adapter:
    def __init__(self, port: int, codec: str) -> None:
        self._port, self._codec = port, codec
        self._api: JanusApi | None = None
        self._handle = 0

    async def publish(self, request: web.Request) -> web.Response:
        offer = await request.text()
        assert self._api is not None
        self._handle = await self._api.attach()
        room = {"room": _ROOM, "publishers": 1, "bitrate": 4_000_000, "audiocodec": "opus"}
        with contextlib.suppress(AssertionError):  # it is there already
            await self._api.say(
                self._handle, {"request": "create", "videocodec": self._codec, **room}
            )
        await self._api.say(
            self._handle, {"request": "join", "ptype": "publisher", "room": _ROOM, "id": _FEED}
        )
        said = await self._api.say(self._handle, {"request": "publish"}, type="offer", sdp=offer)
        return web.Response(
            status=201,
            text=said["jsep"]["sdp"],
            content_type="application/sdp",
            headers={"Location": "/session"},
        )

    async def delete(self, _: web.Request) -> web.Response:
        assert self._api is not None
        await self._api.detach(self._handle)
        return web.Response()

    async def serve(self, ready: threading.Event, leave: asyncio.Event, address: list[str]) -> None:
        async with janus_api(self._port) as self._api:
            app = web.Application()
            app.add_routes([web.post("/whip", self.publish), web.delete("/session", self.delete)])
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/whip")
            ready.set()
            await leave.wait()
            await runner.cleanup()


@contextlib.contextmanager
def janus(folder: Path, codec: str) -> Generator[tuple[str, int], None, None]:
    """A local server: the address for WHIP and the port of Janus's API. codec: what it takes, `vp8` or `h264`."""
    program = shutil.which("janus")
    if program is None:
        pytest.skip("janus is not installed")
    library = next(Path("/usr/lib").glob("*/janus"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    plugins = [path.name for path in library.glob("plugins/*.so") if "videoroom" not in path.name]
    transports = [
        path.name for path in library.glob("transports/*.so") if "websockets" not in path.name
    ]
    config = _CONFIG.format(
        library=library, plugins=",".join(plugins), transports=",".join(transports)
    )
    (folder / "janus.jcfg").write_text(config)
    (folder / "janus.transport.websockets.jcfg").write_text(_WEBSOCKETS.format(port=port))
    with (folder / "janus.log").open("wb") as log:
        process = subprocess.Popen([program, f"--configs-folder={folder}"], stdout=log, stderr=log)
    ready, leave, address = threading.Event(), asyncio.Event(), list[str]()
    thread: threading.Thread | None = None
    loop = asyncio.new_event_loop()
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            assert process.poll() is None, (folder / "janus.log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline, (folder / "janus.log").read_text()
            time.sleep(0.1)
        work = _Adapter(port, codec).serve(ready, leave, address)
        thread = threading.Thread(target=lambda: loop.run_until_complete(work), name="adapter")
        thread.start()
        assert ready.wait(_PATIENCE)
        yield address[0], port
    finally:
        if thread is not None:
            loop.call_soon_threadsafe(leave.set)
            thread.join()
        loop.close()
        process.terminate()
        process.wait()
