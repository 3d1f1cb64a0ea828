"""One WebRTC peer from its offer to its end: viewers, the browser's camera, and servers that the avatar is published to."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from perse_live.errors import UserError, gist, one_line
from runtime.web.aiortc_hooks import offer_loopback, only_loopback, track_connecting
from runtime.web.offers import Offer
from runtime.web.playout import show_at_once

_log = logging.getLogger(__name__)

_CONNECT = 20.0  # seconds from the answer to the connection
_NEGOTIATE = 10.0  # seconds for reading the offer and gathering candidates
_CLOSE = 5.0  # seconds


class Peer:
    """A connection that closes itself when it fails, is closed by the peer, or is not established in time."""

    def __init__(
        self,
        ice_servers: Sequence[RTCIceServer],
        on_end: Callable[[Peer], None],
        *,
        bundle: bool = False,
    ) -> None:
        """on_end: called once, when no more media will flow. bundle: whether an offer has all media on one transport, which needs
        a peer that knows bundles (all WHIP servers do).
        """
        self.id = secrets.token_urlsafe(12)
        """Secret id: whoever knows it can end the connection."""
        policy = RTCBundlePolicy.MAX_BUNDLE if bundle else RTCBundlePolicy.BALANCED
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=list(ice_servers), bundlePolicy=policy)
        )
        self._connecting = track_connecting(self.connection)
        self._reaches_out = bool(ice_servers)
        self._on_end = on_end
        self._ending: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(_CONNECT, self.end)
        self.connection.on("connectionstatechange", self._follow)

    async def answer(
        self,
        offer: Offer,
        transceiver: RTCRtpTransceiver | None,
        *,
        sound: RTCRtpTransceiver | None = None,
        loopback: bool,
    ) -> str:
        """The SDP answer to an offer; only this transceiver, that of the sound, and data channels are accepted.

        transceiver: of the video, None for a peer without. loopback: whether the page is served to this machine only; peers
        elsewhere can then connect only where the user has named ICE servers. Raises UserError, and ends the peer, where the
        offer cannot be met.
        """
        try:
            await asyncio.wait_for(
                self._negotiate(offer, transceiver, sound, loopback=loopback), _NEGOTIATE
            )
        except UserError:
            await self.end()
            raise
        except asyncio.CancelledError:
            self.end()
            raise
        except Exception as error:  # aiortc's parser raises whatever its code runs into
            _log.debug("an offer was refused", exc_info=True)
            await self.end()
            raise UserError(
                f"the SDP offer cannot be answered{_reason(error)}: send the offer of a browser, unchanged"
            ) from None
        return self.connection.localDescription.sdp

    async def _negotiate(
        self,
        offer: Offer,
        transceiver: RTCRtpTransceiver | None,
        sound: RTCRtpTransceiver | None,
        *,
        loopback: bool,
    ) -> None:
        wanted = None if transceiver is None else transceiver.direction
        await self.connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        for other in self.connection.getTransceivers():
            if other is not transceiver and other is not sound:
                other.direction = "inactive"  # an unread track would grow without bound
        if (
            transceiver is not None and wanted == "sendonly" and sound is None
        ):  # with sound, the picture is shown when its sound is heard
            show_at_once(transceiver, offer.sdp)
        if loopback and self._reaches_out:
            offer_loopback(self.connection)
        elif loopback:
            only_loopback(self.connection, all_addresses=offer.from_firefox)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        if transceiver is not None and transceiver.currentDirection != wanted:
            raise UserError(
                f"the SDP offer's video must be {'recvonly' if wanted == 'sendonly' else 'sendonly'} or sendrecv"
            )

    async def offer(self, *, loopback: bool) -> str:
        """The SDP offer for the transceivers that were added, with all candidates.

        loopback: whether the other side is on this machine. Raises UserError, and ends the peer, where none can be made.
        """
        if loopback:
            offer_loopback(self.connection)
        try:
            offer = await self.connection.createOffer()
            await asyncio.wait_for(self.connection.setLocalDescription(offer), _NEGOTIATE)
        except asyncio.CancelledError:
            self.end()
            raise
        except Exception as error:  # of ICE servers: aioice raises whatever its code runs into
            await self.end()
            raise UserError(
                f"no way out to other machines is found by the ICE servers ({gist(error, 100)}): check --ice"
            ) from None
        return self.connection.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the SDP answer to `offer`. Raises UserError, and ends the peer, where it cannot be used."""
        try:
            description = RTCSessionDescription(answer, "answer")
            await asyncio.wait_for(self.connection.setRemoteDescription(description), _NEGOTIATE)
        except asyncio.CancelledError:
            self.end()
            raise
        except Exception as error:  # aiortc's parser raises whatever its code runs into
            _log.debug("an answer was refused", exc_info=True)
            await self.end()
            raise UserError(f"the SDP answer cannot be used{_reason(error)}") from None

    def end(self) -> asyncio.Task[None]:
        """Begin to close; ending again does nothing more. Returns the task that closes, which does not raise."""
        if self._ending is None:
            self._deadline.cancel()
            self._ending = asyncio.get_running_loop().create_task(self._close())
            self._on_end(self)
        return self._ending

    async def _close(self) -> None:
        try:
            connecting = list(self._connecting)
            for task in connecting:
                task.cancel()
            await asyncio.wait_for(self.connection.close(), _CLOSE)
            await asyncio.gather(*connecting, return_exceptions=True)
        except Exception as error:  # errors while closing are only logged
            _log.warning("a WebRTC connection did not close well: %r", error)

    def _follow(self) -> None:
        state = self.connection.connectionState
        _log.debug("peer %s: %s", self.id, state)
        if state == "connected":
            self._deadline.cancel()
        elif state in ("failed", "closed"):
            self.end()


def _reason(error: Exception) -> str:
    """The message of an aiortc error if it is meant for users, not an internal error."""
    if not isinstance(error, (InvalidAccessError, InvalidStateError, OperationError)):
        return ""
    return f" ({one_line(error, 200)})" if str(error) else ""
