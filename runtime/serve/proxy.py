"""A proxy for many sessions on one port: requests are routed by their token.

Pages and their scripts are the same for all, and come from here. Answers of sessions are passed on unchanged. Media does not
pass through here: WebRTC connects browser and session directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler, Middleware

from perse_live.errors import UserError
from runtime.serve.sessions import NoRoom, Session, Sessions
from runtime.web.bodies import error_response, read_json
from runtime.web.connections import Listener, WrongTokens
from runtime.web.pages import page_file
from runtime.web.security import (
    SECURITY_HEADERS,
    bearer_token,
    host_fits,
    link_under,
    origin_fits,
    token_fits,
)
from runtime.web.shared_routes import SHARED_SCRIPTS

_MAX_BODY = 64 * 1024  # bytes of a request: offers and actions
_MAX_JSON = 4 * 1024
_TICKET = re.compile(rb"[?&]ticket=([\w-]{8,64})")
_TICKET_SECONDS = 60.0
_MAX_TICKETS = 1000
_PAGES = {"/": "index.html", "/obs": "obs.html", "/watch": "watch.html"}
_SESSION_PATH = re.compile(
    r"/(whep|whip|recording|shared|api/(?!sessions|studio)[\w-]+)(/[\w.-]{1,128})?"
)
_PASSED_ON = ("Content-Type", "Location", "Content-Disposition", "Content-Encoding", "Retry-After")
_IDLE_LOOK = 5.0  # seconds between looks at sessions


class Proxy:
    """The routes."""

    def __init__(
        self,
        sessions: Sessions,
        listener: Listener,
        *,
        host: str,
        url: str,
        admin_token: str,
        idle_seconds: float,
        scripts: Mapping[str, bytes],
    ) -> None:
        """host: listened on; url: under which others see this server, with a slash at the end; idle_seconds: after which a
        session that nobody uses is ended, 0: never; scripts: of shared avatars, by file name.
        """
        self._sessions, self._listener, self._host, self.url = sessions, listener, host, url
        self._admin_token, self._idle, self._scripts = admin_token, idle_seconds, scripts
        self._wrong = WrongTokens()
        self._tickets: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._http: aiohttp.ClientSession | None = None

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(
            middlewares=[self._guard(), _errors_as_json], client_max_size=_MAX_BODY
        )
        app.on_response_prepare.append(_add_headers)
        app.cleanup_ctx.append(self._client)
        app.add_routes(
            [
                web.post("/api/sessions", self._start),
                web.get("/api/sessions", self._list),
                web.get("/api/sessions/{id}", self._describe),
                web.delete("/api/sessions/{id}", self._end),
                web.get("/static/{name:.+}", self._static),
                *(web.get(path, self._page) for path in _PAGES),
                *(web.get(path, self._script) for path in SHARED_SCRIPTS),
                web.route("*", "/{path:.*}", self._forward),
            ]
        )
        return app

    # ----- who may

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._listener.requested(request.protocol)
            host = request.headers.get("Host")
            if not host_fits(host, listening=self._host):
                return error_response(403, "the Host of the request is not this server's")
            if not origin_fits(request.headers.get("Origin"), host):
                return error_response(403, "requests from other web sites are not answered")
            given = bearer_token(request.headers.get("Authorization"))
            admin = bool(given) and token_fits(self._admin_token, given)
            found = self._sessions.of_token(given) if given and not admin else None
            if admin or found is not None:
                self._listener.trusted(request.protocol)
            elif not self._listener.without_token(request.protocol):
                return error_response(429, "too many requests without a token: wait a second")
            elif given:
                await asyncio.sleep(
                    min(self._wrong.delay(request.remote or "", time.monotonic()), 60)
                )
                return _denied()
            if request.path.startswith("/api/sessions"):
                if not admin:
                    return (
                        _denied()
                        if found is None
                        else error_response(403, "only the administrator may do this")
                    )
            elif _SESSION_PATH.fullmatch(request.path) and request.path not in SHARED_SCRIPTS:
                session = found[0] if found is not None else self._of_ticket(request)
                if session is None:
                    return _denied()
                request["session"] = session
            return await handler(request)

        return guard

    def _of_ticket(self, request: web.Request) -> Session | None:
        """The session that has given out the ticket of a request; it checks the ticket itself."""
        session_id, until = self._tickets.get(request.query.get("ticket", ""), ("", 0.0))
        return self._sessions.find(session_id) if time.monotonic() < until else None

    # ----- sessions

    async def _start(self, request: web.Request) -> web.Response:
        wish = await read_json(request, _MAX_JSON)
        if unknown := set(wish) - {"avatar"}:
            raise UserError(f'{min(unknown)[:40]!r} is not understood: send {{"avatar": NAME}}')
        avatar = wish.get("avatar")
        if not isinstance(avatar, str):
            raise UserError('the avatar is missing: send {"avatar": NAME}')
        try:
            session = await asyncio.to_thread(self._sessions.start, avatar)
        except NoRoom as error:
            return error_response(503, str(error), {"Retry-After": "30"})
        return web.json_response(
            {
                **session.described(time.monotonic()),
                "token": session.token,
                "page": link_under(self.url, session.token),
                "watch": link_under(self.url, session.viewer_token, path="watch"),
            },
            status=201,
            headers={"Location": f"/api/sessions/{session.id}"},
        )

    async def _list(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        return web.json_response(
            {
                "limit": self._sessions.most,
                "sessions": [one.described(now) for one in self._sessions.all()],
            }
        )

    async def _describe(self, request: web.Request) -> web.Response:
        session = self._sessions.find(request.match_info["id"])
        if session is None:
            return error_response(404, "there is no such session")
        return web.json_response(session.described(time.monotonic()))

    async def _end(self, request: web.Request) -> web.Response:
        if not await asyncio.to_thread(self._sessions.end, request.match_info["id"]):
            return error_response(404, "there is no such session: it may have ended already")
        return web.json_response({})

    async def end_idle(self) -> None:
        """End sessions that nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(
                min(_IDLE_LOOK, max(self._idle / 4, 0.2)) if self._idle else _IDLE_LOOK
            )
            for session in self._sessions.all():
                if session.state != "running" or not self._idle:
                    continue
                if await self._viewers(session):
                    self._sessions.touch(session.id)
                elif time.monotonic() - session.active > self._idle:
                    why = f"nobody has used it for {self._idle:.0f} s"
                    await asyncio.to_thread(self._sessions.end, session.id, why=why)

    async def _viewers(self, session: Session) -> int:
        assert self._http is not None
        headers = {"Authorization": f"Bearer {session.token}"}
        try:
            async with self._http.get(f"{session.url}api/stats", headers=headers) as reply:
                return int((await reply.json())["viewers"])
        except (aiohttp.ClientError, asyncio.TimeoutError, KeyError, TypeError, ValueError):
            return 0

    # ----- pages

    async def _page(self, request: web.Request) -> web.Response:
        return _file(_PAGES[request.path])

    async def _static(self, request: web.Request) -> web.Response:
        return _file(request.match_info["name"])

    async def _script(self, request: web.Request) -> web.Response:
        content = self._scripts.get(request.path.rsplit("/", 1)[1])
        if content is None:
            return error_response(404, "avatars are not shared here")
        return web.Response(body=content, content_type="text/javascript", charset="utf-8")

    # ----- passing on

    async def _client(self, _: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as self._http:
            yield

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        session: Session | None = request.get("session")
        if session is None:
            return error_response(404, "there is nothing here")
        if session.state == "ended":
            why = f": {session.problem}" if session.problem else ""
            return error_response(410, f"this session has ended{why}")
        if session.state == "starting":
            return error_response(503, "this session is starting: try again", {"Retry-After": "1"})
        self._sessions.touch(session.id)
        headers = {
            name: request.headers[name]
            for name in ("Authorization", "Content-Type")
            if name in request.headers
        }
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._forward_socket(request, session)
            return await self._forward_request(request, session, headers)
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return error_response(
                502, "this session does not answer: it may be ending", {"Retry-After": "2"}
            )

    async def _forward_request(
        self, request: web.Request, session: Session, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        assert self._http is not None
        address = session.url + request.path_qs[1:]
        body = await request.read() if request.can_read_body else None
        async with self._http.request(request.method, address, headers=headers, data=body) as reply:
            passed = {name: reply.headers[name] for name in _PASSED_ON if name in reply.headers}
            if request.method == "POST" and reply.content_type == "application/json":
                content = await reply.read()
                if (ticket := _TICKET.search(content[:_MAX_JSON])) is not None:
                    self._note_ticket(ticket[1].decode(), session)
                return web.Response(status=reply.status, body=content, headers=passed)
            response = web.StreamResponse(status=reply.status, headers=passed)
            if reply.content_length is not None:
                response.content_length = reply.content_length
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in reply.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
            return response

    async def _forward_socket(
        self, request: web.Request, session: Session
    ) -> web.WebSocketResponse:
        assert self._http is not None
        address = session.url + request.path_qs[1:]
        async with self._http.ws_connect(address, max_msg_size=1 << 20) as inner:
            outer = web.WebSocketResponse(heartbeat=10.0, compress=False, max_msg_size=1024)
            self._listener.trusted(request.protocol)
            await outer.prepare(request)
            transport = request.transport

            async def inward() -> None:
                async for message in outer:
                    if message.type == WSMsgType.TEXT:
                        await inner.send_str(message.data)
                await inner.close()

            pumping = asyncio.create_task(inward())
            try:
                async for message in inner:
                    self._sessions.touch(session.id)
                    if message.type == WSMsgType.TEXT:
                        await outer.send_str(message.data)
                    elif transport is not None and not _behind(transport):
                        await outer.send_bytes(message.data)
            finally:
                pumping.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await pumping
                with contextlib.suppress(ConnectionError):
                    await outer.close()
            return outer

    def _note_ticket(self, ticket: str, session: Session) -> None:
        self._tickets[ticket] = session.id, time.monotonic() + _TICKET_SECONDS
        while len(self._tickets) > _MAX_TICKETS:
            self._tickets.popitem(last=False)


def _behind(transport: asyncio.Transport) -> bool:
    """Whether a viewer's last message of motion is still pending; the next one is then dropped."""
    return transport.get_write_buffer_size() > 0


def _file(name: str) -> web.Response:
    found = page_file(name)
    if found is None:
        return error_response(404, "there is no such page")
    content, kind = found
    charset = "utf-8" if kind.startswith("text/") else None
    response = web.Response(
        body=content, content_type=kind, charset=charset, headers={"Cache-Control": "no-cache"}
    )
    response.enable_compression()
    return response


def _denied() -> web.Response:
    return error_response(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors with one line of JSON."""
    try:
        return await handler(request)
    except UserError as error:
        return error_response(400, str(error))
    except web.HTTPException as error:
        return error_response(error.status, f"{error.text or error.reason}".splitlines()[0])


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
