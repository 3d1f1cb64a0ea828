from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_v4l2 import FakeDevice, make_fake_device
from live_frames import mean_error, picture

from perse_live.arrays import UInt8Array

_SHOW = """
    import sys
    import numpy as np
    from live_frames import drawn, picture, two_up
    from perse_live.errors import UserError
    from runtime.sinks.virtual_camera import VirtualCameraSink

    width, height = int(sys.argv[1]), int(sys.argv[2])
    sink = VirtualCameraSink(width, height, 30)
    print(sink.name)
"""


@pytest.fixture
def device(tmp_path: Path) -> FakeDevice:
    return make_fake_device(tmp_path, "output")


def frames_of(device: FakeDevice, width: int, height: int) -> list[UInt8Array]:
    """What programs that watch the camera would see; it is sent as planar YUV 4:2:0."""
    assert device.format == f"{width} {height} YU12"
    raw = np.frombuffer(device.frames.read_bytes(), np.uint8).reshape(-1, height * 3 // 2, width)
    return [cv2.cvtColor(one, cv2.COLOR_YUV2RGB_I420).astype(np.uint8) for one in raw]


def test_the_frames_written_are_the_frames_given(device: FakeDevice) -> None:
    done = device.run(
        _SHOW
        + """
    for index in range(5):
        sink.write(drawn(picture(index * 8, width, height)))
    sink.close()
    sink.close()
    sink.write(drawn(picture(0, width, height)))
    """,
        "320",
        "240",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "virtual camera /dev/video10\n"
    shown = frames_of(device, 320, 240)
    assert len(shown) == 5
    for index, image in enumerate(shown):
        assert mean_error(image, picture(index * 8, 320, 240)) < 2.5
        assert mean_error(image, picture((index + 1) * 8, 320, 240)) > 5


def test_other_sizes_and_mattes_are_brought_to_the_cameras(device: FakeDevice) -> None:
    done = device.run(
        _SHOW
        + """
    sink.write(drawn(picture(0, 96, 96)))
    sink.write(drawn(two_up(picture(0, 320, 180), 55), matte=True))
    sink.close()
    """,
        "320",
        "180",
    )
    assert done.returncode == 0, done.stderr
    small, matte = frames_of(device, 320, 180)
    assert small[:, :68].max() < 6
    assert small[:, 252:].max() < 6
    assert mean_error(small[:, 70:250], picture(0, 180, 180)) < 3
    assert mean_error(matte, picture(0, 320, 180)) < 2.5


def test_without_a_device_the_cause_and_the_steps_are_named(device: FakeDevice) -> None:
    done = device.run("""
    from perse_live.errors import UserError
    from runtime.sinks.virtual_camera import VirtualCameraSink
    for name in ("/dev/video77", "/dev/null"):
        try:
            VirtualCameraSink(64, 64, 30, device=name)
        except UserError as error:
            print(error)
    first = VirtualCameraSink(64, 64, 30)
    try:
        VirtualCameraSink(64, 64, 30, device=first.device)
    except UserError as error:
        print(error)
    first.close()
    """)
    assert done.returncode == 0, done.stderr
    missing, no_camera, busy = done.stdout.splitlines()
    steps = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=perse-live"
    assert "/dev/video77" in missing
    assert all(
        steps in line and "v4l2loopback' backend" in line for line in (missing, no_camera, busy)
    )
    assert "could not be queried" in no_camera


def test_a_camera_that_its_driver_takes_away_is_said_once(tmp_path: Path) -> None:
    node = tmp_path / "video10"
    node.touch()
    done = make_fake_device(tmp_path, "output", path=node).run(
        """
    import sys
    from pathlib import Path
    from live_frames import drawn, picture
    from perse_live.errors import UserError
    from runtime.sinks.virtual_camera import VirtualCameraSink
    sink = VirtualCameraSink(64, 64, 30, device=sys.argv[1])
    sink.write(drawn(picture(0, 64, 64)))
    Path(sys.argv[1]).unlink()
    try:
        sink.write(drawn(picture(0, 64, 64)))
    except UserError as error:
        print(error)
    sink.close()
    """,
        str(node),
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("\n") == 1
        and f"virtual camera {node} is gone: install and load the driver once" in done.stdout
    )


def test_a_webcam_is_no_virtual_camera(tmp_path: Path) -> None:
    done = make_fake_device(tmp_path, "capture").run("""
    from perse_live.errors import UserError
    from runtime.sinks.virtual_camera import VirtualCameraSink
    try:
        VirtualCameraSink(64, 64, 30)
    except UserError as error:
        print(error)
    """)
    assert done.returncode == 0, done.stderr
    assert "No v4l2 loopback device found" in done.stdout
    assert "sudo apt-get install v4l2loopback-dkms" in done.stdout
    assert len(done.stdout.splitlines()) == 1
