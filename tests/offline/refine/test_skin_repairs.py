from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.gaussian_layer import Layer, surface_layer
from offline.refine.skin_repairs import with_even_tone, with_own_rim, without_specks
from perse_live.regions import Region

SKIN, SHIRT = (0.8, 0.6, 0.5), (0.05, 0.05, 0.15)


def jaw(*, rim: tuple[float, float, float], region: Region = Region.SKIN) -> tuple[Layer, np.ndarray]:
    """A round jaw a metre before the camera, and where on it the photo looks along the skin; there it has the colour `rim`."""
    angle, height = (grid.ravel() for grid in np.meshgrid(np.linspace(-85, 85, 120), np.linspace(-0.09, -0.05, 20)))
    normals = np.stack([np.sin(np.radians(angle)), np.zeros_like(angle), -np.cos(np.radians(angle))], 1)
    means = 0.06 * normals + np.stack([np.zeros_like(angle), -height, np.full_like(angle, 1.0)], 1)
    grazing = np.abs(angle) > 72
    colors = np.where(grazing[:, None], rim, SKIN)
    return surface_layer(means, normals, np.full(len(means), 0.001), colors, region), grazing


def heights(layer: Layer) -> np.ndarray:
    return -layer.gaussians.means[:, 1]


def test_the_shirt_behind_the_jaw_leaves_the_rim() -> None:
    layer, grazing = jaw(rim=SHIRT)
    mended = with_own_rim(layer, heights(layer)).gaussians.colors
    assert np.abs(mended[grazing] - SKIN).max() < 0.02
    assert np.array_equal(mended[~grazing], layer.gaussians.colors[~grazing])


def test_a_shadow_that_goes_on_around_the_jaw_stays() -> None:
    layer, _ = jaw(rim=(0.72, 0.53, 0.43))
    assert np.array_equal(with_own_rim(layer, heights(layer)).gaussians.colors, layer.gaussians.colors)


def test_hair_and_what_is_beside_the_eyes_stay() -> None:
    layer, _ = jaw(rim=SHIRT, region=Region.HAIR)
    assert with_own_rim(layer, heights(layer)) is layer
    layer, _ = jaw(rim=SHIRT)
    assert with_own_rim(layer, heights(layer) + 0.1) is layer


def test_a_face_of_which_little_is_seen_stays() -> None:
    layer, grazing = jaw(rim=SHIRT)
    few = layer.select(grazing | (np.arange(len(layer)) % 400 == 0))
    assert with_own_rim(few, heights(few)) is few
    assert with_own_rim(replace(few, regions=np.zeros_like(few.regions)), heights(few)).gaussians is few.gaussians


def test_colours_that_are_not_the_photo_s_stay() -> None:
    layer, grazing = jaw(rim=SHIRT)
    mirrored = replace(layer, color_freedom=np.where(grazing, 0, 1).astype(np.float32))
    assert np.array_equal(with_own_rim(mirrored, heights(layer)).gaussians.colors, layer.gaussians.colors)


def _refined(layer: Layer, change: np.ndarray) -> Layer:
    return replace(layer, gaussians=replace(layer.gaussians, colors=(layer.gaussians.colors + change).astype(np.float32)))


def _places(layer: Layer) -> np.ndarray:
    """Metres, head frame of a head a metre before the camera."""
    return (layer.gaussians.means - np.array([0.0, 0.0, 1.0])) * np.array([1, -1, -1])


def test_what_the_photo_hardly_shows_goes_the_way_of_the_cheek_beside_it() -> None:
    layer, grazing = jaw(rim=SKIN)
    lifted = replace(layer, color_freedom=np.where(grazing, 0.25, 1.0).astype(np.float32))
    smeared = np.where(grazing[:, None], -0.5, np.array([-0.1, -0.05, 0.02]))
    mended = with_even_tone(lifted, _refined(lifted, smeared), _places(lifted)).gaussians.colors
    np.testing.assert_allclose(mended, np.broadcast_to((0.7, 0.55, 0.52), mended.shape), atol=0.01)


def test_free_skin_hair_and_what_is_beside_the_eyes_keep_their_refined_colours() -> None:
    layer, grazing = jaw(rim=SKIN)
    lifted = replace(layer, color_freedom=np.where(grazing, 0, 1).astype(np.float32))
    refined = _refined(lifted, np.where(grazing[:, None], -0.5, 0.0))
    free = with_even_tone(replace(lifted, color_freedom=np.ones(len(layer), np.float32)), refined, _places(lifted))
    assert free is refined
    eyes = with_even_tone(lifted, refined, _places(lifted) * 0.5 + np.array([0.0, 0.03, 0.0]))
    assert np.array_equal(eyes.gaussians.colors, refined.gaussians.colors)
    hair = replace(lifted, regions=np.full(len(layer), int(Region.HAIR), np.uint8))
    assert with_even_tone(hair, refined, _places(lifted)) is refined


def test_specks_at_the_sides_go_and_a_beard_and_a_mole_stay() -> None:
    layer, grazing = jaw(rim=SKIN)
    colors = layer.gaussians.colors.copy()
    spots = np.random.default_rng(0).choice(len(layer), 60, replace=False)
    colors[spots] = SHIRT
    speckled = replace(layer, gaussians=replace(layer.gaussians, colors=colors))
    mended = without_specks(speckled, _places(layer)).gaussians.colors
    places = _places(layer)
    aside = np.isin(np.arange(len(layer)), spots) & grazing & (np.abs(places[:, 0]) > 0.05)
    mole = np.isin(np.arange(len(layer)), spots) & (np.abs(places[:, 0]) < 0.03)
    assert aside.any()
    assert np.abs(mended[aside] - SKIN).max() < 0.01
    assert np.array_equal(mended[mole], colors[mole])
    bearded = np.where((places[:, 1] < -0.07)[:, None], np.float32(0.2), layer.gaussians.colors)
    beard = replace(layer, gaussians=replace(layer.gaussians, colors=bearded.astype(np.float32)))
    kept = without_specks(beard, places).gaussians.colors
    assert np.abs(kept - bearded)[places[:, 1] < -0.073].max() < 0.01
