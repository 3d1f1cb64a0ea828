"""The delayed voice as a microphone for call programs: by a virtual cable, or a new source on PulseAudio or PipeWire."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from typing import Any, Protocol

import numpy as np

from perse_live.child import installed_program
from perse_live.errors import UserError
from runtime.sound.contract import RATE, VoiceBlock
from runtime.sound.delay import DelayedSound
from runtime.sound.microphone import sound_library

_log = logging.getLogger(__name__)

AUTO = "auto"
"""Device name: a new source where the system supports it, else the first installed virtual cable."""
SOURCE_NAME = "perse-live microphone"
"""Name in call programs."""
_SINK, _SOURCE = "perse_live_voice", "perse_live_microphone"  # PulseAudio's names of the two halves
# Names of virtual cables, in lower case
_CABLES = ("blackhole", "cable input", "vb-audio", "loopback")
_CABLE_SECONDS = 0.03  # that a cable is kept filled, for threads that wake late
_PATIENCE = 5.0  # seconds for a program of PulseAudio's to answer or end
_HOW = (
    "on Linux run PulseAudio or PipeWire with pulseaudio-utils (pactl, pacat); on macOS install BlackHole, on Windows"
    " VB-CABLE, and name it with --voice-out"
)


class VoiceOutput(Protocol):
    """An output of the voice to other programs."""

    @property
    def name(self) -> str:
        """Display name."""
        ...

    def hear(self, block: VoiceBlock) -> None:
        """Pass a block on; never waits."""
        ...

    def close(self) -> None:
        """Leave nothing behind. Closing again does nothing."""
        ...


def open_voice_output(text: str) -> VoiceOutput:
    """The output that a user means: `AUTO`, or a device by number or part of its name.

    Raises UserError where there is none, with what to install.
    """
    if text == AUTO and (pulse := pulse_programs()) is not None:
        return PulseMicrophone(*pulse)
    if text == AUTO:
        found = cables()
        if not found:
            raise UserError(f"there is no virtual cable for the voice: {_HOW}")
        return CableOutput(*found[0])
    devices = outputs()
    found = [
        one
        for one in devices
        if (text == str(one[0]) if text.isdigit() else text.casefold() in one[1].casefold())
    ]
    if len(found) != 1:
        names = ", ".join(f"{number}: {name}" for number, name in devices) or "none"
        raise UserError(
            f"{'no device' if not found else 'several devices'} {text[:60]!r} to play to: there are {names}"
        )
    return CableOutput(*found[0])


def outputs() -> list[tuple[int, str]]:
    """Devices that sound can be played to, number and name. Raises UserError where sound cannot be used at all."""
    library = sound_library()
    try:
        found = enumerate(library.query_devices())
        return [
            (number, str(one["name"])) for number, one in found if one["max_output_channels"] > 0
        ]
    except library.PortAudioError as error:
        raise UserError(f"the sound devices cannot be listed: {error}") from error


def cables() -> list[tuple[int, str]]:
    """The virtual cables among `outputs`, by their names. Raises as that does."""
    return [one for one in outputs() if any(cable in one[1].casefold() for cable in _CABLES)]


def pulse_programs() -> tuple[str, str] | None:
    """The paths of pactl and pacat, where a PulseAudio server (or PipeWire's) answers them."""
    pactl, pacat = installed_program("pactl"), installed_program("pacat")
    if sys.platform != "linux" or pactl is None or pacat is None:
        return None
    try:
        answer = subprocess.run([pactl, "info"], capture_output=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if answer.returncode else (pactl, pacat)


class CableOutput:
    """Plays into a device by PortAudio; its clock may differ from ours."""

    def __init__(self, number: int, device: str) -> None:
        """Raises UserError where it cannot be opened."""
        self._sound, self._device = DelayedSound(exact=True), device
        library = sound_library()
        try:
            self._stream = library.OutputStream(
                device=number, channels=1, samplerate=RATE, dtype="float32", callback=self._fill
            )
            self._stream.start()
        except (library.PortAudioError, ValueError) as error:
            raise UserError(
                f"the voice cannot be played to {device}: {error}: choose another --voice-out"
            ) from error

    @property
    def name(self) -> str:
        """Display name."""
        return f"voice to {self._device}"

    def hear(self, block: VoiceBlock) -> None:
        """Keep a block until it is played."""
        self._sound.put(block.samples, block.time, time.monotonic())

    def close(self) -> None:
        """Free the device."""
        self._stream.close(ignore_errors=True)

    def _fill(self, out: Any, frames: int, times: Any, status: Any) -> None:
        """On PortAudio's thread."""
        out[:, 0] = self._sound.get(frames, time.monotonic(), _CABLE_SECONDS + frames / RATE)


class PulseMicrophone:
    """A null sink that the voice is played into, and its monitor as a source with a name for people."""

    def __init__(self, pactl: str, pacat: str) -> None:
        """Make it. Raises UserError where the server refuses."""
        self._pactl, self._modules, self._told = pactl, list[str](), False
        self._remove_leftovers()
        try:
            self._load(
                "module-null-sink",
                f"sink_name={_SINK}",
                f"rate={RATE}",
                "channels=1",
                _description("sink", f"{SOURCE_NAME} (internal)"),
            )
            self._load(
                "module-remap-source",
                f"source_name={_SOURCE}",
                f"master={_SINK}.monitor",
                _description("source", SOURCE_NAME),
            )
            self._player = subprocess.Popen(
                [
                    pacat,
                    "--playback",
                    f"--device={_SINK}",
                    "--raw",
                    "--format=s16le",
                    f"--rate={RATE}",
                    "--channels=1",
                    "--latency-msec=20",
                    f"--client-name={SOURCE_NAME}",
                ],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except BaseException:
            self._unload()
            raise
        assert self._player.stdin is not None
        os.set_blocking(self._player.stdin.fileno(), False)

    @property
    def name(self) -> str:
        """Display name."""
        return f"source {SOURCE_NAME}"

    def hear(self, block: VoiceBlock) -> None:
        """Hand a block to the player; where that hangs, it is left out."""
        assert self._player.stdin is not None
        data = (np.clip(block.samples, -1, 1) * 32767).astype("<i2").tobytes()
        try:
            os.write(self._player.stdin.fileno(), data)
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            if not self._told:
                self._told = True
                _log.warning(
                    "%s has ended: PulseAudio was restarted, perhaps; start the session again",
                    self.name,
                )

    def close(self) -> None:
        """Take the source away again."""
        self._player.kill()
        self._player.wait()
        if self._player.stdin is not None:
            self._player.stdin.close()
        self._unload()

    def _load(self, *words: str) -> None:
        answer = self._run("load-module", *words)
        if answer.returncode:
            raise UserError(
                f"no microphone can be made for call programs: {answer.stderr.strip() or 'pactl failed'}: {_HOW}"
            )
        self._modules.append(answer.stdout.strip())

    def _unload(self) -> None:
        while self._modules:
            self._run("unload-module", self._modules.pop())

    def _remove_leftovers(self) -> None:
        """Of a session that was killed."""
        lines = [
            line.split("\t") for line in self._run("list", "short", "modules").stdout.splitlines()
        ]
        marks = (f"sink_name={_SINK}", f"source_name={_SOURCE}")
        ours = [
            words[0]
            for words in lines
            if len(words) > 2 and any(mark in words[2] for mark in marks)
        ]
        for number in reversed(ours):
            self._run("unload-module", number)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._pactl, *words], capture_output=True, text=True, timeout=_PATIENCE
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(words, 1, "", str(error))


def _description(kind: str, text: str) -> str:
    """An argument of PulseAudio's modules, whose parser takes two levels of quotes."""
    return f"{kind}_properties=\"device.description='{text}'\""
