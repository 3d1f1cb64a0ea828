"""Attributes as arrays of a `.perse` file: those of all attributes one after another, and how many belong to each.

Half precision holds lengths to 1/2048 of themselves: 0.01 mm of a strand of 20 mm. What is seen rather than placed has 8 bits, as
every picture of it. Only places of rigid parts stay in single precision: a frame of glasses is thinner than their half step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.attributes import SLOTS, AddedGaussians, Attribute
from perse_live.container import Arrays, ArraySpec

MAX_ATTRIBUTES = 64
MAX_ADDED = 60_000
"""Gaussians that all attributes of an avatar add together."""
MAX_CHANGED = 1_000_000
"""Gaussians of the avatar that attributes change, counted for each attribute."""
MAX_MOVED = 600_000
"""Vertices that attributes move, likewise; with these bounds an avatar of 45,000 Gaussians stays under 25 MiB."""
MAX_LABEL = 60
"""Characters."""

_NAME = re.compile(r"[a-z0-9-]{1,40}")
_PREFIX = "attributes."
_COUNTS, _LEAST_SIZES = "attributes.counts", "attributes.least_sizes"

# each field's array: the dimension that counts it, what it is in the file
_FIELDS: dict[str, ArraySpec] = {
    "ids": ArraySpec("int32", ("AN",), index_into="G"),
    "colors": ArraySpec("uint8", ("AN", 3)),
    "opacities": ArraySpec("uint8", ("AN",)),
    "vertex_ids": ArraySpec("int32", ("AM",), index_into="V"),
    "vertex_offsets": ArraySpec("float16", ("AM", 3), -0.5, 0.5),
    "surface.triangles": ArraySpec("int32", ("AS",), index_into="T"),
    "surface.positions": ArraySpec("float16", ("AS", 3), -1e3, 1e3),
    "surface.axes": ArraySpec("float16", ("AS", 4), -1e3, 1e3),
    "surface.thickness": ArraySpec("float16", ("AS",), 0, 1),
    "surface.two_sided": ArraySpec("uint8", ("AS",), 0, 1),
    "surface_start": ArraySpec("float16", ("AS", 3), -1e3, 1e3),
    "rigid.means": ArraySpec("float32", ("AR", 3), -3, 3),
    "rigid.quats": ArraySpec("float16", ("AR", 4), -1.01, 1.01),
    "rigid.scales": ArraySpec("float16", ("AR", 3), 1e-7, 1),
    "rigid.head_weights": ArraySpec("float16", ("AR",), 0, 1),
    "rigid_start": ArraySpec("float32", ("AR", 3), -3, 3),
    "added.opacities": ArraySpec("uint8", ("AG",)),
    "added.colors": ArraySpec("uint8", ("AG", 3)),
    "added.regions": ArraySpec("uint8", ("AG",), 0, 63),
    "added.appear": ArraySpec("float16", ("AG",), 0, 0.9),
}
_COUNTED = ("AN", "AM", "AS", "AR")  # the columns of the counts; AG = AS + AR

ATTRIBUTE_ARRAYS: dict[str, ArraySpec] = {
    _COUNTS: ArraySpec("uint32", ("K", len(_COUNTED)), optional=True),
    _LEAST_SIZES: ArraySpec("float32", ("K",), 0.001, 1, optional=True),
    **{_PREFIX + name: ArraySpec(spec.dtype, spec.shape, spec.minimum, spec.maximum, spec.index_into, optional=True)
       for name, spec in _FIELDS.items()},
}
"""For an avatar's schema; G, V and T are its Gaussians, vertices and triangles. All of them are there, or none."""
ATTRIBUTE_DIMENSIONS: dict[str, tuple[int, int]] = {
    "K": (1, MAX_ATTRIBUTES), "AN": (0, MAX_CHANGED), "AM": (0, MAX_MOVED), "AS": (0, MAX_ADDED), "AR": (0, MAX_ADDED),
    "AG": (0, MAX_ADDED),
}


class InvalidAttributesError(Exception):
    """What is wrong with attributes, in a few words."""


def pack_attributes(attributes: Sequence[Attribute]) -> tuple[Arrays, list[dict[str, Any]]]:
    """The arrays by name, and the manifest's entries; nothing where there are no attributes.

    Raises InvalidAttributesError where an attribute is not as `Attribute` says. Ranges are the schema's to check.
    """
    if not attributes:
        return {}, []
    fields = [_fields_of(one) for one in attributes]
    counts = np.array([[len(one[name]) for name in ("ids", "vertex_ids", "surface.triangles", "rigid.means")] for one in fields],
                      np.uint32)
    for one, given, (changed, moved, on, off) in zip(attributes, fields, counts.tolist(), strict=True):
        sizes = {"AN": changed, "AM": moved, "AS": on, "AR": off, "AG": on + off}
        for name, spec in _FIELDS.items():
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in spec.shape)
            if given[name].shape != shape:
                raise InvalidAttributesError(f"attribute {one.name!r}: {name} has shape {given[name].shape}, expected {shape}")
    arrays: Arrays = {_PREFIX + name: _stored(np.concatenate([one[name] for one in fields]), spec)
                      for name, spec in _FIELDS.items()}
    arrays[_COUNTS] = counts
    arrays[_LEAST_SIZES] = np.array([one.added.least_size for one in attributes], np.float32)
    entries: list[dict[str, Any]] = [{"name": one.name, "label": one.label, "slot": one.slot, "key": number, "default": 0.0}
                                     for number, one in enumerate(attributes, 1)]
    unpack_attributes(arrays, entries)
    return arrays, entries


