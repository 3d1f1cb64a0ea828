"""All checks, one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from runtime.doctor import devices, machine, software
from runtime.doctor.finding import Finding


def examine(
    *,
    port: int = 8080,
    settings: Path | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> list[Finding]:
    """Check everything that a live session needs or can use; takes a few seconds, without downloads.

    port: where the page would be served; settings: the settings file, None for the usual one; progress: told what is being
    looked at and which fraction is done. Never raises for what it finds.
    """
    checks: list[Callable[[], Finding]] = [
        machine.system,
        machine.processor,
        machine.cores,
        machine.memory,
        software.kernels,
        software.cache,
        functools.partial(software.model_file, "face_landmarker", needed=True),
        functools.partial(software.model_file, "selfie_segmentation", needed=False),
        functools.partial(software.model_file, "hand_landmarker", needed=False),
        functools.partial(software.model_file, "sample_portrait", needed=False),
        functools.partial(software.model_file, "selfie_multiclass", needed=False),
        software.segmentation,
        functools.partial(software.settings, settings),
        devices.cameras,
        devices.microphones,
        devices.voice_output,
        devices.virtual_camera,
        functools.partial(software.codec, "libvpx"),
        functools.partial(software.codec, "libx264"),
        software.webrtc,
        functools.partial(devices.page, port),
        devices.browser,
        devices.global_hotkeys,
        devices.cuda,
        devices.tensorrt,
    ]
    findings: list[Finding] = []
    for done, check in enumerate(checks):
        progress("examining", done / len(checks))
        findings.append(check())
    progress("examining", 1.0)
    return findings
