from __future__ import annotations

import gc
import json
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_avatars import dressable_avatar
from motions import turned
from PIL import Image
from running_session import (
    EMPTY_ROOM,
    PATIENCE,
    SMALL,
    Gallery,
    HeldCamera,
    clocks,
    motionless,
    own_threads,
    pictures,
    running,
    scene,
    told,
    tracking,
    until,
)
from voices import Playing, tone

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from runtime.live.actions import (
    ClearAttributes,
    Hide,
    Mirror,
    Recalibrate,
    Record,
    SetAttribute,
    SetBackground,
    SetBadge,
    SetGain,
    SetPicture,
    SetVirtualCamera,
    SetWeights,
    StepAttribute,
    SwitchAvatar,
)
from runtime.live.feeds import MotionFeed
from runtime.live.frames import CapturedFrame, DrawnFrame
from runtime.live.painter import Actor, actor_of
from runtime.live.scripted import performance_script
from runtime.live.session import LiveSession
from runtime.sinks.contract import Sink
from runtime.sound.voice import Voice
from runtime.sources.contract import SourceLost
from runtime.sources.film import FilmSource
from runtime.tracker import TrackedFrame
from toys import toy_avatar

pytestmark = pytest.mark.slow  # real tracking in real time

NECK = np.array([0.0, -0.12, -0.1])


@pytest.fixture(scope="module")
def me() -> Actor:
    return actor_of("me", dressable_avatar(gaussians=12_000))


@pytest.fixture(scope="module")
def friend() -> Actor:
    toy = toy_avatar()
    return actor_of("friend", replace(toy, colors=1 - toy.colors))


def middle(image: UInt8Array) -> float:
    """Where the avatar is on the usual background, pixels from the left."""
    columns = np.nonzero((np.abs(image.astype(int) - (217, 219, 222)).max(2) > 30).any(0))[0]
    return float(columns.mean())


def difference(a: DrawnFrame, b: DrawnFrame) -> float:
    return float(np.abs(a.image.astype(int) - b.image).mean())


# ----- following


def film(path: Path, images: list[UInt8Array]) -> Path:
    with film_writer(path, width=320, height=240, rate=Fraction(25)) as writer:
        for image in images:
            writer.write(image)
    return path


def test_an_avatar_follows_the_face_in_a_film(me: Actor, tmp_path: Path) -> None:
    path = film(tmp_path / "me.mp4", [scene()] * 60 + [scene(shift=40)] * 100)
    with running([me], FilmSource(path, repeat=True), kind="file") as session:
        assert told(session)["source"] == {"name": "me.mp4", "kind": "file", "problem": ""}
        until(lambda: told(session)["calibration"]["phase"] == "done")
        places: list[float] = []
        until(lambda: not places.append(middle(pictures(session)[0].image)) and np.ptp(places) > 4)
        assert told(session)["face"] == "tracked"
        answers: list[DrawnFrame] = []
        until(lambda: not answers.extend(pictures(session)) and answers[-1].captured is not None)
        assert 0 < answers[-1].time - (answers[-1].captured or 0) < 30
        assert not session.ended, "it is repeated"


def test_a_face_that_goes_is_held_then_the_avatar_idles_and_it_comes_back(me: Actor) -> None:
    camera = HeldCamera(EMPTY_ROOM)
    with running([me], camera) as session:
        assert told(session)["face"] == "idle"
        assert told(session)["calibration"]["phase"] == "waiting"
        assert session.stats()["latency_ms"] is None
        camera.before = scene()
        until(lambda: told(session)["face"] == "tracked")
        until(lambda: told(session)["calibration"]["phase"] == "done")
        until(lambda: told(session)["face"] == "tracked")  # learning may have taken a moment
        words: list[str] = []
        camera.before = EMPTY_ROOM
        until(lambda: not words.append(told(session)["face"]) and words[-1] == "idle")
        assert list(dict.fromkeys(words)) == ["tracked", "held", "idle"]
        assert pictures(session)[0].captured is None
        camera.before = scene()
        until(lambda: told(session)["face"] == "tracked")
        camera.before = None  # the camera hangs
        until(lambda: told(session)["face"] == "idle")
        assert len(pictures(session, 3)) == 3, "frames come all the same"


