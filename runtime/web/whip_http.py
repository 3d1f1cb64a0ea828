"""HTTP part of publishing by WHIP (RFC 9725): POST of an SDP offer, its answer, DELETE of the session.

Addresses and tokens are secrets (some services put a key into the path): messages and logs name the host only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import aiohttp
from yarl import URL

from perse_live.errors import UserError, one_line
from runtime.web.ice import IceServer
from runtime.web.offers import MAX_SDP_BYTES
from runtime.web.security import is_loopback

ANSWER_SECONDS = 10.0
"""For a server to answer an offer, redirects included."""
_OPTIONAL_SECONDS = 5.0  # seconds for optional requests: OPTIONS, DELETE
_MAX_REDIRECTS = 5
_MAX_ICE_SERVERS = 8
_LONGEST_REASON = 160  # characters of what a server says about a refusal
_LONGEST_WAIT = 300.0  # seconds of Retry-After that are believed
_SDP = "application/sdp"
_REDIRECTS_WITH_BODY = (307, 308)
_FINAL = frozenset({401, 403})
_HINTS: Mapping[int, str] = {
    401: "check the token",
    403: "check the token and what it allows",
    404: "check the address after --publish",
    405: "check the address after --publish: it is no WHIP address",
    406: "another --codec may help",
    409: "somebody publishes there already",
    415: "check the address after --publish: it is no WHIP address",
    429: "it has had too many requests; wait a moment",
    503: "it is busy; try again in a moment",
}

_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))*)')
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))')
_ICE_URL = re.compile(
    r"(?:stun:[\w.:\[\]-]+|turns?:[\w.:\[\]-]+(?:\?transport=(?:udp|tcp))?)", re.IGNORECASE
)


@dataclass(frozen=True)
class WhipTarget:
    """Where to publish; its text shows no secrets."""

    url: URL = field(repr=False)
    """Of the WHIP endpoint, http or https."""
    token: str | None = field(default=None, repr=False)
    """Sent as `Authorization: Bearer`; None: nothing is sent."""

    @property
    def host(self) -> str:
        """Text for display."""
        return _place(self.url)

    @property
    def on_this_machine(self) -> bool:
        """Whether the server is reached by loopback."""
        return is_loopback(self.url.host or "")


class WhipRefused(UserError):
    """The server has not taken the stream."""

    def __init__(self, message: str, *, final: bool = False, retry_after: float = 0.0) -> None:
        """final: whether trying again cannot help; retry_after: seconds that the server asks to wait."""
        super().__init__(message)
        self.final, self.retry_after = final, retry_after


@dataclass(frozen=True)
class WhipAnswer:
    """What a server says to an offer."""

    sdp: str
    session: URL | None = field(repr=False)
    """To be deleted at the end; None where the server has not said."""
    ice_servers: tuple[IceServer, ...]
    """That it recommends."""


def whip_target(address: str, token: str | None) -> WhipTarget:
    """Where a user wants to publish. Raises UserError for anything that is no address of a WHIP endpoint."""
    try:
        url = URL(address.strip())
        port = url.port
    except ValueError:
        url, port = URL(), None
    if url.scheme not in ("http", "https") or not url.host or port == 0:
        raise UserError(
            "--publish takes the address of a WHIP server, such as https://example.org/whip/me"
        )
    if url.user is not None or url.password is not None:
        raise UserError(
            "the address after --publish holds a user or password: give the token with --publish-token-file"
        )
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise UserError("the token to publish with may hold no spaces and no special characters")
    return WhipTarget(url.with_fragment(None), token or None)


async def recommended_ice_servers(
    http: aiohttp.ClientSession, target: WhipTarget
) -> tuple[IceServer, ...]:
    """ICE servers that a server tells before the offer (RFC 9725, section 4.6); none where it does not.

    aiortc gathers its candidates once, so those that come with the answer are too late.
    """
    try:
        reply = await asyncio.wait_for(
            _request(http, "OPTIONS", target.url, target, b""), _OPTIONAL_SECONDS
        )
    except (UserError, asyncio.TimeoutError):
        return ()
    return reply.ice_servers if reply.status in (200, 204) else ()


async def post_offer(http: aiohttp.ClientSession, target: WhipTarget, sdp: str) -> WhipAnswer:
    """The server's answer to an offer. Raises WhipRefused, one line that says why and what to do."""
    try:
        reply = await asyncio.wait_for(
            _request(http, "POST", target.url, target, sdp.encode()), ANSWER_SECONDS
        )
    except asyncio.TimeoutError:
        raise WhipRefused(
            f"{target.host} does not answer within {ANSWER_SECONDS:.0f} s: check the address after --publish"
        ) from None
    if reply.status in (301, 302, 303):
        raise WhipRefused(
            f"{target.host} has moved to {_place(reply.moved)} ({reply.status}): give --publish the new address"
        )
    if reply.status not in (200, 201):
        raise _refusal(target, reply)
    if reply.kind != _SDP or not reply.body.startswith("v=0"):
        raise WhipRefused(
            f"{target.host} answers without SDP: check the address after --publish: it is no WHIP address"
        )
    session = reply.moved
    if session is not None and reply.url.scheme == "https" and session.scheme != "https":
        session = None  # the token would go there in the clear
    return WhipAnswer(reply.body, session, reply.ice_servers)


async def delete_session(
    http: aiohttp.ClientSession, target: WhipTarget, session: URL | None
) -> None:
    """End a session; a server that does not answer will notice by itself."""
    if session is None:
        return
    with contextlib.suppress(UserError, asyncio.TimeoutError):
        await asyncio.wait_for(_request(http, "DELETE", session, target, b""), _OPTIONAL_SECONDS)


