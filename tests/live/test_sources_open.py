from __future__ import annotations

import socket
from fractions import Fraction
from pathlib import Path

import pytest
from live_frames import picture

from perse_live.errors import UserError
from perse_live.film.writer import film_writer
from runtime.sources.film import FilmSource
from runtime.sources.open import BROWSER, open_source
from runtime.sources.vmc import VmcSource


def test_none_is_no_source() -> None:
    assert open_source("none") is None


def test_a_file_is_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with film_writer(tmp_path / "clip.mp4", width=128, height=96, rate=Fraction(25)) as writer:
        writer.write(picture(0))
    monkeypatch.chdir(tmp_path)
    for text in ("clip.mp4", str(tmp_path / "clip.mp4")):
        source = open_source(text, repeat=False)
        assert isinstance(source, FilmSource)
        assert source.read(5.0) is not None
        source.close()


def test_vmc_is_motion() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    source = open_source(f"vmc:{port}")
    assert isinstance(source, VmcSource)
    assert source.name == f"VMC on UDP port {port}"
    source.close()


@pytest.mark.parametrize("text", ["97", "/dev/video97"])
def test_a_number_or_device_is_a_camera(text: str) -> None:
    with pytest.raises(UserError, match=f"camera {text} cannot be opened"):
        open_source(text)


@pytest.mark.parametrize("text", ["missing.mp4", "", BROWSER, "-1", "12345", "\u0663"])
def test_anything_else_names_the_choices(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="a video file, browser, vmc or none"):
        open_source(text)
