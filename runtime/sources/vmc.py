"""Motion from a phone or another tracker over the VMC protocol (protocol.vmc.info, "Marionette" side): OSC over UDP.

Frames. VMC speaks Unity's: x to the avatar's right, y up, z out of the face, left-handed. The head frame has x to the left.
Between them lies the mirror M = diag(-1, 1, 1), so a rotation R becomes M R M: its axis (x, y, z), which mirrors as an axis
does, becomes (x, -y, -z) at the same angle. In quaternions: (w, x, y, z) -> (w, x, -y, -z).
"""

from __future__ import annotations

import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_COUNT, EXPRESSION_NAMES
from perse_live.head.rig import gaze_from_expression
from perse_live.rotations import FACING_CAMERA, to_matrix
from runtime.live.slot import Latest
from runtime.sources.contract import SourceLost
from runtime.sources.osc import Argument, messages
from runtime.tracker import TrackedFrame

DEFAULT_PORT = 39539
"""Where the protocol's receivers listen."""

_PREFIX = b"/VMC/Ext/"
_SILENT = 1.0  # seconds without motion after which the source counts as lost
_ACTIONS: Mapping[str, int] = MappingProxyType(
    {name.lower(): place for place, name in enumerate(EXPRESSION_NAMES)}
)
_LOOKS = [place for place, name in enumerate(EXPRESSION_NAMES) if name.startswith("eyeLook")]
_BONES = ("Head", "Neck", "LeftEye", "RightEye")
_AT_REST = (1.0, 0.0, 0.0, 0.0)
_MAX_GAZE = np.float32(0.6)  # radians; no eye turns further
_RESIDUAL_SHAPE = (478, 3)
# Datagrams plus their 64-byte pieces; a rich sender at 60 Hz makes a third of it
_WORK_PER_SECOND = 50_000
_ADDRESS_IN_USE = {98, 48, 10048}  # errno of Linux, macOS, Windows


class VmcSource:
    """Receives expressions, head rotation and gaze from another program.

    Blend shapes go by the ARKit names, in any case ("BrowInnerUp" as VRM's Perfect Sync writes them); others are ignored. The
    head turns as the bones Neck and Head do. The eyes follow the eyeLook shapes where one is above 0, else the bones LeftEye
    and RightEye. Only one sender is listened to, until it is silent for a second.
    """

    def __init__(self, port: int = DEFAULT_PORT, *, host: str = "127.0.0.1") -> None:
        """Listen.

        port: UDP, 0 for any free one; host: the address to listen on, 0.0.0.0 for all of this machine's (a phone sends from
        outside). Raises UserError where the port is taken or the address is not this machine's.
        """
        self._socket = _bound_socket(host, port)
        self._host, self._port = host, int(self._socket.getsockname()[1])
        self._slot: Latest[TrackedFrame] = Latest()
        self._seen = 0
        self._last_motion = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="vmc", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Display name, such as "VMC on UDP port 39539"."""
        return f"VMC on UDP port {self._port}"

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    def read(self, timeout: float) -> TrackedFrame | None:
        """The newest motion that was not read yet; None if none came in time or after `close`.

        Raises SourceLost where nothing has come for a second.
        """
        found = self._slot.wait(self._seen, timeout)
        if found is not None:
            self._seen, frame = found
            self._last_motion = frame.timestamp
            return frame
        if not self._slot.closed and time.monotonic() - self._last_motion > _SILENT:
            others = (
                ", or listen to other machines too with --camera vmc:0.0.0.0"
                if self._host == "127.0.0.1"
                else ""
            )
            raise SourceLost(
                f"no motion comes in: let your tracker send VMC to this machine, UDP port {self._port}{others}"
            )
        return None

    def close(self) -> None:
        """Free the port. Closing again does nothing."""
        self._closed.set()
        self._slot.close()
        self._thread.join()  # it looks every 0.2 s; closed under it, the socket's number could be another file's by then
        self._socket.close()

    def _listen(self) -> None:
        performer = _Performer()
        sender, heard = "", -math.inf
        second, work = time.monotonic(), 0
        while not self._closed.is_set():
            try:
                packet, address = self._socket.recvfrom(65_535)
            except OSError:
                # the wait's end; on Windows also an echo of what others could not deliver
                self._closed.wait(0.001)
                continue
            now = time.monotonic()
            if now - second >= 1:
                second, work = now, 0
            work += 1 + len(packet) // 64
            # A flood: leave it to the system to drop, the others need the processor
            if work > _WORK_PER_SECOND:
                self._closed.wait(second + 1 - now)
            if now - heard > _SILENT:
                sender, performer = str(address[0]), _Performer()
            elif address[0] != sender:
                continue
            for name, arguments in messages(packet, prefix=_PREFIX):
                heard = now
                if performer.take(name, arguments):
                    self._slot.put(performer.frame(time.monotonic()))


def parse_vmc(text: str) -> Callable[[], VmcSource]:
    """What "vmc", "vmc:PORT", "vmc:ADDRESS" or "vmc:ADDRESS:PORT" opens.

    Raises UserError for anything else.
    """
    parts = text.split(":")
    port = DEFAULT_PORT
    if len(parts) > 1 and parts[-1].isascii() and parts[-1].isdigit() and len(parts[-1]) <= 5:
        port = int(parts.pop())
    if (
        parts[0] != "vmc"
        or len(parts) > 2
        or not 0 < port < 65_536
        or (len(parts) == 2 and not parts[1])
    ):
        raise UserError(
            f"unknown camera {text!r}: write vmc, vmc:PORT (1 to 65535) or vmc:ADDRESS:PORT"
        )
    host = parts[1] if len(parts) == 2 else "127.0.0.1"
    return lambda: VmcSource(port, host=host)


@dataclass(frozen=True)
class _Bone:
    """Local rotation of a bone in Unity's frame."""

    quat: tuple[float, float, float, float]
    """wxyz, as it came; not normalised."""


