from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from offline.secondary_motion import with_secondary_motion
from perse_live import cli
from perse_live.arrays import FloatArray, UInt8Array
from perse_live.avatar import Avatar, save_avatar
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.film.writer import FilmWriter, film_writer
from perse_live.follow import FaceFollower
from perse_live.rotations import from_euler_degrees, to_axis_angle
from pictures import astronaut_before_camera as face
from runtime.background import Picture, Transparent
from runtime.drive import drive_matched, drive_relative, followed, resting
from runtime.presence import Presence, Shoulders
from runtime.tracker import TrackedFrame
from toys import toy_avatar

STAGES = ("read", "detect", "track", "draw")
Drive = Callable[..., None]
FACING = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


NO_FACE = np.full((240, 320, 3), 90, np.uint8)


def film(
    path: Path, pictures: Iterator[UInt8Array] | list[UInt8Array], *, rate: Fraction = Fraction(25)
) -> Path:
    with film_writer(path, width=320, height=240, rate=rate) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def frames(path: Path) -> list[FloatArray]:
    return [frame.image.astype(np.float32) for frame in open_film(path).frames()]


def middle(picture: FloatArray, background: FloatArray) -> FloatArray:
    """Where what is not background lies: mean x and y, pixels."""
    rows, columns = np.nonzero(np.abs(picture - background).max(2) > 30)
    return np.array([columns.mean(), rows.mean()])


def unwatched(_: int, __: int | None) -> None:
    pass


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return toy_avatar()


@pytest.mark.parametrize("drive", [drive_matched, drive_relative])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_a_frame_for_a_frame_of_the_same_size_and_rate(
    drive: Drive, rate: Fraction, avatar: Avatar, tmp_path: Path
) -> None:
    video = film(tmp_path / "in.mp4", [face(shift=i) for i in range(12)], rate=rate)
    seen: list[tuple[int, int | None]] = []
    drive(
        avatar, video, tmp_path / "out.mp4", progress=lambda done, total: seen.append((done, total))
    )
    given, made = open_film(video), open_film(tmp_path / "out.mp4")
    assert (made.width, made.height, made.rate, made.frame_count, made.has_sound) == (
        given.width,
        given.height,
        rate,
        12,
        False,
    )
    assert seen == [(count, 12) for count in range(1, 13)]
    assert len(frames(tmp_path / "out.mp4")) == 12
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_what_is_wrong_with_a_film_is_said(avatar: Avatar, tmp_path: Path) -> None:
    whole = film(tmp_path / "in.mp4", [face(shift=i) for i in range(20)]).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 24 // 25])
    said = drive_matched(avatar, cut, tmp_path / "out.mp4", progress=unwatched)
    count = len(frames(tmp_path / "out.mp4"))
    assert 5 < count < 20
    assert any(f"{cut} is cut off: {count} of 20 frames" in line for line in said)


@pytest.mark.slow
def test_matched_follows_the_place_in_the_picture_and_relative_does_not(
    avatar: Avatar, tmp_path: Path
) -> None:
    places: dict[str, list[FloatArray]] = {}
    for name, drive in (("matched", drive_matched), ("relative", drive_relative)):
        places[name] = []
        for shift in (-30, 30):
            video = film(tmp_path / "in.mp4", [face(shift=shift)] * 4)
            drive(
                avatar,
                video,
                tmp_path / "out.mp4",
                background=Picture(grey(tmp_path)),
                progress=unwatched,
            )
            places[name].append(middle(frames(tmp_path / "out.mp4")[-1], np.full(3, 128.0)))
    matched, relative = (right - left for left, right in places.values())
    assert matched[0] == pytest.approx(60, abs=6)
    assert abs(relative[0]) < 3
    assert places["relative"][0][0] == pytest.approx(160, abs=8)


def grey(folder: Path) -> Path:
    Image.fromarray(np.full((10, 10, 3), 128, np.uint8)).save(folder / "grey.png")
    return folder / "grey.png"


