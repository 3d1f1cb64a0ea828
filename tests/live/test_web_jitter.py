from __future__ import annotations

import asyncio
import random

import pytest
from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from runtime.web.jitter import MarkerJitterBuffer, deliver_frames_at_once

FIRST = 65_530  # near the wrap of sequence numbers


def packet(sequence: int, frame: int, data: bytes, *, marker: bool = False) -> RtpPacket:
    made = RtpPacket(
        payload_type=96,
        sequence_number=sequence % 65536,
        timestamp=frame * 3000,
        marker=int(marker),
    )
    made._data = data  # type: ignore[attr-defined]  # as aiortc's receiver does
    return made


def stream(sizes: list[int]) -> list[RtpPacket]:
    """Frames of so many packets each; a frame's content tells which it is."""
    packets: list[RtpPacket] = []
    for frame, size in enumerate(sizes):
        packets += [
            packet(
                FIRST + len(packets) + part,
                frame,
                f"{frame}.{part} ".encode(),
                marker=part == size - 1,
            )
            for part in range(size)
        ]
    return packets


def content(frame: int, size: int) -> bytes:
    return b"".join(f"{frame}.{part} ".encode() for part in range(size))


def test_a_frame_leaves_with_its_last_packet() -> None:
    buffer = MarkerJitterBuffer(capacity=16, is_video=True)
    stock = JitterBuffer(capacity=16, is_video=True)
    for sizes in ([3, 1, 2],):
        ours = [frame.data for each in stream(sizes) if (frame := buffer.add(each)[1])]
        theirs = [frame.data for each in stream(sizes) if (frame := stock.add(each)[1])]
        assert ours == [content(0, 3), content(1, 1), content(2, 2)]
        assert theirs == ours[:2]  # the last one still waits for a packet of the next


def test_reordered_packets_give_the_same_frames() -> None:
    rng = random.Random(3)
    for _ in range(50):
        sizes = [rng.randint(2, 6) for _ in range(12)]
        packets = stream(sizes)
        # Within their frames
        shuffled = packets[:1] + sorted(
            packets[1:], key=lambda each: each.timestamp * 10 + rng.random()
        )
        buffer = MarkerJitterBuffer(capacity=64, is_video=True)
        frames = [frame.data for each in shuffled if (frame := buffer.add(each)[1])]
        assert sorted(frames) == sorted(content(number, size) for number, size in enumerate(sizes))
        assert [int(frame.split(b".")[0]) for frame in frames] == list(range(12))


def test_a_late_packet_holds_back_only_what_it_belongs_to() -> None:
    first, lost, last, *after = stream([3, 2, 2])
    buffer = MarkerJitterBuffer(capacity=16, is_video=True)
    assert [buffer.add(each)[1] for each in (first, last, *after[:2])] == [None] * 4
    returned = [buffer.add(each)[1] for each in (lost, *after[2:])]
    assert [frame.data for frame in returned if frame] == [
        content(0, 3),
        content(1, 2),
        content(2, 2),
    ]


def test_padding_after_a_frame_is_no_frame() -> None:
    buffer = MarkerJitterBuffer(capacity=16, is_video=True)
    packets = [
        packet(FIRST, 0, b"a", marker=True),
        packet(FIRST + 1, 0, b""),
        packet(FIRST + 2, 0, b""),
        packet(FIRST + 3, 1, b"b"),
        packet(FIRST + 4, 1, b"c", marker=True),
    ]
    assert [frame.data for each in packets if (frame := buffer.add(each)[1])] == [b"a", b"bc"]


def test_frames_without_marks_leave_as_before() -> None:
    buffer = MarkerJitterBuffer(capacity=16, is_video=True)
    packets = [packet(FIRST + number, number // 2, b"%d" % number) for number in range(6)]
    assert [frame.data for each in packets if (frame := buffer.add(each)[1])] == [b"01", b"23"]


def test_a_stream_that_starts_again_is_followed() -> None:
    buffer = MarkerJitterBuffer(capacity=16, is_video=True)
    for each in stream([2, 2]):
        buffer.add(each)
    jumped, frame = buffer.add(packet(FIRST + 5000, 9, b"new", marker=True))
    assert jumped and frame is not None and frame.data == b"new"


def test_one_receiver_is_changed_and_no_other() -> None:
    async def look() -> list[type]:
        connection = RTCPeerConnection()
        first, second = (connection.addTransceiver("video").receiver for _ in range(2))
        deliver_frames_at_once(first)
        await connection.close()
        return [
            type(getattr(receiver, "_RTCRtpReceiver__jitter_buffer"))
            for receiver in (first, second)
        ]

    assert asyncio.run(look()) == [MarkerJitterBuffer, JitterBuffer]


def test_an_aiortc_built_otherwise_is_noticed() -> None:
    with pytest.raises(AttributeError):
        deliver_frames_at_once(object())  # type: ignore[arg-type]
