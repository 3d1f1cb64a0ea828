from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from splat_scenes import (
    NAMES,
    cameras,
    make_camera,
    make_gaussians,
    reference_image,
    scenes,
    synthetic_head,
    with_value,
)

from hypothesis_profiles import examples
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians, concatenate
from perse_live.splatting import CpuRasterizer

BACKGROUND = (0.2, 0.9, 0.4)


def empty() -> Gaussians:
    return make_gaussians([], 0)


@examples(60)
@given(scenes(), cameras(), st.sampled_from([1, 2]))
def test_every_picture_is_the_references_within_one_step(
    gaussians: Gaussians, camera: Camera, threads: int
) -> None:
    expected = reference_image(gaussians, camera, BACKGROUND)
    rasterizer = CpuRasterizer(camera.width, camera.height, threads=threads)
    assert (
        abs(rasterizer.render_float(gaussians, camera, background=BACKGROUND) - expected).max()
        <= 1 / 255
    )
    # rounding to bytes adds half a step
    assert (
        abs(
            rasterizer.render(gaussians, camera, background=BACKGROUND) / 255.0 - expected[..., :3]
        ).max()
        <= 1.5 / 255
    )
    on_black = reference_image(gaussians, camera, (0.0, 0.0, 0.0))
    assert abs(rasterizer.render_rgba(gaussians, camera) / 255.0 - on_black).max() <= 1.5 / 255


@pytest.mark.slow
def test_a_head_is_the_references_within_a_tenth_of_a_step() -> None:
    gaussians, camera = synthetic_head(4000, 130, 120)
    image = CpuRasterizer(130, 120, threads=1).render_float(
        gaussians, camera, background=BACKGROUND
    )
    assert abs(image - reference_image(gaussians, camera, BACKGROUND)).max() < 0.1 / 255
    assert 0.3 < (image[..., 3] > 0.5).mean() < 0.8


@examples(20)
@given(scenes(max_count=300), cameras())
def test_threads_do_not_change_a_bit(gaussians: Gaussians, camera: Camera) -> None:
    images = [
        CpuRasterizer(camera.width, camera.height, threads=n).render_float(
            gaussians, camera, background=BACKGROUND
        )
        for n in (1, 2, 3)
    ]
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])


def test_threads_do_not_change_a_bit_of_a_full_head() -> None:
    gaussians, camera = synthetic_head(40_000, 200, 210)  # enough for threads to share every stage
    one, two = (
        CpuRasterizer(200, 210, threads=n).render_float(gaussians, camera, background=BACKGROUND)
        for n in (1, 2)
    )
    assert np.array_equal(one, two)


def test_rasterisers_work_side_by_side() -> None:
    """They share their helper threads; numba's own threading would abort the process here."""
    heads = [synthetic_head(3000 + 500 * k, 150, 140, seed=k) for k in range(3)]
    expected = [
        CpuRasterizer(150, 140, threads=1).render(*head, background=BACKGROUND) for head in heads
    ]

    def draw_often(k: int) -> bool:
        rasterizer = CpuRasterizer(150, 140, threads=2)
        return all(
            np.array_equal(rasterizer.render(*heads[k], background=BACKGROUND), expected[k])
            for _ in range(20)
        )

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(draw_often, range(3)))


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_to_draw_is_the_background(threads: int) -> None:
    rasterizer = CpuRasterizer(37, 21, threads=threads)
    camera = make_camera(37, 21)
    for gaussians in (empty(), make_gaussians(["behind"] * 40, 1)):
        assert (
            rasterizer.render(gaussians, camera, background=(1.0, 0.0, 0.2)) == (255, 0, 51)
        ).all()
        assert (rasterizer.render_rgba(gaussians, camera) == 0).all()
        assert np.array_equal(
            rasterizer.render_float(gaussians, camera, background=(1.0, 0.0, 0.5))[0, 0],
            [1.0, 0.0, 0.5, 0.0],
        )


def test_buffers_grow_and_shrink_with_the_scene() -> None:
    camera = make_camera(64, 48)
    rasterizer = CpuRasterizer(64, 48, threads=2)
    for count in (5, 3000, 0, 17, 9000, 16):
        gaussians = make_gaussians(["ordinary"] * count, count)
        fresh = CpuRasterizer(64, 48, threads=1).render(gaussians, camera, background=BACKGROUND)
        assert np.array_equal(rasterizer.render(gaussians, camera, background=BACKGROUND), fresh)


def test_the_order_of_the_gaussians_matters_only_at_equal_depth() -> None:
    camera = make_camera(60, 60)
    gaussians = make_gaussians(["ordinary", "opaque"] * 100, 5)
    turned = Gaussians(*(np.ascontiguousarray(getattr(gaussians, name)[::-1]) for name in NAMES))
    rasterizer = CpuRasterizer(60, 60, threads=1)
    image = rasterizer.render_float(gaussians, camera, background=BACKGROUND).copy()
    assert np.array_equal(rasterizer.render_float(turned, camera, background=BACKGROUND), image)

    pair = make_gaussians(["opaque"], 0)
    pair = replace(
        pair, means=np.array([[0, 0, 0.5]], np.float32), scales=np.full((1, 3), 0.05, np.float32)
    )
    red, green = (
        replace(pair, colors=np.array([color], np.float32)) for color in ((1, 0, 0), (0, 1, 0))
    )
    centre = (33, 27)  # row, column of the principal point
    assert (
        rasterizer.render(concatenate(red, green), camera, background=BACKGROUND)[centre][0] > 250
    )
    assert (
        rasterizer.render(concatenate(green, red), camera, background=BACKGROUND)[centre][1] > 250
    )


