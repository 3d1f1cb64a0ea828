"""Motion as messages and as a file, and drawn again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright._impl._driver import compute_driver_executable  # which comes with Node

from perse_live import cli
from perse_live.animate import HeadPose
from perse_live.arrays import UInt8Array
from perse_live.avatar import save_avatar
from perse_live.errors import UserError
from perse_live.film.reader import open_film
from perse_live.motion import MessageError, MotionDecoder, MotionEncoder, MotionState
from perse_live.motion_file import MotionFrame, MotionHeader, MotionWriter, read_header, read_motion
from perse_live.outputs import written_by_us
from perse_live.rotations import FACING_CAMERA, from_axis_angle, to_axis_angle
from runtime.live.clock import StageClock
from runtime.live.frames import DrawnFrame
from runtime.live.painter import Painter, actor_of, backdrop_of, placed
from runtime.live.scripted import performance_script
from runtime.replay import motion_of
from runtime.sinks.motion import MotionSink
from runtime.stage import Motion
from runtime.web.pages import PAGE_FOLDER
from toys import toy_avatar

_HEADER = MotionHeader(128, 96, 30.0, "bottom-right", "d9dbde", ("hat",))
_NECK = np.array([0.0, -0.12, -0.1])


def _random_state(seed: int, attributes: int) -> MotionState:
    rng = np.random.default_rng(seed)
    turns = from_axis_angle(rng.uniform(-1.5, 1.5, (2, 3))).astype(np.float32)
    return MotionState(
        rng.random(52, np.float32),
        rng.uniform(-0.7, 0.7, (2, 2)).astype(np.float32),
        turns[0],
        rng.uniform(-3, 3, 3).astype(np.float32),
        turns[1],
        rng.uniform(-0.5, 1, 4).astype(np.float32),
        rng.random(attributes, np.float32),
    )


@given(
    seed=st.integers(0, 2**32 - 1), attributes=st.integers(0, 60), lost=st.sets(st.integers(1, 9))
)
def test_states_come_back_within_half_a_step_whatever_else_is_lost(
    seed: int, attributes: int, lost: set[int]
) -> None:
    encoder, decoder = MotionEncoder(), MotionDecoder()
    for number in range(10):
        state = _random_state(seed + number, attributes)
        message = encoder.encode(state, number / 30)
        if number in lost:
            continue
        decoded = decoder.decode(message)
        assert decoded is not None
        found, time = decoded
        assert abs(time - number / 30) <= 0.0005
        units = np.concatenate([found.expression - state.expression, found.weights - state.weights])
        assert np.abs(units).max() <= 0.5 / 255 + 1e-6
        assert np.abs(found.secondary - state.secondary).max() <= 0.5 / 8192 + 1e-6
        assert np.abs(found.gaze - state.gaze).max() <= 0.5 / 8192 + 1e-6
        assert np.abs(found.t_cam_head - state.t_cam_head).max() <= 0.00005 + 1e-6
        for one, other in (
            (found.R_cam_head, state.R_cam_head),
            (found.R_cam_body, state.R_cam_body),
        ):
            assert np.linalg.norm(to_axis_angle(one.astype(np.float64).T @ other)) < 3e-4


def test_a_difference_to_a_lost_key_message_says_nothing() -> None:
    encoder, decoder = MotionEncoder(), MotionDecoder()
    encoder.encode(_random_state(0, 1), 0.0)
    assert decoder.decode(encoder.encode(_random_state(1, 1), 0.1)) is None
    assert decoder.decode(encoder.encode(_random_state(2, 1), 2.1)) is not None, (
        "a new key message after two seconds"
    )
    late = MotionDecoder()
    assert late.decode(encoder.encode(_random_state(3, 1), 2.2)) is None
    assert late.decode(encoder.key_message) is not None
    assert late.decode(encoder.encode(_random_state(4, 1), 2.3)) is not None


def test_a_key_message_that_was_overtaken_does_not_replace_a_newer_one() -> None:
    encoder, decoder = MotionEncoder(), MotionDecoder()
    old = encoder.encode(_random_state(0, 2), 0.0)
    decoder.decode(encoder.encode(_random_state(1, 2), 3.0))
    assert decoder.decode(old) is not None
    state = _random_state(2, 2)
    found = decoder.decode(encoder.encode(state, 3.1))
    assert found is not None
    assert np.abs(found[0].expression - state.expression).max() <= 0.5 / 255 + 1e-6


_NODE_PROGRAM = """
import { createInterface } from "node:readline";
const { MotionDecoder } = await import("data:text/javascript," + encodeURIComponent(process.argv[1]));
for await (const line of createInterface({ input: process.stdin })) {
  const decoder = new MotionDecoder();
  const decoded = JSON.parse(line).map((message) => {
    try { return decoder.decode(Uint8Array.from(message)); } catch { return null; }
  });
  console.log(JSON.stringify(decoded));
}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[subprocess.Popen[str]]:
    """The browser's decoder, in a process that takes lists of messages as lines of JSON and answers with their states."""
    program, _ = compute_driver_executable()
    words = [str(program), "--input-type=module", "--eval", _NODE_PROGRAM, "--"]
    with subprocess.Popen(
        [*words, (PAGE_FOLDER / "motion.js").read_text()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _values(state: MotionState, time: float) -> np.ndarray:
    """A state in one row."""
    parts = (state.expression, state.gaze, state.R_cam_head, state.t_cam_head, state.R_cam_body)
    return np.concatenate([[time], *map(np.ravel, parts), state.secondary, state.weights])


def _their_values(their: dict[str, Any]) -> np.ndarray:
    """The same of what the browser's decoder says."""
    turns = from_axis_angle(np.array([their["head"], their["body"]]))
    parts = (their["expression"], their["gaze"], turns[0], their["place"], turns[1])
    return np.concatenate(
        [[their["time"]], *map(np.ravel, parts), their["secondary"], their["weights"]]
    )


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), attributes=st.integers(0, 60), loss=st.floats(0, 0.8))
def test_the_browser_decodes_the_same_whatever_is_lost_overtaken_or_damaged(
    seed: int, attributes: int, loss: float, node: subprocess.Popen[str]
) -> None:
    rng, encoder = np.random.default_rng(seed), MotionEncoder()
    sent = [encoder.encode(_random_state(seed + k, attributes), 0.4 * k) for k in range(16)]
    order = np.argsort(np.arange(len(sent)) + rng.uniform(0, 3, len(sent)))
    messages = [bytearray(sent[k]) for k in order if rng.random() >= loss]
    for message in messages:
        if rng.random() < 0.1:
            message[rng.integers(len(message))] = rng.integers(256)
    assert node.stdin is not None and node.stdout is not None
    node.stdin.write(json.dumps([list(message) for message in messages]) + "\n")
    node.stdin.flush()
    theirs, decoder = json.loads(node.stdout.readline()), MotionDecoder()
    assert len(theirs) == len(messages)
    for message, their in zip(messages, theirs, strict=True):
        try:
            ours = decoder.decode(bytes(message))
        except MessageError:
            ours = None
        assert (ours is None) == (their is None)
        if ours is not None:
            np.testing.assert_allclose(_their_values(their), _values(*ours), atol=2e-6)


