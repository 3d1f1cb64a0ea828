"""A synthetic performance, for the demo's avatar without a camera.

Acts follow each other (talking, looking around, laughing, turning, reacting), each starting and ending at rest; blinks, small eye
movements and breathing run through all of them. Everything is a function of time and seed, so another frame rate shows the same
performance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from perse_live.arrays import Float32Array, Float64Array
from perse_live.errors import UserError
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression

SHORTEST_SECONDS = 4.0
SLOWEST_FPS = 10.0

_REST_SECONDS = 0.5  # at rest before the first act and after the last
_ACT_SECONDS = 3.0  # acts are stretched or cut to fill the time evenly around this length
# Degrees of an eye in its socket that eyeLook* = 1 stands for
_LIMIT_YAW, _LIMIT_PITCH = (25.0, 19.5)


@dataclass(frozen=True)
class PerformanceFrame:
    """Motion of the head at one moment."""

    time: float
    """Seconds from the start."""
    act: str
    """Name of the act: "rest", "talking", "looking around", "laughing", "turning" or "reacting"."""
    expression: Float32Array
    """(52,) in [0, 1], in the order of `EXPRESSION_NAMES`."""
    yaw: float
    """Degrees, as all three turns in the sense of `rotations.from_euler_degrees`: > 0 turns the face to the picture's right."""
    pitch: float
    """Degrees: > 0 tips the face down."""
    roll: float
    """Degrees: > 0 tilts the head to the picture's left."""
    translation: Float32Array
    """(3,) metres from the resting place: picture's right, up, towards the camera."""
    gaze: Float32Array
    """(2, 2) radians, left and right eye, yaw and pitch in the head frame; agrees with the eyeLook actions of `expression`."""


def performance(
    seconds: float = 15.0, fps: float = 30.0, seed: int = 0
) -> tuple[PerformanceFrame, ...]:
    """The frames of a performance that starts and ends at rest.

    seconds: length, at least 4; from 15 on every act occurs. fps: frames per second, at least 10. seed: another one gives other
    words, glances and blinks.
    Raises UserError for a length or rate out of range.
    """
    _check(seconds, fps)
    tracks = _Tracks(np.arange(round(seconds * fps)) / fps)
    random = np.random.default_rng(seed)
    acts = _schedule(seconds)
    for act in acts:
        _ACTS[act.name](tracks, act, random)
    _idle(tracks, seconds, random)
    _look(tracks, seconds, random)
    _blink(tracks, seconds, random)
    return _frames(tracks, acts)


def idling(seconds: float = 60.0, fps: float = 30.0, seed: int = 0) -> tuple[PerformanceFrame, ...]:
    """The frames of somebody who waits: breathing, blinking, small glances. Starts and ends at rest, so that it can be repeated.

    Arguments as for `performance`, which see.
    """
    _check(seconds, fps)
    tracks = _Tracks(np.arange(round(seconds * fps)) / fps)
    random = np.random.default_rng(seed)
    _idle(tracks, seconds, random)
    _look(tracks, seconds, random)
    _blink(tracks, seconds, random)
    return _frames(tracks, [])


def _check(seconds: float, fps: float) -> None:
    if not SHORTEST_SECONDS <= seconds <= 3600:
        raise UserError(
            f"a performance of {seconds:g} seconds cannot be made: choose {SHORTEST_SECONDS:g} to 3600 seconds"
        )
    if not SLOWEST_FPS <= fps <= 1000:
        raise UserError(
            f"a performance at {fps:g} frames per second cannot be made: choose {SLOWEST_FPS:g} to 1000"
        )


