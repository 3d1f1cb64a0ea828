"""Data channels named "control": receive actions, send state and figures; viewers get the picture's size only."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from perse_live.errors import UserError
from runtime.live.control import Control
from runtime.web.messages import perform

_log = logging.getLogger(__name__)

_LOOK = 0.2  # seconds between checks of the state
_LOOKS_PER_STATS = 2.5  # figures go out twice a second
_ACTIONS_PER_SECOND = 60.0  # a slider under a finger sends one per frame of the screen
_BURST = 120.0
_MAX_UNSENT = 64 * 1024  # bytes; to a channel that does not drain nothing is added


class ActionBudget:
    """Rate limit for actions."""

    def __init__(self, now: float) -> None:
        self._left, self._time = _BURST, now

    def spend(self, now: float) -> bool:
        """Whether another action is allowed at `now` (seconds)."""
        self._left = min(self._left + (now - self._time) * _ACTIONS_PER_SECOND, _BURST)
        self._time = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class ControlChannels:
    """All open control channels of a session; used in the event loop only."""

    def __init__(self, control: Control, *, has_studio: bool = False) -> None:
        """has_studio: whether pages are told that there is a studio."""
        self._control, self._facts = control, {"studio": True} if has_studio else {}
        self._channels: dict[RTCDataChannel, str] = {}  # with the state last sent to each
        self._watching: set[RTCDataChannel] = set()  # channels of viewers
        self._looked = 0.0

    def add(self, channel: RTCDataChannel, *, steers: bool = True) -> None:
        """Serve a channel until it closes. steers: whether it may act and hear all."""
        budget = ActionBudget(time.monotonic())
        self._channels[channel] = ""
        if not steers:
            self._watching.add(channel)

        def receive(message: str | bytes) -> None:
            if not steers:
                _send(channel, {"error": "this link is for watching only"})
            elif budget.spend(time.monotonic()):
                self._act(channel, message)
            else:
                _send(
                    channel,
                    {
                        "error": f"too many actions: at most {_ACTIONS_PER_SECOND:g} a second are taken"
                    },
                )

        def forget() -> None:
            self._channels.pop(channel, None)
            self._watching.discard(channel)

        channel.on("message", receive)
        channel.on("close", forget)
        self._send_state()
        _send(channel, {"stats": self._control.stats() if steers else {}})

    async def run(self) -> None:
        """Send changes to all channels, until cancelled."""
        looks = 0.0
        while True:
            await asyncio.sleep(_LOOK)
            if not self._channels:
                continue
            try:
                self._send_state()
                looks += 1
                if looks >= _LOOKS_PER_STATS:
                    looks -= _LOOKS_PER_STATS
                    stats = self._control.stats()
                    for channel in list(self._channels):  # to viewers, a sign of life
                        _send(channel, {"stats": {} if channel in self._watching else stats})
            except Exception:  # one wrong answer of the session must not silence all pages
                _log.exception("the session's state could not be told")

    def _act(self, channel: RTCDataChannel, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                raise UserError("the message is binary: send JSON text")
            perform(self._control, message)
        except UserError as error:
            _send(channel, {"error": str(error)})
        else:
            self._send_state()

    def _send_state(self) -> None:
        state = self._control.state()
        whole = json.dumps({"state": {**state, **self._facts}})
        size = json.dumps({"state": {"size": state.get("size")}})
        for channel, sent in list(self._channels.items()):
            text = size if channel in self._watching else whole
            if channel.readyState == "closed":
                self._channels.pop(channel)
                self._watching.discard(channel)
            elif sent != text and _send_text(channel, text):
                self._channels[channel] = text


def _send(channel: RTCDataChannel, message: dict[str, object]) -> None:
    _send_text(channel, json.dumps(message))


def _send_text(channel: RTCDataChannel, text: str) -> bool:
    """Whether it was sent: the channel is open and drains."""
    if channel.readyState != "open" or channel.bufferedAmount > _MAX_UNSENT:
        return False
    try:
        channel.send(text)
    except (InvalidStateError, ConnectionError, ValueError):
        return False
    return True