@given(data=st.binary(max_size=200), kind=st.integers(0, 3))
def test_hostile_messages_are_refused(data: bytes, kind: int) -> None:
    decoder, encoder = MotionDecoder(), MotionEncoder()
    decoder.decode(encoder.encode(_random_state(0, 3), 0.0))
    try:
        decoder.decode(bytes([kind]) + data)
    except MessageError:
        return


def _performance(seconds: float) -> list[tuple[float, Motion]]:
    """A synthetic avatar that performs by itself, 30 times a second."""
    actor, script = actor_of("me", toy_avatar()), performance_script(_NECK)
    times = np.arange(0, seconds, 1 / 30).tolist()
    return [(time, placed(actor, script.at(time), FACING_CAMERA)) for time in times]


def test_a_performance_takes_less_than_40_kbit_a_second() -> None:
    encoder = MotionEncoder()
    moments = _performance(10.0)
    size = 0
    for time, motion in moments:
        pose = motion.pose
        state = MotionState(
            motion.expression,
            motion.gaze,
            pose.R_cam_head,
            pose.t_cam_head,
            pose.R_cam_body,
            np.array([0.1, 0.0, 0.1, time % 1], np.float32),
            np.full(9, 0.5, np.float32),
        )
        size += len(encoder.encode(state, time))
    assert size * 8 / 10 < 40_000


