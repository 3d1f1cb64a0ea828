"""Microphones by PortAudio (sounddevice). None is opened that was not asked for."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from perse_live.arrays import Float32Array
from perse_live.errors import UserError
from perse_live.extras import missing_extra
from perse_live.threads import name_this_thread
from runtime.sound.contract import RATE, Take

_log = logging.getLogger(__name__)
_BUFFER_SECONDS = 0.04  # asked of PortAudio: less than the picture is late, and no sound is lost while all cores are busy
_MAX_WAITING = 200  # pieces between PortAudio's thread and ours, two seconds or more
_REOPEN_SECONDS = 1.0
_SILENCE = 2.0  # seconds without sound after which a microphone counts as gone


@dataclass(frozen=True)
class Microphone:
    """A device that sound can be recorded from."""

    number: int
    """PortAudio's."""
    name: str
    rate: float
    """That it likes best, samples per second."""
    usual: bool
    """Whether it is the system's choice."""


def sound_library() -> Any:
    """The module sounddevice. Raises UserError where it, or PortAudio, is not installed."""
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError as error:
        raise missing_extra("a microphone", "sound", error) from error
    except OSError as error:  # the library itself is missing
        raise UserError(
            "sound needs the system library PortAudio: on Debian and Ubuntu, apt-get install libportaudio2"
        ) from error


def microphones() -> list[Microphone]:
    """All microphones. Raises UserError where sound cannot be used at all."""
    library = sound_library()
    try:
        usual = int(library.default.device[0])
        return [
            Microphone(number, str(one["name"]), float(one["default_samplerate"]), number == usual)
            for number, one in enumerate(library.query_devices())
            if one["max_input_channels"] > 0
        ]
    except library.PortAudioError as error:
        raise UserError(f"the sound devices cannot be listed: {_reason(error)}") from error


def chosen_microphone(text: str, among: list[Microphone]) -> Microphone:
    """The microphone that a user means: by number, by name or part of it, "" for the usual one.

    Raises UserError, naming all, where none or several are meant.
    """
    if not among:
        raise UserError(
            "there is no microphone: plug one in; perse-live doctor lists what is found"
        )
    names = ", ".join(f"{one.number}: {one.name}" for one in among)
    if not text:
        return next((one for one in among if one.usual), among[0])
    if text.isascii() and text.isdigit():
        found = [one for one in among if one.number == int(text)]
    else:
        found = [one for one in among if one.name.casefold() == text.casefold()] or [
            one for one in among if text.casefold() in one.name.casefold()
        ]
    if len(found) != 1:
        raise UserError(
            f"{'no microphone' if not found else 'several microphones'} {text[:60]!r}: there are {names}"
        )
    return found[0]


class MicrophoneSource:
    """A `SoundSource`; where the device goes away, it is opened again when it is back."""

    def __init__(self, text: str) -> None:
        """text: as `chosen_microphone` reads it. Raises UserError where it cannot be opened."""
        self._library, self._text = sound_library(), text
        self._device = chosen_microphone(text, microphones())
        self._pieces: deque[tuple[Float32Array, float]] = deque(maxlen=_MAX_WAITING)
        self._came, self._ended = threading.Event(), threading.Event()
        self._rate, self._stream = self._opened()
        self._thread = threading.Thread(target=self._work, name="microphone", daemon=True)
        self.problem = ""

    @property
    def name(self) -> str:
        """Display name."""
        return f"microphone {self._device.name}"

    @property
    def exact(self) -> bool:
        """False: its clock is its own."""
        return False

    @property
    def on(self) -> bool:
        """True."""
        return True

    def start(self, take: Take) -> None:
        """Begin to record."""
        self._take = take
        self._stream.start()
        self._thread.start()

    def close(self) -> None:
        """Free the device; closing again does nothing."""
        self._ended.set()
        self._came.set()
        if self._thread.is_alive():
            self._thread.join()
        self._stream.close(ignore_errors=True)

    def _opened(self) -> tuple[int, Any]:
        """A stream at 48 kHz, else at the device's default rate. Raises UserError."""
        library, device = self._library, self._device
        rates = list(dict.fromkeys([RATE, round(device.rate)]))
        for rate in rates:
            try:
                return rate, library.InputStream(
                    device=device.number,
                    channels=1,
                    samplerate=rate,
                    dtype="float32",
                    latency=_BUFFER_SECONDS,
                    blocksize=rate // 100,
                    callback=self._hear,
                )
            except (library.PortAudioError, ValueError) as error:
                if rate == rates[-1]:
                    raise UserError(
                        f"the microphone {device.name} cannot be opened: {_reason(error)}: close other programs that"
                        " use it, allow it in the system's settings, or name another with --microphone"
                    ) from error
        raise AssertionError("there is one rate at least")

    def _hear(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """On PortAudio's thread. Its clock differs from ours by a constant, which the moment of this call gives."""
        now = time.monotonic()
        age = float(times.currentTime) - float(times.inputBufferAdcTime)
        if not 0 <= age <= 1:  # some systems do not say
            age = frames / self._rate
        self._pieces.append((np.array(data[:, 0], np.float32), now - age))
        self._came.set()

    def _work(self) -> None:
        name_this_thread()
        resampler = _Resampler(self._rate)
        heard = time.monotonic()
        while not self._ended.is_set():
            self._came.wait(0.5)
            self._came.clear()
            while self._pieces:
                samples, moment = self._pieces.popleft()
                heard, self.problem = time.monotonic(), ""
                for piece in resampler.resampled(samples):
                    self._take(piece, moment)
                    moment += len(piece) / RATE
            if time.monotonic() - heard > _SILENCE:
                self.problem = f"{self.name} gives no sound: plug it in again"
                if self._reopened():
                    resampler, heard = _Resampler(self._rate), time.monotonic()

    def _reopened(self) -> bool:
        """Try to open the device again; waits a moment where it is not there."""
        self._stream.close(ignore_errors=True)
        try:
            self._library._terminate()  # PortAudio lists its devices when it is initialised, and not again
            self._library._initialize()
            self._device = chosen_microphone(self._text, microphones())
            self._rate, self._stream = self._opened()
            self._stream.start()
        except (UserError, self._library.PortAudioError) as error:
            _log.debug("the microphone is not back: %s", error)
            self._ended.wait(_REOPEN_SECONDS)
            return False
        return True


class _Resampler:
    """To 48 kHz, by FFmpeg."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = (
            None if rate == RATE else AudioResampler(format="flt", layout="mono", rate=RATE)
        )

    def resampled(self, samples: Float32Array) -> list[Float32Array]:
        if self._resampler is None:
            return [samples]
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None]), format="flt", layout="mono"
        )
        frame.sample_rate = self._rate
        return [
            cast("Float32Array", one.to_ndarray()[0]) for one in self._resampler.resample(frame)
        ]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).partition(" [")[0]
