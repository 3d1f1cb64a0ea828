"""The manifest of a folder of engines is untrusted input."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perse_live.engines.folder import (
    MANIFEST,
    EngineFolder,
    GraphFile,
    TensorInfo,
    manifest_text,
    read_folder,
)
from perse_live.errors import UserError

FILE = GraphFile(
    "animate.fp32.onnx",
    "0" * 64,
    5,
    "onnx",
    "animate",
    "fp32",
    "made from",
    "opset 18",
    "any",
    {"batch": (1, 1, 8)},
    (TensorInfo("weights", "float32", ("batch", 3)),),
    (TensorInfo("means", "float32", ("batch", 9)),),
)
FOLDER = EngineFolder(Path("unused"), "me.perse", "1" * 64, "tests", ("hat",), (FILE,))


def written(folder: Path, text: str) -> Path:
    (folder / MANIFEST).write_text(text)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_folder(folder)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 600
    return message


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_folder(written(tmp_path, manifest_text(FOLDER))) == replace(FOLDER, path=tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('"bytes": 5', '"bytes": Infinity', "Infinity"),
        ('"bytes": 5', '"bytes": 1e999', "beyond what a double holds"),
        ('"bytes": 5', f'"bytes": 1{"0" * 400}', "401 characters"),
        ('"bytes": 5', '"bytes": -1', "-1 bytes"),
        ('"bytes": 5', '"bytes": 1000000000000', "1000000000000 bytes"),
        ('"format_version": 2', '"format_version": Infinity', "Infinity"),
        ('"format_version": 2', f'"format_version": {"9" * 5000}', "5000 characters"),
        ('"attributes": [', '"attributes": [' + "[" * 40_000, "nested"),
        ('"animate.fp32.onnx"', '"../secret"', "not a file's name"),
    ],
)
def test_numbers_without_bounds_and_other_damage_are_one_line(
    tmp_path: Path, before: str, after: str, reason: str
) -> None:
    text = manifest_text(FOLDER)
    assert before in text
    assert reason in refused(written(tmp_path, text.replace(before, after, 1)))


@pytest.mark.slow
@given(data=st.data())
def test_any_value_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content: Any = json.loads(manifest_text(FOLDER))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in (
            list(node)
            if isinstance(node, dict)
            else range(len(node))
            if isinstance(node, list)
            else ()
        ):
            places.append((node, key))
            walk(node[key])

    walk(content)
    node, key = data.draw(st.sampled_from(places))
    node[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers(), max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    )
    folder = written(tmp_path_factory.mktemp("engines"), json.dumps(content))
    try:
        read_folder(folder)
    except UserError as error:
        assert "\n" not in str(error)


def test_only_an_ordinary_file_of_the_declared_size_is_read(tmp_path: Path) -> None:
    folder = replace(FOLDER, path=tmp_path)
    os.mkfifo(tmp_path / FILE.file)  # reading it would wait for ever
    with pytest.raises(UserError, match="damaged"):
        folder.read(FILE)
