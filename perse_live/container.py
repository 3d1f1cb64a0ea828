"""The `.perse` file: safetensors arrays with a JSON manifest, read as untrusted input.

A file is accepted only when everything in it is declared by a `Schema`: names, dtypes, shapes, value and index ranges. Sizes are
bounded before anything is allocated, and nothing in the file can name code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard, cast

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.files import write_bytes

Arrays = dict[str, NDArray[Any]]
Manifest = dict[str, Any]
DType = Literal["float32", "float16", "int32", "uint32", "uint16", "uint8"]
FieldKind = Literal["text", "texts", "integer", "number", "numbers", "object"]

MAX_FILE_BYTES = 64 << 20
"""An avatar has 15 MiB at most; four times that leaves room, and a hostile file cannot fill the memory."""
MAX_HEADER_BYTES = 1 << 20

_DTYPE_CODES: dict[DType, str] = {
    "float32": "F32",
    "float16": "F16",
    "int32": "I32",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
}
_FORMAT_FAMILY = "perse-live "  # prefix of all format names
_METADATA_KEY = "manifest"
_LENGTH_BYTES = 8  # a safetensors file starts with its header's length, little-endian


@dataclass(frozen=True)
class ArraySpec:
    """Specification of one array."""

    dtype: DType
    shape: tuple[int | str, ...]
    """Sizes; a name such as "G" is a named dimension, equal in all arrays that use it."""
    minimum: float | None = None
    """Least value allowed. Floats are finite in any case."""
    maximum: float | None = None
    """Greatest value allowed."""
    index_into: str | None = None
    """A dimension's name: every value is an index into it, 0 <= value < size."""
    optional: bool = False
    """May be absent."""


