from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import ExternalError
from live_frames import drawn, mean_error, picture, two_up

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.film.coding import Matrix
from runtime.sinks.recording import RecordingSink


def read_back(path: Path) -> tuple[list[UInt8Array], list[float]]:
    """Pictures of a recording and their times in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = list(container.decode(stream))
    return (
        [frame.to_ndarray(format="rgb24") for frame in frames],
        [float((frame.pts or 0) * (frame.time_base or Fraction(0))) for frame in frames],
    )


def record(path: Path, times: list[float]) -> None:
    sink = RecordingSink(path, fps=30)
    for index, time in enumerate(times):
        sink.write(drawn(picture(index), time=time, number=index + 1))
    sink.close()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_every_frame_comes_back_at_its_time_in_its_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"me{suffix}"
    rng = np.random.default_rng(0)
    times = (1000 + np.cumsum(rng.uniform(0.004, 0.08, 70))).tolist()  # 12 to 250 a second
    record(path, times)
    pictures, found = read_back(path)
    assert len(pictures) == 70
    # Matroska counts milliseconds
    np.testing.assert_allclose(found, np.array(times) - times[0], atol=1.1e-3)
    assert max(mean_error(shown, picture(index)) for index, shown in enumerate(pictures)) < 3
    assert list(tmp_path.iterdir()) == [path]


def boxes_of(path: Path) -> list[bytes]:
    """Kinds of an MP4's outermost boxes; the last must end with the file."""
    boxes: list[bytes] = []
    data = path.read_bytes()
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        boxes.append(data[position + 4 : position + 8])
        position += (
            length if length != 1 else int.from_bytes(data[position + 8 : position + 16], "big")
        )
    assert position == len(data)
    return boxes


def test_a_finished_mp4_is_an_ordinary_one(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    record(path, [i / 30 for i in range(100)])
    boxes = boxes_of(path)
    assert b"moof" not in boxes
    assert boxes.count(b"moov") == 1
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 100
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(100 / 30, abs=0.01)


def test_seconds_grow_with_the_frames(tmp_path: Path) -> None:
    sink = RecordingSink(tmp_path / "me.mp4", fps=25)
    assert sink.seconds == 0
    sink.write(drawn(picture(0), time=50.0))
    assert sink.seconds == pytest.approx(0.04)
    sink.write(drawn(picture(1), time=52.5))
    assert sink.seconds == pytest.approx(2.54)
    sink.close()
    assert sink.seconds == pytest.approx(2.54)


def test_times_that_do_not_grow_are_moved_on(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    record(path, [10.0, 10.1, 10.1, 9.0, 10.2])
    pictures, found = read_back(path)
    assert len(pictures) == 5
    assert all(later > earlier for earlier, later in itertools.pairwise(found))
    assert found[-1] == pytest.approx(0.2, abs=1e-3)


def test_the_first_frame_decides_the_size(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0), time=0.0))
    sink.write(drawn(picture(0, 64, 48), time=0.1))
    sink.write(drawn(picture(0, 256, 192), time=0.2))
    sink.write(drawn(picture(0, 96, 96), time=0.3))
    sink.close()
    pictures, _ = read_back(path)
    assert {shown.shape for shown in pictures} == {(96, 128, 3)}
    assert all(mean_error(shown, picture(0)) < 4 for shown in pictures[:3])
    assert pictures[3][:, :12].max() < 12  # bars
    assert mean_error(pictures[3][:, 18:110], picture(0, 96, 96)[:, 2:94]) < 4


def test_a_matte_in_a_plain_recording_is_the_avatar_on_black(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0), time=0.0))
    sink.write(drawn(two_up(picture(0), 90), time=0.1, matte=True))
    sink.close()
    pictures, _ = read_back(path)
    assert mean_error(pictures[1], picture(0)) < 3


def test_a_recording_that_begins_as_a_matte_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(two_up(picture(0), 90), time=0.0, matte=True))
    sink.write(drawn(picture(0), time=0.1))
    sink.close()
    pictures, _ = read_back(path)
    assert [shown.shape for shown in pictures] == [(96, 256, 3)] * 2
    assert abs(float(pictures[0][:, 140:].mean()) - 90) < 3
    assert float(pictures[1][:, 140:].mean()) > 250


