"""The live page's server, in a separate thread with its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiortc import RTCIceServer

from perse_live.errors import UserError
from perse_live.threads import name_this_thread
from runtime.live.clock import StageClock
from runtime.live.control import Control
from runtime.sound.browser import BrowserMicrophone
from runtime.sound.voice import Voice
from runtime.sources.browser import BrowserCamera
from runtime.studio.studio import Studio
from runtime.web.app import make_app
from runtime.web.codec import CodecName, EncodeConfig
from runtime.web.connections import ConnectionLimits, Listener, default_limits
from runtime.web.control_channel import ControlChannels
from runtime.web.drawing_viewers import DrawingViewers
from runtime.web.encoder import SharedEncoder
from runtime.web.event_loop import log_loop_error, settle
from runtime.web.ice import IceServer
from runtime.web.publisher import Publisher
from runtime.web.security import is_loopback, link, new_token, tls_context
from runtime.web.shared_motion import SharedMotion, Sharing
from runtime.web.shared_routes import SharedRoutes
from runtime.web.studio_routes import StudioRoutes
from runtime.web.viewers import Viewers
from runtime.web.voice import SharedVoice

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebConfig:
    """Address, access and encoding of the live page."""

    host: str = "127.0.0.1"
    """Address to listen on. On any other than loopback every request needs the token."""
    port: int = 8080
    """0: any free port."""
    token: str | None = None
    """Required in every request; None: generated where needed. At least 8 characters."""
    viewer_token: str | None = None
    """Token of viewers; None: generated."""
    behind_proxy: bool = False
    """Whether viewers are elsewhere although this server listens on loopback: a proxy passes their requests on, and their media
    connects to this machine's addresses directly."""
    cert: Path | None = None
    """Certificate chain for TLS, PEM. Browsers give a page their camera only on this machine or over TLS."""
    key: Path | None = None
    """The certificate's key, PEM; None where it is in the same file."""
    ice_servers: tuple[IceServer, ...] = ()
    """Viewers on this machine and in the local network need none, and with none nobody outside is asked."""
    max_viewers: int = 16
    """At a time; each costs less than 2 % of a core."""
    codec: CodecName = "vp8"
    """`vp8` or `h264`."""
    bitrate: int = 3_000_000
    """Bits per second to each viewer."""


