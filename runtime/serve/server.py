"""The server of many sessions, from its options to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from perse_live.errors import UserError
from perse_live.signals import ending_signals
from runtime.serve.proxy import Proxy
from runtime.serve.sessions import Sessions
from runtime.web.connections import Listener, default_limits
from runtime.web.security import is_loopback, link, tls_context
from runtime.web.server import why_not_listening


@dataclass(frozen=True)
class ServeOptions:
    """Where sessions are served, and how many."""

    avatars: Mapping[str, Path]
    """Files by the names that the API knows them by."""
    command: Sequence[str]
    """Starts the process of a session; see `Sessions`."""
    admin_token: str = field(repr=False)
    """Of who may start and end sessions."""
    most: int
    """Sessions at a time."""
    idle_seconds: float
    """After which a session that nobody uses is ended; 0: never."""
    request: Mapping[str, Any]
    """What each session's process is told."""
    scripts: Mapping[str, bytes]
    """Modules that draw shared avatars; empty where none is shared."""
    host: str = "127.0.0.1"
    port: int = 8080
    cert: Path | None = None
    key: Path | None = None
    seconds: float | None = None
    """After which it ends by itself."""


def serve(
    options: ServeOptions, *, say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve until a signal or the time ends it; all sessions end with it.

    say: prints `ready: URL`. warn: told of sessions that end by themselves. Raises UserError where the server cannot listen.
    """
    asyncio.run(_serve(options, say, warn))


async def _serve(
    options: ServeOptions, say: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    tls = None if options.cert is None else tls_context(options.cert, options.key)
    limits = default_limits()
    listener = Listener(lambda: _protocol_of(runner), limits, tls)
    with ending_signals(lambda *_: loop.call_soon_threadsafe(ending.set) and None):
        public = not is_loopback(options.host)
        request = {**options.request, "public": public}
        sessions = Sessions(
            options.command, options.avatars, most=options.most, request=request, report=warn
        )
        proxy = Proxy(
            sessions,
            listener,
            host=options.host,
            url="",
            admin_token=options.admin_token,
            idle_seconds=options.idle_seconds,
            scripts=options.scripts,
        )
        runner = web.AppRunner(
            proxy.app(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            keepalive_timeout=limits.idle_seconds,
        )
        await runner.setup()
        idle: asyncio.Task[None] | None = None
        try:
            try:
                port = await listener.start(options.host, options.port)
            except OSError as error:
                raise UserError(why_not_listening(error, options.host, options.port)) from None
            proxy.url = link(host=options.host, port=port, tls=tls is not None, token="")
            if public and tls is None:
                warn(
                    "sessions are served without TLS: anyone on the network path sees tokens and pages, and browsers do not give"
                    " their camera to such a page; give --cert and --key"
                )
            say(f"ready: {proxy.url}")
            idle = asyncio.create_task(proxy.end_idle())
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ending.wait(), options.seconds)
        finally:
            if idle is not None:
                idle.cancel()
            await asyncio.to_thread(sessions.close)
            await listener.close()
            await runner.cleanup()


def _protocol_of(runner: web.AppRunner) -> asyncio.Protocol:
    server = runner.server
    assert server is not None
    return server()
