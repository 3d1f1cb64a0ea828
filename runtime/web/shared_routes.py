"""The routes for viewers that draw by themselves; docs/live-api.md describes them."""

from __future__ import annotations

import time

from aiohttp import web

from runtime.web.bodies import error_response, read_body
from runtime.web.connections import Listener
from runtime.web.drawing_viewers import DrawingViewers
from runtime.web.offers import MAX_SDP_BYTES, parse_offer
from runtime.web.security import Tickets
from runtime.web.shared_motion import SharedMotion, Sharing
from runtime.web.viewers import TooManyViewers

SHARED_SOCKET = "/shared/motion"
"""The WebSocket; a ticket lets in, as browsers send no header with it."""
SHARED_SCRIPTS = ("/shared/avatar.js", "/shared/splats.js")
"""Modules that come with every copy of the package: they need no token."""
_TICKET_SECONDS = 60.0


class SharedRoutes:
    """Bundles, scripts, the WebSocket and the data channels."""

    def __init__(
        self, shared: SharedMotion, viewers: DrawingViewers, sharing: Sharing, *, local: bool
    ) -> None:
        """local: whether peers are on this machine."""
        self._shared, self._viewers, self._sharing, self._local = shared, viewers, sharing, local
        self._tickets = Tickets(_TICKET_SECONDS)
        self._listener: Listener | None = None

    def routes(self, listener: Listener) -> list[web.RouteDef]:
        """All of them. listener: told of the connections that a ticket has let in."""
        self._listener = listener
        return [
            *(web.get(path, self._script) for path in SHARED_SCRIPTS),
            web.get(r"/shared/{id:[0-9a-f]{32}}.{kind:json|bin}", self._bundle),
            web.post("/shared/ticket", self._ticket),
            web.get(SHARED_SOCKET, self._socket),
            web.post("/shared/rtc", self._connect),
            web.delete("/shared/rtc/{id}", self._end),
        ]

    async def _script(self, request: web.Request) -> web.Response:
        content = self._sharing.scripts[request.path.rsplit("/", 1)[1]]
        response = web.Response(body=content, content_type="text/javascript", charset="utf-8")
        response.enable_compression()
        return response

    async def _bundle(self, request: web.Request) -> web.Response:
        bundle = self._shared.bundle(request.match_info["id"])
        if bundle is None:
            return error_response(404, "this look is not shown any more: take the next scene's")
        is_json = request.match_info["kind"] == "json"
        return web.Response(
            body=bundle.manifest if is_json else bundle.arrays,
            content_type="application/json" if is_json else "application/octet-stream",
            headers={"Content-Encoding": "deflate"},
        )

    async def _ticket(self, request: web.Request) -> web.Response:
        ticket = self._tickets.issue(time.monotonic())
        return web.json_response({"address": f"{SHARED_SOCKET}?ticket={ticket}"})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket")
        if ticket is None or not self._tickets.redeem(ticket, time.monotonic()):
            return error_response(
                401, "the ticket is missing, used or too old: ask for one by POST /shared/ticket"
            )
        if self._listener is not None:
            self._listener.trusted(request.protocol)
        return await self._viewers.serve_socket(request)

    async def _connect(self, request: web.Request) -> web.Response:
        body = await read_body(request, "application/sdp", MAX_SDP_BYTES)
        offer = parse_offer(body, local_peer=self._local, video=False)
        try:
            peer_id, answer = await self._viewers.connect(offer)
        except TooManyViewers as error:
            return error_response(503, str(error), {"Retry-After": "10"})
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"/shared/rtc/{peer_id}"},
        )

    async def _end(self, request: web.Request) -> web.Response:
        if not await self._viewers.end(request.match_info["id"]):
            return error_response(404, "there is no such viewer: it may have left already")
        return web.json_response({})
