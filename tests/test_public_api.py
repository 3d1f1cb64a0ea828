"""The public API: what `perse_live.__all__` names, without anything heavy on importing it."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perse_live
from attribute_toys import toy_attribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.head.expressions import EXPRESSION_NAMES, expression
from perse_live.poses import facing_pose
from runtime.stage import Motion, Stage
from toys import toy_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return toy_avatar()


def run_python(code: str) -> int:
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_importing_it_loads_no_other_package() -> None:
    heavy = ["torch", "numpy", "numba", "mediapipe", "cv2", "av", "aiohttp", "aiortc"]
    assert (
        run_python(
            f"import sys, perse_live; sys.exit(any(name in sys.modules for name in {heavy}))"
        )
        == 0
    )


def test_an_avatar_is_drawn_without_torch_and_mediapipe() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import perse_live; from toys import toy_avatar;"
        "image = toy_avatar(gaussians=50).render(size=64); perse_live.Avatar, perse_live.drive;"
        "sys.exit('torch' in sys.modules or 'mediapipe' in sys.modules or image.shape != (64, 64, 3))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[1]
        ).returncode
        == 0
    )


def test_every_public_name_is_there_and_listed() -> None:
    assert set(perse_live.__all__) <= set(dir(perse_live))
    for name in perse_live.__all__:
        assert getattr(perse_live, name) is not None
    assert perse_live.EXPRESSION_NAMES == EXPRESSION_NAMES
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = perse_live.nothing  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


def test_a_saved_avatar_loads_again(avatar: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "me.perse"
    avatar.save(str(path))
    loaded = perse_live.Avatar.load(str(path))
    np.testing.assert_array_equal(loaded.colors, avatar.colors)
    avatar.save(path)  # another avatar of that name is replaced
    path.write_bytes(b"a file of the user's")
    with pytest.raises(UserError, match="does not say that perse-live wrote it"):
        avatar.save(path)
    avatar.save(path, overwrite=True)
    with pytest.raises(UserError, match="no such file"):
        perse_live.Avatar.load(tmp_path / "you.perse")


def test_a_rendering_is_what_the_live_session_draws(avatar: Avatar) -> None:
    scores = expression(jawOpen=0.6, eyeLookOutLeft=0.5)
    pose = facing_pose(avatar, yaw=20, pitch=-5, roll=3)
    from perse_live.head.rig import gaze_from_expression

    stage = Stage(avatar, avatar.source.camera.resized(96, 96), threads=1)
    wanted = stage.draw(Motion(scores, gaze_from_expression(scores), pose), background=(1, 0, 0))
    drawn = avatar.render(scores, (20, -5, 3), size=96, background=(255, 0, 0))
    np.testing.assert_array_equal(drawn, wanted)
    np.testing.assert_array_equal(
        avatar.render(scores, pose, size=96, background=(255, 0, 0)), wanted
    )


def test_pictures_are_the_caller_s_and_threads_may_draw_at_once(avatar: Avatar) -> None:
    first = avatar.render(size=64)
    kept = first.copy()
    found: dict[int, np.ndarray] = {}

    def draw(yaw: int) -> None:
        found[yaw] = avatar.render(pose=(yaw, 0, 0), size=64)

    threads = [threading.Thread(target=draw, args=(yaw,)) for yaw in (-30, 0, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(found[0], kept)
    assert not np.array_equal(found[-30], found[30])


def test_attributes_show_and_go_away_again(avatar: Avatar) -> None:
    blended = replace(avatar, attributes=(toy_attribute(avatar, "hat", "hat"),))
    bare = blended.render(size=64)
    assert not np.array_equal(blended.render(attributes={"hat": 1.0}, size=64), bare)
    np.testing.assert_array_equal(blended.render(attributes={"hat": 0.0}, size=64), bare)
    assert len(blended.gaussians(attributes={"hat": 1.0}).means) > len(blended.gaussians().means)


def test_gaussians_are_those_that_are_drawn(avatar: Avatar) -> None:
    gaussians = avatar.gaussians({"jawOpen": 0.5}, (10, 0, 0))
    again = avatar.gaussians({"jawOpen": 0.5}, (10, 0, 0))
    assert len(gaussians) == len(avatar)
    assert gaussians.means[:, 2].min() > 0.3  # in front of the camera
    for name, array in vars(gaussians).items():
        np.testing.assert_array_equal(array, getattr(again, name))


def test_what_cannot_be_drawn_is_one_line(avatar: Avatar) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"expression": {"smile": 1.0}}, "unknown expression 'smile'"),
        ({"expression": {"jawOpen": 1.5}}, "from 0 to 1"),
        ({"expression": np.zeros(51)}, "give 52 scores"),
        ({"expression": np.full(52, np.nan)}, "from 0 to 1"),
        ({"pose": (1, 2)}, "give yaw, pitch and roll"),
        ({"pose": (1, 2, float("nan"))}, "give yaw, pitch and roll"),
        ({"attributes": {"wig": 1.0}}, "no attribute 'wig'"),
        ({"size": 0}, "choose 16 to 4096"),
        ({"background": (1, 2)}, "is not a colour"),
    )
    for wrong, words in cases:
        with pytest.raises(UserError, match=words):
            avatar.render(**wrong)


def test_nothing_is_built_without_consent_or_a_photo(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without consent"):
        perse_live.build_avatar("me.jpg", consent=" ")
    with pytest.raises(UserError, match="no such file"):
        perse_live.build_avatar(tmp_path / "me.jpg", consent="the tests")


def test_a_film_is_driven_only_into_a_file_that_may_be_written(
    avatar: Avatar, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"a film")
    with pytest.raises(UserError, match="it is the input"):
        perse_live.drive(avatar, film, film)
    with pytest.raises(UserError, match="no attribute 'wig'"):
        perse_live.drive(avatar, film, tmp_path / "out.mp4", attributes={"wig": 1.0})


def test_a_live_session_needs_an_avatar_and_a_size_that_can_be_had(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no avatar is named"):
        perse_live.LiveSession()
    with pytest.raises(UserError, match="out of range"):
        perse_live.LiveSession(tmp_path / "me.perse", size=(10, 10))
    with pytest.raises(UserError, match="no such file"):
        perse_live.LiveSession(tmp_path / "me.perse", camera="none")
