"""Viewers that are no browsers: see `onlooker`."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Generator
from typing import Literal

from perse_live.child import module_command
from perse_live.errors import UserError


@contextlib.contextmanager
def onlookers(
    url: str, count: int, kind: Literal["decoding", "receiving"], *, token: str = ""
) -> Generator[Callable[[], list[list[float]]], None, None]:
    """Viewers in another process; what is yielded ends them and gives what they read. token: that their requests carry."""
    words = module_command("runtime.bench.live.onlooker", url, str(count), kind, token)
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert (
            process.stdin is not None and process.stdout is not None and process.stderr is not None
        )
        if process.stdout.readline().strip() != "watching":
            raise UserError(
                f"the viewers cannot watch: {' '.join(process.stderr.read().split())[-300:]}"
            )

        def end() -> list[list[float]]:
            return json.loads(process.communicate("", timeout=20)[0] or "[]")

        try:
            yield end
        finally:
            if process.poll() is None:
                process.kill()