@dataclass(frozen=True)
class _Reply:
    url: URL
    """That answered."""
    status: int
    kind: str
    """Content type."""
    body: str
    moved: URL | None
    """The header Location, made absolute."""
    ice_servers: tuple[IceServer, ...]
    retry_after: float
    """Seconds; 0 where it is not said."""


async def _request(
    http: aiohttp.ClientSession, method: str, url: URL, target: WhipTarget, body: bytes
) -> _Reply:
    """A request, through redirects that keep method and body (307, 308). Raises WhipRefused where none is answered.

    The token goes along to where a redirect leads, since WHIP uses redirects to spread load over machines (RFC 9725, section
    4.5), but never from https to http.
    """
    headers = {"Accept": _SDP} | ({"Content-Type": _SDP} if body else {})
    if target.token is not None:
        headers["Authorization"] = f"Bearer {target.token}"
    for _ in range(_MAX_REDIRECTS):
        try:
            async with http.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                reply = _Reply(
                    url,
                    response.status,
                    response.content_type,
                    await _text(response),
                    _joined(url, response.headers.get("Location")),
                    ice_servers_in(response.headers.getall("Link", [])),
                    _seconds(response.headers.get("Retry-After")),
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WhipRefused(_why_not(url, error)) from None
        if reply.status not in _REDIRECTS_WITH_BODY:
            return reply
        if reply.moved is None:
            raise WhipRefused(f"{_place(url)} redirects to nowhere ({reply.status})")
        if url.scheme == "https" and reply.moved.scheme != "https":
            raise WhipRefused(
                f"{_place(url)} redirects to {_place(reply.moved)}, which is not encrypted: it is not followed"
            )
        url = reply.moved
    raise WhipRefused(
        f"{target.host} redirects more than {_MAX_REDIRECTS} times: it is not followed"
    )


async def _text(response: aiohttp.ClientResponse) -> str:
    """The body, of which no more than `MAX_SDP_BYTES` are read; empty where it is longer."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_SDP_BYTES:
            return ""
    return body.decode("utf-8", "replace")


def ice_servers_in(links: list[str]) -> tuple[IceServer, ...]:
    """The ICE servers in Link headers (RFC 9725, section 4.6); what is not understood is left out."""
    found: list[IceServer] = []
    for url, text in _LINK.findall(", ".join(links)):
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _PARAMETER.findall(text)
        }
        if "ice-server" not in parameters.get("rel", "").lower().split():
            continue
        if parameters.get("credential-type", "password") != "password":
            continue
        if not _ICE_URL.fullmatch(url):
            continue
        user, credential = parameters.get("username"), parameters.get("credential")
        if url.lower().startswith("turn") and (user is None or credential is None):
            continue
        found.append(IceServer(url, user, credential))
    return tuple(found[:_MAX_ICE_SERVERS])


def _refusal(target: WhipTarget, reply: _Reply) -> WhipRefused:
    if reply.status == 401 and target.token is None:
        return WhipRefused(
            f"{target.host} asks for a token (401): give it with --publish-token-file", final=True
        )
    reason = _reason(reply, target.token)
    hint = _HINTS.get(reply.status, "its log may say more" if reply.status >= 500 else "")
    answer = f"{reply.status}{f' {reason}' if reason else ''}"
    what = "has failed" if reply.status >= 500 else "does not take the stream"
    return WhipRefused(
        f"{target.host} {what} ({answer}){f': {hint}' if hint else ''}",
        final=reply.status in _FINAL,
        retry_after=reply.retry_after,
    )


def _reason(reply: _Reply, token: str | None) -> str:
    """What a server says about a refusal, where it is meant for people; without the token, if it comes back."""
    text = reply.body
    if reply.kind in ("application/json", "application/problem+json"):
        try:
            answer: object = json.loads(text)
        except ValueError:
            return ""
        table = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
        text = next(
            (
                value
                for name in ("error", "detail", "message", "title")
                if isinstance(value := table.get(name), str)
            ),
            "",
        )
    elif reply.kind != "text/plain":
        return ""
    return one_line(text.replace(token, "***") if token else text, _LONGEST_REASON)


def _why_not(url: URL, error: BaseException) -> str:
    """Why a request was not answered, as text."""
    place = _place(url)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        cause = getattr(error, "certificate_error", None) or error.__cause__ or error
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "TLS"
        return (
            f"the certificate of {place} is not trusted ({one_line(reason, 80)}): for a certificate authority of your own,"
            " name its file in the environment variable SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"{place} is not found: check the address after --publish and the network"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        number = getattr(getattr(error, "os_error", error), "errno", None)
        reason = os.strerror(number) if number else "no connection"
        return f"{place} cannot be reached ({reason}): check that the server runs, and the address after --publish"
    return f"{place} does not speak HTTP as expected ({type(error).__name__}): check the address after --publish"


def _place(url: URL | None) -> str:
    """Host and port of an address, which are no secrets."""
    if url is None or not url.host:
        return "another address"
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.is_default_port() else f"{host}:{url.port}"


def _joined(base: URL, location: str | None) -> URL | None:
    try:
        url = None if location is None else base.join(URL(location))
    except ValueError:
        return None
    usable = url is not None and url.scheme in ("http", "https") and bool(url.host)
    return url if usable else None


def _seconds(text: str | None) -> float:
    """Of Retry-After, where it is a number."""
    return min(float(text), _LONGEST_WAIT) if text and text.strip().isdecimal() else 0.0