def _recorded(path: Path, moments: list[tuple[float, Motion]]) -> list[UInt8Array]:
    """Record what a painter paints; the pictures."""
    painter = Painter(
        actor_of("me", toy_avatar()), 128, 96, threads=1, animate=StageClock(), render=StageClock()
    )
    sink, pictures = MotionSink(path, lambda: _HEADER), list[UInt8Array]()
    for number, (time, motion) in enumerate(moments):
        pictures.append(painter.paint(motion, backdrop_of("d9dbde"), badge="bottom-right"))
        sink.write(
            DrawnFrame(pictures[-1], False, 1000 + time, None, number, motion, {"hat": 0.25})
        )
    # While the driver hides, nothing is known
    sink.write(DrawnFrame(pictures[-1], False, 1099.0, None, 99))
    sink.close()
    assert sink.path == path
    return pictures


@pytest.mark.slow
def test_what_was_shown_is_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    moments = [
        (
            time,
            replace(
                motion,
                residual=rng.normal(0, 0.001, (478, 3)).astype(np.float32),
                secondary=np.array([0.02, 0.0, -0.02, time % 1], np.float32),
            ),
        )
        for time, motion in _performance(1.0)
    ]
    pictures = _recorded(tmp_path / "me.motion", moments)
    assert written_by_us(tmp_path / "me.motion")
    assert read_header(tmp_path / "me.motion") == _HEADER
    painter = Painter(
        actor_of("me", toy_avatar()), 128, 96, threads=1, animate=StageClock(), render=StageClock()
    )
    for frame, picture, (time, motion) in zip(
        read_motion(tmp_path / "me.motion"), pictures, moments, strict=True
    ):
        assert abs(frame.time - time) <= 0.001
        assert motion.residual is not None
        assert np.abs(frame.offsets - motion.residual).max() < 0.00003
        again = painter.paint(motion_of(frame), backdrop_of("d9dbde"), badge="bottom-right")
        error = np.mean(np.square(again.astype(float) - picture))
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 40
    save_avatar(tmp_path / "me.perse", toy_avatar())
    command = [
        "drive",
        str(tmp_path / "me.perse"),
        str(tmp_path / "me.motion"),
        "-o",
        str(tmp_path / "out.mp4"),
        "--no-c2pa",
    ]
    assert cli.main(command) == 0
    shown = list(open_film(tmp_path / "out.mp4").frames())
    assert len(shown) == len(moments)
    assert (
        max(abs(float(frame.time) - time) for frame, (time, _) in zip(shown, moments, strict=True))
        < 0.002
    )
    apart = [
        np.abs(frame.image.astype(float) - picture).mean()
        for frame, picture in zip(shown, pictures, strict=True)
    ]
    assert np.mean(apart) < 3
    assert cli.main([*command, "--match"]) == 2
    assert "--match goes with a video" in capsys.readouterr().err


def test_a_recording_that_was_cut_off_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "me.motion"
    _recorded(path, _performance(0.5))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert 5 <= len(list(read_motion(path))) < 15


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"perse-live motion 1\n",
        b"perse-live motion 1\n{}\n",
        b"perse-live motion 2\n{}\n",
        b'perse-live motion 1\n{"width": 1e9, "height": 2, "fps": 1}\n',
    ],
)
def test_other_files_are_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "me.motion").write_bytes(content)
    with pytest.raises(UserError, match="no recording of motion"):
        list(read_motion(tmp_path / "me.motion"))