def test_relative_motion_is_carried_over(avatar: Avatar, tmp_path: Path) -> None:
    shifts = [0] * 20 + [4 * i for i in range(11)]
    video = film(tmp_path / "in.mp4", [face(shift=shift) for shift in shifts])
    drive_relative(
        avatar, video, tmp_path / "out.mp4", background=Picture(grey(tmp_path)), progress=unwatched
    )
    drawn = frames(tmp_path / "out.mp4")
    moved = middle(drawn[-1], np.full(3, 128.0)) - middle(drawn[0], np.full(3, 128.0))
    assert moved[0] > 10
    motions = followed(avatar, video, progress=unwatched)
    assert len(motions) == len(shifts)
    places = [motion.pose.t_cam_head[0] for motion in motions]
    assert places[-1] - places[0] > 0.01, "the same without drawing, metres"


@pytest.mark.slow
def test_shoulders_breathe_alike_every_time_and_not_at_all_when_still(
    avatar: Avatar, tmp_path: Path
) -> None:
    all_shoulders = replace(avatar.rig, head_weights=np.zeros_like(avatar.rig.head_weights))
    breathing = with_secondary_motion(replace(avatar, rig=all_shoulders))
    video = film(tmp_path / "in.mp4", [face()] * 30)
    drawn: list[np.ndarray] = []
    for name, still in (("one", False), ("two", False), ("still", True)):
        drive_relative(
            breathing,
            video,
            tmp_path / f"{name}.mp4",
            background=Picture(grey(tmp_path)),
            still=still,
            progress=unwatched,
        )
        drawn.append(np.stack(list(frames(tmp_path / f"{name}.mp4"))).astype(float))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    moved = [np.abs(shown[20:] - shown[2]).mean((1, 2, 3)).max() for shown in (drawn[0], drawn[2])]
    assert moved[0] > 2 * moved[1] + 0.05


@pytest.mark.slow
def test_without_a_face_for_half_of_it_every_frame_is_drawn_all_the_same(
    avatar: Avatar, tmp_path: Path
) -> None:
    video = film(tmp_path / "in.mp4", [NO_FACE] * 12 + [face(shift=30)] * 12 + [NO_FACE] * 40)
    drive_matched(avatar, video, tmp_path / "out.mp4", progress=unwatched)
    drawn = frames(tmp_path / "out.mp4")
    assert len(drawn) == 64
    still = [float(np.abs(a - b).mean()) for a, b in pairwise(drawn)]
    assert max(still[:10]) < 0.5  # at rest until somebody comes
    assert np.abs(drawn[22] - drawn[5]).mean() > 1.5  # then where that face is
    assert max(still[26:34]) < 0.5  # held for half a second
    assert np.abs(drawn[0] - 219).max() > 50  # the avatar is there from the first frame on


@pytest.mark.parametrize("drive", [drive_matched, drive_relative])
def test_a_video_without_any_face_is_refused_and_nothing_is_left(
    drive: Drive, avatar: Avatar, tmp_path: Path
) -> None:
    video = film(tmp_path / "in.mp4", [NO_FACE] * 8)
    with pytest.raises(UserError, match=r"no face in any frame of .*in\.mp4: give a video"):
        drive(avatar, video, tmp_path / "out.mp4", progress=unwatched)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("drive", [drive_matched, drive_relative])
