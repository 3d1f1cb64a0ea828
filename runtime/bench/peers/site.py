"""A local web server with other people's viewers, fetched by npm, and files for them to show."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from perse_live.child import installed_program
from perse_live.errors import UserError

PACKAGES = {
    "gaussian-splats-3d": "@mkkellogg/gaussian-splats-3d@0.4.7",
    "spark": "@sparkjsdev/spark@2.2.0",
}
"""The viewers, by the names of their pages, and the packages that they come in; both need three.js too."""
_THREE = "three@0.187.0"
_PAGES = Path(__file__).with_name("pages")
_FETCH_SECONDS = 300
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Chromium draws in software with these: WebGL on the CPU, as we draw."""


@contextmanager
def viewer_site(
    files: Mapping[str, bytes],
    *,
    pages: Sequence[Path] = (),
    packages: Sequence[str] = (),
    offline: bool = False,
) -> Generator[str, None, None]:
    """The address of a server on this machine that has a page NAME.html for each viewer.

    files: content by name, for the pages to show; pages, packages: further pages, and what npm shall fetch for them; offline:
    take packages from npm's cache only. Raises UserError where npm is missing or cannot fetch a package.
    """
    npm = installed_program("npm")
    if npm is None:
        raise UserError("npm, which fetches the other viewers, is not installed: install Node.js")
    with tempfile.TemporaryDirectory(prefix="perse-live-peers-") as name:
        folder = Path(name)
        command = [
            npm,
            "install",
            "--prefix",
            name,
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            *(["--offline"] if offline else []),
            *PACKAGES.values(),
            _THREE,
            *packages,
        ]
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                timeout=_FETCH_SECONDS,
                cwd=name,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(
                f"npm has not fetched the other viewers in {_FETCH_SECONDS} s: is there a network?"
            ) from error
        if done.returncode:
            raise UserError(
                f"npm cannot fetch the other viewers: {' '.join(done.stderr.split())[:300]}"
            )
        for page in (*_PAGES.iterdir(), *pages):
            shutil.copy(page, folder)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=name))
        thread = threading.Thread(target=server.serve_forever, name="viewers")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
