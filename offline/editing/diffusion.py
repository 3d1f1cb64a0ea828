"""A user's diffusers pipeline: found, loaded and asked what its call takes."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perse_live.checked import parse_json_object
from perse_live.errors import UserError, gist
from perse_live.extras import missing_extra

_INDEX = "model_index.json"
_MAX_INDEX_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class LoadedPipeline:
    """A pipeline that is ready to be called; for one thread at a time."""

    name: str
    """As the user gave it."""
    pipeline: Any
    folder: Path | None
    """Where it lies; None where it comes from a hub."""

    @property
    def kind(self) -> str:
        """The pipeline's class."""
        return type(self.pipeline).__name__

    @property
    def takes(self) -> frozenset[str]:
        """The names of its call's arguments."""
        return frozenset(inspect.signature(self.pipeline.__call__).parameters)

    def call(self, wanted: dict[str, Any]) -> Any:
        """What the pipeline answers to those of the arguments that it takes.

        Raises UserError, one line, where it fails.
        """
        options = {name: value for name, value in wanted.items() if name in self.takes}
        try:
            return self.pipeline(**options)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{self.name}: the pipeline failed ({gist(error)})") from error


def load_pipeline(
    model: str, *, purpose: str, loader_for: Callable[[str], str], local_only: bool = False
) -> LoadedPipeline:
    """Load a pipeline.

    model: a folder as `save_pretrained` writes it, or a hub id; purpose: what needs it, said where diffusers is missing;
    loader_for: from the class that a folder names ("" for a hub's) to the name of the diffusers class that loads it; local_only:
    fetch nothing. Raises UserError, one line, where there is no such pipeline, or it is damaged.
    """
    try:
        import torch

        diffusers: Any = importlib.import_module("diffusers")
    except ModuleNotFoundError as error:
        raise missing_extra(purpose, "generate", error) from error
    folder = Path(model).expanduser()
    if folder.exists() and not (folder / _INDEX).is_file():
        raise UserError(
            f"{model}: no diffusers pipeline: it has no {_INDEX}; give the folder that save_pretrained wrote"
        )
    local_only = (
        local_only or folder.exists() or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    )
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()  # bars are the command line's own
    loader: Any = getattr(diffusers, loader_for(_kind(folder) if folder.exists() else ""))
    options: dict[str, Any] = {"dtype": _precision(torch), "local_files_only": local_only}
    try:
        pipeline = _loaded(loader, diffusers.DiffusionPipeline, model, options)
    except Exception as error:
        # whatever a damaged folder makes of the loaders: their list is open
        raise UserError(
            f"{model}: the diffusers pipeline cannot be loaded ({gist(error)})"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return LoadedPipeline(model, pipeline, folder if folder.exists() else None)


def offload(pipeline: Any) -> None:
    """Keep the pipeline's models in main memory and move each to the GPU while it works; nothing where there is no GPU."""
    import torch

    if torch.cuda.is_available():
        pipeline.enable_model_cpu_offload()


def _precision(torch: Any) -> Any:
    """What the device computes in: bfloat16, as such models are trained in; half precision on GPUs without it (before Ampere)."""
    if not torch.cuda.is_available():
        return torch.float32
    return (
        torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    )


def _loaded(loader: Any, otherwise: Any, model: str, options: dict[str, Any]) -> Any:
    """By the loader; pipelines that it does not know, as a hub's may be, as what they are."""
    try:
        return loader.from_pretrained(model, **options)
    except ValueError as error:
        if loader is otherwise or "AutoPipeline" not in str(error):
            raise
        return otherwise.from_pretrained(model, **options)


def _kind(folder: Path) -> str:
    """The class that a folder says its pipeline is of."""
    try:
        index = parse_json_object((folder / _INDEX).read_bytes(), max_bytes=_MAX_INDEX_BYTES)
        return str(index["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: its {_INDEX} is damaged ({type(error).__name__}); copy the pipeline again"
        ) from error