@dataclass(frozen=True)
class Schema:
    """Specification of a kind of file."""

    format_name: str
    """Value of `format` in the manifest."""
    format_version: int
    """Value of `format_version` in the manifest; later versions are refused."""
    arrays: Mapping[str, ArraySpec]
    """By name; any other array is refused."""
    dimensions: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Least and greatest size of a named dimension; one that is not listed may have any size that fits into the file."""
    manifest: Mapping[str, FieldKind] = field(default_factory=dict[str, FieldKind])
    """Required top-level entries and their kinds; further entries are allowed."""
    oldest_version: int | None = None
    """The first version that can still be read, its arrays being among those of this one; None: only `format_version`."""


def save_container(
    path: Path, arrays: Mapping[str, NDArray[Any]], manifest: Mapping[str, Any], schema: Schema
) -> None:
    """Write arrays and manifest to a file that only its owner may read, atomically, after the same checks that loading makes.

    manifest: JSON values; `format` and `format_version` are added from the schema.
    Raises ValueError when the contents do not fit the schema (a fault of the caller), UserError when the file cannot be written.
    """
    complete = {"format": schema.format_name, "format_version": schema.format_version, **manifest}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        _check_manifest(complete, schema)
        _check_arrays(contiguous, schema)
        content = safetensors.numpy.save(
            contiguous, metadata={_METADATA_KEY: json.dumps(complete, allow_nan=False)}
        )
        _parse_header(content)  # only for its size limits
    except _InvalidError as error:
        raise ValueError(f"not saved to {path}: {error}") from error
    write_bytes(path, content, private=True)


def load_container(path: Path, schema: Schema) -> tuple[Arrays, Manifest]:
    """Read a file and check all of it against a schema.

    Returns the arrays by name (writable, C-contiguous, of the schema's dtypes) and the manifest.
    Raises UserError, naming the file, for anything that is missing, unknown, damaged, too large or out of range.
    """
    content = _read(path)
    try:
        header, manifest = _parse_header(content)
        _check_manifest(manifest, schema)
        _check_declarations(header, schema)
        try:
            loaded = safetensors.numpy.load(content)
        except SafetensorError as error:
            raise _InvalidError(f"damaged arrays ({error})") from error
        # Copies: aligned and writable, as kernels expect
        arrays = {name: np.array(array) for name, array in loaded.items()}
        _check_arrays(arrays, schema)
    except _NewerVersionError as error:
        raise UserError(f"{path}: {error}: update perse-live") from error
    except _InvalidError as error:
        raise UserError(
            f"{path} is not a usable {schema.format_name} file: {error}: build it again or"
            " get a sound copy"
        ) from error
    return arrays, manifest


def has_manifest(path: Path) -> bool:
    """Whether a file is a container of perse-live, of whatever version; only its header is read."""
    try:
        manifest = read_manifest(path)
    except UserError:
        return False
    return str(manifest.get("format", "")).startswith(_FORMAT_FAMILY)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a file of whatever version, unchecked; only the header is read, and no array.

    Raises UserError for a file that cannot be read or has no manifest.
    """
    try:
        if not path.is_file():
            raise _InvalidError("it is not an ordinary file")
        with path.open("rb") as file:
            size = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if size > MAX_HEADER_BYTES:
                raise _InvalidError(
                    f"its header has {size} bytes where {MAX_HEADER_BYTES} are allowed"
                )
            file.seek(0)
            return _parse_header(file.read(_LENGTH_BYTES + size))[1]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except _InvalidError as error:
        raise UserError(f"{path} is not a file of perse-live: {error}") from error


class _InvalidError(Exception):
    """The file is invalid; the text says why in a few words."""


class _NewerVersionError(_InvalidError):
    """The file is of a format that a later version made."""


def _read(path: Path) -> bytes:
    if not path.is_file():  # refuses pipes and devices too, which may never end
        reason = "it is not an ordinary file" if path.exists() else "there is no such file"
        raise UserError(f"cannot read {path}: {reason}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UserError(
            f"{path} is larger than the {MAX_FILE_BYTES >> 20} MiB that an avatar may have: this is another kind"
            " of file"
        )
    return content


def _parse_header(content: bytes) -> tuple[dict[str, Any], Manifest]:
    """The declarations of all arrays by name, and the manifest."""
    size = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) < _LENGTH_BYTES or size > len(content) - _LENGTH_BYTES:
        raise _InvalidError("it is cut short, or another kind of file")
    if size > MAX_HEADER_BYTES:
        raise _InvalidError(f"its header has {size} bytes where {MAX_HEADER_BYTES} are allowed")
    header = _parse_json(content[_LENGTH_BYTES : _LENGTH_BYTES + size], "header")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(cast("dict[str, Any]", metadata)) != {_METADATA_KEY}:
        raise _InvalidError("it has no manifest")
    text = cast("dict[str, Any]", metadata)[_METADATA_KEY]
    if not isinstance(text, str):
        raise _InvalidError("its manifest is not text")
    return header, _parse_json(text.encode("utf-8", errors="surrogatepass"), "manifest")


def _parse_json(text: bytes, what: str) -> dict[str, Any]:
    try:
        return parse_json_object(text, max_bytes=MAX_HEADER_BYTES)
    except CheckedError as error:
        raise _InvalidError(f"its {what} cannot be used: {error}") from error


def _check_manifest(manifest: Mapping[str, Any], schema: Schema) -> None:
    if manifest.get("format") != schema.format_name:
        raise _InvalidError(f"its manifest does not say that it is a {schema.format_name} file")
    version = manifest.get("format_version")
    if not _is_integer(version) or version < 1:
        raise _InvalidError("its format version is missing")
    if version > schema.format_version:
        raise _NewerVersionError(
            f"it has format version {_short(version)}, this program knows {schema.format_version}"
        )
    if version < (schema.oldest_version or schema.format_version):
        raise _InvalidError(
            f"it has the old format version {version}, this program knows {schema.format_version}"
        )
    for name, kind in schema.manifest.items():
        if name not in manifest or not _is_kind(manifest[name], kind):
            raise _InvalidError(f"its manifest has no {kind} {name!r}")


def _is_kind(value: Any, kind: FieldKind) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "texts":
            return isinstance(value, list) and all(
                isinstance(item, str) for item in cast("list[Any]", value)
            )
        case "integer":
            return _is_integer(value)
        case "number":
            return _is_number(value)
        case "numbers":
            return isinstance(value, list) and all(
                _is_number(item) for item in cast("list[Any]", value)
            )
        case "object":
            return isinstance(value, dict)


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """A number that is finite as a float; JSON has larger ones."""
    try:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and bool(np.isfinite(float(value)))
        )
    except OverflowError:
        return False


