"""Starting Python and other programs so that nothing in the working directory is executed.

Python puts the working directory on `sys.path` for `python -c` and `python -m`, and Windows looks for programs there first. Users
start this program in folders such as Downloads, whose files others have chosen: a `pip.py` there must not run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
_RUN_MODULE = (
    _BOOT + "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def python_command(code: str, *arguments: str) -> list[str]:
    """A command line that runs Python code with this process's import path, without the working directory.

    arguments: `sys.argv[1:]` of the code. The child is isolated (`-I`): PYTHON* variables have no effect on it. Give it a private
    folder as its working directory too, unless it reads relative paths.
    """
    return [sys.executable, "-I", "-c", _BOOT + code, _import_path(), *arguments]


def module_command(module: str, *arguments: str) -> list[str]:
    """As `python_command`, for `python -m MODULE`."""
    return [sys.executable, "-I", "-c", _RUN_MODULE, _import_path(), module, *arguments]


def installed_program(name: str, *, more_folders: tuple[str, ...] = ()) -> str | None:
    """The absolute path of a program in the folders of `$PATH`, relative ones and the working directory excepted.

    more_folders: looked in last.
    """
    for folder in (*os.environ.get("PATH", "").split(os.pathsep), *more_folders):
        if os.path.isabs(folder):
            found = shutil.which(name, path=folder)
            if found is not None and os.path.normcase(os.path.dirname(found)) == os.path.normcase(
                folder.rstrip("/\\") or folder
            ):
                return found
    return None


def _import_path() -> str:
    """The entries of `sys.path` that are safe to import from, as JSON; the folder of this package comes last, wherever it is."""
    here, ours = os.getcwd(), str(Path(__file__).resolve().parents[1])
    entries = [
        entry
        for entry in sys.path
        if os.path.isabs(entry) and not _same(entry, here) and not _same(entry, ours)
    ]
    return json.dumps([*entries, ours])


def _same(one: str, other: str) -> bool:
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))
