from __future__ import annotations

import hashlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
import pytest
import skimage.data
from PIL import Image, ImageCms
from skimage.color import deltaE_cie76, rgb2lab

from perse_live.cli.build import further_pictures
from perse_live.errors import UserError
from perse_live.film.writer import film_writer
from perse_live.photo import MAX_SIDE, load_photo
from pictures import stored_for
from profiles import cmyk_profile, display_p3_profile, printed_colors, to_display_p3
from runtime.background import Picture, load_background

pillow_heif.register_heif_opener()  # to write HEIC; the reader does so for itself


def picture(height: int = 300, width: int = 400) -> np.ndarray:
    """Smooth, colourful, and different in every corner, so that a turn or a swap of channels shows."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
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


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "heic", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_undone(tmp_path: Path, orientation: int, ending: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(stored_for(picture(), orientation))
    options = {"png": {"exif": exif}, "tif": {"exif": exif}, "heic": {"quality": 95}}.get(
        ending, {"exif": exif, "quality": 95}
    )
    # Here HEIC's writer looks for the turn that goes into the file
    stored.info["exif"] = exif.tobytes()
    path = saved(tmp_path / f"turned.{ending}", stored, **options)
    rgb = load_photo(path).rgb
    assert rgb.shape == picture().shape
    np.testing.assert_allclose(
        rgb.astype(int), picture().astype(int), atol=0 if ending in ("png", "tif") else 12
    )


def test_transparency_lies_over_grey(tmp_path: Path) -> None:
    alpha = np.zeros((300, 400), np.uint8)
    alpha[:, 200:], alpha[:, 300:] = 128, 255
    path = saved(tmp_path / "cut-out.png", Image.fromarray(np.dstack([picture(), alpha])))
    rgb = load_photo(path).rgb
    assert (rgb[:, :200] == 128).all()
    np.testing.assert_allclose(
        rgb[:, 200:300].astype(int), (picture()[:, 200:300].astype(int) + 128) / 2, atol=2
    )
    np.testing.assert_array_equal(rgb[:, 300:], picture()[:, 300:])


def test_a_palette_with_a_transparent_entry(tmp_path: Path) -> None:
    indices = np.repeat(np.arange(4, dtype=np.uint8), 100)[None].repeat(300, 0)
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    rgb = load_photo(saved(tmp_path / "palette.png", image, transparency=3)).rgb
    np.testing.assert_array_equal(
        rgb[0, [50, 150, 250, 350]], [[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]
    )


@pytest.mark.slow
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


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_of_any_scale(white: float, tmp_path: Path) -> None:
    grey = picture().mean(2).astype(np.float32)
    grey[0, 0] = 255.0
    Image.fromarray(grey / 255 * white).save(tmp_path / "grey.tiff")
    found = load_photo(tmp_path / "grey.tiff").rgb
    assert np.abs(found.astype(np.float32) - grey[..., None]).max() <= 1


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path / "print.jpg", Image.fromarray(picture()).convert("CMYK"), quality=95)
    np.testing.assert_allclose(load_photo(path).rgb.astype(int), picture().astype(int), atol=12)


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png", "film.avif"])
def test_of_an_animation_the_first_frame_and_a_warning(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "blue", "lime")]
    path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    photo = load_photo(path)
    np.testing.assert_allclose(
        photo.rgb.reshape(-1, 3).astype(int), [[255, 0, 0]] * 120_000, atol=3
    )
    assert photo.warnings == ("an animation: only its first frame is used",)


def test_a_camera_s_jpeg_with_further_pictures_in_it_is_no_animation(tmp_path: Path) -> None:
    main, preview = Image.new("RGB", (400, 300), "red"), Image.new("RGB", (160, 120), "blue")
    path = saved(tmp_path / "phone.jpg", main, format="MPO", save_all=True, append_images=[preview])
    photo = load_photo(path)
    np.testing.assert_allclose(
        photo.rgb.reshape(-1, 3).astype(int), [[255, 0, 0]] * 120_000, atol=3
    )
    assert photo.warnings == ()


def color_error(one: np.ndarray, other: np.ndarray) -> float:
    """Mean CIE 1976 distance of two sRGB pictures."""
    return float(deltaE_cie76(rgb2lab(one), rgb2lab(other)).mean())


@pytest.mark.parametrize("ending", ["jpg", "png", "heic"])
def test_colors_go_through_the_display_p3_profile(tmp_path: Path, ending: str) -> None:
    profile = display_p3_profile()
    original = np.asarray(skimage.data.astronaut())
    in_p3 = to_display_p3(original)
    path = saved(
        tmp_path / f"phone.{ending}",
        Image.fromarray(in_p3),
        icc_profile=profile,
        quality=95,
        subsampling=0,
    )
    assert color_error(in_p3, original) > 2
    assert color_error(load_photo(path).rgb, original) < (0.5 if ending == "png" else 2)


def test_cmyk_goes_through_its_profile(tmp_path: Path) -> None:
    ink = np.asarray(Image.fromarray(picture()).convert("CMYK")) // 2
    path = saved(
        tmp_path / "print.jpg",
        Image.fromarray(ink, "CMYK"),
        icc_profile=cmyk_profile(),
        quality=98,
        subsampling=0,
    )
    plain = np.asarray(Image.fromarray(ink, "CMYK").convert("RGB"))
    printed = printed_colors(ink)
    assert color_error(plain, printed) > 10
    assert color_error(load_photo(path).rgb, printed) < 2


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 128, None])
def test_a_profile_that_does_not_fit_is_left_aside_and_said(
    tmp_path: Path, profile: bytes | None
) -> None:
    path = saved(
        tmp_path / "odd.png", Image.fromarray(picture()), icc_profile=profile or cmyk_profile()
    )
    photo = load_photo(path)
    np.testing.assert_array_equal(photo.rgb, picture())
    assert len(photo.warnings) == 1
    assert "color profile" in photo.warnings[0]


def test_what_is_odd_about_a_further_photo_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "odd.png", Image.fromarray(picture()), icc_profile=b"nonsense")
    (further,) = further_pictures([path], lambda *_: None)
    np.testing.assert_array_equal(further.rgb, picture())
    assert "odd.png: its color profile" in capsys.readouterr().err


def test_a_further_photo_may_be_heic(tmp_path: Path) -> None:
    path = saved(tmp_path / "side.heic", Image.fromarray(picture()), quality=95)
    (further,) = further_pictures([path], lambda *_: None)
    assert further.rgb.shape == picture().shape


def test_a_further_clip_that_cannot_be_read_is_refused_as_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(48, 64), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(UserError, match=r"cut off: its index.*missing"):
        further_pictures([path], lambda *_: None)
    path.write_text("notes")
    with pytest.raises(UserError, match="not a picture"):
        further_pictures([path], lambda *_: None)


def test_a_further_clip_that_is_cut_off_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    face = np.asarray(skimage.data.astronaut())[:240, 110:350]
    with film_writer(whole, width=240, height=240, rate=Fraction(25)) as writer:
        for index in range(60):
            writer.write(np.roll(face, index % 5, 1))
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 3 // 4])
    assert further_pictures([cut], lambda *_: None)
    assert "cut.mkv is cut off" in capsys.readouterr().err


def test_a_grey_picture_with_a_color_camera_s_profile(tmp_path: Path) -> None:
    grey = Image.fromarray(picture()).convert("L")
    photo = load_photo(
        saved(tmp_path / "grey.jpg", grey, icc_profile=display_p3_profile(), quality=95)
    )
    np.testing.assert_allclose(
        photo.rgb.astype(int), np.asarray(grey.convert("RGB")).astype(int), atol=4
    )
    assert photo.warnings == ()


def test_cielab_and_ycbcr_pictures(tmp_path: Path) -> None:
    rgb = Image.fromarray(picture())
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    for image in (lab, rgb.convert("YCbCr")):
        read = load_photo(saved(tmp_path / "odd.tif", image)).rgb
        assert color_error(read, picture()) < 1.5


def test_a_postscript_file_named_jpg_starts_no_interpreter(tmp_path: Path) -> None:
    path = tmp_path / "loop.jpg"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 400 400\n%%EndComments\n{ } loop\n"
    )
    assert "not a picture" in complaint(path)


def test_a_background_is_read_the_same_way(tmp_path: Path) -> None:
    original = np.asarray(skimage.data.astronaut())
    path = saved(
        tmp_path / "wall.heic",
        Image.fromarray(to_display_p3(original)),
        icc_profile=display_p3_profile(),
        quality=95,
    )
    assert color_error(load_background(Picture(path), 512, 512), original) < 2


def huge_picture(mode: str) -> Image.Image:
    """120 megapixels."""
    return Image.linear_gradient("L").convert(mode).resize((12_000, 10_000))


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="the peak of a process's memory is read from /proc"
)
@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("huge.jpg", "RGB", {}),
        ("progressive.jpg", "RGB", {"progressive": True, "subsampling": 0}),
        ("huge.png", "RGB", {"compress_level": 1}),
        ("alpha.png", "RGBA", {"compress_level": 1}),
        ("palette.png", "P", {"compress_level": 1}),
    ],
)
def test_120_megapixels_need_less_than_a_gigabyte(
    tmp_path: Path, name: str, mode: str, options: dict[str, Any]
) -> None:
    path = saved(tmp_path / name, huge_picture(mode), **options)
    code = (
        "import re, sys; from pathlib import Path; from perse_live.photo import load_photo;"
        "rgb = load_photo(Path(sys.argv[1])).rgb; assert rgb.shape == (3413, 4096, 3), rgb.shape;"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    # Not getrusage's figure, which starts at this process's own peak
    assert int(run.stdout) * 1024 < 1e9


def test_more_than_120_megapixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("1", (12_000, 10_001)))
    assert "reduce it to 120 megapixels" in complaint(path)
    path = saved(tmp_path / "webp.webp", Image.new("L", (9_000, 6_700)), method=0)
    assert "reduce it to 60 megapixels" in complaint(path)


def test_too_few_pixels(tmp_path: Path) -> None:
    assert "at least 256" in complaint(
        saved(tmp_path / "small.png", Image.fromarray(picture(255, 400)))
    )
    load_photo(saved(tmp_path / "enough.png", Image.fromarray(picture(256, 256))))


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


@pytest.mark.parametrize(
    "content",
    [b"", b"Dear diary, this is no photo.\n" * 50, b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"],
)
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
