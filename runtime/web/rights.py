"""Rights of the owner (everything) and of viewers (watching only)."""

from __future__ import annotations

import re
from typing import Literal

from runtime.web.security import token_fits

Rights = Literal["owner", "viewer", "none"]
_WATCHING = re.compile(
    r"(POST /whep|DELETE /whep/[\w-]{1,64}|GET /api/watch"
    r"|POST /shared/(rtc|ticket)|DELETE /shared/rtc/[\w-]{1,64}|GET /shared/[0-9a-f]{32}\.(json|bin))"
)


def rights_of(given: str, *, owner_token: str, viewer_token: str) -> Rights:
    """The rights of the bearer of a token.

    given: "" for no token; owner_token: "" where none is needed. A viewer's token gives a viewer's rights, also where no token
    would give more.
    """
    if given and viewer_token and token_fits(viewer_token, given):
        return "viewer"
    return "owner" if token_fits(owner_token, given) else "none"


def viewer_may(method: str, path: str) -> bool:
    """Whether a request is one that a viewer may make."""
    return _WATCHING.fullmatch(f"{'GET' if method == 'HEAD' else method} {path}") is not None
