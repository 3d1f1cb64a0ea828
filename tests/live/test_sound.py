"""The driver's voice: delays, microphones, films, and what recordings and viewers get."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import subprocess
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import aiohttp
import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from hypothesis import given
from hypothesis import strategies as st
from live_avatars import dressable_avatar
from live_frames import drawn, picture
from motions import turned
from pulse import pulse_audio
from running_session import SMALL, clocks, motionless
from voices import TONE, claps, tone, voice_of
from web_session import PATIENCE, PaintedSession, Watcher, until

from perse_live.arrays import Float32Array, FloatArray
from perse_live.child import python_command
from perse_live.errors import UserError
from runtime.live.actions import Hide, Mute
from runtime.live.clock import StageClock
from runtime.live.feeds import MotionFeed
from runtime.live.painter import actor_of
from runtime.live.session import LiveSession
from runtime.sinks.recording import RecordingSink
from runtime.sound.contract import BLOCK, RATE, VoiceBlock
from runtime.sound.delay import DelayedSound
from runtime.sound.film import FilmSound
from runtime.sound.microphone import Microphone, _Resampler, chosen_microphone  # pyright: ignore[reportPrivateUsage]
from runtime.sound.voice import Voice
from runtime.sources.film import FilmClock, FilmSource
from runtime.tracker import TrackedFrame
from runtime.web.server import WebConfig, WebServer

_NECK = np.array([0.0, -0.12, -0.1])


def _onsets(samples: Float32Array, rate: int) -> FloatArray:
    """Seconds at which it is loud after 0.2 s of silence."""
    loud = np.nonzero(np.abs(samples) > 0.15)[0]
    return loud[np.diff(loud, prepend=-rate) > 0.2 * rate] / rate


# ----- delays


def _delayed(
    signal: Callable[[FloatArray], Float32Array],
    delays: FloatArray,
    *,
    drift: float,
    seconds: float,
) -> Float32Array:
    """A signal by a device whose clock is off by a share and told with jitter, read from second 1 on at delays that change."""
    sound, rng = DelayedSound(), np.random.default_rng(0)
    number, out = 0, list[Float32Array]()
    moments = np.arange(1.0, seconds, 0.02)
    for moment, delay in zip(
        moments, np.interp(moments, np.linspace(1, seconds, len(delays)), delays), strict=True
    ):
        while number / RATE * (1 + drift) < moment:
            times = (number + np.arange(480)) / RATE * (1 + drift)
            sound.put(signal(times), times[0] + rng.uniform(-0.002, 0.002), times[0] + 0.02)
            number += 480
        out.append(sound.get(BLOCK, float(moment), float(delay)))
    return np.concatenate(out)


@pytest.mark.slow
@given(drift=st.floats(-2e-4, 2e-4), first=st.floats(0.05, 0.2), last=st.floats(0.05, 0.2))
def test_a_changing_delay_is_followed_without_a_click(
    drift: float, first: float, last: float
) -> None:
    samples = _delayed(tone, np.array([first, last]), drift=drift, seconds=4.0)
    bend = np.abs(np.diff(samples.astype(np.float64), 2))[RATE // 10 :].max()
    assert bend < 1.1 * 0.5 * (2 * np.pi * TONE / RATE) ** 2, (
        "a click bends more than the tone itself"
    )


@pytest.mark.parametrize("drift", [-2e-4, 0.0, 2e-4])
def test_sound_is_late_by_its_delay(drift: float) -> None:
    samples = _delayed(claps, np.array([0.06, 0.06, 0.15, 0.15]), drift=drift, seconds=13.0)
    found = 1 + _onsets(samples, RATE)
    late = found - np.round(found)
    assert len(found) == 12
    assert np.abs(late[:4] - 0.06).max() < 0.006
    assert np.abs(late[-4:] - 0.15).max() < 0.006


def test_what_a_device_has_lost_is_silence_and_what_follows_in_time() -> None:
    sound = DelayedSound()
    times = np.arange(3 * RATE) / RATE
    whole = claps(times)
    for begin in range(0, len(whole), 480):
        if not 1.3 <= begin / RATE < 1.6:
            sound.put(whole[begin : begin + 480], begin / RATE, begin / RATE)
    read = np.concatenate([sound.get(BLOCK, 0.2 + 0.02 * k, 0.1) for k in range(140)])
    np.testing.assert_allclose(0.1 + _onsets(read, RATE), [1.0, 2.0], atol=0.002)


@pytest.mark.slow
@given(late=st.integers(1, 30), seed=st.integers(0, 1000))
def test_sound_that_comes_too_late_leaves_a_pause_without_clicks(late: int, seed: int) -> None:
    sound, rng = DelayedSound(), np.random.default_rng(seed)
    start, held = int(rng.integers(20, 40)), list[Float32Array]()
    out = list[Float32Array]()
    for k in range(100):
        piece = tone((k * BLOCK + np.arange(BLOCK)) / RATE)
        held.append(piece)
        if not start <= k < start + late:  # a busy machine hands over all at once, later
            for number, one in enumerate(held, k + 1 - len(held)):
                sound.put(one, number * BLOCK / RATE, number * BLOCK / RATE + 0.02)
            held = []
        out.append(sound.get(BLOCK, k * BLOCK / RATE, 0.05))
    bends = np.abs(np.diff(np.concatenate(out).astype(np.float64), 2))
    assert bends.max() < 4 * 0.5 * (2 * np.pi * TONE / RATE) ** 2


def test_a_film_that_is_repeated_before_its_sound_is_over_stays_in_time() -> None:
    sound = DelayedSound(exact=True)
    whole = claps(np.arange(round(1.1 * RATE)) / RATE)  # the pictures take a second, the sound 1.1
    for turn in range(3):
        for begin in range(0, len(whole), 480):
            sound.put(whole[begin : begin + 480], turn + begin / RATE, 0.0)
    read = np.concatenate([sound.get(BLOCK, 0.1 + 0.02 * k, 0.1) for k in range(150)])
    np.testing.assert_allclose(_onsets(read, RATE), [1.0, 2.0], atol=0.002)


# ----- sources

_DEVICES = [
    Microphone(0, "HDA Intel: ALC257", 48000.0, False),
    Microphone(3, "USB Audio", 44100.0, True),
    Microphone(4, "USB Audio Pro", 96000.0, False),
]


@pytest.mark.parametrize(
    ("text", "number"), [("", 3), ("4", 4), ("intel", 0), ("usb audio", 3), ("Pro", 4)]
)
def test_a_microphone_is_chosen_by_number_or_name(text: str, number: int) -> None:
    assert chosen_microphone(text, _DEVICES).number == number


@pytest.mark.parametrize(
    ("text", "devices", "reason"),
    [
        ("7", _DEVICES, "no microphone '7': there are 0: HDA"),
        ("audi", _DEVICES, "several microphones 'audi'"),
        ("", [], "there is no microphone"),
    ],
)
def test_a_microphone_that_is_not_there_is_one_line(
    text: str, devices: list[Microphone], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        chosen_microphone(text, devices)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_any_rate_becomes_48_khz(rate: int) -> None:
    resampler = _Resampler(rate)
    whole = tone(np.arange(rate) / rate)
    samples = np.concatenate(
        [one for piece in np.split(whole, 100) for one in resampler.resampled(piece)]
    )
    assert abs(len(samples) - RATE) < 200
    wanted = tone(np.arange(len(samples)) / RATE)
    assert np.abs(samples - wanted)[200:-200].max() < 0.02


def write_clapping_film(path: Path, *, seconds: int, rate: int = 44100) -> None:
    """At each second but the first, the picture changes from dark to light or back, and there is a clap. 30 pictures a second."""
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        audio = film.add_stream("aac", rate=rate)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio.codec_context.layout = "stereo"
        for number in range(30 * seconds):
            image = np.full((48, 64, 3), 220 if number // 30 % 2 else 30, np.uint8)
            film.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        film.mux(video.encode(None))
        sound = claps(np.arange(rate * seconds) / rate)
        frame = AudioFrame.from_ndarray(np.stack([sound, sound]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        pieces = av.AudioResampler(format="fltp", layout="stereo", rate=rate, frame_size=1024)
        for piece in [*pieces.resample(frame), *pieces.resample(None)]:
            film.mux(audio.encode(piece))
        film.mux(audio.encode(None))


@pytest.mark.slow
def test_a_film_brings_its_sound_in_time_with_its_pictures_turn_after_turn(tmp_path: Path) -> None:
    write_clapping_film(tmp_path / "clap.mp4", seconds=2)
    pictures = FilmSource(tmp_path / "clap.mp4", repeat=True)
    sound, given_pieces = (
        FilmSound(pictures, tmp_path / "clap.mp4"),
        list[tuple[Float32Array, float]](),
    )
    # When the film's clock has come to its clap, turn after turn; it is set back where pictures are late
    due: set[float] = set()
    try:
        sound.start(lambda samples, moment: given_pieces.append((samples, moment)))
        while (clock := pictures.clock()) is None or clock.turn < 3:
            pictures.read(1.0)
            if clock is not None:
                due.add(clock.began + 1)
    finally:
        sound.close()
        pictures.close()
    loud = [(samples, moment) for samples, moment in given_pieces if np.abs(samples).max() > 0.15]
    heard = [moment + float(_onsets(samples, RATE)[0]) for samples, moment in loud]
    # A clap may be in two pieces
    first = [clap for k, clap in enumerate(heard) if k == 0 or clap - heard[k - 1] > 0.2]
    assert len(first) >= 3
    assert max(min(abs(clap - moment) for moment in due) for clap in first) < 0.005


def test_a_film_is_silent_while_another_source_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "clap.mp4"
    write_clapping_film(path, seconds=2)
    films = [FilmSource(path, repeat=True)]
    moments: list[float] = []

    class Playing:
        def clock(self) -> FilmClock | None:
            return films[-1].clock()

    def play(pieces: int) -> None:
        most = time.monotonic() + 30
        while len(moments) < pieces and time.monotonic() < most:
            films[-1].read(0.1)

    sound = FilmSound(Playing(), path)
    try:
        sound.start(lambda samples, moment: moments.append(moment))
        play(pieces=5)
        films[-1].close()
        given = len(moments)
        time.sleep(0.5)
        assert 5 <= given <= len(moments) <= given + 1  # one piece may have been on its way
        films.append(FilmSource(path, repeat=True))
        play(pieces=given + 6)
        assert len(moments) >= given + 6
    finally:
        sound.close()
        for film in films:
            film.close()


def test_a_film_without_sound_is_one_line(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as film:
        video = film.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            film.mux(
                video.encode(
                    av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
                )
            )
        film.mux(video.encode(None))
    pictures = FilmSource(tmp_path / "mute.mp4", repeat=True)
    assert not pictures.has_sound
    with pytest.raises(UserError, match="has no sound"):
        FilmSound(pictures, tmp_path / "mute.mp4")
    pictures.close()


_LISTEN = """
import json, time
import numpy as np
from runtime.doctor.devices import microphones
from runtime.sound.microphone import MicrophoneSource
heard = []
source = MicrophoneSource("default")
source.start(lambda samples, moment: heard.append((samples, moment, time.monotonic())))
print(json.dumps(vars(microphones())), flush=True)
input()
first = len(heard)


