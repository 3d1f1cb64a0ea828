"""Any diffusers video pipeline whose call takes reference pictures and control frames, for films of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from offline.animation.windows import (
    LatentLayout,
    WindowBlend,
    film_noise,
    window_noise,
    windows_of,
)
from offline.editing.diffusion import LoadedPipeline, load_pipeline, offload
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError, gist

Guide = Literal["depth", "normals", "semantic", "landmarks"]
GUIDES: tuple[Guide, ...] = ("depth", "normals", "semantic", "landmarks")
"""What CHAMP steers by, in its order."""
GuidePictures = Mapping[Guide, UInt8Array]
"""The guides of one frame as pictures (H, W, 3)."""

_REFERENCES = ("ip_adapter_image", "reference_images", "ref_image")
"""Names under which calls take a picture of the person: AnimateDiff, Wan VACE, EasyAnimate."""
_CONTROLS = ("conditioning_frames", "control_video")
"""Names under which calls take control frames: AnimateDiff; EasyAnimate and CogVideoX-Fun."""
_VACE = frozenset({"video", "mask", "reference_images"})
"""Wan VACE's call: its control frames are the video, and without a mask it draws over all of them."""
_NEEDED = ("callback_on_step_end", "latents")
_WORDS: Mapping[Guide, tuple[str, ...]] = {
    "depth": ("depth",),
    "normals": ("normal",),
    "semantic": ("seg", "semantic"),
    "landmarks": ("landmark", "mediapipe", "openpose", "pose", "face"),
}
"""What the names of ControlNets say of what they take, in the order in which they are tried."""
_ADAPTER = "ip_adapter"
"""The folder inside a pipeline's folder that holds an IP-Adapter: `save_pretrained` does not write one."""
_WEIGHTS = (".safetensors", ".bin")
_WINDOW, _LONG_WINDOW = (
    16,
    49,
)  # frames: of AnimateDiff's motion modules; of models with causal video autoencoders
_MULTIPLE = 16  # pixels of height and width
_MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class VideoConfig:
    """How a film is drawn."""

    prompt: str = ""
    negative_prompt: str = ""
    steps: int = 25
    """Of the diffusion."""
    seed: int = 0
    size: int = 512
    """Pixels a side: what Stable Diffusion 1.5, on which AnimateDiff stands, was trained on."""
    window: int | None = None
    """Frames that are drawn at once; None: 16, as AnimateDiff's motion modules were trained with, or 49 where a latent stands for
    several frames."""
    overlap: int | None = None
    """Frames that neighbouring windows share; None: half a window."""
    control: float = 1.0
    """How strongly the guides steer, all of them together: each ControlNet gets its share, since they say the same."""


