"""A studio that runs with its server and its session, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp

from offline.looks.registry import TITLES
from runtime.live.run import LiveOptions, Opened, open_live
from runtime.live.settings import Settings
from runtime.studio.studio import Studio, StudioOptions
from runtime.web.server import WebConfig

LOOKS = {
    name: TITLES[name]
    for name in ("hair-copper", "eyes-blue", "lipstick-red", "beard-full", "hat-wide")
}
"""Few, as drawing all of them on a face takes half a minute."""
PATIENCE = 240.0  # seconds that a test waits for what must come


@dataclass
class Served:
    """A running studio."""

    opened: Opened
    studio: Studio

    def ask(self, method: str, path: str, body: object = None, **options: Any) -> tuple[int, Any]:
        """Status, and JSON or bytes. body: sent as JSON; options: of aiohttp; `token` replaces the owner's."""
        base, _, fragment = self.opened.url.partition("#")
        token = options.pop("token", unquote(fragment.partition("=")[2]))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            options["data"] = json.dumps(body)
            headers["Content-Type"] = "application/json"
        options["headers"] = {**headers, **options.get("headers", {})}

        decompress = bool(options.pop("auto_decompress", True))

        async def request() -> tuple[int, Any]:
            async with (
                aiohttp.ClientSession(auto_decompress=decompress) as http,
                http.request(method, f"{base}{path}", **options) as reply,
            ):
                content = await reply.read()
                return reply.status, json.loads(
                    content
                ) if reply.content_type == "application/json" else content

        with ThreadPoolExecutor(1) as executor:  # playwright has a loop of its own in this thread
            return executor.submit(lambda: asyncio.run(request())).result()

    def upload(self, path: str, content: bytes, name: str = "file") -> tuple[int, Any]:
        """Send a file."""
        headers = {"Content-Type": "application/octet-stream", "X-File-Name": name}
        return self.ask("POST", path, data=content, headers=headers)

    def job(self, job_id: str) -> dict[str, Any]:
        """What is told of a job."""
        return next(job for job in self.ask("GET", "api/studio")[1]["jobs"] if job["id"] == job_id)

    def ended(self, job_id: str) -> dict[str, Any]:
        """A job once it has ended."""
        until(
            lambda: self.job(job_id)["state"] not in ("queued", "running"),
            f"job {job_id} did not end",
        )
        return self.job(job_id)


@contextlib.contextmanager
def studio(
    library: Path,
    *,
    camera: str = "none",
    token: str | None = None,
    remember: bool = False,
    text_model: Path | None = None,
) -> Generator[Served, None, None]:
    """A studio on a free port, with nobody on stage."""
    options = LiveOptions(
        (),
        camera=camera,
        width=128,
        height=128,
        hotkeys=False,
        browser=False,
        remember=remember,
        web=WebConfig(port=0, token=token),
        studio=StudioOptions(
            library, LOOKS, ("hair-copper", "eyes-blue"), text_model=str(text_model or "")
        ),
    )
    with open_live(options, Settings()) as opened:
        assert opened.studio is not None
        yield Served(opened, opened.studio)


def until(true: Callable[[], object], what: str = "it did not come about") -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
