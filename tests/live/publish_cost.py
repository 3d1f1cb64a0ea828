"""What it costs the publisher when more and more watch through an SFU: a real `perse-live live --publish` to Debian's Janus.

    python tests/live/publish_cost.py ME.perse [--viewers 0 1 5 20] [--seconds 10]

Prints the publisher's processor time as a share of a core, by the number of viewers; the viewers are aiortc receivers in a
process of their own, which do not decode. On Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver
import psutil
from janus_sfu import janus, janus_api, subscribe

from perse_live.child import module_command

_GET_DECODER = "get_decoder"  # as aiortc's receivers look it up, in their module
_SETTLE = 3.0  # seconds after viewers have come


class _NoDecoder:
    """In place of aiortc's decoder: counts frames."""

    frames = 0

    def decode(self, _: Any) -> list[Any]:
        _NoDecoder.frames += 1
        return []


async def _watch(port: int, count: int) -> None:
    """Be so many viewers until standard input ends; then say how many frames came a second and viewer."""
    setattr(aiortc.rtcrtpreceiver, _GET_DECODER, lambda _: _NoDecoder())
    async with janus_api(port) as api:
        viewers = [await subscribe(api) for _ in range(count)]
        await asyncio.sleep(_SETTLE)
        print("watching", flush=True)
        begin, before = time.monotonic(), _NoDecoder.frames
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        seconds = time.monotonic() - begin
        print((_NoDecoder.frames - before) / seconds / max(count, 1), flush=True)
        for viewer in viewers:
            await viewer.close()


def _measured(process: psutil.Process, seconds: float) -> float:
    """Processor time as a share of a core."""
    before = process.cpu_times()
    begin = time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return used / (time.monotonic() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--viewers", type=int, nargs="+", default=[0, 1, 5, 20])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--watch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        asyncio.run(_watch(options.watch, options.viewers[0]))
        return
    with tempfile.TemporaryDirectory() as folder, janus(Path(folder), "vp8") as (address, port):
        words = ["live", str(options.avatar), "--camera", "none", "--no-browser", "--no-hotkeys"]
        command = [*module_command("perse_live.cli", *words), "--port", "0", "--publish", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as live:
            assert live.stdout is not None
            while not (line := live.stdout.readline()).startswith("ready"):
                assert line, "the session has not started"
            time.sleep(_SETTLE)
            publisher = psutil.Process(live.pid)
            print("viewers  publisher, cores  frames a second and viewer")
            for count in options.viewers:
                watch = [sys.executable, __file__, str(options.avatar), "--watch", str(port)]
                with subprocess.Popen(
                    [*watch, "--viewers", str(count)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                ) as viewers:
                    assert viewers.stdout is not None
                    assert viewers.stdout.readline().strip() == "watching"
                    cores = _measured(publisher, options.seconds)
                    said, _ = viewers.communicate("")
                print(f"{count:7}  {cores:16.3f}  {float(said):26.1f}", flush=True)
            live.terminate()


if __name__ == "__main__":
    main()
