from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from hypothesis_profiles import examples
from perse_live import container
from perse_live.container import ArraySpec, Schema, load_container, save_container
from perse_live.errors import UserError

SCHEMA = Schema(
    format_name="toy",
    format_version=3,
    arrays={
        "vertices": ArraySpec("float32", ("V", 3), minimum=-2.0, maximum=2.0),
        "triangles": ArraySpec("int32", ("T", 3), index_into="V"),
        "colors": ArraySpec("uint8", ("V", 3)),
        "weights": ArraySpec("float16", ("V",), minimum=0.0, maximum=1.0, optional=True),
    },
    dimensions={"V": (3, 1000)},
    manifest={
        "creator": "text",
        "names": "texts",
        "consent": "object",
        "size": "integer",
        "focal": "number",
        "defaults": "numbers",
    },
)
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "vertices": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3),
    "triangles": np.array([[0, 1, 2], [2, 3, 4]], np.int32),
    "colors": np.arange(15, dtype=np.uint8).reshape(5, 3),
}
MANIFEST: dict[str, Any] = {
    "creator": "tests",
    "names": ["a", "ä"],
    "consent": {"by": "me"},
    "size": 512,
    "focal": 2.5,
    "defaults": [0, 0.5],
}


@pytest.fixture(scope="module")
def sound_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "sound.perse"
    save_container(path, ARRAYS, MANIFEST, SCHEMA)
    return path.read_bytes()


