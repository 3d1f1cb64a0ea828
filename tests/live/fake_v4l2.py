"""Run programs with a simulated Video4Linux device; see fake_v4l2.c."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

DEVICE = "/dev/video10"


@dataclass(frozen=True)
class FakeDevice:
    """A compiled fake and where it leaves what it gets."""

    library: Path
    folder: Path
    role: str
    path: Path = Path(DEVICE)

    @property
    def frames(self) -> Path:
        """Every frame written to an output, one after the other."""
        return self.folder / "frames"

    @property
    def format(self) -> str:
        """The format agreed on: "width height fourcc"."""
        return (self.folder / "format").read_text().strip()

    @property
    def gone(self) -> Path:
        """While this file exists, the camera is unplugged."""
        return self.folder / "gone"

    @property
    def jpeg(self) -> Path:
        """What a camera shows, if the file exists; else it gives raw pictures."""
        return self.folder / "camera.jpg"

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program to its end with the device present."""
        settings = {
            "LD_PRELOAD": str(self.library),
            "FAKE_V4L2_DEVICE": str(self.path),
            "FAKE_V4L2_ROLE": self.role,
            "FAKE_V4L2_FORMAT": str(self.folder / "format"),
            "FAKE_V4L2_FRAMES": str(self.frames),
            "FAKE_V4L2_GONE": str(self.gone),
            "FAKE_V4L2_JPEG": str(self.jpeg) if self.jpeg.exists() else "",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            env=os.environ | settings,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )


def make_fake_device(folder: Path, role: str, *, path: Path = Path(DEVICE)) -> FakeDevice:
    """Compile the fake; the test is skipped where that cannot be. role: "output" or "capture"; path: where programs find it."""
    if sys.platform != "linux":
        pytest.skip("Video4Linux is Linux's")
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed, which compiles the fake device")
    if Path(DEVICE).exists():
        pytest.skip(f"there is a real {DEVICE}")
    library = folder / "fake_v4l2.so"
    source = Path(__file__).with_name("fake_v4l2.c")
    subprocess.run(
        [compiler, "-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"],
        check=True,
    )
    return FakeDevice(library, folder, role, path)
