"""A session for tests of the live page: it draws a simple portrait, and does and tells all that docs/live-api.md says."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from runtime.live.actions import (
    Action,
    ClearAttributes,
    Hide,
    Mirror,
    Mute,
    Recalibrate,
    Record,
    SetAttribute,
    SetBackground,
    SetBadge,
    SetGain,
)
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest

SIDE = 256
SKIN = (214, 170, 140)
LOOKS = (
    ("hair-copper", "Copper hair", "hair", "1"),
    ("hair-silver", "Silver hair", "hair", "2"),
    ("hat", "Hat", "hat", "3"),
)
MANY_LOOKS = (
    *LOOKS,
    *((f"eyes-{number}", f"Eyes of kind {number}", "eyes", "") for number in range(20)),
)
_LEARNING = 1.0  # seconds
_KEYS = {
    "1": "attribute 1",
    "2": "attribute 2",
    "3": "attribute 3",
    "9": "attribute 9",
    "0": "no-attributes",
    "h": "hide",
    "c": "recalibrate",
    "m": "mirror",
    "r": "record",
    "v": "mute",
}


def portrait(number: int, background: str) -> UInt8Array:
    """A face that nods; with the background "alpha" as a two-up matte. (H, W, 3) RGB."""
    color = np.zeros((SIDE, SIDE, 3), np.uint8)
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    nod = round(6 * np.sin(number / 8))
    for shape, paint in ((color, SKIN), (alpha, 255)):
        cv2.ellipse(shape, (SIDE // 2, SIDE + 10), (100, 90), 0, 0, 360, paint, -1)
        cv2.ellipse(shape, (SIDE // 2, 110 + nod), (58, 76), 0, 0, 360, paint, -1)
    for x in (-22, 22):
        cv2.circle(color, (SIDE // 2 + x, 96 + nod), 6, (40, 32, 30), -1)
    if background == "alpha":
        return np.concatenate([color, np.repeat(alpha[..., None], 3, axis=2)], axis=1)
    behind = (0, 177, 64) if background == "green" else tuple(bytes.fromhex(background))
    return np.where(alpha[..., None] > 0, color, np.array(behind, np.uint8))


@dataclass
class Facts:
    """What tests set, and the page is told."""

    source_kind: str = "camera"
    face: str = "tracked"
    problem: str = ""
    notices: tuple[str, ...] = ()
    voice: dict[str, object] | None = None


class PortraitSession:
    """A `Control`; keeps all actions that were asked of it."""

    def __init__(self) -> None:
        self.drawn: Latest[DrawnFrame] = Latest()
        self._ended = threading.Event()
        self.reset()
        self._thread = threading.Thread(target=self._draw, name="portrait painter")
        self._thread.start()

    def reset(self) -> None:
        """As at the start."""
        self.facts = Facts()
        self.acts: list[Action] = []
        self.have(LOOKS)
        self.gains = {"head": 1.0, "brows": 1.0, "eyes": 1.0, "mouth": 1.0}
        self.background, self.badge = "d9dbde", SetBadge("bottom-right")
        self.mirror = self.hidden = False
        self.recorded: Path | None = None
        self.recording: float | None = None
        self._calibration: float | None = None  # when the countdown ends

    def have(self, looks: Sequence[tuple[str, str, str, str]]) -> None:
        """Be an avatar with these attributes."""
        self.looks, self.targets = tuple(looks), {name: 0.0 for name, *_ in looks}

    def act(self, action: Action) -> None:
        self.acts.append(action)
        match action:
            case SetAttribute(name, weight):
                name = (
                    self.looks[int(name) - 1][0]
                    if name.isdecimal() and 1 <= int(name) <= len(self.looks)
                    else name
                )
                if name not in self.targets:
                    raise UserError(f"there is no attribute {name}")
                self.targets[name] = float(self.targets[name] == 0) if weight is None else weight
            case ClearAttributes():
                self.targets = dict.fromkeys(self.targets, 0.0)
            case SetBackground(background):
                self.background = background
            case SetGain(region, value):
                self.gains[region] = value
            case Hide(on):
                self.hidden = not self.hidden if on is None else on
            case Mirror(on):
                self.mirror = not self.mirror if on is None else on
            case Mute(on) if self.facts.voice is not None:
                self.facts.voice["muted"] = not self.facts.voice["muted"] if on is None else on
            case Record(on):
                self.recording = (
                    time.monotonic() if (self.recording is None if on is None else on) else None
                )
            case Recalibrate(seconds):
                self._calibration = time.monotonic() + seconds
            case SetBadge():
                self.badge = action
            case _:
                raise UserError("this session cannot do that")

    def state(self) -> dict[str, object]:
        return {
            "avatars": ["me"],
            "avatar": 1,
            "attributes": [
                {
                    "name": name,
                    "label": label,
                    "slot": slot,
                    "key": key,
                    "weight": self.targets[name],
                    "target": self.targets[name],
                }
                for name, label, slot, key in self.looks
            ],
            "background": self.background,
            "backgrounds": ["d9dbde", "green", "alpha"],
            "gains": dict(self.gains),
            "mirror": self.mirror,
            "hidden": self.hidden,
            "badge": {"place": self.badge.place, "reason": self.badge.reason},
            "voice": self.facts.voice,
            "recording": None
            if self.recording is None
            else {"path": "me.mp4", "seconds": round(time.monotonic() - self.recording, 1)},
            "recorded": None if self.recorded is None else self.recorded.name,
            "calibration": self._calibration_state(),
            "face": self.facts.face,
            "source": {
                "name": "camera 0",
                "kind": self.facts.source_kind,
                "problem": self.facts.problem,
            },
            "sinks": [{"name": "virtual camera /dev/video10", "problem": ""}],
            "size": [SIDE, SIDE],
            "target_fps": 30,
            "keys": dict(_KEYS),
            "notices": list(self.facts.notices),
        }

    def stats(self) -> dict[str, object]:
        stage = {"ms": 5.0, "p95_ms": 8.0, "per_second": 30.0, "dropped": 1}
        return {
            "fps": 29.9,
            "latency_ms": 38.2,
            "slow_stage": "track",
            "viewers": 1,
            "stages": {
                "capture": stage,
                "track": {**stage, "ms": 13.7},
                "animate": stage,
                "render": stage,
                "encode": stage,
            },
            "governor": {
                "scale": 0.8,
                "gaussians": 1.0,
                "reason": "drawing smaller to keep 30 fps",
            },
        }

    def close(self) -> None:
        """End the painter."""
        self._ended.set()
        self._thread.join()
        self.drawn.close()

    def _calibration_state(self) -> dict[str, object]:
        left = -np.inf if self._calibration is None else self._calibration - time.monotonic()
        phase = "countdown" if left > 0 else "learning" if left > -_LEARNING else "done"
        return {"phase": phase, "seconds": round(max(float(left), 0.0), 1)}

    def _draw(self) -> None:
        number = 0
        while not self._ended.wait(1 / 30):
            number += 1
            background = self.background
            image = np.ascontiguousarray(portrait(0 if self.hidden else number, background))
            self.drawn.put(DrawnFrame(image, background == "alpha", time.monotonic(), None, number))
