"""Films as people have them, made by the tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame as AvFrame
from av.video.reformatter import VideoReformatter
from ffmpeg_films import Look, ffmpeg, make_film, mean_error, needs_ffmpeg, turn
from hypothesis import example, given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.film.clock import Clock
from perse_live.film.colors import CAREFUL_CONVERSION, Converter, coding
from perse_live.film.reader import Film, FilmFrame, open_film
from perse_live.film.writer import film_writer


def picture(index: int, width: int = 64, height: int = 48) -> UInt8Array:
    """A smooth, coloured picture whose brightness tells its index and whose corners differ."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [
        40 + 2 * index + 60 * x / width,
        200 - 150 * y / height,
        np.full_like(x, 30 + 2 * index),
    ]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def write(path: Path, count: int = 12, *, width: int = 64, height: int = 48) -> Path:
    with film_writer(path, width=width, height=height, rate=Fraction(25)) as writer:
        for index in range(count):
            writer.write(picture(index, width, height))
    return path


def read(path: Path) -> tuple[Film, list[FilmFrame]]:
    film = open_film(path)
    return film, list(film.frames())


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
    ],
)
def test_turned_and_mirrored_films_are_shown_as_their_display_matrix_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], shown: Callable[[UInt8Array], UInt8Array]
) -> None:
    path = write(tmp_path / "film.mp4", 1)
    turn(path, matrix)
    film, (frame,) = read(path)
    expected = shown(picture(0))
    assert frame.image.shape == expected.shape == (film.height, film.width, 3)
    assert mean_error(frame.image, expected) < 2


