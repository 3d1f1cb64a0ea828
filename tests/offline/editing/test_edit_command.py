"""`attribute add --from` and `--text`, as far as they need no face."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from perse_live import cli
from perse_live.avatar import save_avatar
from toys import toy_avatar


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_avatar(tmp_path / "toy.perse", toy_avatar(gaussians=300))
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--from", "{}/wall.png"], "add --part hair, beard"),
        (["--from", "{}/wall.png", "--part", "nose"], "unknown part 'nose': there are hair, beard"),
        (["--from", "{}/nowhere.png", "--part", "hair"], "nowhere.png: no such file"),
        (["--from", "{}/wall.png", "--part", "hair", "--consent"], "wall.png: no human face found"),
        (["beard-full", "--consent"], "--consent goes with --from"),
        (["--from", "{}/wall.png", "--part", "hair", "--name", "Mine!"], "cannot be named 'Mine!'"),
        (["--from", "{}/wall.png", "--text", "x", "--part", "hair"], "choose one of them"),
        (["beard-full", "--from", "{}/wall.png"], "choose one of them"),
        (["beard-full", "--part", "beard"], "go with --from or --text"),
        (
            ["--from", "{}/wall.png", "--part", "hair", "--consent", "--liveportrait", "{}/empty"],
            "no appearance_feature_extractor.onnx",
        ),
        (["--text", "a beard", "--part", "beard"], "add --model FOLDER"),
        (["--text", "  ", "--part", "beard", "--model", "{}/empty"], "--text is empty"),
        (
            ["--text", "a beard", "--part", "beard", "--model", "{}/empty"],
            "no diffusers pipeline: it has no model_index.json",
        ),
        (
            ["--text", "a beard", "--part", "beard", "--model", "{}/empty", "--steps", "0"],
            "--steps is from 1 to 500",
        ),
    ],
)
def test_what_cannot_be_made_is_one_line_and_leaves_the_file_alone(
    folder: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "toy.perse").read_bytes()
    assert (
        cli.main(
            [
                "attribute",
                "add",
                str(folder / "toy.perse"),
                *(word.replace("{}", str(folder)) for word in words),
            ]
        )
        == 2
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    said = [line for line in captured.err.splitlines() if line.startswith("perse-live: ")]
    assert len(said) == 1 and what in said[0]
    assert (folder / "toy.perse").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["empty", "toy.perse", "wall.png"]


@pytest.mark.slow
def test_without_a_terminal_it_says_that_nobody_was_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(
            [
                "attribute",
                "add",
                str(folder / "toy.perse"),
                "--from",
                str(folder / "wall.png"),
                "--part",
                "hair",
            ]
        )
        == 2
    )
    said = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("perse-live: ")
    ]
    assert "nobody was asked whether the person in" in said[0] and "no human face found" in said[1]
