"""`perse-live serve`: real processes behind one port, with films as cameras."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from live_avatars import dressable_avatar
from running_session import PATIENCE, scene
from web_session import Watcher

from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.film.writer import film_writer

_START_SECONDS = 120.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two avatars, a film of a face, and the administrator's token."""
    path = tmp_path_factory.mktemp("serve")
    for name in ("me", "other"):
        save_avatar(path / f"{name}.perse", dressable_avatar())
    with film_writer(path / "face.mp4", width=320, height=240, rate=Fraction(25)) as writer:
        for shift in range(20):
            writer.write(scene(shift=shift))
    (path / "token").write_text("the-administrators-token\n")
    (path / "token").chmod(0o600)
    return path


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    said: list[str]

    def ask(self, method: str, path: str, token: str = "", body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_START_SECONDS) as reply:
                content, status = reply.read(), reply.status
        except urllib.error.HTTPError as error:
            content, status = error.read(), error.code
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content

    def admin(
        self, method: str, path: str = "api/sessions", body: object = None
    ) -> tuple[int, Any]:
        return self.ask(method, path, "the-administrators-token", body)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Generator[Server, None, None]:
    words = [
        "me.perse",
        "other.perse",
        "--port",
        "0",
        "--size",
        "256",
        "--admin-token-file",
        "token",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "perse_live.cli", "serve", *words, *options],
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    said: list[str] = []

    def read(stream: Any, put: Callable[[str], None]) -> None:
        for line in stream:
            put(line.rstrip())
        put("")

    threading.Thread(target=read, args=(process.stdout, lines.put), daemon=True).start()
    threading.Thread(target=read, args=(process.stderr, said.append), daemon=True).start()
    try:
        first = lines.get(timeout=_START_SECONDS)
        found = re.fullmatch(r"ready: (http://127\.0\.0\.1:\d+/)", first)
        assert found, (first, said)
        yield Server(process, found[1], said)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def watched(server: Server, token: str, frames: int = 3) -> int:
    """How a viewer's offer is answered; waits for pictures where it is taken."""
    import asyncio

    async def body() -> int:
        watcher = Watcher()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
            await watcher.join(http, server.url)
            if watcher.status == 201:
                await watcher.decoded(frames)
                async with http.delete(server.url + watcher.location[1:]) as reply:
                    assert reply.status == 200
        await watcher.close()
        return watcher.status

    return asyncio.run(body())


