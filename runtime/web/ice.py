"""STUN and TURN servers, parsed from the command line or the settings file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from perse_live.errors import UserError

_HOST = r"(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?"
_STUN = re.compile(f"stuns?:{_HOST}", re.IGNORECASE | re.ASCII)
_TURN = re.compile(
    rf"(turns?):([^:@]+):([^@]+)@({_HOST}(?:\?transport=(?:udp|tcp))?)", re.IGNORECASE | re.ASCII
)
_LONGEST = 500  # characters


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server; its text shows no credentials."""

    url: str
    """As in RFC 7064 and RFC 7065, without credentials."""
    username: str | None = field(default=None, repr=False)
    """None for STUN."""
    credential: str | None = field(default=None, repr=False)
    """None for STUN."""


def ice_server(text: str) -> IceServer:
    """A server from stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=udp|tcp].

    User and password are percent-decoded: %3A stands for a colon, %40 for an at sign. Raises UserError, which shows no
    credentials, for anything else.
    """
    if len(text) <= _LONGEST:
        if _STUN.fullmatch(text):
            return IceServer(text.lower())
        if turn := _TURN.fullmatch(text):
            return IceServer(f"{turn[1]}:{turn[4]}".lower(), unquote(turn[2]), unquote(turn[3]))
    raise UserError(
        f"{_shown(text)!r} is not an ICE server: give stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT, where"
        " %3A stands for a colon and %40 for an at sign in user and password"
    )


def _shown(text: str) -> str:
    """A text without possible credentials, for messages."""
    scheme, colon, rest = text.partition(":")
    if "@" in rest:
        return f"{scheme[:10]}:***@{rest.rpartition('@')[2][:40]}"
    if colon and scheme.lower() not in ("stun", "stuns") and ":" in rest:
        return f"{scheme[:10]}:***"
    return text[:60]
