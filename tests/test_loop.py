"""A picture that moves, for the front page of a project or a chat."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribute_toys import toy_attribute
from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.outputs import written_by_us
from runtime.loop import LOOP_FPS, loop_frames
from toys import toy_avatar


def test_it_starts_and_ends_alike_and_shows_every_attribute() -> None:
    toy = toy_avatar(gaussians=400)
    looks = tuple(
        toy_attribute(toy, name, name, seed=k, changed=300)
        for k, name in enumerate(("hat", "beard"))
    )
    frames = [
        frame.astype(np.float32)
        for frame in loop_frames(dataclasses.replace(toy, attributes=looks), seconds=4.0, size=64)
    ]
    bare = [frame.astype(np.float32) for frame in loop_frames(toy, seconds=4.0, size=64)]
    assert len(frames) == 4 * LOOP_FPS
    assert np.abs(frames[0] - frames[-1]).mean() < 1
    change = np.array([np.abs(one - other).mean() for one, other in zip(frames, bare, strict=True)])
    assert change[:5].max() == 0 and change[-5:].max() == 0
    middle = change[len(change) // 2 - 1 : len(change) // 2 + 2].min()
    assert (
        change[: len(change) // 2].max() > 2 * middle
        and change[len(change) // 2 :].max() > 2 * middle
    )


def test_the_command_writes_an_animated_picture_that_says_whose_it_is(tmp_path: Path) -> None:
    save_avatar(tmp_path / "me.perse", toy_avatar(gaussians=200))
    words = [
        "render",
        str(tmp_path / "me.perse"),
        "-o",
        str(tmp_path / "me.webp"),
        "--loop",
        "4",
        "--size",
        "64",
    ]
    assert cli.main(words) == 0
    with Image.open(tmp_path / "me.webp") as picture:
        assert getattr(picture, "n_frames", 1) > 30
        assert picture.info["loop"] == 0
    assert written_by_us(tmp_path / "me.webp")
    assert cli.main(words) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["me.png", "--loop", "5"], "name it .webp"),
        (["me.webp", "--loop", "1"], "4 to 60"),
        (["me.webp", "--loop", "5", "--size", "5000"], "64 to 1024"),
    ],
)
def test_a_loop_that_cannot_be_drawn_is_said(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["render", "me.perse", "-o", *words]) == 2
    assert said in capsys.readouterr().err
