"""What viewers that draw by themselves cost: processor time of the session for each, bits a second, and lag.

    python tests/share_cost.py ME.perse --camera FACE.mp4

Runs a real `perse-live live --share-avatar`, viewers with WebSockets and with data channels in another process, and one Chromium.
Prints one JSON object. On Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from perse_live.child import module_command
from perse_live.motion import MotionDecoder
from runtime.bench.live.chromium import chromium_executable
from runtime.bench.live.processor import thread_roles, thread_seconds
from runtime.web.aiortc_hooks import offer_loopback

_OWNER = "the-owners-token"
_CHROMIUM = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
_SMALL = {
    "width": 128,
    "height": 128,
}  # of Chromium's picture: without a GPU a larger one takes 0.1 s and more
_FIRST_DRAWN = 40  # pictures that are not judged: the buffer learns how evenly messages come
_PATIENCE = 30.0  # seconds for these, and for viewers to join
_IP_AND_TCP = 52  # bytes of headers of a packet over IPv4, with TCP's timestamps


class Ages:
    """How old messages are when they arrive, and how large."""

    def __init__(self) -> None:
        self.epoch, self.bytes, self.count = 0.0, 0, 0
        self.milliseconds: list[float] = []
        self._decoder = MotionDecoder()

    def take(self, data: str | bytes) -> None:
        now = 1000 * time.time()
        if isinstance(data, str):
            self.epoch = json.loads(data)["epoch"]
            return
        self.count += 1
        self.bytes += len(data)
        found = self._decoder.decode(data)
        if found is not None and self.epoch:
            self.milliseconds.append(now - self.epoch - 1000 * found[1])


async def _by_socket(http: aiohttp.ClientSession, url: str, ages: Ages) -> None:
    async with http.post(f"{url}shared/ticket") as reply:
        address = (await reply.json())["address"]
    async with http.ws_connect(url + address[1:]) as socket:
        async for message in socket:
            ages.take(message.data)


async def _by_channels(http: aiohttp.ClientSession, url: str, ages: Ages) -> RTCPeerConnection:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    motion = connection.createDataChannel("motion", ordered=False, maxRetransmits=0)
    for channel in (motion, connection.createDataChannel("scene")):
        channel.on("message", ages.take)
    offer_loopback(connection)
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp"}
    sdp = connection.localDescription.sdp
    async with http.post(f"{url}shared/rtc", data=sdp, headers=headers) as reply:
        answer = RTCSessionDescription(await reply.text(), "answer")
    await connection.setRemoteDescription(answer)
    return connection


async def _watch(url: str, token: str, sockets: int, channels: int) -> None:
    """In the viewers' process: prints "watching", and figures when stdin ends."""
    all_ages = [Ages() for _ in range(sockets + channels)]
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(limit=0)
    ) as http:
        tasks = [asyncio.create_task(_by_socket(http, url, one)) for one in all_ages[:sockets]]
        peers = [await _by_channels(http, url, one) for one in all_ages[sockets:]]
        limit = time.monotonic() + _PATIENCE
        while not all(one.count for one in all_ages):
            if time.monotonic() > limit:
                raise SystemExit("not all viewers are sent motion")
            await asyncio.sleep(0.1)
        for one in all_ages:
            one.bytes = one.count = 0
            one.milliseconds.clear()
        start = time.monotonic()
        print("watching", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        seconds = time.monotonic() - start
        ages = sorted(age for one in all_ages for age in one.milliseconds)
        figures = {
            "messages_per_second": round(all_ages[0].count / seconds, 1),
            "kbit_per_second": round(8 * all_ages[0].bytes / seconds / 1000, 1),
            "kbit_per_second_with_headers": round(
                8 * (all_ages[0].bytes + (_IP_AND_TCP + 2) * all_ages[0].count) / seconds / 1000, 1
            ),
            "age_ms": round(statistics.median(ages), 1),
            "age_p95_ms": round(ages[int(0.95 * (len(ages) - 1))], 1),
        }
        print(json.dumps(figures), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*(peer.close() for peer in peers))


class Served:
    """Processor time of the threads that share, from one call of `begin` to `end`."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def begin(self) -> None:
        self._before, self._start = thread_seconds(self._process), time.monotonic()

    def end(self) -> float:
        """Share of a core."""
        roles = thread_roles(self._process, {})
        spent = sum(
            used - self._before.get(number, 0.0)
            for number, used in thread_seconds(self._process).items()
            if roles.get(number) in ("web", "share")
        )
        return spent / (time.monotonic() - self._start)


@contextlib.contextmanager
def _session(avatar: Path, camera: str) -> Generator[tuple[psutil.Process, str, str], None, None]:
    """A session; its process, its address, and the token to watch."""
    words = module_command(
        "perse_live.cli", "live", str(avatar.resolve()), "--camera", camera, "--share-avatar", "--port", "0",
        "--no-browser", "--no-hotkeys", "--no-sound", "--token", _OWNER,
    )  # fmt: skip
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        errors.seek(0)
        link = next(word for word in errors.read().split() if "/watch#token=" in word)
        try:
            yield psutil.Process(process.pid), line.split()[1].partition("#")[0], link
        finally:
            process.terminate()


def _with_viewers(
    url: str, link: str, sockets: int, channels: int, seconds: float, served: Served
) -> dict[str, Any]:
    words = [
        sys.executable,
        __file__,
        "--watch",
        url,
        link.partition("#token=")[2],
        str(sockets),
        str(channels),
    ]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline().strip() == "watching"
        served.begin()
        time.sleep(seconds)
        share = served.end()
        figures, _ = process.communicate("", timeout=30)
        return {"core": round(share, 4), **json.loads(figures.splitlines()[-1])}


def _in_chromium(link: str, seconds: float) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium_executable(), args=list(_CHROMIUM)
        )
        for query, way in (("", "rtc"), ("?socket", "socket")):
            page = browser.new_page(viewport=_SMALL)  # pyright: ignore[reportArgumentType]
            page.goto(link.replace("/watch", f"/watch{query}"))
            limit = time.monotonic() + _PATIENCE
            while (page.evaluate("window.perse?.figures().drawn") or 0) < _FIRST_DRAWN:
                assert time.monotonic() < limit, "nothing is drawn"
                time.sleep(0.1)
            lags: list[float] = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.1)
                lags.append(page.evaluate("window.perse.figures().lag"))
            figures = page.evaluate("window.perse.figures()")
            assert figures["way"] == way
            found[way] = {
                "lag_ms": round(statistics.median(lags), 1),
                "lag_p95_ms": round(sorted(lags)[int(0.95 * (len(lags) - 1))], 1),
                "buffer_ms": round(figures["delay"], 1),
                "draw_ms": round(figures["milliseconds"], 1),
                "lost": figures["lost"],
            }
            page.close()
        browser.close()
    return found


def main() -> None:
    if sys.argv[1:2] == ["--watch"]:
        url, token, sockets, channels = sys.argv[2:6]
        asyncio.run(_watch(url, token, int(sockets), int(channels)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--camera", required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    with _session(options.avatar, options.camera) as (process, url, link):
        served = Served(process)
        time.sleep(3)
        served.begin()
        time.sleep(options.seconds)
        alone = served.end()
        sockets = _with_viewers(url, link, 40, 0, options.seconds, served)
        print(f"alone {alone:.4f}, 40 sockets {json.dumps(sockets)}", file=sys.stderr)
        channels = _with_viewers(url, link, 0, 8, options.seconds, served)
        print(f"8 channels {json.dumps(channels)}", file=sys.stderr)
        chromium = _in_chromium(link, options.seconds) if chromium_executable() else None
    result = {
        "core_without_viewers": round(alone, 4),
        "sockets": {
            **sockets,
            "viewers": 40,
            "percent_of_core_each": round(100 * (sockets["core"] - alone) / 40, 3),
        },
        "channels": {
            **channels,
            "viewers": 8,
            "percent_of_core_each": round(100 * (channels["core"] - alone) / 8, 3),
        },
        "chromium": chromium,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
