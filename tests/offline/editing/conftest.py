from __future__ import annotations

from pathlib import Path

import pytest

from faces import plain_person
from offline.editing.donor import Donor, fit_donor
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.avatar import Avatar
from perse_live.photo import load_photo


@pytest.fixture(scope="session")
def person(mean_head: PhotoGeometry) -> Avatar:
    """The average head: even skin under a cap of black hair."""
    return plain_person(mean_head)


@pytest.fixture(scope="session")
def astronaut(astronaut_photo: Path) -> Donor:
    """The astronaut's portrait, fitted."""
    return fit_donor(load_photo(astronaut_photo), progress=lambda *_: None)
