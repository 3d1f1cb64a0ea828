from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from offline.animation.windows import (
    LatentLayout,
    WindowBlend,
    crossfade,
    film_noise,
    window_noise,
    windows_of,
)

LAYOUT = LatentLayout(channels=2, frames_per_latent=1, pixels_per_latent=8)


@given(st.integers(1, 600), st.integers(1, 60), st.data())
def test_windows_cover_a_film_and_overlap(frames: int, length: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    windows = windows_of(frames, length, overlap)
    assert windows[0].start == 0 and windows[-1].stop == frames
    assert {len(window) for window in windows} == {min(length, frames)}
    for one, other in pairwise(windows):
        assert one.start < other.start and one.stop - other.start >= overlap


def test_a_window_must_be_longer_than_its_overlap() -> None:
    with pytest.raises(ValueError, match="overlap by 8"):
        windows_of(513, 8, 8)


def test_weights_rise_linearly_and_meet_both_windows() -> None:
    weights = torch.cat([torch.zeros(1), crossfade(4), torch.ones(1)])
    assert torch.allclose(weights.diff(), torch.full((5,), 0.2))
    assert len(crossfade(0)) == 0


def test_a_frame_starts_from_the_same_noise_in_every_window() -> None:
    noise = film_noise(LAYOUT, 20, 64, 48, seed=3)
    assert noise.shape == (1, 2, 20, 8, 6)
    assert torch.equal(noise, film_noise(LAYOUT, 20, 64, 48, seed=3))
    assert not torch.equal(noise, film_noise(LAYOUT, 20, 64, 48, seed=4))
    assert torch.equal(noise, film_noise(LAYOUT, 30, 64, 48, seed=3)[:, :, :20])
    one, other = (window_noise(LAYOUT, noise, window) for window in (range(8), range(5, 13)))
    assert torch.equal(one[:, :, 5:], other[:, :, :3])


def test_latents_of_several_frames_and_of_references_are_counted() -> None:
    layout = LatentLayout(channels=2, frames_per_latent=4, pixels_per_latent=8, references=1)
    assert [layout.of_frames(frames) for frames in (1, 5, 49)] == [1, 2, 13]
    assert [layout.fitting(frames) for frames in (1, 2, 5, 513)] == [1, 5, 5, 513]
    noise = film_noise(layout, 17, 64, 64, seed=0)
    assert noise.shape[2] == 1 + 5
    part = window_noise(layout, noise, range(2, 5))
    assert torch.equal(part[:, :, :1], noise[:, :, :1]), "the reference's own"
    assert torch.equal(part[:, :, 1:], noise[:, :, 3:6])


def denoised(
    blend: WindowBlend, shared: int, kept_from: int, steps: list[torch.Tensor]
) -> list[torch.Tensor]:
    """What a pipeline is left with after each step, the latents of which are given."""
    callback = blend.callback(shared, kept_from)
    return [
        callback(None, k, None, {"latents": latents})["latents"] for k, latents in enumerate(steps)
    ]


@pytest.mark.parametrize("layout", [LAYOUT, LatentLayout(2, 4, 8, references=1)])
def test_each_step_fades_from_the_window_before(layout: LatentLayout) -> None:
    generator = torch.Generator().manual_seed(0)
    lead = layout.references

    def steps() -> list[torch.Tensor]:
        return [torch.randn(1, 2, lead + 6, 3, 3, generator=generator) for _ in range(3)]

    first, second = steps(), steps()
    blend = WindowBlend(layout)
    assert all(map(torch.equal, denoised(blend, 0, 2, first), first))
    mixed = denoised(blend, 4, 6, second)
    begin = 0 if layout.frames_per_latent == 1 else 1
    for step, latents in enumerate(mixed):
        ours, its = latents[:, :, lead:], first[step][:, :, lead + 2 :]
        own = second[step][:, :, lead:]
        for k in range(begin, 4):
            weight = (k + 1) / 5
            expected = (1 - weight) * its[:, :, k] + weight * own[:, :, k]
            assert torch.allclose(ours[:, :, k], expected, atol=1e-6)
        assert torch.equal(ours[:, :, 4:], own[:, :, 4:]), "frames of its own"
        assert torch.equal(latents[:, :, : lead + begin], second[step][:, :, : lead + begin])


def test_windows_that_agree_stay_as_they_are() -> None:
    whole = torch.randn(1, 2, 10, 3, 3, generator=torch.Generator().manual_seed(1))
    blend = WindowBlend(LAYOUT)
    denoised(blend, 0, 4, [whole[:, :, :6]])
    assert torch.allclose(denoised(blend, 2, 6, [whole[:, :, 4:]])[0], whole[:, :, 4:], atol=1e-6)
