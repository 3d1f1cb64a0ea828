"""The reader sees what the ffmpeg command sees."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.error import ExternalError
from av.filter import Graph
from av.video.frame import VideoFrame
from ffmpeg_films import (
    MATRICES,
    Look,
    ffmpeg,
    make_film,
    mean_error,
    needs_ffmpeg,
    picture,
    rendered,
    turn,
)
from hypothesis import given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from perse_live.film.reader import open_film

pytestmark = needs_ffmpeg

LOOKS = st.builds(
    Look,
    width=st.sampled_from([64, 90, 128]),
    height=st.sampled_from([48, 72]),
    pixel_format=st.sampled_from(["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"]),
    matrix=st.sampled_from(["bt601", "bt709", "bt2020"]),
    color_range=st.sampled_from(["tv", "pc"]),
    aspect=st.sampled_from([Fraction(1), Fraction(2), Fraction(4, 3), Fraction(8, 9)]),
    orientation=st.sampled_from(sorted(MATRICES)),
)


@pytest.mark.slow
@given(look=LOOKS)
@examples(12)
def test_pictures_are_those_that_ffmpeg_shows(look: Look) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = make_film(Path(folder) / "film.mp4", look)
        film = open_film(path)
        (frame,) = film.frames()
        (shown,) = rendered(path, film.width, film.height)
    assert frame.image.shape == shown.shape == (film.height, film.width, 3)
    assert mean_error(frame.image, shown) < 1
    assert np.abs(frame.image.astype(int) - shown).max() <= 8


@pytest.mark.parametrize("degrees", [30, -120, 3])
def test_turns_by_other_than_quarters_stay_within_the_picture(
    tmp_path: Path, degrees: float
) -> None:
    path = make_film(tmp_path / "film.mp4", Look(width=96, height=72, pixel_format="yuv444p"))
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn(path, (cosine, sine, -sine, cosine))
    (frame,) = open_film(path).frames()
    (shown,) = rendered(path, 96, 72)
    # The borders between picture and black are drawn differently
    assert mean_error(frame.image, shown) < 4
    assert np.median(np.abs(frame.image.astype(int) - shown)) <= 2
    assert mean_error(frame.image, picture(96, 72)) > 2


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("color_range", ["tv", "pc"])
def test_the_colours_are_those_that_were_coded(
    tmp_path: Path, matrix: str, color_range: str
) -> None:
    path = make_film(
        tmp_path / "film.mp4", Look(matrix=matrix, color_range=color_range, pixel_format="yuv444p")
    )
    (frame,) = open_film(path).frames()
    assert mean_error(frame.image, picture(64, 48)) < 1


def test_a_film_without_labels_is_taken_for_what_its_height_says(tmp_path: Path) -> None:
    """As players do: BT.601 up to 576 rows, BT.709 above."""
    for height, matrix in ((576, "bt601"), (578, "bt709")):
        path = tmp_path / "film.mp4"
        ffmpeg(
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"64x{height}",
            "-i",
            "-",
            "-vf",
            f"scale=out_color_matrix={matrix},format=yuv444p",
            "-c:v",
            "libx264",
            "-qp",
            "4",
            str(path),
            stdin=picture(64, height).tobytes(),
        )
        (frame,) = open_film(path).frames()
        assert mean_error(frame.image, picture(64, height)) < 1


def interlaced(path: Path) -> Path:
    """A film of 8 frames whose two fields were taken at different times."""
    moving = [np.roll(picture(64, 64), 6 * k, axis=1) for k in range(16)]
    ffmpeg(
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        "64x64",
        "-r",
        "50",
        "-i",
        "-",
        "-vf",
        "interlace=lowpass=off",
        "-c:v",
        "libx264",
        "-qp",
        "4",
        "-flags",
        "+ilme+ildct",
        str(path),
        stdin=b"".join(one.tobytes() for one in moving),
    )
    return path


def test_an_interlaced_frame_that_the_filter_refuses_is_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[VideoFrame | None] = []

    class Refusing:
        """PyAV's graph, which refuses the fourth frame."""

        def __init__(self) -> None:
            self._graph = Graph()

        def __getattr__(self, name: str) -> object:
            return getattr(self._graph, name)

        def vpush(self, frame: VideoFrame | None) -> None:
            pushed.append(frame)
            if len(pushed) == 4:
                raise ExternalError(-542398533, "Generic error in an external library")
            self._graph.vpush(frame)

    film = open_film(interlaced(tmp_path / "film.mp4"))
    monkeypatch.setattr("perse_live.film.reader.Graph", Refusing)
    assert len(list(film.frames())) == 7
    assert film.warnings() == (
        f"{film.path} is damaged: packets skipped: 1, pictures with faults: 0",
    )


def test_interlaced_pictures_that_no_filter_takes_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unconfigurable:
        """PyAV's graph, where FFmpeg has no filter for the pixel format."""

        def __init__(self) -> None:
            self._graph = Graph()

        def __getattr__(self, name: str) -> object:
            return getattr(self._graph, name)

        def link_nodes(self, *_: object) -> Unconfigurable:
            return self

        def configure(self) -> None:
            raise ExternalError(-542398533, "Generic error in an external library")

    film = open_film(interlaced(tmp_path / "film.mp4"))
    monkeypatch.setattr("perse_live.film.reader.Graph", Unconfigurable)
    assert len(list(film.frames())) == 8
    assert film.warnings() == ()


def test_interlaced_fields_are_made_whole(tmp_path: Path) -> None:
    """No comb is left, and no frame is lost."""
    path = interlaced(tmp_path / "film.mp4")
    film = open_film(path)
    frames = [frame.image for frame in film.frames()]
    raw, shown = (
        rendered(path, 64, 64),
        rendered(path, 64, 64, "bwdif=mode=send_frame:deint=interlaced"),
    )
    assert len(frames) == len(raw) == len(shown) == 8
    assert (
        np.mean([mean_error(ours, theirs) for ours, theirs in zip(frames, shown, strict=True)])
        < 1.5
    )

    def comb(image: np.ndarray) -> float:
        rows = image.astype(float)
        return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

    assert np.mean([comb(one) for one in frames]) < 0.5 * np.mean([comb(one) for one in raw])
