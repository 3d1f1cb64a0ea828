"""Jobs of the studio in real processes: queued, cancelled, killed from outside, and a build with its looks."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
import skimage.data
from PIL import Image
from studio_session import Served, studio, until

from perse_live.avatar import load_avatar
from tiny_pipeline import write_tiny_pipeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served, None, None]:
    model = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_pipeline(model)
    with studio(tmp_path_factory.mktemp("library"), text_model=model) as served:
        yield served


def photo(served: Served, content: bytes | None = None, name: str = "Eileen.png") -> str:
    if content is None:
        out = io.BytesIO()
        Image.fromarray(skimage.data.astronaut()).save(out, "PNG")
        content = out.getvalue()
    status, told = served.upload("api/studio/photos", content, name)
    assert status == 201, told
    return told["id"]


def build(served: Served, **change: object) -> str:
    wish = {"photo": photo(served), "name": "Eileen", "consent": True, **change}
    status, told = served.ask("POST", "api/studio/builds", wish)
    assert status == 202, told
    return told["job"]


def workers() -> list[psutil.Process]:
    return [
        one
        for one in psutil.Process().children()
        if "perse_live.cli.studio_worker" in " ".join(one.cmdline())
    ]


def test_a_photo_becomes_an_avatar_with_a_look(served: Served) -> None:
    served.ask("POST", "api/studio/prepare")
    job = build(served, crop=[60, 0, 420, 420], looks=["eyes-blue"], keep_photo=True)
    second = build(served, name="Second")
    until(lambda: served.job(job)["pictures"], "no picture came")
    assert served.job(second)["state"] == "queued"
    served.ask("DELETE", f"api/studio/jobs/{second}")
    assert served.job(second)["state"] == "cancelled"
    done = served.ended(job)
    assert (done["state"], done["error"]) == ("done", "")
    stages = [picture["name"] for picture in done["pictures"]]
    assert stages[0] == "detect" and {"lift", "evaluate"} <= set(stages)
    first = served.ask("GET", f"api/studio/jobs/{job}/pictures/{done['pictures'][0]['file']}")[1]
    assert Image.open(io.BytesIO(first)).size == (512, 512)
    assert served.ask("GET", f"api/studio/jobs/{job}/pictures/..%2Fstudio.json")[0] == 400
    (entry,) = served.studio.library.entries()
    assert (entry.name, entry.id, entry.likeness is not None) == ("Eileen", done["result"], True)
    assert (entry.path.parent / "photos" / "Eileen.jpg").is_file()
    assert not list(served.studio.photos.folder.glob("upload-1*")), "the photo is deleted"
    assert served.ask("POST", f"api/studio/avatars/{entry.id}/name", {"name": "Other"})[0] == 400, (
        "its looks are being learnt"
    )
    until(lambda: not served.studio.jobs.busy_with(entry.id))
    drawn = served.ask("POST", f"api/studio/avatars/{entry.id}/looks/pictures")[1]["job"]
    assert served.ended(drawn)["state"] == "done"
    for look in served.ask("GET", f"api/studio/avatars/{entry.id}/looks")[1]["looks"]:
        assert look["picture"] and look["key"] == (1 if look["name"] == "eyes-blue" else 0)
        content = served.ask("GET", f"api/studio/avatars/{entry.id}/looks/{look['name']}/picture")[
            1
        ]
        assert Image.open(io.BytesIO(content)).mode == "RGBA"
    assert served.ask("POST", f"api/studio/avatars/{entry.id}/looks/pictures")[1]["job"] == "", (
        "all are there"
    )
    wish = {"text": "Thick black brows", "part": "brows"}
    path = f"api/studio/avatars/{entry.id}/looks/from-text"
    words = served.ended(served.ask("POST", path, wish)[1]["job"])
    assert (words["state"], words["title"], words["error"]) == ("done", "Thick black brows", "")
    avatar = load_avatar(entry.path)
    assert [one.name for one in avatar.attributes] == ["eyes-blue", "thick-black-brows"]
    assert avatar.provenance.consent_by.endswith("asked in the studio and ticked there")
    assert not list(served.studio.library.folder.glob(".new-*"))


def test_a_photo_without_a_face_fails_in_the_builders_words(served: Served) -> None:
    out = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).save(out, "PNG")
    done = served.ended(build(served, photo=photo(served, out.getvalue(), "cup of coffee.png")))
    assert done["state"] == "failed" and done["error"].startswith(
        "cup of coffee.png: no human face found; use a photo"
    )


def test_a_job_is_cancelled_and_the_next_one_begins(served: Served) -> None:
    before = served.studio.library.entries()
    job = build(served)
    until(lambda: served.job(job)["state"] == "running" and workers())
    until(lambda: served.job(job)["step"])
    assert workers()[0].nice() == psutil.Process().nice(), (
        "nobody is on stage: it need not give way"
    )
    served.ask("DELETE", f"api/studio/jobs/{job}")
    assert served.ended(job)["state"] == "cancelled"
    until(lambda: not workers(), "its process is still there")
    assert served.studio.library.entries() == before


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_builder_that_is_killed_is_said(served: Served) -> None:
    job = build(served)
    until(lambda: served.job(job)["step"] and workers())
    for worker in workers():
        worker.send_signal(signal.SIGKILL)
    done = served.ended(job)
    assert done["state"] == "failed" and "ended from outside (signal 9)" in done["error"]


def test_no_process_outlives_the_studio(tmp_path: Path) -> None:
    with studio(tmp_path) as served:
        build(served)
        until(workers)
        mine = workers()
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in mine)
    assert not list(tmp_path.glob("*.perse")) and not list(tmp_path.glob(".new-*"))
