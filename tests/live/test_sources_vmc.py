from __future__ import annotations

import math
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient

from hypothesis_profiles import examples
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, index
from runtime.sources.contract import SourceLost
from runtime.sources.vmc import VmcSource, parse_vmc
from runtime.tracker import TrackedFrame

_FACING = np.diag([1.0, -1.0, -1.0])
# Axes about which Unity's Quaternion.AngleAxis turns, degrees above 0
_UNITY_DOWN, _UNITY_UP = ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
_UNITY_RIGHT, _UNITY_LEFT = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)


@pytest.fixture
def source() -> Iterator[VmcSource]:
    made = VmcSource(0)
    yield made
    made.close()


@pytest.fixture
def client(source: VmcSource) -> SimpleUDPClient:
    return SimpleUDPClient("127.0.0.1", source.port)


def next_of(source: VmcSource) -> TrackedFrame:
    frame = source.read(10.0)
    assert frame is not None
    return frame


def angle_axis(degrees: float, axis: tuple[float, float, float]) -> list[float]:
    """Unity's Quaternion.AngleAxis: xyzw."""
    half = math.radians(degrees) / 2
    return [*(component * math.sin(half) for component in axis), math.cos(half)]


def send_bone(client: SimpleUDPClient, name: str, quat_xyzw: list[float]) -> None:
    client.send_message("/VMC/Ext/Bone/Pos", [name, 0.0, 0.1, 0.0, *quat_xyzw])


def forward(frame: TrackedFrame) -> np.ndarray:
    """Where the face looks, in the head frame at rest: x to the user's left, y up, z ahead."""
    return _FACING @ frame.R_cam_head[:, 2]


def test_expressions_come_by_name_when_they_are_applied(
    source: VmcSource, client: SimpleUDPClient
) -> None:
    client.send_message("/VMC/Ext/Blend/Val", ["JawOpen", 0.25])  # as Perfect Sync writes it
    client.send_message("/VMC/Ext/Blend/Val", ["mouthSmileLeft", 0.75])  # as ARKit does
    assert source.read(0.1) is None, "nothing before it is applied"
    before = time.monotonic()
    client.send_message("/VMC/Ext/Blend/Apply", [])
    frame = next_of(source)
    expected = np.zeros(52, np.float32)
    expected[index("jawOpen")], expected[index("mouthSmileLeft")] = 0.25, 0.75
    np.testing.assert_allclose(frame.expression, expected)
    np.testing.assert_allclose(frame.R_cam_head, _FACING)
    assert not frame.t_cam_head.any()
    assert not frame.gaze.any()
    assert frame.residual.shape == (478, 3)
    assert frame.confidence == 1
    assert before <= frame.timestamp <= time.monotonic()
    assert source.name == f"VMC on UDP port {source.port}"


def test_every_arkit_name_is_known(source: VmcSource, client: SimpleUDPClient) -> None:
    bundle = OscBundleBuilder(IMMEDIATELY)
    for number, name in enumerate(EXPRESSION_NAMES):
        message = OscMessageBuilder("/VMC/Ext/Blend/Val")
        message.add_arg(name[0].upper() + name[1:])
        message.add_arg(number / 100)
        bundle.add_content(message.build())  # type: ignore[arg-type]
    bundle.add_content(OscMessageBuilder("/VMC/Ext/Blend/Apply").build())  # type: ignore[arg-type]
    client.send(bundle.build())
    np.testing.assert_allclose(next_of(source).expression, np.arange(52) / 100, atol=1e-6)


def test_values_stay_until_they_are_sent_again_and_within_their_range(
    source: VmcSource, client: SimpleUDPClient
) -> None:
    for value in (0.5, 7.0, -3.0):
        client.send_message("/VMC/Ext/Blend/Val", ["jawOpen", value])
        client.send_message("/VMC/Ext/Blend/Val", ["cheekPuff", 0.1])
        client.send_message("/VMC/Ext/Blend/Apply", [])
        expression = next_of(source).expression
        assert expression[index("jawOpen")] == min(max(value, 0.0), 1.0)
    client.send_message("/VMC/Ext/Blend/Apply", [])
    assert next_of(source).expression[index("cheekPuff")] == pytest.approx(0.1)


