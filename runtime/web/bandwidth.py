"""Bandwidth reports (REMB) of a receiver to the sender.

aiortc estimates the bandwidth from how evenly packets arrive (REMB). On a busy machine they arrive unevenly although nothing
stands between the two, and the estimate sinks to 0.1 Mbit/s: the browser's camera turns to mush, and pictures in which much moves
are left out, just those that matter. Here the answer is always the same; a sender goes below it by itself when packets are lost.
"""

from __future__ import annotations

from aiortc import RTCRtpReceiver

PLENTY = 4_000_000
"""Bits per second: above what the page's camera sends."""
_INTERVAL = 500  # milliseconds between two answers
_ESTIMATOR_OF_RECEIVER = "_RTCRtpReceiver__remote_bitrate_estimator"


class FixedBandwidth:
    """Replaces aiortc's estimator."""

    def __init__(self, bits_per_second: int) -> None:
        self._bits = bits_per_second
        self._told: int | None = None  # when, milliseconds

    def add(
        self, arrival_time_ms: int, abs_send_time: int, payload_size: int, ssrc: int
    ) -> tuple[int, list[int]] | None:
        """The report to send on a packet's arrival; None: none is due."""
        del abs_send_time, payload_size
        if self._told is not None and 0 <= arrival_time_ms - self._told < _INTERVAL:
            return None
        self._told = arrival_time_ms
        return self._bits, [ssrc]


def promise_bandwidth(receiver: RTCRtpReceiver, bits_per_second: int = PLENTY) -> None:
    """Report a fixed bandwidth to this receiver's sender; call it before the first packet.

    Raises AttributeError where this aiortc keeps its estimator elsewhere.
    """
    getattr(receiver, _ESTIMATOR_OF_RECEIVER)
    setattr(receiver, _ESTIMATOR_OF_RECEIVER, FixedBandwidth(bits_per_second))
