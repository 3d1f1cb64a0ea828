"""The web bundle read back by a reader that knows only its manifest, and by its page in a real browser."""

from __future__ import annotations

import base64
import http.server
import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from engine_toys import dressable
from export.web.bundle import bundle_of, write_bundle
from perse_live.animator import Animator
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import with_resting_lids
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from perse_live.poses import turned_pose
from perse_live.splatting.cpu import CpuRasterizer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
DOING = {
    "jawOpen": 0.6,
    "mouthClose": 0.8,
    "eyeBlinkLeft": 0.8,
    "eyeLookDownLeft": 0.6,
    "eyeLookUpRight": 0.7,
    "eyeLookInLeft": 0.4,
}
WEARING = {"hat-cap": 0.7}


def expected(yaw: float, pitch: float, roll: float) -> Gaussians:
    avatar = dressable()
    look = with_attributes(avatar, avatar.attributes, WEARING)
    animator = Animator(avatar, threads=1)
    animator.set_avatar(look)
    doing = expression(**DOING)
    return animator.pose(
        with_resting_lids(avatar, doing),
        gaze_from_expression(doing),
        turned_pose(avatar, yaw, pitch, roll),
    )


def test_the_arrays_are_where_the_manifest_says() -> None:
    avatar = dressable()
    text, content = bundle_of(avatar, attributes={})
    manifest: dict[str, Any] = json.loads(text)
    assert len(content) == manifest["bytes"]
    arrays = {
        name: np.frombuffer(
            content,
            np.dtype(one["dtype"]).newbyteorder("<"),
            int(np.prod(one["shape"])),
            one["offset"],
        ).reshape(one["shape"])
        for name, one in manifest["arrays"].items()
    }
    assert all(entry["offset"] % 4 == 0 for entry in manifest["arrays"].values())
    np.testing.assert_array_equal(arrays["vertices"], avatar.rig.vertices)
    actions = np.zeros_like(avatar.rig.actions)
    for action, scale in enumerate(manifest["actionScales"]):
        rows = slice(*arrays["actionStarts"][action : action + 2])
        actions[action, arrays["actionVertices"][rows]] = scale * arrays["actionSteps"][rows]
    np.testing.assert_allclose(actions, avatar.rig.actions, atol=1e-6)
    shown = np.concatenate([avatar.colors, avatar.opacities[:, None]], 1)
    np.testing.assert_allclose(arrays["rgba"] / 255, shown, atol=0.51 / 255)
    doing = expression(**DOING)
    gaze = np.array(manifest["gazeByExpression"]) @ doing
    np.testing.assert_allclose(gaze, gaze_from_expression(doing), atol=1e-6)


def test_a_folder_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "me.web").mkdir()
    (tmp_path / "me.web" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not of this kind"):
        write_bundle(dressable(), tmp_path, "me", attributes={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me.web"]


def test_an_earlier_bundle_is_replaced(tmp_path: Path) -> None:
    for attributes in ({}, WEARING):
        path = write_bundle(dressable(), tmp_path, "me", attributes=attributes)
        assert sorted(file.name for file in path.iterdir()) == [
            "avatar.bin",
            "avatar.js",
            "avatar.json",
            "index.html",
            "splats.js",
            "viewer.js",
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["me.web"]
    assert (path / "avatar.bin").read_bytes() == bundle_of(dressable(), attributes=WEARING)[1]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The bundle's page, in Chromium, served as any static host would."""
    folder = write_bundle(dressable(), tmp_path_factory.mktemp("web"), "me", attributes=WEARING)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        shown = browser.new_page(viewport={"width": 900, "height": 700})
        shown.goto(f"http://127.0.0.1:{server.server_port}/")
        shown.wait_for_selector("body[data-ready=yes]", timeout=60_000)
        yield shown
        browser.close()
    server.shutdown()


in_a_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")


@pytest.mark.slow
@in_a_browser
def test_the_page_poses_as_the_animator_does(page: Page) -> None:
    found = page.evaluate(
        """doing => {
        perse.show(doing, 20, -8, 5);
        const { means, quats, scales, opacities, shades } = perse.avatar;
        return [means, quats, scales, opacities, shades].map(array => Array.from(array));
    }""",
        DOING,
    )
    posed = expected(20, -8, 5)
    means, quats, scales, opacities, shades = (
        np.array(part).reshape(len(posed), -1) for part in found
    )
    np.testing.assert_allclose(means, posed.means, atol=1e-5)
    np.testing.assert_allclose(scales, posed.scales, atol=1e-5)
    cosine = (
        np.abs((quats * posed.quats).sum(1))
        / np.linalg.norm(quats, axis=1)
        / np.linalg.norm(posed.quats, axis=1)
    )
    assert (1 - cosine)[posed.scales[:, 0] > 1e-4].max() < 1e-4
    assert (np.abs(opacities[:, 0] - posed.opacities) > 0.51 / 255).mean() < 0.002
    np.testing.assert_allclose(shades[:, :3], posed.colors, atol=0.51 / 255)
    assert (
        np.abs(posed.colors - with_attributes(dressable(), dressable().attributes, WEARING).colors)
        > 0.1
    ).mean() > 0.1


@pytest.mark.slow
@in_a_browser
def test_the_page_draws_as_the_rasteriser_does(page: Page) -> None:
    picture = page.evaluate(
        """doing => {
        const canvas = document.querySelector("canvas");
        canvas.width = canvas.height = 256;
        perse.show(doing, -15, 4, 0);
        return canvas.toDataURL("image/png");
    }""",
        DOING,
    )
    found = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))).convert("RGB")
    ).astype(int)
    camera = dressable().source.camera.resized(256, 256)
    drawn = (
        CpuRasterizer(256, 256, threads=1)
        .render(expected(-15, 4, 0), camera, background=(0.85, 0.86, 0.87))
        .astype(int)
    )
    assert np.abs(found - drawn).mean() < 1.5
    assert np.percentile(np.abs(found - drawn), 99) < 16
