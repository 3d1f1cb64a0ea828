"""Each format is read back by programs of other people, or where there is none by the format's description."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import gsply
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plyfile import PlyData
from pygltflib import GLTF2
from splat_clouds import Y_DOWN, cloud, covariance_error, covariances, half_turned

from export.gltf import glb_bytes
from export.ply import ply_bytes
from export.splat import splat_bytes
from export.spz import spz_bytes
from hypothesis_profiles import examples
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians

SH_C0 = 0.28209479177387814
some_clouds = st.builds(cloud, st.integers(1, 40), st.integers(0, 2**32 - 1))


def expected_covariances(gaussians: Gaussians) -> np.ndarray:
    return covariances(gaussians.quats, gaussians.scales)


def columns(vertex: np.ndarray, *names: str) -> np.ndarray:
    return np.stack([vertex[name] for name in names], 1)


@examples(25)
@given(some_clouds)
def test_plyfile_reads_the_ply(gaussians: Gaussians) -> None:
    file = PlyData.read(io.BytesIO(ply_bytes(gaussians)))
    assert [element.name for element in file.elements] == ["vertex"] and not file.text
    vertex = file["vertex"].data
    assert vertex.dtype.names == (
        "x",
        "y",
        "z",
        "nx",
        "ny",
        "nz",
        "f_dc_0",
        "f_dc_1",
        "f_dc_2",
        "opacity",
        "scale_0",
        "scale_1",
        "scale_2",
        "rot_0",
        "rot_1",
        "rot_2",
        "rot_3",
    )
    np.testing.assert_array_equal(half_turned(columns(vertex, "x", "y", "z")), gaussians.means)
    np.testing.assert_allclose(
        0.5 + SH_C0 * columns(vertex, "f_dc_0", "f_dc_1", "f_dc_2"), gaussians.colors, atol=1e-6
    )
    np.testing.assert_allclose(
        1 / (1 + np.exp(-vertex["opacity"].astype(np.float64))), gaussians.opacities, atol=2e-6
    )
    scales, quats = (
        np.exp(columns(vertex, "scale_0", "scale_1", "scale_2")),
        columns(vertex, "rot_0", "rot_1", "rot_2", "rot_3"),
    )
    found = Y_DOWN @ covariances(quats, scales) @ Y_DOWN
    assert covariance_error(found, expected_covariances(gaussians)) < 1e-5


def test_opacities_of_one_and_nought_have_finite_logits() -> None:
    gaussians = cloud(2, 0)
    edges = Gaussians(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        np.array([0, 1], np.float32),
        gaussians.colors,
    )
    logits = PlyData.read(io.BytesIO(ply_bytes(edges)))["vertex"]["opacity"]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits.astype(np.float64))), [0, 1], atol=2e-6)


def test_gsply_reads_the_ply_as_gaussians(tmp_path: Path) -> None:
    gaussians = cloud(500, 1)
    (tmp_path / "a.ply").write_bytes(ply_bytes(gaussians))
    read = gsply.plyread(str(tmp_path / "a.ply"))
    np.testing.assert_array_equal(half_turned(read.means), gaussians.means)
    np.testing.assert_allclose(np.exp(read.scales), gaussians.scales, rtol=1e-5)
    np.testing.assert_allclose(0.5 + SH_C0 * read.sh0, gaussians.colors, atol=1e-6)


def read_spz(content: bytes, folder: Path) -> Any:
    (folder / "a.spz").write_bytes(content)
    return gsply.read_spz(folder / "a.spz")


@examples(25)
@given(some_clouds)
def test_gsply_reads_the_spz(
    tmp_path_factory: pytest.TempPathFactory, gaussians: Gaussians
) -> None:
    content = spz_bytes(gaussians)
    read = read_spz(content, tmp_path_factory.mktemp("spz"))
    np.testing.assert_allclose(read.means, gaussians.means, rtol=0, atol=0.51 / 2**20)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-read.opacities.astype(np.float64))), gaussians.opacities, atol=0.51 / 255
    )
    np.testing.assert_allclose(
        0.5 + SH_C0 * read.sh0, gaussians.colors, atol=0.51 / 255 / 0.15 * SH_C0
    )
    np.testing.assert_allclose(read.scales, np.log(gaussians.scales), atol=0.51 / 16)
    # with the scales as they were, what remains is the rounding of quaternions to 8 bits a component: 1.6 degrees at most
    found = covariances(read.quats, gaussians.scales)
    assert covariance_error(found, expected_covariances(gaussians)) < 2 * np.sqrt(2) * np.radians(
        1.6
    )


def test_spz_has_the_header_that_every_reader_knows() -> None:
    content = gzip.decompress(spz_bytes(cloud(7, 3)))
    assert struct.unpack("<IIIBBBB", content[:16]) == (0x5053474E, 2, 7, 0, 20, 0, 0)
    assert len(content) == 16 + 7 * (9 + 1 + 3 + 3 + 3)


def test_spz_gives_up_precision_for_reach_and_says_where_that_ends(tmp_path: Path) -> None:
    far = cloud(50, 4, reach=500)
    np.testing.assert_allclose(
        read_spz(spz_bytes(far), tmp_path).means, far.means, atol=0.51 / 2**14
    )
    with pytest.raises(UserError, match="export another format"):
        spz_bytes(cloud(50, 4, reach=2e4))


@examples(25)
@given(some_clouds)
def test_splat_is_32_bytes_a_gaussian_as_its_first_viewer_reads_it(gaussians: Gaussians) -> None:
    """By the layout in antimatter15/splat's main.js: 6 floats, rgba, quaternion wxyz as (byte - 128) / 128."""
    content = splat_bytes(gaussians)
    assert len(content) == 32 * len(gaussians)
    rows = [struct.unpack_from("<6f4B4B", content, start) for start in range(0, len(content), 32)]
    table = np.array(rows, np.float64)
    weight = gaussians.scales.astype(np.float64).prod(1) * gaussians.opacities
    order = np.argsort(-weight, kind="stable")
    np.testing.assert_array_equal(half_turned(table[:, :3]), gaussians.means[order])
    np.testing.assert_array_equal(table[:, 3:6], gaussians.scales[order])
    np.testing.assert_allclose(table[:, 6:9] / 255, gaussians.colors[order], atol=0.51 / 255)
    np.testing.assert_allclose(table[:, 9] / 255, gaussians.opacities[order], atol=0.51 / 255)
    found = Y_DOWN @ covariances((table[:, 10:] - 128) / 128, gaussians.scales[order]) @ Y_DOWN
    assert covariance_error(found, expected_covariances(gaussians)[order]) < 2 * np.sqrt(
        2
    ) * np.radians(1.6)