class VideoPipeline:
    """A guided video pipeline; for one thread at a time."""

    def __init__(self, loaded: LoadedPipeline, *, guides: Sequence[Guide] = ()) -> None:
        """guides: what its control inputs take, in their order; empty: by the names of its ControlNets.

        Raises UserError, one line, for a pipeline that takes no control frames or no picture of the person, or that cannot be
        blended in windows, and where it is not known what its ControlNets take.
        """
        takes, kind = loaded.takes, f"{loaded.name}: {loaded.kind}"
        self._loaded = loaded
        self._vace = takes >= _VACE
        self._control = "video" if self._vace else _first(_CONTROLS, takes)
        self._reference = _first(_REFERENCES, takes)
        listed = ", ".join(sorted(takes - {"self"}))
        if self._control is None:
            raise UserError(
                f"{kind} takes no control frames ({' or '.join(_CONTROLS)}): it takes {listed};"
                " give one such as AnimateDiffControlNetPipeline"
            )
        if self._reference is None:
            raise UserError(
                f"{kind} takes no picture of the person ({', '.join(_REFERENCES)}): it takes {listed};"
                " give one such as AnimateDiffControlNetPipeline"
            )
        missing = [name for name in _NEEDED if name not in takes]
        if missing:
            raise UserError(
                f"{kind} does not take {' and '.join(missing)}, without which windows cannot be blended;"
                " give one such as AnimateDiffControlNetPipeline"
            )
        self._several = hasattr(getattr(loaded.pipeline, "controlnet", None), "nets")
        self.guides = _guides(loaded, guides)
        """What its control inputs take."""
        self.layout = _layout(loaded.pipeline, references=int(self._vace))

    @property
    def name(self) -> str:
        """As the user gave it."""
        return self._loaded.name

    def film(
        self,
        reference: UInt8Array,
        frames: int,
        guides_of: Callable[[int], GuidePictures],
        config: VideoConfig,
        told: Callable[[float], None] | None = None,
    ) -> Iterator[Float32Array]:
        """The frames (size, size, 3) of a film in [0, 1], in order, as they become known.

        reference: (H, W, 3) the person in the look; frames: how many; guides_of: the guides of a frame by its number, asked
        window by window, some twice; told: which share of the film's denoising steps is done, after each of them. The same
        arguments give the same film. Raises UserError where the pipeline fails.
        """
        layout, size = self.layout, max(config.size // _MULTIPLE, 1) * _MULTIPLE
        padded = layout.fitting(
            frames
        )  # the last frame is repeated where latents stand for several
        windows = self._windows(padded, config)
        noise = film_noise(layout, padded, size, size, config.seed)
        blend = WindowBlend(layout)
        before = range(0)
        for number, (window, after) in enumerate(pairwise([*windows, None])):
            assert window is not None
            shared = before.stop - window.start
            callback = _telling(
                blend.callback(
                    shared, len(window) if after is None else after.start - window.start
                ),
                lambda share, done=number: (told or _unheard)((done + share) / len(windows)),
                config.steps,
            )
            spans = self._frames_of(window)
            numbers = [min(number, frames - 1) for number in spans]
            drawn = self._drawn(
                _square(reference, size),
                [{k: _square(v, size) for k, v in guides_of(number).items()} for number in numbers],
                window_noise(layout, noise, window),
                callback,
                config,
                size,
            )
            # The first latent of a window is of one frame, whose latent the window before knows better
            begin = 1 if layout.frames_per_latent > 1 and shared > 0 else 0
            end = spans.stop if after is None else self._settled(after)
            for k in range(begin, len(spans)):
                if spans[k] < min(end, frames):
                    yield drawn[k]
            before = window

    def _windows(self, frames: int, config: VideoConfig) -> list[range]:
        """Windows that count latents."""
        layout = self.layout
        per = layout.frames_per_latent
        length = layout.of_frames(config.window or (_WINDOW if per == 1 else _LONG_WINDOW))
        overlap = length // 2 if config.overlap is None else -(-config.overlap // per)
        if not 0 <= overlap < length:
            raise UserError(
                f"windows of {config.window} frames cannot overlap by {config.overlap}: take fewer"
            )
        return windows_of(layout.of_frames(frames), length, overlap)

    def _frames_of(self, window: range) -> range:
        """The frames of a window that counts latents."""
        per = self.layout.frames_per_latent
        return range(window.start * per, (window.stop - 1) * per + 1)

    def _settled(self, after: range) -> int:
        """The frame up to which a window's frames are final, given the window after it."""
        first = self._frames_of(after).start
        return first if self.layout.frames_per_latent == 1 else first + 1

    def _drawn(
        self,
        reference: UInt8Array,
        guides: Sequence[GuidePictures],
        noise: Any,
        callback: Any,
        config: VideoConfig,
        size: int,
    ) -> Float32Array:
        """One window, (F, size, size, 3)."""
        import torch

        controls = [[Image.fromarray(frame[guide]) for frame in guides] for guide in self.guides]
        several, count = self._several, len(controls)
        picture = Image.fromarray(reference)
        wanted: dict[str, Any] = {
            "prompt": config.prompt,
            "negative_prompt": config.negative_prompt,
            "num_frames": len(guides),
            "height": size,
            "width": size,
            "num_inference_steps": config.steps,
            "generator": torch.Generator().manual_seed(config.seed),
            "latents": noise.to(self._loaded.pipeline.dtype),
            "controlnet_conditioning_scale": [config.control / count] * count
            if several
            else config.control,
            "conditioning_scale": config.control,
            "callback_on_step_end": callback,
            "callback_on_step_end_tensor_inputs": ["latents"],
            "output_type": "np",
            self._control or "": controls if several else controls[0],
            self._reference or "": [picture] if self._vace else picture,
        }
        drawn = np.asarray(self._loaded.call(wanted).frames[0], np.float32)
        if drawn.shape != (len(guides), size, size, 3) or not np.isfinite(drawn).all():
            raise UserError(
                f"{self.name}: the pipeline drew no film of {len(guides)} frames; try another seed or more steps"
            )
        return np.clip(drawn, 0, 1)


def _unheard(_: float) -> None:
    """For callers that do not ask."""


def _telling(
    callback: Callable[[Any, int, Any, Mapping[str, Any]], dict[str, Any]],
    told: Callable[[float], None],
    steps: int,
) -> Callable[[Any, int, Any, Mapping[str, Any]], dict[str, Any]]:
    """A `callback_on_step_end` that also tells which share of a window's steps is done."""

    def on_step_end(
        pipeline: Any, step: int, timestep: Any, tensors: Mapping[str, Any]
    ) -> dict[str, Any]:
        changed = callback(pipeline, step, timestep, tensors)
        told(min((step + 1) / steps, 1.0))
        return changed

    return on_step_end


def open_video_pipeline(
    model: str, *, guides: Sequence[Guide] = (), local_only: bool = False
) -> VideoPipeline:
    """Load a pipeline, with the IP-Adapter in its folder where it takes one.

    model: a folder as `save_pretrained` writes it, or a hub id. Raises UserError as `load_pipeline` and `VideoPipeline` do, and
    where the IP-Adapter is missing or damaged.
    """
    loaded = load_pipeline(
        model,
        purpose="the video animator",
        loader_for=lambda _: "DiffusionPipeline",
        local_only=local_only,
    )
    video = VideoPipeline(loaded, guides=guides)
    if "ip_adapter_image" in loaded.takes:
        _load_adapter(loaded)
    offload(loaded.pipeline)
    return video


def _load_adapter(loaded: LoadedPipeline) -> None:
    folder = loaded.folder
    there = sorted(
        path.name
        for path in ([] if folder is None else (folder / _ADAPTER).glob("*"))
        if path.suffix in _WEIGHTS
    )
    if folder is None or not there:
        raise UserError(
            f"{loaded.name}: no IP-Adapter, so the person cannot be shown to it: save the pipeline into a folder,"
            f" and put the IP-Adapter's weights and its image_encoder into {_ADAPTER} there"
        )
    try:
        loaded.pipeline.load_ip_adapter(
            str(folder), subfolder=_ADAPTER, weight_name=there[0], local_files_only=True
        )
    except Exception as error:  # as in `load_pipeline`
        raise UserError(
            f"{folder / _ADAPTER}: the IP-Adapter cannot be loaded ({gist(error)})"
        ) from error


def _first(names: Sequence[str], takes: frozenset[str]) -> str | None:
    return next((name for name in names if name in takes), None)


def _layout(pipeline: Any, *, references: int) -> LatentLayout:
    """By the attributes that pipelines of each family have."""
    config = pipeline.vae.config
    channels = config.latent_channels if "latent_channels" in config else config.z_dim

    def known(*names: str) -> int:
        return int(next((getattr(pipeline, name) for name in names if hasattr(pipeline, name)), 1))

    return LatentLayout(
        int(channels),
        known("vae_scale_factor_temporal", "vae_temporal_compression_ratio"),
        known("vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_scale_factor"),
        references,
    )


def _guides(loaded: LoadedPipeline, asked: Sequence[Guide]) -> tuple[Guide, ...]:
    """What each control input takes."""
    nets = getattr(getattr(loaded.pipeline, "controlnet", None), "nets", None)
    count = 1 if nets is None else len(nets)
    if asked:
        if len(asked) != count:
            raise UserError(
                f"{loaded.name}: {len(asked)} guides are named ({', '.join(asked)}), its control inputs are {count}"
            )
        return tuple(asked)
    names = _net_names(loaded.folder, count)
    found: list[Guide | None] = [_guide_of(name) for name in names]
    if count == 1 and found[0] is None:
        return GUIDES[:1]
    if any(one is None for one in found):
        unknown = ", ".join(
            name or "?" for name, one in zip(names, found, strict=True) if one is None
        )
        raise UserError(
            f"{loaded.name}: its {count} ControlNets do not say what they take ({unknown}):"
            f" name one of {', '.join(GUIDES)} for each, in their order"
        )
    return tuple(one for one in found if one is not None)


def _net_names(folder: Path | None, count: int) -> list[str]:
    """What the ControlNets were called where they came from, as `save_pretrained` keeps it."""
    names: list[str] = []
    for number in range(count):
        name = "controlnet" if number == 0 else f"controlnet_{number}"
        try:
            text = ((folder or Path()) / name / "config.json").read_bytes()
            config = parse_json_object(text, max_bytes=_MAX_CONFIG_BYTES)
            names.append(str(config.get("_name_or_path", "")))
        except (OSError, CheckedError):
            names.append("")
    return names


def _guide_of(name: str) -> Guide | None:
    last = Path(name).name.lower()
    return next((guide for guide in GUIDES if any(word in last for word in _WORDS[guide])), None)


def _square(picture: UInt8Array, size: int) -> UInt8Array:
    """A picture (H, W, 3) of size x size pixels."""
    if picture.shape[:2] == (size, size):
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))