@pytest.mark.parametrize("bone", ["Head", "Neck"])
@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (
            _UNITY_LEFT,
            (math.sin(0.4), 0.0, math.cos(0.4)),
        ),  # the user's left is +x here, -x in Unity
        (_UNITY_RIGHT, (-math.sin(0.4), 0.0, math.cos(0.4))),
        (_UNITY_UP, (0.0, math.sin(0.4), math.cos(0.4))),
        (_UNITY_DOWN, (0.0, -math.sin(0.4), math.cos(0.4))),
    ],
)
def test_the_head_turns_as_the_bone_does(
    source: VmcSource,
    client: SimpleUDPClient,
    bone: str,
    axis: tuple[float, float, float],
    expected: tuple[float, float, float],
) -> None:
    send_bone(client, bone, angle_axis(math.degrees(0.4), axis))
    client.send_message("/VMC/Ext/Blend/Apply", [])
    frame = next_of(source)
    np.testing.assert_allclose(forward(frame), expected, atol=1e-6)
    assert np.linalg.det(frame.R_cam_head) == pytest.approx(1, abs=1e-5)


def test_turned_to_the_users_left_the_nose_points_to_the_pictures_right(
    source: VmcSource, client: SimpleUDPClient
) -> None:
    send_bone(client, "Head", angle_axis(30, _UNITY_LEFT))
    client.send_message("/VMC/Ext/Blend/Apply", [])
    nose = next_of(source).R_cam_head @ np.array([0.0, 0.0, 0.1])
    assert nose[0] > 0.04


def test_tilted_to_the_left_shoulder_the_crown_goes_to_the_pictures_right(
    source: VmcSource, client: SimpleUDPClient
) -> None:
    # Unity, seen from behind the avatar along +z: x right, y up; turning x to y lifts the right ear
    send_bone(client, "Head", angle_axis(20, (0.0, 0.0, 1.0)))
    client.send_message("/VMC/Ext/Blend/Apply", [])
    crown = next_of(source).R_cam_head @ np.array([0.0, 0.1, 0.0])
    assert crown[0] > 0.03
    assert crown[1] < 0  # up, in a camera's frame


def test_the_heads_turn_is_carried_by_the_necks(source: VmcSource, client: SimpleUDPClient) -> None:
    send_bone(client, "Neck", angle_axis(90, _UNITY_LEFT))
    send_bone(client, "Head", angle_axis(90, _UNITY_UP))
    client.send_message("/VMC/Ext/Blend/Apply", [])
    np.testing.assert_allclose(forward(next_of(source)), (0, 1, 0), atol=1e-6)


def test_eyes_follow_the_shapes_else_the_bones(source: VmcSource, client: SimpleUDPClient) -> None:
    send_bone(client, "LeftEye", angle_axis(10, _UNITY_LEFT))
    send_bone(client, "RightEye", angle_axis(20, _UNITY_UP))
    client.send_message("/VMC/Ext/Blend/Apply", [])
    np.testing.assert_allclose(np.degrees(next_of(source).gaze), [[10, 0], [0, 20]], atol=1e-3)
    client.send_message("/VMC/Ext/Blend/Val", ["EyeLookOutRight", 1.0])
    client.send_message("/VMC/Ext/Blend/Apply", [])
    gaze = next_of(source).gaze
    assert gaze[1, 0] < -0.3  # to the user's right
    assert not gaze[0].any()


def test_a_phone_that_has_lost_the_face_says_so(source: VmcSource, client: SimpleUDPClient) -> None:
    for tracking in (0, 1):
        client.send_message("/VMC/Ext/OK", [1, 3, 0, tracking])
        client.send_message("/VMC/Ext/Blend/Apply", [])
        assert next_of(source).confidence == tracking


