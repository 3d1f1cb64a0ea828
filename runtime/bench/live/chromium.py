"""A real browser with the live page open and `probe.js` injected into it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aioice.ice

from perse_live.child import installed_program

_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
_PROBE = Path(__file__).with_name("probe.js")
# Fake permission and camera; without the second, Chromium would publish names for its addresses by multicast in this network
_FLAGS = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--no-sandbox",
)


def chromium_missing() -> str:
    """Why there is no browser to measure with; empty where there is one."""
    try:
        import playwright.sync_api  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError:
        return "the package playwright is not installed (pip install playwright)"
    return "" if chromium_executable() else f"no Chromium found (looked for {', '.join(_NAMES)})"


def chromium_executable() -> str | None:
    """The browser's path; None where there is none."""
    return next((path for name in _NAMES if (path := installed_program(name))), None)


@contextmanager
def chromium(camera_film: Path) -> Generator[Any, None, None]:
    """A playwright browser whose camera is a raw film, endlessly; only where `chromium_missing` says nothing."""
    from playwright.sync_api import sync_playwright

    flags = [*_FLAGS, f"--use-file-for-fake-video-capture={camera_film}"]
    if not aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True):
        flags.append("--allow-loopback-in-peer-connection")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_executable(), headless=True, args=flags
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def probed_page(browser: Any, url: str) -> Generator[Any, None, None]:
    """The live page once it shows pictures."""
    context = browser.new_context(
        bypass_csp=True, permissions=["camera"], viewport={"width": 1280, "height": 800}
    )
    try:
        context.add_init_script(path=_PROBE)
        page = context.new_page()
        page.goto(url)
        page.wait_for_function("window.perseBench?.shown.length > 5", timeout=20_000)
        yield page
    finally:
        context.close()
