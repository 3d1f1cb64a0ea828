"""What goes wrong in a call, on the real pipeline: the session comes back by itself, and nothing is lost."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_avatars import dressable_avatar
from running_session import HeldCamera, pictures, running, scene, told, until
from test_live_command import folder, live

from perse_live.arrays import UInt8Array
from perse_live.film.reader import open_film
from runtime.engines.cpu import CpuEngine
from runtime.live.actions import SwitchAvatar
from runtime.live.painter import Actor, Painter, actor_of
from runtime.sources.contract import SourceLost
from runtime.tracker import StrangerTracker

__all__ = ["folder"]  # a fixture
_ENLARGED = np.repeat(np.repeat(scene(), 2, 0), 2, 1)
_BLACK: UInt8Array = np.zeros((240, 320, 3), np.uint8)


@pytest.fixture(scope="module")
def me() -> Actor:
    return actor_of("me", dressable_avatar())


def face_is(session: Any, word: str) -> None:
    until(lambda: told(session)["face"] == word, f"the face is not {word}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [_BLACK, None, SourceLost("camera 0 is gone")], ids=["black", "stalled", "unplugged"]
)
def test_a_camera_that_shows_nothing_for_a_while_is_followed_again(
    me: Actor, fault: UInt8Array | Exception | None
) -> None:
    camera = HeldCamera(scene())
    with running([me], camera) as session:
        face_is(session, "tracked")
        camera.before = fault
        face_is(session, "idle")
        assert len(pictures(session, 3)) == 3, "the avatar is there meanwhile"
        camera.before = scene(shift=10)
        face_is(session, "tracked")
        assert told(session)["source"]["problem"] == ""


@pytest.mark.slow
def test_a_camera_that_changes_its_size_is_followed_on(me: Actor) -> None:
    camera = HeldCamera(scene())
    with running([me], camera) as session:
        face_is(session, "tracked")
        for before in (_ENLARGED, scene()[:, 20:300], scene()):
            camera.before = np.ascontiguousarray(before)
            pictures(session, 15)
            face_is(session, "tracked")


@pytest.mark.slow
def test_a_tracker_that_raises_is_started_again(me: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    update, broken = StrangerTracker.update, [True]

    def failing(self: StrangerTracker, *arguments: Any) -> Any:
        if broken[0]:
            raise RuntimeError("the graph has stopped")
        return update(self, *arguments)

    with running([me], HeldCamera(scene())) as session:
        face_is(session, "tracked")
        monkeypatch.setattr(StrangerTracker, "update", failing)
        until(lambda: "begins again: the graph has stopped" in told(session)["source"]["problem"])
        assert len(pictures(session, 3)) == 3, "the avatar is there meanwhile"
        broken[0] = False
        face_is(session, "tracked")
        until(lambda: told(session)["source"]["problem"] == "")
        assert not session.ended


def failing_paint(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Drawing fails so many times, counted from the first."""
    paint, left = Painter.paint, [times]

    def failing(self: Painter, *arguments: Any, **options: Any) -> UInt8Array:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return paint(self, *arguments, **options)

    monkeypatch.setattr(Painter, "paint", failing)


