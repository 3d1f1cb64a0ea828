"""Parsing of `--camera`."""

from __future__ import annotations

from pathlib import Path

from perse_live.errors import UserError
from runtime.sources.camera import CameraConfig, CameraSource, camera_choices
from runtime.sources.film import FilmSource
from runtime.sources.vmc import VmcSource, parse_vmc

BROWSER = "browser"
"""The browser's camera: the web server opens it when a page offers one, so `open_source` does not."""


def open_source(
    text: str, *, repeat: bool = True, camera: CameraConfig | None = None
) -> CameraSource | FilmSource | VmcSource | None:
    """Open the source that a user named.

    text: a camera's number or device ("0", "/dev/video2"), a video file, "vmc", "vmc:PORT" or "vmc:ADDRESS:PORT", or "none", for
    which None is returned. repeat: whether a film starts again at its end; camera: what to ask of a camera. The caller handles
    `BROWSER` itself.
    Raises UserError for anything else and where the source cannot be had, naming the choices.
    """
    if text == "none":
        return None
    if text == "vmc" or text.startswith("vmc:"):
        return parse_vmc(text)()
    if text.isascii() and text.isdigit() and len(text) <= 3:
        return CameraSource(int(text), camera or CameraConfig())
    if text.startswith("/dev/"):
        return CameraSource(text, camera or CameraConfig())
    if text and Path(text).exists():
        return FilmSource(Path(text), repeat=repeat)
    raise UserError(f"no camera {text!r}, and no file of that name: give {camera_choices()}")