@pytest.mark.parametrize(
    ("name", "value"), [("background", "/etc/passwd"), ("background", "me.png"), ("badge", "none")]
)
def test_a_header_names_no_file_and_no_unknown_corner(
    name: str, value: str, tmp_path: Path
) -> None:
    """A stranger's recording does not make drive read pictures of this machine, or leave the badge away by mistake."""
    path = tmp_path / "me.motion"
    with path.open("wb") as file:
        MotionWriter(file, replace(_HEADER, **{name: value}))
    with pytest.raises(UserError, match="no recording of motion"):
        read_header(path)


@pytest.mark.parametrize(("time", "offset"), [(1e9, 0.0), (1.0, 1.0)])
def test_times_and_offsets_have_limits(time: float, offset: float, tmp_path: Path) -> None:
    path = tmp_path / "me.motion"
    with path.open("wb") as file:
        for k in range(3):  # each adds its offsets to those before
            part = io.BytesIO()
            writer, header = MotionWriter(part, _HEADER), part.tell()
            offsets = np.full((478, 3), offset, np.float32)
            writer.write(MotionFrame(k * time, _random_state(0, 1), offsets))
            file.write(part.getvalue()[header if k else 0 :])
    with pytest.raises(UserError, match="is damaged"):
        list(read_motion(path))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE on Windows")
@pytest.mark.parametrize("limit", [200, 60_000])
def test_a_full_disk_is_said_once_and_the_motion_so_far_kept(limit: int, tmp_path: Path) -> None:
    code = f"""
        import resource, sys
        from pathlib import Path
        import numpy as np
        from perse_live.errors import UserError
        from runtime.live.frames import DrawnFrame
        from runtime.sinks.motion import MotionSink
        import test_motion as given

        rng = np.random.default_rng(0)
        image = np.zeros((96, 128, 3), np.uint8)
        before = MotionSink(Path(sys.argv[1] + ".before"), lambda: given._HEADER)
        for number, (time, motion) in enumerate(given._performance(0.2)):  # compiles what is not in the cache
            shaken = given.replace(motion, residual=rng.normal(0, 0.01, (478, 3)).astype(np.float32))
            before.write(DrawnFrame(image, False, time, None, number, shaken, {{}}))
        before.close()
        Path(sys.argv[1] + ".before").unlink()
        sink = MotionSink(Path(sys.argv[1]), lambda: given._HEADER)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, unlimited[1]))
        complaints = []
        for number, (time, motion) in enumerate(given._performance(3.0)):
            shaken = given.replace(motion, residual=rng.normal(0, 0.01, (478, 3)).astype(np.float32))
            try:
                sink.write(DrawnFrame(image, False, time, None, number, shaken, {{}}))
            except UserError as error:
                complaints.append(error)
        for _ in range(2):
            try:
                sink.close()
            except UserError as error:
                complaints.append(error)
        for one in complaints:
            print(one)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)  # coverage writes its file at the end
    """
    path = tmp_path / "me.motion"
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    (complaint,) = found.stdout.splitlines()
    assert "me.motion: the file is too large" in complaint
    assert list(tmp_path.iterdir()) == ([path] if limit > 200 else [])
    if limit > 200:
        assert len(list(read_motion(path))) > 5


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_recording_is_one_line_or_something_to_draw(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng, path = np.random.default_rng(seed), tmp_path_factory.getbasetemp() / "damaged.motion"
    if not path.with_suffix(".whole").exists():
        _recorded(path, _performance(0.2))
        path.rename(path.with_suffix(".whole"))
    data = bytearray(path.with_suffix(".whole").read_bytes())
    for place in rng.integers(0, len(data), 4).tolist():
        data[place] = int(rng.integers(256))
    path.write_bytes(data)
    try:
        found: list[MotionFrame] = list(read_motion(path))
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert all(isinstance(motion_of(frame).pose, HeadPose) for frame in found)
