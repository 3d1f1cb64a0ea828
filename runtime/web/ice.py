"""STUN and TURN servers as users give them."""

from __future__ import annotations

import re

from aiortc import RTCIceServer

from perse_live.errors import UserError

_HOST = r"(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?"
_STUN = re.compile(f"stuns?:{_HOST}", re.IGNORECASE)
_TURN = re.compile(rf"(turns?):([^:@]+):([^@]+)@({_HOST}(?:\?transport=(?:udp|tcp))?)", re.IGNORECASE)


def ice_server(url: str) -> RTCIceServer:
    """A server from its URL (RFC 7064, RFC 7065): stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=udp|tcp].

    Raises UserError for anything else.
    """
    if _STUN.fullmatch(url):
        return RTCIceServer(urls=url.lower())
    turn = _TURN.fullmatch(url)
    if turn is None:
        raise UserError(f"{url!r} is not an ICE server: give stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT")
    return RTCIceServer(urls=f"{turn[1]}:{turn[4]}".lower(), username=turn[2], credential=turn[3])
