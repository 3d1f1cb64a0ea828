"""Times of the studio: from the page's first load to being live with an avatar from the camera.

A browser whose camera shows a photo presses the buttons as fast as the page allows. Looks are then learned in the background,
and the live picture's rate is read meanwhile.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.child import module_command
from perse_live.detect import FaceDetector
from perse_live.errors import UserError
from perse_live.photo import load_photo
from runtime.bench.live.chromium import chromium, chromium_missing

_START_SECONDS = 120.0  # the first start ever compiles
_PICTURE_PATIENCE = 60.0  # seconds
_PATIENCE = 180.0  # seconds for each step of the way
_CAMERA = (640, 480)  # pixels: width and height of the camera's pictures
_FACE_WIDTH = 150.0  # pixels, of the face in that picture: of one who sits half a metre away
_GREY = 160  # of 255, around the photo
_CAMERA_FRAMES = 8  # of the film that stands for the camera, which is shown again and again
# After going live, until code is compiled and the driver's face at rest is learned
_SETTLE_SECONDS = 3.0
_NAME = "Bench"


@dataclass(frozen=True)
class StudioFigures:
    """Seconds on one machine, the browser included; `None`: not reached in time."""

    viewer: str
    page_kib: float
    """All files of the first page load, as they were sent (KiB of 1024 bytes)."""
    load_to_picture_s: float
    """From the request of the page to the camera picture that was taken by itself; 2 to 3 s of it are the countdown."""
    build_to_first_picture_s: float
    """From pressing "Build the avatar" to the first picture of the avatar on the page, before its refinement."""
    build_s: float
    """From pressing "Build the avatar" to the avatar without looks, which can go live."""
    load_to_live_s: float
    """From the request of the page until the avatar follows the camera's face."""
    fps_while_learning: float | None
    """Pictures a second that the session draws while looks are learned; None: no look was being learned any more."""
    fps_shown_while_learning: float | None
    """Of these, pictures a second that the browser shows."""
    learning_s: float | None
    """For how long that was measured."""

    def rows(self) -> dict[str, str]:
        """Label and text of each figure, for display."""
        rate = "not measured: the looks were learned before"
        if self.fps_while_learning is not None:
            rate = (
                f"{self.fps_while_learning:.1f} frames a second drawn, {self.fps_shown_while_learning:.1f} shown,"
                f" over {self.learning_s:.0f} s"
            )
        return {
            "browser": self.viewer,
            "page, KiB": f"{self.page_kib:.0f}",
            "page load to camera picture, s": f"{self.load_to_picture_s:.1f}",
            "build to first picture, s": f"{self.build_to_first_picture_s:.1f}",
            "build without looks, s": f"{self.build_s:.1f}",
            "page load to live, s": f"{self.load_to_live_s:.1f}",
            "live while looks are learned": rate,
        }


def bench_studio(
    photo: Path, *, seconds: float, progress: Callable[[str, float], None]
) -> StudioFigures:
    """Go through the studio once, with a temporary library.

    photo: what the camera shows, a portrait. seconds: for how long the live picture's rate is read. Raises UserError where there
    is no browser, and where the photo cannot be used.
    """
    missing = chromium_missing()
    if missing:
        raise UserError(f"--studio needs a browser: {missing}")
    rgb = load_photo(photo).rgb
    with FaceDetector() as detector:
        found = detector.detect(rgb)
    if not found:
        raise UserError(f"{photo} shows no face: give a portrait")
    picture = camera_picture(rgb, found[0].landmarks)
    with tempfile.TemporaryDirectory(prefix="perse-live-bench-") as name:
        film = Path(name) / "camera.y4m"
        write_still_film(film, picture, frames=_CAMERA_FRAMES)
        progress("starting the studio", 0.0)
        with _studio(Path(name) / "library") as url, chromium(film) as browser:
            progress("starting the studio", 1.0)
            return _walk(browser, url, seconds, progress)


def camera_picture(
    rgb: UInt8Array,  # (H, W, 3)
    landmarks: Float32Array,  # (478, 3) pixels
) -> UInt8Array:
    """A photo as a camera of 640 x 480 pixels sees it, with the face in the middle and grey around the photo: (480, 640, 3)."""
    width, height = _CAMERA
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    scale = float(_FACE_WIDTH / (high[0] - low[0]))
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = np.array([width, height]) / 2 - scale * (low + high) / 2
    shift = np.array([[1, 0, left], [0, 1, top]], np.float64)
    moved = cv2.warpAffine(scaled, shift, _CAMERA, borderValue=(_GREY, _GREY, _GREY))
    return np.asarray(moved, np.uint8)


def write_still_film(path: Path, picture: UInt8Array, *, frames: int) -> None:
    """A raw film (YUV4MPEG2) of one picture, as Chromium's stand-in camera reads it. picture: (H, W, 3), even sides."""
    height, width = picture.shape[:2]
    planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8).tobytes()
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(frames):
            file.write(b"FRAME\n" + planes)


