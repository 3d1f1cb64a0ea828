"""Our calls have the names and parameters that NVIDIA's real bindings have.

`tensorrt` itself cannot be installed from a package index alone, so its facts are a file that was introspected from version 11.4;
`tensorrt_rtx` has the same Python API and is looked at directly, where it is installed.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import export.engines.compile
import fake_tensorrt
import runtime.engines.nvidia

CLASSES = ("Runtime", "ICudaEngine", "IExecutionContext")
# which class's members are used through which name, in the modules that talk to the bindings
USES: dict[Any, dict[str, str]] = {
    export.engines.compile: {
        "builder": "Builder",
        "parser": "OnnxParser",
        "config": "IBuilderConfig",
        "profile": "IOptimizationProfile",
    },
    runtime.engines.nvidia: {
        "engine": "ICudaEngine",
        "self._context": "IExecutionContext",
        "self._runtime": "Runtime",
    },
}
ONLY_RTX = {"num_compute_capabilities", "set_compute_capability"}


def members_used(module: Any, name: str) -> set[str]:
    """Attributes that a module's code takes of a variable."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == name
    }


@pytest.mark.parametrize("module", USES)
def test_every_member_that_we_use_is_in_tensorrt_11(module: Any) -> None:
    for variable, real in USES[module].items():
        used = members_used(module, variable)
        assert used, f"{variable} is not used any more"
        unknown = used - fake_tensorrt.members(real) - ONLY_RTX
        assert not unknown, f"{real} has no {unknown}"


@pytest.mark.parametrize("module", USES)
def test_every_member_that_we_use_is_in_tensorrt_rtx(module: Any) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    for variable, real in USES[module].items():
        missing = {
            name for name in members_used(module, variable) if not hasattr(getattr(rtx, real), name)
        }
        assert not missing, f"{real} has no {missing}"


@pytest.mark.parametrize("name", CLASSES)
def test_the_stand_in_has_the_real_parameters(name: str) -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    for method, function in vars(getattr(fake_tensorrt, name)).items():
        if method.startswith("_") or not isinstance(function, FunctionType):
            continue
        text = " ".join(str(getattr(getattr(rtx, name), method).__doc__).split())
        signatures = [
            re.findall(r"(\w+):", part) for part in re.findall(rf"{method}\((self: .*?)\) ->", text)
        ]
        assert list(inspect.signature(function).parameters) in signatures, (
            f"{name}.{method}: {signatures}"
        )


def test_flags_that_we_set_are_there() -> None:
    rtx = pytest.importorskip("tensorrt_rtx")
    assert "'TF32'" in fake_tensorrt.FACTS and "'STRONGLY_TYPED'" in fake_tensorrt.FACTS
    assert hasattr(rtx.BuilderFlag, "TF32") and hasattr(
        rtx.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"
    )
    for one in export.engines.compile.COMPUTE_CAPABILITIES:
        assert hasattr(rtx.ComputeCapability, f"SM{one}")
