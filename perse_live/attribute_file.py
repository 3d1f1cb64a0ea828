"""Attributes in a `.perse` file: the arrays of all attributes concatenated, and counts per attribute.

Learned attributes only: adapters, codes, and the added Gaussians before decoding. Adapters are stored in single precision, codes
and lengths in half (0.01 mm at 20 mm), colours in 8 bits. Positions of rigid parts stay in single precision: the half-precision
step would exceed the thickness of a glasses frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple, cast

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.attributes import (
    PACE_KNOTS,
    SLOTS,
    LearnedAttribute,
    LearnedGaussians,
    Look,
    PhotoOrigin,
)
from perse_live.container import Arrays, ArraySpec
from perse_live.decoder.network import CODES, FEATURES, MAX_RANK, OUTPUTS, WIDTH, Adapter, Decoder

MAX_ATTRIBUTES = 64
MAX_ADDED = 100_000
"""Gaussians that all attributes of an avatar add together."""
MAX_CHANGED = 600_000
"""Gaussians of the avatar that attributes change, counted for each attribute."""
MAX_MOVED = 120_000
"""Vertices that attributes move, counted for each attribute; with these bounds an avatar of 45,000 Gaussians stays under 25
MiB.
"""
MAX_LABEL = 60
"""Characters."""

_LONGEST = 300  # characters of a text about a photo

_NAME = re.compile(r"[a-z0-9-]{1,40}")
_PREFIX = "attributes."
_COUNTS, _ALPHAS, _FLAGS = "attributes.counts", "attributes.alphas", "attributes.flags"
MAX_WEIGHT, MAX_ALPHA = 60.0, 64.0
"""Bounds of an adapter's factors and of its alpha: with them the network's sums stay finite, whatever a file holds."""
_MAX_CODE = 100.0

# each field's array: the dimension that counts it, what it is in the file
_FIELDS: dict[str, ArraySpec] = {
    "ids": ArraySpec("int32", ("AN",), index_into="G"),
    "codes": ArraySpec("float16", ("AN", CODES), -_MAX_CODE, _MAX_CODE),
    "vertex_ids": ArraySpec("int32", ("AM",), index_into="V"),
    "vertex_offsets": ArraySpec("float16", ("AM", 3), -0.5, 0.5),
    "surface.triangles": ArraySpec("int32", ("AS",), index_into="T"),
    "surface.positions": ArraySpec("float16", ("AS", 3), -1e3, 1e3),
    "surface.axes": ArraySpec("float16", ("AS", 4), -1e3, 1e3),
    "surface.thickness": ArraySpec("float16", ("AS",), 0, 1),
    "surface.two_sided": ArraySpec("uint8", ("AS",), 0, 1),
    "rigid.means": ArraySpec("float32", ("AR", 3), -3, 3),
    "rigid.quats": ArraySpec("float16", ("AR", 4), -1.01, 1.01),
    "rigid.scales": ArraySpec("float16", ("AR", 3), 1e-7, 1),
    "rigid.head_weights": ArraySpec("float16", ("AR",), 0, 1),
    "added.colors": ArraySpec("uint8", ("AG", 3)),
    "added.regions": ArraySpec("uint8", ("AG",), 0, 63),
    "added.codes": ArraySpec("float16", ("AG", CODES), -_MAX_CODE, _MAX_CODE),
    "adapter.a1": ArraySpec("float32", ("AQ", FEATURES + CODES), -MAX_WEIGHT, MAX_WEIGHT),
    "adapter.b1": ArraySpec("float32", ("AQ", WIDTH), -MAX_WEIGHT, MAX_WEIGHT),
    "adapter.a2": ArraySpec("float32", ("AQ", WIDTH), -MAX_WEIGHT, MAX_WEIGHT),
    "adapter.b2": ArraySpec("float32", ("AQ", WIDTH), -MAX_WEIGHT, MAX_WEIGHT),
    "adapter.a3": ArraySpec("float32", ("AQ", WIDTH), -MAX_WEIGHT, MAX_WEIGHT),
    "adapter.b3": ArraySpec("float32", ("AQ", OUTPUTS), -MAX_WEIGHT, MAX_WEIGHT),
}
# The columns of the counts; AG = AS + AR; AQ: ranks, B of an adapter lies transposed
_COUNTED = ("AN", "AM", "AS", "AR", "AQ")
_COUNTED_BY = ("ids", "vertex_ids", "surface.triangles", "rigid.means", "adapter.a1")

ATTRIBUTE_ARRAYS: dict[str, ArraySpec] = {
    _COUNTS: ArraySpec("uint32", ("K", len(_COUNTED)), optional=True),
    _ALPHAS: ArraySpec("float32", ("K",), 0, MAX_ALPHA, optional=True),
    _FLAGS: ArraySpec("uint8", ("K", 2), 0, 1, optional=True),
    **{
        _PREFIX + name: ArraySpec(
            spec.dtype, spec.shape, spec.minimum, spec.maximum, spec.index_into, optional=True
        )
        for name, spec in _FIELDS.items()
    },
}
"""For an avatar's schema; G, V and T are its Gaussians, vertices and triangles. All of them are there, or none."""
ATTRIBUTE_DIMENSIONS: dict[str, tuple[int, int]] = {
    "K": (1, MAX_ATTRIBUTES),
    "AN": (0, MAX_CHANGED),
    "AM": (0, MAX_MOVED),
    "AS": (0, MAX_ADDED),
    "AR": (0, MAX_ADDED),
    "AG": (0, MAX_ADDED),
    "AQ": (1, MAX_ATTRIBUTES * MAX_RANK),
}
DECODER_ARRAYS: dict[str, ArraySpec] = {
    f"decoder.{name}": ArraySpec("float32", shape, -MAX_WEIGHT, MAX_WEIGHT, optional=True)
    for name, shape in (
        ("w1", (WIDTH, FEATURES)),
        ("c1", (WIDTH,)),
        ("w2", (WIDTH, WIDTH)),
        ("c2", (WIDTH,)),
        ("w3", (OUTPUTS, WIDTH)),
        ("c3", (OUTPUTS,)),
    )
}
"""W0, for the same schema; required where there are attributes."""