@pytest.mark.slow
def test_sessions_from_their_start_to_their_end(folder: Path) -> None:
    with serving(folder, "--sessions", "2", "--camera", "face.mp4", "--share-avatar") as server:
        status, first = server.admin("POST", body={"avatar": "me"})
        assert status == 201, first
        status, second = server.admin("POST", body={"avatar": "other"})
        assert status == 201, second
        status, refused = server.admin("POST", body={"avatar": "me"})
        assert status == 503 and refused["error"].startswith("2 sessions run already")
        assert server.admin("POST", body={"avatar": "nobody"})[0] == 400
        assert server.admin("POST", body={"avatar": "me", "path": "/"})[0] == 400

        viewer = first["watch"].partition("#token=")[2]
        assert first["watch"].startswith(f"{server.url}watch#token=")
        assert first["page"] == f"{server.url}#token={first['token']}"
        for page in ("", "watch", "static/main.js", "shared/avatar.js"):
            assert server.ask("GET", page)[0] == 200, page
        for token, avatar in ((first["token"], "me"), (second["token"], "other")):
            status, state = server.ask("GET", "api/state", token)
            assert status == 200 and state["avatars"] == [avatar]
            assert state["source"]["kind"] == "file"
        action = {"action": "mirror", "on": True}
        assert server.ask("POST", "api/action", first["token"], action)[1]["mirror"] is True
        assert server.ask("GET", "api/state", second["token"])[1]["mirror"] is False
        assert server.ask("POST", "api/action", viewer, action)[0] == 403
        assert server.ask("GET", "api/watch", viewer)[1] == {"size": [256, 256], "shared": True}
        for token in ("", "made-up-token"):
            assert server.ask("GET", "api/state", token)[0] == 401
            assert server.ask("GET", "api/sessions", token)[0] == 401
        assert server.ask("GET", "api/sessions", first["token"])[0] == 403
        assert server.ask("GET", "api/state", "the-administrators-token")[0] == 401
        assert watched(server, first["token"]) == 201
        assert watched(server, viewer) == 201

        status, address = server.ask("POST", "shared/ticket", viewer)
        assert status == 200
        _motion_comes(server, address["address"])

        os.kill(second["pid"], signal.SIGKILL)
        path = f"api/sessions/{second['id']}"
        until(lambda: server.admin("GET", path)[1]["state"] == "ended", "its death goes unnoticed")
        assert "signal 9" in server.admin("GET", path)[1]["problem"]
        until(lambda: any(second["id"] in line for line in server.said), "nothing is said")
        status, gone = server.ask("GET", "api/state", second["token"])
        assert status == 410 and "signal 9" in gone["error"]
        assert server.ask("GET", "api/state", first["token"])[0] == 200
        status, third = server.admin("POST", body={"avatar": "other"})
        assert status == 201, "its place is free again"

        assert server.admin("DELETE", f"api/sessions/{third['id']}")[0] == 200
        assert server.admin("DELETE", f"api/sessions/{third['id']}")[0] == 404
        assert not psutil.pid_exists(third["pid"])
        found = server.admin("GET")[1]
        assert found["limit"] == 2
        states = {one["id"]: one["state"] for one in found["sessions"]}
        assert states == {first["id"]: "running", second["id"]: "ended", third["id"]: "ended"}
        for process in server.children():
            assert first["token"] not in " ".join(process.cmdline())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        assert not psutil.pid_exists(first["pid"])


def _motion_comes(server: Server, address: str) -> None:
    """A scene and motion over a WebSocket through the proxy."""
    import asyncio

    async def body() -> None:
        kinds: set[aiohttp.WSMsgType] = set()
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(server.url + address[1:]) as socket,
        ):
            while len(kinds) < 2:
                message = await asyncio.wait_for(socket.receive(), PATIENCE)
                assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
                kinds.add(message.type)

    asyncio.run(body())


@pytest.mark.slow
def test_idle_sessions_end_and_none_outlives_a_killed_server(folder: Path) -> None:
    with serving(folder, "--sessions", "2", "--camera", "none", "--idle-minutes", "0.1") as server:
        status, idle = server.admin("POST", body={"avatar": "me"})
        assert status == 201
        path = f"api/sessions/{idle['id']}"
        until(lambda: server.admin("GET", path)[1]["state"] == "ended", "it stays")
        assert "nobody has used it" in server.admin("GET", path)[1]["problem"]
        status, session = server.admin("POST", body={"avatar": "me"})
        assert status == 201
        processes = server.children()
        assert session["pid"] in [one.pid for one in processes]
        server.process.kill()
        server.process.wait(PATIENCE)
        _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
        assert not alive


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--sessions", "0"), "--sessions 0 is out of range"),
        (("--idle-minutes", "-1"), "--idle-minutes -1 is out of range"),
        (("--camera", "missing.mp4"), "missing.mp4: no such file"),
        (("--key", "key.pem"), "--key without --cert"),
        (("--admin-token-file", "short"), "too short"),
        (("--ice", "http://x"), "http://x"),
        (("copy/me.perse",), "two avatars are called me"),
    ],
)
def test_a_wrong_option_is_one_line(
    options: tuple[str, ...],
    complaint: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "copy").mkdir(exist_ok=True)
    (folder / "copy" / "me.perse").write_bytes((folder / "me.perse").read_bytes())
    (folder / "short").write_text("short\n")
    (folder / "short").chmod(0o600)
    assert cli.main(["serve", "me.perse", *options]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
