"""Bodies of requests, of bounded size, and errors as one line of JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError

_BODY_SECONDS = 10.0  # seconds for a body to arrive
_PAUSE_SECONDS = 30.0  # seconds without data after which an upload is aborted


async def read_body(request: web.Request, media_type: str, most: int) -> bytes:
    """The body of a request of at most `most` bytes and of this media type, which other sites' forms cannot send."""
    if request.content_type != media_type:
        raise web.HTTPUnsupportedMediaType(text=f"the body must be {media_type}")
    try:
        body = (
            b""
            if (request.content_length or 0) > most
            else await asyncio.wait_for(_read(request, most), _BODY_SECONDS)
        )
    except asyncio.TimeoutError:
        raise web.HTTPRequestTimeout(text="the body did not come in time") from None
    size = max(len(body), request.content_length or 0)
    if size > most:
        raise web.HTTPRequestEntityTooLarge(
            most, size, text=f"the body is larger than {most} bytes"
        )
    return body


async def read_json(request: web.Request, most: int) -> dict[str, Any]:
    """The JSON object in the body of a request. Raises UserError for anything else."""
    body = await read_body(request, "application/json", most)
    try:
        return parse_json_object(body, max_bytes=most)
    except CheckedError as error:
        raise UserError(f"the message is {error}: send a JSON object") from None


async def upload_chunks(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """The body of an upload in chunks; only `application/octet-stream`, which other sites' forms cannot send.

    Raises UserError where it says that it is too large, stands still, or breaks off.
    """
    if request.content_type != "application/octet-stream":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/octet-stream")
    if (request.content_length or 0) > most:
        raise UserError(
            f"the file is larger than {most >> 20} MB: reduce it, or choose another one"
        )
    while True:
        try:
            chunk = await asyncio.wait_for(request.content.readany(), _PAUSE_SECONDS)
        except asyncio.TimeoutError:
            raise UserError("the upload stood still: try again") from None
        except (web.RequestPayloadError, ConnectionError):
            raise UserError("the upload broke off: try again") from None
        if not chunk:
            return
        yield chunk


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """A failure as one line of JSON."""
    return web.json_response({"error": " ".join(message.split())}, status=status, headers=headers)


async def _read(request: web.Request, most: int) -> bytes:
    """The body, or its beginning where it is larger than `most` bytes."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)