class InvalidAttributesError(Exception):
    """The attributes are invalid; the text says why in a few words."""


def pack_attributes(attributes: Sequence[Look]) -> tuple[Arrays, list[dict[str, Any]]]:
    """The arrays by name, and the manifest's entries; nothing where there are no attributes.

    Raises InvalidAttributesError where an attribute is not learned, or not as `LearnedAttribute` says. Ranges are the schema's to
    check.
    """
    if not attributes:
        return {}, []
    learned = [one for one in attributes if isinstance(one, LearnedAttribute)]
    if len(learned) < len(attributes):
        raise InvalidAttributesError("a file holds learned attributes only: fit them first")
    fields = [_fields_of(one) for one in learned]
    counts = np.array([[len(one[name]) for name in _COUNTED_BY] for one in fields], np.uint32)
    for one, given, row in zip(learned, fields, counts.tolist(), strict=True):
        sizes = dict(zip(_COUNTED, row, strict=True)) | {"AG": row[2] + row[3]}
        for name, spec in _FIELDS.items():
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in spec.shape)
            if given[name].shape != shape:
                raise InvalidAttributesError(
                    f"attribute {one.name!r}: {name} has shape {given[name].shape}, expected {shape}"
                )
    arrays: Arrays = {
        _PREFIX + name: _stored(np.concatenate([one[name] for one in fields]), spec)
        for name, spec in _FIELDS.items()
    }
    arrays[_COUNTS] = counts
    arrays[_ALPHAS] = np.array([one.adapter.alpha for one in learned], np.float32)
    arrays[_FLAGS] = np.array([[one.moves_base, one.tints_hair] for one in learned], np.uint8)
    entries: list[dict[str, Any]] = [
        {
            "name": one.name,
            "label": one.label,
            "slot": one.slot,
            "key": number,
            "default": 0.0,
            **({} if one.pace is None else {"pace": [round(float(x), 5) for x in one.pace]}),
            **({} if one.origin is None else {"photo": asdict(one.origin)}),
        }
        for number, one in enumerate(learned, 1)
    ]
    unpack_attributes(arrays, entries)
    return arrays, entries


def as_stored(one: LearnedAttribute) -> LearnedAttribute:
    """An attribute rounded as by writing and reading a file; its correctives are unchanged.

    Raises InvalidAttributesError as `pack_attributes` does.
    """
    return replace(unpack_attributes(*pack_attributes([one]))[0], correctives=one.correctives)


def pack_decoder(decoder: Decoder | None) -> Arrays:
    """W0's arrays by name; nothing where there is none."""
    return (
        {}
        if decoder is None
        else {f"decoder.{name}": array for name, array in vars(decoder).items()}
    )


