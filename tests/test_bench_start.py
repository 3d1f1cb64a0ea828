from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from perse_live import cli
from perse_live.avatar import save_avatar
from perse_live.errors import UserError
from perse_live.film.writer import film_writer
from runtime.bench.start import bench_start
from toys import toy_avatar

pytestmark = pytest.mark.slow


def film(path: Path, *, face: bool) -> Path:
    picture = np.ascontiguousarray(astronaut()[:256, 80:400])
    with film_writer(path, width=320, height=256, rate=Fraction(25)) as writer:
        for _ in range(3):
            writer.write(picture if face else np.full_like(picture, 90))
    return path


def test_starts_are_timed_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_avatar(tmp_path / "me.perse", toy_avatar())
    video = film(tmp_path / "in.mp4", face=True)
    assert cli.main(["bench", "--start", str(tmp_path / "me.perse"), str(video), "--json"]) == 0
    start = json.loads(capsys.readouterr().out)["start"]
    assert start["first"] > 0.2 and start["median"] > 0.2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "me.perse"]


def test_what_cannot_be_driven_is_said_in_drive_s_words(tmp_path: Path) -> None:
    save_avatar(tmp_path / "me.perse", toy_avatar())
    video = film(tmp_path / "in.mp4", face=False)
    with pytest.raises(UserError, match=r"no face in any frame of the first frame of .*in\.mp4"):
        bench_start(tmp_path / "me.perse", video, runs=2, progress=lambda *_: None)
