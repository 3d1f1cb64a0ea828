from __future__ import annotations

import numpy as np
import pytest

from offline.hair import strand_direction


def _stripes(degrees: float, *, noise: float = 0.0) -> np.ndarray:
    """Fine lines at an angle to the picture's x axis, y downwards."""
    y, x = np.mgrid[0:160, 0:160]
    angle = np.radians(degrees)
    across = -np.sin(angle) * x + np.cos(angle) * y
    grey = 0.4 + 0.2 * np.sin(across * 2 * np.pi / 9) + noise * np.random.default_rng(0).standard_normal(x.shape)
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
