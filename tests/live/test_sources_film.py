from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from live_frames import mean_error, picture

from perse_live.errors import UserError
from perse_live.film.reader import Film, FilmFrame, open_film
from perse_live.film.writer import film_writer
from runtime.live.frames import CapturedFrame
from runtime.sources import film
from runtime.sources.contract import SourceLost
from runtime.sources.film import FilmSource

_RATE = 20
LATE_FOR_GOOD = film.__dict__["_LATE_FOR_GOOD"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine that pauses for a second does not set the film's clock back."""
    monkeypatch.setattr(film, "_LATE_FOR_GOOD", 30.0)


def film_of(path: Path, count: int, *, times: list[Fraction] | None = None) -> Path:
    with film_writer(path, width=128, height=96, rate=Fraction(_RATE)) as writer:
        for index in range(count):
            writer.write(picture(index), time=times[index] if times else None)
    return path


def next_of(source: FilmSource) -> CapturedFrame:
    """The next picture, however long it takes."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        frame = source.read(0.5)
        if frame is not None:
            return frame
    raise AssertionError("no picture came")


def index_of(frame: CapturedFrame) -> int:
    """Which picture of the film it is, by its blue."""
    errors = [mean_error(frame.image, picture(index)) for index in range(50)]
    assert min(errors) < 3
    return int(np.argmin(errors))


def test_pictures_come_at_the_films_frame_rate(tmp_path: Path) -> None:
    source = FilmSource(film_of(tmp_path / "clip.mp4", 8), repeat=False)
    assert (source.name, source.live) == ("clip.mp4", False)
    frames: list[CapturedFrame] = []
    with pytest.raises(EOFError, match="over"):
        while True:
            frame = source.read(5.0)
            assert frame is not None
            assert frame.time <= time.monotonic(), "none comes before it is due"
            frames.append(frame)
    source.close()
    assert time.monotonic() - frames[0].time >= 8 / _RATE, (
        "the last one is seen as long as the others"
    )
    seen = [index_of(frame) for frame in frames]
    assert seen == sorted(set(seen))
    assert seen[0] == 0
    for frame, index in zip(frames, seen, strict=True):
        assert frame.time - frames[0].time == pytest.approx(index / _RATE, abs=2e-3)


def test_an_uneven_film_keeps_its_times(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 50), Fraction(1, 4), Fraction(3, 10)]
    source = FilmSource(film_of(tmp_path / "clip.mp4", 4, times=times), repeat=False)
    first = next_of(source)
    for _ in range(3):
        frame = next_of(source)
        assert frame.time - first.time == pytest.approx(float(times[index_of(frame)]), abs=2e-3)
        if index_of(frame) == 3:
            break
    else:
        raise AssertionError("the last picture never came")
    source.close()


def test_who_comes_late_misses_pictures_and_the_film_goes_on(tmp_path: Path) -> None:
    source = FilmSource(film_of(tmp_path / "clip.mp4", 45), repeat=False)
    first = next_of(source)
    time.sleep(10 / _RATE)
    seen = [frame := next_of(source)]
    # Where skipping takes longer than a picture, it is given up for one
    while (index := index_of(frame)) < 10:
        seen.append(frame := next_of(source))
    assert len(seen) < 9, "most of the ten were skipped"
    assert frame.time - first.time == pytest.approx(index / _RATE, abs=2e-3)
    source.close()


@pytest.mark.slow
def test_after_a_long_sleep_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "_LATE_FOR_GOOD", 1.0)
    source = FilmSource(film_of(tmp_path / "clip.mp4", 12), repeat=False)
    first = next_of(source)
    time.sleep(2.0)
    seen: list[int] = []
    with pytest.raises(EOFError):
        while True:
            frame = next_of(source)
            assert frame.time > first.time
            seen.append(index_of(frame))
    assert seen == sorted(set(seen))
    assert seen[-1] == 11
    source.close()


class SlowFilm:
    """A film that takes longer to decode than it lasts."""

    def __init__(self, whole: Film) -> None:
        self._film, self.rate, self.has_sound = whole, whole.rate, whole.has_sound

    def frames(self) -> Generator[FilmFrame, None, None]:
        for frame in self._film.frames():
            time.sleep(1.5 / _RATE)
            yield frame

    def warnings(self) -> list[str]:
        return []


@pytest.mark.slow
def test_where_decoding_cannot_keep_up_the_film_slows_down_and_its_pictures_are_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film_of(tmp_path / "clip.mp4", 40)
    monkeypatch.setattr(film, "_LATE_FOR_GOOD", LATE_FOR_GOOD)
    monkeypatch.setattr("runtime.sources.film.open_film", lambda path: SlowFilm(open_film(path)))
    source = FilmSource(path, repeat=True)
    next_of(source)
    for _ in range(12):
        before = time.monotonic()
        assert next_of(source).time > before - LATE_FOR_GOOD, (
            "else it is up to a second behind, for good"
        )
    source.close()


def test_a_looped_film_goes_on_while_time_grows(tmp_path: Path) -> None:
    source = FilmSource(film_of(tmp_path / "clip.mp4", 3), repeat=True)
    first = next_of(source)
    frames = [first] + [next_of(source) for _ in range(11)]
    source.close()
    positions = [round((frame.time - first.time) * _RATE) for frame in frames]
    assert positions == sorted(set(positions))
    for frame, position in zip(frames, positions, strict=True):
        assert frame.time - first.time == pytest.approx(position / _RATE, abs=2e-3), (
            "the seam is as long as any step"
        )
        assert index_of(frame) == position % 3


def test_a_film_of_one_picture_loops_too(tmp_path: Path) -> None:
    source = FilmSource(film_of(tmp_path / "clip.mp4", 1), repeat=True)
    frames = [next_of(source) for _ in range(3)]
    source.close()
    assert frames[0].time < frames[1].time < frames[2].time


def test_the_end_is_the_end_however_often_one_asks(tmp_path: Path) -> None:
    source = FilmSource(film_of(tmp_path / "clip.mp4", 1), repeat=False)
    next_of(source)
    for _ in range(2):
        with pytest.raises(EOFError):
            while True:
                assert source.read(1.0) is None
    source.close()


def test_a_picture_that_is_not_due_yet_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    source = FilmSource(
        film_of(tmp_path / "clip.mp4", 2, times=[Fraction(0), Fraction(8)]), repeat=False
    )
    next_of(source)
    assert source.read(0.0) is None
    assert source.read(0.05) is None
    source.close()


def test_closing_wakes_a_read(tmp_path: Path) -> None:
    source = FilmSource(
        film_of(tmp_path / "clip.mp4", 2, times=[Fraction(0), Fraction(8)]), repeat=False
    )
    next_of(source)
    answers: list[object] = []
    reader = threading.Thread(target=lambda: answers.append(source.read(900.0)))
    reader.start()
    time.sleep(0.1)
    source.close()
    reader.join(20)
    assert answers == [None]
    source.close()
    assert source.read(0.0) is None


def test_what_is_no_film_is_refused_at_opening(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no film")
    for path, complaint in (
        (text, "not a video"),
        (tmp_path / "gone.mp4", "no such file"),
        (tmp_path, "not an ordinary file"),
    ):
        with pytest.raises(UserError, match=complaint):
            FilmSource(path, repeat=True)


@pytest.mark.parametrize("damage", ["deleted", "emptied"])
def test_a_repeated_film_whose_file_goes_away_goes_on_when_it_is_back(
    tmp_path: Path, damage: str
) -> None:
    path = film_of(tmp_path / "clip.mp4", 6)
    content = path.read_bytes()
    source = FilmSource(path, repeat=True)
    times = [next_of(source).time]
    if damage == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"")
    with pytest.raises(SourceLost, match="goes on when the file is back"):
        for _ in range(30):
            next_of(source)
    with pytest.raises(SourceLost):
        source.read(0.1)  # still gone
    path.write_bytes(content)
    found: CapturedFrame | None = None
    deadline = time.monotonic() + 20
    while found is None:
        assert time.monotonic() < deadline
        with contextlib.suppress(SourceLost):
            found = source.read(0.2)
        time.sleep(0.02)
    for _ in range(8):  # and over its end again
        times.append(next_of(source).time)
    assert times == sorted(times)
    source.close()


def test_a_film_shown_once_whose_file_is_damaged_says_so(tmp_path: Path) -> None:
    path = film_of(tmp_path / "clip.mp4", 6)
    source = FilmSource(path, repeat=False)
    path.unlink()
    with pytest.raises(UserError) as caught:
        next_of(source)
    assert not isinstance(caught.value, SourceLost)
