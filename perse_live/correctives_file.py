"""Correctives as arrays and manifest entries of a `.perse` file: deltas in half precision, components as JSON.

Read as untrusted input. Correctives of looks are concatenated, with counts per look and component.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from perse_live.attributes import LearnedAttribute
from perse_live.container import Arrays, ArraySpec
from perse_live.correctives import (
    MAX_COMPONENTS,
    MAX_CURVES,
    MAX_ENTRIES,
    MAX_KNOTS,
    Component,
    Correctives,
    Curve,
    Deltas,
    InvalidCorrectivesError,
    LookCorrectives,
    check,
    check_components,
    check_deltas,
    no_correctives,
    no_deltas,
)

_PREFIX, _LOOKS = "correctives.", "attributes.correctives."
_MAX_OFFSET = 1e3  # as of a position on a triangle
_FIELDS: dict[str, tuple[tuple[int, ...], float]] = {  # shape of an entry, and its largest value
    "colors": ((3,), 1.0),
    "opacities": ((), 1.0),
    "offsets": ((3,), _MAX_OFFSET),
}


def _arrays(
    prefix: str, counted: tuple[str, ...], entries: str, into: str | None
) -> dict[str, ArraySpec]:
    deltas = {
        f"{prefix}{name}": ArraySpec("float16", (entries, *shape), -most, most, optional=True)
        for name, (shape, most) in _FIELDS.items()
    }
    return {
        f"{prefix}counts": ArraySpec("uint32", counted, optional=True),
        f"{prefix}ids": ArraySpec("int32", (entries,), index_into=into, minimum=0, optional=True),
        **deltas,
    }


CORRECTIVE_ARRAYS: dict[str, ArraySpec] = {
    **_arrays(_PREFIX, ("C",), "CN", "G"),
    **_arrays(_LOOKS, ("K", "C"), "CA", None),
    f"{_LOOKS}kept": ArraySpec("uint8", ("AN",), optional=True),
}
"""For an avatar's schema; G: its Gaussians, K and AN: its attributes and the Gaussians these change. Each group is whole, or not
there."""
CORRECTIVE_DIMENSIONS: dict[str, tuple[int, int]] = {
    "C": (1, MAX_COMPONENTS),
    "CN": (0, MAX_ENTRIES),
    "CA": (0, MAX_ENTRIES),
}


def pack_correctives(
    correctives: Correctives, gaussians: int
) -> tuple[Arrays, list[dict[str, Any]]]:
    """The arrays by name, and the manifest's entries; nothing where there are no components.

    gaussians: of the avatar. Raises InvalidCorrectivesError for correctives that are not as `perse_live.correctives` says. Ranges
    are the schema's to check.
    """
    check(correctives, gaussians)
    if not correctives.components:
        return {}, []
    counts = np.diff(correctives.deltas.starts).astype(np.uint32)
    return _packed(_PREFIX, counts, [correctives.deltas]), component_entries(correctives.components)


def component_entries(components: Sequence[Component]) -> list[dict[str, Any]]:
    """Components as JSON values."""
    return [
        {
            "name": one.name,
            "curves": [
                {"input": curve.input, "knots": [[float(x) for x in knot] for knot in curve.knots]}
                for curve in one.curves
            ],
        }
        for one in components
    ]


def unpack_correctives(arrays: Mapping[str, np.ndarray], entries: Any) -> Correctives:
    """The correctives of a file.

    arrays: of the whole file, as its schema has checked them; entries: the manifest's, of whatever kind, None where it has none.
    Raises InvalidCorrectivesError for what does not belong together or is not as `perse_live.correctives` says.
    """
    components = _components([] if entries is None else entries)
    if not _is_there(arrays, _PREFIX):
        if components:
            raise InvalidCorrectivesError("its correctives have no arrays")
        return no_correctives()
    counts = arrays[f"{_PREFIX}counts"].astype(np.int64)
    if len(counts) != len(components):
        raise InvalidCorrectivesError(
            f"its manifest names {len(components)} components, its arrays hold {len(counts)}"
        )
    if int(counts.sum()) != len(arrays[f"{_PREFIX}ids"]):
        raise InvalidCorrectivesError(
            "the entries of its correctives have another number than its components have together"
        )
    made = Correctives(components, _deltas(arrays, _PREFIX, counts, 0))
    check(made, len(arrays["opacities"]))
    return made


def pack_look_correctives(attributes: Sequence[LearnedAttribute], components: int) -> Arrays:
    """The arrays of the attributes' correctives; empty where none has any. components: of their avatar.

    Raises InvalidCorrectivesError for those that do not belong to their attribute, or to so many components.
    """
    if all(one.correctives is None for one in attributes):
        return {}
    looks = [one.correctives or keeping_all(one, components) for one in attributes]
    for one, look in zip(attributes, looks, strict=True):
        _check_look(one, look, components)
    counts = np.stack([np.diff(look.deltas.starts) for look in looks]).astype(np.uint32)
    kept = np.concatenate([look.kept for look in looks])
    if not bool(((kept >= 0) & (kept <= 1)).all()):
        raise InvalidCorrectivesError("what an attribute leaves of correctives is outside 0 to 1")
    return {
        **_packed(_LOOKS, counts, [look.deltas for look in looks]),
        f"{_LOOKS}kept": np.rint(kept * 255).astype(np.uint8),
    }


def with_look_correctives(
    attributes: Sequence[LearnedAttribute], arrays: Mapping[str, np.ndarray], components: int
) -> tuple[LearnedAttribute, ...]:
    """A file's attributes with their correctives; arrays as for `unpack_correctives`, components: of the avatar.

    Raises InvalidCorrectivesError for arrays that do not belong to them.
    """
    if not _is_there(arrays, _LOOKS):
        return tuple(attributes)
    counts, kept = (
        arrays[f"{_LOOKS}counts"].astype(np.int64),
        arrays[f"{_LOOKS}kept"].astype(np.float32) / np.float32(255),
    )
    if counts.shape != (len(attributes), components) or len(kept) != sum(
        len(one.ids) for one in attributes
    ):
        raise InvalidCorrectivesError("its attributes' correctives are those of other attributes")
    if int(counts.sum()) != len(arrays[f"{_LOOKS}ids"]):
        raise InvalidCorrectivesError(
            "the entries of its attributes' correctives have another number than they have together"
        )
    result: list[LearnedAttribute] = []
    first, row = 0, 0
    for one, its in zip(attributes, counts, strict=True):
        look = LookCorrectives(
            kept[row : row + len(one.ids)].copy(), _deltas(arrays, _LOOKS, its, first)
        )
        _check_look(one, look, components)
        changes = len(look.deltas) > 0 or bool((look.kept != 1).any())
        result.append(replace(one, correctives=look if changes else None))
        first, row = first + int(its.sum()), row + len(one.ids)
    return tuple(result)


def keeping_all(one: LearnedAttribute, components: int) -> LookCorrectives:
    """Correctives of an attribute that does not change those of the avatar."""
    return LookCorrectives(np.ones(len(one.ids), np.float32), no_deltas(components))


def _check_look(one: LearnedAttribute, look: LookCorrectives, components: int) -> None:
    if look.kept.shape != (len(one.ids),):
        raise InvalidCorrectivesError(
            f"attribute {one.name!r} leaves the correctives of {look.kept.shape} Gaussians, has"
            f" {len(one.ids)}"
        )
    check_deltas(look.deltas, components, len(one.ids) + len(one.added))


def _is_there(arrays: Mapping[str, np.ndarray], prefix: str) -> bool:
    """Whether a group of arrays is there. Raises InvalidCorrectivesError for a part of it."""
    group = {name for name in CORRECTIVE_ARRAYS if name.startswith(prefix)}
    if missing := {name for name in group if name not in arrays}:
        if missing != group:
            raise InvalidCorrectivesError(f"its correctives have no array {min(missing)!r}")
        return False
    return True


def _packed(prefix: str, counts: np.ndarray, parts: Sequence[Deltas]) -> Arrays:
    # What half precision cannot hold becomes infinite, which the schema refuses
    with np.errstate(over="ignore"):
        deltas = {
            f"{prefix}{name}": np.concatenate([getattr(part, name) for part in parts]).astype(
                np.float16
            )
            for name in _FIELDS
        }
    ids = np.concatenate([part.ids for part in parts]).astype(np.int32)
    return {f"{prefix}counts": counts, f"{prefix}ids": ids, **deltas}


def _deltas(
    arrays: Mapping[str, np.ndarray], prefix: str, counts: np.ndarray, first: int
) -> Deltas:
    """counts: (C,) entries of each component, from `first` on."""
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = slice(first, first + int(starts[-1]))
    return Deltas(
        starts.astype(np.int32),
        arrays[f"{prefix}ids"][rows].copy(),
        *(arrays[f"{prefix}{name}"][rows].astype(np.float32) for name in _FIELDS),
    )


def _components(entries: Any) -> tuple[Component, ...]:
    if not isinstance(entries, list) or len(cast("list[Any]", entries)) > MAX_COMPONENTS:
        raise InvalidCorrectivesError(f"its correctives are not a list of up to {MAX_COMPONENTS}")
    components = tuple(_component(entry) for entry in cast("list[Any]", entries))
    check_components(components)
    return components


def _component(entry: Any) -> Component:
    given = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    name, curves = given.get("name"), given.get("curves")
    if (
        not isinstance(name, str)
        or not isinstance(curves, list)
        or len(cast("list[Any]", curves)) > MAX_CURVES
    ):
        raise InvalidCorrectivesError(
            f"a component of its correctives has no name, or not up to {MAX_CURVES} curves"
        )
    return Component(name, tuple(_curve(curve) for curve in cast("list[Any]", curves)))


def _curve(entry: Any) -> Curve:
    given = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    name, knots = given.get("input"), given.get("knots")
    if (
        not isinstance(name, str)
        or not isinstance(knots, list)
        or len(cast("list[Any]", knots)) > MAX_KNOTS
    ):
        raise InvalidCorrectivesError("a curve of its correctives has no input, or no knots")
    pairs: list[tuple[float, float]] = []
    for knot in cast("list[Any]", knots):
        pair = cast("list[Any]", knot) if isinstance(knot, list) else []
        if len(pair) != 2 or not all(
            isinstance(x, (int, float)) and not isinstance(x, bool) for x in pair
        ):
            raise InvalidCorrectivesError("a knot of a curve is not two numbers")
        pairs.append((float(pair[0]), float(pair[1])))
    return Curve(name, tuple(pairs))