@dataclass(frozen=True)
class _Act:
    name: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class _Tracks:
    """Values per moment and channel, summed over the acts."""

    times: Float64Array
    """(N,) seconds."""
    channels: defaultdict[str, Float64Array] = field(init=False)
    """ARKit names, and yaw, pitch, roll (degrees), x, y, z (metres), look_x, look_y (degrees the eyes look from the camera)."""
    glances: list[float] = field(default_factory=list[float])
    """Seconds of large eye movements, which often come with a blink."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", defaultdict(lambda: np.zeros(len(self.times))))

    def add(self, name: str, values: Float64Array) -> None:
        """Add to a channel; a name that ends in "*" stands for the left and the right one."""
        for channel in (f"{name[:-1]}Left", f"{name[:-1]}Right") if name.endswith("*") else (name,):
            self.channels[channel] += values


def _schedule(seconds: float) -> list[_Act]:
    order = tuple(_ACTS)
    count = max(1, round((seconds - 2 * _REST_SECONDS) / _ACT_SECONDS))
    edges = np.linspace(_REST_SECONDS, seconds - _REST_SECONDS, count + 1)
    return [_Act(order[i % len(order)], float(edges[i]), float(edges[i + 1])) for i in range(count)]


# ----- shapes in time


def _ease(progress: Float64Array) -> Float64Array:
    """From 0 at 0 to 1 at 1 as limbs move: with minimum jerk (Flash and Hogan 1985, equation 3)."""
    p = np.clip(progress, 0.0, 1.0)
    return p**3 * (10 - 15 * p + 6 * p**2)


def _pulse(
    times: Float64Array, start: float, rise: float, hold: float, fall: float
) -> Float64Array:
    """0, up to 1 within `rise` seconds of `start`, there for `hold`, and back within `fall`."""
    return _ease((times - start) / rise) - _ease((times - start - rise - hold) / fall)


def _keys(times: Float64Array, keys: Sequence[tuple[float, float]]) -> Float64Array:
    """Eased from key to key, each (second, value); starts at 0 and stays at the last value."""
    values = np.zeros(len(times))
    previous_time, previous = keys[0][0], 0.0
    for second, value in keys:
        if second > previous_time:
            values += (value - previous) * _ease((times - previous_time) / (second - previous_time))
        previous_time, previous = second, value
    return values


def _sway(times: Float64Array, random: Generator, period: float) -> Float64Array:
    """Aimless drift within [-1, 1]: four sines around a period, seconds."""
    rates = random.uniform(0.6, 1.9, 4) / period
    phases = random.uniform(0, 2 * np.pi, 4)
    return np.sin(2 * np.pi * rates * times[:, None] + phases).mean(1)


# ----- talking

_VOWELS: Sequence[Mapping[str, float]] = (
    {"jawOpen": 0.56, "mouthLowerDown*": 0.34, "mouthUpperUp*": 0.12},  # ah
    {"jawOpen": 0.36, "mouthStretch*": 0.24, "mouthLowerDown*": 0.30, "mouthUpperUp*": 0.14},  # eh
    {
        "jawOpen": 0.18,
        "mouthStretch*": 0.36,
        "mouthSmile*": 0.16,
        "mouthLowerDown*": 0.28,
        "mouthUpperUp*": 0.12,
    },  # ee
    {"jawOpen": 0.38, "mouthFunnel": 0.50, "mouthPucker": 0.16, "mouthLowerDown*": 0.10},  # oh
    {"jawOpen": 0.16, "mouthFunnel": 0.26, "mouthPucker": 0.55},  # oo
)
_CONSONANTS: Sequence[Mapping[str, float]] = (
    {
        "jawOpen": 0.07,
        "mouthClose": 0.07,
        "mouthPress*": 0.28,
        "mouthRollLower": 0.16,
        "mouthRollUpper": 0.12,
    },  # m, b, p
    {"jawOpen": 0.08, "mouthRollLower": 0.34, "mouthUpperUp*": 0.20},  # f, v
    {
        "jawOpen": 0.07,
        "mouthStretch*": 0.12,
        "mouthLowerDown*": 0.22,
        "mouthUpperUp*": 0.10,
    },  # s, t, d
    {"jawOpen": 0.16, "mouthLowerDown*": 0.14, "mouthUpperUp*": 0.06},  # l, n
    {"jawOpen": 0.07, "mouthFunnel": 0.18, "mouthPucker": 0.42},  # w
)
_SILENCE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class _Mouth:
    """A mouth shape aimed at for a moment."""

    second: float
    shape: Mapping[str, float]
    strength: float
    """Scales the shape."""
    width: float
    """Seconds over which it rules."""
    weight: float
    """How much it prevails over its neighbours."""


def _speak(tracks: _Tracks, start: float, end: float, random: Generator) -> list[float]:
    """Syllables in phrases from `start` to `end`. Returns the seconds of the stressed ones."""
    mouths: list[_Mouth] = []
    stressed: list[float] = []
    now = start
    while now + 0.5 < end:
        syllables = random.integers(4, 9)
        for syllable in range(syllables):
            length = random.uniform(0.15, 0.25)
            if now + length + 0.15 > end:
                break
            stress = syllable % 3 == 1
            consonant = int(random.integers(len(_CONSONANTS)))
            # lips that must close (m, b, p; f, v) prevail: a half-closed m is what gives bad lip sync away
            mouths.append(
                _Mouth(
                    now + 0.03, _CONSONANTS[consonant], 1.0, 0.030, 4.0 if consonant < 2 else 1.2
                )
            )
            strength = random.uniform(0.9, 1.15) if stress else random.uniform(0.6, 0.95)
            mouths.append(
                _Mouth(
                    now + 0.6 * length,
                    _VOWELS[int(random.integers(len(_VOWELS)))],
                    strength,
                    0.050,
                    1.0,
                )
            )
            if stress:
                stressed.append(now)
            now += length
        pause = random.uniform(0.25, 0.5)
        mouths.extend(
            _Mouth(second, _SILENCE, 1.0, 0.05, 1.0)
            for second in np.arange(now + 0.06, now + pause, 0.08)
        )
        now += pause
    _articulate(tracks, mouths, start, end)
    return stressed


def _articulate(tracks: _Tracks, mouths: Sequence[_Mouth], start: float, end: float) -> None:
    """Blend mouth shapes by how near in time they are: dominance functions of Cohen and Massaro (1993), here Gaussian bells."""
    window = _pulse(tracks.times, start, 0.12, max(end - start - 0.24, 0.0), 0.12)
    total = np.full(len(tracks.times), 1e-3)  # so that far from every shape the mouth is at rest
    sums: defaultdict[str, Float64Array] = defaultdict(lambda: np.zeros(len(tracks.times)))
    for mouth in mouths:
        dominance = mouth.weight * np.exp(-0.5 * ((tracks.times - mouth.second) / mouth.width) ** 2)
        total += dominance
        for name, value in mouth.shape.items():
            sums[name] += dominance * (value * mouth.strength)
    for name, values in sums.items():
        tracks.add(name, window * values / total)


def _talking(tracks: _Tracks, act: _Act, random: Generator) -> None:
    times = tracks.times
    stressed = _speak(tracks, act.start, act.end, random)
    window = _pulse(times, act.start, 0.5, max(act.length - 1.0, 0.0), 0.5)
    tracks.add("yaw", 7.0 * window * _sway(times, random, 2.6))
    tracks.add("roll", 3.5 * window * _sway(times, random, 3.1))
    tracks.add("mouthSmile*", 0.10 * window)
    for second in stressed:
        nod = random.uniform(1.0, 3.5)
        tracks.add("pitch", nod * _pulse(times, second - 0.05, 0.16, 0.0, 0.32))
        if random.random() < 0.35:
            raised = random.uniform(0.25, 0.5) * _pulse(times, second - 0.1, 0.15, 0.12, 0.35)
            tracks.add("browInnerUp", raised)
            tracks.add("browOuterUp*", 0.7 * raised)


# ----- the other acts


def _looking_around(tracks: _Tracks, act: _Act, random: Generator) -> None:
    """Eyes first, the head after them and not all the way."""
    side = float(random.choice([-1.0, 1.0]))
    shares = (0.04, 0.30, 0.56, 0.78)
    targets = ((24.0 * side, 7.0), (-20.0 * side, 3.0), (-12.0 * side, -9.0), (0.0, 0.0))
    eyes_x, eyes_y, head_x, head_y = ([(act.start, 0.0)] for _ in range(4))
    looked = (0.0, 0.0)
    for share, target in zip(shares, targets, strict=True):
        glance = act.start + share * act.length + random.uniform(0.0, 0.05)
        duration = _saccade_seconds(float(np.hypot(target[0] - looked[0], target[1] - looked[1])))
        tracks.glances.append(glance)
        for keys, before, value in ((eyes_x, looked[0], target[0]), (eyes_y, looked[1], target[1])):
            keys += [(glance, before), (glance + duration, value)]
        for keys, before, value in ((head_x, looked[0], target[0]), (head_y, looked[1], target[1])):
            keys += [
                (glance + 0.08, 0.65 * before),
                (glance + 0.08 + 0.16 * act.length, 0.65 * value),
            ]
        looked = target
    tracks.add("look_x", _keys(tracks.times, eyes_x))
    tracks.add("look_y", _keys(tracks.times, eyes_y))
    tracks.add("yaw", _keys(tracks.times, head_x))
    tracks.add("pitch", -_keys(tracks.times, head_y))  # pitch counts downwards
    tracks.add("roll", -0.12 * _keys(tracks.times, head_x))
    interest = _pulse(tracks.times, act.start + 0.05 * act.length, 0.25, 0.35 * act.length, 0.5)
    tracks.add("browInnerUp", 0.30 * interest)
    tracks.add("browOuterUp*", 0.25 * interest)
    tracks.add("eyeWide*", 0.18 * interest)


def _laughing(tracks: _Tracks, act: _Act, random: Generator) -> None:
    """A smile grows, breaks into bursts of breath at about 4.5 a second, and fades."""
    times, start, length = tracks.times, act.start, act.length
    smile = _pulse(times, start, 0.22 * length, 0.46 * length, 0.32 * length)
    laugh = _pulse(times, start + 0.16 * length, 0.12 * length, 0.34 * length, 0.26 * length)
    local = np.clip(times - start - 0.16 * length, 0.0, None)
    bursts = (0.5 - 0.5 * np.cos(2 * np.pi * random.uniform(4.2, 4.8) * local)) * laugh
    fading = laugh * np.exp(-0.5 * local / length)
    tracks.add("mouthSmileLeft", 0.80 * smile)
    tracks.add("mouthSmileRight", 0.74 * smile)  # nobody smiles evenly
    tracks.add("cheekSquint*", 0.50 * smile + 0.20 * laugh)
    tracks.add("eyeSquint*", 0.30 * smile + 0.30 * laugh)
    tracks.add("mouthDimple*", 0.18 * smile)
    tracks.add("jawOpen", 0.24 * fading + 0.26 * bursts)
    tracks.add("mouthUpperUp*", 0.22 * fading)
    tracks.add("mouthLowerDown*", 0.26 * fading)
    tracks.add("noseSneer*", 0.14 * laugh)
    tracks.add("browInnerUp", 0.22 * laugh)
    side = float(random.choice([-1.0, 1.0]))
    tracks.add("pitch", -7.0 * laugh + 1.6 * bursts)
    tracks.add("yaw", 6.0 * side * laugh)
    tracks.add("roll", 5.0 * side * smile)
    tracks.add("y", 0.003 * bursts)


def _turning(tracks: _Tracks, act: _Act, random: Generator) -> None:
    """A slow look to both sides while the eyes stay with the viewer as long as they can; then a tilt."""
    side = float(random.choice([-1.0, 1.0]))
    at = [act.start + share * act.length for share in (0.0, 0.22, 0.32, 0.62, 0.72, 0.98)]
    yaw = _keys(
        tracks.times,
        list(
            zip(at, [0.0, 28.0 * side, 28.0 * side, -28.0 * side, -28.0 * side, 0.0], strict=True)
        ),
    )
    tracks.add("yaw", yaw)
    tracks.add(
        "pitch", _keys(tracks.times, list(zip(at, [0.0, 5.0, 3.0, -6.0, -4.0, 0.0], strict=True)))
    )
    tracks.add("roll", 0.15 * yaw)
    tracks.add(
        "mouthSmile*",
        0.22 * _pulse(tracks.times, at[1], 0.2 * act.length, 0.25 * act.length, 0.2 * act.length),
    )
    tracks.add("browOuterUp*", 0.25 * _pulse(tracks.times, at[3], 0.3, 0.1 * act.length, 0.3))


def _reacting(tracks: _Tracks, act: _Act, random: Generator) -> None:
    """Surprise, a doubtful pout with a frown, and two nods with a smile."""
    times, start, length = tracks.times, act.start, act.length
    surprise = _pulse(times, start, 0.08 * length, 0.12 * length, 0.14 * length)
    tracks.add("browInnerUp", 0.75 * surprise)
    tracks.add("browOuterUp*", 0.70 * surprise)
    tracks.add("eyeWide*", 0.55 * surprise)
    tracks.add("jawOpen", 0.28 * surprise)
    tracks.add("mouthFunnel", 0.20 * surprise)
    tracks.add("z", 0.006 * surprise)
    doubt = _pulse(times, start + 0.30 * length, 0.12 * length, 0.10 * length, 0.14 * length)
    tracks.add("mouthPucker", 0.55 * doubt)
    tracks.add("mouthFrown*", 0.30 * doubt)
    tracks.add("mouthShrugLower", 0.35 * doubt)
    tracks.add("browDown*", 0.45 * doubt)
    tracks.add("roll", float(random.choice([-8.0, 8.0])) * doubt)
    for share in (0.62, 0.78):
        tracks.add(
            "pitch", 8.0 * _pulse(times, start + share * length, 0.07 * length, 0.0, 0.10 * length)
        )
    tracks.add(
        "mouthSmile*",
        0.45 * _pulse(times, start + 0.58 * length, 0.12 * length, 0.12 * length, 0.18 * length),
    )


_ACTS: Mapping[str, Callable[[_Tracks, _Act, Generator], None]] = MappingProxyType(
    {
        "talking": _talking,
        "looking around": _looking_around,
        "laughing": _laughing,
        "turning": _turning,
        "reacting": _reacting,
    }
)


# ----- motion during all acts


def _idle(tracks: _Tracks, seconds: float, random: Generator) -> None:
    """Breathing and the little movements of a head that is held, not fixed."""
    window = _whole(tracks, seconds)
    tracks.add("y", 0.0012 * window * np.sin(2 * np.pi * 0.27 * tracks.times))
    for name, amount in (("yaw", 1.6), ("pitch", 1.1), ("roll", 1.0), ("x", 0.003), ("z", 0.003)):
        tracks.add(name, amount * window * _sway(tracks.times, random, 4.5))
    tracks.add("browInnerUp", 0.06 * window * (1 + _sway(tracks.times, random, 2.0)))


def _look(tracks: _Tracks, seconds: float, random: Generator) -> None:
    """Fixations a few degrees around where the eyes look anyway; then the eyes make up for the head's turns while they can."""
    window = _whole(tracks, seconds)
    times = tracks.times
    for name, spread in (("look_x", 2.0), ("look_y", 1.2)):
        keys = [(0.0, 0.0)]
        now = random.uniform(0.4, 1.0)
        while now < seconds:
            offset = float(np.clip(random.normal(0.0, spread), -2 * spread, 2 * spread))
            keys += [
                (now, keys[-1][1]),
                (now + _saccade_seconds(abs(offset - keys[-1][1])), offset),
            ]
            now += random.uniform(0.35, 1.4)
        tracks.add(name, window * _keys(times, keys))
    channels = tracks.channels
    yaw = _within((channels["look_x"] - channels["yaw"]) / _LIMIT_YAW)
    pitch = _within((channels["look_y"] + channels["pitch"]) / _LIMIT_PITCH)
    for name, values in (
        ("eyeLookOutLeft", yaw),
        ("eyeLookInRight", yaw),
        ("eyeLookInLeft", -yaw),
        ("eyeLookOutRight", -yaw),
        ("eyeLookUp*", pitch),
        ("eyeLookDown*", -pitch),
    ):
        tracks.add(name, np.maximum(values, 0.0))


