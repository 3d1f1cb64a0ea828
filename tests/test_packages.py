"""What is installed: the same bytes from the same files, typed, and with words for what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest

from perse_live.errors import UserError
from perse_live.extras import install_command, missing_extra

ROOT = Path(__file__).parents[1]
PACKAGES = ("perse_live", "offline", "export", "runtime")
PROJECT_FILES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")


def built(source: Path, output: Path, *, time: float) -> dict[str, bytes]:
    """Wheel and sdist of a copy of the source tree whose files are of another time."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, source / name)
    for path in source.rglob("*"):
        os.utime(path, (time, time))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(output)],
        check=True,
        cwd=source,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
    )
    return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.fixture(scope="module")
def built_twice(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    return [
        built(tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist"), time=time)
        for time in (1.6e9, 1.7e9)
    ]


def test_two_builds_of_one_source_are_the_same_bytes(built_twice: list[dict[str, bytes]]) -> None:
    first, second = built_twice
    assert sorted(first) == sorted(second) and len(first) == 2
    for name, content in first.items():
        assert content == second[name], name


def test_the_wheel_holds_the_four_packages_typed_with_their_data(
    built_twice: list[dict[str, bytes]], tmp_path: Path
) -> None:
    name = next(name for name in built_twice[0] if name.endswith(".whl"))
    assert name.endswith("-py3-none-any.whl")
    (tmp_path / name).write_bytes(built_twice[0][name])
    with zipfile.ZipFile(tmp_path / name) as wheel:
        names = set(wheel.namelist())
        information = wheel.read(next(one for one in names if one.endswith("METADATA"))).decode()
        modes = {item.external_attr >> 16 & 0o777 for item in wheel.infolist()}
    top = {one.split("/")[0] for one in names if ".dist-info" not in one}
    assert top == set(PACKAGES), "nothing else is put on the path"
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    tracked = {
        str(path.relative_to(ROOT).as_posix())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tracked <= names
    assert modes <= {0o644, 0o755}
    for field in (
        "Project-URL: Documentation, ",
        "Author: The perse-live authors",
        "License-Expression: Apache-2.0",
    ):
        assert field in information


def test_the_sdist_can_be_built_again(built_twice: list[dict[str, bytes]], tmp_path: Path) -> None:
    name = next(name for name in built_twice[0] if name.endswith(".tar.gz"))
    (tmp_path / name).write_bytes(built_twice[0][name])
    with tarfile.open(tmp_path / name) as sdist:
        names = sdist.getnames()
    assert any(one.endswith("/pyproject.toml") for one in names)
    assert any(one.endswith("/perse_live/py.typed") for one in names)


def test_the_version_stands_in_one_place() -> None:
    declared = re.search(
        r'^version = "([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M
    )
    assert declared
    assert f"## [{declared[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert f'"{declared[1]}"' not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/prefix/.venv", 'pip install "perse-live[cuda]"'),
        ("/prefix/.local/share/uv/tools/perse-live", 'uv tool install --force "perse-live[cuda]"'),
        ("/prefix/.cache/uv/archive-v0/abc", 'uvx --from "perse-live[cuda]" perse-live'),
        ("/prefix/.local/share/pipx/venvs/perse-live", 'pipx install --force "perse-live[cuda]"'),
        ("/prefix/.local/share/pipx/.cache/abc", 'pipx run --spec "perse-live[cuda]" perse-live'),
    ],
)
def test_the_command_that_adds_an_extra_is_that_of_the_installer(prefix: str, command: str) -> None:
    assert install_command("cuda", prefix=prefix) == command


def test_what_is_missing_is_one_line_with_the_command() -> None:
    error = missing_extra(
        "exporting graphs", "export", ModuleNotFoundError("No module named 'onnx'", name="onnx")
    )
    assert isinstance(error, UserError)
    assert str(error) == (
        "exporting graphs needs the package onnx, which is not installed: "
        'pip install "perse-live[export]"'
    ).replace("pip install", install_command("export").split(' "')[0])


def test_every_extra_that_messages_name_is_declared() -> None:
    declared = set(metadata("perse-live").get_all("Provides-Extra") or [])
    named: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            named |= set(re.findall(r"perse-live\[([a-z0-9,-]+)\]", text))
            named |= set(re.findall(r"install_command\(\s*['\"]([a-z0-9-]+)['\"]", text))
            named |= set(re.findall(r"missing_extra\([^()]*?,\s*\"([a-z0-9-]+)\"", text))
    assert {"offline", "cuda", "export"} <= named
    assert {extra for one in named for extra in one.split(",")} <= declared