def test_without_a_camera_the_script_goes_on(me: Actor) -> None:
    with running([me], script=performance_script(NECK)) as session:
        assert told(session)["face"] == "none"
        assert told(session)["source"] == {"name": "none", "kind": "none", "problem": ""}
        frames = pictures(session, 20)
        assert max(difference(frames[0], frame) for frame in frames) > 0.3
        numbers = [frame.number for frame in frames]
        assert numbers == sorted(set(numbers))
        with pytest.raises(UserError, match="no camera"):
            session.act(Recalibrate())


def test_calibrating_again_counts_down_and_learns(me: Actor) -> None:
    camera = HeldCamera(scene())
    with running([me], camera) as session:
        until(lambda: told(session)["calibration"]["phase"] == "done")
        session.act(Recalibrate(3.0))
        calibration = told(session)["calibration"]
        assert calibration["phase"] == "countdown"
        assert 0 < calibration["seconds"] <= 3
        phases: list[str] = []
        until(
            lambda: (
                not phases.append(told(session)["calibration"]["phase"]) and phases[-1] == "done"
            )
        )
        assert "learning" in phases or "waiting" in phases


class Phone:
    """A source of motion that tests steer."""

    name = "VMC on UDP port 39539"

    def __init__(self, motion: TrackedFrame | Exception | None) -> None:
        self.motion = motion

    def read(self, timeout: float) -> TrackedFrame | None:
        time.sleep(min(timeout, 1 / 30))
        if isinstance(self.motion, Exception):
            raise self.motion
        return self.motion

    def close(self) -> None:
        pass


def phone(source: Phone) -> Callable[[dict[str, Any]], MotionFeed]:
    return lambda measured: MotionFeed(source, track=measured["track"], neck_pivot=NECK)


def test_motion_that_a_phone_has_tracked_is_followed(me: Actor) -> None:
    source = Phone(turned(0))
    with running([me], feed=phone(source), kind="motion", script=motionless()) as session:
        until(lambda: told(session)["face"] == "tracked")
        assert told(session)["calibration"] == {"phase": "done", "seconds": 0.0}
        with pytest.raises(UserError, match="calibrated where it is tracked"):
            session.act(Recalibrate())
        straight = pictures(session, 10)[-1]
        source.motion = turned(30)
        until(lambda: difference(straight, pictures(session)[0]) > 3)
        session.act(SetGain("head", 0.0))
        until(lambda: difference(straight, pictures(session)[0]) < 0.5)
        assert told(session)["gains"] == {"head": 0.0, "brows": 1.0, "eyes": 1.0, "mouth": 1.0}
        source.motion = SourceLost("nothing comes from the phone: is its app running?")
        until(lambda: told(session)["face"] == "idle")
        assert (
            told(session)["source"]["problem"]
            == "nothing comes from the phone: is its app running?"
        )
        source.motion = turned(0)
        until(lambda: told(session)["face"] == "tracked" and not told(session)["source"]["problem"])


# ----- what can be chosen


def test_attributes_fade_in_and_out_and_change_the_picture(me: Actor) -> None:
    with running([me], script=motionless()) as session:
        before = pictures(session)[0]
        session.act(SetAttribute("hair-blue", 1.0))
        until(lambda: told(session)["attributes"][3]["weight"] == 1.0)
        blue = pictures(session)[0]
        assert difference(before, blue) > 1
        assert (blue.image.astype(int)[..., 2] - blue.image[..., 0]).mean() > (
            before.image.astype(int)[..., 2] - before.image[..., 0]
        ).mean()
        session.act(SetAttribute("4"))  # switched off by its number
        until(lambda: told(session)["attributes"][3]["weight"] == 0.0)
        assert difference(before, pictures(session)[0]) == 0


def test_attributes_of_one_slot_share_the_weight(me: Actor) -> None:
    with running([me], script=motionless()) as session:

        def targets() -> dict[str, float]:
            return {
                one["name"]: one["target"] for one in told(session)["attributes"] if one["target"]
            }

        session.act(SetAttribute("hair-copper"))
        session.act(SetAttribute("eyes-blue", 0.5))
        assert targets() == {"hair-copper": 1.0, "eyes-blue": 0.5}
        session.act(SetAttribute("hair-blond", 0.25))
        assert targets() == {"hair-copper": 0.75, "hair-blond": 0.25, "eyes-blue": 0.5}
        session.act(StepAttribute(1))
        assert targets() == {"hair-blond": 1.0}
        session.act(StepAttribute(-1))
        session.act(StepAttribute(-1))
        assert targets() == {"eyes-amber": 1.0}
        session.act(ClearAttributes())
        assert targets() == {}
        session.act(StepAttribute(-1))
        assert targets() == {"eyes-amber": 1.0}
        for wrong in ("beard", "0", "8", "٩", "-1"):
            with pytest.raises(UserError, match="there is no attribute"):
                session.act(SetAttribute(wrong))
        assert targets() == {"eyes-amber": 1.0}
        first = told(session)["attributes"][0]
        assert first == {
            "name": "hair-copper",
            "label": "Copper hair",
            "slot": "hair",
            "key": "1",
            "target": 0.0,
            "weight": pytest.approx(first["weight"]),
        }