def _blink(tracks: _Tracks, seconds: float, random: Generator) -> None:
    """Shut within 80 ms, open again within 160, every 2 to 5 seconds and with most large glances."""
    starts: list[float] = []
    wanted = [second for second in tracks.glances if random.random() < 0.7]
    now = random.uniform(0.8, 2.0)
    while now < seconds - _REST_SECONDS:
        wanted.append(now)
        now += random.uniform(2.0, 5.0)
    for second in sorted(wanted):
        if not starts or second - starts[-1] > 0.7:
            starts.append(second)
    shut = np.zeros(len(tracks.times))
    for start in starts:
        np.maximum(shut, _pulse(tracks.times, start, 0.08, 0.03, 0.16), out=shut)
    tracks.add("eyeBlink*", shut)
    for name in ("eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight"):
        tracks.channels[name] *= 1 - shut  # the lids are already as far as they go


def _whole(tracks: _Tracks, seconds: float) -> Float64Array:
    return _pulse(tracks.times, 0.1, 1.0, seconds - 2.2 - _REST_SECONDS / 2, 1.0)


def _within(values: Float64Array) -> Float64Array:
    """Compress to (-1, 1), nearly linear around 0."""
    return values / (1 + values**4) ** 0.25


def _saccade_seconds(degrees: float) -> float:
    """Duration of a saccade: the main sequence (Bahill, Clark and Stark 1975)."""
    return 0.021 + 0.0022 * degrees


def _frames(tracks: _Tracks, acts: Sequence[_Act]) -> tuple[PerformanceFrame, ...]:
    # It undoes jawOpen
    tracks.channels["mouthClose"] = np.minimum(
        tracks.channels["mouthClose"], tracks.channels["jawOpen"]
    )
    channels = dict(tracks.channels)
    yaw, pitch, roll = (channels.pop(name) for name in ("yaw", "pitch", "roll"))
    place = np.stack([channels.pop(name) for name in ("x", "y", "z")], 1).astype(np.float32)
    for name in ("look_x", "look_y"):
        del channels[name]
    result: list[PerformanceFrame] = []
    for i, time in enumerate(tracks.times):
        scores = np.clip(
            expression(**{name: float(values[i]) for name, values in channels.items()}), 0.0, 1.0
        )
        act = next((act.name for act in acts if act.start <= time < act.end), "rest")
        result.append(
            PerformanceFrame(
                float(time),
                act,
                scores,
                float(yaw[i]),
                float(pitch[i]),
                float(roll[i]),
                place[i],
                gaze_from_expression(scores),
            )
        )
    return tuple(result)
