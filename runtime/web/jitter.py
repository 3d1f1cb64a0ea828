"""Jitter buffers that return frames as soon as they are complete.

aiortc hands a frame on when the NEXT frame's first packet has come, a frame's time too late (33 ms at 30 fps). The last packet of
a frame says so itself, by RTP's marker bit (RFC 7741, section 4.1, for VP8; RFC 6184, section 5.1, for H.264).
"""

from __future__ import annotations

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

_BUFFER_OF_RECEIVER = "_RTCRtpReceiver__jitter_buffer"
_LATE = 1  # packets of sound that may come before one that was sent earlier, before that one counts as lost


class MarkerJitterBuffer(JitterBuffer):
    """aiortc's video buffer, but a frame leaves it with its marked packet; frames without marks leave as before."""

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        self._drop_leading_padding()
        return self._take_marked_frame() or super()._remove_frame(sequence_number)

    def _drop_leading_padding(self) -> None:
        """Padding may follow a frame's marked packet; taken for a separate frame it would be empty, which ends a decoder."""
        while (first := self._at(0)) is not None and not _payload(first):
            self.remove(1)

    def _take_marked_frame(self) -> JitterFrame | None:
        parts: list[bytes] = []
        timestamp: int | None = None
        for offset in range(self.capacity):
            packet = self._at(offset)
            if packet is None or (timestamp is not None and packet.timestamp != timestamp):
                return None
            timestamp = packet.timestamp
            parts.append(_payload(packet))
            if packet.marker:
                self.remove(len(parts))
                return JitterFrame(data=b"".join(parts), timestamp=timestamp)
        return None

    def _at(self, offset: int) -> RtpPacket | None:
        """The packet so many places after the oldest one that is wanted."""
        return (
            None if self._origin is None else self._packets[(self._origin + offset) % self.capacity]
        )


class PacketJitterBuffer(JitterBuffer):
    """For sound, of which each packet is a frame: handed on as it comes, and put back into order where it comes late.

    aiortc's own holds 80 ms back, which is more than the picture is late; who plays the sound has a buffer of its own.
    """

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        if self._at(0) is None and any(self._at(k) for k in range(_LATE + 1, self.capacity)):
            self.remove(next(k for k in range(self.capacity) if self._at(k)))  # it is lost
        packet = self._at(0)
        if packet is None:
            return None
        self.remove(1)
        return JitterFrame(data=_payload(packet), timestamp=packet.timestamp)

    def _at(self, offset: int) -> RtpPacket | None:
        return (
            None if self._origin is None else self._packets[(self._origin + offset) % self.capacity]
        )


def deliver_packets_at_once(receiver: RTCRtpReceiver) -> None:
    """Give this receiver of sound the buffer above; before the first packet.

    Raises AttributeError where this aiortc keeps its buffer elsewhere.
    """
    stock: JitterBuffer = getattr(receiver, _BUFFER_OF_RECEIVER)
    setattr(receiver, _BUFFER_OF_RECEIVER, PacketJitterBuffer(capacity=stock.capacity))


def deliver_frames_at_once(receiver: RTCRtpReceiver) -> None:
    """Give this receiver, and no other, the buffer above; before the first packet.

    Raises AttributeError where this aiortc keeps its buffer elsewhere.
    """
    stock: JitterBuffer = getattr(receiver, _BUFFER_OF_RECEIVER)
    setattr(
        receiver, _BUFFER_OF_RECEIVER, MarkerJitterBuffer(capacity=stock.capacity, is_video=True)
    )


def _payload(packet: RtpPacket) -> bytes:
    return packet._data  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]  # put there by aiortc's receiver
