"""Viewers over WebRTC (WHEP): each gets the shared encoder's packets, and a data channel on request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from aiortc import MediaStreamTrack, RTCDataChannel, RTCIceServer, RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from perse_live.errors import UserError
from runtime.web.aiortc_hooks import on_keyframe_request
from runtime.web.codec import CodecName
from runtime.web.control_channel import ControlChannels
from runtime.web.encoder import SharedEncoder, StreamEnded, Subscription
from runtime.web.offers import Offer
from runtime.web.peers import Peer
from runtime.web.voice import SharedVoice, VoiceTrack

_CODECS: dict[CodecName, Literal["VP8", "H264"]] = {"vp8": "VP8", "h264": "H264"}
_CONTROL = "control"  # the data channel's name


class TooManyViewers(UserError):
    """There is no room for another viewer."""


class PacketTrack(MediaStreamTrack):
    """A video track of encoded packets: aiortc only cuts them into RTP."""

    kind = "video"

    def __init__(self, encoder: SharedEncoder) -> None:
        super().__init__()
        self._encoder = encoder
        self._subscription: Subscription | None = None

    async def recv(self) -> Packet[Any]:
        """The next packet. Raises MediaStreamError at the end."""
        if self.readyState != "live":
            raise MediaStreamError
        # Not before the peer is connected: earlier packets would be useless
        if self._subscription is None:
            self._subscription = self._encoder.subscribe()
        try:
            return await self._subscription.next()
        except StreamEnded:
            raise MediaStreamError from None

    def stop(self) -> None:
        """Take no more packets."""
        super().stop()
        if self._subscription is not None:
            self._subscription.close()


class Viewers:
    """All viewers of a session; used in the event loop only, but for `count`."""

    def __init__(
        self,
        encoder: SharedEncoder,
        channels: ControlChannels,
        *,
        voice: SharedVoice | None,
        ice_servers: Sequence[RTCIceServer],
        most: int,
        loopback: bool,
    ) -> None:
        """voice: for those who want sound; most: viewers at a time; loopback: whether viewers are on this machine."""
        self._encoder, self._channels, self._voice = encoder, channels, voice
        self._ice_servers, self._most, self._loopback = ice_servers, most, loopback
        self._tracks: dict[Peer, PacketTrack] = {}
        self._voices: dict[Peer, VoiceTrack] = {}
        self._without_sound: set[Peer] = set()
        self._controlling: set[Peer] = set()
        self._watching_only: set[Peer] = set()

    @property
    def count(self) -> int:
        """Number of viewers connected or connecting."""
        return len(self._tracks)

    async def watch(self, offer: Offer, *, steers: bool = True) -> tuple[str, str]:
        """Take a viewer: its id and the SDP answer.

        steers: whether its data channel takes actions and tells the session's state. Raises TooManyViewers, or UserError where
        the offer cannot be met.
        """
        if self.count >= self._most:
            raise TooManyViewers(
                f"{self._most} viewers watch already, which is the limit: try again when one has left"
            )
        if obstacle := offer.codec_obstacle(_CODECS[self._encoder.config.codec]):
            raise UserError(
                f"the SDP offer {obstacle}, which is what is sent: start the session with another --codec"
            )
        peer = Peer(self._ice_servers, self._forget)
        track = self._tracks[peer] = PacketTrack(self._encoder)
        if not steers:
            self._watching_only.add(peer)
        transceiver = peer.connection.addTransceiver(track, direction="sendonly")
        mime_type = f"video/{_CODECS[self._encoder.config.codec]}"
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        # Before setRemoteDescription: later it has no effect
        transceiver.setCodecPreferences(
            [codec for codec in capabilities if codec.mimeType in (mime_type, "video/rtx")]
        )
        on_keyframe_request(transceiver.sender, self._encoder.request_keyframe)
        peer.connection.on("datachannel", partial(self._open_channel, peer))
        heard = None
        if offer.takes_sound and self._voice is not None and not self._voice.on:
            self._without_sound.add(peer)  # pictures need not wait for a sound that nobody sends
        elif offer.takes_sound and self._voice is not None:
            voice = self._voices[peer] = self._voice.track()
            heard = peer.connection.addTransceiver(voice, direction="sendonly")
        return peer.id, await peer.answer(offer, transceiver, sound=heard, loopback=self._loopback)

    def renew_for_sound(self) -> None:
        """End connections without sound whose viewers accept sound, now that there is some; pages reconnect by themselves."""
        for peer in list(self._without_sound):
            peer.end()

    async def end(self, peer_id: str) -> bool:
        """End a viewer's connection; False where there is none of that id."""
        for peer in list(self._tracks):
            if peer.id == peer_id:
                await peer.end()
                return True
        return False

    async def close(self) -> None:
        """End all."""
        await asyncio.gather(*(peer.end() for peer in list(self._tracks)))

    def _forget(self, peer: Peer) -> None:
        self._tracks.pop(peer).stop()
        if peer in self._voices:
            self._voices.pop(peer).stop()
        self._without_sound.discard(peer)
        self._controlling.discard(peer)
        self._watching_only.discard(peer)

    def _open_channel(self, peer: Peer, channel: RTCDataChannel) -> None:
        # One each: every channel has a separate budget
        if channel.label == _CONTROL and peer not in self._controlling:
            self._controlling.add(peer)
            self._channels.add(channel, steers=peer not in self._watching_only)
        else:
            channel.close()
