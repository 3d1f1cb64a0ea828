from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, unpack_header_extensions

from runtime.web.bandwidth import FixedBandwidth
from runtime.web.playout import _AtOnceMap  # pyright: ignore[reportPrivateUsage]

ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"


def test_every_packet_has_the_playout_delay_and_aiortcs_extensions() -> None:
    extensions = _AtOnceMap(6)
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=2, uri=ABS_SEND_TIME),
                RTCRtpHeaderExtensionParameters(id=4, uri="urn:ietf:params:rtp-hdrext:sdes:mid"),
            ]
        )
    )
    told = dict(
        unpack_header_extensions(*extensions.set(HeaderExtensions(abs_send_time=0x010203, mid="0")))
    )
    assert told == {2: b"\x01\x02\x03", 4: b"0", 6: b"\0\0\0"}
    assert dict(unpack_header_extensions(*extensions.set(HeaderExtensions()))) == {6: b"\0\0\0"}
    assert extensions.get(*extensions.set(HeaderExtensions(mid="0"))).mid == "0"


def test_bandwidth_is_promised_now_and_then_whatever_arrives() -> None:
    bandwidth = FixedBandwidth(1_000_000)
    told = [
        bandwidth.add(abs_send_time=0, arrival_time_ms=when, payload_size=1200, ssrc=7)
        for when in range(10_000, 13_000, 40)
    ]
    assert all(one in (None, (1_000_000, [7])) for one in told)
    assert told[0] is not None and sum(one is not None for one in told) == 6
    # A clock that was set back
    assert bandwidth.add(abs_send_time=0, arrival_time_ms=5, payload_size=0, ssrc=7) is not None
