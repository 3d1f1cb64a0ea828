"""A long film from a video model of few frames: overlapping windows that are blended in latent space at every denoising step.

CHAMP (Zhu et al., ECCV 2024) denoises long films in windows of 24 frames that overlap by 4, and averages what overlapping windows
predict at every step, as MultiDiffusion does for panoramas (Bar-Tal et al., ICML 2023). That needs the loop over the steps; a
diffusers pipeline has its own, and only calls back at the end of each step. So windows are denoised one after the other. At the
end of each step, the latents of the frames that a window shares with the one before it are mixed with those which the former had
at that step, by weights that rise linearly over the shared frames. All windows start from one noise of the whole film.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

FRAMES = 2
"""The axis of the frames in a pipeline's latents (1, C, T, h, w)."""


@dataclass(frozen=True)
class LatentLayout:
    """How the latents of a pipeline relate to frames."""

    channels: int
    frames_per_latent: int
    """1 where each frame has a latent of its own. Where it is n > 1, the first latent is of one frame and each further one of the
    n frames after it, as in the causal video autoencoders of Wan and EasyAnimate."""
    pixels_per_latent: int
    references: int = 0
    """Latents of reference pictures that stand before those of the frames."""

    def of_frames(self, frames: int) -> int:
        """How many latents a film of so many frames has, without those of reference pictures."""
        return (frames - 1) // self.frames_per_latent + 1

    def fitting(self, frames: int) -> int:
        """The least number of frames, not fewer than these, that the latents divide evenly."""
        return 1 + -(-(frames - 1) // self.frames_per_latent) * self.frames_per_latent


def windows_of(frames: int, length: int, overlap: int) -> list[range]:
    """Windows that cover a film: of equal length, each sharing at least `overlap` frames with the one before it.

    The last one is moved back so that it ends with the film; a film shorter than a window is one. Where a latent stands for
    several frames, all of these count latents. Raises ValueError unless 0 <= overlap < length.
    """
    if not 0 <= overlap < length:
        raise ValueError(f"windows of {length} that overlap by {overlap}")
    if frames <= length:
        return [range(frames)]
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [range(start, start + length) for start in starts]


def crossfade(shared: int) -> torch.Tensor:
    """(shared,) weights of a window in the frames that it shares with the one before it: linear, 0 and 1 beside them."""
    return torch.arange(1, shared + 1, dtype=torch.float32) / (shared + 1)


@dataclass
class WindowBlend:
    """Mixes each window's latents with those of the window before it, while both are denoised; for one film."""

    layout: LatentLayout
    _before: list[torch.Tensor] = field(default_factory=list[torch.Tensor])
    """Of every step: the latents of the window before this one, from where this one starts."""

    def callback(
        self, shared: int, kept_from: int
    ) -> Callable[[Any, int, Any, Mapping[str, Any]], dict[str, Any]]:
        """A pipeline's `callback_on_step_end` for the next window.

        shared: latents that it has in common with the window before it; kept_from: the latent of this window at which the next
        one starts.
        """
        before, kept = self._before, list[torch.Tensor]()
        self._before = kept
        # The first latent of a window stands for one frame, but for several in the window before it
        first = 0 if self.layout.frames_per_latent == 1 else 1
        lead = self.layout.references

        def on_step_end(_: Any, step: int, __: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
            latents: torch.Tensor = tensors["latents"]
            if shared > first and before:
                mixed = latents.clone()
                window = mixed.narrow(FRAMES, lead + first, shared - first)
                earlier = before[step].narrow(FRAMES, first, shared - first).to(window)
                weights = crossfade(shared)[first:].reshape(-1, 1, 1).to(window)
                window.copy_(torch.lerp(earlier, window, weights))
                latents = mixed
            kept.append(latents[:, :, lead + kept_from :].detach().to("cpu", copy=True))
            return {"latents": latents}

        return on_step_end


def film_noise(
    layout: LatentLayout, frames: int, height: int, width: int, seed: int
) -> torch.Tensor:
    """(1, C, references + T, h, w) standard normal noise of a whole film of height x width pixels.

    By the seed alone: a longer film starts with the same.
    """
    shape = (1, layout.channels, 1, height // layout.pixels_per_latent)
    shape = (*shape, width // layout.pixels_per_latent)
    generator = torch.Generator().manual_seed(seed)
    count = layout.references + layout.of_frames(frames)
    return torch.cat([torch.randn(shape, generator=generator) for _ in range(count)], FRAMES)


def window_noise(layout: LatentLayout, noise: torch.Tensor, window: range) -> torch.Tensor:
    """A window's part of `film_noise`: what the same frame starts from is the same in every window. window: counts latents."""
    lead = layout.references
    return torch.cat(
        [noise[:, :, :lead], noise[:, :, lead + window.start : lead + window.stop]], FRAMES
    )