def unpack_attributes(arrays: Mapping[str, np.ndarray], entries: Any) -> tuple[Attribute, ...]:
    """The attributes of a file.

    arrays: of the whole file, as its schema has checked them; entries: the manifest's, of whatever kind, None where it has none.
    Raises InvalidAttributesError for entries and arrays that do not belong together or are not as `Attribute` says.
    """
    given = {name for name in ATTRIBUTE_ARRAYS if name in arrays}
    texts = _checked_entries([] if entries is None else entries)
    if not given and not texts:
        return ()
    if len(given) < len(ATTRIBUTE_ARRAYS):
        raise InvalidAttributesError(f"its attributes have no array {min(set(ATTRIBUTE_ARRAYS) - given)!r}")
    counts = arrays[_COUNTS].astype(np.int64)
    if len(counts) != len(texts):
        raise InvalidAttributesError(f"its manifest names {len(texts)} attributes, its arrays hold {len(counts)}")
    columns = dict(zip(_COUNTED, counts.T, strict=True)) | {"AG": counts[:, 2] + counts[:, 3]}
    ends: dict[str, list[int]] = {}
    for name, spec in _FIELDS.items():
        column = columns[str(spec.shape[0])]
        if int(column.sum()) != len(arrays[_PREFIX + name]):
            raise InvalidAttributesError(f"array {_PREFIX + name!r} has another length than its attributes have together")
        ends[name] = np.cumsum(column).tolist()
    quats = arrays[_PREFIX + "rigid.quats"].astype(np.float64)
    if (np.abs((quats**2).sum(1) - 1) > 0.01).any():
        raise InvalidAttributesError("a quaternion of an attribute is not of unit length")
    sizes = arrays[_LEAST_SIZES].tolist()
    result: list[Attribute] = []
    for k, (name, label, slot) in enumerate(texts):
        own = {field: _used(arrays[_PREFIX + field][end[k - 1] if k else 0:end[k]], field) for field, end in ends.items()}
        for field in ("ids", "vertex_ids"):
            if len(np.unique(own[field])) != len(own[field]):
                raise InvalidAttributesError(f"attribute {name!r} has the same index twice in its {field}")
        result.append(_attribute(name, label, slot, own, sizes[k]))
    return tuple(result)


def _checked_entries(entries: Any) -> list[tuple[str, str, str]]:
    """Name, label and slot of each."""
    if not isinstance(entries, list):
        raise InvalidAttributesError("its attributes are not a list")
    checked: list[tuple[str, str, str]] = []
    for entry in cast("list[Any]", entries)[:MAX_ATTRIBUTES + 1]:
        texts = [cast("dict[str, Any]", entry).get(key) for key in ("name", "label", "slot")] if isinstance(entry, dict) else []
        if len(texts) != 3 or not all(isinstance(text, str) for text in texts):
            raise InvalidAttributesError("an attribute has no name, label or slot")
        name, label, slot = cast("list[str]", texts)
        if not _NAME.fullmatch(name):
            raise InvalidAttributesError(f"an attribute's name is {name[:50]!r}: it may have up to 40 of a-z, 0-9 and -")
        if not label.strip() or len(label) > MAX_LABEL or not label.isprintable():
            raise InvalidAttributesError(f"the label of attribute {name!r} is not up to {MAX_LABEL} printable characters")
        if slot not in SLOTS:
            raise InvalidAttributesError(f"attribute {name!r} has the unknown slot {slot[:50]!r}")
        checked.append((name, label, slot))
    if len(checked) > MAX_ATTRIBUTES:
        raise InvalidAttributesError(f"it has more than {MAX_ATTRIBUTES} attributes")
    if len({name for name, _, _ in checked}) != len(checked):
        raise InvalidAttributesError("two of its attributes have the same name")
    return checked


def _fields_of(attribute: Attribute) -> Arrays:
    added = attribute.added
    return {
        **{name: getattr(attribute, name) for name in ("ids", "colors", "opacities", "vertex_ids", "vertex_offsets")},
        **{f"surface.{name}": array for name, array in vars(added.surface).items()}, "surface_start": added.surface_start,
        **{f"rigid.{name}": array for name, array in vars(added.rigid).items()}, "rigid_start": added.rigid_start,
        **{f"added.{name}": getattr(added, name) for name in ("opacities", "colors", "regions", "appear")},
    }


def _attribute(name: str, label: str, slot: str, fields: Mapping[str, np.ndarray], least_size: float) -> Attribute:
    def under(prefix: str) -> dict[str, Any]:
        return {field.removeprefix(prefix): array for field, array in fields.items() if field.startswith(prefix)}

    added = AddedGaussians(SurfaceBinding(**under("surface.")), fields["surface_start"], RigidBinding(**under("rigid.")),
                           fields["rigid_start"], **under("added."), least_size=least_size)
    changed = {field: fields[field] for field in ("ids", "colors", "opacities", "vertex_ids", "vertex_offsets")}
    return Attribute(name, label, slot, **changed, added=added)


_SEEN = ("colors", "opacities", "added.colors", "added.opacities")  # [0, 1], held in 8 bits


def _stored(array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """An array as the file holds it; numbers that cannot be held become infinite, which the schema refuses."""
    if array.dtype.kind == "f" and spec.dtype == "uint8":
        return _bytes_of(array)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, spec.dtype)


def _bytes_of(array: Float32Array) -> UInt8Array:
    if not bool((np.isfinite(array) & (array >= -1e-3) & (array <= 1.001)).all()):
        raise InvalidAttributesError("a colour or an opacity of an attribute is outside 0 to 1")
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _used(array: np.ndarray, field: str) -> np.ndarray:
    """An array as `Attribute` has it: its own, in single precision where it has fractions."""
    if field in _SEEN:
        return array.astype(np.float32) / np.float32(255)
    return array.astype(np.float32) if array.dtype.kind == "f" else array.copy()