def unpack_decoder(arrays: Mapping[str, np.ndarray]) -> Decoder | None:
    """W0 of a file. Raises InvalidAttributesError where only part of it is there."""
    given = {
        name.removeprefix("decoder."): arrays[name] for name in DECODER_ARRAYS if name in arrays
    }
    if not given:
        return None
    if len(given) < len(DECODER_ARRAYS):
        raise InvalidAttributesError("its network is incomplete")
    return Decoder(**given)


def unpack_attributes(
    arrays: Mapping[str, np.ndarray], entries: Any
) -> tuple[LearnedAttribute, ...]:
    """The attributes of a file.

    arrays: of the whole file, as its schema has checked them; entries: the manifest's, of whatever kind, None where it has none.
    Raises InvalidAttributesError for entries and arrays that do not belong together or are not as `LearnedAttribute` says.
    """
    given = {name for name in ATTRIBUTE_ARRAYS if name in arrays}
    texts = _checked_entries([] if entries is None else entries)
    if not given and not texts:
        return ()
    if len(given) < len(ATTRIBUTE_ARRAYS):
        raise InvalidAttributesError(
            f"its attributes have no array {min(set(ATTRIBUTE_ARRAYS) - given)!r}"
        )
    counts = arrays[_COUNTS].astype(np.int64)
    if len(counts) != len(texts):
        raise InvalidAttributesError(
            f"its manifest names {len(texts)} attributes, its arrays hold {len(counts)}"
        )
    columns = dict(zip(_COUNTED, counts.T, strict=True)) | {"AG": counts[:, 2] + counts[:, 3]}
    ends: dict[str, list[int]] = {}
    for name, spec in _FIELDS.items():
        column = columns[str(spec.shape[0])]
        if int(column.sum()) != len(arrays[_PREFIX + name]):
            raise InvalidAttributesError(
                f"array {_PREFIX + name!r} has another length than its attributes have together"
            )
        ends[name] = np.cumsum(column).tolist()
    quats = arrays[_PREFIX + "rigid.quats"].astype(np.float64)
    if (np.abs((quats**2).sum(1) - 1) > 0.01).any():
        raise InvalidAttributesError("a quaternion of an attribute is not of unit length")
    if int(counts[:, 4].min()) < 1 or int(counts[:, 4].max()) > MAX_RANK:
        raise InvalidAttributesError(f"an adapter's rank is not between 1 and {MAX_RANK}")
    alphas, flags = arrays[_ALPHAS].tolist(), arrays[_FLAGS].astype(bool).tolist()
    result: list[LearnedAttribute] = []
    for k, entry in enumerate(texts):
        fields = {
            field: _used(arrays[_PREFIX + field][end[k - 1] if k else 0 : end[k]], field)
            for field, end in ends.items()
        }
        for field in ("ids", "vertex_ids"):
            if len(np.unique(fields[field])) != len(fields[field]):
                raise InvalidAttributesError(
                    f"attribute {entry.name!r} has the same index twice in its {field}"
                )
        result.append(_attribute(entry, fields, alphas[k], *flags[k]))
    return tuple(result)


class _Entry(NamedTuple):
    """Manifest entry of an attribute."""

    name: str
    label: str
    slot: str
    origin: PhotoOrigin | None
    pace: Float32Array | None


def _checked_entries(entries: Any) -> list[_Entry]:
    if not isinstance(entries, list):
        raise InvalidAttributesError("its attributes are not a list")
    checked: list[_Entry] = []
    for entry in cast("list[Any]", entries)[: MAX_ATTRIBUTES + 1]:
        texts = (
            [cast("dict[str, Any]", entry).get(key) for key in ("name", "label", "slot")]
            if isinstance(entry, dict)
            else []
        )
        if len(texts) != 3 or not all(isinstance(text, str) for text in texts):
            raise InvalidAttributesError("an attribute has no name, label or slot")
        name, label, slot = cast("list[str]", texts)
        given = cast("dict[str, Any]", entry)
        if not _NAME.fullmatch(name):
            raise InvalidAttributesError(
                f"an attribute's name is {name[:50]!r}: it may have up to 40 of a-z, 0-9 and -"
            )
        if not label.strip() or len(label) > MAX_LABEL or not label.isprintable():
            raise InvalidAttributesError(
                f"the label of attribute {name!r} is not up to {MAX_LABEL} printable characters"
            )
        if slot not in SLOTS:
            raise InvalidAttributesError(f"attribute {name!r} has the unknown slot {slot[:50]!r}")
        checked.append(
            _Entry(
                name, label, slot, _origin(name, given.get("photo")), _pace(name, given.get("pace"))
            )
        )
    if len(checked) > MAX_ATTRIBUTES:
        raise InvalidAttributesError(f"it has more than {MAX_ATTRIBUTES} attributes")
    if len({one.name for one in checked}) != len(checked):
        raise InvalidAttributesError("two of its attributes have the same name")
    return checked