class WebServer:
    """Serves the page, the API, viewers and the browser's camera for one session."""

    def __init__(
        self,
        control: Control,
        encode_clock: StageClock,
        config: WebConfig | None = None,
        *,
        camera: BrowserCamera | None = None,
        microphone: BrowserMicrophone | None = None,
        voice: Voice | None = None,
        limits: ConnectionLimits | None = None,
        studio: Studio | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        """encode_clock: measures the encoder; camera: filled by whoever publishes, None where nobody may; microphone: filled with
        it, None where no sound is taken; voice: for viewers who want sound; limits: of connections, None for the usual ones;
        studio: behind the page, None where there is none; sharing: hands the avatar to viewers, who draw by themselves, None: it
        stays here.

        Raises UserError for a setting that cannot be used.
        """
        self._control, self._clock, self._camera, self._studio = (
            control,
            encode_clock,
            camera,
            studio,
        )
        self._microphone, self._voice, self._sharing = microphone, voice, sharing
        self._config = config = config or WebConfig()
        self._limits = limits or default_limits()
        if not 0 <= config.port <= 65535:
            raise UserError(f"port {config.port} does not exist: --port takes 0 to 65535")
        if config.token is not None and len(config.token) < 8:
            raise UserError(
                "the token is too short: give at least 8 characters, or none to have one made"
            )
        if config.key is not None and config.cert is None:
            raise UserError("--key without --cert: give both for TLS")
        self._ice_servers = tuple(
            RTCIceServer(one.url, one.username, one.credential) for one in config.ice_servers
        )
        self._local = is_loopback(config.host) and not config.behind_proxy
        self._token = config.token or ("" if self._local else new_token())
        self._viewer_token = config.viewer_token or new_token()
        self._port = 0
        self._tls = None if config.cert is None else tls_context(config.cert, config.key)
        self._viewers: Viewers | None = None
        self._drawing: DrawingViewers | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._closing = False

    @property
    def viewers(self) -> int:
        """Number of viewers."""
        watching, drawing = self._viewers, self._drawing
        return (0 if watching is None else watching.count) + (
            0 if drawing is None else drawing.count
        )

    def watch_link(self) -> str:
        """The address of the page for viewers: who has it can watch, and nothing else."""
        return link(
            host=self._config.host,
            port=self._port,
            tls=self._tls is not None,
            token=self._viewer_token,
            path="watch",
        )

    def start(self) -> str:
        """Serve; returns the page's URL, with the token where one is needed. Called once.

        Raises UserError where the server cannot listen, saying why and what to do; nothing runs then.
        """
        ready: Future[int] = Future()
        self._closing, self._leave = False, None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="web")
        self._thread.start()
        try:
            port = ready.result()
        except BaseException:
            self.close()
            raise
        self._port = port
        if not self._local and not self._config.behind_proxy and self._tls is None:
            _log.warning(
                "the live page is served without TLS: anyone on the network path sees the token and the page; "
                "give --cert and --key. Browsers do not give their camera to such a page."
            )
        return link(host=self._config.host, port=port, tls=self._tls is not None, token=self._token)

    def close(self) -> None:
        """End all connections and the thread; closing again does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing = True
        if self._loop is not None and self._leave is not None:
            # The loop has ended already: it could not listen
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._leave.set)
        thread.join()

    def _run(self, ready: Future[int]) -> None:
        name_this_thread()
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                _log.exception("the web server ended")
            else:
                ready.set_exception(error)

    def _publisher(self) -> Publisher | None:
        """Receives the browser's camera, where the session takes one."""
        if self._camera is None:
            return None
        return Publisher(
            self._camera,
            self._microphone,
            ice_servers=self._ice_servers,
            loopback=self._local,
        )

    def _shared(
        self, voice: SharedVoice | None
    ) -> tuple[DrawingViewers | None, SharedRoutes | None]:
        """Viewers that draw by themselves and their routes, where the avatar is shared."""
        if self._sharing is None:
            return None, None
        motion = SharedMotion(self._control, self._sharing)
        drawing = DrawingViewers(
            motion,
            voice=voice,
            ice_servers=self._ice_servers,
            most_peers=self._config.max_viewers,
            loopback=self._local,
        )
        return drawing, SharedRoutes(motion, drawing, self._sharing, local=self._local)

    def _app(
        self,
        viewers: Viewers,
        publisher: Publisher | None,
        listener: Listener,
        shared: SharedRoutes | None,
    ) -> web.Application:
        studio = (
            None
            if self._studio is None
            else StudioRoutes(self._studio, self.watch_link, shared=self._sharing is not None)
        )
        return make_app(
            self._control,
            viewers,
            publisher,
            listener,
            host=self._config.host,
            token=self._token,
            viewer_token=self._viewer_token,
            local=self._local,
            studio=studio,
            shared=shared,
        )

    async def _serve(self, ready: Future[int]) -> None:
        config = self._config
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        if self._closing:
            self._leave.set()
        self._loop.set_exception_handler(log_loop_error)
        encoder = SharedEncoder(
            self._control.drawn,
            self._clock,
            EncodeConfig(codec=config.codec, bitrate=config.bitrate),
        )
        channels = ControlChannels(self._control, has_studio=self._studio is not None)
        voice = None if self._voice is None else SharedVoice(self._voice)
        viewers = Viewers(
            encoder,
            channels,
            voice=voice,
            ice_servers=self._ice_servers,
            most=config.max_viewers,
            loopback=self._local,
        )
        if self._microphone is not None:
            self._microphone.when_on(viewers.renew_for_sound)  # called in this loop
        publisher = self._publisher()
        drawing, shared = self._shared(voice)
        listener = Listener(lambda: _protocol_of(runner), self._limits, self._tls)
        runner = web.AppRunner(
            self._app(viewers, publisher, listener, shared),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            keepalive_timeout=self._limits.idle_seconds,
        )
        await runner.setup()
        try:
            try:
                port = await listener.start(config.host, config.port)
            except OSError as error:
                raise UserError(why_not_listening(error, config.host, config.port)) from None
            encoder.start()
            if drawing is not None:
                drawing.start()
            self._viewers, self._drawing = viewers, drawing
            telling = asyncio.create_task(channels.run())
            try:
                ready.set_result(port)
                await self._leave.wait()
            finally:
                telling.cancel()
                self._viewers = self._drawing = None
                await viewers.close()
                if drawing is not None:
                    await drawing.close()
                if publisher is not None:
                    await publisher.close()
                if voice is not None:
                    voice.close()
                encoder.close()
        finally:
            await listener.close()
            await runner.cleanup()
            await settle()


def _protocol_of(runner: web.AppRunner) -> asyncio.Protocol:
    server = runner.server
    assert server is not None
    return server()


def why_not_listening(error: OSError, host: str, port: int) -> str:
    """Why an address cannot be listened on and what to do, in one line."""
    where = f"port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is taken by another program, perhaps another perse-live: end that one, or choose another with --port"
            " (0 takes any free one)"
        )
    if error.errno == errno.EACCES:
        return f"{where} may not be used by ordinary programs: choose one from 1024 on with --port"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is not an address of this machine: use 127.0.0.1, or 0.0.0.0 for all its addresses"
    return f"the live page cannot be served at {where}: {error.strerror or error}"
