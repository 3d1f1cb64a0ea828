"""Correction of jumps in a film's time stamps: joined recordings and broadcasts restart their clocks, broken ones leap.

As in the ffmpeg program (`ts_discontinuity_process` in ffmpeg_demux.c): one correction holds for all streams, and changes at a
packet that is too far from where its stream had come to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

_LONGEST_GAP = Fraction(10)  # seconds; FFmpeg's `dts_delta_threshold`
_LONGEST_OVERLAP = Fraction(1)  # seconds; pictures stored out of order go back by less


@dataclass
class Clock:
    """Computes the correction from the packets of a film, in the order of the file. Deterministic."""

    offset: Fraction = Fraction(0)
    """Seconds to add to the file's time from the last packet on."""
    jumps: int = 0
    """How often the file's clock jumped so far."""
    # Where each stream has come to, corrected seconds
    _next: dict[int, Fraction] = field(default_factory=dict[int, Fraction])
    _furthest: Fraction | None = None  # where any stream has come to

    def correct(self, stream: int, time: Fraction, duration: Fraction) -> Fraction:
        """Seconds to add to the times of a packet.

        stream: its number; time: when it is decoded, seconds by the file's clock; duration: seconds, 0 where it is not known.
        """
        if duration > _LONGEST_GAP:  # MP4 stores a jump as the length of the picture before it
            duration = Fraction(0)
        corrected = time + self.offset
        expected = self._next.get(stream, self._furthest)
        if expected is not None and self._furthest is not None:
            # A stream may pause while another one goes on
            gap = corrected - max(expected, self._furthest)
            # A file may store a stream after another one; once the clock has jumped, a stream that begins far back is from before
            known = stream in self._next or self.jumps > 0
            overlap = expected - corrected if known else Fraction(0)
            if gap > _LONGEST_GAP or overlap > _LONGEST_OVERLAP:
                self.offset += expected - corrected
                corrected = expected
                self.jumps += 1
        self._next[stream] = corrected + duration
        self._furthest = (
            max(self._next.values())
            if self._furthest is None
            else max(self._furthest, corrected + duration)
        )
        return self.offset
