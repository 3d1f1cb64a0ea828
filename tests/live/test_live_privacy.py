"""The camera's picture is tracked and goes nowhere: it is never shown, recorded or sent, whatever happens.

The avatar and what stands behind it have no colour here, or green and blue at most, and the camera sees a magenta room: one pixel
of magenta in any output would be the camera's.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from live_avatars import grey_avatar
from PIL import Image
from running_session import (
    EMPTY_ROOM,
    SMALL,
    Gallery,
    HeldCamera,
    pictures,
    running,
    scene,
    told,
    until,
)
from web_session import watching
from whip_server import WhipServer, whip_server

from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar, save_avatar
from perse_live.camera import Camera
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from runtime.engines.contract import Drawer, EngineName
from runtime.engines.cpu import CpuEngine
from runtime.live.actions import (
    Action,
    Hide,
    Mirror,
    Recalibrate,
    Record,
    SetBackground,
    SwitchAvatar,
)
from runtime.live.clock import StageClock
from runtime.live.feeds import Observation
from runtime.live.frames import DrawnFrame
from runtime.live.painter import Actor, actor_of
from runtime.sinks.whip import WhipSink
from runtime.sources.contract import SourceLost
from runtime.tracker import TrackedFrame
from runtime.web.codec import EncodeConfig
from runtime.web.server import WebConfig, WebServer
from runtime.web.whip_http import whip_target

ROOT = Path(__file__).parents[2]
STAGES = ("perse_live", "offline", "export", "runtime")


def magenta(image: UInt8Array) -> int:
    """By how much red and blue exceed green, at most."""
    wide = image.astype(int)
    return int((np.minimum(wide[..., 0], wide[..., 2]) - wide[..., 1]).max())


def colour(image: UInt8Array) -> int:
    """By how much the channels of a pixel differ, at most."""
    return int((image.max(2).astype(int) - image.min(2)).max())


class Guard(Gallery):
    """A sink that finds out what is not grey, or magenta, in any frame."""

    def __init__(self) -> None:
        super().__init__(self._judge)
        self.most_magenta = self.most_colour = -255

    def _judge(self, frame: DrawnFrame) -> None:
        self.most_magenta = max(self.most_magenta, magenta(frame.image))
        self.most_colour = max(self.most_colour, colour(frame.image))


@pytest.fixture(scope="module")
def me() -> Actor:
    return actor_of("me", grey_avatar())


@pytest.fixture(scope="module")
def friend() -> Actor:
    return actor_of("friend", grey_avatar(gaussians=1500))


def test_the_test_would_see_it() -> None:
    for image in (scene(), EMPTY_ROOM):
        assert magenta(image) == 255
    assert colour(scene(color=(120, 120, 120))) > 50, "a face has colour too"


@pytest.mark.slow
def test_no_frame_in_any_state_has_anything_of_the_camera(
    me: Actor, friend: Actor, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), (70, 70, 70)).save(tmp_path / "grey.png")
    config = replace(SMALL, background=str(tmp_path / "grey.png"))
    camera, guard = HeldCamera(EMPTY_ROOM), Guard()
    sent = list[int]()  # the most colour in each picture that a WHIP server gets
    with (
        whip_server() as server,
        running([me, friend], camera, config=config, record_to=tmp_path / "all.mp4") as session,
    ):
        server.look = lambda image: sent.append(colour(image))
        session.add_sink(guard)
        session.add_sink(WhipSink(whip_target(server.url, None), EncodeConfig()))
        session.act(Record(True))

        def states(*actions: Action) -> Iterator[str]:
            for action in actions:
                session.act(action)
                pictures(session, 4)
                yield repr(action)

        everything: tuple[Action, ...] = (
            SetBackground("photo"),
            SetBackground("808080"),
            SetBackground("image"),
            SetBackground("alpha"),
            SetBackground("d0d0d0"),
            SwitchAvatar(2),
            Hide(True),
            SwitchAvatar(1),
            Hide(False),
            Mirror(),
            Recalibrate(0.1),
        )
        for before in (
            EMPTY_ROOM,
            scene(),
            scene(shift=30),
            EMPTY_ROOM,
            SourceLost("gone"),
            scene(),
            None,
            RuntimeError("it has crashed"),
        ):
            camera.before = before
            if isinstance(before, np.ndarray) and (before != EMPTY_ROOM).any():
                until(lambda: told(session)["face"] == "tracked")
            for state in states(*everything):
                assert guard.most_colour <= 16, (
                    f"{before!r:.40} {state}: only the badge is not wholly grey"
                )
        until(lambda: "crashed" in told(session)["source"]["problem"])
        pictures(session, 3)
    assert guard.count > 100
    assert guard.most_colour <= 16 and guard.most_magenta <= 10
    recorded = [frame.image for frame in open_film(tmp_path / "all.mp4").frames()]
    assert len(recorded) > 50
    assert max(colour(image) for image in recorded) <= 30  # the encoder's rounding
    assert max(magenta(image) for image in recorded) <= 25
    assert len(sent) > 20 and max(sent) <= 40  # VP8 at its first keyframes


@pytest.mark.slow
def test_neither_on_coloured_backgrounds_nor_as_a_matte(me: Actor, tmp_path: Path) -> None:
    for background in ("green", "alpha"):
        guard = Guard()
        config = replace(SMALL, background=background)
        with running(
            [me], HeldCamera(scene()), config=config, record_to=tmp_path / f"{background}.mkv"
        ) as session:
            session.add_sink(guard)
            session.record_now()
            until(lambda: told(session)["face"] == "tracked")
            pictures(session, 10)
            session.act(Hide())
            pictures(session, 5)
        assert guard.count >= 10
        assert guard.most_magenta <= 10
        recorded = [
            magenta(frame.image) for frame in open_film(tmp_path / f"{background}.mkv").frames()
        ]
        assert len(recorded) >= 10 and max(recorded) <= 30


@pytest.mark.slow
def test_before_the_first_face_and_for_wrong_pictures_too(me: Actor) -> None:
    guard = Guard()
    camera = HeldCamera(np.full((16, 16, 3), (255, 0, 255), np.uint8))
    with running([me], camera) as session:
        session.add_sink(guard)
        pictures(session, 5)
        camera.before = np.full((240, 320), 255, np.uint8)  # no picture at all
        until(lambda: told(session)["source"]["problem"] != "")
        pictures(session, 5)
        assert session.failure is None
    assert guard.most_colour <= 16


@pytest.mark.slow
def test_viewers_and_the_api_get_nothing_of_it(me: Actor) -> None:
    config = replace(SMALL, width=256, height=192, background="808080")
    with running([me], HeldCamera(scene()), config=config) as session:
        server = WebServer(session, StageClock(), WebConfig(port=0))
        url = server.start()
        try:

            async def watch() -> list[int]:
                found: list[int] = []
                async with watching(url) as (watcher,):
                    deadline = time.monotonic() + 30
                    while len(found) < 15 and time.monotonic() < deadline:
                        await watcher.decoded(1)
                        assert watcher.image is not None
                        found.append(colour(watcher.image))
                async with aiohttp.ClientSession() as http:
                    for path in ("", "obs", "api/state", "api/stats"):
                        async with http.get(f"{url}{path}") as reply:
                            assert reply.status == 200
                            assert not (reply.content_type or "").startswith(("image/", "video/"))
                    for path in ("camera", "api/camera", "frame", "snapshot.jpg", "api/frame"):
                        async with http.get(f"{url}{path}") as reply:
                            assert reply.status == 404
                return found

            until(lambda: told(session)["face"] == "tracked")
            seen = asyncio.run(watch())
        finally:
            server.close()
    assert len(seen) == 15
    assert max(seen) <= 40  # VP8 at its first keyframes; the room would give 255


@dataclass
class FailingDrawer:
    """Draws so many pictures, then fails as a driver does."""

    inner: Drawer
    left: int

    def render(
        self, gaussians: Any, camera: Camera, /, *, background: tuple[float, float, float]
    ) -> UInt8Array:
        self._count()
        return self.inner.render(gaussians, camera, background=background)

    def render_rgba(self, gaussians: Any, camera: Camera, /) -> UInt8Array:
        self._count()
        return self.inner.render_rgba(gaussians, camera)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("the device was lost")


@dataclass(frozen=True)
class FailingEngine:
    name: EngineName = "cpu"

    def poser(self, avatar: Avatar, *, threads: int) -> Any:
        return CpuEngine().poser(avatar, threads=threads)

    def drawer(self, width: int, height: int, *, threads: int) -> Any:
        return FailingDrawer(CpuEngine().drawer(width, height, threads=threads), left=60)


class FailingSink(Gallery):
    """Takes a few frames, then fails, and fails again when it is closed."""

    name = "failing"

    def write(self, frame: DrawnFrame) -> None:
        if self.count > 5:
            raise OSError("no space left on device")
        super().write(frame)

    def close(self) -> None:
        raise RuntimeError("it cannot be closed")


@pytest.mark.slow
def test_a_crash_while_drawing_leaves_nothing_of_the_camera(
    me: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what is drawn after it: drawing begins again, then with the CPU's engine, which fails here too and ends the session."""
    monkeypatch.setattr("runtime.live.scene.CpuEngine", FailingEngine)
    guard = Guard()
    actor = replace(me, engine=FailingEngine())
    config = replace(SMALL, background="808080")
    with running(
        [actor], HeldCamera(scene()), config=config, record_to=tmp_path / "out.mkv"
    ) as session:
        session.add_sink(guard)
        session.record_now()
        until(lambda: session.ended)
        assert session.failure is not None
    assert guard.count >= 10 and guard.most_colour <= 16
    assert_nothing_of_the_camera(tmp_path, least=10)


