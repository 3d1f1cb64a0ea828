from __future__ import annotations

import numpy as np
import pytest
from evaluation_faces import portrait
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from perse_live.arrays import BoolArray, UInt8Array
from perse_live.evaluation.image_metrics import MAX_PSNR, detail, gmsd, psnr, ssim_map, structure


def disc(size: int, radius: float) -> BoolArray:
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - size / 2, columns - size / 2) < radius


def noisy(picture: UInt8Array, amount: float) -> UInt8Array:
    noise = np.random.default_rng(0).normal(0, amount, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def test_equal_pictures_get_the_best_of_every_figure() -> None:
    picture, inside = portrait(), disc(240, 80)
    assert psnr(picture, picture, inside) == MAX_PSNR
    assert structure(picture, picture, inside) == (pytest.approx(1.0), 0.0)


def test_a_constant_difference_has_the_psnr_that_its_formula_gives() -> None:
    grey = np.full((50, 50, 3), 100, np.uint8)
    assert psnr(grey, grey + np.uint8(10), disc(50, 20)) == pytest.approx(20 * np.log10(255 / 10))


@pytest.mark.parametrize("amount", [2, 10, 40])
def test_psnr_is_scikit_image_s_of_the_region(amount: float) -> None:
    picture, inside = portrait(), disc(240, 90)
    worse = noisy(picture, amount)
    assert psnr(picture, worse, inside) == pytest.approx(
        peak_signal_noise_ratio(picture[inside], worse[inside]), abs=1e-4
    )


@pytest.mark.parametrize("amount", [2, 10, 40])
def test_ssim_is_scikit_image_s(amount: float) -> None:
    picture = portrait()[..., 1]
    worse = noisy(picture, amount)
    theirs = structural_similarity(
        picture,
        worse,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        truncate=3.3,
        use_sample_covariance=False,
        full=True,
    )[1]
    ours = ssim_map(picture.astype(np.float64), worse.astype(np.float64))
    np.testing.assert_allclose(ours[8:-8, 8:-8], theirs[8:-8, 8:-8], atol=1e-4)


def test_only_the_region_counts() -> None:
    picture, inside = portrait(), disc(240, 60)
    black = np.where(inside[..., None], picture, 0).astype(np.uint8)
    assert psnr(picture, black, inside) == MAX_PSNR
    # The region's rim sees no background
    assert structure(picture, black, inside) == (pytest.approx(1.0), 0.0)
    spoiled = np.where(inside[..., None], 0, picture).astype(np.uint8)
    assert psnr(picture, spoiled, inside) < 10


def test_blur_and_noise_lower_the_structure_more_the_stronger_they_are() -> None:
    picture, inside = portrait(), disc(240, 80)
    scores = [structure(picture, noisy(picture, amount), inside) for amount in (3, 12, 30)]
    assert [ssim for ssim, _ in scores] == sorted((ssim for ssim, _ in scores), reverse=True)
    assert [deviation for _, deviation in scores] == sorted(deviation for _, deviation in scores)


def test_a_change_of_light_alone_leaves_gradients_alike() -> None:
    luma = portrait()[..., 1].astype(np.float32) * np.float32(0.5)
    assert gmsd(luma, luma + 60, disc(240, 80)) < 1e-4


def test_an_empty_region_has_no_figure() -> None:
    picture, nowhere = portrait(), np.zeros((240, 240), np.bool_)
    assert np.isnan(psnr(picture, picture, nowhere))
    assert np.isnan(structure(picture, picture, nowhere)).all()


def test_detail_is_the_energy_of_lines_whatever_the_picture_s_size() -> None:
    def lines(amplitude: float, size: int) -> UInt8Array:
        light = 128 + amplitude * np.sin(2 * np.pi * np.arange(size) / (size / 20))
        return np.rint(np.tile(light[:, None, None], (1, size, 3))).astype(np.uint8)

    small, large = disc(200, 60), disc(400, 120)
    strong = detail(lines(40, 200), small, 115)
    assert strong == pytest.approx(4 * detail(lines(20, 200), small, 115), rel=0.05)
    assert strong == pytest.approx(detail(lines(40, 400), large, 230), rel=0.05)
    assert strong > 100
    plain = np.full((200, 200, 3), 90, np.uint8)
    assert detail(plain, small, 115) == pytest.approx(0, abs=1e-3)
    assert np.isnan(detail(plain, np.zeros((200, 200), np.bool_), 115))
