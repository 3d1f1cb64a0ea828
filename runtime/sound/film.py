"""The sound of a film that stands for the camera, in time with its pictures, and silent while they do not play."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Protocol, cast

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from perse_live.arrays import Float32Array
from perse_live.errors import UserError
from perse_live.film.clock import Clock
from perse_live.film.reader import open_film
from perse_live.film.source import opened, packets
from perse_live.threads import name_this_thread
from runtime.sound.contract import RATE, Take
from runtime.sources.film import FilmClock

_log = logging.getLogger(__name__)
_AHEAD = 0.2  # seconds that sound is given before it is due: nothing has to be in time then
_WAIT = 0.02  # seconds


class _Clocked(Protocol):
    """Pictures of a film, of which only their clock is asked for."""

    def clock(self) -> FilmClock | None:
        """As `runtime.sources.film` has it; None too while another source has taken their place."""
        ...


class FilmSound:
    """A `SoundSource`: follows the clock of the film's pictures, through loops and stops."""

    def __init__(self, pictures: _Clocked, path: Path) -> None:
        """pictures: plays the same file. Raises UserError where it has no sound."""
        film = open_film(path)
        if not film.has_sound:
            raise UserError(f"{path} has no sound: give a microphone, or leave --microphone out")
        self._pictures, self._path, self._start = pictures, path, float(film.start)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="film sound", daemon=True)
        self.problem = ""

    @property
    def name(self) -> str:
        """Display name."""
        return f"sound of {self._path.name}"

    @property
    def exact(self) -> bool:
        """True."""
        return True

    @property
    def on(self) -> bool:
        """True."""
        return True

    def start(self, take: Take) -> None:
        """Begin to play with the pictures."""
        self._take = take
        self._thread.start()

    def close(self) -> None:
        """End; closing again does nothing."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        name_this_thread()
        while not self._ended.wait(_WAIT):
            clock = self._pictures.clock()
            if clock is None:
                continue
            try:
                self._play(clock.turn)
                self.problem = ""
            except (UserError, FFmpegError, OSError) as error:
                self.problem = f"the sound of {self._path} cannot be read: {error}"
                _log.warning("%s", self.problem)
            while (
                not self._ended.wait(_WAIT)
                and (now := self._pictures.clock()) is not None
                and now.turn == clock.turn
            ):
                pass  # the pictures are not through yet

    def _play(self, turn: int) -> None:
        """Once through the film, or until the pictures are in another turn of it."""
        for samples, at in decoded_sound(self._path):
            while True:
                clock = self._pictures.clock()
                if self._ended.is_set() or clock is None or clock.turn != turn:
                    return
                moment = clock.began + at - self._start
                left = moment - _AHEAD - time.monotonic()
                if left <= 0:
                    break
                self._ended.wait(min(left, _WAIT))
            self._take(samples, moment)


def decoded_sound(path: Path) -> Generator[tuple[Float32Array, float], None, None]:
    """A film's sound in pieces: samples (N,), mono, 48 kHz, and when the first is heard, seconds by the file's clock.

    What is damaged is left out. Raises UserError where the file cannot be opened.
    """
    with opened(path) as file:
        if file.audio is None:
            return
        resampler, shape = AudioResampler(format="flt", layout="mono", rate=RATE), None
        for packet in packets(file, Clock()):
            if packet is None or packet.stream_index != file.audio.index:
                continue
            try:
                frames = cast("list[AudioFrame]", packet.decode())
            except FFmpegError:
                continue
            for frame in frames:
                if frame.pts is None or frame.time_base is None:
                    continue
                if shape != (shape := (frame.format.name, frame.layout.name, frame.sample_rate)):
                    resampler = AudioResampler(format="flt", layout="mono", rate=RATE)
                moment = float(frame.pts * frame.time_base)
                for one in resampler.resample(frame):
                    samples = cast("Float32Array", one.to_ndarray()[0])
                    yield samples, moment
                    moment += len(samples) / RATE
