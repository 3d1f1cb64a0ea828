"""All readers of untrusted input, as functions of bytes that may raise nothing but UserError.

The property tests (test_fuzz.py) and the long runs by atheris (run.py) share them.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription
from PIL import Image

from corrective_toys import with_toy_correctives
from perse_live.avatar import load_avatar, save_avatar
from perse_live.container import MAX_FILE_BYTES
from perse_live.engines.folder import MANIFEST, read_folder
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from perse_live.motion import MotionState
from perse_live.motion_file import (
    MotionFrame,
    MotionHeader,
    MotionWriter,
    read_header,
    read_motion,
)
from perse_live.photo import read_picture
from perse_live.rotations import from_axis_angle
from runtime.live.actions import Action
from runtime.live.settings import load_settings
from runtime.replay import motion_of
from runtime.sources import vmc
from runtime.sources.osc import messages
from runtime.web.messages import perform
from runtime.web.offers import parse_offer
from runtime.web.peers import Peer
from toys import toy_avatar

SEEDS = Path(__file__).parent / "seeds"
Target = Callable[[bytes], None]
_MAX_FRAMES = 20  # of a film that are decoded
_MAX_MOMENTS = 500  # of recorded motion
_RATE = Fraction(25)


class _Control:
    """Takes every action that is well formed."""

    recorded: Path | None = None

    def act(self, action: Action) -> None:
        repr(action)


@functools.cache
def _folder() -> Path:
    memory = Path("/dev/shm")  # a busy disk would count as a hang
    folder = Path(
        tempfile.mkdtemp(prefix="perse-live-fuzz-", dir=memory if memory.is_dir() else None)
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _refused(error: UserError) -> None:
    """A refusal is one line that a terminal can show."""
    text = str(error)
    assert "\n" not in text and len(text) < 1500, text


def avatar(data: bytes) -> None:
    """A .perse file."""
    try:
        load_avatar(_file("fuzz.perse", data[:MAX_FILE_BYTES]))
    except UserError as error:
        _refused(error)


def control(data: bytes) -> None:
    """A message on the data channel or by HTTP."""
    try:
        perform(_Control(), data.decode("utf-8", "surrogateescape"))  # pyright: ignore[reportArgumentType]
    except UserError as error:
        _refused(error)


def offer(data: bytes) -> None:
    """An SDP offer, from the body to the answer."""

    async def answer() -> None:
        checked = parse_offer(data, local_peer=True)
        checked.codec_obstacle("H264")
        peer = Peer((), lambda _: None)
        try:
            transceiver = peer.connection.addTransceiver("video", direction="recvonly")
            with contextlib.suppress(UserError):
                await peer.answer(checked, transceiver, loopback=True)
        finally:
            await peer.end()

    try:
        asyncio.run(asyncio.wait_for(answer(), 10))
    except UserError as error:
        _refused(error)


def osc(data: bytes) -> None:
    """A packet to the VMC source; whatever it is, the frame stays finite."""
    performer = vars(vmc)["_Performer"]()
    for address, arguments in messages(data, prefix=b"/VMC/"):
        performer.take(address, arguments)
    frame = performer.frame(0.0)
    for values in (frame.expression, frame.R_cam_head, frame.gaze):
        assert np.isfinite(values).all()


def engines(data: bytes) -> None:
    """The manifest of a folder of engines, and the files that it names."""
    _file(MANIFEST, data)
    _file("animate.onnx", b"12345")
    try:
        found = read_folder(_folder())
        for one in found.files[:5]:
            with contextlib.suppress(UserError):
                found.read(one)
    except UserError as error:
        _refused(error)


def settings(data: bytes) -> None:
    """A settings file."""
    try:
        load_settings(_file("config.toml", data))
    except UserError as error:
        _refused(error)


def photo(data: bytes) -> None:
    """A photo, a further view, a background."""
    try:
        picture = read_picture(_file("photo.jpg", data))
        assert picture.ndim == 3 and picture.shape[2] == 3
    except UserError as error:
        _refused(error)


def film(data: bytes) -> None:
    """A film for drive, a further view, or a camera."""
    try:
        opened = open_film(_file("film.mp4", data))
        with contextlib.closing(opened.frames()) as frames:
            for frame in itertools.islice(frames, _MAX_FRAMES):
                assert frame.image.shape == (opened.height, opened.width, 3)
        opened.warnings()
    except UserError as error:
        _refused(error)


def motion(data: bytes) -> None:
    """A recording of motion, as `drive` draws it again."""
    try:
        path = _file("fuzz.motion", data)
        backdrop = read_header(path).background
        assert backdrop in ("green", "photo", "alpha", "image") or int(backdrop, 16) < 2**24
        with contextlib.closing(read_motion(path)) as frames:
            for frame in itertools.islice(frames, _MAX_MOMENTS):
                shown = motion_of(frame)
                for values in (shown.expression, shown.gaze, shown.pose.t_cam_head, frame.offsets):
                    assert np.isfinite(values).all()
    except UserError as error:
        _refused(error)


TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (avatar, control, offer, osc, engines, settings, photo, film, motion)
}


def seeds(name: str) -> list[bytes]:
    """Sound inputs, and those that were wrong once (`seeds/NAME/`)."""
    kept = [path.read_bytes() for path in sorted((SEEDS / name).glob("*"))]
    return [*kept, *_MADE.get(name, list[bytes])()]


def _sound_avatar() -> list[bytes]:
    path = _folder() / "seed.perse"
    save_avatar(path, with_toy_correctives(toy_avatar()))
    return [path.read_bytes()]


def _sound_photos() -> list[bytes]:
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    found: list[bytes] = []
    for suffix, mode in (
        (".jpg", "RGB"),
        (".jpg", "CMYK"),
        (".png", "RGBA"),
        (".png", "P"),
        (".webp", "RGB"),
        (".tiff", "RGB"),
        (".gif", "P"),
        (".bmp", "RGB"),
    ):
        path = _folder() / f"seed{suffix}"
        Image.fromarray(ramp).convert(mode).save(path)
        found.append(path.read_bytes())
    return found


def _sound_films() -> list[bytes]:
    found: list[bytes] = []
    for suffix in (".mp4", ".mkv", ".mov"):
        path = _folder() / f"seed{suffix}"
        with film_writer(path, width=64, height=48, rate=_RATE) as writer:
            for k in range(6):
                writer.write(np.full((48, 64, 3), 20 * k, np.uint8))
        found.append(path.read_bytes())
    return found


def _sound_offers() -> list[bytes]:
    async def made() -> bytes:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTransceiver("video", direction="sendonly")
        peer.createDataChannel("control")
        await peer.setLocalDescription(await peer.createOffer())
        sdp = peer.localDescription.sdp
        await peer.close()
        SessionDescription.parse(sdp)
        return sdp.encode()

    return [asyncio.run(made())]


def _sound_motion() -> list[bytes]:
    header = MotionHeader(128, 96, 30.0, "bottom-right", "d9dbde", ("hat",))
    turned = from_axis_angle(np.array([0.1, 0.2, 0.0])).astype(np.float32)
    file = io.BytesIO()
    writer = MotionWriter(file, header)
    for k in range(70):  # of 30 a second: a second key message, too
        state = MotionState(
            np.full(52, k / 70, np.float32),
            np.full((2, 2), 0.01 * k, np.float32),
            turned,
            np.array([0, 0, 0.6], np.float32),
            turned,
            np.full(4, 0.1, np.float32),
            np.full(1, 0.5, np.float32),
        )
        writer.write(MotionFrame(k / 30, state, np.full((478, 3), 1e-4 * (k % 3), np.float32)))
    return [file.getvalue()]


_MADE: dict[str, Callable[[], list[bytes]]] = {
    "avatar": _sound_avatar,
    "photo": _sound_photos,
    "film": _sound_films,
    "offer": _sound_offers,
    "motion": _sound_motion,
}
