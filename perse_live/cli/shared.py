"""Steps that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from perse_live.assets import asset_path
from perse_live.cli.console import StepProgress, print_written, warn
from perse_live.cli.options import Network
from perse_live.errors import UserError
from perse_live.extras import missing_extra
from perse_live.files import write_error

if TYPE_CHECKING:
    from perse_live.avatar import Avatar

TRACKING_ASSETS = ("face_landmarker",)
BUILDING_ASSETS = ("face_landmarker", "selfie_segmentation", "hand_landmarker")
_OPTIONAL_ASSETS = ("hand_landmarker",)
"""Without which a build only warns of less."""
# Of the extra [offline], in pyproject.toml
_BUILDER_PACKAGES = ("anny", "peft", "pymatting", "scipy", "torch")


def fetch(names: Sequence[str], network: Network, progress: StepProgress) -> None:
    """Bring model files into the cache where they are missing; what needs them finds them there.

    Raises UserError where one that is needed cannot be had.
    """
    for name in names:
        try:
            asset_path(name, offline=network.offline, report=progress)
        except UserError as error:
            if name not in _OPTIONAL_ASSETS:
                raise
            if not network.offline:
                warn(f"warning: {error}")


def check_suffix(path: Path, suffix: str) -> None:
    """Raises UserError for an output that is not named so."""
    if path.suffix.lower() != suffix:
        example = path.with_suffix(suffix) if path.name else path / f"me{suffix}"  # "." has no name
        raise UserError(f"cannot write {path}: name it {suffix}, such as {example}")


def make_folder(path: Path) -> Path:
    """The same folder, which exists now. Raises UserError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    return path


def require_builder() -> None:
    """Raises UserError, before anything is fetched or asked, where a package of the builder is not installed."""
    for name in _BUILDER_PACKAGES:
        if find_spec(name) is None:
            raise without_offline(ModuleNotFoundError(name=name))


def without_offline(error: ModuleNotFoundError) -> UserError:
    """The message for a builder whose packages are not installed, or are installed but cannot be imported."""
    return missing_extra("building an avatar", "offline", error)


def with_side_file(film: Path, marked: bool) -> list[Path]:
    """What is written for a film: itself, and the side file for its mark where it is to be marked and cannot hold the mark."""
    from perse_live.marking.mark import files_of_marked

    return files_of_marked(film) if marked else [film]


def mark_output(film: Path, avatar: Avatar, *, overwrite: bool) -> None:
    """Mark a film as made with an avatar, and say where the mark is if it is not in the film; a film without one is warned of."""
    from perse_live.marking.mark import mark_film, mark_of

    try:
        side = mark_film(film, mark_of([avatar]), overwrite=overwrite)
    except UserError as error:
        warn(f"warning: {error}")
    else:
        if side is not None:
            print_written("mark", side)


def from_photos(avatar: Avatar) -> list[str]:
    """A line for each look that was taken from somebody's photo."""
    from perse_live.attributes import LearnedAttribute

    origins = {
        one.name: one.origin for one in avatar.attributes if isinstance(one, LearnedAttribute)
    }
    return [
        f"{name}: from the photo {one.photo_sha256[:12]}; consent: {one.consent_by}, {one.consent_at}"
        for name, one in origins.items()
        if one is not None
    ]
