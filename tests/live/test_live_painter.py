from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_avatars import dressable_avatar
from motions import FACING, turned
from PIL import Image

from attribute_toys import toy_attribute
from perse_live.arrays import UInt8Array
from perse_live.avatar import with_resting_lids
from perse_live.errors import UserError
from perse_live.head.expressions import index
from runtime.background import Color
from runtime.live.clock import StageClock
from runtime.live.governor import LADDER, Effort
from runtime.live.painter import Actor, Backdrop, Painter, actor_of, backdrop_of, placed
from runtime.stage import Motion
from runtime.tracker import TrackedFrame

LIDS = ("eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight")
PLAIN = "d9dbde"


@pytest.fixture(scope="module")
def actor() -> Actor:
    return actor_of("me", dressable_avatar(gaussians=12_000))


def painter_of(actor: Actor, width: int = 128, height: int = 128) -> Painter:
    return Painter(actor, width, height, threads=1, animate=StageClock(), render=StageClock())


def still(actor: Actor, motion: TrackedFrame | None = None) -> Motion:
    return placed(actor, motion or turned(0), FACING)


def there(picture: UInt8Array) -> np.ndarray:
    """Where the avatar is on the plain background."""
    return np.abs(picture.astype(int) - (217, 219, 222)).max(2) > 30


def test_at_rest_the_avatar_is_in_the_middle_and_goes_on_below(actor: Actor) -> None:
    for width, height in ((128, 128), (256, 144), (144, 256)):
        picture = painter_of(actor, width, height).paint(
            still(actor), backdrop_of(PLAIN), badge="off"
        )
        assert picture.shape == (height, width, 3)
        shape = there(picture)
        columns = np.nonzero(shape.any(0))[0]
        assert (columns[0] + columns[-1]) / 2 == pytest.approx(width / 2, abs=0.05 * width)
        assert not shape[0].any() and shape[-1].any()


def test_a_shift_is_scaled_to_the_avatars_face(actor: Actor) -> None:
    motion = placed(actor, turned(0, shift=0.02, residual=0.001), FACING)
    np.testing.assert_allclose(
        motion.pose.t_cam_head, actor.rest.t_cam_head + actor.size * 0.02, atol=1e-6
    )
    assert motion.residual is not None
    np.testing.assert_allclose(motion.residual, 0.001 * actor.size, rtol=1e-5)


def test_every_picture_is_a_new_array(actor: Actor) -> None:
    painter = painter_of(actor)
    for text in (PLAIN, "photo", "alpha"):
        first = painter.paint(still(actor), backdrop_of(text), badge="off")
        kept = first.copy()
        second = painter.paint(still(actor, turned(25)), backdrop_of(text), badge="top-left")
        np.testing.assert_array_equal(first, kept)
        assert (first != second).any()
        assert first.flags.c_contiguous


def test_backgrounds_differ_only_behind_the_avatar(actor: Actor) -> None:
    painter = painter_of(actor)
    matte = painter.paint(still(actor), backdrop_of("alpha"), badge="off")
    solid, empty = matte[:, 128:, 0] == 255, matte[:, 128:, 0] == 0
    assert solid.any() and empty.any()
    for text, color in (("000000", (0, 0, 0)), ("green", (0, 177, 64)), ("photo", (60, 90, 140))):
        picture = painter.paint(still(actor), backdrop_of(text), badge="off")
        np.testing.assert_allclose(picture[solid], matte[:, :128][solid], atol=3)
        np.testing.assert_allclose(picture[empty], np.broadcast_to(color, (empty.sum(), 3)), atol=2)


def test_what_has_no_photo_behind_it_is_grey(actor: Actor) -> None:
    bare = replace(
        actor, avatar=replace(actor.avatar, source=replace(actor.avatar.source, backdrop=None))
    )
    picture = painter_of(bare).paint(still(bare), backdrop_of("photo"), badge="off")
    assert tuple(picture[0, 0]) == (200, 200, 200)


@pytest.mark.parametrize(("width", "height"), [(256, 144), (144, 256)])
def test_a_picture_covers_the_frame(actor: Actor, tmp_path: Path, width: int, height: int) -> None:
    Image.new("RGB", (50, 20), (10, 200, 30)).save(tmp_path / "mine.png")
    picture = painter_of(actor, width, height).paint(
        still(actor), backdrop_of(str(tmp_path / "mine.png")), badge="off"
    )
    assert picture.shape == (height, width, 3)
    np.testing.assert_allclose(picture[0], np.broadcast_to((10, 200, 30), (width, 3)), atol=2)


def test_what_backgrounds_are_called(tmp_path: Path) -> None:
    Image.new("RGB", (5, 5)).save(tmp_path / "mine.png")
    assert backdrop_of("#A0B1C2") == Backdrop("a0b1c2", Color(0xA0, 0xB1, 0xC2), None)
    assert backdrop_of("green").color == Color(0, 177, 64)
    assert backdrop_of("alpha").matte and not backdrop_of("photo").matte
    assert backdrop_of(str(tmp_path / "mine.png")) == Backdrop("image", None, tmp_path / "mine.png")
    assert backdrop_of("image", image=tmp_path / "mine.png").picture == tmp_path / "mine.png"
    with pytest.raises(UserError, match="start with --background PICTURE"):
        backdrop_of("image")
    with pytest.raises(UserError, match="neither a colour"):
        backdrop_of("nowhere.png")