def test_hiding_shows_a_still_picture_until_it_is_lifted(me: Actor) -> None:
    camera = HeldCamera(scene())
    with running([me], camera, script=performance_script(NECK)) as session:
        until(lambda: told(session)["calibration"]["phase"] == "done")
        session.act(Hide(True))
        assert told(session)["hidden"] is True
        still = pictures(session)[0]
        for shift in (-30, 30):
            camera.before = scene(shift=shift)
            for frame in pictures(session, 10):
                assert difference(still, frame) == 0
                assert frame.captured is None
        session.act(SetBackground("204060"))
        until(lambda: tuple(pictures(session)[0].image[0, 0]) == (0x20, 0x40, 0x60))
        session.act(Hide())
        assert told(session)["hidden"] is False
        until(
            lambda: (
                difference(pictures(session)[0], pictures(session)[0]) > 0
                or difference(still, pictures(session)[0]) > 1
            )
        )


def test_an_attribute_fades_in_fully_while_hidden(me: Actor) -> None:
    with running([me], script=motionless()) as session:
        session.act(SetAttribute("hair-copper", 1.0))
        until(lambda: told(session)["attributes"][0]["weight"] == 1.0)
        session.act(Hide(True))
        until(lambda: pictures(session)[0].motion is None)
        full = pictures(session)[0]
        session.act(Hide(False))
        session.act(SetAttribute("hair-copper", 0.0))
        until(lambda: told(session)["attributes"][0]["weight"] == 0.0)
        session.act(SetAttribute("hair-copper", 1.0))
        session.act(Hide(True))
        until(lambda: told(session)["attributes"][0]["weight"] == 1.0)
        until(lambda: difference(full, pictures(session)[0]) == 0)


def test_avatars_are_switched(me: Actor, friend: Actor) -> None:
    with running([me, friend], script=motionless()) as session:
        before = pictures(session)[0]
        assert (told(session)["avatars"], told(session)["avatar"]) == (["me", "friend"], 1)
        assert "photo" in told(session)["backgrounds"]
        session.act(SwitchAvatar(2))
        assert told(session)["avatar"] == 2
        assert told(session)["attributes"] == [], "it has neither hair nor eyes"
        assert "photo" not in told(session)["backgrounds"]
        until(lambda: difference(before, pictures(session)[0]) > 5)
        for action, what in (
            (SwitchAvatar(3), "there is no avatar 3: 2 loaded"),
            (StepAttribute(1), "no attributes"),
            (SetAttribute("1"), "there are none"),
            (SetBackground("photo"), "unknown background"),
        ):
            with pytest.raises(UserError, match=what):
                session.act(action)
        assert told(session)["avatar"] == 2
        session.act(SwitchAvatar(1))
        until(lambda: difference(before, pictures(session)[0]) == 0)


def test_a_page_can_choose_any_background_it_is_told_of_and_no_file(
    me: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), (10, 200, 30)).save(tmp_path / "mine.png")
    Image.new("RGB", (40, 40), (200, 10, 30)).save(tmp_path / "secret.png")
    config = replace(SMALL, background=str(tmp_path / "mine.png"), badge=SetBadge("off", "a test"))
    with running([me], config=config, script=motionless()) as session:
        assert told(session)["background"] == "image"
        assert told(session)["backgrounds"] == ["image", "d9dbde", "photo", "green", "alpha"]
        assert str(tmp_path) not in json.dumps(told(session))
        for text, corner in (
            ("photo", (60, 90, 140)),
            ("green", (0, 177, 64)),
            ("image", (10, 200, 30)),
            ("123456", (18, 52, 86)),
            ("#A0b0C0", (160, 176, 192)),
        ):
            session.act(SetBackground(text))
            until(
                lambda corner=corner: (
                    np.abs(pictures(session)[0].image[0, 0].astype(int) - corner).max() <= 2
                )
            )
            assert told(session)["background"] == text.lstrip("#").lower()
        for hostile in (
            "secret.png",
            "mine.png",
            str(tmp_path / "secret.png"),
            "./secret.png",
            "/dev/video0",
            "",
            "IMAGE",
            "Alpha",
            "12345",
            "1234567",
            "１２３４５６",
        ):
            with pytest.raises(UserError, match="unknown background"):
                session.act(SetBackground(hostile))
        assert told(session)["background"] == "a0b0c0"


