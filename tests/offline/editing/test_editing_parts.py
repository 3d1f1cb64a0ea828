"""The formulas under the editors."""

from __future__ import annotations

import itertools

import numpy as np

from offline.editing.glasses_transfer import closed_path
from offline.editing.head_warp import similarity
from offline.editing.light_match import along_daylight, natural_hair
from offline.editing.other_photo import title_for
from offline.editing.part_masks import moved_mask
from offline.looks.skin.skin_light import skin_under_light
from offline.numeric import normalized
from perse_live.rotations import from_axis_angle
from perse_live.srgb import to_linear, to_srgb


def test_light_and_srgb_are_inverse() -> None:
    colors = np.linspace(0, 1, 101)
    assert np.abs(to_srgb(to_linear(colors)) - colors).max() < 1e-12
    assert to_linear(np.array([0.5]))[0] < 0.25


def test_skin_under_light_finds_the_lamp() -> None:
    rng = np.random.default_rng(0)
    normals = normalized(rng.standard_normal((500, 3)) * (1, 1, 0.3) + (0, 0, -1))
    albedo = np.array([0.5, 0.3, 0.22])
    light = 0.7 - 0.25 * normals[:, 2:] + 0.1 * normals[:, :1]
    colors = to_srgb(albedo * light)
    plain = rng.random(500) < 0.5
    guessed = skin_under_light(normals, colors, plain, normals)
    assert np.abs(guessed - colors).max() < 0.05
    assert np.corrcoef(guessed.mean(1), colors.mean(1))[0, 1] > 0.9


def test_hair_loses_a_cast_but_not_its_dye_nor_its_brightness() -> None:
    cast = np.array([[0.20, 0.21, 0.26], [0.10, 0.12, 0.13]])
    plain = natural_hair(cast)
    assert (np.diff(plain, axis=1) <= 1e-9).all()
    assert np.abs(plain @ (0.299, 0.587, 0.114) - cast @ (0.299, 0.587, 0.114)).max() < 5e-3
    dyed = np.array([[0.1, 0.2, 0.7], [0.12, 0.22, 0.65]])
    assert np.abs(natural_hair(dyed) - dyed).max() < 1e-6


def test_theclosed_path_is_the_cheapest() -> None:
    rng = np.random.default_rng(1)
    cost = rng.random((6, 5))

    def price(path: tuple[int, ...]) -> float:
        steps = [path[k] - path[k - 1] for k in range(6)]
        if max(abs(step) for step in steps) > 2:
            return np.inf
        return float(
            sum(cost[k, c] for k, c in enumerate(path))
            + sum(0.3 * 0.25 * step**2 for step in steps)
        )

    best = min(price(path) for path in itertools.product(range(5), repeat=6))
    found = tuple(int(c) for c in closed_path(cost, 0.3))
    assert abs(price(found) - best) < 1e-9


def test_the_similarity_between_heads_is_found_again() -> None:
    rng = np.random.default_rng(2)
    points = rng.standard_normal((60, 3))
    turn = from_axis_angle(np.array([0.2, -0.4, 0.1]))
    scale, rotation, offset = similarity(points, 1.3 * points @ turn.T + (0.1, 0.2, 0.3))
    assert (
        abs(scale - 1.3) < 1e-9
        and np.abs(rotation - turn).max() < 1e-9
        and np.abs(offset - (0.1, 0.2, 0.3)).max() < 1e-9
    )


def test_names_are_what_a_file_allows() -> None:
    title = title_for("hair", "Ünser Foto (2)!", None)
    assert title.name == "hair-nser-foto-2" and title.slot == "hair"
    assert (
        len(title_for("glasses", "x" * 90, None).name) <= 40
        and len(title_for("glasses", "x" * 90, None).label) <= 60
    )
    assert title_for("beard", "", None).name == "beard-photo"
    assert title_for("beard", "a", "mine").name == "mine"


def test_a_mask_goes_where_the_face_goes() -> None:
    rng = np.random.default_rng(3)
    marks = rng.uniform(20, 80, (478, 2))
    mask = np.zeros((100, 100), np.float32)
    mask[40:50, 30:40] = 1
    moved = moved_mask(mask, marks, marks + np.array([10, -5]))
    assert moved[35:45, 40:50].mean() > 0.95 and moved.sum() < 110


def test_light_differs_from_blue_to_yellow_and_hardly_from_green_to_magenta() -> None:
    lamp = np.array([1.3, 1.0, 1 / 1.3])
    np.testing.assert_allclose(along_daylight(lamp), lamp, atol=1e-9)
    greener = along_daylight(np.array([0.9, 1.15, 0.9]))
    assert 1 < greener[1] / greener[0] < 1.06