def test_colours_are_labelled_as_coded(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    record(path, [0.0, 0.1])
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.colorspace == Matrix.BT601.value


def test_nothing_under_the_name_until_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    path.write_bytes(b"an earlier recording")
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0)))
    assert path.read_bytes() == b"an earlier recording"
    assert sink.unfinished_path == tmp_path / "me.unfinished.mp4"
    sink.close()
    assert len(read_back(path)[0]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_name_that_ffmpeg_would_take_for_a_protocol_is_a_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(f"call 12:30{suffix}")
    record(path, [0.0, 0.1])
    assert len(read_back(tmp_path / path)[0]) == 2


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    sink = RecordingSink(tmp_path / "me.mp4", fps=30)
    sink.close()
    sink.close()
    assert not list(tmp_path.iterdir())


def test_frames_after_the_end_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0)))
    sink.close()
    sink.write(drawn(picture(1), time=200.0))
    sink.close()
    assert len(read_back(path)[0]) == 1


def test_closing_while_another_thread_writes(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0), time=0.0))
    stop, problems = threading.Event(), list[Exception]()

    def write() -> None:
        index = 1
        while not stop.is_set():
            try:
                sink.write(drawn(picture(index), time=index / 30))
            except Exception as error:
                problems.append(error)
            index += 1

    writer = threading.Thread(target=write)
    writer.start()
    closers = [threading.Thread(target=sink.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()
    stop.set()
    writer.join()
    assert not problems
    assert read_back(path)[0]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("me.avi", "name it .mp4"),
        ("no/such/me.mp4", "folder does not exist"),
        ("folder.mp4", "folder of that name"),
    ],
)
def test_places_where_nothing_can_be_written_are_refused_at_once(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=complaint):
        RecordingSink(tmp_path / name, fps=30)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.mp4"]


def test_an_unfinished_recording_of_a_crash_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "me.unfinished.mp4").write_bytes(b"from a crash")
    record(tmp_path / "me.mp4", [0.0, 0.1])
    assert (tmp_path / "me.unfinished.mp4").read_bytes() == b"from a crash"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["me.mp4", "me.unfinished.mp4"]


_RECORD_IN_A_CHILD = """
    import resource, signal, sys, time
    from pathlib import Path
    from live_frames import drawn, picture
    from perse_live.errors import UserError
    from runtime.sinks.recording import RecordingSink
    import numpy as np

    sink = RecordingSink(Path(sys.argv[1]), fps=30)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (96, 128, 3), dtype=np.uint8)
"""