def test_only_the_newest_motion_is_read(source: VmcSource, client: SimpleUDPClient) -> None:
    for step in range(1, 51):
        client.send_message("/VMC/Ext/Blend/Val", ["jawOpen", step / 50])
        client.send_message("/VMC/Ext/Blend/Apply", [])
    deadline = time.monotonic() + 10
    seen = 0
    while time.monotonic() < deadline:
        frame = source.read(0.1)
        if frame is not None:
            seen += 1
            if frame.expression[index("jawOpen")] == 1:
                break
    else:
        raise AssertionError("the last motion never came")
    assert source.read(0.05) is None
    assert seen <= 50


@pytest.mark.slow
def test_silence_is_a_loss_and_motion_ends_it(source: VmcSource, client: SimpleUDPClient) -> None:
    with pytest.raises(SourceLost, match=f"UDP port {source.port}"):
        while True:
            assert source.read(0.2) is None
    client.send_message("/VMC/Ext/Blend/Val", ["jawOpen", 1.0])
    client.send_message("/VMC/Ext/Blend/Apply", [])
    assert next_of(source).expression[index("jawOpen")] == 1
    with pytest.raises(SourceLost):
        while True:
            assert source.read(0.2) is None
    client.send_message("/VMC/Ext/Blend/Apply", [])
    assert not next_of(source).expression.any(), "a new performance begins with a face at rest"


def test_only_one_sender_is_listened_to() -> None:
    source = VmcSource(0, host="0.0.0.0")
    try:
        mine = SimpleUDPClient("127.0.0.1", source.port)
        mine.send_message("/VMC/Ext/Blend/Apply", [])
        next_of(source)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            try:
                other.bind(("127.0.0.2", 0))
            except OSError:
                pytest.skip("this system has one loopback address only")
            message = OscMessageBuilder("/VMC/Ext/Blend/Val")
            message.add_arg("jawOpen")
            message.add_arg(1.0)
            other.sendto(message.build().dgram, ("127.0.0.1", source.port))
        mine.send_message("/VMC/Ext/Blend/Apply", [])
        assert not next_of(source).expression.any()
    finally:
        source.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_values_that_are_no_numbers_change_nothing(
    source: VmcSource, client: SimpleUDPClient, value: float
) -> None:
    client.send_message("/VMC/Ext/Blend/Val", ["jawOpen", 0.5])
    client.send_message("/VMC/Ext/Blend/Val", ["jawOpen", value])
    send_bone(client, "Head", [value, 0.0, 0.0, 1.0])
    send_bone(client, "Neck", [0.0, 0.0, 0.0, 0.0])
    client.send_message("/VMC/Ext/Blend/Apply", [])
    frame = next_of(source)
    assert frame.expression[index("jawOpen")] == 0.5
    np.testing.assert_allclose(frame.R_cam_head, _FACING)


# NUL ends an OSC string; python-osc builds none with it
_NO_NUL = st.characters(codec="utf-8", exclude_characters="\0")
_NAMES = st.sampled_from(["jawOpen", "Head", "Neck", "LeftEye", "eyeLookInLeft"]) | st.text(
    _NO_NUL, max_size=10
)
_VALUES = (
    st.floats(width=32)
    | st.integers(-(2**31), 2**31 - 1)
    | st.booleans()
    | st.text(_NO_NUL, max_size=5)
)
_ADDRESSES = st.sampled_from(
    ["/VMC/Ext/Blend/Val", "/VMC/Ext/Bone/Pos", "/VMC/Ext/OK", "/VMC/Ext/Blend/Apply", "/VMC/Ext/T"]
)


@pytest.fixture(scope="module")
def lasting_source() -> Iterator[VmcSource]:
    made = VmcSource(0)
    yield made
    made.close()


