"""`perse-live eval --portraits` as a user runs it; the avatars are there already, but for a picture without a face."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from painted_heads import painted_head, photographed, places, recolored
from PIL import Image

from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.regions import Region

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two portraits with their avatars in two versions, `before` and `after`, and a picture without a face."""
    root = tmp_path_factory.mktemp("studio")
    for folder in ("portraits", "before", "after"):
        (root / folder).mkdir()
    for number, name in enumerate(("anna", "bert")):
        picture = root / "portraits" / f"{name}.png"
        Image.fromarray(np.full((64, 64, 3), 40 * number, np.uint8)).save(picture)
        head = photographed(painted_head(), 45.0)
        made = replace(
            head.provenance,
            photo_sha256=hashlib.sha256(picture.read_bytes()).hexdigest(),
            person_psnr=30.0,
        )
        left = (head.regions == Region.SKIN) & (places(head)[:, 0] > 0)
        for folder, share in (("before", 0.3), ("after", 1.0 if name == "bert" else 0.3)):
            save_avatar(
                root / folder / f"{name}.perse",
                replace(recolored(head, share * left, (0.6, 0.7, 0.6)), provenance=made),
            )
    Image.fromarray(np.full((300, 300, 3), 128, np.uint8)).save(root / "portraits" / "wall.jpg")
    (root / "portraits" / "notes.txt").write_text("no picture")
    return root


def test_a_folder_is_measured_compared_and_drawn(
    studio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "--portraits", str(studio / "portraits")]
    assert cli.main([*words, "--avatars", str(studio / "before"), "--json"]) == 0
    out = capsys.readouterr().out
    content = json.loads(out)
    assert list(content["faces"]) == ["anna.png", "bert.png"]
    assert "no human face" in content["refused"]["wall.jpg"]
    assert content["faces"]["anna.png"] == content["faces"]["bert.png"]
    (studio / "before.json").write_text(out)

    assert (
        cli.main(
            [
                *words,
                "--avatars",
                str(studio / "after"),
                "--against",
                str(studio / "before.json"),
                "-o",
                str(studio / "out"),
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "verdict: worse" in said and "refused: wall.jpg: " in said
    row = next(line for line in said.splitlines() if line.startswith("drift"))
    assert row.split()[-2:] == ["-", "bert.png"]
    with Image.open(studio / "out" / "portraits.png") as sheet:
        assert sheet.width > 6 * 256 and sheet.height > 2 * 256
    written = json.loads((studio / "out" / "portraits.json").read_text())
    assert written["faces"]["anna.png"] == content["faces"]["anna.png"]
    assert sorted(path.name for path in (studio / "after").iterdir()) == [
        "anna.perse",
        "bert.perse",
    ]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--portraits", "nowhere"], "nowhere: no such folder"),
        (["--portraits", "empty"], "there is no picture in it"),
        (["--portraits", "portraits", "--against", "portraits/notes.txt"], "not JSON"),
        (["--portraits", "portraits", "--avatars", "swapped"], "made of another photo"),
        (["--portraits", "portraits", "clip.mp4"], "give one of them"),
        (["--avatars", "before"], "go with --portraits"),
        ([], "no clip is named"),
    ],
)
def test_wrong_input_is_one_line(
    studio: Path,
    words: list[str],
    what: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(studio)
    (studio / "empty").mkdir(exist_ok=True)
    (studio / "swapped").mkdir(exist_ok=True)
    (studio / "swapped" / "anna.perse").write_bytes((studio / "before" / "bert.perse").read_bytes())
    assert cli.main(["eval", *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("perse-live: ") and what in error
