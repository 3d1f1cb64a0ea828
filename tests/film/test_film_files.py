from __future__ import annotations

import itertools
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.error import ExternalError
from av.video.codeccontext import VideoCodecContext

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.film.coding import Matrix
from perse_live.film.reader import open_film
from perse_live.film.writer import Encoding, FilmWriter, film_writer


def picture(index: int, width: int = 64, height: int = 48, channels: int = 3) -> UInt8Array:
    """A smooth, coloured picture whose brightness tells its index and whose corners differ."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [
        40 + 4 * index + 80 * x / width,
        200 - 150 * y / height,
        np.full_like(x, 30 + 5 * index),
        255 * x / width,
    ]
    return np.stack(planes[:channels], -1).clip(0, 255).astype(np.uint8)


def write(
    path: Path,
    count: int = 12,
    *,
    width: int = 64,
    height: int = 48,
    rate: Fraction = Fraction(25),
    audio_from: Path | None = None,
    times: list[Fraction] | None = None,
) -> Path:
    film = None if audio_from is None else open_film(audio_from)
    with film_writer(path, width=width, height=height, rate=rate, sound_from=film) as writer:
        for index in range(count):
            writer.write(picture(index, width, height), time=times[index] if times else None)
    return path


def mean_error(a: UInt8Array, b: UInt8Array) -> float:
    return float(np.abs(a.astype(np.float32) - b).mean())


def labels(path: Path) -> VideoCodecContext:
    with av.open(str(path)) as container:
        next(container.decode(video=0))
        return container.streams.video[0].codec_context


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    "rate",
    [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60), Fraction(25, 2)],
)
def test_count_size_rate_and_pictures_come_back(
    tmp_path: Path, suffix: str, rate: Fraction
) -> None:
    path = write(tmp_path / f"out{suffix}", rate=rate)
    info = open_film(path)
    assert (info.width, info.height, info.has_sound) == (64, 48, False)
    # Matroska counts in milliseconds
    assert float(info.rate) == pytest.approx(float(rate), rel=1e-2 if suffix == ".mkv" else 1e-12)
    frames = list(open_film(path).frames())
    assert [frame.index for frame in frames] == list(range(12))
    assert [float(frame.time) for frame in frames] == pytest.approx(
        [index / float(rate) for index in range(12)], abs=2e-3
    )
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert mean_error(frame.image, picture(frame.index)) < 2


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("name", ["call 12:30.mp4", "http:a.mkv", "concat:a|b.mp4", "a%03d.mov"])
def test_names_that_ffmpeg_would_take_for_protocols_are_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(list(open_film(Path(name)).frames())) == 12


def test_the_declared_count_is_the_true_one(tmp_path: Path) -> None:
    assert open_film(write(tmp_path / "out.mp4", 17)).frame_count == 17


@pytest.mark.parametrize(("width", "height"), [(65, 48), (64, 47), (33, 31)])
def test_odd_sizes_are_padded_by_one_pixel_and_it_is_said(
    tmp_path: Path, width: int, height: int
) -> None:
    """H.264 of odd size would need 4:4:4, which QuickTime refuses."""
    path = tmp_path / "out.mp4"
    with film_writer(path, width=width, height=height, rate=Fraction(25)) as writer:
        writer.write(picture(5, width, height))
    (said,) = writer.warnings()
    (frame,) = open_film(path).frames()
    stored = (height + height % 2, width + width % 2)
    assert f"{stored[1]}x{stored[0]}, not {width}x{height}" in said
    assert frame.image.shape == (*stored, 3)
    assert mean_error(frame.image[:height, :width], picture(5, width, height)) < 2
    assert mean_error(frame.image[-1:, :width], picture(5, width, height)[-1:]) < 4
    assert labels(path).pix_fmt == "yuv420p"


def test_an_odd_size_is_kept_where_the_codec_knows_it(tmp_path: Path) -> None:
    path = write(tmp_path / "out.webm", 1, width=33, height=31)
    (frame,) = open_film(path).frames()
    assert frame.image.shape == (31, 33, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_colours_are_coded_and_labelled_as_players_expect_them(tmp_path: Path, suffix: str) -> None:
    """BT.709, limited range: the label is right, and so are the colours by it."""
    path = tmp_path / f"out{suffix}"
    patch = np.full((48, 64, 3), (200, 40, 90), np.uint8)
    with film_writer(
        path, width=64, height=48, rate=Fraction(25), encoding=Encoding(crf=1)
    ) as writer:
        writer.write(patch)
    context = labels(path)
    assert (context.pix_fmt, context.colorspace, context.color_range) == ("yuv420p", 1, 1)
    with av.open(str(path)) as container:
        planes = next(container.decode(video=0)).to_ndarray()
    luma = 0.2126 * 200 + 0.7152 * 40 + 0.0722 * 90  # BT.709-6, 3.2 and 3.4
    expected = (
        16 + luma * 219 / 255,
        128 + (90 - luma) / 1.8556 * 224 / 255,
        128 + (200 - luma) / 1.5748 * 224 / 255,
    )
    for plane, value in zip((planes[:48], planes[48:60], planes[60:]), expected, strict=True):
        assert abs(float(plane.mean()) - value) < 1


def test_pictures_that_are_converted_already_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    planes = cv2.cvtColor(picture(3), cv2.COLOR_RGB2YUV_I420)
    with film_writer(path, width=64, height=48, rate=Fraction(25), matrix=Matrix.BT601) as writer:
        writer.write_i420(np.asarray(planes, np.uint8))
        with pytest.raises(ValueError, match="I420"):
            writer.write_i420(np.zeros((48, 64), np.uint8))
    assert labels(path).colorspace == 6
    (frame,) = open_film(path).frames()
    assert mean_error(frame.image, picture(3)) < 2


def test_the_index_of_an_mp4_stands_at_its_start(tmp_path: Path) -> None:
    content = write(tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [Fraction(index * index, 50) for index in range(12)]
    frames = list(open_film(write(tmp_path / "out.mp4", times=times)).frames())
    assert [float(frame.time) for frame in frames] == pytest.approx(
        [float(time) for time in times], abs=1e-3
    )


def test_times_that_stand_still_lose_no_frame(tmp_path: Path) -> None:
    frames = list(open_film(write(tmp_path / "out.mp4", times=[Fraction(0)] * 12)).frames())
    assert len(frames) == 12
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize("suffix", [".mov", ".webm"])
def test_transparency_is_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with film_writer(path, width=64, height=48, rate=Fraction(25), alpha=True) as writer:
        for index in range(3):
            writer.write(picture(index, channels=4))
    with av.open(str(path)) as container:
        # FFmpeg's own VP9 decoder drops the second, alpha picture; the file says that it is there
        if suffix == ".webm":
            assert container.streams.video[0].metadata.get("alpha_mode") == "1"
        else:
            frame = next(container.decode(video=0)).to_ndarray(format="rgba")
            assert (
                mean_error(np.asarray(frame[..., 3], np.uint8), picture(0, channels=4)[..., 3]) < 2
            )


@pytest.mark.parametrize(
    ("name", "alpha"), [("out.avi", False), ("out", False), ("out.txt", False), ("out.mp4", True)]
)
def test_a_name_that_does_not_fit_is_refused_before_any_work(
    tmp_path: Path, name: str, alpha: bool
) -> None:
    with (
        pytest.raises(UserError, match=r"name it \.m"),
        film_writer(tmp_path / name, width=64, height=48, rate=Fraction(25), alpha=alpha),
    ):
        raise AssertionError("the block ran")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_an_abandoned_video_leaves_nothing(tmp_path: Path, exception: type[BaseException]) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"earlier")
    with (
        pytest.raises(exception),
        film_writer(path, width=64, height=48, rate=Fraction(25)) as writer,
    ):
        writer.write(picture(0))
        raise exception
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def broken(*_: object) -> None:
    """Fails as FFmpeg may: the error is no OSError."""
    raise ExternalError(-542398533, "Generic error in an external library")


@pytest.mark.parametrize("place", ["coded", "even_size"])
def test_what_ffmpeg_cannot_encode_is_said_and_nothing_is_left(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "coded":
        monkeypatch.setattr(FilmWriter, "_mux", broken)
    else:  # a codec that refuses the size when it opens, with the first frame
        monkeypatch.setattr("perse_live.film.writer.even_size", lambda *_: (65, 49))
    with (
        pytest.raises(
            UserError, match=r"cannot write .*film\.mp4: encoding has failed \(Generic error"
        ),
        film_writer(tmp_path / "film.mp4", width=64, height=48, rate=Fraction(25)) as writer,
    ):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_size_is_a_fault_of_the_caller(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="in a film of"),
        film_writer(tmp_path / "out.mp4", width=64, height=48, rate=Fraction(25)) as writer,
    ):
        writer.write(picture(0, 48, 64))


def test_a_lower_crf_is_closer(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    errors: list[float] = []
    for crf in (2, 40):
        path = tmp_path / f"{crf}.mp4"
        with film_writer(
            path, width=64, height=48, rate=Fraction(25), encoding=Encoding(crf=crf)
        ) as writer:
            writer.write(noise)
        errors.append(mean_error(next(iter(open_film(path).frames())).image, noise))
    assert errors[0] < errors[1]


def sound_only(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.mp4", "not a video"),
        ("text.mp4", "not a video"),
        ("text.txt", "not a video"),
        ("noise.mp4", "not a video"),
        ("half.mp4", "not a video"),
        ("sound.wav", "only sound"),
        ("picture.png", "a picture, not a video"),
        ("picture.mp4", "a picture, not a video"),
        ("missing.mp4", "no such file"),
        (".", "not an ordinary file"),
        ("list.m3u8", "not a video"),
    ],
)
@pytest.mark.parametrize("reader", [open_film, lambda path: next(iter(open_film(path).frames()))])
def test_what_is_not_a_video_is_refused(
    tmp_path: Path, name: str, reason: str, reader: object
) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "text.txt").write_text("this is no video\n" * 100)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "half.mp4").write_bytes(
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(100)
    )
    sound_only(tmp_path / "sound.wav")
    cv2.imwrite(str(tmp_path / "picture.png"), picture(0))
    (tmp_path / "picture.mp4").write_bytes((tmp_path / "picture.png").read_bytes())
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/video.ts\n#EXT-X-ENDLIST\n"
    )
    assert callable(reader)
    with pytest.raises(UserError, match=reason) as caught:
        reader(tmp_path / name)
    assert str(tmp_path) in str(caught.value)