def test_the_pipeline_writes_what_one_stage_after_the_other_writes(
    drive: Drive, avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = film(tmp_path / "in.mp4", [face(shift=3 * i) for i in range(12)] + [NO_FACE] * 3)
    drive(avatar, video, tmp_path / "overlapped.mp4", progress=unwatched)

    def serial(items: Iterator[object], *, room: int, name: str) -> Iterator[object]:
        assert room > 0 and name
        return items

    monkeypatch.setattr("runtime.drive.ahead", serial)
    drive(avatar, video, tmp_path / "serial.mp4", progress=unwatched)
    assert (tmp_path / "overlapped.mp4").read_bytes() == (tmp_path / "serial.mp4").read_bytes()


@pytest.mark.parametrize("stage", ["FaceFollower.update", "Presence.update", "FilmWriter.write"])
def test_a_failure_in_any_stage_ends_all_threads_and_leaves_nothing(
    stage: str, avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = film(tmp_path / "in.mp4", [face()] * 30)
    calls = itertools.count()
    owner = {"FaceFollower": FaceFollower, "Presence": Presence, "FilmWriter": FilmWriter}[
        stage.split(".")[0]
    ]
    name = stage.split(".")[-1]
    original = getattr(owner, name)

    def failing(*args: object, **options: object) -> object:
        if next(calls) == 5:
            raise ZeroDivisionError(stage)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, failing)
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError, match=stage):
        drive_relative(avatar, video, tmp_path / "out.mp4", progress=unwatched)
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name in STAGES]
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.slow
def test_ctrl_c_ends_all_threads_and_leaves_nothing(avatar: Avatar, tmp_path: Path) -> None:
    save_avatar(tmp_path / "me.perse", avatar)
    film(tmp_path / "in.mp4", [face(shift=i % 20) for i in range(400)])
    code = f"""
import sys, os, signal, threading, runtime.drive
from perse_live import cli
inner = runtime.drive.drive_matched
def interrupted(*args, progress, **options):
    def once(done, total):
        if done == 5:
            os.kill(os.getpid(), signal.SIGINT)
        progress(done, total)
    try:
        return inner(*args, progress=once, **options)
    finally:
        print("threads left:", [t.name for t in threading.enumerate() if t.name in {STAGES!r}])
runtime.drive.drive_matched = interrupted
sys.exit(cli.main(["drive", "me.perse", "in.mp4", "-o", "out.mp4", "--match"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1
    assert "interrupted" in done.stderr
    assert "threads left: []" in done.stdout
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "me.perse"]


def test_on_the_command_line_that_is_bad_input(
    avatar: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_avatar(tmp_path / "me.perse", avatar)
    (tmp_path / "empty.mp4").touch()
    film(tmp_path / "in.mp4", [NO_FACE] * 4)
    for video, what in (
        ("in.mp4", "no face in any frame"),
        ("empty.mp4", "empty.mp4"),
        ("nowhere.mp4", "nowhere.mp4"),
    ):
        assert (
            cli.main(
                [
                    "drive",
                    str(tmp_path / "me.perse"),
                    str(tmp_path / video),
                    "-o",
                    str(tmp_path / "out.mp4"),
                ]
            )
            == 2
        )
        captured = capsys.readouterr()
        assert what in captured.err and captured.err.strip().count("\n") == 0
        assert captured.out == ""
        assert not (tmp_path / "out.mp4").exists()


def test_an_output_that_cannot_be_written_is_said_before_the_work(
    avatar: Avatar, tmp_path: Path
) -> None:
    video = film(tmp_path / "in.mp4", [face()] * 3)
    for output in (tmp_path / "out.avi", tmp_path / "nowhere" / "out.mp4"):
        with pytest.raises(UserError, match="cannot write"):
            drive_matched(avatar, video, output, progress=unwatched)


def test_the_background_may_be_a_picture_or_nothing(avatar: Avatar, tmp_path: Path) -> None:
    video = film(tmp_path / "in.mp4", [face()] * 3)
    Image.fromarray(np.full((50, 50, 3), (200, 30, 60), np.uint8)).save(tmp_path / "back.png")
    drive_matched(
        avatar,
        video,
        tmp_path / "out.mp4",
        background=Picture(tmp_path / "back.png"),
        progress=unwatched,
    )
    np.testing.assert_allclose(
        frames(tmp_path / "out.mp4")[0][:5, :5].mean((0, 1)), (200, 30, 60), atol=6
    )
    drive_matched(avatar, video, tmp_path / "out.mov", background=Transparent(), progress=unwatched)
    with av.open(str(tmp_path / "out.mov")) as container:
        alpha = next(container.decode(video=0)).to_ndarray(format="rgba")[..., 3]
    assert alpha[:5, :5].max() == 0
    assert (alpha > 250).mean() > 0.05


def tracked(time: float, yaw: float, *, strength: float = 0.5) -> TrackedFrame:
    return TrackedFrame(
        time,
        np.full(52, strength, np.float32),
        (FACING @ from_euler_degrees(yaw, 0, 0)).astype(np.float32),
        np.array([0.1, 0, 0.8], np.float32),
        np.full((2, 2), 0.2, np.float32),
        np.full((478, 3), 0.001, np.float32),
        1.0,
    )


def test_a_face_that_goes_is_held_then_let_go_and_comes_back_gently(avatar: Avatar) -> None:
    presence = Presence(resting(avatar))
    step = 1 / 50
    shown = [presence.update(tracked(i * step, 20), i * step) for i in range(10)]
    assert presence.ever
    # A face from the start on is followed at once
    assert all(one.expression[0] == 0.5 for one in shown)
    away = [presence.update(None, (10 + i) * step) for i in range(100)]
    held = [one for one in away[:25] if one.expression[0] == 0.5]
    assert len(held) == 25  # half a second
    assert away[-1].expression.max() == 0 and away[-1].residual.max() == 0
    np.testing.assert_allclose(away[-1].R_cam_head, FACING, atol=1e-6)
    # At rest, but where it was last
    np.testing.assert_allclose(away[-1].t_cam_head, [0.1, 0, 0.8], atol=1e-6)
    back = [presence.update(tracked((110 + i) * step, -20), (110 + i) * step) for i in range(25)]
    assert back[-1].expression[0] == 0.5
    for sequence in ([*shown, *away], [*away, *back]):
        pairs = list(pairwise(sequence))
        assert (
            np.degrees(
                max(np.linalg.norm(to_axis_angle(b.R_cam_head @ a.R_cam_head.T)) for a, b in pairs)
            )
            < 4
        )
        assert max(abs(float(b.expression[0] - a.expression[0])) for a, b in pairs) < 0.12


def test_a_moment_without_a_face_does_not_show(avatar: Avatar) -> None:
    presence = Presence(resting(avatar))
    presence.update(tracked(0.0, 0), 0.0)
    presence.update(None, 0.02)
    assert presence.update(tracked(0.04, 6), 0.04).expression[0] == 0.5
    caught_up = presence.update(tracked(0.06, 6), 0.06)
    np.testing.assert_allclose(caught_up.R_cam_head, tracked(0.06, 6).R_cam_head, atol=1e-6)


def test_shoulders_follow_late_and_part_of_the_way() -> None:
    def yaw(rotation: FloatArray) -> float:
        return float(np.degrees(to_axis_angle(FACING @ rotation)[1]))

    shoulders = Shoulders(FACING)
    turned = FACING @ from_euler_degrees(30, 0, 0)
    assert yaw(shoulders.update(FACING, 0.0)) == pytest.approx(0, abs=1e-3)
    moment = yaw(shoulders.update(turned, 0.1))
    assert 0 < moment < 2
    late = [yaw(shoulders.update(turned, 0.1 + i / 25)) for i in range(1, 200)]
    assert late == sorted(late)
    assert 6 < late[-1] < 16


@pytest.mark.slow
def test_a_second_person_who_leans_in_does_not_take_over(avatar: Avatar, tmp_path: Path) -> None:
    alone, other = (
        face(shift=-40),
        np.asarray(Image.fromarray(astronaut()[20:250, 100:330, ::-1]).resize((320, 320))),
    )
    pictures = [alone] * 6
    for step in range(12):
        shared = alone.copy()
        reach = 20 + 9 * step  # pixels that the other, larger face has come in by from the right
        shared[:, 320 - reach :] = other[40:280, 60 : 60 + reach]
        pictures.append(shared)
    video = film(tmp_path / "in.mp4", pictures)
    drive_matched(
        avatar, video, tmp_path / "out.mp4", background=Picture(grey(tmp_path)), progress=unwatched
    )
    places = [middle(picture, np.full(3, 128.0))[0] for picture in frames(tmp_path / "out.mp4")]
    assert np.ptp(places) < 8


@pytest.mark.slow
def test_a_far_face_drives_the_avatar(avatar: Avatar, tmp_path: Path) -> None:
    small = np.asarray(Image.fromarray(face()).resize((128, 96)))
    pictures: list[UInt8Array] = []
    for step in range(8):
        wide = np.full((720, 1280, 3), 120, np.uint8)
        wide[400:496, 300 + 4 * step : 428 + 4 * step] = small
        pictures.append(wide)
    with film_writer(tmp_path / "in.mp4", width=1280, height=720, rate=Fraction(25)) as writer:
        for picture in pictures:
            writer.write(picture)
    drive_matched(
        avatar,
        tmp_path / "in.mp4",
        tmp_path / "out.mp4",
        background=Picture(grey(tmp_path)),
        progress=unwatched,
    )
    first, *_, last = (
        middle(picture, np.full(3, 128.0)) for picture in frames(tmp_path / "out.mp4")
    )
    assert abs(first - (368, 440)).max() < 25
    assert (last - first)[0] == pytest.approx(28, abs=6)
