"""A real PulseAudio with a null sink, for tests of real PortAudio: what is played into the sink is heard by the microphone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest

_PATIENCE = 30.0  # seconds
_ALSA = "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n"


@contextlib.contextmanager
def pulse_audio(folder: Path) -> Generator[dict[str, str]]:
    """A private server; yields the environment of programs that shall use it. Skips the test where it is not installed."""
    if shutil.which("pulseaudio") is None or shutil.which("pacat") is None:
        pytest.skip("pulseaudio or pulseaudio-utils is not installed")
    (folder / "alsa.conf").write_text(_ALSA)
    socket = folder / "socket"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PULSE_RUNTIME_PATH": str(folder / "pulse"),
        "PULSE_SERVER": f"unix:{socket}",
        "ALSA_CONFIG_PATH": str(folder / "alsa.conf"),
    }
    command = [
        "pulseaudio",
        "-n",
        "--daemonize=no",
        "--exit-idle-time=-1",
        "--use-pid-file=no",
        "-L",
        f"module-native-protocol-unix socket={socket} auth-anonymous=1",
        "-L",
        "module-null-sink sink_name=cable rate=48000",
    ]
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _PATIENCE
        while subprocess.run(
            ["pactl", "set-default-source", "cable.monitor"], env=environment, capture_output=True
        ).returncode:
            assert server.poll() is None and time.monotonic() < deadline, (
                "PulseAudio does not start"
            )
            time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait()
