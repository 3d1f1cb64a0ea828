"""Checks of an SDP offer before aiortc parses it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from perse_live.errors import UserError

MAX_SDP_BYTES = 64 * 1024
_MAX_MEDIA = 8
_MAX_CANDIDATES = 64  # each costs connectivity checks; a machine with many interfaces has a dozen
_RTPMAP = re.compile(r"^a=rtpmap:(\d{1,3}) ([A-Za-z0-9-]{1,20})/90000\s*$", re.MULTILINE)
_PROFILE = re.compile(r"[0-9A-F]{6}")
# RFC 6184, table 5
_BASELINE = re.compile(r"42[0-9A-F]{4}|4D[89A-F][0-9A-F]{3}|58[CDEF][0-9A-F]{3}")
_MDNS_CANDIDATE = re.compile(r"a=candidate:\S+ \d+ \S+ \d+ \S+\.local ", re.IGNORECASE)


@dataclass(frozen=True)
class Offer:
    """A checked SDP offer."""

    sdp: str
    """Lines that end in CR LF."""

    @property
    def from_firefox(self) -> bool:
        """Whether Firefox has made it, which does not send to 127.0.0.1."""
        return "\r\no=mozilla" in self.sdp

    @property
    def takes_sound(self) -> bool:
        """Whether it has a section for sound that would be received."""
        return self._has_sound("sendonly")

    @property
    def sends_sound(self) -> bool:
        """Whether it has a section for sound that could be sent."""
        return self._has_sound("recvonly")

    def _has_sound(self, other_way: str) -> bool:
        section = re.search(r"^m=audio .*?(?=^m=|\Z)", self.sdp, re.MULTILINE | re.DOTALL)
        return (
            section is not None
            and " opus/48000" in section[0]
            and not re.search(rf"^a=(inactive|{other_way})\b", section[0], re.MULTILINE)
        )

    def codec_obstacle(self, name: Literal["VP8", "H264"]) -> str:
        """Why a video codec cannot be negotiated, in a few words; empty where it can.

        H.264 needs a payload type with packetization-mode=1, as keyframes do not fit into one packet, and the Baseline or
        Constrained Baseline profile, which is what every endpoint has (RFC 6184, section 8.1; RFC 7742, section 6.2).
        """
        kinds = [
            _parameters(self.sdp, number)
            for number, codec in _RTPMAP.findall(self.sdp)
            if codec.upper() == name
        ]
        if not kinds:
            return f"is without video/{name}"
        if name == "VP8":
            return ""
        in_packets = [one for one in kinds if one.get("packetization-mode", "0") == "1"]
        if not in_packets:
            return "has H264 only without packetization-mode=1"
        profiles = [one.get("profile-level-id", "42E01F").upper() for one in in_packets]
        if not any(_BASELINE.fullmatch(profile) for profile in profiles):
            shown = ", ".join(
                dict.fromkeys(
                    profile if _PROFILE.fullmatch(profile) else "unknown" for profile in profiles
                )
            )
            return f"has H264 only in the profiles {shown}, without (Constrained) Baseline such as 42E01F"
        return ""


def parse_offer(body: bytes, *, local_peer: bool, video: bool = True) -> Offer:
    """An offer from the body of a request.

    local_peer: whether the peer is on this machine. Its candidates with mDNS names are left out then: a name takes up to a
    second to resolve, and the peer's connectivity checks show its address sooner. video: whether there must be video in it,
    else a data channel. Raises UserError for anything that is not such an SDP offer.
    """
    try:
        lines = body.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError("the SDP offer is not text") from None
    if not lines or lines[0].strip() != "v=0":
        raise UserError("the body is not an SDP offer: it must begin with v=0")
    media = [line for line in lines if line.startswith("m=")]
    if video and not any(line.startswith("m=video ") for line in media):
        raise UserError("the SDP offer has no video in it")
    if not video and not any(line.startswith("m=application ") for line in media):
        raise UserError("the SDP offer has no data channel in it")
    if len(media) > _MAX_MEDIA:
        raise UserError(
            f"the SDP offer has {len(media)} media sections: at most {_MAX_MEDIA} are taken"
        )
    if any(line.split(" ")[0] not in ("m=video", "m=audio", "m=application") for line in media):
        raise UserError("the SDP offer has media other than video, audio and data channels")
    if not any(line.startswith("a=fingerprint:") for line in lines):
        raise UserError("the SDP offer has no DTLS fingerprint")
    if sum(line.startswith("a=candidate:") for line in lines) > _MAX_CANDIDATES:
        raise UserError(f"the SDP offer has more than {_MAX_CANDIDATES} candidates")
    if local_peer:
        # Without an end of candidates, ICE waits for those that the peer's checks will show
        lines = [
            line
            for line in lines
            if not _MDNS_CANDIDATE.match(line) and not line.startswith("a=end-of-candidates")
        ]
    return Offer("".join(f"{line}\r\n" for line in lines if line))


def _parameters(sdp: str, payload_type: str) -> dict[str, str]:
    """The format parameters of a payload type, their names in lower case."""
    found = re.search(rf"^a=fmtp:{payload_type} (.*)$", sdp, re.MULTILINE)
    pairs = (part.strip().partition("=") for part in (found[1] if found else "").split(";"))
    return {name.lower(): value.strip() for name, _, value in pairs}