def test_drawing_that_fails_once_begins_again_and_the_recording_goes_on(
    me: Actor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running([me], HeldCamera(scene()), record_to=tmp_path / "me.mp4") as session:
        session.record_now()
        pictures(session, 5)
        failing_paint(monkeypatch, 1)
        until(
            lambda: any(
                "drawing has failed and begins again: RuntimeError: CUDA error" in one
                for one in told(session)["notices"]
            )
        )
        numbers = [frame.number for frame in pictures(session, 10)]
        assert numbers == sorted(set(numbers))
        face_is(session, "tracked")
        assert session.failure is None and not session.ended
        assert told(session)["sinks"] == [{"name": "recording me.mp4", "problem": ""}]
    assert len(list(open_film(tmp_path / "me.mp4").frames())) > 10


def test_an_engine_whose_drawing_fails_twice_gives_way_to_the_cpu(
    me: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Borrowed(CpuEngine):
        """Stands for an engine on a GPU."""

        def drawer(self, width: int, height: int, *, threads: int) -> Any:
            drawer = super().drawer(width, height, threads=threads)
            drawers.append(drawer)
            return drawer

    drawers: list[Any] = []
    with running([replace(me, engine=Borrowed())]) as session:
        pictures(session, 3)
        failing_paint(monkeypatch, 2)
        until(lambda: any("goes on with the CPU" in one for one in told(session)["notices"]))
        count = len(drawers)
        assert len(pictures(session, 5)) == 5
        assert len(drawers) == count, "its engine is not used any more"


def test_drawing_that_fails_for_good_ends_the_session_and_keeps_the_recording(
    me: Actor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running([me], record_to=tmp_path / "me.mp4") as session:
        session.record_now()
        pictures(session, 5)
        failing_paint(monkeypatch, -1)
        until(lambda: session.ended)
        assert "illegal memory access" in str(session.failure)
    assert len(list(open_film(tmp_path / "me.mp4").frames())) >= 3


def test_switching_to_an_avatar_that_cannot_be_drawn_keeps_the_one_before(me: Actor) -> None:
    broken = replace(me, name="broken", avatar=replace(me.avatar, colors=me.avatar.colors[:10]))
    with running([me, broken]) as session:
        pictures(session, 3)
        for _ in range(3):
            session.act(SwitchAvatar(2))
            until(lambda: told(session)["avatar"] == 1)
            assert len(pictures(session, 3)) == 3
        assert any(
            "the avatar broken cannot be drawn, so me stays" in one
            for one in told(session)["notices"]
        )
        assert session.failure is None


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_changes_nothing(
    me: Actor, hours: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = time.time
    with running([me], HeldCamera(scene()), record_to=tmp_path / "me.mp4") as session:
        session.record_now()
        face_is(session, "tracked")
        monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
        numbers = [frame.number for frame in pictures(session, 15)]
        assert numbers == sorted(set(numbers))
        face_is(session, "tracked")
    times = [float(frame.time) for frame in open_film(tmp_path / "me.mp4").frames()]
    assert len(times) > 10 and times[-1] < 600


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit a running process")
def test_a_disk_that_fills_while_recording_leaves_the_session_and_the_last_good_recording(
    folder: Path, tmp_path: Path
) -> None:
    """The limit of a file's size (prlimit) stands for the disk: the system refuses the next byte as it would there."""
    import resource

    good, names = tmp_path / "out.mp4", ["out.mp4", "out-2.mp4", "out-3.mp4"]
    with live(folder, "--camera", "face.mp4", "--record", str(good)) as session:

        def recorded() -> list[str]:
            return [
                one["path"]
                for one in [session.get("api/state")["recording"]]
                if one is not None and one["seconds"] > 2
            ]

        until(lambda: recorded() == names[:1])
        session.act(action="record", on=False)
        until(lambda: session.get("api/state")["recorded"] == names[0])
        unlimited = resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE, (8_000, unlimited[1]))
        session.act(action="record", on=True)
        until(lambda: any(one["problem"] for one in session.get("api/state")["sinks"]))
        until(lambda: session.get("api/state")["recording"] is None)
        (sink,) = session.get("api/state")["sinks"]
        assert "cannot write" in sink["problem"] and "too large" in sink["problem"]
        assert session.served_recording() == good.read_bytes()
        until(lambda: session.get("api/stats")["fps"] > 0, "no more pictures")
        resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE, unlimited)
        session.act(action="record", on=True)
        until(lambda: len(recorded()) == 1)
        session.process.terminate()
        code, complaints = session.ends()
    assert code == 0 and len(complaints.splitlines()) == 1, complaints
    assert "too large" in complaints
    lengths = {path.name: len(list(open_film(path).frames())) for path in tmp_path.iterdir()}
    assert set(names[:2]) <= set(lengths) <= set(names), "no stub, nothing unfinished"
    assert min(lengths.values()) >= 1 and lengths[names[0]] > 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP")
def test_a_machine_that_sleeps_wakes_into_the_same_session(folder: Path, tmp_path: Path) -> None:
    with live(folder, "--camera", "face.mp4", "--record", str(tmp_path / "out.mp4")) as session:
        until(lambda: session.get("api/state")["face"] == "tracked")
        session.process.send_signal(signal.SIGSTOP)
        time.sleep(5.0)
        session.process.send_signal(signal.SIGCONT)
        until(lambda: session.get("api/state")["face"] == "tracked")
        assert session.get("api/state")["sinks"] == [{"name": "recording out.mp4", "problem": ""}]
        session.process.terminate()
        assert session.ends() == (0, "")
    assert len(list(open_film(tmp_path / "out.mp4").frames())) > 5
