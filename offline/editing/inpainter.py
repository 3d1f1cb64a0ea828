"""A diffusers pipeline as one function: picture, mask and words in, picture out."""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from offline.editing.prompts import NEGATIVE, instruction_for, prompt_for
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.checked import parse_json_object
from perse_live.errors import UserError, gist
from perse_live.extras import missing_extra

_INDEX = "model_index.json"
_MAX_INDEX_BYTES = 1 << 20
_WHOLE = ("FluxFill", "Kontext", "QwenImageEdit", "Edit", "Pix2Pix", "Omni")
"""Parts of pipelines' names that AutoPipelineForInpainting does not know: they are loaded as what they say they are."""
_LARGE, _SMALLEST, _LARGEST = 1024, 64, 1536  # pixels: what transformers are trained on; bounds
_MULTIPLE = 16


class Inpainter:
    """Any inpainting or editing pipeline; for one thread at a time."""

    def __init__(self, model: str, *, local_only: bool = False) -> None:
        """model: a folder as `save_pretrained` writes it, or a hub id; local_only: fetch nothing.

        Raises UserError, one line, where there is no such pipeline, it is damaged or of a kind that neither fills nor edits.
        """
        try:
            import torch

            diffusers: Any = importlib.import_module("diffusers")
        except ModuleNotFoundError as error:
            raise missing_extra("attribute add --text", "generate", error) from error
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
        on_gpu = torch.cuda.is_available()
        kind = _kind(folder) if folder.exists() else ""
        loader: Any = (
            diffusers.DiffusionPipeline
            if any(word in kind for word in _WHOLE)
            else diffusers.AutoPipelineForInpainting
        )
        options: dict[str, Any] = {"dtype": _precision(torch), "local_files_only": local_only}
        try:
            self._pipeline = _loaded(loader, diffusers.DiffusionPipeline, model, options)
        except Exception as error:
            # whatever a damaged folder makes of the loaders: their list is open
            raise UserError(
                f"{model}: the diffusers pipeline cannot be loaded ({gist(error)})"
            ) from error
        self._takes = set(inspect.signature(self._pipeline.__call__).parameters)
        if "image" not in self._takes:
            raise UserError(
                f"{model}: {type(self._pipeline).__name__} edits no pictures: give a pipeline for inpainting"
            )
        if on_gpu:
            self._pipeline.enable_model_cpu_offload()
        self._pipeline.set_progress_bar_config(disable=True)
        self._torch = torch
        self.name = model
        """As it was asked for."""

    def __call__(
        self, rgb: UInt8Array, mask: Float32Array, described: str, *, seed: int, steps: int
    ) -> UInt8Array:
        """A picture with what is described in the mask.

        rgb: (H, W, 3); mask: (H, W) in [0, 1]; the same size, words, seed and steps give the same picture. Outside of the mask it
        is `rgb`, to the bit: pipelines themselves change every pixel.
        """
        size = self._size()
        picture = Image.fromarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_CUBIC))
        hole = Image.fromarray(
            (cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR) > 0.02).astype(np.uint8)
            * 255
        )
        masked = "mask_image" in self._takes
        wanted: dict[str, Any] = {
            "prompt": prompt_for(described) if masked else instruction_for(described),
            "image": picture,
            "mask_image": hole,
            "negative_prompt": NEGATIVE,
            "height": size,
            "width": size,
            "num_inference_steps": steps,
            "strength": 1.0,
            "generator": self._torch.Generator().manual_seed(seed),
            "output_type": "np",
        }
        options = {name: value for name, value in wanted.items() if name in self._takes}
        try:
            drawn = np.asarray(self._pipeline(**options).images[0], np.float32)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"{self.name}: the pipeline failed ({gist(error)})") from error
        if drawn.ndim != 3 or not np.isfinite(drawn).all():
            raise UserError(
                f"{self.name}: the pipeline drew no picture; try another seed or more steps"
            )
        back = (
            np.clip(cv2.resize(drawn, rgb.shape[1::-1], interpolation=cv2.INTER_AREA), 0, 1) * 255
        )
        share = mask[..., None]
        return np.where(share > 0, np.rint(share * back + (1 - share) * rgb), rgb).astype(np.uint8)

    def _size(self) -> int:
        """Pixels a side that the pipeline is made for."""
        unet = getattr(self._pipeline, "unet", None)
        size = _LARGE
        if unet is not None:
            sample = unet.config.sample_size
            latent = int(sample if isinstance(sample, int) else max(sample))
            size = latent * int(getattr(self._pipeline, "vae_scale_factor", 8))
        return int(np.clip(size, _SMALLEST, _LARGEST)) // _MULTIPLE * _MULTIPLE


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
