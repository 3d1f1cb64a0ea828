"""A browser for tests of the studio's page, with a camera that shows a real face."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from PIL import Image

from perse_live.arrays import UInt8Array

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE = 180.0  # seconds that a test waits for what must come
_NOTE_VIOLATIONS = """window.violations = [];
document.addEventListener("securitypolicyviolation", ({violatedDirective}) => violations.push(violatedDirective));"""


def camera_film(path: Path, *, frames: int = 8) -> Path:
    """An uncompressed film (YUV4MPEG2) of the astronaut's face before a camera of 640x480, for Chromium's fake camera."""
    picture = np.full((480, 640, 3), (150, 160, 170), np.uint8)
    face = np.asarray(
        Image.fromarray(skimage.data.astronaut()[0:330, 65:395]).resize(
            (480, 480), Image.Resampling.LANCZOS
        )
    )
    picture[:, 80:560] = face
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F15:1 Ip A1:1 C420jpeg\n")
        for _ in range(frames):
            file.write(b"FRAME\n" + _i420(picture))
    return path


def _i420(picture: UInt8Array) -> bytes:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8).tobytes()


@contextlib.contextmanager
def chromium(film: Path) -> Generator[Any, None, None]:
    """Chromium whose camera shows a film."""
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


def open_page(browser: Any, address: str, complaints: list[str], **options: Any) -> Any:
    """A page in a separate context. complaints: of the browser, are added to it."""
    context = browser.new_context(
        permissions=["camera", "clipboard-read", "clipboard-write"], **options
    )
    context.add_init_script(_NOTE_VIOLATIONS)
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: complaints.append(message.text) if _matters(message) else None
    )
    page.goto(address)
    return page


def _matters(message: Any) -> bool:
    """Whether what the console shows is a fault of the page; that the server refuses bad input is none."""
    return message.type == "error" and "responded with a status of 400" not in message.text


def until(true: Callable[[], object], what: str = "it did not come about") -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def serious(page: Any) -> list[str]:
    """What axe-core finds serious or critical on a page, a line each (WCAG 2.2 A and AA).

    Transitions and animations with an end are brought to it first: half-faded text has too little
    contrast, for a fifth of a second.
    """
    from importlib.resources import files

    page.evaluate("""document.getAnimations()
        .filter((animation) => Number.isFinite(animation.effect.getComputedTiming().endTime))
        .forEach((animation) => animation.finish())""")
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("""async () => {
        const {violations} = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]});
        return violations.filter(({impact}) => ["serious", "critical"].includes(impact))
            .flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html.slice(0, 200)}`)); }""")
    return list(found)
