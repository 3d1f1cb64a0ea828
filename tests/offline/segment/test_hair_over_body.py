from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.images import blur
from offline.segment.contract import PartMaps
from offline.segment.hair_over_body import with_hair_over_body
from perse_live.arrays import BoolArray, Float32Array

ROWS, COLUMNS = np.mgrid[0:400, 0:400]
CHIN, FACE_HEIGHT = 200, 150
HEIGHT, ACROSS = (CHIN - ROWS) / FACE_HEIGHT, (COLUMNS - 200) / FACE_HEIGHT
OVAL = np.hypot(ACROSS / 0.4, (HEIGHT - 0.5) / 0.5) < 1
BODY = (ROWS > CHIN + 20) & (np.abs(COLUMNS - 200) < 150)
NECK = (np.abs(COLUMNS - 200) < 35) & (ROWS > CHIN - 40) & (ROWS < CHIN + 40)


@dataclass(frozen=True)
class Photo:
    """A person whose brown hair hangs down to a row, over a dark plain jacket, and what is known of it without that hair."""

    image: Float32Array
    hair: BoolArray
    alpha: Float32Array
    parts: PartMaps

    def parted(self) -> PartMaps:
        return with_hair_over_body(self.parts, self.image, self.alpha, HEIGHT, ACROSS, OVAL, 0.8)


def _photo(lowest: int) -> Photo:
    rng = np.random.default_rng(0)
    beside = (np.abs(ACROSS) > 0.36) & (np.abs(ACROSS) < 0.68)
    hair = (beside | (HEIGHT > 0.9)) & (ROWS > 40) & (lowest > ROWS) & ~OVAL
    strands = blur(rng.standard_normal((400, 400)), 1.0, sigma_y=20.0)
    strands = (1 + 0.5 * strands / strands.std())[..., None]
    image = np.full((400, 400, 3), 0.6)
    image[BODY] = [0.20, 0.14, 0.11]
    image[OVAL | NECK] = [0.80, 0.60, 0.50]
    image = image * (1 + 0.02 * rng.standard_normal((400, 400, 1)))
    image = np.where(hair[..., None], np.array([0.26, 0.17, 0.12]) * strands, image)
    person = BODY | OVAL | NECK | hair
    above = hair & (HEIGHT > 0.05)
    skin = (OVAL | NECK) & ~hair
    parts = (skin, above, person & ~skin & ~above)
    return Photo(
        np.clip(image, 0, 1).astype(np.float32),
        hair,
        person.astype(np.float32),
        PartMaps(*(part.astype(np.float32) for part in parts)),
    )


def test_hair_over_a_jacket_of_its_colour_is_hair() -> None:
    photo = _photo(lowest=330)
    parts = photo.parted()
    low = HEIGHT < -0.05
    assert photo.parts.hair[low].max() == 0
    assert (parts.hair > 0.5)[photo.hair & low].mean() > 0.9
    jacket = BODY & low & ~photo.hair & ~NECK
    assert (parts.hair > 0.5)[jacket].mean() < 0.05
    np.testing.assert_allclose(parts.skin + parts.hair + parts.clothes, 1, atol=1e-5)
    assert (parts.skin > 0.5)[NECK & (ROWS > CHIN + 10) & (ROWS < CHIN + 30)].all()


def test_a_jacket_under_hair_that_ends_above_it_is_no_hair() -> None:
    photo = _photo(lowest=CHIN + 10)
    assert (photo.parted().hair > 0.5)[BODY & (ROWS > CHIN + 40)].mean() < 0.03


def test_parts_without_hair_beside_the_jaw_are_left_as_they_are() -> None:
    photo = _photo(lowest=100)
    assert photo.parted() is photo.parts
