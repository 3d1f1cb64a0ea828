"""A folder of engines: the graphs of one avatar as ONNX and as compiled engines, and the manifest that says what they are.

The exporter writes such folders, the runtime reads them; what is in one is untrusted input like an avatar file. ONNX files and
manifests hold data only. A compiled engine is code: it is opened only where its bytes are those that the manifest lists, and
where this machine has built it (`perse_live.engines.trust`).
"""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from perse_live.checked import parse_json_object
from perse_live.errors import UserError

MANIFEST = "engines.json"
SUFFIX = ".engines"
FORMAT, FORMAT_VERSION = "perse-live engines", 2
_MAX_MANIFEST = 1 << 20
MAX_ENGINE_BYTES = 512 << 20
"""Of one graph or engine; those of an avatar have 10 to 60 MiB."""

Backend = Literal["onnx", "tensorrt", "tensorrt-rtx"]
BACKENDS: tuple[Backend, ...] = ("onnx", "tensorrt", "tensorrt-rtx")
Precision = Literal["fp32", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    """Lengths; one that varies is named."""


@dataclass(frozen=True)
class GraphFile:
    """One graph in one backend's format."""

    file: str
    """Its name in the folder."""
    sha256: str
    bytes: int
    backend: Backend
    graph: str
    """`perse_live.engines.graphs.ANIMATE` or `ATTRIBUTES`."""
    precision: Precision
    made_from: str
    """`rig_hash` or `look_hash` of the avatar."""
    version: str
    """Of the backend that compiled it; the opset for ONNX."""
    device: str
    """The GPU that it is for, by name and compute capability; the compute capabilities with "+" between them; "any" for ONNX."""
    limits: dict[str, tuple[int, int, int]]
    """Least, usual and greatest value of each length that varies, for compilers; ONNX Runtime takes any."""
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class EngineFolder:
    """Contents of an engine folder."""

    path: Path
    avatar: str
    """Name of the avatar file."""
    avatar_sha256: str
    """Of the avatar file's bytes."""
    creator: str
    attributes: tuple[str, ...]
    """Names, in the order of the graph's weights."""
    files: tuple[GraphFile, ...]

    def find(
        self, graph: str, backend: Backend, precision: Precision | None = None
    ) -> list[GraphFile]:
        """Its files of a kind, in single precision first."""
        found = [
            one
            for one in self.files
            if (one.graph, one.backend) == (graph, backend) and precision in (None, one.precision)
        ]
        return sorted(found, key=lambda one: PRECISIONS.index(one.precision))

    def read(self, file: GraphFile) -> bytes:
        """A file's bytes, which are as they were when the manifest was written. Raises UserError where they are not."""
        path = self.path / file.file
        try:
            found = path.stat()
            # A pipe or another size is not read at all
            as_listed = stat.S_ISREG(found.st_mode) and found.st_size == file.bytes
            content = path.read_bytes() if as_listed else b""
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}): export the engines again"
            ) from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise UserError(
                f"{path}: damaged or half-written, it is not what {MANIFEST} lists: export the engines again"
            )
        return content


def default_engine_folder(avatar: Path) -> Path:
    """Default folder of an avatar's engines: NAME.engines next to its file."""
    return avatar.with_name(avatar.stem + SUFFIX)


def manifest_text(folder: EngineFolder) -> str:
    """The manifest of a folder as JSON text."""
    content = {key: value for key, value in asdict(folder).items() if key != "path"}
    return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **content}, indent=1)


def read_folder(path: Path) -> EngineFolder:
    """A folder's manifest.

    Raises UserError, one line, where there is none, or it is damaged or of another version.
    """
    manifest = path / MANIFEST
    if not path.is_dir():
        raise UserError(
            f"{path}: there is no such folder: perse-live export ME.perse -o DIR --engines onnx makes one"
        )
    try:
        with manifest.open("rb") as file:
            text = file.read(_MAX_MANIFEST + 1)
    except OSError as error:
        raise UserError(
            f"{path}: not a folder of engines, or one half-written ({MANIFEST}: {error.strerror}): export the engines"
            " again"
        ) from error
    try:
        content = parse_json_object(text, max_bytes=_MAX_MANIFEST)
        if content["format"] != FORMAT:
            raise ValueError("another kind of file")
        version = int(content["format_version"])
        if version == FORMAT_VERSION:
            return EngineFolder(
                path,
                str(content["avatar"]),
                str(content["avatar_sha256"]),
                str(content["creator"]),
                tuple(str(name) for name in content["attributes"]),
                tuple(_file(entry) for entry in content["files"]),
            )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{manifest}: damaged ({error}): export the engines again") from error
    raise UserError(
        f"{manifest}: of version {version}, where this program knows {FORMAT_VERSION}: export the engines again"
    )


def known_files(path: Path) -> frozenset[str]:
    """Names of the files in a folder of engines that are perse-live's: the manifest, and what it lists where it can be read."""
    try:
        return frozenset((MANIFEST, *(one.file for one in read_folder(path).files)))
    except UserError:
        return frozenset((MANIFEST,))


def _file(entry: dict[str, Any]) -> GraphFile:
    name = str(entry["file"])
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"{name!r} is not a file's name")
    if entry["backend"] not in BACKENDS or entry["precision"] not in PRECISIONS:
        raise ValueError("an unknown backend or precision")

    def tensors(key: str) -> tuple[TensorInfo, ...]:
        return tuple(
            TensorInfo(
                str(one["name"]),
                str(one["dtype"]),
                tuple(axis if isinstance(axis, str) else int(axis) for axis in one["shape"]),
            )
            for one in entry[key]
        )

    if not 0 <= int(entry["bytes"]) <= MAX_ENGINE_BYTES:
        raise ValueError(f"a graph of {entry['bytes']} bytes")
    limits = {
        str(key): cast("tuple[int, int, int]", tuple(int(n) for n in value))
        for key, value in entry["limits"].items()
    }
    if any(len(value) != 3 for value in limits.values()):
        raise ValueError("limits are not of three numbers")
    return GraphFile(
        name,
        str(entry["sha256"]),
        int(entry["bytes"]),
        entry["backend"],
        str(entry["graph"]),
        entry["precision"],
        str(entry["made_from"]),
        str(entry["version"]),
        str(entry["device"]),
        limits,
        tensors("inputs"),
        tensors("outputs"),
    )