def test_the_badge_is_in_every_kind_of_picture(actor: Actor) -> None:
    painter = painter_of(actor)
    for text in (PLAIN, "green", "photo", "alpha"):
        for effort in (LADDER[0], LADDER[-1]):
            bare = painter.paint(still(actor), backdrop_of(text), badge="off", effort=effort)
            marked = painter.paint(
                still(actor), backdrop_of(text), badge="bottom-right", effort=effort
            )
            rows, columns = np.nonzero((bare != marked).any(2)[:, :128])
            assert rows.min() > 96 and columns.min() > 64, "in its corner"
            if text == "alpha":
                assert (marked[rows, columns + 128] == 255).all(), "and opaque"


class Later(Executor):
    """Does what it is given when a test says so."""

    def __init__(self) -> None:
        self.given: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.given.append(lambda: future.set_result(fn(*args, **kwargs)))
        return future


def test_pictures_go_on_while_another_effort_is_prepared(actor: Actor) -> None:
    later = Later()
    painter = Painter(
        actor, 128, 128, threads=1, animate=StageClock(), render=StageClock(), executor=later
    )

    def painted(effort: Effort) -> UInt8Array:
        return painter.paint(still(actor), backdrop_of(PLAIN), badge="off", effort=effort)

    full = painted(LADDER[0])
    for _ in range(3):
        np.testing.assert_array_equal(painted(LADDER[3]), full)
    assert len(later.given) == 1, "once is enough"
    later.given.pop()()
    few = painter_of(actor).paint(still(actor), backdrop_of(PLAIN), badge="off", effort=LADDER[3])
    assert (few != full).any()
    np.testing.assert_array_equal(painted(LADDER[3]), few)
    for effort in (LADDER[1], LADDER[2], LADDER[4]):  # more than are kept
        painted(effort)
        later.given.pop()()
        painted(effort)
    np.testing.assert_array_equal(painted(LADDER[0]), painted(LADDER[4]))
    later.given.pop()()
    np.testing.assert_array_equal(painted(LADDER[0]), full)


def test_less_effort_looks_nearly_the_same(actor: Actor) -> None:
    painter = painter_of(actor, 256, 256)
    full = painter.paint(still(actor), backdrop_of(PLAIN), badge="off")
    for effort in (*LADDER[1:], LADDER[0], Effort(0.01, 0.5)):
        less = painter.paint(still(actor), backdrop_of(PLAIN), badge="off", effort=effort)
        assert less.shape == full.shape
        if effort == LADDER[0]:
            np.testing.assert_array_equal(less, full)
        elif effort in LADDER:
            assert there(less).mean() == pytest.approx(there(full).mean(), rel=0.12)


def test_attributes_are_blended_at_any_effort_and_removed_again(actor: Actor) -> None:
    hat = toy_attribute(actor.avatar, "hat", "hat", on_surface=400, free=400, changed=500)
    worn_by = replace(
        actor, avatar=replace(actor.avatar, attributes=(*actor.avatar.attributes, hat))
    )
    painter = painter_of(worn_by)
    changes: tuple[dict[str, float], ...] = (
        {},
        {"hat": 0.5, "none-such": 1.0},
        {"hat": 1.0, "hair-blue": 0.4},
        {"hat": 0.0},
    )
    for effort in (LADDER[0], LADDER[-1], LADDER[0]):
        bare, half, full, again = (
            painter.paint(
                still(worn_by), backdrop_of(PLAIN), badge="off", effort=effort, weights=weights
            )
            for weights in changes
        )
        np.testing.assert_array_equal(bare, again)
        assert 0 < np.abs(half.astype(int) - bare).mean() < np.abs(full.astype(int) - bare).mean()


@given(st.integers(0, 10), st.floats(0, 1), st.floats(0, 1))
def test_lids_rest_as_the_persons_do_and_close_wholly(
    actor: Actor, seed: int, narrowed: float, strength: float
) -> None:
    expression = np.random.default_rng(seed).random(52, np.float32) * np.float32(strength)
    source = replace(actor.avatar.source, expression=np.full(52, narrowed, np.float32))
    avatar = replace(actor.avatar, source=source)
    shown = with_resting_lids(avatar, expression)
    lids = [index(name) for name in LIDS]
    reconciled = [index(name) for name in ("eyeLookDownLeft", "eyeLookDownRight", "mouthClose")]
    others = np.setdiff1d(np.arange(52), lids + reconciled)
    np.testing.assert_allclose(shown[others], expression[others], atol=1e-7)
    assert (shown[lids] >= expression[lids] - 1e-6).all()
    assert shown.min() >= 0 and shown.max() <= 1
    assert with_resting_lids(avatar, np.zeros(52, np.float32))[lids].max() <= 0.3501
    full = with_resting_lids(avatar, np.ones(52, np.float32))
    assert full[others].min() == full[lids].min() == full[index("mouthClose")] == 1


def test_wide_open_eyes_are_left_as_they_are(actor: Actor) -> None:
    avatar = replace(
        actor.avatar, source=replace(actor.avatar.source, expression=np.zeros(52, np.float32))
    )
    expression = np.linspace(0, 0.59, 52, dtype=np.float32)
    expression[index("jawOpen")] = expression[index("mouthClose")]
    np.testing.assert_array_equal(with_resting_lids(avatar, expression), expression)
