from __future__ import annotations

import numpy as np
import pytest

from offline.images import dilate, sample, strand_direction
from offline.lift.depth import hair_shell
from offline.lift.hair import hair_layers, hair_share, hair_surfaces, hair_weights
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.skinning import head_weights
from offline.segment.appearance import Appearance
from perse_live.regions import Region


def _stripes(degrees: float, *, noise: float = 0.0) -> np.ndarray:
    """Fine lines at an angle to the picture's x axis, y downwards."""
    y, x = np.mgrid[0:160, 0:160]
    angle = np.radians(degrees)
    across = -np.sin(angle) * x + np.cos(angle) * y
    grey = (
        0.4
        + 0.2 * np.sin(across * 2 * np.pi / 9)
        + noise * np.random.default_rng(0).standard_normal(x.shape)
    )
    return np.clip(grey, 0, 1)[..., None].repeat(3, 2).astype(np.float32)


@pytest.mark.parametrize("degrees", [20, 45, 70, 90, 110, 150])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_strands_run_along_the_stripes(degrees: float, noise: float) -> None:
    direction = strand_direction(_stripes(degrees, noise=noise), 5.0)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=-1), 1, atol=1e-5)
    assert (direction[..., 1] >= 0).all()  # of the two senses the one that points down
    expected = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    inner = direction[30:-30, 30:-30]
    off = np.degrees(np.arccos(np.clip(np.abs(inner @ expected), 0, 1)))
    assert np.median(off) < 6
    assert np.percentile(off, 95) < 12


def test_without_structure_strands_hang_down() -> None:
    direction = strand_direction(np.full((60, 60, 3), 0.3, np.float32), 4.0)
    np.testing.assert_allclose(direction, np.broadcast_to([0.0, 1.0], direction.shape), atol=1e-3)


def _striped_person(rim: float) -> tuple[Appearance, np.ndarray]:
    """Hair on the left, skin on the right, and between them four columns that are hair to a share of `rim`; and where hair is."""
    columns = np.arange(80)[None].repeat(60, 0)
    skin, hair = np.array([0.8, 0.6, 0.5], np.float32), np.array([0.1, 0.08, 0.06], np.float32)
    share = np.where(columns < 40, 1.0, np.where(columns < 44, rim, 0.0)).astype(np.float32)
    image = share[..., None] * hair + (1 - share[..., None]) * skin
    ones, sure = np.ones((60, 80), np.float32), (columns < 40)
    purity = np.clip(np.abs(columns - 41.5) / 4, 0, 1).astype(np.float32)
    of_hair, color = sure.astype(np.float32), np.broadcast_to(hair, image.shape).astype(np.float32)
    nowhere, everywhere = np.zeros((60, 80), np.bool_), np.ones((60, 80), np.bool_)
    look = Appearance(
        image.astype(np.float32),
        ones,
        1 - of_hair,
        purity,
        of_hair,
        0 * ones,
        color,
        nowhere,
        everywhere,
    )
    return look, sure


@pytest.mark.parametrize("rim", [0.0, 0.3, 0.8])
def test_mixed_pixels_show_hair_by_their_colour(rim: float) -> None:
    look, hair = _striped_person(rim)
    share = hair_share(look, hair, 1.0)
    np.testing.assert_array_equal(share[hair], 1)
    np.testing.assert_array_equal(share[:, 50:], 0)
    beside = share[30, 40]
    assert (rim == 0 and beside < 0.02) or 0.7 * rim < beside <= rim + 0.02
    assert share[30, 43] <= beside + 1e-6  # it fades with the distance


def test_hair_beside_the_neck_turns_with_it_and_hair_farther_out_gives_way_slowly() -> None:
    height = np.linspace(-0.3, 0.1, 200)
    beside, out = (
        np.stack([np.full(200, x), height, np.full(200, -0.085)], 1) for x in (0.05, 0.16)
    )
    np.testing.assert_array_equal(hair_weights(beside), head_weights(beside))
    weights = hair_weights(out)
    assert weights[0] == 0
    assert weights[-1] == 1
    assert (np.diff(weights) >= 0).all()
    # Or its Gaussians would part when the head tilts
    assert np.diff(weights).max() < 0.5 * np.diff(head_weights(out)).max()


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0.0, 0.45])
def test_the_back_of_the_head_has_the_strands_of_the_front(
    mean_head: PhotoGeometry, depth: float
) -> None:
    above = np.nan_to_num(mean_head.template_map()[..., 1], nan=-1.0) > 0.055
    hair = dilate(above, 14)
    person = (hair | mean_head.seen.covered).astype(np.float32)
    light = 0.3 * (1 + depth * np.sin(np.arange(512) * 2 * np.pi / 8))[None, :, None].repeat(
        512, 0
    ).repeat(3, 2)
    image = np.where(hair[..., None], light, [0.8, 0.6, 0.5]).astype(np.float32)
    of_hair, skin = hair.astype(np.float32), (mean_head.seen.covered & ~hair).astype(np.float32)
    valid = np.ones((512, 512), np.bool_)
    look = Appearance(
        image,
        person,
        skin,
        skin,
        of_hair,
        0 * person,
        np.full_like(image, 0.3),
        ~valid,
        valid,
    )
    shell = hair_shell(mean_head, hair, person, chin_row=400.0, unit=1.0)
    surfaces = hair_surfaces(mean_head, look, shell, 1.0)
    layer = hair_layers(mean_head, look, surfaces, of_hair, 1.0, 8000, np.random.default_rng(0))
    back = layer.gaussians.colors[layer.regions == Region.HAIR_BACK].mean(1)
    assert back.std() / back.mean() == pytest.approx(depth / np.sqrt(2), rel=0.3, abs=0.06)
    before_face = sample(hair, mean_head.camera.project(layer.gaussians.means)) < 0.1
    hidden = layer.gaussians.colors[(layer.regions == Region.HAIR_BACK) & before_face].mean(1)
    assert len(hidden) > 50
    assert hidden.std() / hidden.mean() == pytest.approx(depth / np.sqrt(2), rel=0.35, abs=0.06)