@contextlib.contextmanager
def _studio(library: Path) -> Generator[str, None, None]:
    """The studio as a separate process, as users start it; gives the page's address."""
    words = module_command(
        "perse_live.cli", "studio", "--library", str(library), "--port", "0", "--no-browser"
    )
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, text=True
        ) as process,
    ):
        timer = threading.Timer(_START_SECONDS, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            url = next(
                (
                    line.partition(" ")[2].strip()
                    for line in process.stdout
                    if line.startswith("ready:")
                ),
                "",
            )
            timer.cancel()
            if not url:
                complaints.seek(0)
                raise UserError(
                    f"perse-live studio does not start: {' '.join(complaints.read().split())[-300:]}"
                )
            yield url
        finally:
            timer.cancel()
            process.terminate()


def _walk(
    browser: Any, url: str, seconds: float, progress: Callable[[str, float], None]
) -> StudioFigures:
    context = browser.new_context(
        permissions=["camera"], locale="en-US", viewport={"width": 1280, "height": 800}
    )
    page = context.new_page()
    page.set_default_timeout(1000 * _PATIENCE)
    requests: list[Any] = []
    page.on("requestfinished", lambda request: requests.append(request))
    begin = time.monotonic()
    page.goto(url)
    camera = page.get_by_role("button", name="Use your camera")
    camera.wait_for()
    page_requests = tuple(requests)
    camera.click()
    progress("taking the picture", 0.5)
    taken_view = page.get_by_role("heading", name="Your picture")
    with contextlib.suppress(Exception):  # of the browser: reported below in the page's words
        taken_view.wait_for(timeout=1000 * _PICTURE_PATIENCE)
    if not taken_view.is_visible():
        raise UserError(
            f"the page takes no picture of this photo within {_PICTURE_PATIENCE:.0f} s:"
            " give a portrait that looks straight into the camera, in even light"
        )
    taken = time.monotonic()
    page.get_by_label("Name of the avatar").fill(_NAME)
    page.get_by_role("checkbox", name="The person in this picture agrees").check()
    page.get_by_role("button", name="Build the avatar").click()
    pressed = time.monotonic()
    progress("building", 0.0)
    page.wait_for_function(_FIRST_AVATAR)
    first = time.monotonic()
    progress("building", 0.5)
    page.get_by_role("heading", name=f"Here is {_NAME}").or_(
        page.get_by_role("heading", name="This picture did not work")
    ).wait_for()
    built = time.monotonic()
    if page.get_by_role("heading", name="This picture did not work").count():
        raise UserError(
            f"the photo was refused: {page.get_by_role('alert').inner_text().strip()[:300]}"
        )
    page.get_by_role("button", name="Go live").click()
    page.wait_for_selector("#cover", state="hidden")
    page.locator("#camera-dock").click()
    page.get_by_text("Face found").wait_for()
    live = time.monotonic()
    page.wait_for_timeout(1000 * _SETTLE_SECONDS)
    drawn, shown, learned = _rates(page, seconds, progress)
    page_bytes = sum(map(_bytes_sent, page_requests))
    context.close()
    return StudioFigures(
        f"Chromium {browser.version}",
        round(page_bytes / 1024, 1),
        round(taken - begin, 1),
        round(first - pressed, 1),
        round(built - pressed, 1),
        round(live - begin, 1),
        drawn,
        shown,
        learned,
    )


_FIRST_AVATAR = """() => {
  const image = document.querySelector("img.build-picture.there");
  return image?.complete && /lift/.test(image.dataset.path) || document.querySelector(".result, .failed-photo");
}"""
"""Whether the page shows the avatar, or the build has ended before."""

_COUNT = """async () => {
  const quality = document.querySelector("#video").getVideoPlaybackQuality();
  const ask = (path) => fetch(path).then((reply) => reply.json());
  const [stats, { jobs }] = await Promise.all([ask("/api/stats"), ask("/api/studio")]);
  return { at: performance.now() / 1000, shown: quality.totalVideoFrames - quality.droppedVideoFrames,
    drawn: stats.stages.render.per_second, learning: jobs.some((job) => job.kind === "looks" && job.state === "running") };
}"""


def _rates(
    page: Any, seconds: float, progress: Callable[[str, float], None]
) -> tuple[float | None, float | None, float | None]:
    """While looks are being learned, for at most `seconds`: pictures a second drawn and shown, and for how long that was read."""
    step = "live while looks are learned"
    first = last = page.evaluate(_COUNT)
    rates: list[float] = []
    while (now := page.evaluate(_COUNT))["learning"] and now["at"] - first["at"] < seconds:
        last = now
        rates.append(float(now["drawn"]))
        progress(step, min((now["at"] - first["at"]) / seconds, 1.0))
        page.wait_for_timeout(1000)
    progress(step, 1.0)
    passed = last["at"] - first["at"]
    if passed < 2:
        return None, None, None
    shown = (last["shown"] - first["shown"]) / passed
    return round(float(np.mean(rates)), 1), round(shown, 1), round(passed, 1)


def _bytes_sent(request: Any) -> int:
    """What a request's answer took on the wire."""
    sizes = request.sizes()
    return sizes["responseBodySize"] + sizes["responseHeadersSize"]