def opened(content: bytes) -> Any:
    """With everything present: pygltflib types all of it as optional."""
    return GLTF2.load_from_bytes(content)


def attribute(document: Any, name: str) -> np.ndarray:
    primitive = document.meshes[0].primitives[0]
    accessor = document.accessors[getattr(primitive.attributes, name)]
    view = document.bufferViews[accessor.bufferView]
    dtype = {5126: "<f4", 5123: "<u2"}[accessor.componentType]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
    blob = document.binary_blob()
    assert view.byteOffset % 4 == 0 and view.byteOffset + view.byteLength <= document.buffers[
        0
    ].byteLength <= len(blob)
    return np.frombuffer(blob, dtype, accessor.count * width, view.byteOffset).reshape(
        accessor.count, width
    )


@examples(25)
@given(some_clouds)
def test_pygltflib_reads_the_glb(gaussians: Gaussians) -> None:
    content = glb_bytes(gaussians)
    assert struct.unpack("<III", content[:12]) == (0x46546C67, 2, len(content))
    document = opened(content)
    primitive = document.meshes[0].primitives[0]
    assert primitive.mode == 0 and document.extensionsUsed == ["KHR_gaussian_splatting"]
    assert primitive.extensions["KHR_gaussian_splatting"]["kernel"] == "ellipse"
    assert primitive.extensions["KHR_gaussian_splatting"]["colorSpace"] == "srgb_rec709_display"
    positions = attribute(document, "POSITION")
    np.testing.assert_array_equal(positions, gaussians.means)
    bounds = document.accessors[primitive.attributes.POSITION]
    np.testing.assert_allclose(
        [bounds.min, bounds.max], [positions.min(0), positions.max(0)], rtol=1e-7
    )
    np.testing.assert_array_equal(
        attribute(document, "KHR_gaussian_splatting:SCALE"), gaussians.scales
    )
    np.testing.assert_array_equal(
        attribute(document, "KHR_gaussian_splatting:OPACITY")[:, 0], gaussians.opacities
    )
    np.testing.assert_array_equal(
        attribute(document, "KHR_gaussian_splatting:ROTATION"), gaussians.quats[:, [1, 2, 3, 0]]
    )
    harmonics = attribute(document, "KHR_gaussian_splatting:SH_DEGREE_0_COEF_0")
    np.testing.assert_allclose(0.5 + SH_C0 * harmonics, gaussians.colors, atol=1e-6)


def test_glb_has_colours_in_linear_light_for_programs_without_splats() -> None:
    gaussians = cloud(3, 5)
    grey = np.full((3, 3), [[0.0], [0.5], [1.0]], np.float32)
    content = glb_bytes(
        Gaussians(gaussians.means, gaussians.quats, gaussians.scales, np.ones(3, np.float32), grey)
    )
    colors = attribute(opened(content), "COLOR_0") / 65535
    # sRGB 0.5 is 21.4 % of white's light
    np.testing.assert_allclose(colors[:, 0], [0, 0.2140, 1], atol=1e-4)
    np.testing.assert_array_equal(colors[:, 3], 1)
