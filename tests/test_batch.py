"""Batches: the table, workers that die, what is kept, the report; and the whole of it with a real portrait."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from perse_live import cli
from perse_live.avatar import load_avatar
from perse_live.batch.cluster import THIS_MACHINE, RayEngine
from perse_live.batch.job import MAX_TRIES, Engine, Job, Made, Outcome
from perse_live.batch.ledger import FILE, Entry, Ledger, file_hash, row_key
from perse_live.batch.local import LocalEngine
from perse_live.batch.report import Result, write_report
from perse_live.batch.table import Refused, Row, read_table
from perse_live.child import python_command
from perse_live.errors import UserError
from perse_live.outputs import written_by_us

_MAKER = """
import os, signal, time
from pathlib import Path
from perse_live.batch.job import Made
from perse_live.batch.local import serve
from perse_live.errors import UserError

def make(job, folder, told):
    told("step", 0.5)
    print("not for the protocol")
    mark = Path(job.photo)
    with mark.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if job.name == "bad":
        raise UserError("there is no face")
    if job.name == "broken":
        raise RuntimeError("no such thing")
    if job.name == "mortal" or job.name == "once" and len(mark.read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == "endless":
        time.sleep(600)
    (folder / f"{job.name}.perse").write_text("made")
    return Made(("a warning",), {"gaussians": 3.0})

serve(make)
"""


def _job(folder: Path, name: str) -> Job:
    """photo: a file that counts the tries, a line with the process for each."""
    return Job(name, str(folder / f"{name}.tries"), "yes", (), (), offline=True)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], tuple[list[Row], list[Refused]]]:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()

    def words(known: str) -> Callable[[Any], tuple[str, ...]]:
        def check(given: Any) -> tuple[str, ...]:
            for one in given:
                if one not in known.split():
                    raise UserError(f"unknown word {one}")
            return tuple(given)

        return check

    def read(text: str) -> tuple[list[Row], list[Refused]]:
        (tmp_path / "list.csv").write_bytes(text.encode())
        return read_table(
            tmp_path / "list.csv",
            declared_by="me",
            looks=words("sunglasses hat-cap"),
            formats=words("ply web"),
        )

    return read


Table = Callable[[str], tuple[list[Row], list[Refused]]]


@pytest.mark.parametrize(
    "text",
    [
        'photo,name,consent,looks,formats\na.jpg,Ada Löw,yes,"sunglasses,hat-cap",ply web\n',
        "\ufeffphoto;name;consent;looks;formats\r\na.jpg;Ada Löw;YES;sunglasses hat-cap;ply,web\r\n",
        "Name,Photo,Consent,Looks,Formats\n\nAda Löw, a.jpg ,yes,sunglasses|hat-cap,ply;web",
    ],
)
def test_tables_as_spreadsheets_write_them(text: str, table: Table, tmp_path: Path) -> None:
    rows, refused = table(text)
    assert refused == []
    assert [replace(row, line=0) for row in rows] == [
        Row(0, tmp_path / "a.jpg", "Ada Löw", "me", ("sunglasses", "hat-cap"), ("ply", "web"))
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,ada,", "without consent"),
        ("a.jpg,ada,no", "without consent"),
        ("c.jpg,ada,yes", "no such file"),
        (",ada,yes", "no photo"),
        ("a.jpg,../ada,yes", "cannot be a name"),
        ("a.jpg,nul,yes", "cannot be a name"),
        ("a.jpg,,yes", "cannot be a name"),
        ("a.jpg,KEPT,yes", "line 2 has the name"),
        ("a.jpg,ada,yes,,,", "6 cells for 5 columns"),
        ("a.jpg,ada,yes,moustache,", "unknown word moustache"),
        ("a.jpg,ada,yes,,exe", "unknown word exe"),
    ],
)
def test_bad_rows_are_refused_one_by_one(row: str, reason: str, table: Table) -> None:
    rows, refused = table(
        f"photo,name,consent,looks,formats\nb.jpg,kept,by contract of 3 May,,\n{row}\na.jpg,last,yes,,\n"
    )
    assert [(one.name, one.consent) for one in rows] == [
        ("kept", "by contract of 3 May"),
        ("last", "me"),
    ]
    assert [one.line for one in refused] == [3]
    assert reason in refused[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column photo"),
        ("photo,name\na.jpg,ada\n", "no column consent"),
        ("photo,name,consent,age\na.jpg,ada,yes,7\n", "unknown column 'age'"),
        ("photo,name,consent,name\n", "stands twice"),
        ("photo,name,consent\n", "has no rows"),
        ('photo,name,consent\n"a.jpg,ada,yes\n', "not CSV"),
    ],
)
def test_what_is_no_table_is_one_line(text: str, reason: str, table: Table) -> None:
    with pytest.raises(UserError, match=reason):
        table(text)


def _outcomes(engine: Engine, jobs: list[Job]) -> dict[str, tuple[Outcome, list[str]]]:
    """By name: how it ended, and which files there were then."""
    return {
        one.job.name: (
            one,
            sorted(file.name for file in (one.folder or Path("/nowhere")).glob("*")),
        )
        for one in engine.run(jobs, lambda *_: None)
    }


@pytest.mark.slow
def test_workers_that_die_are_replaced_and_failures_stop_nobody(tmp_path: Path) -> None:
    engine = LocalEngine(python_command(_MAKER), 2, tmp_path)
    ended = _outcomes(
        engine, [_job(tmp_path, name) for name in ("mortal", "bad", "once", "broken", "ada", "zoe")]
    )
    assert ended["bad"][0].error == "there is no face"
    assert ended["broken"][0].error == "unexpected RuntimeError: no such thing"
    for name in ("ada", "zoe", "once"):
        assert ended[name][0].made == Made(("a warning",), {"gaussians": 3.0})
        assert ended[name][1] == [f"{name}.perse"]
    assert (ended["once"][0].tries, ended["ada"][0].tries) == (2, 1)
    assert ended["mortal"][0].made is None
    assert "signal 9" in ended["mortal"][0].error
    folders = {
        name: (tmp_path / f"{name}.tries").read_text().splitlines() for name in ("mortal", "once")
    }
    assert len(folders["mortal"]) == len(set(folders["mortal"])) == MAX_TRIES
    left = [folder for tries in folders.values() for folder in tries if Path(folder).exists()]
    assert not left, "killed workers' folders are removed at the end"
    assert len((tmp_path / "bad.tries").read_text().splitlines()) == 1, (
        "a bad photo is bad the second time too"
    )


def test_a_batch_that_ends_early_leaves_no_worker(tmp_path: Path) -> None:
    jobs = [_job(tmp_path, "endless"), _job(tmp_path, "ada")]
    run = LocalEngine(python_command(_MAKER), 2, tmp_path).run(jobs, lambda *_: None)
    assert next(run).job.name == "ada"
    mark = tmp_path / "endless.tries"
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.close()
    assert not psutil.pid_exists(int(mark.read_text().split()[0]))


def test_what_stands_is_known_by_content(tmp_path: Path) -> None:
    photo, made = tmp_path / "a.jpg", tmp_path / "out"
    made.mkdir()
    photo.write_bytes(b"a face")
    (made / "ada.perse").write_bytes(b"an avatar")
    row = Row(2, photo, "ada", "me", (), ())
    key = row_key(row, "perse-live 1")
    Ledger(made).add(
        "ada",
        Entry(key, {"ada.perse": file_hash(made / "ada.perse")}, 1.0, ("w",), {"gaussians": 3.0}),
    )
    assert Ledger(made).stands("ada", key)
    assert Ledger(made).entries["ada"].figures == {"gaussians": 3.0}
    photo.rename(tmp_path / "b.jpg")
    assert row_key(replace(row, photo=tmp_path / "b.jpg", line=5), "perse-live 1") == key, (
        "a moved file is the same photo"
    )
    others = [
        replace(row, photo=tmp_path / "b.jpg", consent="she"),
        replace(row, photo=tmp_path / "b.jpg", looks=("hat-cap",)),
        replace(row, photo=made / "ada.perse"),
    ]
    assert not any(Ledger(made).stands("ada", row_key(other, "perse-live 1")) for other in others)
    (made / "ada.perse").write_bytes(b"somebody else's")
    assert not Ledger(made).stands("ada", key)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"creator": "me"}',
        b'{"creator": "perse-live", "version": 1}',
        b'{"creator": "perse-live", "version": 1, "rows": {"a": 1}, "reports": {}}',
    ],
)
def test_a_ledger_of_another_kind_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match="not from perse-live batch"):
        Ledger(tmp_path)


def test_reports_run_nothing_that_stands_in_the_table(tmp_path: Path) -> None:
    hostile = Result(
        2,
        "=cmd|'/c calc'!A1",
        "<img src=x onerror=alert(1)>.jpg",
        "refused",
        "<script>alert(1)</script>",
    )
    write_report(tmp_path, "<b>list</b>", [hostile], seconds=1.0, workers=1)
    page = (tmp_path / "report.html").read_text()
    assert not any(tag in page for tag in ("<script", "<img", "<b>list"))
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        assert next(csv.DictReader(file))["name"].startswith("'=")


@pytest.mark.slow
def test_a_batch_with_a_real_portrait(
    astronaut_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(astronaut_photo, tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "list.csv").write_text(
        'photo,name,consent,looks,formats\na.png,Eileen,NASA\'s portrait,none,"ply,web"\n'
        "b.png,nobody,yes,,\na.png,unasked,,,\n"
    )
    monkeypatch.chdir(tmp_path)
    command = ["batch", "list.csv", "-o", "out", "--jobs", "2"]
    assert cli.main(command) == 2
    said = capsys.readouterr()
    assert "2 of 3 rows were not made" in said.err
    assert "1 made, 1 refused, 1 failed" in said.out
    out = tmp_path / "out"
    assert sorted(one.name for one in out.iterdir()) == [
        "Eileen.perse",
        "Eileen.ply",
        "Eileen.png",
        "Eileen.web",
        FILE,
        "report.csv",
        "report.html",
    ]
    assert load_avatar(out / "Eileen.perse").provenance.consent_by == "NASA's portrait"
    assert all(written_by_us(out / one) for one in ("Eileen.png", "Eileen.ply"))
    page = (out / "report.html").read_text()
    assert 'src="Eileen.png"' in page and "without consent" in page and "nobody" in page
    before = {one: one.stat().st_mtime_ns for one in out.rglob("Eileen*")}
    (tmp_path / "list.csv").write_text(
        'name,photo,consent,looks,formats\nEileen,a.png,NASA\'s portrait,none,"ply,web"\n'
    )
    assert cli.main(command) == 0
    assert "0 made, 1 kept" in capsys.readouterr().out
    assert {one: one.stat().st_mtime_ns for one in out.rglob("Eileen*")} == before
    (out / "report.html").write_text("notes of mine")
    assert cli.main(command) == 2
    assert "report.html" in capsys.readouterr().err
    assert (out / "report.html").read_text() == "notes of mine"


@contextmanager
def _two_nodes() -> Generator[str]:
    """A Ray cluster of two nodes with a core each, in processes on this machine; yields its address."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@contextmanager
def _rays(address: str, staging: Path, maker: Any) -> Generator[RayEngine]:
    engine = RayEngine(maker, address, staging, jobs=None, cores=1.0, memory=64 << 20)
    try:
        yield engine
    finally:
        engine.close()


@pytest.mark.slow
def test_a_cluster_makes_rows_again_whose_worker_was_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    staging = tmp_path / "staging"
    staging.mkdir()

    def make(job: Job, folder: Path, _: object) -> Made:
        assert Path(job.photo).read_bytes() == b"a photo"
        mark = tmp_path / f"{job.name}.tries"
        with mark.open("a") as file:
            file.write(f"{folder.parent}\n")
        if job.name == "bad":
            raise UserError(f"{job.photo}: there is no face")
        if job.name == "mortal" or (job.name == "once" and len(mark.read_text().splitlines()) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "web").mkdir()
        (folder / "web" / "a").write_text(job.name)
        return Made((), {"gaussians": 2.0})

    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"a photo")
    jobs = [
        Job(name, str(photo), "yes", (), (), True)
        for name in ("mortal", "once", "bad", "ada", "zoe")
    ]
    ended: dict[str, tuple[Outcome, str]] = {}
    with _two_nodes() as address, _rays(address, staging, make) as engine:
        assert engine.workers == 2
        for one in engine.run(jobs, lambda *_: None):
            made = one.folder / "web" / "a" if one.folder is not None else Path("/nowhere")
            ended[one.job.name] = (one, made.read_text() if made.exists() else "")
    assert {name: (one.made is not None, text) for name, (one, text) in ended.items()} == {
        "mortal": (False, ""),
        "once": (True, "once"),
        "bad": (False, ""),
        "ada": (True, "ada"),
        "zoe": (True, "zoe"),
    }
    assert ended["bad"][0].error == f"{photo}: there is no face"
    assert "died" in ended["mortal"][0].error
    assert len((tmp_path / "mortal.tries").read_text().splitlines()) == MAX_TRIES


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match="no Ray cluster at auto"):
        RayEngine(lambda *_: Made(), "auto", tmp_path, jobs=None, cores=1.0, memory=1)
    assert THIS_MACHINE == "local"
