from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.error import ExternalError
from ffmpeg_films import ffmpeg, needs_ffmpeg

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer

TONE = 440.0  # Hz
FRAMES, RATE = 24, 24

COPIED, AAC, OPUS = None, "aac", "opus"
TABLE: dict[
    str, dict[str, str | None]
] = {  # what becomes of a sound codec in each container: copied, or encoded as named
    "aac": {".mp4": COPIED, ".mov": COPIED, ".mkv": COPIED, ".webm": OPUS},
    "libmp3lame": {".mp4": COPIED, ".mov": COPIED, ".mkv": COPIED, ".webm": OPUS},
    "libopus": {".mp4": COPIED, ".mov": AAC, ".mkv": COPIED, ".webm": COPIED},
    "vorbis": {".mp4": AAC, ".mov": AAC, ".mkv": COPIED, ".webm": COPIED},
    "flac": {".mp4": COPIED, ".mov": AAC, ".mkv": COPIED, ".webm": OPUS},
    "pcm_s16le": {".mp4": AAC, ".mov": COPIED, ".mkv": COPIED, ".webm": OPUS},
    "ac3": {".mp4": COPIED, ".mov": COPIED, ".mkv": COPIED, ".webm": OPUS},
    "alac": {".mp4": COPIED, ".mov": COPIED, ".mkv": COPIED, ".webm": OPUS},
    "mp2": {".mp4": AAC, ".mov": AAC, ".mkv": AAC, ".webm": OPUS},
}


def picture(index: int) -> UInt8Array:
    return np.full((48, 64, 3), 40 + 5 * index, np.uint8)


def film_with_sound(
    path: Path, codec: str, *, seconds: float = 1.0, rate: int = 48000, layout: str = "stereo"
) -> Path:
    """24 frames at 24 a second with a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=rate, options={"strict": "-2"})
        assert isinstance(sound, AudioStream)
        sound.codec_context.layout = layout
        tone = (0.4 * np.sin(2 * np.pi * TONE * np.arange(round(rate * seconds)) / rate)).astype(
            np.float32
        )
        frame = av.AudioFrame.from_ndarray(
            np.repeat(tone[None], sound.codec_context.layout.nb_channels, 0),
            format="fltp",
            layout=layout,
        )
        frame.rate, frame.pts = rate, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        for index in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(video.encode(None))
    return path


def written(path: Path, source: Path, count: int = FRAMES) -> tuple[Path, tuple[str, ...]]:
    """A film of grey pictures with the sound of another one, and what was said about it."""
    film = open_film(source)
    with film_writer(path, width=64, height=48, rate=Fraction(RATE), sound_from=film) as writer:
        for index in range(count):
            writer.write(picture(index))
    return path, writer.warnings()


def heard(path: Path) -> tuple[str, int, Float32Array]:
    """Codec, samples per second and the first channel (N,) of a film's sound, placed by its times."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        rate = stream.rate
        samples = np.zeros(4 * rate, np.float32)
        end = 0
        resampler = av.AudioResampler("fltp", "mono", rate)
        for frame in container.decode(stream):
            start = (
                0
                if frame.pts is None or frame.time_base is None
                else round(frame.pts * frame.time_base * rate)
            )
            for one in resampler.resample(frame):
                part = one.to_ndarray()[0][max(0, -start) :]
                begin = max(start, 0)
                samples[begin : begin + part.size] = part[: samples.size - begin]
                end = begin + part.size
        return stream.codec_context.name, rate, samples[:end]