def test_the_image_is_only_there_where_one_was_given(me: Actor) -> None:
    with running([me], script=motionless()) as session:
        assert "image" not in told(session)["backgrounds"]
        with pytest.raises(UserError, match="unknown background 'image'"):
            session.act(SetBackground("image"))
    config = replace(SMALL, background="nowhere.png")
    with pytest.raises(UserError, match=r"nowhere\.png. is neither"), running([me], config=config):
        pass


def test_a_background_picture_that_cannot_be_read_is_said_and_done_without(
    me: Actor, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_text("no picture")
    with running(
        [me], config=replace(SMALL, background=str(tmp_path / "broken.png")), script=motionless()
    ) as session:
        until(lambda: told(session)["background"] == "d9dbde")
        assert any("broken.png: not a picture" in notice for notice in told(session)["notices"])
        assert tuple(pictures(session)[0].image[0, 0]) == (0xD9, 0xDB, 0xDE)


def test_with_alpha_the_picture_is_a_two_up_matte(me: Actor) -> None:
    config = replace(SMALL, width=160, height=128, background="alpha")
    with running([me], config=config, script=motionless()) as session:
        frame = pictures(session)[0]
        assert frame.matte and frame.image.shape == (128, 320, 3)
        color, alpha = frame.image[:, :160], frame.image[:, 160:]
        assert (alpha == alpha[..., :1]).all()
        assert alpha[0, 0, 0] == 0 and alpha.max() >= 250
        assert (color.max(2) <= alpha[..., 0].astype(int) + 2).all(), (
            "multiplied by alpha; nothing where there is nothing"
        )
        assert (alpha[-20:, -60:] == 255).any(), "the badge is opaque"
        session.act(SetBackground("green"))
        until(lambda: pictures(session)[0].image.shape == (128, 160, 3))
        assert not pictures(session)[0].matte


def test_the_badge_moves_and_goes_with_a_reason(me: Actor) -> None:
    with running([me], script=motionless()) as session:
        marked = pictures(session)[0].image
        session.act(SetBadge("off", "a play"))
        assert told(session)["badge"] == {"place": "off", "reason": "a play"}
        assert "the avatar badge is off: a play" in told(session)["notices"]
        until(lambda: (pictures(session)[0].image != marked).any())
        bare = pictures(session)[0].image
        session.act(SetBadge("top-left"))
        until(lambda: (pictures(session)[0].image[:20, :50] != bare[:20, :50]).any())
        changed = np.nonzero((pictures(session)[0].image != bare).any(2))
        assert changed[0].max() < 40 and changed[1].max() < 64


def test_mirror_never_touches_the_output(me: Actor) -> None:
    with running([me], script=motionless()) as session:
        before = pictures(session)[0]
        session.act(Mirror())
        assert told(session)["mirror"] is True
        assert difference(before, pictures(session, 3)[-1]) == 0
        session.act(Mirror(False))
        assert told(session)["mirror"] is False


def test_every_frame_is_as_sinks_expect_it(me: Actor) -> None:
    with running(
        [me], config=replace(SMALL, width=176, height=144), script=performance_script(NECK)
    ) as session:
        gallery = Gallery()
        session.add_sink(gallery)
        frames = pictures(session, 15)
        until(lambda: gallery.count >= 5)
    assert gallery.closed
    for frame in frames:
        assert frame.image.dtype == np.uint8 and frame.image.shape == (144, 176, 3)
        assert frame.image.flags.c_contiguous
    assert not any(np.shares_memory(a.image, b.image) for a, b in pairwise(frames)), (
        "nobody writes to it any more"
    )
    assert any(difference(a, b) > 0 for a, b in pairwise(frames))


# ----- what it tells

STATE = {
    "avatars",
    "avatar",
    "attributes",
    "background",
    "backgrounds",
    "gains",
    "mirror",
    "hidden",
    "badge",
    "voice",
    "recording",
    "recorded",
    "calibration",
    "face",
    "source",
    "sinks",
    "size",
    "target_fps",
    "virtual_camera",
    "keys",
    "notices",
}


def test_state_and_stats_are_as_documented(me: Actor, tmp_path: Path) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "live-api.md").read_text()
    examples = [json.loads(block.split("```")[0]) for block in documented.split("```json")[1:]]
    with running([me], HeldCamera(scene()), record_to=tmp_path / "me.mp4") as session:
        session.have_voice(
            Voice(Playing(tone), latency=session.picture_latency, silent=lambda: session.silent)
        )
        session.add_sink(Gallery())
        session.act(Record(True))
        pictures(session, 3)
        session.act(Record(False))
        until(lambda: told(session)["recorded"] == "me.mp4")
        session.act(Record(True))
        until(
            lambda: told(session)["face"] == "tracked" and session.stats()["latency_ms"] is not None
        )
        pictures(session, 5)
        state, stats = told(session), dict[str, Any](session.stats())
    assert set(state) == STATE
    of_state, of_stats = (
        next(one for one in examples if name in one) for name in ("avatars", "stages")
    )
    for found, example in ((state, of_state), (stats, of_stats)):
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert set(found) == set(example)
        for name, value in example.items():
            if name == "virtual_camera" and found[name] is None:  # this session can have none
                continue
            assert type(found[name]) is type(value) or {type(found[name]), type(value)} <= {
                int,
                float,
            }, name
            if isinstance(value, dict) and name not in ("stages", "keys"):
                assert set(found[name]) == set(value)
            if isinstance(value, list) and value and isinstance(value[0], dict):
                assert set(found[name][0]) == set(value[0])
    for figures in stats["stages"].values():
        assert set(figures) == {"ms", "p95_ms", "per_second", "dropped"}
    for stage in ("track", "animate", "render"):
        assert stats["stages"][stage]["ms"] > 0 and stats["stages"][stage]["per_second"] > 0
    assert stats["slow_stage"] in ("track", "animate", "render")
    assert stats["viewers"] == 0
    assert stats["governor"]["scale"] <= 1
    assert state["size"] == [128, 128]
    assert state["sinks"] == [
        {"name": "gallery", "problem": ""},
        {"name": "recording me-2.mp4", "problem": ""},
    ]
    assert state["recording"]["path"] == "me-2.mp4"