def test_a_pixel_stops_before_the_gaussian_that_would_finish_it() -> None:
    """As in gsplat: behind alpha 0.95, alpha 0.999 would leave 5e-5, so it is not drawn and a twentieth shines through."""
    camera = Camera(5, 5, 10.0, 10.0, 2.5, 2.5)
    gaussians = Gaussians(
        np.array([[0, 0, 1], [0, 0, 2]], np.float32),
        np.array([[1, 0, 0, 0]] * 2, np.float32),
        np.full((2, 3), 10, np.float32),
        np.array([0.95, 1], np.float32),
        np.array([[1, 0, 0], [0, 1, 0]], np.float32),
    )
    pixel = CpuRasterizer(5, 5, threads=1).render_float(
        gaussians, camera, background=(0.0, 0.0, 1.0)
    )[2, 2]
    assert pixel == pytest.approx([0.95, 0, 0.05, 0.95], abs=1e-5)


@examples(30)
@given(
    st.sampled_from(NAMES),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    st.integers(1, 50),
    st.data(),
)
def test_numbers_that_are_not_finite_are_refused_and_leave_no_trace(
    name: str, value: float, count: int, data: st.DataObject
) -> None:
    camera = make_camera(40, 30)
    kinds = data.draw(
        st.lists(
            st.sampled_from(["ordinary", "behind", "off screen", "faint"]),
            min_size=count,
            max_size=count,
        )
    )
    good = make_gaussians(kinds, count)
    rasterizer = CpuRasterizer(40, 30, threads=2)
    before = rasterizer.render(good, camera, background=BACKGROUND).copy()
    with pytest.raises(ValueError, match="not finite"):
        rasterizer.render(
            with_value(good, name, data.draw(st.integers(0, count - 1)), value),
            camera,
            background=BACKGROUND,
        )
    assert np.array_equal(rasterizer.render(good, camera, background=BACKGROUND), before)


@examples(60)
@given(
    st.sampled_from(NAMES),
    st.integers(0, 19),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(0, 99),
)
def test_no_finite_number_upsets_it(name: str, row: int, value: float, seed: int) -> None:
    camera = make_camera(40, 30)
    gaussians = with_value(make_gaussians(["ordinary"] * 20, seed), name, row, value)
    image = CpuRasterizer(40, 30, threads=1).render_float(gaussians, camera, background=BACKGROUND)
    if name != "colors":
        assert np.isfinite(image).all()
        assert image.min() >= -1e-5
        assert image.max() <= 1 + 1e-5


def test_wrong_arrays_and_cameras_are_refused_by_name() -> None:
    rasterizer = CpuRasterizer(40, 30, threads=1)
    camera, good = make_camera(40, 30), make_gaussians(["ordinary"] * 20, 0)
    for name in NAMES:
        array = getattr(good, name)
        for wrong in (array[1:], array.astype(np.float64), array[..., None]):
            if name == "means" and wrong is not array and wrong.shape == (19, 3):
                continue  # then every other array is too long
            with pytest.raises(ValueError, match=name):
                rasterizer.render(replace(good, **{name: wrong}), camera, background=BACKGROUND)
    with pytest.raises(ValueError, match="40 x 31"):
        rasterizer.render(good, make_camera(40, 31), background=BACKGROUND)
    with pytest.raises(ValueError, match="focal"):
        rasterizer.render(good, replace(camera, fx=0.0), background=BACKGROUND)
    with pytest.raises(ValueError, match="finite"):
        rasterizer.render(good, replace(camera, cy=float("nan")), background=BACKGROUND)
    with pytest.raises(ValueError, match="background"):
        rasterizer.render(good, camera, background=(0.0, float("inf"), 0.0))
    for sizes in ((0, 30, 1), (40, -1, 1), (40, 30, 0), (9000, 30, 1)):
        with pytest.raises(ValueError, match=r"at least 1|at most 8160"):
            CpuRasterizer(sizes[0], sizes[1], threads=sizes[2])


def test_arrays_need_not_be_contiguous() -> None:
    camera, good = make_camera(40, 30), make_gaussians(["ordinary"] * 40, 0)
    rasterizer = CpuRasterizer(40, 30, threads=1)
    thinned = Gaussians(*(getattr(good, name)[::2] for name in NAMES))
    copied = Gaussians(*(np.ascontiguousarray(getattr(thinned, name)) for name in NAMES))
    image = rasterizer.render(thinned, camera, background=BACKGROUND).copy()
    assert np.array_equal(image, rasterizer.render(copied, camera, background=BACKGROUND))


def test_stage_times_cover_the_last_call() -> None:
    rasterizer = CpuRasterizer(40, 30, threads=1)
    assert rasterizer.stage_times() == {}
    rasterizer.render(
        make_gaussians(["ordinary"] * 40, 0), make_camera(40, 30), background=BACKGROUND
    )
    assert set(rasterizer.stage_times()) == {"project", "sort", "bin", "blend"}
    assert all(value > 0 for value in rasterizer.stage_times().values())
