"""How many sessions of `perse-live serve` a machine runs at full rate, each with one viewer.

    python tests/serve_capacity.py ME.perse --camera FACE.mp4 --most 4

Starts one session after the other until the slowest falls below the rate. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil

from perse_live.child import module_command
from runtime.bench.live.crowd import onlookers

_FULL = 0.97  # of the rate that counts as kept
_SETTLE_SECONDS = 6.0


class Server:
    """The API of a server that runs."""

    def __init__(self, url: str, admin_token: str, process: psutil.Process) -> None:
        self.url, self._admin, self.process = url, admin_token, process

    def ask(self, path: str, token: str = "", body: object = None) -> Any:
        """What a path answers; token: the administrator's by default."""
        headers = {
            "Authorization": f"Bearer {token or self._admin}",
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def processor_seconds(self) -> dict[int, float]:
        """Of the server's own process and of each session's."""
        processes = [self.process, *self.process.children()]
        return {one.pid: sum(one.cpu_times()[:2]) for one in processes}


@contextlib.contextmanager
def _serving(avatar: Path, camera: str, most: int, rate: float) -> Generator[Server, None, None]:
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        token.write_text("the-administrators-token\n", encoding="utf-8")
        token.chmod(0o600)
        words = module_command(
            "perse_live.cli", "serve", str(avatar.resolve()), "--camera", str(Path(camera).resolve()), "--port", "0",
            "--sessions", str(most), "--fps", str(rate), "--admin-token-file", str(token),
        )  # fmt: skip
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            try:
                yield Server(url, "the-administrators-token", psutil.Process(process.pid))
            finally:
                process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--camera", required=True)
    parser.add_argument("--most", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with (
        _serving(options.avatar, options.camera, options.most, options.rate) as server,
        contextlib.ExitStack() as viewers,
    ):
        sessions: list[dict[str, Any]] = []
        while len(sessions) < options.most:
            sessions.append(server.ask("api/sessions", body={"avatar": options.avatar.stem}))
            viewers.enter_context(
                onlookers(server.url, 1, "receiving", token=sessions[-1]["token"])
            )
            time.sleep(_SETTLE_SECONDS)
            before = server.processor_seconds()
            time.sleep(options.seconds)
            after = server.processor_seconds()
            used = [(after[pid] - before[pid]) / options.seconds for pid in after]
            stats = [server.ask("api/stats", one["token"]) for one in sessions]
            rows.append(
                {
                    "sessions": len(sessions),
                    "fps": [one["fps"] for one in stats],
                    "latency_ms": [one["latency_ms"] for one in stats],
                    "scale": [one["governor"]["scale"] for one in stats],
                    "cores": [round(share, 2) for share in used[1:]],
                    "cores_of_proxy": round(used[0], 3),
                }
            )
            if min(one["fps"] for one in stats) < _FULL * options.rate:
                break
    print(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
