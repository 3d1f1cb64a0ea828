from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_v4l2 import FakeDevice, make_fake_device
from live_frames import mean_error, picture

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from runtime.sources.camera import CameraConfig, CameraSource, Capture, camera_choices, list_cameras
from runtime.sources.contract import SourceLost

_PATIENCE = 20.0  # seconds


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures as Motion JPEG, which OpenCV reads as it reads a camera."""
    path = tmp_path_factory.mktemp("camera") / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (128, 96))
    for index in range(30):
        writer.write(cv2.cvtColor(picture(index), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@dataclass
class Plug:
    """A camera's plug and what happened at it. Its camera plays a film over and over, 100 pictures a second."""

    film: Path
    inserted: threading.Event = field(default_factory=threading.Event)
    stuck: threading.Event = field(default_factory=threading.Event)
    """Set: the driver waits for pictures that never come."""
    grabbed: int = 0
    openings: int = 0
    open_now: int = 0

    def open(self, index: int | str, config: CameraConfig) -> Capture | None:
        self.openings += 1
        if not self.inserted.is_set():
            return None
        self.open_now += 1
        return Pluggable(self, cv2.VideoCapture(str(self.film)))


class Pluggable:
    """OpenCV's real capture, paced like a camera, until the plug is pulled."""

    def __init__(self, plug: Plug, capture: cv2.VideoCapture) -> None:
        self._plug, self._capture = plug, capture

    def grab(self) -> bool:
        time.sleep(0.01)
        while self._plug.stuck.is_set():
            time.sleep(0.01)
        if not self._plug.inserted.is_set():
            return False
        self._plug.grabbed += 1
        if not self._capture.grab():
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            return self._capture.grab()
        return True

    def retrieve(self) -> tuple[bool, UInt8Array]:
        found, image = self._capture.retrieve()
        return found, np.asarray(image, np.uint8)

    def get(self, propId: int, /) -> float:
        return self._capture.get(propId)

    def release(self) -> None:
        self._plug.open_now -= 1
        self._capture.release()


@pytest.fixture
def plug(film: Path) -> Iterator[Plug]:
    made = Plug(film)
    made.inserted.set()
    yield made
    assert made.open_now == 0, "a capture was left open"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def is_lost(source: CameraSource) -> bool:
    try:
        source.read(0.02)
    except SourceLost:
        return True
    return False


def test_pictures_come_as_rgb_with_the_time_of_their_arrival(plug: Plug) -> None:
    source = CameraSource(0, CameraConfig(), open_capture=plug.open)
    before = time.monotonic()
    try:
        frames = [frame for frame in (source.read(5.0) for _ in range(10)) if frame is not None]
    finally:
        source.close()
    assert (source.name, source.live) == ("camera 0", True)
    assert len(frames) == 10
    assert min(mean_error(frames[0].image, picture(index)) for index in range(30)) < 3
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert before - 5 < times[0] <= times[-1] <= time.monotonic()


def test_what_the_camera_really_gives_can_be_read(plug: Plug) -> None:
    source = CameraSource(
        "/dev/video3", CameraConfig(width=1920, height=1080), open_capture=plug.open
    )
    source.close()
    assert source.name == "camera /dev/video3"
    assert (source.format.width, source.format.height, source.format.fps, source.format.coding) == (
        128,
        96,
        30.0,
        "MJPG",
    )


def test_a_slow_reader_sees_the_newest_picture_only(plug: Plug) -> None:
    source = CameraSource(0, CameraConfig(), open_capture=plug.open)
    try:
        first = source.read(5.0)
        grabbed = plug.grabbed
        until(lambda: plug.grabbed >= grabbed + 20)
        newest = source.read(0.0)
        assert first is not None
        assert newest is not None
        assert newest.time - first.time > 0.15  # a queue would give the one that came 0.01 s later
    finally:
        source.close()


@pytest.mark.slow
def test_unplugged_it_is_lost_and_back_it_goes_on(plug: Plug) -> None:
    source = CameraSource(0, CameraConfig(), open_capture=plug.open)
    try:
        assert source.read(5.0) is not None
        plug.inserted.clear()
        until(lambda: is_lost(source))
        assert is_lost(source), "it says so as long as it is gone"
        with pytest.raises(SourceLost, match="plug it in again"):
            source.read(0.0)
        # In this order: the first of the two tries is after `began`
        began, tries = (time.monotonic(), plug.openings)
        until(lambda: plug.openings >= tries + 2)
        assert time.monotonic() - began > 0.45, "at most two tries a second"
        plug.inserted.set()
        until(lambda: not is_lost(source) and source.read(1.0) is not None)
        again = source.read(5.0)
        assert again is not None
        assert min(mean_error(again.image, picture(index)) for index in range(30)) < 3
    finally:
        source.close()


@pytest.mark.slow
def test_a_driver_that_hangs_counts_as_lost_too(plug: Plug) -> None:
    source = CameraSource(0, CameraConfig(), open_capture=plug.open)
    try:
        plug.stuck.set()
        until(lambda: is_lost(source))
        plug.stuck.clear()
        until(lambda: not is_lost(source))
    finally:
        plug.stuck.clear()
        source.close()


