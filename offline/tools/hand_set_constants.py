"""Lines and hand-set constants of the builder by folder, as in docs/measures.md: `python -m offline.tools.hand_set_constants`.

Named are numbers assigned at the level of a module, and defaults of a dataclass's fields; literals are all other numbers in
functions but -1, 0, 1/2, 1, 2 and 3. Looks, editing, training, animation and data sets are no part of a build.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ELSEWHERE = ("looks", "editing", "training", "animation", "dataset", "tools")
_PLAIN = (0, 0.5, 1, 2, 3)


@dataclass(frozen=True)
class Count:
    """Of one or more modules."""

    lines: int
    named: int
    literals: int

    def __add__(self, other: Count) -> Count:
        return Count(
            self.lines + other.lines, self.named + other.named, self.literals + other.literals
        )


def count(source: str) -> Count:
    """Lines and constants of a module's source."""
    tree = ast.parse(source)
    fields = [node for one in ast.walk(tree) if isinstance(one, ast.ClassDef) for node in one.body]
    named = sum(_names(node) for node in tree.body) + sum(
        _names(node) for node in fields if isinstance(node, ast.AnnAssign)
    )
    inside = {
        id(node): value
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node, value in _numbers(function)
    }
    literals = sum(abs(value) not in _PLAIN for value in inside.values())
    return Count(source.count("\n"), named, literals)


def count_folders(package: Path) -> dict[str, Count]:
    """The counts of each folder of the builder's package; "." are the modules beside them."""
    counts: defaultdict[str, Count] = defaultdict(lambda: Count(0, 0, 0))
    for path in sorted(package.rglob("*.py")):
        folder = path.relative_to(package).parts[0] if path.parent != package else "."
        if folder not in _ELSEWHERE:
            counts[folder] += count(path.read_text())
    return dict(counts)


def _names(node: ast.stmt) -> int:
    """How many names a statement assigns numbers to."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return 0
    if not any(_numbers(node.value)):
        return 0
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return len(target.elts) if isinstance(target, ast.Tuple) else 1


def _numbers(node: ast.AST) -> Iterator[tuple[ast.Constant, float]]:
    for one in ast.walk(node):
        if not isinstance(one, ast.Constant) or isinstance(one.value, bool):
            continue
        if isinstance(one.value, int | float):
            yield one, float(one.value)


def main() -> None:
    """Print the table."""
    counts = count_folders(Path(__file__).parents[1])
    print("| folder | lines | named constants | other literals |\n|---|---|---|---|")
    for folder, one in [*counts.items(), ("all", sum(counts.values(), Count(0, 0, 0)))]:
        print(f"| {folder} | {one.lines:,} | {one.named} | {one.literals} |")


if __name__ == "__main__":
    main()
