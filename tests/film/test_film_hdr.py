"""HDR and wide-gamut films become sRGB as their standards say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from hypothesis_profiles import examples
from perse_live.arrays import Float64Array, UInt8Array
from perse_live.film.hdr import (
    Transfer,
    WideColors,
    display_light,
    nits_to_pq,
    pq_to_nits,
    to_srgb_reference,
    tone_mapped,
    wide_colors,
)
from perse_live.film.reader import open_film

# inverse of BT.2407-0, 2.2: linear BT.709 to BT.2020 (ITU-R BT.2087-0, table 2)
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
_LABELS = {
    Transfer.HLG: ("arib-std-b67", 18),
    Transfer.PQ: ("smpte2084", 16),
    Transfer.SDR: ("bt2020-10", 14),
}


def portrait() -> UInt8Array:
    """(192, 256, 3) with a margin for bright lamps."""
    return np.ascontiguousarray(skimage.data.astronaut()[:384:2, :512:2])


def colour_error(a: UInt8Array, b: UInt8Array) -> float:
    """Mean dE76."""
    return float(np.linalg.norm(rgb2lab(a) - rgb2lab(b), axis=-1).mean())


def linear(picture: UInt8Array) -> Float64Array:
    return np.where(picture <= 10, picture / 255 / 12.92, ((picture / 255 + 0.055) / 1.055) ** 2.4)


def coded(transfer: Transfer, nits: Float64Array) -> Float64Array:
    """BT.2100-2, tables 4 and 5, from light to code, written independently."""
    if transfer is Transfer.PQ:
        y = (nits / 10000) ** (2610 / 16384)
        return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)
    if transfer is Transfer.SDR:
        return np.where(nits <= 0.0031308, nits * 12.92, 1.055 * nits ** (1 / 2.4) - 0.055)
    light = nits / 1000
    luminance = np.maximum(light @ np.array([0.2627, 0.6780, 0.0593]), 1e-12)[..., None]
    scene = light * luminance ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def hdr_film(path: Path, transfer: Transfer, white: float, *, lamp: bool = False) -> Path:
    """The portrait with its white at so many cd/m2 in 10 bit BT.2020; lamp: a corner at 1000 cd/m2."""
    light = np.maximum(linear(portrait()) @ TO_BT2020.T, 0) * white
    if lamp:
        light[:40, :60] = 1000
    code = (coded(transfer, light).clip(0, 1) * 65535).round().astype(np.uint16)
    name, number = _LABELS[transfer]
    with av.open(str(path), "w") as container:
        labels = f"log-level=error:colorprim=bt2020:transfer={name}:colormatrix=bt2020nc:qp=1"
        stream = container.add_stream("libx265", rate=25, options={"x265-params": labels})
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
            9,
            9,
            number,
            1,
        )
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(code, format="rgb48le")
            stored = frame.reformat(
                format="yuv420p10le", src_color_range=2, dst_color_range=1, dst_colorspace=9
            )
            container.mux(stream.encode(stored))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("transfer", "white", "lamp"),
    [
        (Transfer.HLG, 203, True),  # as phones film
        (Transfer.HLG, 203, False),
        (Transfer.PQ, 203, True),
        (Transfer.PQ, 203, False),
        (Transfer.PQ, 100, False),  # as SDR films are carried in HDR ones
        (Transfer.SDR, 1, False),  # wide gamut only
    ],
)
def test_an_hdr_film_looks_like_its_sdr_twin(
    tmp_path: Path, transfer: Transfer, white: float, lamp: bool
) -> None:
    path = hdr_film(tmp_path / "film.mp4", transfer, white, lamp=lamp)
    film = open_film(path)
    frame = next(film.frames()).image
    assert film.hdr == (None if transfer is Transfer.SDR else transfer.value)
    assert (film.warnings() == ()) == (transfer is Transfer.SDR)
    shown = slice(40, None) if lamp else slice(None)
    assert colour_error(frame[shown], portrait()[shown]) < 5
    if lamp:
        assert frame[:36, :56].min() > 245
    midtones = (portrait() > 60) & (portrait() < 180)
    assert (
        np.abs(
            frame[shown][midtones[shown]].astype(float) - portrait()[shown][midtones[shown]]
        ).mean()
        < 12
    )


def test_without_tone_mapping_the_same_film_would_be_far_off(tmp_path: Path) -> None:
    """So the test above can fail."""
    path = hdr_film(tmp_path / "film.mp4", Transfer.HLG, 203)
    with av.open(str(path)) as container:
        raw = (
            next(container.decode(video=0)).reformat(format="rgb24", src_colorspace=9).to_ndarray()
        )
    assert colour_error(np.asarray(raw, np.uint8), portrait()) > 8


@pytest.mark.parametrize(
    "colors",
    [
        wide_colors(Transfer.HLG, "bt2020"),
        wide_colors(Transfer.PQ, "bt2020"),
        wide_colors(Transfer.SDR, "p3"),
        WideColors(Transfer.PQ, "p3", peak=4000, white=100),
        WideColors(Transfer.HLG, "bt2020", peak=1000, white=1000),
    ],
)
def test_the_kernel_is_the_formula(colors: WideColors) -> None:
    picture = np.random.default_rng(0).integers(0, 65536, (64, 64, 3)).astype(np.uint16)
    picture[0], picture[1], picture[2] = (
        0,
        65535,
        np.linspace(0, 65535, 64).astype(np.uint16)[:, None],
    )
    difference = np.abs(colors.to_srgb(picture).astype(int) - to_srgb_reference(colors, picture))
    assert difference.max() <= 2  # codes of 12 bits instead of 16
    assert difference.mean() < 0.05


def test_levels_that_the_standards_name() -> None:
    """BT.2408-4, table 1: reference white is 75 % HLG and 58 % PQ; BT.2100-2: full code."""
    assert display_light(Transfer.HLG, np.full((1, 3), 0.75))[0, 0] == pytest.approx(203, abs=1)
    assert pq_to_nits(np.array(0.58)) == pytest.approx(203, rel=0.02)
    assert display_light(Transfer.HLG, np.ones((1, 3)))[0, 1] == pytest.approx(1000, rel=1e-6)
    assert pq_to_nits(np.array(1.0)) == pytest.approx(10_000)


@given(st.floats(50, 10_000), st.floats(0.05, 1))
@examples(60)
def test_tone_mapping_only_dims_and_keeps_the_order(peak: float, share: float) -> None:
    white = peak * share
    nits = np.concatenate([[0.0], np.geomspace(1e-3, 2 * peak, 300)])
    mapped = tone_mapped(nits, peak, white)
    assert (np.diff(mapped) >= -1e-6 * white).all()
    assert (mapped <= nits + 1e-6 * peak).all()
    assert mapped[0] == pytest.approx(0, abs=1e-6)
    assert mapped[-1] == pytest.approx(white, rel=1e-4)
    knee = pq_to_nits(
        np.maximum(1.5 * nits_to_pq(np.array(white)) - 0.5 * nits_to_pq(np.array(peak)), 0)
    )
    dark = nits < 0.99 * knee
    assert mapped[dark] == pytest.approx(nits[dark], rel=1e-5, abs=1e-6)


def test_times_are_those_of_any_film(tmp_path: Path) -> None:
    path = hdr_film(tmp_path / "film.mp4", Transfer.HLG, 203)
    assert [frame.time for frame in open_film(path).frames()] == [Fraction(k, 25) for k in range(3)]