def pitch(samples: Float32Array, rate: int) -> float:
    """The loudest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum) * rate / samples.size)


@pytest.mark.parametrize(
    ("codec", "suffix"), [(codec, suffix) for codec, row in TABLE.items() for suffix in row]
)
def test_sound_is_copied_where_the_container_takes_it_and_else_encoded(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    source = film_with_sound(tmp_path / "in.mkv", codec)
    path, said = written(tmp_path / f"out{suffix}", source)
    name, rate, samples = heard(path)
    expected = TABLE[codec][suffix] or heard(source)[0]
    assert name.removesuffix("float") == expected.removesuffix("float")
    assert said == ()
    assert samples.size / rate == pytest.approx(1, abs=0.08)
    assert pitch(samples[rate // 4 : rate * 3 // 4], rate) == pytest.approx(TONE, abs=4)
    assert len(list(open_film(path).frames())) == FRAMES


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("rate", "layout"), [(192000, "stereo"), (96000, "mono"), (44100, "5.1"), (7350, "mono")]
)
def test_sound_of_any_rate_and_layout_is_resampled(
    tmp_path: Path, suffix: str, rate: int, layout: str
) -> None:
    source = film_with_sound(
        tmp_path / "in.mkv", "flac" if rate > 48000 else "pcm_s16le", rate=rate, layout=layout
    )
    path, _ = written(tmp_path / f"out{suffix}", source)
    _, got, samples = heard(path)
    assert samples.size / got == pytest.approx(1, abs=0.08)
    assert pitch(samples[got // 4 : got * 3 // 4], got) == pytest.approx(TONE, abs=4)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libmp3lame", ".mp4"), ("aac", ".mp4"), ("aac", ".mov")]
)
def test_damaged_sound_is_replaced_by_silence_and_it_is_said(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    source = film_with_sound(tmp_path / f"in{suffix}", codec)
    with av.open(str(source)) as container:
        hit = [packet for packet in container.demux(container.streams.audio[0]) if packet.size][
            20:24
        ]
        places = [(packet.pos or 0, packet.size) for packet in hit]
        begin = float((hit[0].pts or 0) * hit[0].time_base)
    content = bytearray(source.read_bytes())
    for start, size in places:
        content[start : start + size] = b"\xff\x00" * (size // 2) + b"\xff" * (size % 2)
    source.write_bytes(content)
    path, said = written(tmp_path / "out.mp4", source)
    _, rate, samples = heard(path)
    assert len(said) == 1
    assert "silence: " in said[0]
    assert samples.size / rate == pytest.approx(1, abs=0.08)
    middle = round((begin + 0.045) * rate)
    gap, before, after = (
        samples[middle - 300 : middle + 300],
        samples[rate // 10 : rate // 3],
        samples[rate * 3 // 4 : rate * 9 // 10],
    )
    assert np.abs(gap).max() < 0.1 * np.abs(before).max()
    assert pitch(before, rate) == pytest.approx(TONE, abs=5)
    assert pitch(after, rate) == pytest.approx(TONE, abs=7)
    assert len(list(open_film(path).frames())) == FRAMES


def test_sound_that_cannot_be_decoded_at_all_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    source = film_with_sound(tmp_path / "in.mp4", "libmp3lame")
    with av.open(str(source)) as container:
        places = [
            (packet.pos or 0, packet.size)
            for packet in container.demux(container.streams.audio[0])
            if packet.size
        ]
    content = bytearray(source.read_bytes())
    for start, size in places:
        content[start : start + size] = bytes(size)
    source.write_bytes(content)
    path, said = written(tmp_path / "out.mp4", source)
    assert not open_film(path).has_sound
    assert len(said) == 1
    assert "cannot be decoded" in said[0]


def test_sound_whose_times_go_back_is_carried_over_all_the_same(tmp_path: Path) -> None:
    """In FLV each tag says its time (Adobe FLV 10.1, E.4.1); some of the sound's are set back by 0.3 s."""
    source = film_with_sound(tmp_path / "in.flv", "libmp3lame", rate=44100)
    content = bytearray(source.read_bytes())
    place, sounds = 13, 0
    while place + 11 < len(content):
        size, time = (
            int.from_bytes(content[place + 1 : place + 4], "big"),
            int.from_bytes(content[place + 4 : place + 7], "big"),
        )
        if content[place] == 8:
            sounds += 1
            if sounds % 10 == 9 and time > 300:
                content[place + 4 : place + 7] = (time - 300).to_bytes(3, "big")
        place += 11 + size + 4
    source.write_bytes(content)
    path, _ = written(tmp_path / "out.mp4", source)
    _, rate, samples = heard(path)
    assert samples.size / rate == pytest.approx(1, abs=0.1)
    assert pitch(samples[rate // 4 : rate * 3 // 4], rate) == pytest.approx(TONE, abs=10)


def test_sound_ends_with_the_picture(tmp_path: Path) -> None:
    source = film_with_sound(tmp_path / "in.mp4", "aac", seconds=5)
    path, _ = written(tmp_path / "out.mp4", source, 12)
    _, rate, samples = heard(path)
    assert samples.size / rate < 0.7


def test_sound_that_cannot_be_encoded_to_its_end_is_said_and_the_film_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ExternalError(-542398533, "Generic error in an external library")

    source = film_with_sound(tmp_path / "in.mkv", "pcm_s16le")
    monkeypatch.setattr("perse_live.film.sound._pulled", failing)
    path, warnings = written(tmp_path / "out.mp4", source)
    assert any(
        "the sound cannot be encoded to its end, and is left out from there: Generic error" in line
        for line in warnings
    )
    assert len(list(open_film(path).frames())) == FRAMES


def test_a_silent_source_adds_no_sound(tmp_path: Path) -> None:
    source = film_with_sound(tmp_path / "in.mp4", "aac")
    silent = tmp_path / "silent.mp4"
    with film_writer(silent, width=64, height=48, rate=Fraction(RATE)) as writer:
        writer.write(picture(0))
    assert open_film(source).has_sound
    assert not open_film(written(tmp_path / "out.mp4", silent)[0]).has_sound


@needs_ffmpeg
@pytest.mark.parametrize("jump", [0, 3600, -1000])
@pytest.mark.parametrize(("sound_later", "picture_later"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4)])
def test_sound_stays_with_the_picture(
    tmp_path: Path, jump: int, sound_later: float, picture_later: float
) -> None:
    """A flash and a beep together, a second after the first picture; sound or picture may begin later, and the clock may jump."""
    flash = 1.0
    beep = 1.0 + picture_later - sound_later
    ffmpeg(
        "-itsoffset",
        str(picture_later),
        "-f",
        "lavfi",
        "-i",
        f"color=black:s=64x48:r=25:d=2,drawbox=c=white:t=fill:enable='between(t,{flash},{flash + 0.19})'",
        "-itsoffset",
        str(sound_later),
        "-f",
        "lavfi",
        "-i",
        f"aevalsrc='0.5*sin(2*PI*880*t)*between(t,{beep},{beep + 0.2})':s=44100:d=2.4",
        "-c:v",
        "libx264",
        "-bf",
        "0",
        "-g",
        "5",
        "-c:a",
        "mp2",
        "-f",
        "mpegts",
        str(tmp_path / "film.ts"),
    )
    source = tmp_path / "film.ts"
    if jump:
        half = 0.8 + picture_later
        for name, cut in (("one.ts", ("-to", f"{half}")), ("two.ts", ("-ss", f"{half}"))):
            offset = 5000 if name == "one.ts" else 5000 + half + jump
            ffmpeg(
                "-i",
                str(source),
                *cut,
                "-c",
                "copy",
                "-output_ts_offset",
                str(offset),
                "-f",
                "mpegts",
                str(tmp_path / name),
            )
        source.write_bytes((tmp_path / "one.ts").read_bytes() + (tmp_path / "two.ts").read_bytes())
    film = open_film(source)
    path = tmp_path / "out.mp4"
    with film_writer(path, width=64, height=48, rate=film.rate, sound_from=film) as writer:
        for frame in film.frames():
            writer.write(frame.image, time=frame.time)
    seen = next(float(frame.time) for frame in open_film(path).frames() if frame.image.mean() > 120)
    _, rate, samples = heard(path)
    assert seen == pytest.approx(flash, abs=0.13 if jump else 0.05)
    assert float(np.argmax(np.abs(samples) > 0.1)) / rate == pytest.approx(seen, abs=0.06)