def raw(header: dict[str, Any] | bytes, body: bytes = b"") -> bytes:
    """A safetensors file with any header whatever."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def written(path: Path, content: bytes) -> Path:
    file = path / "hostile.perse"
    file.write_bytes(content)
    return file


def with_metadata(**entries: Any) -> dict[str, Any]:
    return {"format": "toy", "format_version": 3, **MANIFEST, **entries}


def file_of(arrays: dict[str, Any], manifest: dict[str, Any] | str = "") -> bytes:
    text = (
        json.dumps(with_metadata())
        if manifest == ""
        else manifest
        if isinstance(manifest, str)
        else json.dumps(manifest)
    )
    return safetensors.numpy.save(arrays, metadata={"manifest": text})


def refused(path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        load_container(written(path, content), SCHEMA)
    message = str(caught.value)
    assert "hostile.perse" in message
    assert message.isprintable()
    assert len(message) < 600


def test_versions_from_the_oldest_on_are_read(tmp_path: Path) -> None:
    older = replace(SCHEMA, format_version=4, oldest_version=3)
    assert load_container(written(tmp_path, file_of(ARRAYS)), older)[1]["format_version"] == 3
    with pytest.raises(UserError, match="old format version 2"):
        load_container(written(tmp_path, file_of(ARRAYS, with_metadata(format_version=2))), older)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    arrays = {**ARRAYS, "weights": np.linspace(0, 1, 5, dtype=np.float16)}
    save_container(tmp_path / "a.perse", arrays, MANIFEST, SCHEMA)
    loaded, manifest = load_container(tmp_path / "a.perse", SCHEMA)
    assert manifest == with_metadata()
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
        assert loaded[name].flags.writeable
        assert loaded[name].flags.c_contiguous
        assert loaded[name].flags.aligned


def test_any_safetensors_reader_reads_it(tmp_path: Path) -> None:
    save_container(tmp_path / "a.perse", ARRAYS, MANIFEST, SCHEMA)
    np.testing.assert_array_equal(
        safetensors.numpy.load_file(tmp_path / "a.perse")["vertices"], ARRAYS["vertices"]
    )


def test_a_view_with_gaps_is_saved_as_what_it_shows(tmp_path: Path) -> None:
    arrays = {**ARRAYS, "vertices": ARRAYS["vertices"][::-1].astype(np.float32)[:, ::-1]}
    save_container(tmp_path / "a.perse", arrays, MANIFEST, SCHEMA)
    np.testing.assert_array_equal(
        load_container(tmp_path / "a.perse", SCHEMA)[0]["vertices"], arrays["vertices"]
    )


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("vertices", ARRAYS["vertices"].astype(np.float64), "float64 instead of float32"),
        ("vertices", np.zeros((5, 2), np.float32), r"shape \(5, 2\)"),
        ("vertices", np.zeros((5,), np.float32), r"shape .5,?. instead of .V, 3."),
        ("vertices", np.zeros((2, 3), np.float32), "V = 2, outside 3 to 1000"),
        ("vertices", np.full((5, 3), np.nan, np.float32), "not finite"),
        ("vertices", np.full((5, 3), -np.inf, np.float32), "not finite"),
        ("vertices", np.full((5, 3), 2.5, np.float32), "above 2"),
        ("vertices", np.full((5, 3), -2.5, np.float32), "below -2"),
        ("triangles", np.full((2, 3), 5, np.int32), "index 5, outside 0 to 4"),
        ("triangles", np.full((2, 3), -1, np.int32), "index -1"),
        ("colors", np.zeros((6, 3), np.uint8), "V = 5"),
        ("weights", np.zeros(4, np.float16), "V = 5"),
        ("surprise", np.zeros(1, np.float32), "unknown array"),
    ],
)
def test_contents_outside_the_schema_are_neither_written_nor_read(
    tmp_path: Path, name: str, array: np.ndarray[Any, Any], reason: str
) -> None:
    arrays = {**ARRAYS, name: array}
    with pytest.raises(ValueError, match=reason):
        save_container(tmp_path / "a.perse", arrays, MANIFEST, SCHEMA)
    assert not (tmp_path / "a.perse").exists()
    refused(tmp_path, file_of(arrays), reason.replace("float64", "'F64'"))


@pytest.mark.parametrize("name", ["vertices", "triangles", "colors"])
def test_a_missing_array_is_named(tmp_path: Path, name: str) -> None:
    refused(
        tmp_path,
        file_of({key: value for key, value in ARRAYS.items() if key != name}),
        f"array '{name}' is missing",
    )


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({}, "does not say that it is a toy file"),
        ({"format": "other", "format_version": 3}, "does not say"),
        ({"format": "toy"}, "format version is missing"),
        ({"format": "toy", "format_version": True}, "format version is missing"),
        ({"format": "toy", "format_version": "3"}, "format version is missing"),
        ({"format": "toy", "format_version": 4}, "update perse-live"),
        ({"format": "toy", "format_version": 2}, "old format version 2"),
        (with_metadata(creator=5), "no text 'creator'"),
        (with_metadata(names=["a", 1]), "no texts 'names'"),
        (with_metadata(consent=[]), "no object 'consent'"),
        (with_metadata(size=5.5), "no integer 'size'"),
        (with_metadata(focal="2"), "no number 'focal'"),
        (with_metadata(focal=10**400), "a number of 401 characters"),
        (with_metadata(defaults=[None]), "no numbers 'defaults'"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"format": "toy", "format": "toy"}', "stands twice"),
        ('{"format": NaN}', "JSON number NaN"),
        ('{"format": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested more than 16 deep"),
        ('{"format": ' + "[" * 40 + "]" * 40 + "}", "nested more than 16 deep"),
        ('{"format": ' + "9" * 10_000 + "}", "a number of 10000 characters"),
        ('{"format_version": 1' + "0" * 30 + "}", "an integer beyond 2.53"),
        ('{"format": 1e999}', "beyond what a double holds"),
        ('{"format": "\\ud800"}', "not Unicode"),
    ],
)
def test_a_manifest_outside_the_schema_is_refused(
    tmp_path: Path, manifest: dict[str, Any] | str, reason: str
) -> None:
    refused(tmp_path, file_of(ARRAYS, manifest), reason)


ENTRY = {"dtype": "F32", "shape": [5, 3], "data_offsets": [0, 60]}
META = {"manifest": json.dumps(with_metadata())}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut short"),
        (b"\x00" * 7, "cut short"),
        (b"\xff" * 8, "cut short"),
        (b"hello, this is a text file\n", "cut short"),
        (struct.pack("<Q", 2**63) + b"{}", "cut short"),
        (raw(b" " * (container.MAX_HEADER_BYTES + 1)), "header has"),
        (raw(b"\xff\xfe"), "not UTF-8"),
        (raw({}), "no manifest"),
        (raw({"__metadata__": []}), "no manifest"),
        (raw({"__metadata__": {"manifest": 5}}), "not text"),
        (raw({"__metadata__": {**META, "more": "x"}}), "no manifest"),
        (raw({"__metadata__": META, "vertices": 5}), "not declared properly"),
        (raw({"__metadata__": META, "vertices": {**ENTRY, "dtype": "F8_E4M3"}}), "F8_E4M3"),
        (
            raw({"__metadata__": META, "vertices": {**ENTRY, "dtype": None}}),
            "None instead of float32",
        ),
        (raw({"__metadata__": META, "vertices": {**ENTRY, "shape": 15}}), "shape 15"),
        (
            raw({"__metadata__": META, "vertices": {**ENTRY, "shape": [2**40, 3]}}, bytes(60)),
            "damaged arrays",
        ),
        (
            raw({"__metadata__": META, "vertices": {**ENTRY, "shape": [2**63, 2**63]}}, bytes(60)),
            "beyond 2.53",
        ),
        (
            raw({"__metadata__": META, "vertices": {**ENTRY, "shape": [2**53, 2**53]}}, bytes(60)),
            "damaged arrays",
        ),
        (
            raw({"__metadata__": META, "vertices": {**ENTRY, "shape": [-5, 3]}}, bytes(60)),
            "damaged arrays",
        ),
        (
            raw({"__metadata__": META, "vertices": {**ENTRY, "data_offsets": [60, 0]}}, bytes(60)),
            "damaged arrays",
        ),
        (
            raw(
                {"__metadata__": META, "vertices": {**ENTRY, "data_offsets": [2**62, 2**62 + 60]}},
                bytes(60),
            ),
            "beyond 2.53",
        ),
        (
            raw(
                {"__metadata__": META, "vertices": {**ENTRY, "data_offsets": [2**52, 2**52 + 60]}},
                bytes(60),
            ),
            "damaged arrays",
        ),
        (raw({"__metadata__": META, "vertices": ENTRY}, bytes(59)), "damaged arrays"),
        (raw({"__metadata__": META, "vertices": ENTRY}, bytes(61)), "damaged arrays"),
        (raw({"__metadata__": META, "\x1b[2Jboo" * 1000: ENTRY}, bytes(60)), "unknown array"),
    ],
)
def test_a_hostile_container_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    refused(tmp_path, content, reason)


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_container(tmp_path / "nowhere.perse", SCHEMA)
    with pytest.raises(UserError, match="not an ordinary file"):
        load_container(tmp_path, SCHEMA)
    os.mkfifo(tmp_path / "pipe.perse")
    with pytest.raises(UserError, match="not an ordinary file"):
        load_container(tmp_path / "pipe.perse", SCHEMA)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.perse"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file: no disk space
    with pytest.raises(UserError, match="larger than the 64 MiB"):
        load_container(path, SCHEMA)


def test_an_index_into_a_dimension_that_no_array_has_is_refused(tmp_path: Path) -> None:
    schema = Schema("toy", 3, {"index": ArraySpec("uint16", ("N",), index_into="V")})
    with pytest.raises(ValueError, match="indexes V"):
        save_container(tmp_path / "a.perse", {"index": np.zeros(2, np.uint16)}, {}, schema)


FUZZ = examples(200, allowed=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_every_cut_is_refused(data: st.DataObject, sound_file: bytes, tmp_path: Path) -> None:
    length = data.draw(st.integers(0, len(sound_file) - 1))
    with pytest.raises(UserError):
        load_container(written(tmp_path, sound_file[:length]), SCHEMA)


@FUZZ
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_within_the_schema(
    data: st.DataObject, sound_file: bytes, tmp_path: Path
) -> None:
    damaged = bytearray(sound_file)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        arrays, manifest = load_container(written(tmp_path, bytes(damaged)), SCHEMA)
    except UserError:
        return
    # Checks everything once more
    save_container(tmp_path / "again.perse", arrays, manifest, SCHEMA)
    assert 0 <= arrays["triangles"].min() <= arrays["triangles"].max() < len(arrays["vertices"])


@FUZZ
@given(content=st.binary(max_size=400))
def test_noise_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_container(written(tmp_path, raw(content)), SCHEMA)
