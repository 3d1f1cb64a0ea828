"""What the feed makes of pictures, run to its end on a short film in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from perse_live.arrays import UInt8Array
from runtime.live.clock import StageClock
from runtime.live.feeds import Observation, PictureFeed
from runtime.live.frames import CapturedFrame
from runtime.tracker import TrackerConfig


class Pictures:
    """A source that gives pictures at 25 a second by their own times, then ends."""

    name, live = "pictures", True

    def __init__(self, pictures: Sequence[UInt8Array]) -> None:
        self._pictures = iter(enumerate(pictures))

    def read(self, timeout: float) -> CapturedFrame | None:
        for number, picture in self._pictures:
            return CapturedFrame(picture, number / 25)
        raise EOFError

    def close(self) -> None:
        pass


def observed(pictures: Sequence[UInt8Array], monkeypatch: pytest.MonkeyPatch) -> list[Observation]:
    """All that the feed observes, the newest-wins slot looked into at each change; the last one is the end's."""
    feed = PictureFeed(
        Pictures(pictures), capture=StageClock(), track=StageClock(), config=TrackerConfig()
    )
    seen: list[Observation] = []
    monkeypatch.setattr(feed.observations, "put", seen.append)
    feed.start()
    deadline = time.monotonic() + 120
    while not feed.ended and time.monotonic() < deadline:
        time.sleep(0.02)
    feed.close()
    assert feed.ended and not feed.problem
    return seen[:-1]


def person(size: int, *, mirrored: bool = False) -> UInt8Array:
    picture = np.ascontiguousarray(
        astronaut()[:330, 60:390][:, ::-1, ::-1] if mirrored else astronaut()[:330, 60:390]
    )
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.slow
def test_a_far_face_is_found_within_a_second_and_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = []
    for step in range(40):
        picture = np.full((720, 1280, 3), 118, np.uint8)
        picture[300:420, 700 + step : 820 + step] = person(120)  # the face is 38 pixels high
        pictures.append(picture)
    found = [one.motion is not None for one in observed(pictures, monkeypatch)]
    assert len(found) == 40
    assert any(found[:26])
    assert all(found[found.index(True) :])


def test_a_larger_second_person_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = np.full((480, 720, 3), 118, np.uint8)
    alone[80:380, :300] = person(300)
    both = alone.copy()
    both[40:480, 280:] = person(440, mirrored=True)[:440]
    motions = [one.motion for one in observed([alone] * 10 + [both] * 10, monkeypatch)]
    places = np.array([motion.t_cam_head for motion in motions if motion is not None])
    assert len(places) == 20
    assert np.ptp(places[:, :2], 0).max() < 0.02  # the other's head is half a metre away