def test_closing_wakes_a_read_and_ends_the_thread(plug: Plug) -> None:
    source = CameraSource(0, CameraConfig(), open_capture=plug.open)
    source.read(5.0)
    plug.stuck.set()
    answers: list[object] = []
    reader = threading.Thread(target=lambda: [source.read(0.0), answers.append(source.read(60.0))])
    reader.start()
    time.sleep(0.05)
    plug.stuck.clear()
    source.close()
    reader.join(_PATIENCE)
    source.close()
    assert len(answers) == 1
    assert source.read(0.0) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_a_camera_that_gives_no_picture_is_refused(film: Path) -> None:
    plug = Plug(film)

    def open_dark(index: int | str, config: CameraConfig) -> Capture | None:
        plug.inserted.set()
        capture = plug.open(index, config)
        plug.inserted.clear()
        return capture

    with pytest.raises(
        UserError, match="camera 2 opens but gives no picture: close other programs"
    ):
        CameraSource(2, CameraConfig(), open_capture=open_dark)
    assert plug.open_now == 0


def test_a_missing_camera_says_what_there_is_and_what_to_do(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UserError, match="camera 97 cannot be opened") as caught:
        CameraSource(97, CameraConfig())
    message = str(caught.value)
    assert "\n" not in message
    assert camera_choices() in message
    assert "a video file, browser, vmc or none" in message
    assert capfd.readouterr().err == "", "OpenCV stays quiet"


def test_the_list_of_cameras_names_trouble(tmp_path: Path) -> None:
    if not Path("/proc").exists():
        pytest.skip("Linux's list")
    for number, name in ((0, "Integrated Camera"), (12, "Gone")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(f"{name}\n")
    (tmp_path / "v4l-subdev0").mkdir()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "video0").write_text("no device at all")
    cameras = list_cameras(system=tmp_path, devices=tmp_path / "dev")
    assert [(camera.index, camera.name) for camera in cameras] == [(12, "Gone")]
    assert "No such file" in cameras[0].problem
    assert list_cameras(system=tmp_path / "nowhere") == []


_WATCH = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from runtime.sources.camera import CameraConfig, CameraSource, list_cameras
    from runtime.sources.contract import SourceLost

    source = CameraSource(10, CameraConfig(width=int(sys.argv[1]), fps=25))
    frame = source.read(10.0)
    assert frame is not None
"""


@pytest.fixture
def webcam(tmp_path: Path) -> FakeDevice:
    return make_fake_device(tmp_path, "capture")


@pytest.mark.parametrize(("wanted", "got"), [(600, (640, 480)), (1920, (1280, 720))])
def test_opencv_agrees_with_a_webcam_on_motion_jpeg(
    webcam: FakeDevice, wanted: int, got: tuple[int, int]
) -> None:
    width, height = got
    cv2.imwrite(str(webcam.jpeg), cv2.cvtColor(picture(7, width, height), cv2.COLOR_RGB2BGR))
    done = webcam.run(
        _WATCH
        + """
    print(source.format)
    print(time.monotonic() - frame.time >= 0.02)
    np.save(sys.argv[2], frame.image)
    source.close()
    """,
        str(wanted),
        str(webcam.folder / "seen.npy"),
    )
    assert done.returncode == 0, done.stderr
    assert webcam.format == f"{width} {height} MJPG"
    told, stamped = done.stdout.splitlines()
    assert told == f"CameraFormat(width={width}, height={height}, fps=25.0, coding='MJPG')"
    assert stamped == "True", "the driver's time of capture is used"
    assert mean_error(np.load(webcam.folder / "seen.npy"), picture(7, width, height)) < 3
    assert done.stderr == ""


def test_a_webcam_without_motion_jpeg_gives_raw_pictures(webcam: FakeDevice) -> None:
    done = webcam.run(
        _WATCH
        + """
    later = source.read(10.0)
    print(source.format.coding, later.image.shape, int(later.image.mean()) > int(frame.image.mean()))
    source.close()
    """,
        "640",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "YUYV (480, 640, 3) True\n"


@pytest.mark.slow
def test_a_webcam_is_unplugged_and_comes_back(webcam: FakeDevice) -> None:
    done = webcam.run(
        _WATCH
        + """
    gone = Path(sys.argv[2])
    for plugged in (False, True):
        gone.unlink() if plugged else gone.touch()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                seen = source.read(0.1) is not None
            except SourceLost as lost:
                seen = False
                if not plugged:
                    print(lost)
                    break
            if seen and plugged:
                print("back")
                break
    source.close()
    """,
        "640",
        str(webcam.gone),
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout
        == "camera 10 is gone: plug it in again, or close the program that has taken it\nback\n"
    )
    assert done.stderr == "", "OpenCV stays quiet"


@pytest.mark.slow
def test_the_list_of_cameras_shows_webcams_and_leaves_outputs_out(tmp_path: Path) -> None:
    system = tmp_path / "system"
    (system / "video10").mkdir(parents=True)
    (system / "video10" / "name").write_text("Fake webcam\n")
    program = """
    import sys
    from pathlib import Path
    from runtime.sources.camera import list_cameras
    print(list_cameras(system=Path(sys.argv[1])))
    """
    (tmp_path / "capture").mkdir()
    (tmp_path / "output").mkdir()
    seen = make_fake_device(tmp_path / "capture", "capture").run(program, str(system))
    assert seen.stdout == "[CameraInfo(index=10, name='Fake webcam', problem='')]\n", seen.stderr
    assert (
        make_fake_device(tmp_path / "output", "output").run(program, str(system)).stdout == "[]\n"
    )
