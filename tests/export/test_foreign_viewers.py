"""Exported files drawn by other viewers in a real browser, compared with our renderer.

The viewers come from npm at test time; where that cannot be reached, the tests are skipped.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright
from splat_clouds import Y_DOWN
from test_web import CHROMIUM

from export.interchange import FORMATS
from export.state import state_gaussians
from perse_live import cli
from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import BoolArray
from perse_live.avatar import save_avatar, with_resting_lids
from perse_live.camera import Camera
from perse_live.errors import UserError
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from perse_live.splatting.cpu import CpuRasterizer
from runtime.bench.peers import measure
from runtime.bench.peers import site as peers_site
from runtime.bench.peers.site import FLAGS, viewer_site
from toys import toy_avatar

BABYLON = ("babylonjs@9.35.0", "babylonjs-loaders@9.28.0")
PAGES = Path(__file__).parent / "foreign_viewers"
DOING = expression(jawOpen=0.4)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM.exists() and shutil.which("npm")), reason="needs Chromium and npm"
    ),
]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A server with the viewers' pages, their packages and one avatar in every format."""
    gaussians = state_gaussians(toy_avatar(gaussians=3000), attributes={}, expression=DOING)
    files = {f"toy.{ending}": encode(gaussians) for ending, encode in FORMATS.items()}
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(
                viewer_site(files, pages=[*PAGES.iterdir()], packages=BABYLON)
            )
        except UserError as error:
            pytest.skip(str(error))
        yield address


def ours() -> np.ndarray:
    """The same avatar through the same lens, on white."""
    avatar = toy_avatar(gaussians=3000)
    turn = Y_DOWN.astype(np.float32)
    pose = HeadPose(turn, np.array([0, 0, 1], np.float32), turn)
    posed = Animator(avatar, threads=1).pose(
        with_resting_lids(avatar, DOING), gaze_from_expression(DOING), pose
    )
    focal = 128 / np.tan(np.radians(15))
    return (
        CpuRasterizer(256, 256, threads=1)
        .render(posed, Camera(256, 256, focal, focal, 128, 128), background=(1, 1, 1))
        .copy()
    )


def there(picture: np.ndarray) -> BoolArray:
    return np.asarray(picture.astype(int).min(2) < 200)


@pytest.mark.parametrize(
    ("viewer", "ending"),
    [
        ("gaussian-splats-3d", "ply"),
        ("gaussian-splats-3d", "splat"),
        ("spark", "ply"),
        ("spark", "spz"),
        ("spark", "splat"),
        ("babylon", "glb"),
    ],
)
def test_a_foreign_viewer_draws_the_same_avatar_upright(
    site: str, viewer: str, ending: str
) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 256, "height": 256})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{site}/{viewer}.html?file=toy.{ending}")
        page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
        picture = np.asarray(
            Image.open(io.BytesIO(page.screenshot(timeout=120_000))).convert("RGB")
        )
        browser.close()
    assert not errors
    expected, found = there(ours()), there(picture)
    overlap = (expected & found).sum() / (expected | found).sum()
    assert overlap > 0.85, f"{viewer} draws toy.{ending} elsewhere: overlap {overlap:.2f}"
    both = expected & found
    # It sorts and blends by other rules
    assert np.abs(picture.astype(int)[both] - ours()[both]).mean() < 40


def test_the_bench_compares_viewers_with_our_drawing(
    site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_SECONDS", 1.0)
    save_avatar(tmp_path / "me.perse", toy_avatar(gaussians=3000))
    assert site and cli.main(["bench", str(tmp_path / "me.perse"), "--peers", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["width"] == 512 and content["gaussians"] > 2000
    assert content["browser"].startswith("Chromium ") and "SwiftShader" in content["browser"]
    ours, *others = content["viewers"]
    assert ours["viewer"] == "perse-live" and ours["frames"] == 60
    assert [one["viewer"] for one in others] == ["gaussian-splats-3d 0.4.7", "spark 2.2.0"]
    for one in others:
        assert one["obstacle"] == "" and one["overlap"] > 0.85 and one["frames"] >= 1
        assert one["fps"] == pytest.approx(1000 / one["median_ms"], rel=0.9)


def test_without_npm_or_a_browser_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module, name, absent, said in (
        (
            peers_site,
            "installed_program",
            None,
            "npm, which fetches the other viewers, is not installed",
        ),
        (measure, "chromium_missing", "no Chromium found", "need a browser: no Chromium found"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda *_, absent=absent: absent)
            assert cli.main(["bench", "--peers"]) == 2
        errors = capsys.readouterr().err.splitlines()
        assert said in errors[-1] and errors[-1].startswith("perse-live: ")