def test_notices_are_shown_for_a_moment(me: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.live.notices.NOTICE_SECONDS", 0.5)
    with running([me], script=motionless()) as session:
        session.notice("F9 is taken by another program")
        assert told(session)["notices"] == ["F9 is taken by another program"]
        until(lambda: not told(session)["notices"])


def test_notices_may_be_given_while_the_state_is_read(me: Actor) -> None:
    """By the threads of sinks and keys: without the lock the reader fails as soon as two meet."""
    with running([me]) as session:
        ended = threading.Event()

        def tell() -> None:
            while not ended.is_set():
                session.notice("told")

        tellers = [threading.Thread(target=tell) for _ in range(3)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for one in tellers:
                one.start()
            for _ in range(3000):
                assert set(told(session)["notices"]) <= {"told"}
        finally:
            sys.setswitchinterval(interval)
            ended.set()
            for one in tellers:
                one.join()


def test_viewers_are_counted_by_whom_it_was_told(me: Actor) -> None:
    with running([me], script=motionless()) as session:
        session.count_viewers_by(lambda: 3)
        assert session.stats()["viewers"] == 3


# ----- recording


def test_recordings_are_playable_and_numbered_and_replace_no_older_one(
    me: Actor, tmp_path: Path
) -> None:
    older = tmp_path / "me-2.mp4"
    older.write_text("kept")
    with running([me], script=performance_script(NECK), record_to=tmp_path / "me.mp4") as session:
        for name in ("me.mp4", "me-3.mp4"):
            session.act(Record())
            session.act(Record(True))  # it is on already
            assert told(session)["recording"]["path"] == name
            pictures(session, 12)
            session.act(Record())
            session.act(Record(False))
            assert told(session)["recording"] is None
            until(lambda name=name: told(session)["recorded"] == name)
            assert session.recorded == tmp_path / name
            assert f"recorded {name}" in told(session)["notices"]
    assert older.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me-2.mp4", "me-3.mp4", "me.mp4"]
    for name in ("me.mp4", "me-3.mp4"):
        assert (open_film(tmp_path / name).width, open_film(tmp_path / name).height) == (128, 128)
        assert len(list(open_film(tmp_path / name).frames())) >= 10


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to set")
def test_after_a_full_disk_the_last_good_recording_is_still_the_recorded_one(
    me: Actor, tmp_path: Path
) -> None:
    import resource  # not on Windows

    with running([me], script=performance_script(NECK), record_to=tmp_path / "me.mp4") as session:
        session.act(Record(True))
        pictures(session, 12)
        session.act(Record(False))
        until(lambda: told(session)["recorded"] == "me.mp4")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
        try:
            for _ in range(3):
                session.act(Record(True))
                until(lambda: told(session)["recording"] is None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert told(session)["recorded"] == "me.mp4"
        assert len([sink for sink in told(session)["sinks"] if "recording" in sink["name"]]) == 1, (
            "the last failure is shown"
        )
        session.act(Record(True))
        pictures(session, 12)
        assert [
            sink["problem"] for sink in told(session)["sinks"] if "recording" in sink["name"]
        ] == [""]
        session.act(Record(False))
        until(lambda: told(session)["recorded"] != "me.mp4")
    assert len(list(tmp_path.glob("*.mp4"))) == 2


def test_closing_finishes_a_recording(me: Actor, tmp_path: Path) -> None:
    with running([me], script=motionless(), record_to=tmp_path / "me.mkv") as session:
        session.record_now()
        pictures(session, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["me.mkv"]
    assert len(list(open_film(tmp_path / "me.mkv").frames())) >= 4


def test_stopping_a_recording_keeps_nobody_waiting(me: Actor, tmp_path: Path) -> None:
    may_finish = threading.Event()

    class SlowSink(Gallery):
        def close(self) -> None:
            may_finish.wait(PATIENCE)
            super().close()

    sink, measured = SlowSink(), clocks()
    session = LiveSession(
        [me],
        SMALL,
        feed=None,
        source_kind="none",
        script=motionless(),
        clocks=measured,
        keys={},
        recorder=lambda _: sink,
        record_to=tmp_path / "me.mp4",
    )
    with session:
        session.start()
        session.wait_for_picture(30.0)
        session.act(Record(True))
        pictures(session, 3)
        session.act(Record(False))  # would wait for the event below, if it waited for the file
        pictures(session, 2)
        assert not sink.closed
        may_finish.set()
    assert sink.closed, "the session does not end before the file has"


def test_without_a_name_recordings_get_the_date_and_never_meet(
    me: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running([me], script=motionless()) as session:
        for _ in range(3):  # more than one in a second
            session.act(Record(True))
            pictures(session, 2)
            session.act(Record(False))
    assert len(list(tmp_path.glob("perse-live-*.mp4"))) == 3


def test_a_recording_that_cannot_begin_changes_nothing(me: Actor, tmp_path: Path) -> None:
    with running([me], script=motionless(), record_to=tmp_path / "nowhere" / "me.mp4") as session:
        with pytest.raises(UserError, match="cannot write"):
            session.act(Record(True))
        assert told(session)["recording"] is None
        assert told(session)["sinks"] == []
        assert pictures(session)


# ----- what goes wrong


def test_a_camera_that_is_unplugged_is_said_and_comes_back(me: Actor) -> None:
    camera = HeldCamera(scene())
    with running([me], camera) as session:
        until(lambda: told(session)["face"] == "tracked")
        camera.before = SourceLost("camera 0 is gone: plug it in again")
        until(lambda: told(session)["source"]["problem"] == "camera 0 is gone: plug it in again")
        until(lambda: told(session)["face"] == "idle")
        assert len(pictures(session, 5)) == 5
        camera.before = scene()
        until(lambda: told(session)["face"] == "tracked" and not told(session)["source"]["problem"])


@pytest.mark.parametrize("kind", ["camera", "file"])
def test_a_source_that_fails_for_good_leaves_the_avatar_there(me: Actor, kind: str) -> None:
    camera = HeldCamera(scene())
    with running([me], camera, kind=kind) as session:
        until(lambda: told(session)["face"] == "tracked")
        camera.before = RuntimeError("the driver has crashed")
        until(
            lambda: (
                told(session)["source"]["problem"] == "camera 0 has failed: the driver has crashed"
            )
        )
        until(lambda: told(session)["face"] == "idle")
        assert len(pictures(session, 5)) == 5
        assert not session.ended
        assert session.failure is None
    assert camera.closed


def test_a_film_shown_once_ends_the_session(me: Actor, tmp_path: Path) -> None:
    path = film(tmp_path / "short.mp4", [scene()] * 5)
    with running([me], FilmSource(path, repeat=False), kind="file") as session:
        until(lambda: session.ended)
        assert session.failure is None


class Broken:
    """A sink that fails at its third frame, and, if so asked, at its closing."""

    name = "broken sink"

    def __init__(self, error: Exception, closing: Exception | None = None) -> None:
        self._error, self._closing, self.count, self.closed = error, closing, 0, 0

    def write(self, frame: DrawnFrame) -> None:
        self.count += 1
        if self.count == 3:
            raise self._error

    def close(self) -> None:
        self.closed += 1
        if self._closing is not None:
            raise self._closing


@pytest.mark.parametrize(
    ("sink", "problem"),
    [
        (
            Broken(UserError("the disk is full: free some space")),
            "the disk is full: free some space",
        ),
        (Broken(OSError("gone")), "broken sink has failed: gone"),
        (Broken(UserError("first"), UserError("second")), "first"),
        (Broken(UserError("first"), OSError("second")), "first"),
    ],
)
def test_a_sink_that_fails_is_closed_and_named_and_the_others_go_on(
    me: Actor, sink: Broken, problem: str
) -> None:
    before = own_threads()
    other = Gallery()
    with running([me], script=motionless()) as session:
        session.add_sink(sink)
        session.add_sink(other)
        until(lambda: sink.closed == 1)
        until(
            lambda: (
                told(session)["sinks"]
                == [{"name": "broken sink", "problem": problem}, {"name": "gallery", "problem": ""}]
            )
        )
        count = other.count
        until(lambda: other.count > count + 3)
    assert sink.count == 3
    assert other.closed
    assert own_threads() == before


@pytest.mark.parametrize("error", [UserError("cannot be finished"), OSError("cannot be finished")])
def test_a_sink_that_cannot_be_finished_is_named(me: Actor, error: Exception) -> None:
    sink = Broken(error, error)
    sink.count = 100  # it takes all frames
    with running([me], script=motionless()) as session:
        session.add_sink(sink)
        pictures(session, 2)
        session.close()
        assert "cannot be finished" in told(session)["sinks"][0]["problem"]


def test_a_slow_sink_makes_nobody_wait(me: Actor) -> None:
    may_go_on = threading.Event()

    class Slow(Gallery):
        name = "slow sink"

        def write(self, frame: DrawnFrame) -> None:
            may_go_on.wait(PATIENCE)
            super().write(frame)

    with running([me], script=motionless()) as session:
        slow, quick = Slow(), Gallery()
        sinks: tuple[Sink, ...] = (slow, quick)
        for sink in sinks:
            session.add_sink(sink)
        until(lambda: quick.count >= 10)
        assert slow.count == 0, "it is still at its first frame"
        may_go_on.set()
        until(lambda: slow.count >= 3)
        assert slow.count < quick.count, "and goes on with the newest"


def test_an_avatar_that_cannot_be_drawn_is_said(me: Actor) -> None:
    broken = replace(me, avatar=replace(me.avatar, colors=me.avatar.colors[:10]))
    with (
        pytest.raises(UserError, match="the avatar cannot be drawn"),
        running([broken], script=motionless()),
    ):
        pass


# ----- the end


def test_closing_leaves_nothing_running(me: Actor, tmp_path: Path) -> None:
    before = own_threads()
    camera = HeldCamera(scene())
    with running([me], camera, record_to=tmp_path / "me.mp4") as session:
        session.add_sink(Gallery())
        session.act(Record(True))
        until(lambda: told(session)["face"] == "tracked")
        assert {thread.name for thread in own_threads() - before} >= {
            "track",
            "draw",
            "sink gallery",
            "sink recording me.mp4",
        }
        session.close()
        assert own_threads() == before
        assert session.drawn.closed
        assert session.ended
        session.close()
    assert camera.closed


def test_a_session_that_never_began_can_be_closed(me: Actor) -> None:
    before = own_threads()
    measured = clocks()
    camera = HeldCamera(None)
    session = LiveSession(
        [me],
        SMALL,
        feed=tracking(camera, measured),
        source_kind="camera",
        script=motionless(),
        clocks=measured,
        keys={},
        recorder=lambda _: Gallery(),
    )
    session.close()
    assert camera.closed
    assert own_threads() == before


def test_a_reader_is_woken_by_the_end(me: Actor) -> None:
    answers: list[object] = []
    with running([me], script=motionless()) as session:
        reader = threading.Thread(target=lambda: answers.append(session.drawn.wait(10**9, 60.0)))
        reader.start()
    reader.join(30)
    assert answers == [None]


def test_captured_frames_do_not_live_on(me: Actor) -> None:
    """The camera's pictures are let go of as soon as they are tracked."""
    kept: list[weakref.ref[CapturedFrame]] = []

    class Remembered(HeldCamera):
        def read(self, timeout: float) -> CapturedFrame | None:
            frame = super().read(timeout)
            if frame is not None:
                kept.append(weakref.ref(frame))
            return frame

    with running([me], Remembered(scene())) as session:
        until(lambda: len(kept) > 20)
        gc.collect()
        assert sum(one() is not None for one in kept) <= 2
        assert session.failure is None


# ----- avatars and outputs that come and go


def test_an_empty_stage_waits_for_an_avatar() -> None:
    with running([]) as session:
        assert session.drawn.wait(0, 0.5) is None
        assert (told(session)["avatars"], told(session)["avatar"], told(session)["attributes"]) == (
            [],
            0,
            [],
        )
        with pytest.raises(UserError, match="no avatar 1"):
            session.act(SwitchAvatar(1))
        session.put_on_stage(actor_of("one", dressable_avatar()))
        assert pictures(session)[0].image.shape == (128, 128, 3)
        session.put_on_stage(actor_of("two", dressable_avatar()))
        assert (told(session)["avatars"], told(session)["avatar"]) == (["one", "two"], 2)
        session.replace_on_stage(actor_of("one", dressable_avatar()))  # it has learned something
        assert (told(session)["avatars"], told(session)["avatar"]) == (["one", "two"], 2)
        session.replace_on_stage(actor_of("unknown", dressable_avatar()))
        session.rename_actor("two", "zwei")
        for name in ("three", "four", "five"):
            session.put_on_stage(actor_of(name, dressable_avatar()))
        assert (told(session)["avatars"], told(session)["avatar"]) == (
            ["zwei", "three", "four", "five"],
            4,
        )
        assert pictures(session)


def test_the_pictures_size_changes_while_it_runs() -> None:
    with running([actor_of("one", dressable_avatar())]) as session:
        session.act(SetPicture(160, 96, 20.0))
        until(lambda: pictures(session)[0].image.shape == (96, 160, 3))
        assert (told(session)["size"], told(session)["target_fps"]) == ([160, 96], 20.0)


def test_a_set_of_looks_replaces_all_that_are_on() -> None:
    with running([actor_of("one", dressable_avatar())]) as session:
        first, second = (one["name"] for one in told(session)["attributes"][:2])
        session.act(SetAttribute(first, 1.0))
        session.act(SetWeights({second: 0.5, "unknown": 1.0}))
        assert {one["name"]: one["target"] for one in told(session)["attributes"]}[second] == 0.5
        assert sum(one["target"] for one in told(session)["attributes"]) == 0.5


def test_the_virtual_camera_is_switched_on_and_off() -> None:
    opened: list[Gallery] = []

    def camera(config: Any) -> Gallery:
        opened.append(Gallery())
        return opened[-1]

    with running([actor_of("one", dressable_avatar())], virtual_camera=camera) as session:
        assert told(session)["virtual_camera"] is False
        session.act(SetVirtualCamera())
        session.act(SetVirtualCamera(True))  # it is on
        until(lambda: opened[0].count > 0)
        assert len(opened) == 1 and told(session)["virtual_camera"] is True
        session.act(SetVirtualCamera(False))
        assert (
            opened[0].closed
            and told(session)["virtual_camera"] is False
            and told(session)["sinks"] == []
        )
    with (
        running([actor_of("one", dressable_avatar())]) as session,
        pytest.raises(UserError, match="no virtual camera"),
    ):
        session.act(SetVirtualCamera(True))
