"""What an SDP offer must look like before aiortc gets to see it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from perse_live.errors import UserError

MAX_SDP_BYTES = 64 * 1024
_MOST_MEDIA = 8
_MOST_CANDIDATES = 64  # each costs connectivity checks; a machine with many interfaces has a dozen
_MDNS_CANDIDATE = re.compile(r"a=candidate:\S+ \d+ \S+ \d+ \S+\.local ", re.IGNORECASE)


@dataclass(frozen=True)
class Offer:
    """A checked SDP offer."""

    sdp: str
    """Lines that end in CR LF."""

    def has_codec(self, name: str) -> bool:
        """Whether a video codec is offered; name: as in SDP, in any case."""
        return f" {name}/90000".lower() in self.sdp.lower()


def parse_offer(body: bytes, *, local_peer: bool) -> Offer:
    """An offer from the body of a request.

    local_peer: whether the peer is on this machine. Its candidates with mDNS names are left out then: a name takes up to a second
    to resolve, and the peer's own checks show its address sooner.
    Raises UserError for anything that is not an SDP offer with video.
    """
    try:
        lines = body.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError("the SDP offer is not text") from None
    if not lines or lines[0].strip() != "v=0":
        raise UserError("the body is not an SDP offer: it must begin with v=0")
    media = [line for line in lines if line.startswith("m=")]
    if not any(line.startswith("m=video ") for line in media):
        raise UserError("the SDP offer has no video in it")
    if len(media) > _MOST_MEDIA:
        raise UserError(f"the SDP offer has {len(media)} media sections: at most {_MOST_MEDIA} are taken")
    if any(line.split(" ")[0] not in ("m=video", "m=audio", "m=application") for line in media):
        raise UserError("the SDP offer has media other than video, audio and data channels")
    if not any(line.startswith("a=fingerprint:") for line in lines):
        raise UserError("the SDP offer has no DTLS fingerprint")
    if sum(line.startswith("a=candidate:") for line in lines) > _MOST_CANDIDATES:
        raise UserError(f"the SDP offer has more than {_MOST_CANDIDATES} candidates")
    if local_peer:
        # Without an end of candidates, ICE waits for those that the peer's checks will show
        lines = [line for line in lines if not _MDNS_CANDIDATE.match(line) and not line.startswith("a=end-of-candidates")]
    return Offer("".join(f"{line}\r\n" for line in lines if line))
