"""MediaPipe's canonical face: the 468 points in centimetres, read from the landmarker's file."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"
# Field numbers of GeometryPipelineMetadata.canonical_mesh and Mesh3d.vertex_buffer
_MESH, _VERTICES = (1, 3)
_FLOATS_PER_VERTEX = 5  # x, y, z, u, v


def canonical_face(task_file: Path) -> np.ndarray:
    """Points (468, 3) of the canonical face: centimetres, y up, z out of the face, symmetric about x = 0.

    task_file: face_landmarker.task, a zip archive. Raises KeyError where it holds no such mesh.
    """
    with zipfile.ZipFile(task_file) as archive:
        metadata = archive.read(_MEMBER)
    for number, mesh in _fields(metadata):
        if number == _MESH and isinstance(mesh, bytes):
            floats = [
                value
                for number, value in _fields(mesh)
                if number == _VERTICES and isinstance(value, float)
            ]
            return np.array(floats).reshape(-1, _FLOATS_PER_VERTEX)[:, :3]
    raise KeyError(f"no canonical mesh in {task_file}")


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int | float]]:
    """Fields of a protocol-buffer message: number and raw value (protobuf.dev, "Encoding")."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
        elif kind == 5:
            yield number, float(struct.unpack_from("<f", message, at)[0])
            at += 4
        elif kind == 2:
            size = varint()
            yield number, message[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {kind} in the canonical face")
