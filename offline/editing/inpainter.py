"""A diffusers pipeline as one function: picture, mask and words in, picture out."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from PIL import Image

from offline.editing.diffusion import load_pipeline, offload
from offline.editing.prompts import NEGATIVE, instruction_for, prompt_for
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.errors import UserError

_WHOLE = ("FluxFill", "Kontext", "QwenImageEdit", "Edit", "Pix2Pix", "Omni")
"""Substrings of names of pipelines that AutoPipelineForInpainting does not know: these are loaded by their class."""
_LARGE, _SMALLEST, _LARGEST = 1024, 64, 1536  # pixels: what transformers are trained on; bounds
_MULTIPLE = 16


class Inpainter:
    """Any inpainting or editing pipeline; for one thread at a time."""

    def __init__(self, model: str, *, local_only: bool = False) -> None:
        """model: a folder as `save_pretrained` writes it, or a hub id; local_only: fetch nothing.

        Raises UserError, one line, where there is no such pipeline, it is damaged, or it neither inpaints nor edits pictures.
        """
        self._loaded = load_pipeline(
            model,
            purpose="attribute add --text",
            loader_for=lambda kind: (
                "DiffusionPipeline"
                if any(word in kind for word in _WHOLE)
                else "AutoPipelineForInpainting"
            ),
            local_only=local_only,
        )
        if "image" not in self._loaded.takes:
            raise UserError(
                f"{model}: {self._loaded.kind} edits no pictures: give a pipeline for inpainting"
            )
        offload(self._loaded.pipeline)
        self.name = model
        """The folder or hub id as given."""

    def __call__(
        self, rgb: UInt8Array, mask: Float32Array, described: str, *, seed: int, steps: int
    ) -> UInt8Array:
        """The picture with what the words describe painted inside the mask.

        rgb: (H, W, 3); mask: (H, W) in [0, 1]; the same size, words, seed and steps give the same picture. Outside of the mask it
        is `rgb`, to the bit: pipelines themselves change every pixel.
        """
        import torch

        size = self._size()
        picture = Image.fromarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_CUBIC))
        hole = Image.fromarray(
            (cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR) > 0.02).astype(np.uint8)
            * 255
        )
        masked = "mask_image" in self._loaded.takes
        wanted: dict[str, Any] = {
            "prompt": prompt_for(described) if masked else instruction_for(described),
            "image": picture,
            "mask_image": hole,
            "negative_prompt": NEGATIVE,
            "height": size,
            "width": size,
            "num_inference_steps": steps,
            "strength": 1.0,
            "generator": torch.Generator().manual_seed(seed),
            "output_type": "np",
        }
        drawn = np.asarray(self._loaded.call(wanted).images[0], np.float32)
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
        unet = getattr(self._loaded.pipeline, "unet", None)
        size = _LARGE
        if unet is not None:
            sample = unet.config.sample_size
            latent = int(sample if isinstance(sample, int) else max(sample))
            size = latent * int(getattr(self._loaded.pipeline, "vae_scale_factor", 8))
        return int(np.clip(size, _SMALLEST, _LARGEST)) // _MULTIPLE * _MULTIPLE
