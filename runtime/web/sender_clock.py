"""Capture times by the sender's clock, from RTCP sender reports (RFC 3550, section 6.4.1): they align sound and pictures."""

from __future__ import annotations

import statistics
from collections import deque

from aiortc import RTCRtpReceiver
from aiortc.rtp import RtcpSrPacket

from runtime.web.aiortc_hooks import on_sender_report, rtp_origin

_NTP_FRACTION = 1 << 32  # ticks of an NTP timestamp in a second
_WRAP = 1 << 32  # values of an RTP timestamp
_REPORTS = 8  # over which the two clocks are compared: one that was sent late counts little


class SenderClock:
    """Maps a receiver's timestamps to the sender's clock, once it has sent a report."""

    def __init__(self, receiver: RTCRtpReceiver, rate: int) -> None:
        """rate: ticks of an RTP timestamp in a second. Before the first packet."""
        self._receiver, self._rate = receiver, rate
        self._last: int | None = None  # RTP timestamp of the last report ...
        self._ticks = 0  # ... and how many ticks after that of the first it is
        self._starts: deque[float] = deque(maxlen=_REPORTS)  # of the sender's clock, seconds
        on_sender_report(receiver, self._note)

    def captured(self, ticks: int) -> float | None:
        """Seconds of the sender's clock at which a frame was captured; None before the first report.

        ticks: the frame's `pts`, which aiortc counts from the first frame.
        """
        origin = rtp_origin(self._receiver)
        if self._last is None or origin is None:
            return None
        since = self._ticks + _signed(origin + ticks - self._last)
        return statistics.median(self._starts) + since / self._rate

    def note(self, ntp: int, rtp: int) -> None:
        """Take what a sender report says: an NTP timestamp (64 bits) and the RTP timestamp of that moment."""
        if not ntp:  # the sender has no clock
            return
        if self._last is not None:
            self._ticks += _signed(rtp - self._last)
        self._last = rtp
        self._starts.append(ntp / _NTP_FRACTION - self._ticks / self._rate)

    def _note(self, report: RtcpSrPacket) -> None:
        self.note(report.sender_info.ntp_timestamp, report.sender_info.rtp_timestamp)


def _signed(ticks: int) -> int:
    """A difference of RTP timestamps, which are counted modulo 2^32."""
    return (ticks + _WRAP // 2) % _WRAP - _WRAP // 2
