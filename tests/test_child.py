"""Nothing in the working directory is executed, whatever lies there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from perse_live.child import installed_program, module_command, python_command

ROOT = Path(__file__).parents[1]
STAGES = ("perse_live", "offline", "export", "runtime")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose modules leave a mark when they are executed; the mark's path."""
    folder, mark = tmp_path / "downloads", tmp_path / "executed"
    folder.mkdir()
    for name in (
        "pip",
        "cv2",
        "torch",
        "json",
        "runpy",
        "numpy",
        "tensorrt",
        "sitecustomize",
        "usercustomize",
    ):
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))  # as `python -m` does
    return mark


def test_python_children_import_nothing_of_the_working_directory(trap: Path) -> None:
    commands = (
        module_command("pip", "--version"),
        python_command(
            "import json, numpy, cv2, runtime.sinks.window; print(json.dumps(sys.argv[1:]))",
            "one",
            "two",
        ),
    )
    said = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in commands
    ]
    assert said[0].startswith("pip ") and said[1].strip() == '["one", "two"]'
    assert not trap.exists()


def test_the_package_is_found_though_the_working_directory_is_not_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An installed package where there is one, else the one that the parent runs from."""
    monkeypatch.chdir(ROOT)
    code = "import perse_live, runtime; print(perse_live.__file__)"
    found = subprocess.run(
        python_command(code), capture_output=True, text=True, check=True
    ).stdout.strip()
    assert Path(found).parents[1] in (ROOT, Path(sysconfig.get_path("purelib")))


def test_programs_of_the_working_directory_are_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "downloads", tmp_path / "bin"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "nvidia-smi").write_text("#!/bin/sh\n")
        (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("PATH", os.pathsep.join((".", "", str(outside))))
    assert installed_program("nvidia-smi") == str(outside / "nvidia-smi")
    monkeypatch.setenv("PATH", os.pathsep.join((".", "")))
    assert installed_program("nvidia-smi") is None
    assert installed_program("nvidia-smi", more_folders=(str(outside),)) == str(
        outside / "nvidia-smi"
    )


def test_no_module_starts_python_in_any_other_way() -> None:
    for stage in STAGES:
        for path in (ROOT / stage).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            # The second asks what torch will find, and starts nothing found so
            if path.name not in ("child.py", "toolchain.py"):
                assert "sys.executable" not in text and "shutil.which" not in text, (
                    f"{path}: use perse_live.child"
                )


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import perse_live.jit",
        "import offline",
        "import offline.segment.matte",
        "import numba; import perse_live.jit",
    ],
)
def test_a_numba_configuration_in_the_working_directory_is_not_read(
    tmp_path: Path, imports: str
) -> None:
    """It may name the folder of cached machine code, which is pickled."""
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {tmp_path}\ndisable_jit: 1\n")
    code = f"{imports}\nfrom numba.core import config\nconfig.reload_config()\nprint([config.CACHE_DIR, config.DISABLE_JIT])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")},
    )
    assert done.stdout.strip() == "['', 0]"
    if not imports.startswith("import numba"):
        assert done.stderr == ""
