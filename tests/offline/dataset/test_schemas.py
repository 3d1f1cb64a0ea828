"""The JSON schemas of a data set's files hold for what is written, and refuse what other programs could not read."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from data_set_toys import TEST, TRAIN, hat, write_data_set
from offline.dataset.categories import CATEGORIES
from offline.dataset.layout import VERSION
from offline.dataset.manifest import FORMAT
from perse_live.head.expressions import EXPRESSION_NAMES
from toys import toy_avatar

Edit = Callable[[dict[str, Any]], object]


def validator(name: str) -> Draft202012Validator:
    schema = json.loads(
        (files("offline.dataset") / f"schemas/{name}.schema.json").read_text("utf-8")
    )
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set")
    avatar = toy_avatar(gaussians=600)
    write_data_set(path, avatar, hat(avatar))
    return path


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def test_what_is_written_is_as_the_schemas_say(root: Path) -> None:
    validator("manifest").validate(read(root / "manifest.json"))
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("transforms*.json"))
    assert len(found) == 6, "three files for the person and for the look"
    for name in found:
        validator("transforms").validate(read(root / name))
    assert len(read(root / "hat-toy" / "transforms.json")["frames"]) == TRAIN + TEST


def test_the_schemas_know_what_the_code_knows() -> None:
    manifest, transforms = validator("manifest").schema, validator("transforms").schema
    assert isinstance(manifest, dict) and isinstance(transforms, dict)
    properties: Any = manifest["properties"]
    assert properties["version"]["const"] == VERSION and properties["format"]["const"] == FORMAT
    look = properties["looks"]["items"]["properties"]
    assert look["category"]["enum"] == [*CATEGORIES, None]
    expression: Any = transforms["$defs"]["frame"]["properties"]["expression"]
    assert tuple(expression["required"]) == tuple(EXPRESSION_NAMES)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("transforms", lambda found: found["frames"][0]["transform_matrix"].pop()),
        ("transforms", lambda found: found["frames"][0].update(mask_path=7)),
        ("transforms", lambda found: found["frames"][0]["expression"].update(smile=0.5)),
        ("transforms", lambda found: found["frames"][0]["expression"].update(jawOpen=1.5)),
        ("transforms", lambda found: found.pop("test_filenames")),
        ("transforms", lambda found: found.pop("fl_x")),
        ("manifest", lambda found: found.update(version=2)),
        ("manifest", lambda found: found["avatar"].update(photo_sha256="unknown")),
        ("manifest", lambda found: found["looks"][0].update(name="../elsewhere")),
    ],
)
def test_what_is_damaged_does_not_pass(root: Path, name: str, edit: Edit) -> None:
    found = read(root / ("manifest.json" if name == "manifest" else "hat-toy/transforms.json"))
    edit(found)
    assert not validator(name).is_valid(found)
