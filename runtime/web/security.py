"""Access to the server: tokens, Host and Origin checks, TLS, and links that contain the token."""

from __future__ import annotations

import hmac
import io
import ipaddress
import os
import secrets
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import segno

from perse_live.errors import UserError

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data: blob:",
                "font-src 'self'",
                "media-src 'self' blob:",
                "connect-src 'self'",
                "manifest-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)
"""Headers of every response: only scripts of this server run, no other site may frame or read it, no referrer is sent."""

_LONGEST_TOKEN = 1024  # bytes
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def new_token() -> str:
    """A random token of 128 bits, URL-safe."""
    return secrets.token_urlsafe(16)


def read_token(path: Path, option: str = "--token-file") -> str:
    """The token in the first line of a file; whether it is long enough is for the server to say.

    option: of the command line that names the file. Raises UserError where the file cannot be read, holds none, or others may
    read it.
    """
    try:
        if not path.is_file():
            raise UserError(
                f"{path} is not a file: {option} takes one whose first line is the token"
            )
        mode = path.stat().st_mode
        if os.name == "posix" and mode & 0o077:
            raise UserError(
                f"{path} may be read by others (mode {mode & 0o777:o}): chmod 600 {path}"
            )
        with path.open("rb") as file:
            lines = file.read(_LONGEST_TOKEN).decode("utf-8").splitlines()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): {option} takes a file with the token"
        ) from error
    except UnicodeDecodeError:
        raise UserError(
            f"{path} is not text: {option} takes a file whose first line is the token"
        ) from None
    token = lines[0].strip() if lines else ""
    if not token:
        raise UserError(f"{path} is empty: {option} takes a file whose first line is the token")
    return token


def bearer_token(authorization: str | None) -> str:
    """The token in an Authorization header; empty where there is none."""
    scheme, _, bearer = (authorization or "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""


def token_fits(token: str, given: str) -> bool:
    """Whether a request's token is valid.

    token: what is needed, "" where none is; given: from `bearer_token`. Compared in constant time.
    """
    return not token or hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), token.encode()
    )


class Tickets:
    """One-time tickets with a short validity, for requests that browsers send without headers."""

    def __init__(self, seconds: float, *, most: int = 64) -> None:
        """seconds: for which each is good; most: maximum number; the oldest are dropped first."""
        self._seconds, self._most = seconds, most
        self._until: dict[str, float] = {}

    def issue(self, now: float) -> str:
        """A new one. now: seconds of a monotonic clock."""
        while len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        ticket = new_token()
        self._until[ticket] = now + self._seconds
        return ticket

    def valid(self, ticket: str, now: float) -> bool:
        """Whether it could be redeemed now."""
        return self._until.get(ticket, -1.0) >= now

    def redeem(self, ticket: str, now: float) -> bool:
        """Whether it was good; it is not any more."""
        return self._until.pop(ticket, -1.0) >= now


def host_fits(host_header: str | None, *, listening: str) -> bool:
    """Whether a request's Host header names this server.

    A server on loopback answers to the names of loopback only: else a web site whose name is made to point to 127.0.0.1 (DNS
    rebinding) could use it through its visitors' browsers. On other addresses any name will do, and the token decides.
    """
    name = _host_name(host_header)
    if name is None:
        return False
    return not is_loopback(listening) or name in _LOOPBACK_NAMES or name == listening.lower()


def origin_fits(origin: str | None, host_header: str | None) -> bool:
    """Whether a request comes from a page of this server, or from no page (no Origin)."""
    if origin is None:
        return True
    try:
        return bool(host_header) and urlsplit(origin).netloc.lower() == (host_header or "").lower()
    except ValueError:
        return False


def _host_name(header: str | None) -> str | None:
    """The name in a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{header}").hostname if header else None
    except ValueError:
        return None


def tls_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """TLS for the server.

    cert: PEM, the chain; key: PEM, or None where the certificate's file holds it too. Raises UserError where they cannot be used.
    """
    for path in (cert, key):
        if path is not None and not path.is_file():
            raise UserError(f"{path} is not a file: --cert and --key take PEM files")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{cert} and its key cannot be used for TLS ({reason}): give PEM files that belong together, "
            "the key without a password"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")  # instead of asking for it in the terminal


def link(*, host: str, port: int, tls: bool, token: str, path: str = "") -> str:
    """The URL of a page. host: what the server listens on; for all addresses (0.0.0.0, ::) one that others can reach.

    The token is in the fragment: browsers send it neither to a server nor in a Referer, and it is in no log.
    """
    name = _network_address(host) if host in ("0.0.0.0", "::", "") else host
    name = f"[{name}]" if ":" in name else name
    fragment = "#token=" + quote(token, safe="") if token else ""
    return f"{'https' if tls else 'http'}://{name}:{port}/{path}{fragment}"


def link_under(url: str, token: str, *, path: str = "") -> str:
    """The URL of a page of a server that is seen under a URL, which ends with a slash; the token as in `link`."""
    return f"{url}{path}#token={quote(token, safe='')}"


def _network_address(host: str) -> str:
    """This machine's address on the network. A UDP socket that is connected says it, and sends nothing."""
    family, elsewhere = (
        (socket.AF_INET6, "2001:db8::1") if host == "::" else (socket.AF_INET, "192.0.2.1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "localhost"


def terminal_qr(url: str) -> str:
    """A QR code of a link, as text for a terminal that writes light on dark."""
    text = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(text, compact=True)
    return text.getvalue()