@needs_ffmpeg
@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(2), (128, 48)),
        (Fraction(8, 9), (57, 48)),
        (Fraction(1, 2), (32, 48)),
        (Fraction(65, 64), (64, 48)),  # what rounding leaves in files is no shape
        (Fraction(1, 100), (64, 48)),  # and this one is a mistake
    ],
)
def test_pixels_that_are_not_square_are_shown_in_their_shape(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    film, (frame,) = read(make_film(tmp_path / "film.mp4", Look(aspect=aspect)))
    assert (film.width, film.height) == size
    assert frame.image.shape == (size[1], size[0], 3)


def remuxed(source: Path, path: Path, moved: Callable[[Packet[Any], int], int]) -> Path:
    """A copy in which each packet's time is moved by so many seconds."""
    with (
        av.open(str(source)) as given,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as made,
    ):
        streams = {
            stream.index: made.add_stream_from_template(stream)
            for stream in (*given.streams.video, *given.streams.audio)
        }
        for number, packet in enumerate(one for one in given.demux() if one.dts is not None):
            ticks = round(moved(packet, number) / packet.time_base)
            packet.stream = streams[packet.stream_index]
            packet.pts, packet.dts = (packet.pts or 0) + ticks, (packet.dts or 0) + ticks
            made.mux(packet)
    return path


@pytest.mark.parametrize(
    ("suffix", "jump"),
    [
        (".mkv", 3600),
        (".mp4", 3600),
        (".mkv", 20),
        (".ts", 3600),
        (".ts", -3600),
        (".ts", 20),
        (".ts", -5),
    ],
)
def test_a_clock_that_jumps_is_closed(tmp_path: Path, suffix: str, jump: int) -> None:
    path = tmp_path / f"film{suffix}"
    if suffix == ".ts":
        parts = [
            remuxed(
                write(tmp_path / "in.mp4", 24), tmp_path / "part.ts", lambda _, __, at=at: at
            ).read_bytes()
            for at in (4000, 4000 + jump)
        ]
        path.write_bytes(b"".join(parts))
    else:
        remuxed(
            write(tmp_path / "in.mp4", 48),
            path,
            lambda _, number: 4000 + (jump if number >= 24 else 0),
        )
    film, frames = read(path)
    steps = [float(b.time - a.time) for a, b in itertools.pairwise(frames)]
    assert len(frames) == 48
    assert max(steps) < 0.13
    assert min(steps) > 0
    assert float(frames[-1].time) == pytest.approx(47 / 25, abs=0.1)
    assert any("jumps" in line for line in film.warnings())


def test_a_pause_while_the_sound_goes_on_is_no_jump() -> None:
    clock = Clock()
    for second in range(30):
        assert clock.correct(1, Fraction(second), Fraction(1)) == 0
        if second in (0, 29):
            assert clock.correct(0, Fraction(second), Fraction(1, 25)) == 0
    assert clock.jumps == 0


@pytest.mark.slow
@given(
    jumps=st.lists(st.tuples(st.integers(0, 99), st.integers(-10_000, 10_000)), max_size=5),
    sound_late=st.integers(0, 3),
)
@example(jumps=[(1, 11)], sound_late=1)  # the sound begins after the jump, with packets from before
@examples(50)
def test_whatever_the_clock_does_steps_are_bounded_and_sound_stays(
    jumps: list[tuple[int, int]], sound_late: int
) -> None:
    """Picture and sound packets of 40 ms; those of sound come up to three packets later in the file, as muxers write them."""
    clock, offset, packets = Clock(), 0, list[tuple[int, Fraction]]()
    times = list[Fraction]()
    for number in range(100):
        offset += sum(jump for place, jump in jumps if place == number)
        times.append(Fraction(number, 25) + offset)
    for number in range(100 + sound_late):
        if number < 100:
            packets.append((0, times[number]))
        if number >= sound_late:
            packets.append((1, times[number - sound_late]))
    shown: dict[int, list[Fraction]] = {0: [], 1: []}
    for stream, time in packets:
        shown[stream].append(time + clock.correct(stream, time, Fraction(1, 25)))
    for stream in shown.values():
        steps = [b - a for a, b in itertools.pairwise(stream)]
        assert all(Fraction(-1) <= step <= Fraction(1, 25) + 10 for step in steps)
        # a jump of under 10 s forward, or under 1 s back, is a pause that was filmed
    if all(abs(jump) > 20 for _, jump in jumps) and len({place for place, _ in jumps}) == len(
        jumps
    ):
        assert max(abs(a - b) for a, b in zip(shown[0], shown[1], strict=True)) <= Fraction(4, 25)


def test_a_film_that_is_cut_off_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = write(tmp_path / "out.mp4", 60)
    content = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) * 3 // 4])
    film, frames = read(cut)
    assert 10 < len(frames) < 60
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert any(f"cut off: {len(frames)} of 60 frames" in line for line in film.warnings())
    with av.open(
        str(cut)
    ) as file:  # pictures before the packet in which the file ends are not lost with it
        complete = [
            packet for packet in file.demux(video=0) if packet.size and not packet.is_corrupt
        ]
    assert len(frames) == len(complete)
    assert read(whole)[0].warnings() == ()


def test_a_matroska_film_that_is_cut_off_says_so_too(tmp_path: Path) -> None:
    whole = write(tmp_path / "out.mkv", 60)
    content = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) // 2])
    film, frames = read(cut)
    assert 5 < len(frames) < 60
    assert any(f"cut off: {len(frames)} of " in line for line in film.warnings())
    assert read(whole)[0].warnings() == ()


