"""Every example runs, and makes what it says. The build runs for the fixture `astronaut_avatar`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attribute_toys import toy_decoder, toy_learned
from example_scripts import EXAMPLES, example
from perse_live.avatar import save_avatar
from perse_live.film.reader import open_film
from perse_live.film.writer import film_writer
from pictures import astronaut_before_camera
from toys import toy_avatar

Made = dict[str, Any]
FRAMES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an avatar that has two attributes, and a film of a face."""
    path = tmp_path_factory.mktemp("examples")
    toy = toy_avatar(gaussians=500)
    looks = tuple(
        toy_learned(toy, name, "hat", seed=seed) for seed, name in enumerate(("cap", "crown"))
    )
    save_avatar(path / "me.perse", replace(toy, attributes=looks, decoder=toy_decoder()))
    with film_writer(path / "face.mp4", width=320, height=240, rate=Fraction(25)) as writer:
        for shift in range(FRAMES):
            writer.write(astronaut_before_camera(shift=shift))
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    """Of an animated picture."""
    with Image.open(path) as picture:
        count: int = getattr(picture, "n_frames", 1)
        found: list[np.ndarray] = []
        for number in range(count):
            picture.seek(number)
            found.append(np.asarray(picture.convert("RGB"), np.float32))
    return found


def _row(path: Path) -> None:
    drawn = np.asarray(Image.open(path))
    assert drawn.shape == (256, 5 * 256, 3)
    assert np.abs(drawn[:, :256].astype(int) - drawn[:, 512:768]).max() > 20  # the mouth opens


def _turning(path: Path) -> None:
    frames = frames_of(path)
    assert 50 < len(frames) <= 60  # equal ones that follow each other are one in the file
    assert np.abs(frames[len(frames) // 4] - frames[3 * len(frames) // 4]).mean() > 1


def _fading(path: Path) -> None:
    frames = frames_of(path)
    assert 20 < len(frames) <= 24
    assert np.abs(frames[0] - frames[-1]).mean() > 0.2


def _film(path: Path) -> None:
    film = open_film(path)
    assert (film.width, film.height, film.frame_count) == (320, 240, FRAMES)


def _table(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows[0]) == 4 + 52
    assert len(rows) == 1 + FRAMES
    assert all(0 <= float(score) <= 1 for row in rows[1:] for score in row[4:])


def _recording(path: Path) -> None:
    film = open_film(path)
    assert (film.width, film.height) == (512, 512)
    assert len(list(film.frames())) >= 1  # how many is a matter of how busy the machine is


def _average(path: Path) -> None:
    assert np.asarray(Image.open(path)).shape == (256, 256, 3)


def _arrays(path: Path) -> None:
    with np.load(path) as arrays:
        assert sorted(arrays) == ["colors", "intrinsics", "means", "opacities", "quats", "scales"]
        assert (arrays["means"][:, 2] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "before", "made", "after", "check"),
    [
        ("expressions.py", (), "row.png", (), _row),
        ("turntable.py", (), "turn.webp", (), _turning),
        ("fade_attribute.py", ("crown",), "fade.webp", (), _fading),
        ("drive_video.py", ("face.mp4",), "out.mp4", (), _film),
        ("track_to_csv.py", ("face.mp4",), "face.csv", (), _table),
        ("steer_live.py", (), "live.mp4", ("0.3",), _recording),
        ("live_frames.py", (), "average.png", ("5",), _average),
        ("gaussians.py", (), "me.npz", (), _arrays),
    ],
)
def test_a_script_makes_its_file(
    folder: Path,
    tmp_path: Path,
    script: str,
    before: tuple[str, ...],
    made: str,
    after: tuple[str, ...],
    check: Callable[[Path], None],
) -> None:
    inputs = [
        str(folder / "me.perse"),
        *(str(folder / word) if "." in word else word for word in before),
    ]
    example(script)["main"](*inputs, str(tmp_path / made), *after)
    check(tmp_path / made)


@pytest.mark.slow
def test_the_live_page_tells_how_it_goes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("live_page.py")["main"](str(folder / "me.perse"), "none", "0.5")
    said = capsys.readouterr().out
    assert "open http://127.0.0.1:" in said
    assert "frames per second, face: none" in said


def test_the_notebook_runs_from_top_to_bottom(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = json.loads((EXAMPLES / "avatar.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    monkeypatch.setenv("PERSE_AVATAR", str(folder / "me.perse"))
    names: Made = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, (
                "notebooks are committed without outputs"
            )
            exec("".join(cell["source"]), names)
    assert names["largest"].shape == (52,)


def test_the_readme_lists_every_example() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".ipynb"):
            assert f"]({path.name})" in listed