class _Performer:
    """State of one sender, of bounded size. Values stay until they are sent again."""

    def __init__(self) -> None:
        self._expression = np.zeros(EXPRESSION_COUNT, np.float32)
        self._bones = {name: _Bone(_AT_REST) for name in _BONES}
        self._tracking = True

    def take(self, address: str, arguments: tuple[Argument, ...]) -> bool:
        """Apply a message; returns whether it ends a frame. Invalid content is ignored."""
        if address == "/VMC/Ext/Blend/Apply":
            return True
        if address == "/VMC/Ext/Blend/Val":
            self._take_blend(arguments)
        elif address == "/VMC/Ext/Bone/Pos":
            self._take_bone(arguments)
        elif address == "/VMC/Ext/OK" and len(arguments) >= 4:
            self._tracking = arguments[3] != 0
        return False

    def frame(self, timestamp: float) -> TrackedFrame:
        """The current motion."""
        turn = _head_frame_rotation(self._bones["Neck"]) @ _head_frame_rotation(self._bones["Head"])
        return TrackedFrame(
            timestamp,
            self._expression.copy(),
            R_cam_head=(FACING_CAMERA @ turn).astype(np.float32),
            t_cam_head=np.zeros(3, np.float32),
            gaze=self._gaze(),
            residual=np.zeros(_RESIDUAL_SHAPE, np.float32),
            confidence=1.0 if self._tracking else 0.0,
        )

    def _take_blend(self, arguments: tuple[Argument, ...]) -> None:
        if len(arguments) == 2 and isinstance(arguments[0], str) and len(arguments[0]) < 40:
            place, values = _ACTIONS.get(arguments[0].lower()), _finite(arguments[1:])
            if place is not None and values is not None:
                self._expression[place] = min(max(values[0], 0.0), 1.0)

    def _take_bone(self, arguments: tuple[Argument, ...]) -> None:
        if len(arguments) == 8 and arguments[0] in _BONES:
            values = _finite(arguments[4:])
            if values is not None and 0.1 < sum(value * value for value in values) < 10:
                x, y, z, w = values
                self._bones[str(arguments[0])] = _Bone((w, x, y, z))

    def _gaze(self) -> Float32Array:
        if self._expression[_LOOKS].any():
            return gaze_from_expression(self._expression)
        ahead = [_head_frame_rotation(self._bones[name])[:, 2] for name in ("LeftEye", "RightEye")]
        gaze = np.array(
            [(math.atan2(x, z), math.asin(min(max(y, -1.0), 1.0))) for x, y, z in ahead], np.float32
        )
        return np.clip(gaze, -_MAX_GAZE, _MAX_GAZE)


def _head_frame_rotation(bone: _Bone) -> FloatArray:
    """(3, 3) the bone's local rotation in the head frame; see the module's text."""
    w, x, y, z = bone.quat
    return to_matrix(np.array([w, x, -y, -z]))


def _finite(values: tuple[Argument, ...]) -> tuple[float, ...] | None:
    numbers = tuple(
        float(value) for value in values if isinstance(value, int | float) and abs(value) < 1e6
    )
    return numbers if len(numbers) == len(values) else None


def _bound_socket(host: str, port: int) -> socket.socket:
    try:
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"cannot listen for VMC on {host!r}, which is no address: give 127.0.0.1 or 0.0.0.0"
        ) from error
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listener.settimeout(0.2)
        listener.bind(address)
    except OSError as error:
        listener.close()
        why = (
            "the port is taken: close the program that listens there (another perse-live, VSeeFace)"
            if error.errno in _ADDRESS_IN_USE
            else f"{error.strerror or error}: give this machine's address"
        )
        raise UserError(
            f"cannot listen for VMC on {host}:{port}, {why}, or give another port: --camera vmc:39540"
        ) from error
    return listener
