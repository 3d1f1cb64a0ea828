"""The outermost boxes of MP4 and MOV files (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER, _LONG_HEADER = 8, 16  # bytes: length and kind; with a length of 64 bits
_LONG, _TO_THE_END = 1, 0  # lengths that say where the real one is


@dataclass(frozen=True)
class Box:
    """One box of a file."""

    kind: bytes
    """Four letters, such as moov."""
    end: int
    """Of its last byte + 1, bytes from the file's beginning."""
    whole: bool
    """Whether the file is as long as the box says."""


def boxes(path: Path) -> Iterator[Box]:
    """The boxes of a file in order, up to the first that is cut off or is none. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, 0
        while start + _HEADER <= size:
            file.seek(start)
            header = file.read(_LONG_HEADER)
            length = int.from_bytes(header[:4], "big")
            if length == _LONG:
                length = int.from_bytes(header[8:], "big")
            elif length == _TO_THE_END and header[4:8] == b"mdat":
                # of other kinds it is a run of zeros
                length = size - start
            if length < _HEADER:
                return
            yield Box(header[4:8], start + length, start + length <= size)
            if start + length > size:
                return
            start += length
