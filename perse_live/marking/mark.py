"""Marks in a film's metadata that the face in it is an avatar's.

MP4 and MOV take a C2PA manifest (https://c2pa.org/specifications) where c2pa-python is installed. Other containers, and every one
without that package, get a side file: the same statement, with the film's SHA-256, signed by the same key.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.files import CREATOR, atomic_output, file_sha256, write_bytes
from perse_live.marking.credential import signed_by, signing_credential
from perse_live.outputs import written_by_us

SIDE_SUFFIX = ".mark.json"
"""Added to the film's name for its side file."""
STATEMENT_LABEL = "org.perse-live.avatar"
"""Of the assertion that names the avatars."""
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media that were made by a trained model."""
_EMBEDDING = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}
_STATEMENT = "The face in this film is an avatar made with perse-live from photos of a person; it is not camera footage."


@dataclass(frozen=True)
class Mark:
    """The statement about a film."""

    avatars: tuple[Mapping[str, str], ...]
    """For each avatar that may be seen: SHA-256 of its photo, who consented and when, and what made it."""


def mark_of(avatars: Sequence[Avatar]) -> Mark:
    """The statement about a film that may show these avatars."""
    return Mark(
        tuple(
            {
                "photo_sha256": one.provenance.photo_sha256,
                "consent_by": one.provenance.consent_by,
                "consent_at": one.provenance.consent_at,
                "creator": one.provenance.creator,
            }
            for one in avatars
        )
    )


def mark_film(film: Path, mark: Mark, *, overwrite: bool = False) -> Path | None:
    """Mark a finished film: in place, or by a side file, whose path is returned.

    An earlier side file of that name is replaced, any other file only with `overwrite`. Raises UserError where neither can be
    written; the film is as it was then.
    """
    side = side_file(film)
    if not needs_side_file(film):
        _embed(film, mark)
        with contextlib.suppress(OSError):
            if written_by_us(side):
                side.unlink()  # of an earlier film of that name
        return None
    if side.exists() and not overwrite and not written_by_us(side):
        raise UserError(
            f"{film} could not be marked: {side} is in the way, and is no mark: rename it, or give --no-c2pa"
        )
    try:
        digest = file_sha256(film)
    except OSError as error:
        raise _not_marked(film, str(error)) from error
    claim = json.dumps(
        _manifest(film, mark) | {"film": _title(film), "sha256": digest}, sort_keys=True
    )
    credential = signing_credential()
    signed = {
        "creator": f"{CREATOR} {version('perse-live')}",
        "claim": claim,
        "algorithm": "ES256, DER, over the claim's UTF-8 bytes",
        "certificates": credential.certificates.decode(),
        "signature": base64.b64encode(credential.sign(claim.encode())).decode(),
    }
    write_bytes(side, json.dumps(signed, indent=1).encode())
    return side


def needs_side_file(film: Path) -> bool:
    """Whether a film of that name cannot hold its mark itself."""
    return film.suffix.lower() not in _EMBEDDING or importlib.util.find_spec("c2pa") is None


def files_of_marked(film: Path) -> list[Path]:
    """What is written for a film that is marked: itself, and the side file where it needs one."""
    return [film, side_file(film)] if needs_side_file(film) else [film]


def side_file(film: Path) -> Path:
    """Where a film's side file is, or would be."""
    return film.with_name(film.name + SIDE_SUFFIX)


def read_side_file(film: Path) -> dict[str, Any]:
    """The claim of a film's side file. Raises UserError where it does not belong to the film, or was changed."""
    side = side_file(film)
    try:
        signed = cast("dict[str, str]", json.loads(side.read_bytes()))
        text = signed["claim"]
        genuine = signed_by(
            signed["certificates"].encode(), text.encode(), base64.b64decode(signed["signature"])
        )
        claim = cast("dict[str, Any]", json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{side} is no readable mark ({error})") from error
    if not genuine:
        raise UserError(f"{side} was changed after it was signed")
    if claim.get("sha256") != file_sha256(film):
        raise UserError(f"{side} belongs to another film than {film}, or the film was changed")
    return claim


def _title(film: Path) -> str:
    """A film's name as Unicode text, which file systems do not promise."""
    return film.name.encode("utf-8", "replace").decode()


def _manifest(film: Path, mark: Mark) -> dict[str, Any]:
    """As c2pa-python takes it (C2PA 2.1, 18.13: actions)."""
    generator = {"name": "perse-live", "version": version("perse-live")}
    created = {
        "action": "c2pa.created",
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "softwareAgent": generator,
        "digitalSourceType": SYNTHETIC,
    }
    statement = {"statement": _STATEMENT, "avatars": [dict(one) for one in mark.avatars]}
    return {
        "claim_generator_info": [generator],
        "title": _title(film),
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": STATEMENT_LABEL, "data": statement},
        ],
    }


def _embed(film: Path, mark: Mark) -> None:
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        # such as a native library for another system
        raise _not_marked(film, f"c2pa-python cannot be imported: {error}") from error
    credential = signing_credential()
    try:
        info = c2pa.C2paSignerInfo(
            c2pa.C2paSigningAlg.ES256, credential.certificates, credential.key_pem, None
        )
        with (
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(_manifest(film, mark)) as builder,
            atomic_output(film) as marked,
            film.open("rb") as source,
            marked.open("w+b") as target,
        ):
            builder.sign(signer, _EMBEDDING[film.suffix.lower()], source, target)
    except (c2pa.C2paError, OSError) as error:
        raise _not_marked(film, str(error)) from error


def _not_marked(film: Path, cause: str) -> UserError:
    return UserError(
        f"{film} could not be marked ({' '.join(cause.split())}); the film itself is whole: "
        "try again, or give --no-c2pa"
    )
