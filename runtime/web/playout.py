"""Immediate display at the viewer: the RTP header extension playout-delay.

A browser smooths out a stream's jitter by showing frames later than it could: 25 ms here. `jitterBufferTarget = 0` takes back
only what a page itself has asked for. WebRTC's RTP header extension "playout-delay" lets the sender say what its pictures are
for: with 0 to 0 ms, Chromium shows each at once.
"""

from __future__ import annotations

import re

from aiortc import RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters
from aiortc.rtp import (
    HeaderExtensions,
    HeaderExtensionsMap,
    pack_header_extensions,
    unpack_header_extensions,
)

URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_OFFERED = re.compile(rf"^a=extmap:(\d+)(?:/\w+)? {re.escape(URI)}\s*$", re.MULTILINE)
_AT_ONCE = bytes(3)  # 12 bits each for the least and the most delay, in 10 ms
_MAP_OF_SENDER = "_RTCRtpSender__rtp_header_extensions_map"


def show_at_once(transceiver: RTCRtpTransceiver, offer: str) -> None:
    """Send playout-delay 0 with every packet, if the peer's SDP offer supports the extension.

    Between setRemoteDescription and the answer. Raises AttributeError where this aiortc keeps its extensions elsewhere.
    """
    offered = _OFFERED.search(offer)
    if offered is None:
        return
    number = int(offered[1])
    extensions = transceiver._headerExtensions  # pyright: ignore[reportPrivateUsage]
    extensions.append(RTCRtpHeaderExtensionParameters(id=number, uri=URI))
    getattr(transceiver.sender, _MAP_OF_SENDER)
    setattr(transceiver.sender, _MAP_OF_SENDER, _AtOnceMap(number))


class _AtOnceMap(HeaderExtensionsMap):
    """aiortc's header extensions, and one more with a constant value."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        others = unpack_header_extensions(*super().set(values))
        return pack_header_extensions([*others, (self._number, _AT_ONCE)])
