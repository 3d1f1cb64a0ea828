"""The routes of docs/live-api.md, and the checks before them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from perse_live.errors import UserError
from runtime.live.control import Control
from runtime.web.bodies import error_response, read_body
from runtime.web.connections import Listener, WrongTokens
from runtime.web.messages import MAX_JSON_BYTES, perform
from runtime.web.offers import MAX_SDP_BYTES, parse_offer
from runtime.web.pages import page_file
from runtime.web.publisher import Publisher
from runtime.web.rights import Rights, rights_of, viewer_may
from runtime.web.security import SECURITY_HEADERS, Tickets, bearer_token, host_fits, origin_fits
from runtime.web.shared_routes import SHARED_SCRIPTS, SHARED_SOCKET, SharedRoutes
from runtime.web.studio_routes import DOWNLOAD, StudioRoutes
from runtime.web.viewers import TooManyViewers, Viewers
from runtime.web.waiting import prepare_waiting, wait_while

_log = logging.getLogger(__name__)

_TICKET_SECONDS = 60.0  # validity of a recording's address


def make_app(
    control: Control,
    viewers: Viewers,
    publisher: Publisher | None,
    listener: Listener,
    *,
    host: str,
    token: str,
    viewer_token: str,
    local: bool,
    studio: StudioRoutes | None,
    shared: SharedRoutes | None = None,
) -> web.Application:
    """The server's routes.

    publisher: None where the session takes no camera from a browser. listener: is notified of each connection's requests. host:
    address that the server listens on; token: required by every request except for the page's files, "" for none; viewer_token:
    allows watching only; local: whether peers are on this machine; studio: None without one; shared: for viewers that draw by
    themselves, None where the avatar is not shared.
    """

    def rights(request: web.Request) -> Rights:
        return rights_of(_given(request), owner_token=token, viewer_token=viewer_token)

    routes = _Routes(
        control,
        viewers,
        publisher,
        rights,
        local=local,
        has_studio=studio is not None,
        is_shared=shared is not None,
    )
    app = web.Application(
        middlewares=[_guard(listener, host, rights), _errors_as_json], client_max_size=MAX_SDP_BYTES
    )
    prepare_waiting(app)
    app.on_response_prepare.append(_add_headers)
    app.add_routes(
        [
            web.get("/", routes.index),
            web.get("/obs", routes.obs),
            web.get("/watch", routes.watch_page),
            web.get("/static/{name:.+}", routes.static),
            web.post("/whep", routes.watch),
            web.delete("/whep/{id}", routes.stop_watching),
            web.post("/whip", routes.publish),
            web.delete("/whip/{id}", routes.stop_publishing),
            web.get("/recording", routes.recording),
            web.post("/recording", routes.recording_address),
            web.get("/api/state", routes.state),
            web.get("/api/stats", routes.stats),
            web.get("/api/watch", routes.watch_state),
            web.post("/api/action", routes.action),
            *(() if studio is None else studio.routes()),
            *(() if shared is None else shared.routes(listener)),
        ]
    )
    return app


class _Routes:
    def __init__(
        self,
        control: Control,
        viewers: Viewers,
        publisher: Publisher | None,
        rights: Callable[[web.Request], Rights],
        *,
        local: bool,
        has_studio: bool,
        is_shared: bool,
    ) -> None:
        self._control, self._viewers, self._publisher, self._local = (
            control,
            viewers,
            publisher,
            local,
        )
        self._rights, self._has_studio, self._is_shared = rights, has_studio, is_shared
        self._tickets = Tickets(_TICKET_SECONDS)

    async def index(self, request: web.Request) -> web.Response:
        return _page("index.html")

    async def obs(self, request: web.Request) -> web.Response:
        return _page("obs.html")

    async def watch_page(self, request: web.Request) -> web.Response:
        return _page("watch.html")

    async def watch_state(self, request: web.Request) -> web.Response:
        """State for pages that only watch."""
        return web.json_response(
            {"size": self._control.state().get("size"), "shared": self._is_shared}
        )

    async def static(self, request: web.Request) -> web.Response:
        return _page(request.match_info["name"])

    async def recording_address(self, request: web.Request) -> web.Response:
        """A link can carry no header, and a token in an address would stay in histories and logs."""
        ticket = self._tickets.issue(time.monotonic())
        return web.json_response(
            {"address": f"/recording?ticket={ticket}", "seconds": _TICKET_SECONDS}
        )

    async def recording(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket")  # without one the token has been shown
        # HEAD: the GET is still to come
        accepted = self._tickets.redeem if request.method == "GET" else self._tickets.valid
        if ticket is not None and not accepted(ticket, time.monotonic()):
            return error_response(
                401, "the ticket is used or too old: ask for another one by POST /recording"
            )
        path = self._control.recorded
        if path is None or not path.is_file():
            return error_response(404, "there is no recording yet, or it has been moved away")
        name = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_"
            for letter in path.name
        )
        return web.FileResponse(
            path, headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(
            {**self._control.state(), **({"studio": True} if self._has_studio else {})}
        )

    async def stats(self, request: web.Request) -> web.Response:
        return web.json_response(self._control.stats())

    async def action(self, request: web.Request) -> web.Response:
        body = await read_body(request, "application/json", MAX_JSON_BYTES)
        try:
            perform(self._control, body.decode("utf-8"))
        except UnicodeDecodeError:
            raise UserError("the message is not UTF-8") from None
        return web.json_response(self._control.state())

    async def watch(self, request: web.Request) -> web.Response:
        offer = parse_offer(
            await read_body(request, "application/sdp", MAX_SDP_BYTES), local_peer=self._local
        )
        try:
            peer_id, answer = await self._viewers.watch(
                offer, steers=self._rights(request) == "owner"
            )
        except TooManyViewers as error:
            return error_response(503, str(error), {"Retry-After": "10"})
        return _answer(f"/whep/{peer_id}", answer)

    async def stop_watching(self, request: web.Request) -> web.Response:
        if not await self._viewers.end(request.match_info["id"]):
            return error_response(404, "there is no such viewer: it may have left already")
        return web.json_response({})

    async def publish(self, request: web.Request) -> web.Response:
        if self._publisher is None:
            return error_response(
                404, "this session takes no camera from a browser: start it with --camera browser"
            )
        offer = parse_offer(
            await read_body(request, "application/sdp", MAX_SDP_BYTES), local_peer=self._local
        )
        with_sound = request.query.get("sound") == "on"
        peer_id, answer = await self._publisher.publish(offer, with_sound=with_sound)
        return _answer(f"/whip/{peer_id}", answer)

    async def stop_publishing(self, request: web.Request) -> web.Response:
        if self._publisher is None or not await self._publisher.end(request.match_info["id"]):
            return error_response(
                404, "there is no such camera: it may have left or been replaced already"
            )
        return web.json_response({})


def _guard(listener: Listener, host: str, rights_in: Callable[[web.Request], Rights]) -> Middleware:
    wrong_tokens = WrongTokens()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        listener.requested(request.protocol)
        host_header = request.headers.get("Host")
        if not host_fits(host_header, listening=host):
            return error_response(
                403, "the Host of the request is not this server's: use the link that it printed"
            )
        if not origin_fits(request.headers.get("Origin"), host_header):
            return error_response(403, "requests from other web sites are not answered")
        rights = rights_in(request)
        if rights != "none":
            listener.trusted(request.protocol)
            if (
                rights == "viewer"
                and not _is_public(request)
                and not viewer_may(request.method, request.path)
            ):
                return error_response(403, "this link is for watching only")
        elif not listener.without_token(request.protocol):
            return error_response(
                429, "too many requests without the token: wait a second", {"Retry-After": "1"}
            )
        elif _given(request):
            seconds = wrong_tokens.delay(request.remote or "", time.monotonic())
            if math.isinf(seconds):
                return error_response(
                    429, "too many wrong tokens: wait a minute", {"Retry-After": "60"}
                )
            await wait_while(request, seconds)
            return _denied()
        elif not _is_public(request):
            return _denied()
        return await handler(request)

    return guard


def _given(request: web.Request) -> str:
    return bearer_token(request.headers.get("Authorization"))


def _is_public(request: web.Request) -> bool:
    """Whether a request needs no token: the page's files, which are public, and addresses with a ticket.

    The token stands in the fragment of the page's address, which browsers do not send.
    """
    if request.method not in ("GET", "HEAD"):
        return False
    return (
        request.path in ("/", "/obs", "/watch")
        or request.path.startswith("/static/")
        or request.path in SHARED_SCRIPTS
        or (request.path in ("/recording", DOWNLOAD, SHARED_SOCKET) and "ticket" in request.query)
    )


def _denied() -> web.Response:
    return error_response(
        401,
        "the token is missing or wrong: use the link that the server printed",
        {"WWW-Authenticate": "Bearer"},
    )


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer failures with one line of JSON."""
    try:
        return await handler(request)
    except UserError as error:
        return error_response(400, str(error))
    except web.HTTPException as error:
        if error.status == 404:
            return error_response(404, "there is nothing here")
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return error_response(
            error.status, f"{error.text or error.reason}".splitlines()[0], headers
        )
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        _log.exception("%s %s failed", request.method, request.path)
        return error_response(500, "the server failed at this; its log says more")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _page(name: str) -> web.Response:
    found = page_file(name)
    if found is None:
        return error_response(404, "there is no such page")
    content, kind = found
    charset = "utf-8" if kind.startswith("text/") else None
    response = web.Response(
        body=content, content_type=kind, charset=charset, headers={"Cache-Control": "no-cache"}
    )
    response.enable_compression()  # if the browser accepts it: a third of the size
    return response


def _answer(location: str, sdp: str) -> web.Response:
    return web.Response(
        status=201, text=sdp, content_type="application/sdp", headers={"Location": location}
    )