@examples(150, allowed=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(
        st.binary(max_size=200) | st.tuples(_ADDRESSES, _NAMES, st.lists(_VALUES, max_size=9)),
        max_size=4,
    )
)
def test_hostile_packets_leave_a_source_that_works(
    lasting_source: VmcSource, data: list[bytes | tuple[str, str, list[float | bool | str]]]
) -> None:
    client = SimpleUDPClient("127.0.0.1", lasting_source.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        for item in data:
            if isinstance(item, bytes):
                for prefix in (b"", b"/VMC/Ext/Blend/Val\0\0,sf\0", b"#bundle\0" + b"\0" * 8):
                    raw.sendto(prefix + item, ("127.0.0.1", lasting_source.port))
            else:
                client.send_message(item[0], [item[1], *item[2]])
    client.send_message("/VMC/Ext/Blend/Val", ["browInnerUp", 0.5])
    client.send_message("/VMC/Ext/Blend/Apply", [])
    frame = next_of(lasting_source)
    while frame.expression[index("browInnerUp")] != 0.5:  # an earlier Apply
        frame = next_of(lasting_source)
    client.send_message("/VMC/Ext/Blend/Val", ["browInnerUp", 0.0])
    assert np.isfinite(frame.R_cam_head).all()
    np.testing.assert_allclose(frame.R_cam_head @ frame.R_cam_head.T, np.eye(3), atol=1e-4)
    assert np.isfinite(frame.gaze).all()
    assert ((frame.expression >= 0) & (frame.expression <= 1)).all()


def test_a_flood_neither_grows_memory_nor_stops_the_source(
    source: VmcSource, client: SimpleUDPClient
) -> None:
    endless_bundle = b"#bundle\0" + b"\0" * 8 + struct.pack(">i", -4)
    unknown = [OscMessageBuilder("/VMC/Ext/Blend/Val") for _ in range(200)]
    for number, message in enumerate(unknown):
        message.add_arg(f"unknown{number}" * 20)
        message.add_arg(0.5)
    packets = [
        endless_bundle,
        b"/VMC/Ext/" + b"x" * 60_000,
        *(message.build().dgram for message in unknown),
    ]
    client.send_message("/VMC/Ext/Blend/Apply", [])
    next_of(source)
    tracemalloc.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        for _ in range(100):
            for packet in packets:
                raw.sendto(packet, ("127.0.0.1", source.port))
    deadline = time.monotonic() + 20
    came = False
    while not came and time.monotonic() < deadline:
        client.send_message("/VMC/Ext/Blend/Val", ["jawOpen", 1.0])
        client.send_message("/VMC/Ext/Blend/Apply", [])
        try:
            frame = source.read(0.1)
        except SourceLost:
            continue
        came = frame is not None and frame.expression[index("jawOpen")] == 1
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert came
    assert grown < 1_000_000


def test_a_port_that_is_taken_is_said(source: VmcSource) -> None:
    with pytest.raises(
        UserError, match=f"127.0.0.1:{source.port}, the port is taken: close the program"
    ) as caught:
        VmcSource(source.port)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.77", "no such host.invalid", "\u00e4" * 70])
def test_a_strange_address_is_said(host: str) -> None:
    with pytest.raises(UserError, match="cannot listen for VMC on"):
        VmcSource(0, host=host)


def test_closing_frees_the_port_and_wakes_a_read() -> None:
    before = set(threading.enumerate())
    source = VmcSource(0)
    answers: list[object] = []
    reader = threading.Thread(target=lambda: answers.append(source.read(0.9)))
    reader.start()
    source.close()
    reader.join(20)
    assert answers == [None]
    source.close()
    assert source.read(0.0) is None
    again = VmcSource(source.port)
    again.close()
    assert not set(threading.enumerate()) - before


def test_text_names_address_and_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    for text in (f"vmc:{port}", f"vmc:0.0.0.0:{port}"):
        opened = parse_vmc(text)()
        assert opened.port == port
        opened.close()
    for text in ("vmc:0", "vmc:65536", "vmc:", "vmc:a:b", "vmc:1:2:3", "vmc::5", "vmcx", "vmc:١٢"):
        with pytest.raises(UserError):
            parse_vmc(text)()
