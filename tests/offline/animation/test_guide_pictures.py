from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.animation.color_match import ColorMatch, color_statistics
from offline.animation.guide_maps import GuideMaps, SemanticClass
from offline.animation.guide_pictures import SEMANTIC_COLORS, depth_range, guide_pictures
from offline.animation.guided_video import GuidedFrame, composite, part_share


def maps(side: int = 64) -> GuideMaps:
    """A ball before nothing, whose landmarks are all at one place."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    inside = x**2 + y**2 < 0.64
    z = np.sqrt(np.clip(0.64 - x**2 - y**2, 0, None)) / 0.8
    normals = np.stack([x / 0.8, y / 0.8, -z], 2) * inside[..., None]
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:] = (20.5, 40.5, 0.7)
    return GuideMaps(
        np.full((side, side, 3), 90, np.uint8),
        (255 * inside).astype(np.uint8),
        (inside * (0.8 - 0.1 * z)).astype(np.float32),
        normals.astype(np.float32),
        np.where(inside, SemanticClass.HAIR, 0).astype(np.uint8),
        landmarks,
    )


def test_guides_look_as_control_nets_expect_them() -> None:
    shown = maps()
    pictures = guide_pictures(shown, depth_range(shown))
    assert {picture.shape for picture in pictures.values()} == {(64, 64, 3)}
    outside = shown.depth == 0
    assert all(
        not picture[outside].any() for name, picture in pictures.items() if name != "landmarks"
    )
    depth = pictures["depth"][..., 0].astype(int)
    assert depth[32, 32] > depth[32, 50] > depth[32, 56] > 0, "near is bright"
    normals = pictures["normals"].astype(int)
    assert np.abs(normals[32, 32] - (127, 127, 255)).max() < 12, "blue towards the viewer"
    assert normals[32, 54, 0] > 200 and normals[32, 10, 0] < 60, "red to the right"
    assert normals[10, 32, 1] > 200 and normals[54, 32, 1] < 60, "green upwards"
    assert (pictures["semantic"][~outside] == SEMANTIC_COLORS[SemanticClass.HAIR]).all()
    rows, columns = np.nonzero(pictures["landmarks"][..., 0])
    assert rows.mean() == 40 and columns.mean() == 20


def test_semantic_classes_differ_in_color() -> None:
    colors = SEMANTIC_COLORS[: len(SemanticClass)].astype(int)
    apart = np.abs(colors[:, None] - colors[None]).sum(2) + 999 * np.eye(len(colors), dtype=int)
    assert apart.min() > 40


def test_an_empty_frame_has_no_depths() -> None:
    with pytest.raises(ValueError, match="nothing is seen"):
        depth_range(replace(maps(), depth=np.zeros((64, 64), np.float32)))


def test_outside_the_part_the_rig_is_kept_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    shown = replace(maps(128), rgb=rng.integers(0, 255, (128, 128, 3)).astype(np.uint8))
    part = np.zeros((128, 128), np.float32)
    part[20:60, 30:90] = 1
    share = part_share(part)
    assert (share[28:52, 38:82] == 1).all() and 0.005 < (share > 0).mean() < 0.3
    assert (share[:12] == 0).all() and (share[72:] == 0).all()
    drawn = np.ones((128, 128, 3), np.float32)
    result = composite(drawn, GuidedFrame(shown, part))
    assert np.array_equal(result[share == 0], shown.rgb[share == 0])
    assert (result[share == 1] == 255).all()
    between = (share > 0) & (share < 1)
    assert (result[between] >= shown.rgb[between]).all(), "a mix of both"


def test_a_film_that_drifts_keeps_the_portrait_s_colors() -> None:
    rng = np.random.default_rng(0)
    portrait = (0.4 + 0.1 * rng.standard_normal((48, 48, 3))).clip(0, 1).astype(np.float32)
    mask = np.zeros((48, 48), np.float32)
    mask[8:40, 8:40] = 1
    wanted = color_statistics(portrait, mask)
    assert wanted is not None
    match, plain, matched = ColorMatch(wanted), [], []
    for k in range(24):
        drifting = (portrait * (0.8 - 0.005 * k) + np.array([0.003 * k, 0, 0])).clip(0, 1)
        for kept, frame in ((plain, drifting), (matched, match(drifting.astype(np.float32), mask))):
            found = color_statistics(frame.astype(np.float32), mask)
            assert found is not None
            kept.append(np.abs(found.mean - wanted.mean).max())
    assert max(matched) < 0.35 * max(plain), "in CIELAB"
    assert np.array_equal(ColorMatch(None)(portrait, mask), portrait)
    assert np.array_equal(ColorMatch(wanted)(portrait, 0 * mask), portrait), "no part in sight"
