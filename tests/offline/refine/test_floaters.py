from __future__ import annotations

import numpy as np

from offline.gaussian_layer import Layer, join, surface_layer
from offline.refine.floaters import without_floaters
from perse_live.camera import Camera
from perse_live.regions import Region

CAMERA = Camera.for_image(128, 128)


def disk_of_splats(x: float, y: float, radius: float) -> Layer:
    """A disk of splats one metre away, around (x, y) metres."""
    side = np.arange(-radius, radius + 1e-9, 0.004)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    grid = grid[np.linalg.norm(grid, axis=1) <= radius]
    means = np.concatenate([grid + np.array([x, y]), np.ones((len(grid), 1))], 1)
    normals = np.tile([0.0, 0.0, -1.0], (len(means), 1))
    return surface_layer(
        means, normals, np.full(len(means), 0.003), np.full((len(means), 3), 0.5), Region.HAIR
    )


def test_a_speck_beside_the_person_goes_and_the_person_stays() -> None:
    person, speck = disk_of_splats(0, 0.05, 0.1), disk_of_splats(0.05, -0.17, 0.008)
    kept = without_floaters(join(person, speck), CAMERA)
    assert len(kept) == len(person)
    np.testing.assert_array_equal(kept.gaussians.means, person.gaussians.means)


def test_two_large_pieces_stay() -> None:
    both = join(disk_of_splats(-0.1, 0, 0.06), disk_of_splats(0.1, 0, 0.05))
    assert len(without_floaters(both, CAMERA)) == len(both)


def test_what_lies_outside_the_picture_stays() -> None:
    person, outside = disk_of_splats(0, 0, 0.1), disk_of_splats(0.6, 0, 0.01)
    assert len(without_floaters(join(person, outside), CAMERA)) == len(person) + len(outside)