def run_child(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    program = textwrap.dedent(_RECORD_IN_A_CHILD) + textwrap.dedent(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_a_killed_process_has_recorded_still_plays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"me{suffix}"
    child = run_child(
        """
        for index in range(200):
            sink.write(drawn(picture(index), time=index / 30))
        print("recorded", flush=True)
        time.sleep(60)
    """,
        path,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "recorded\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert not path.exists()
    unfinished = tmp_path / f"me.unfinished{suffix}"
    assert list(tmp_path.iterdir()) == [unfinished]
    pictures, times = read_back(unfinished)
    assert len(pictures) >= 200 - 31  # the last second may be lost
    assert times[-1] == pytest.approx((len(pictures) - 1) / 30, abs=2e-3)
    assert max(mean_error(shown, picture(index)) for index, shown in enumerate(pictures)) < 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE on Windows")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_said_once_and_the_recording_so_far_kept(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"me{suffix}"
    child = run_child(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        complaints = 0
        for index in range(300):
            try:
                sink.write(drawn(picture(index) + np.roll(noise, index * 7, axis=1), time=index / 30))
            except UserError as error:
                complaints += 1
                print(error)
        sink.close()
        print("complaints", complaints)
    """,
        path,
    )
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    complaint, count = output.splitlines()
    assert count == "complaints 1"
    assert "me" in complaint
    assert "too large" in complaint
    assert list(tmp_path.iterdir()) == [path]
    pictures, times = read_back(path)
    assert len(pictures) > 20
    assert times == sorted(times)
    if suffix == ".mp4":
        assert boxes_of(path)[-2:] == [b"moof", b"mdat"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE on Windows")
@pytest.mark.parametrize("spare", [0, 300, 3000, 20_000])
def test_a_disk_that_is_full_at_the_very_end_costs_a_second_at_most(
    tmp_path: Path, spare: int
) -> None:
    path = tmp_path / "me.mp4"
    child = run_child(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for index in range(100):
            sink.write(drawn(picture(index) + np.roll(noise, index * 7, axis=1), time=index / 30))
        size = sink.unfinished_path.stat().st_size + int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            sink.close()
        except UserError as error:
            print(error)
    """,
        path,
        str(spare),
    )
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "what was recorded until then is kept and plays" in output
    assert list(tmp_path.iterdir()) == [path]
    boxes_of(path)
    assert len(read_back(path)[0]) >= 90


def test_a_recording_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Two sessions record to one name."""
    path = tmp_path / "me.mp4"
    first, second = RecordingSink(path, fps=30), RecordingSink(path, fps=30)
    for index in range(6):
        first.write(drawn(picture(index), time=index / 30))
        second.write(drawn(picture(index, width=64), time=index / 30))
    first.close()
    kept = path.read_bytes()
    second.close()
    assert path.read_bytes() == kept
    assert (first.path, second.path) == (path, tmp_path / "me-2.mp4")
    assert read_back(second.path)[0][0].shape[1] == 64
    assert sorted(tmp_path.iterdir()) == [tmp_path / "me-2.mp4", path]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leads_nowhere_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "me.mp4"
    path.symlink_to(tmp_path / "gone.mp4")
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0)))
    sink.close()
    assert sink.path == tmp_path / "me-2.mp4"
    assert path.is_symlink() and not path.exists()


def broken(*_: object) -> None:
    """Fails as FFmpeg may: the error is no OSError."""
    raise ExternalError(-542398533, "Generic error in an external library")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_that_ffmpeg_cannot_finish_gets_its_name(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"me{suffix}"
    sink = RecordingSink(path, fps=30)
    for index in range(40):
        sink.write(drawn(picture(index), time=index / 30))
    monkeypatch.setattr("runtime.sinks.recording._Encoder._mux", broken)
    with pytest.raises(
        UserError, match=r"Generic error.*what was recorded until then is kept and plays"
    ):
        sink.close()
    assert list(tmp_path.iterdir()) == [path]
    assert len(read_back(path)[0]) >= 30


def test_a_frame_that_ffmpeg_cannot_write_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = RecordingSink(tmp_path / "me.mp4", fps=30)
    sink.write(drawn(picture(0), time=0.0))
    with monkeypatch.context() as failing:
        failing.setattr("runtime.sinks.recording._Encoder._mux", broken)
        with pytest.raises(UserError, match="Generic error"):
            sink.write(drawn(picture(1), time=1 / 30))
    sink.close()
    assert len(read_back(tmp_path / "me.mp4")[0]) == 1


@pytest.mark.parametrize("touched", [False, True])
def test_a_file_that_was_there_at_the_start_is_replaced_unless_it_changes(
    tmp_path: Path, touched: bool
) -> None:
    path = tmp_path / "me.mp4"
    path.write_text("an earlier recording")
    sink = RecordingSink(path, fps=30)
    sink.write(drawn(picture(0), time=0.0))
    if touched:
        path.write_text("another session's recording")
    sink.close()
    assert sink.path == (tmp_path / "me-2.mp4" if touched else path)
    assert len(read_back(sink.path)[0]) == 1
    assert not touched or path.read_text() == "another session's recording"


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE on Windows")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_disk_that_is_full_from_the_start_leaves_no_stub(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"me{suffix}"
    child = run_child(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        try:
            for index in range(60):
                sink.write(drawn(picture(index) + np.roll(noise, index * 7, axis=1), time=index / 30))
            sink.close()
        except UserError as error:
            print(error)
            sink.close()
    """,
        path,
    )
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "too large" in output
    assert list(tmp_path.iterdir()) == []