@pytest.mark.slow
def test_a_sink_that_crashes_leaves_nothing_of_the_camera(me: Actor, tmp_path: Path) -> None:
    guard = Guard()
    config = replace(SMALL, background="808080")
    with running(
        [me], HeldCamera(scene()), config=config, record_to=tmp_path / "out.mkv"
    ) as session:
        session.add_sink(FailingSink())
        session.add_sink(guard)
        session.record_now()
        until(lambda: any("no space left" in sink["problem"] for sink in told(session)["sinks"]))
        pictures(session, 20)
        assert session.failure is None
    assert guard.most_colour <= 16
    assert_nothing_of_the_camera(tmp_path, least=10)


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "ending"), [(".mp4", "SIGHUP"), (".mkv", "SIGKILL")])
def test_a_recording_from_the_command_line_has_nothing_of_the_camera(
    tmp_path: Path, suffix: str, ending: str
) -> None:
    """Nor has what is published, nor anything else that the process leaves, however it is ended."""
    with whip_server("a-stream-key-of-ours") as server:
        _record_and_publish(tmp_path, suffix, ending, server)
        assert server.stream.deleted == (ending == "SIGHUP"), (
            "the server is told, unless it is a kill"
        )


def _record_and_publish(tmp_path: Path, suffix: str, ending: str, server: WhipServer) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    key = tmp_path / "in" / "stream.key"
    key.write_text("a-stream-key-of-ours\n")
    key.chmod(0o600)
    sent = list[int]()
    server.look = lambda image: sent.append(colour(image))
    save_avatar(tmp_path / "in" / "me.perse", grey_avatar())
    with film_writer(
        tmp_path / "in" / "camera.mp4", width=320, height=240, rate=Fraction(25)
    ) as writer:
        for shift in range(50):
            writer.write(scene(shift=shift // 4) if shift < 40 else EMPTY_ROOM)
    command = [
        sys.executable,
        "-m",
        "perse_live.cli",
        "live",
        str(tmp_path / "in" / "me.perse"),
        "--camera",
        str(tmp_path / "in" / "camera.mp4"),
        "--record",
        f"out{suffix}",
        "--port",
        "0",
        "--no-browser",
        "--no-hotkeys",
        "--size",
        "128",
        "--background",
        "808080",
        "--publish",
        server.url,
        "--publish-token-file",
        str(key),
    ]
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(tmp_path / "in"),
        "TMPDIR": str(tmp_path / "out"),
    }
    process = subprocess.Popen(
        command,
        cwd=tmp_path / "out",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("ready: "), process.communicate(timeout=60)[1]
    url = ready.removeprefix("ready: ").strip()
    assert "#" not in url, "another person is logged in here: the page asks for a token"

    def state() -> Any:
        with urllib.request.urlopen(f"{url}api/state", timeout=20) as reply:
            return json.load(reply)

    until(lambda: state()["face"] == "tracked")
    until(lambda: state()["recording"]["seconds"] > 2)
    until(lambda: len(sent) > 20)
    publishing = next(one for one in state()["sinks"] if one["name"].startswith("publishing to "))
    assert publishing["problem"] == ""
    process.send_signal(getattr(signal, ending))
    _, said = process.communicate(timeout=60)
    assert "a-stream-key-of-ours" not in said and "Traceback" not in said
    assert max(sent) <= 60  # the badge, as the encoder has it
    assert_nothing_of_the_camera(tmp_path / "out", least=0 if ending == "SIGKILL" else 20)


def assert_nothing_of_the_camera(folder: Path, *, least: int) -> None:
    """Every file in a folder is a film without colour, or one that cannot be read at all; with so many pictures in them."""
    count = 0
    for path in folder.rglob("*"):
        if path.suffix == ".json":  # says how the film was made
            assert path.stat().st_size < 20_000
        elif path.name == ".in-use":  # the lock on a folder for uploads, left by a kill
            assert path.stat().st_size == 0
        elif path.is_file():
            try:
                images = [frame.image for frame in open_film(path).frames()]
            except UserError:  # cut off by a kill
                assert path.name.startswith(".") and ".part" in path.name, path
                continue
            count += len(images)
            assert max(map(magenta, images), default=0) <= 30, path
            # The badge, as the encoder has it
            assert max(map(colour, images), default=0) <= 60, path
    assert count >= least


# ----- how it is built


def names_in(module: Path) -> set[str]:
    """All names that a module imports or speaks of."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names} | {node.module or ""}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names


@cache
def modules() -> dict[str, set[str]]:
    return {
        path.relative_to(ROOT).as_posix(): names_in(path)
        for stage in STAGES
        for path in (ROOT / stage).rglob("*.py")
    }


def test_only_sources_know_captured_frames() -> None:
    users = {module for module, names in modules().items() if "CapturedFrame" in names}
    assert users <= {
        "runtime/live/frames.py",
        "runtime/sources/contract.py",
        "runtime/sources/camera.py",
        "runtime/sources/film.py",
        "runtime/sources/browser.py",
    }
    assert "runtime/sources/contract.py" in users


def test_only_the_feed_reads_pictures_from_sources() -> None:
    """What opens sources hands them over; what draws, shows, records and serves has no part in them."""
    kinds = {"PictureSource", "CameraSource", "FilmSource", "BrowserCamera", "open_source"}
    users = {
        module
        for module, names in modules().items()
        if kinds & names and not module.startswith("runtime/sources/")
    }
    assert users <= {
        "runtime/live/feeds.py",
        "runtime/live/run.py",
        "runtime/doctor/trial.py",
        "runtime/doctor/devices.py",
        "runtime/web/server.py",
        "runtime/web/publisher.py",
    }  # the last two only put the browser's pictures in
    web = (ROOT / "runtime" / "web").glob("*.py")
    for path in web:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Attribute | ast.Name)
            and "camera" in ast.unparse(node.func.value)
        }
        assert "read" not in calls, f"{path.name} reads from a camera"


@pytest.mark.parametrize("side", ["painter", "session", "outlets", "gains", "badge", "framing"])
def test_what_draws_gets_numbers_only(side: str) -> None:
    names = modules()[f"runtime/live/{side}.py"]
    assert (
        not {"CapturedFrame", "PictureSource", "VideoFaceDetector", "runtime.sources.contract"}
        & names
    )


def test_what_leaves_the_feed_has_no_room_for_a_picture() -> None:
    assert {field.name for field in fields(Observation)} == {"motion", "captured"}
    shapes = {"expression", "R_cam_head", "t_cam_head", "gaze", "residual"}
    assert {field.name for field in fields(TrackedFrame)} == shapes | {"timestamp", "confidence"}


def test_sinks_and_viewers_only_take_drawn_frames() -> None:
    for module, names in modules().items():
        if (
            module.startswith(("runtime/sinks/", "runtime/web/"))
            and module != "runtime/web/publisher.py"
        ):
            assert "CapturedFrame" not in names
            assert "runtime.live.feeds" not in names
            assert "runtime.sources.contract" not in names