def _check_declarations(header: Mapping[str, Any], schema: Schema) -> None:
    """Refuse, before anything is decoded, arrays that are unknown or of a wrong dtype or number of dimensions."""
    for name, declared in header.items():
        spec = schema.arrays.get(name)
        if spec is None:
            raise _InvalidError(f"it has an unknown array {_short(name)}")
        if not isinstance(declared, dict):
            raise _InvalidError(f"array {name!r} is not declared properly")
        entry = cast("dict[str, Any]", declared)
        if entry.get("dtype") != _DTYPE_CODES[spec.dtype]:
            raise _InvalidError(
                f"array {name!r} is {_short(entry.get('dtype'))} instead of {spec.dtype}"
            )
        shape = entry.get("shape")
        if not isinstance(shape, list) or len(cast("list[Any]", shape)) != len(spec.shape):
            raise _InvalidError(
                f"array {name!r} has the shape {_short(shape)} instead of {_shape_text(spec)}"
            )


def _check_arrays(arrays: Mapping[str, NDArray[Any]], schema: Schema) -> None:
    for name in arrays:
        if name not in schema.arrays:
            raise _InvalidError(f"it has an unknown array {_short(name)}")
    sizes: dict[str, int] = {}
    # In the schema's order, so that the same fault gives the same message
    for name, spec in schema.arrays.items():
        if name in arrays:
            _check_shape(name, arrays[name], spec, sizes, schema)
        elif not spec.optional:
            raise _InvalidError(f"array {name!r} is missing")
    for name, array in arrays.items():
        _check_values(name, array, schema.arrays[name], sizes)


def _check_shape(
    name: str, array: NDArray[Any], spec: ArraySpec, sizes: dict[str, int], schema: Schema
) -> None:
    """Compares dtype and shape, and learns the sizes of named dimensions."""
    if array.dtype != np.dtype(spec.dtype):
        raise _InvalidError(f"array {name!r} is {array.dtype} instead of {spec.dtype}")
    if array.ndim != len(spec.shape):
        raise _InvalidError(
            f"array {name!r} has the shape {array.shape} instead of {_shape_text(spec)}"
        )
    for size, wanted in zip(array.shape, spec.shape, strict=True):
        if isinstance(wanted, str):
            least, greatest = schema.dimensions.get(wanted, (0, MAX_FILE_BYTES))
            if not least <= size <= greatest:
                raise _InvalidError(
                    f"array {name!r} has {wanted} = {size}, outside {least} to {greatest}"
                )
            wanted = sizes.setdefault(wanted, size)
        if size != wanted:
            raise _InvalidError(
                f"array {name!r} has the shape {array.shape} instead of {_shape_text(spec)}, where"
                f" {', '.join(f'{key} = {value}' for key, value in sizes.items()) or 'no size is known'}"
            )


def _check_values(
    name: str, array: NDArray[Any], spec: ArraySpec, sizes: Mapping[str, int]
) -> None:
    if array.size == 0:
        return
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _InvalidError(f"array {name!r} has values that are not finite")
    least, greatest = array.min(), array.max()
    if spec.minimum is not None and least < spec.minimum:
        raise _InvalidError(f"array {name!r} has the value {least}, below {spec.minimum}")
    if spec.maximum is not None and greatest > spec.maximum:
        raise _InvalidError(f"array {name!r} has the value {greatest}, above {spec.maximum}")
    if spec.index_into is not None:
        if spec.index_into not in sizes:
            raise _InvalidError(
                f"array {name!r} indexes {spec.index_into}, which no array of the file has"
            )
        if least < 0 or greatest >= sizes[spec.index_into]:
            raise _InvalidError(
                f"array {name!r} has the index {least if least < 0 else greatest}, outside 0 to"
                f" {sizes[spec.index_into] - 1}"
            )


def _shape_text(spec: ArraySpec) -> str:
    return f"({', '.join(str(size) for size in spec.shape)})"


def _short(value: Any) -> str:
    """A hostile value, quoted and cut, so that it cannot flood or steer the user's terminal."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
