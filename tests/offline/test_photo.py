from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from offline.photo import MAX_SIDE, load_photo
from perse_live.errors import UserError


def picture(height: int = 300, width: int = 400) -> np.ndarray:
    """Smooth, colourful, and different in every corner, so that a turn or a swap of channels shows."""
    y, x = np.mgrid[0:1:height * 1j, 0:1:width * 1j]
    return (np.stack([x, y, 0.3 + 0.5 * x * y], -1) * 255).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def complaint(path: Path) -> str:
    """Why a photo is refused: one line that names the file."""
    with pytest.raises(UserError) as caught:
        load_photo(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_a_plain_picture_comes_through_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.png", Image.fromarray(picture()))
    photo = load_photo(path)
    np.testing.assert_array_equal(photo.rgb, picture())
    assert photo.name == "plain.png"
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = picture()
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
              6: np.rot90(upright), 7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "turned.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(load_photo(path).rgb, upright)


def test_transparency_lies_over_grey(tmp_path: Path) -> None:
    alpha = np.zeros((300, 400), np.uint8)
    alpha[:, 200:], alpha[:, 300:] = 128, 255
    path = saved(tmp_path / "cut-out.png", Image.fromarray(np.dstack([picture(), alpha])))
    rgb = load_photo(path).rgb
    assert (rgb[:, :200] == 128).all()
    np.testing.assert_allclose(rgb[:, 200:300].astype(int), (picture()[:, 200:300].astype(int) + 128) / 2, atol=2)
    np.testing.assert_array_equal(rgb[:, 300:], picture()[:, 300:])


def test_a_palette_with_a_transparent_entry(tmp_path: Path) -> None:
    indices = np.repeat(np.arange(4, dtype=np.uint8), 100)[None].repeat(300, 0)
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    rgb = load_photo(saved(tmp_path / "palette.png", image, transparency=3)).rgb
    np.testing.assert_array_equal(rgb[0, [50, 150, 250, 350]], [[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]])


@pytest.mark.parametrize("side", [300, 5000])
def test_16_bit_grey(tmp_path: Path, side: int) -> None:
    ramp = np.linspace(0, 65535, side).astype(np.uint16)[None].repeat(side, 0)
    rgb = load_photo(saved(tmp_path / "deep.png", Image.fromarray(ramp))).rgb
    assert rgb.shape == (min(side, MAX_SIDE), min(side, MAX_SIDE), 3)
    np.testing.assert_allclose(rgb[0, :, 0], np.linspace(0, 255, rgb.shape[1]), atol=1.5)
    assert (np.ptp(rgb, axis=2) == 0).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_pictures(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(picture()).convert(mode)
    rgb = load_photo(saved(tmp_path / "grey.png", image)).rgb
    np.testing.assert_array_equal(rgb, np.asarray(image.convert("L"))[..., None].repeat(3, 2))


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path / "print.jpg", Image.fromarray(picture()).convert("CMYK"), quality=95)
    np.testing.assert_allclose(load_photo(path).rgb.astype(int), picture().astype(int), atol=12)


@pytest.mark.parametrize("name", ["film.gif", "film.webp"])
def test_of_an_animation_the_first_frame(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue", "lime")]
    path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(load_photo(path).rgb.reshape(-1, 3).astype(int), [[255, 0, 0]] * 120_000, atol=3)


def test_a_huge_picture_is_reduced_in_little_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "huge.png", Image.new("RGB", (10_000, 9_000), (200, 100, 50)), compress_level=1)
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29));"
            "from pathlib import Path; from offline.photo import load_photo; rgb = load_photo(Path(sys.argv[1])).rgb;"
            "assert rgb.shape == (3686, 4096, 3) and (rgb == [200, 100, 50]).all(), rgb.shape")
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_too_few_pixels(tmp_path: Path) -> None:
    assert "at least 256" in complaint(saved(tmp_path / "small.png", Image.fromarray(picture(255, 400))))
    load_photo(saved(tmp_path / "enough.png", Image.fromarray(picture(256, 256))))


def test_a_decompression_bomb(tmp_path: Path) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (25_000, 25_000)))
    assert "too many" in complaint(path)


def test_a_jpeg_that_was_cut_off(tmp_path: Path) -> None:
    path = saved(tmp_path / "cut.jpg", Image.fromarray(picture()), quality=95)
    path.write_bytes(path.read_bytes()[:3000])
    assert "damaged" in complaint(path)


def test_a_png_with_a_broken_checksum(tmp_path: Path) -> None:
    path = saved(tmp_path / "broken.png", Image.fromarray(picture()))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    complaint(path)


@pytest.mark.parametrize("content", [b"", b"Dear diary, this is no photo.\n" * 50, b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "diary.jpg"
    path.write_bytes(content)
    assert "use" in complaint(path)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    assert "directory" in complaint(tmp_path).lower()
    assert "no such file" in complaint(tmp_path / "nowhere.jpg")


def test_black_bars_are_cut_off_and_dark_pictures_left_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = np.zeros((400, 500, 3), np.uint8)
    picture[40:360, :] = random.integers(20, 255, (320, 500, 3))
    Image.fromarray(picture).save(tmp_path / "bars.png")
    cut = load_photo(tmp_path / "bars.png").rgb
    assert cut.shape == (316, 496, 3)
    np.testing.assert_array_equal(cut, picture[42:358, 2:-2])
    Image.fromarray(np.full((300, 300, 3), 3, np.uint8)).save(tmp_path / "dark.png")
    assert load_photo(tmp_path / "dark.png").rgb.shape == (300, 300, 3)