def _origin(name: str, given: Any) -> PhotoOrigin | None:
    if given is None:
        return None
    texts = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    found = [texts.get(key) for key in ("photo_sha256", "consent_by", "consent_at")]
    if not all(
        isinstance(text, str) and 0 < len(text) <= _LONGEST and text.isprintable() for text in found
    ):
        raise InvalidAttributesError(
            f"attribute {name!r} does not say whose photo it is from, or who agreed"
        )
    return PhotoOrigin(*cast("list[str]", found))


def _pace(name: str, given: Any) -> Float32Array | None:
    if given is None:
        return None
    numbers = cast("list[Any]", given) if isinstance(given, list) else []
    if len(numbers) == PACE_KNOTS and all(isinstance(x, (int, float)) for x in numbers):
        pace = np.array(numbers, np.float64)
        # Which not-a-numbers fail
        if pace[0] == 0 and pace[-1] == 1 and bool((np.diff(pace) >= 0).all()):
            return pace.astype(np.float32)
    raise InvalidAttributesError(
        f"the pace of attribute {name!r} is not {PACE_KNOTS} numbers that rise from 0 to 1"
    )


def _fields_of(attribute: LearnedAttribute) -> Arrays:
    added, adapter = attribute.added, attribute.adapter
    return {
        **{
            name: getattr(attribute, name)
            for name in ("ids", "codes", "vertex_ids", "vertex_offsets")
        },
        **{f"surface.{name}": array for name, array in vars(added.surface).items()},
        **{f"rigid.{name}": array for name, array in vars(added.rigid).items()},
        **{f"added.{name}": getattr(added, name) for name in ("colors", "regions", "codes")},
        **{f"adapter.{name}": getattr(adapter, name) for name in ("a1", "a2", "a3")},
        **{f"adapter.{name}": getattr(adapter, name).T for name in ("b1", "b2", "b3")},
    }


def _attribute(
    entry: _Entry,
    fields: Mapping[str, np.ndarray],
    alpha: float,
    moves_base: bool,
    tints_hair: bool,
) -> LearnedAttribute:
    def under(prefix: str) -> dict[str, Any]:
        return {
            field.removeprefix(prefix): array
            for field, array in fields.items()
            if field.startswith(prefix)
        }

    added = LearnedGaussians(
        SurfaceBinding(**under("surface.")), RigidBinding(**under("rigid.")), **under("added.")
    )
    factors = {
        factor: np.ascontiguousarray(array.T) if factor.startswith("b") else array
        for factor, array in under("adapter.").items()
    }
    adapter = Adapter(**factors, alpha=alpha)
    return LearnedAttribute(
        entry.name,
        entry.label,
        entry.slot,
        fields["ids"],
        fields["codes"],
        added,
        adapter,
        moves_base,
        tints_hair,
        fields["vertex_ids"],
        fields["vertex_offsets"],
        entry.origin,
        entry.pace,
    )


_SEEN = ("added.colors",)  # [0, 1], held in 8 bits


def _stored(array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """An array in the file's dtype; values that overflow become infinite, which the schema refuses."""
    if array.dtype.kind == "f" and spec.dtype == "uint8":
        return _bytes_of(array)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, spec.dtype)


def _bytes_of(array: Float32Array) -> UInt8Array:
    if not bool((np.isfinite(array) & (array >= -1e-3) & (array <= 1.001)).all()):
        raise InvalidAttributesError("a colour of an attribute is outside 0 to 1")
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _used(array: np.ndarray, field: str) -> np.ndarray:
    """A copy of an array in the dtype of `LearnedAttribute`: single precision for floats."""
    if field in _SEEN:
        return array.astype(np.float32) / np.float32(255)
    return array.astype(np.float32) if array.dtype.kind == "f" else array.copy()
