"""Parsing untrusted Open Sound Control packets (OSC 1.0 specification, opensoundcontrol.stanford.edu).

python-osc's parser is not used: a bundle that declares an element of negative size makes it loop for ever (1.10.2), nested ones
exhaust the stack, and every odd type tag is logged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Argument = str | int | float | bool
Message = tuple[str, tuple[Argument, ...]]

_BUNDLE = b"#bundle\x00"
_BUNDLE_HEADER = 16  # "#bundle", NUL, 8 bytes of time
_NUMBERS = {
    "i": struct.Struct(">i"),
    "f": struct.Struct(">f"),
    "h": struct.Struct(">q"),
    "d": struct.Struct(">d"),
}
_MAX_ARGUMENTS = 64


def messages(packet: bytes, *, prefix: bytes) -> Iterator[Message]:
    """The messages of a packet in their order, with those of its bundles, nested ones too; times of bundles are ignored.

    packet: one datagram, anything. prefix: of the addresses wanted; others are passed over unread. Messages that are malformed or
    hold other arguments than strings, numbers and booleans are left out. Takes time and memory in proportion to the packet.
    """
    waiting = [(0, len(packet))]  # a stack of pieces, the next one last
    while waiting:
        start, end = waiting.pop()
        if packet.startswith(_BUNDLE, start, end):
            waiting.extend(reversed(list(_elements(packet, start + _BUNDLE_HEADER, end))))
        elif packet.startswith(prefix, start, end):
            message = _message(packet[start:end])
            if message is not None:
                yield message


def _elements(packet: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the elements of a bundle's body lie; stops at the first that cannot be."""
    while start + 4 <= end:
        size = int.from_bytes(packet[start : start + 4], "big", signed=True)
        start += 4
        if size <= 0 or start + size > end:
            return
        yield start, start + size
        start += size


def _message(data: bytes) -> Message | None:
    address, position = _string(data, 0)
    if address is None:
        return None
    if position >= len(data):
        return address, ()  # old senders leave out the tags where there are no arguments
    tags, position = _string(data, position)
    if tags is None or not tags.startswith(",") or len(tags) > 1 + _MAX_ARGUMENTS:
        return None
    arguments: list[Argument] = []
    for tag in tags[1:]:
        if tag in "TF":
            arguments.append(tag == "T")
        elif tag == "s":
            text, position = _string(data, position)
            if text is None:
                return None
            arguments.append(text)
        elif tag in _NUMBERS:
            number = _NUMBERS[tag]
            if position + number.size > len(data):
                return None
            arguments.append(number.unpack_from(data, position)[0])
            position += number.size
        else:
            return None
    return address, tuple(arguments)


def _string(data: bytes, start: int) -> tuple[str | None, int]:
    """The string that begins there, None for none, and the multiple of four behind it."""
    end = data.find(b"\x00", start)
    if start >= len(data) or end < 0:
        return None, len(data)
    try:
        text = data[start:end].decode("utf-8")
    except UnicodeDecodeError:
        return None, len(data)
    return text, (end // 4 + 1) * 4
