"""The builder as one function, `perse_live.build_avatar`; none of its packages is loaded before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from perse_live.errors import UserError
from perse_live.extras import missing_extra

if TYPE_CHECKING:
    from perse_live.avatar import Avatar


def build_avatar(
    photo: str | Path,
    *,
    consent: str,
    extra: Sequence[str | Path] = (),
    attributes: Sequence[str] = ("default",),
    progress: Callable[[str, float], None] | None = None,
) -> Avatar:
    """Build an avatar from one portrait photo, in half a minute to a minute.

    Model files (12 MB) are fetched when they are first needed, see `PERSE_LIVE_ASSETS` and
    `PERSE_LIVE_OFFLINE`. What was noticed about the photo is in `avatar.provenance.warnings`.

    Args:
        photo: A picture with one face, of 256 pixels to 120 megapixels; of several faces the
            largest is taken.
        consent: Who agreed that this face is made into an avatar, and how, such as
            "Ada Lovelace, in writing". The avatar's file keeps it with the time.
        extra: Further photos of the same person, for what the portrait does not show.
        attributes: Names of built-in attributes, as `perse-live attribute list` shows them, or
            "default" or "all"; () for none, which is quickest.
        progress: Told the name of the step, and which fraction of it is done, in [0, 1].

    Raises:
        UserError: For an empty consent, a photo or an attribute that cannot be used, and where the
            packages of the extra [offline] are not installed.
    """
    if not consent.strip():
        raise UserError("no avatar is built without consent: say in `consent` who agreed, and how")
    try:
        from offline.build_state import Consent
        from offline.looks.edit import with_built_in
        from offline.looks.registry import named
        from offline.pipeline import build_avatar as build
    except ImportError as error:
        raise missing_extra("building an avatar", "offline", error) from error
    from dataclasses import replace

    from perse_live.photo import load_photo

    for path in (photo, *extra):
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file: give the path of a photo")
    names = named(attributes) if attributes else ()
    told = progress or _silent
    agreed = Consent(consent.strip(), datetime.now(timezone.utc).isoformat(timespec="seconds"))
    avatar = build(
        Path(photo), consent=agreed, extra=[load_photo(Path(one)) for one in extra], progress=told
    )
    avatar, complaints = with_built_in(avatar, names, progress=told)
    warnings = (*avatar.provenance.warnings, *complaints)
    return replace(avatar, provenance=replace(avatar.provenance, warnings=warnings))


def _silent(_step: str, _fraction: float) -> None:
    pass