def test_an_avi_film_that_is_cut_off_says_so_too(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index in range(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode(None))
    film, frames = read(path)
    assert len(frames) == 60 and film.warnings() == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    film, frames = read(path)
    assert len(frames) < 40
    assert any(f"{path} is cut off: {len(frames)} of" in line for line in film.warnings())


@needs_ffmpeg
@pytest.mark.parametrize("seconds", [(3, 3), (3, 2), (2, 3)])
def test_an_flv_film_with_sound_that_is_cut_off_says_so_too(
    seconds: tuple[int, int], tmp_path: Path
) -> None:
    """Only the file as a whole has a length there, which picture or sound may reach alone."""
    path = tmp_path / "film.flv"
    sources = (f"testsrc=s=64x48:r=25:d={seconds[0]}", f"sine=d={seconds[1]}")
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    ffmpeg(*inputs, "-c:v", "flv1", "-c:a", "mp3", "-ar", "44100", str(path))
    film, frames = read(path)
    assert len(frames) == 25 * seconds[0] and film.warnings() == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    film, frames = read(path)
    assert any(f"{path} is cut off: {len(frames)} of" in line for line in film.warnings())


@needs_ffmpeg
def test_a_fragmented_film_that_is_cut_off_says_so_too(tmp_path: Path) -> None:
    path, options = tmp_path / "film.mp4", "frag_keyframe+empty_moov+default_base_moof"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=3", "-c:v", "libx264", "-g", "10"),
        *("-movflags", options, str(path)),
    )
    film, frames = read(path)
    assert len(frames) == 75 and film.warnings() == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    film, frames = read(path)
    assert 10 < len(frames) < 60
    (said,) = film.warnings()  # of how many is not known where the last fragment is not even begun
    assert said.startswith(f"{path} is cut off: {len(frames)} ")


def test_a_film_whose_index_is_cut_off_is_refused_with_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(UserError, match=r"cut off: its index.*missing"):
        open_film(path)


def test_damaged_pictures_are_skipped_or_shown_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)  # each picture stands for itself
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        hit = [packet for packet in container.demux(video=0) if packet.size][8]
        start, size = hit.pos or 0, hit.size
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    film, frames = read(path)
    assert len(frames) == 19
    assert any("packets skipped: 1" in line for line in film.warnings())
    assert mean_error(frames[-1].image, picture(19)) < 6
    assert float(frames[-1].time) == pytest.approx(19 / 25)


def test_a_film_that_changes_its_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    path = tmp_path / "film.ts"
    parts = list[bytes]()
    for at, (width, height) in enumerate([(64, 48), (128, 96), (48, 64)]):
        part = write(tmp_path / "part.mp4", 5, width=width, height=height)
        parts.append(remuxed(part, tmp_path / "part.ts", lambda _, __, at=at: 10 + at).read_bytes())
    path.write_bytes(b"".join(parts))
    film, frames = read(path)
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) == 15
    assert mean_error(frames[5].image, picture(0)) < 3
    assert frames[-1].image[:, :10].max() < 20  # an upright picture, fitted with bars
    assert any("changes its size" in line for line in film.warnings())


@needs_ffmpeg
def test_sound_with_a_cover_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "sine=duration=1",
        "-f",
        "lavfi",
        "-i",
        "color=red:s=64x64",
        "-frames:v",
        "1",
        "-c:v",
        "mjpeg",
        "-disposition:v",
        "attached_pic",
        str(path),
    )
    with pytest.raises(UserError, match="no film in it, only sound with a cover"):
        open_film(path)


@needs_ffmpeg
def test_of_several_pictures_the_default_or_the_longest_is_the_film(tmp_path: Path) -> None:
    """A cover before the film, a short trailer, and a film: the longest; but one that is marked as default comes first."""
    inputs = (
        "-f",
        "lavfi",
        "-i",
        "color=red:s=96x96:d=0.04",
        "-f",
        "lavfi",
        "-i",
        "color=green:s=64x48:d=0.2",
        "-f",
        "lavfi",
        "-i",
        "color=blue:s=80x64:d=1",
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
        "-c:v",
        "libx264",
        "-c:v:0",
        "png",
    )
    for name, marks, size in (
        ("longest.mkv", ("attached_pic", "0", "0"), (80, 64)),
        ("default.mkv", ("attached_pic", "default", "0"), (64, 48)),
    ):
        flags = [word for k, mark in enumerate(marks) for word in (f"-disposition:v:{k}", mark)]
        path = tmp_path / name
        ffmpeg(*inputs, *flags, str(path))
        film = open_film(path)
        assert (film.width, film.height) == size