def wait(true):
    deadline = time.monotonic() + 40
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)


wait(lambda: source.problem)
print(source.problem, flush=True)
input()
wait(lambda: not source.problem and any(np.abs(one[0]).max() > 0.3 for one in heard[first:][-50:]))
print(repr(source.problem), flush=True)
source.close()
again = float(max(np.abs(one[0]).max() for one in heard[first:]))
heard = heard[:first]
samples = np.concatenate([one[0] for one in heard])
spectrum = np.abs(np.fft.rfft(samples))
tone = float(np.fft.rfftfreq(len(samples), 1 / 48000)[spectrum.argmax()])
print(json.dumps({"loudest": float(np.abs(samples).max()), "tone": tone, "again": again,
                  "future": any(moment > now for _, moment, now in heard)}))
"""


@pytest.mark.slow
def test_a_real_microphone_is_heard_unplugged_and_heard_again(tmp_path: Path) -> None:
    pytest.importorskip("sounddevice")
    with pulse_audio(tmp_path) as environment:
        listener = subprocess.Popen(
            python_command(_LISTEN),
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert listener.stdout is not None
        finding = json.loads(listener.stdout.readline())
        assert finding["status"] == "ok"
        assert "default" in finding["found"]
        play = [
            "pacat",
            "--playback",
            "--device=cable",
            "--raw",
            "--format=s16le",
            f"--rate={RATE}",
            "--channels=1",
        ]

        def pulse(*words: str) -> None:
            subprocess.run(["pactl", *words], env=environment, check=True, capture_output=True)

        played = (tone(np.arange(2 * RATE) / RATE, 1000.0) * 32767).astype("<i2").tobytes()
        subprocess.run(play, input=played, env=environment, check=True)
        assert listener.stdin is not None
        listener.stdin.write("\n")
        listener.stdin.flush()
        pulse("unload-module", "module-null-sink")
        assert "gives no sound: plug it in again" in listener.stdout.readline()
        pulse("load-module", "module-null-sink", "sink_name=cable", "rate=44100")
        pulse("set-default-source", "cable.monitor")
        listener.stdin.write("\n")
        listener.stdin.flush()
        for _ in range(10):  # until it is open again, which takes a moment
            subprocess.run(play, input=played, env=environment, check=True)
            if select.select([listener.stdout], [], [], 0)[0]:
                break
        said, _ = listener.communicate(timeout=60)
        problem, said = said.splitlines()
        assert problem == "''"
    heard = json.loads(said)
    assert heard["loudest"] > 0.3
    assert abs(heard["tone"] - 1000) < 5
    assert not heard["future"]
    assert heard["again"] > 0.3


# ----- where it goes


def read_sound(path: Path) -> tuple[Float32Array, int, float]:
    """Samples of a file's sound, their rate, and the second at which they begin."""
    with av.open(str(path)) as film:
        frames = list(film.decode(audio=0))
    first = frames[0]
    return (
        np.concatenate([frame.to_ndarray()[0] for frame in frames]),
        first.sample_rate,
        float((first.pts or 0) * (first.time_base or Fraction(0))),
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_recording_has_each_sound_at_its_picture(suffix: str, tmp_path: Path) -> None:
    hearers: list[Callable[[VoiceBlock], None]] = []

    def listen(hear: Callable[[VoiceBlock], None]) -> Callable[[], None]:
        hearers.append(hear)
        return lambda: hearers.remove(hear)

    sink = RecordingSink(tmp_path / f"me{suffix}", fps=30, listen=listen)
    blocks = 0
    for number in range(150):
        moment = 1000 + number / 30  # claps are at whole seconds, as white pictures are
        while 999.9 + blocks * 0.02 < moment:
            start = 999.9 + blocks * 0.02
            for hear in hearers:
                if not 1001.3 < start < 1001.6:  # nothing came for a moment
                    hear(VoiceBlock(claps(start + np.arange(BLOCK) / RATE), start, blocks))
            blocks += 1
        sink.write(drawn(picture(number), time=moment, number=number + 1))
    sink.close()
    assert hearers == []
    samples, rate, begin = read_sound(sink.path)
    np.testing.assert_allclose(
        begin + _onsets(samples, rate), [0.0, 1.0, 2.0, 3.0, 4.0], atol=0.025
    )
    with av.open(str(sink.path)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 150
        assert film.streams.audio[0].codec_context.name == "aac"


def test_a_recording_that_ends_before_any_sound_plays(tmp_path: Path) -> None:
    sink = RecordingSink(tmp_path / "me.mp4", fps=30, listen=lambda hear: lambda: None)
    for number in range(5):
        sink.write(drawn(picture(number), time=number / 30, number=number + 1))
    sink.close()
    with av.open(str(sink.path)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 5


def test_a_muted_voice_is_silent_and_comes_back_without_a_click() -> None:
    quiet = threading.Event()
    heard: list[VoiceBlock] = []
    with voice_of(tone, silent=quiet.is_set) as voice:
        end = voice.hear(heard.append)
        for wait_for in (
            lambda: voice.level > 0.3,
            lambda: voice.level == 0,
            lambda: voice.level > 0.3,
        ):
            deadline = time.monotonic() + PATIENCE
            while not wait_for():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            if wait_for():
                quiet.clear() if quiet.is_set() else quiet.set()
        end()
    samples = np.concatenate([block.samples for block in heard])
    begin = np.nonzero(np.abs(samples) > 0.3)[0][0]
    bends = np.abs(np.diff(samples.astype(np.float64), 2))[begin:]
    # four times the tone's own bend, for fades around sound that a busy machine had too late; a click bends fifty times as much
    assert bends.max() < 4 * 0.5 * (2 * np.pi * TONE / RATE) ** 2
    assert all(second.number == first.number + 1 for first, second in pairwise(heard))


class _Listener(Watcher):
    """A viewer that takes the sound too."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[AudioFrame] = []
        self._listening: asyncio.Task[None] | None = None
        self.connection.addTransceiver("audio", direction="recvonly")

    def _watch(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._listening = asyncio.get_running_loop().create_task(self._listen(track))
        else:
            super()._watch(track)

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                self.heard.append(frame)

    async def close(self) -> None:
        await super().close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])


@pytest.mark.slow
@pytest.mark.parametrize("with_voice", [True, False])
def test_viewers_hear_the_voice_where_there_is_one(with_voice: bool) -> None:
    async def body(url: str) -> list[AudioFrame]:
        listener = _Listener()
        try:
            async with aiohttp.ClientSession() as http:
                await listener.join(http, url)
            assert listener.status == 201
            await listener.decoded(5)
            if with_voice:
                await until(lambda: len(listener.heard) > 60)
            return listener.heard
        finally:
            await listener.close()

    with contextlib.ExitStack() as stack:
        voice = stack.enter_context(voice_of(tone)) if with_voice else None
        session = PaintedSession()
        stack.callback(session.close)
        server = WebServer(session, StageClock(), WebConfig(port=0), voice=voice)
        stack.callback(server.close)
        heard = asyncio.run(body(server.start()))
    if not with_voice:
        assert heard == []
        return
    # Stereo, interleaved
    samples = np.concatenate([frame.to_ndarray()[0, ::2] for frame in heard[-40:]]).astype(
        np.float64
    )
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert abs(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()] - TONE) < 5
    assert np.abs(samples).max() > 0.3 * 32767


class _LightOrDark:
    """Motion by a film's brightness: the head is turned to one side or the other. Stands for the tracker, which takes longer."""

    name = "film"

    def __init__(self, film: FilmSource) -> None:
        self._film = film

    def read(self, timeout: float) -> TrackedFrame | None:
        frame = self._film.read(timeout)
        return (
            None
            if frame is None
            else turned(25 if frame.image.mean() > 120 else -25, time=frame.time)
        )

    def close(self) -> None:
        self._film.close()


@pytest.mark.slow
def test_lips_and_voice_are_together_in_a_session_s_recording(tmp_path: Path) -> None:
    """A film of claps as the camera. Allowed in addition to 40 ms: the jitter of this machine's drawing."""
    write_clapping_film(tmp_path / "clap.mp4", seconds=4)
    film, measured = FilmSource(tmp_path / "clap.mp4", repeat=True), clocks()
    feed = MotionFeed(_LightOrDark(film), track=measured["track"], neck_pivot=_NECK)
    session = LiveSession(
        [actor_of("me", dressable_avatar(gaussians=4000))],
        SMALL,
        feed=feed,
        source_kind="file",
        script=motionless(),
        clocks=measured,
        keys={},
        record_to=tmp_path / "me.mp4",
        recorder=lambda path: RecordingSink(path, fps=30, listen=voice.hear),
    )
    voice = Voice(
        FilmSound(film, tmp_path / "clap.mp4"),
        latency=session.picture_latency,
        silent=lambda: session.silent,
    )
    session.have_voice(voice)
    late: list[float] = []
    with session, contextlib.closing(voice):
        session.start()
        voice.start()
        session.wait_for_picture(60.0)
        time.sleep(2)
        session.record_now()
        for _ in range(100):
            time.sleep(0.1)
            late.append(session.clocks["render"].timing().p95_ms / 1000)
        session.act(Mute(True))
        assert session.silent
        session.act(Mute(False))
        session.act(Hide(True))
        assert session.silent
    samples, rate, begin = read_sound(tmp_path / "me.mp4")
    heard = begin + _onsets(samples, rate)
    with av.open(str(tmp_path / "me.mp4")) as recorded:
        frames = [
            (float((one.pts or 0) * (one.time_base or Fraction(0))), one.to_ndarray(format="gray"))
            for one in recorded.decode(video=0)
        ]
    heads = np.array(
        [
            np.nonzero(np.abs(image[:64].astype(int) - int(image[0, 0])) > 25)[1].mean()
            for _, image in frames
        ]
    )
    right = heads > (np.percentile(heads, 5) + np.percentile(heads, 95)) / 2
    turns = np.array([frames[k][0] for k in np.nonzero(right[1:] != right[:-1])[0] + 1])
    apart = np.array([clap - turns[np.abs(turns - clap).argmin()] for clap in heard])
    assert len(apart) >= 4
    assert abs(np.median(apart)) < 0.040 + float(np.median(late))


def test_without_a_voice_there_is_nothing_to_mute(tmp_path: Path) -> None:
    session = LiveSession(
        [actor_of("me", dressable_avatar(gaussians=500))],
        SMALL,
        feed=None,
        source_kind="none",
        script=motionless(),
        clocks=clocks(),
        keys={},
        recorder=lambda path: RecordingSink(path, fps=30),
    )
    with session:
        assert session.state()["voice"] is None
        with pytest.raises(UserError, match="no voice to mute"):
            session.act(Mute())


_SPEAK = """
import sys, time
import numpy as np
from runtime.sound.contract import BLOCK, RATE, VoiceBlock
from runtime.sound.output import open_voice_output
output = open_voice_output(sys.argv[1])
print(output.name, flush=True)
begin = time.monotonic()
for number in range(150):
    moment = begin + number * BLOCK / RATE
    time.sleep(max(0.0, moment - time.monotonic()))
    samples = 0.5 * np.sin(2 * np.pi * 1000 * (moment + np.arange(BLOCK) / RATE))
    output.hear(VoiceBlock(samples.astype(np.float32), moment, number))
if len(sys.argv) > 2:
    import os
    os._exit(9)  # as if killed
output.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("device", ["auto", "pulse"])
def test_call_programs_hear_the_voice(device: str, tmp_path: Path) -> None:
    """By a new source, which is removed afterwards, and by a PortAudio device."""
    pytest.importorskip("sounddevice")
    source = "perse_live_microphone" if device == "auto" else "cable.monitor"
    with pulse_audio(tmp_path) as environment:

        def listed(kind: str) -> str:
            return subprocess.run(
                ["pactl", "list", kind], env=environment, capture_output=True, text=True, check=True
            ).stdout

        before = listed("modules")
        if device == "auto":  # what a killed session leaves behind is taken away by the next one
            subprocess.run(
                python_command(_SPEAK, device, "dies"), env=environment, capture_output=True
            )
            assert "Description: perse-live microphone" in listed("sources")
        speaker = subprocess.Popen(
            python_command(_SPEAK, device), env=environment, stdout=subprocess.PIPE, text=True
        )
        assert speaker.stdout is not None
        assert speaker.stdout.readline().strip() == (
            "source perse-live microphone" if device == "auto" else "voice to pulse"
        )
        assert listed("sources").count("Description: perse-live microphone\n") == (device == "auto")
        listener = subprocess.Popen(
            [
                "parec",
                f"--device={source}",
                "--raw",
                "--format=s16le",
                f"--rate={RATE}",
                "--channels=1",
            ],
            env=environment,
            stdout=subprocess.PIPE,
        )
        speaker.communicate(timeout=60)
        listener.terminate()
        data, _ = listener.communicate()
        assert listed("modules").count("perse_live") == 0
        assert before.count("module-null-sink") == listed("modules").count("module-null-sink")
    samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.abs(samples).max() > 0.3 * 32767
    assert abs(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()] - 1000) < 5
