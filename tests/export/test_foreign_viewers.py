"""Files as other people's viewers draw them in a real browser, beside what we draw ourselves.

The viewers come from npm at test time; where that cannot be reached, the tests are skipped.
"""

from __future__ import annotations

import http.server
import io
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright
from splat_clouds import Y_DOWN
from test_web import CHROMIUM, FLAGS

from export.interchange import FORMATS
from export.state import state_gaussians
from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import BoolArray
from perse_live.avatar import with_own_lids
from perse_live.camera import Camera
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from perse_live.splatting.cpu import CpuRasterizer
from toys import toy_avatar

VIEWERS = ("@mkkellogg/gaussian-splats-3d@0.4.7", "@sparkjsdev/spark@2.2.0", "three@0.187.0", "babylonjs@9.35.0",
           "babylonjs-loaders@9.28.0")
DOING = expression(jawOpen=0.4)
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not (CHROMIUM.exists() and shutil.which("npm")), reason="needs Chromium and npm")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the viewers' pages, their packages and one avatar in every format."""
    folder = tmp_path_factory.mktemp("viewers")
    command = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", *VIEWERS]
    installed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if installed.returncode:
        pytest.skip(f"npm cannot fetch the viewers: {installed.stderr.strip()[-200:]}")
    for page in (Path(__file__).parent / "foreign_viewers").iterdir():
        shutil.copy(page, folder)
    gaussians = state_gaussians(toy_avatar(gaussians=3000), attributes={}, expression=DOING)
    for ending, encode in FORMATS.items():
        (folder / f"toy.{ending}").write_bytes(encode(gaussians))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def ours() -> np.ndarray:
    """The same avatar through the same lens, on white."""
    avatar = toy_avatar(gaussians=3000)
    turn = Y_DOWN.astype(np.float32)
    pose = HeadPose(turn, np.array([0, 0, 1], np.float32), turn)
    posed = Animator(avatar, threads=1).pose(with_own_lids(avatar, DOING), gaze_from_expression(DOING), pose)
    focal = 128 / np.tan(np.radians(15))
    return CpuRasterizer(256, 256, threads=1).render(posed, Camera(256, 256, focal, focal, 128, 128), background=(1, 1, 1)).copy()


def there(picture: np.ndarray) -> BoolArray:
    return np.asarray(picture.astype(int).min(2) < 200)


@pytest.mark.parametrize(("viewer", "ending"), [
    ("gaussian-splats-3d", "ply"), ("gaussian-splats-3d", "splat"), ("spark", "ply"), ("spark", "spz"), ("spark", "splat"),
    ("babylon", "glb")])
def test_a_foreign_viewer_draws_the_same_avatar_upright(site: str, viewer: str, ending: str) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 256, "height": 256})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{site}/{viewer}.html?file=toy.{ending}")
        page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot(timeout=120_000))).convert("RGB"))
        browser.close()
    assert not errors
    expected, found = there(ours()), there(picture)
    overlap = (expected & found).sum() / (expected | found).sum()
    assert overlap > 0.85, f"{viewer} draws toy.{ending} elsewhere: overlap {overlap:.2f}"
    both = expected & found
    assert np.abs(picture.astype(int)[both] - ours()[both]).mean() < 40  # it sorts and blends by rules of its own