def test_a_film_that_starts_late_by_its_clock_is_whole(tmp_path: Path) -> None:
    film, frames = read(
        remuxed(write(tmp_path / "in.mp4", 24), tmp_path / "film.mkv", lambda _, __: 5000)
    )
    assert frames[0].time == 0
    assert len(frames) == 24
    assert film.warnings() == ()


@needs_ffmpeg
def test_empty_packets_are_no_end_and_no_damage(tmp_path: Path) -> None:
    """Theora stores a picture that is as the one before as a packet of no bytes."""
    path = tmp_path / "film.ogv"
    flash = "drawbox=c=white:t=fill:enable='between(t,0.4,0.59)'"
    ffmpeg(
        "-f", "lavfi", "-i", f"color=black:s=64x48:r=25:d=1,{flash}", "-c:v", "libtheora", str(path)
    )
    film, frames = read(path)
    assert film.warnings() == ()
    bright = [float(frame.time) for frame in frames if frame.image.mean() > 120]
    assert bright[0] == pytest.approx(0.4, abs=0.01)
    assert float(frames[-1].time) > 0.58


@pytest.mark.parametrize(("width", "height"), [(20000, 100), (8200, 4400)])
def test_pictures_over_the_limit_are_refused_before_they_are_decoded(
    tmp_path: Path, width: int, height: int
) -> None:
    path = tmp_path / "film.y4m"
    path.write_bytes(
        f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\nFRAME\n".encode() + bytes(1000)
    )
    with pytest.raises(UserError, match="over the limit of 8192x4320"):
        open_film(path)


@pytest.fixture(scope="module")
def whole_films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("films")
    source = write(folder / "in.mp4", 12)
    return {
        suffix: remuxed(source, folder / f"film{suffix}", lambda _, __: 10).read_bytes()
        for suffix in _HOSTILE
    }


_HOSTILE = (".mp4", ".mkv", ".ts")


@given(
    suffix=st.sampled_from(_HOSTILE),
    kept=st.floats(0.3, 1),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=20),
)
@examples(30)
def test_whatever_is_in_a_file_it_is_read_or_refused(
    whole_films: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    kept: float,
    changes: list[tuple[float, int]],
) -> None:
    content = bytearray(whole_films[suffix])
    for place, value in changes:
        content[round(place * (len(content) - 1))] = value
    path = tmp_path_factory.getbasetemp() / f"hostile{suffix}"
    path.write_bytes(content[: round(kept * len(content))])
    try:
        film, frames = read(path)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert {frame.image.shape for frame in frames} == {(film.height, film.width, 3)}
    assert all(0 < b.time - a.time < 20 for a, b in itertools.pairwise(frames))


@needs_ffmpeg
def test_titles_that_are_not_utf_8_do_not_keep_a_film_from_being_read(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "color=red:s=64x48:d=0.2",
        "-metadata",
        "title=caf_",
        "-c:v",
        "mpeg4",
        str(path),
    )
    path.write_bytes(path.read_bytes().replace(b"caf_", b"caf\xe9"))
    assert len(read(path)[1]) == 5


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p10le", "yuvj444p", "gray", "rgb24", "bgra"]
)
def test_the_planar_conversion_to_rgb_equals_swscales_bit_for_bit(pixel_format: str) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (66, 98, 3), dtype=np.uint8)
    frame = AvFrame.from_ndarray(noise, format="rgb24").reformat(format=pixel_format)
    way = coding(Path("film.mp4"), frame)
    for width, height in ((98, 66), (64, 41)):
        direct = (
            VideoReformatter()
            .reformat(
                frame,
                width=width,
                height=height,
                format="rgb24",
                src_colorspace=way.matrix,
                src_color_range=way.color_range,
                interpolation=CAREFUL_CONVERSION,
            )
            .to_ndarray()
        )
        np.testing.assert_array_equal(Converter().srgb(frame, way, width, height), direct)
