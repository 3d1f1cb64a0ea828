"""`perse-live report`: what it measures, what it keeps, and the page that it renders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.cli.report import PARTS, Inputs
from perse_live.figures import FORMAT, ROWS, VERSION, figures_page, read_figures
from toys import toy_avatar


def part(result: dict[str, Any], *, commit: str = "0123456789") -> dict[str, Any]:
    machine = {
        "processor": "a processor",
        "cores": 2,
        "system": "a system",
        "python": "3.12.0",
        "load": 0.1,
    }
    return {
        "command": "perse-live bench --json",
        "seconds": 30.0,
        "processor_seconds": 55.0,
        "commit": commit,
        "release": "0.2.0",
        "machine": machine,
        "date": "2026-01-02T03:04:05+00:00",
        "result": result,
    }


def drawing(fps: float) -> dict[str, Any]:
    return {
        "results": [
            {"visible": visible + 12, "threads": threads, "fps": fps / threads, "stages": {}}
            for visible in (10_000, 20_000, 50_000)
            for threads in (1, 2)
        ]
    }


def written(path: Path, parts: dict[str, Any]) -> Path:
    path.write_text(
        json.dumps({"format": FORMAT, "version": VERSION, "creator": "perse-live", "parts": parts}),
        encoding="utf-8",
    )
    return path


def test_every_row_is_of_a_part_and_every_part_has_a_row() -> None:
    assert {row.part for row in ROWS} == set(PARTS)


@pytest.mark.slow
def test_every_part_is_a_command_that_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "a.mp4"
    given = Inputs(tmp_path / "p.png", tmp_path, film, tmp_path, (film, film), 5.0)
    for words in PARTS.values():
        # All before it is understood
        assert cli.main([*(words(given) or []), "--no-such-option"]) == 2
        assert "--no-such-option" in capsys.readouterr().err
    nothing = Inputs(tmp_path / "p.png", tmp_path, None, None, (), 5.0)
    assert [name for name, words in PARTS.items() if words(nothing) is None] == [
        "start",
        "live",
        "drive",
        "portraits",
        "clips",
    ]


def test_a_page_shows_figures_with_commit_machine_and_date() -> None:
    page = figures_page({"drawing": part(drawing(600.0))})
    assert "| 300 / 300 / 300 frames per second, 2 threads | drawing |" in page
    assert (
        "| drawing | `perse-live bench --json` | 0123456789 | 2026-01-02 | a processor, 2 cores, Python 3.12.0,"
        in page
    )
    assert "Not measured yet: build, " in page


def test_what_was_not_measured_on_a_machine_has_no_row() -> None:
    live = {
        "unwatched": {"fps": 30.0, "processor": 0.7},
        "live": {
            "start_to_ready_s": 2.0,
            "fps_drawn": 30.0,
            "fps_shown": 29.9,
            "stages_ms": {"track": 14.0},
            "drawn_to_canvas": None,
            "camera_to_answer": None,
            "hotkey_to_change": None,
            "frame_in_fade": None,
            "cost_per_viewer": None,
            "memory_start_mib": 500.0,
            "memory_end_mib": 501.0,
        },
    }
    page = figures_page({"live": part(live)})
    assert "| 30.0 / 29.9 frames per second |" in page
    assert "canvas" not in page


def test_what_is_not_measured_again_stays(tmp_path: Path) -> None:
    figures = written(
        tmp_path / "figures.json", {"drawing": part(drawing(600.0), commit="aaaaaaaaaa")}
    )
    words = [
        "report",
        "-o",
        str(figures),
        "--only",
        "none",
        "--render",
        str(tmp_path / "figures.md"),
    ]
    assert cli.main(words) == 0
    assert read_figures(figures)["drawing"]["commit"] == "aaaaaaaaaa"
    assert "aaaaaaaaaa" in (tmp_path / "figures.md").read_text(encoding="utf-8")
    assert cli.main(words) == 0  # its own page is replaced


def test_files_of_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, page = written(tmp_path / "figures.json", {}), tmp_path / "figures.md"
    page.write_text("# Figures of mine\n", encoding="utf-8")
    assert cli.main(["report", "-o", str(figures), "--only", "none", "--render", str(page)]) == 2
    assert "figures.md" in capsys.readouterr().err
    other = tmp_path / "package.json"
    other.write_text("{}", encoding="utf-8")
    assert cli.main(["report", "-o", str(other), "--only", "none"]) == 2
    assert "package.json" in capsys.readouterr().err
    assert (page.read_text(encoding="utf-8"), other.read_text(encoding="utf-8")) == (
        "# Figures of mine\n",
        "{}",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--only", "speed"], "there is no part 'speed'"), (["--only", "live"], "add --video FILM")],
)
def test_a_part_that_cannot_be_measured_is_said_first(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", "-o", str(tmp_path / "figures.json"), *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_measured_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = toy_avatar(gaussians=50)
    save_avatar(tmp_path / "me.perse", toy)
    # Quicker than its own
    monkeypatch.setitem(
        PARTS, "drawing", lambda given: ["info", str(tmp_path / "me.perse"), "--json"]
    )
    figures = tmp_path / "figures.json"
    assert cli.main(["report", "-o", str(figures), "--only", "drawing"]) == 0
    found = read_figures(figures)["drawing"]
    assert found["result"]["gaussians"] == len(toy)
    assert found["result"]["file"] == "me.perse", "paths of this machine are left out"
    assert (
        found["seconds"] > 0 and found["machine"]["cores"] >= 1 and found["date"].startswith("20")
    )


def test_a_command_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = written(tmp_path / "figures.json", {})
    before = figures.read_bytes()
    monkeypatch.setitem(
        PARTS, "drawing", lambda given: ["info", str(tmp_path / "nobody.perse"), "--json"]
    )
    assert cli.main(["report", "-o", str(figures), "--only", "drawing"]) == 2
    assert "perse-live info failed" in capsys.readouterr().err
    assert figures.read_bytes() == before


def test_the_documented_figures_are_those_of_the_file() -> None:
    docs = Path(__file__).parents[1] / "docs"
    assert (docs / "figures.md").read_text(encoding="utf-8") == figures_page(
        read_figures(docs / "figures.json")
    )
