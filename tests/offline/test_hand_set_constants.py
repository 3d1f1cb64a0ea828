from __future__ import annotations

from pathlib import Path

import offline
from offline.tools.hand_set_constants import Count, count, count_folders

SOURCE = """
_REACH, _FAR = 6.0, 25.0  # pixels
_NAME, _ON = "six", True


@dataclass
class Config:
    step: float = 0.05
    label: str = "none"


def move(x, share=0.3):
    def inner(y):
        return 7 * y
    return -2 * x + 1 + 0.5 * share - 4
"""


def test_named_constants_defaults_and_literals_are_counted_once() -> None:
    assert count(SOURCE) == Count(SOURCE.count("\n"), 3, 3)


def test_the_builder_is_counted_without_looks_and_tools() -> None:
    folders = count_folders(Path(offline.__file__).parent)
    assert {"lift", "rig", "segment", "texture", "refine", "."} <= set(folders)
    assert not {"looks", "tools"} & set(folders)
    assert all(one.lines > 0 for one in folders.values())
