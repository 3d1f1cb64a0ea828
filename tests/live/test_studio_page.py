"""The studio's page in Chromium with a camera that shows a real face: the whole way, and what is left out of it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image
from studio_browser import CHROMIUM, camera_film, chromium, open_page, serious, until
from studio_session import Served, studio

from perse_live.avatar import load_avatar, save_avatar
from runtime.web.pages import PAGE_FOLDER
from toys import toy_avatar

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Any, None, None]:
    with chromium(camera_film(tmp_path_factory.mktemp("camera") / "face.y4m")) as browser:
        yield browser


@pytest.fixture
def page(browser: Any, served: Served) -> Generator[Any, None, None]:
    complaints: list[str] = []
    page = open_page(
        browser, served.opened.url, complaints, viewport={"width": 1280, "height": 860}
    )
    yield page
    assert page.evaluate("window.violations") == []
    page.context.close()
    assert complaints == []


@pytest.fixture
def served(tmp_path: Path) -> Generator[Served, None, None]:
    with studio(tmp_path / "library", camera="browser") as served:
        yield served


def jobs(served: Served) -> list[dict[str, Any]]:
    return served.ask("GET", "api/studio")[1]["jobs"]


def test_from_the_camera_to_being_live_with_a_hat(page: Any, served: Served, browser: Any) -> None:
    page.get_by_role("button", name="Use your camera").click()
    page.get_by_role("heading", name="Look into the camera").wait_for()
    page.get_by_role("heading", name="Your picture").wait_for()  # taken by itself
    build = page.get_by_role("button", name="Build the avatar")
    assert build.is_disabled(), "nobody has agreed yet"
    page.get_by_label("Name of the avatar").fill("Eileen")
    page.get_by_role("checkbox", name="The person in this picture agrees").check()
    page.get_by_role("checkbox", name="Learn a few looks").uncheck()
    assert serious(page) == []
    build.click()
    page.get_by_role("heading", name="Building Eileen").wait_for()
    until(lambda: jobs(served)[0]["pictures"])
    page.reload()  # in mid-build
    page.get_by_role("heading", name="Building Eileen").wait_for()
    other = open_page(browser, served.opened.url, [])  # a second window sees the same
    other.get_by_role("button", name="Building Eileen").wait_for()
    assert serious(page) == []
    page.get_by_role("heading", name="Here is Eileen").wait_for()
    other.get_by_role("heading", name="Eileen").wait_for()
    other.context.close()
    head = page.get_by_role("slider", name="Turn the head of Eileen")
    page.wait_for_selector(".head.there.turns")
    head.focus()
    page.keyboard.press("ArrowRight")
    assert head.get_attribute("aria-valuenow") == "8"
    page.get_by_role("slider", name="How much of the photo is shown").fill("80")
    assert serious(page) == []
    page.get_by_role("button", name="Go live").click()
    page.wait_for_selector("#cover", state="hidden")
    until(
        lambda: page.evaluate(
            "document.querySelector('#video').getVideoPlaybackQuality().totalVideoFrames > 10"
        )
    )
    page.locator("#camera-dock").click()
    if page.get_by_role("dialog").is_visible():
        page.get_by_role("button", name="Continue").click()
    page.get_by_text("Face found").wait_for()
    source = page.get_by_label("Where the motion comes from")
    source.select_option("none")  # without a restart, and back
    page.wait_for_selector("#camera-dock", state="hidden")
    source.select_option("browser")
    page.locator("#camera-dock").click()
    page.get_by_text("Face found").wait_for()
    page.get_by_role("button", name="More looks").click()
    page.get_by_role("searchbox", name="Find a look").fill("wide-brimmed")
    page.locator("[data-look=hat-wide]").click()
    page.get_by_role("button", name="Learn 1 look").click()
    page.wait_for_selector("[data-look=hat-wide].there")
    page.get_by_role("link", name="Stage").click()
    page.get_by_role("button", name="Wide-brimmed hat").click()
    page.wait_for_selector("[data-attribute=hat-wide][aria-pressed=true]")
    assert serious(page) == []
    (entry,) = served.studio.library.entries()
    assert [one.name for one in load_avatar(entry.path).attributes] == ["hat-wide"]


def test_avatars_are_dropped_renamed_and_brought_back(
    page: Any, served: Served, tmp_path: Path
) -> None:
    save_avatar(tmp_path / "Toy.perse", toy_avatar())
    page.get_by_role("heading", name="Become your avatar").wait_for()
    assert serious(page) == []
    page.set_input_files(
        "input[accept='.perse']", [str(tmp_path / "Toy.perse"), str(tmp_path / "Toy.perse")]
    )
    page.get_by_role("heading", name="Toy 2").wait_for()
    page.get_by_role("button", name="More for Toy 2").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_role("textbox", name="Name").fill("Grace")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_role("heading", name="Grace").wait_for()
    page.get_by_role("button", name="More for Grace").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")  # round to the last
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="Grace").wait_for()
    assert sorted(entry.name for entry in served.studio.library.entries()) == ["Grace", "Toy"]
    assert serious(page) == []
    (tmp_path / "false.perse").write_bytes(b"no avatar")
    page.set_input_files("input[accept='.perse']", str(tmp_path / "false.perse"))
    page.get_by_text("false.perse is not a usable perse-live avatar file").wait_for()


def test_bad_photos_and_two_faces(page: Any, tmp_path: Path) -> None:
    page.goto(page.url.partition("#")[0] + "#view=new")
    (tmp_path / "note.jpg").write_text("no picture")
    page.set_input_files("input[accept^='image']", str(tmp_path / "note.jpg"))
    page.get_by_role("alert").get_by_text("note.jpg: not a picture that can be read").wait_for()
    face = skimage.data.astronaut()
    Image.fromarray(np.concatenate([face, face[:, ::-1]], 1)).save(tmp_path / "two.png")
    page.set_input_files("input[accept^='image']", str(tmp_path / "two.png"))
    page.get_by_text("2 faces were found").wait_for()
    frame = page.locator(".crop-frame")
    before = frame.bounding_box()
    page.get_by_role("button", name="Take face 2").click()
    after = frame.bounding_box()
    assert abs(after["x"] - before["x"]) > 50
    frame.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("+")
    assert frame.bounding_box()["width"] > after["width"]
    assert serious(page) == []
    page.get_by_role("button", name="Another picture").click()
    Image.fromarray(skimage.data.coffee()).save(tmp_path / "cup.png")
    page.set_input_files("input[accept^='image']", str(tmp_path / "cup.png"))
    page.get_by_text("No face was found in this picture").wait_for()
    assert page.get_by_role("button", name="Build the avatar").is_disabled()
    page.get_by_role("button", name="Search in the frame").click()
    page.get_by_text("No face was found in the frame either.").wait_for()
    assert serious(page) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_views_fit_into_a_window_in_german(
    browser: Any, served: Served, tmp_path: Path, width: int
) -> None:
    save_avatar(tmp_path / "Toy.perse", toy_avatar())
    toy = served.studio.library.take_in(tmp_path / "Toy.perse", "Ein ziemlich langer Name")
    complaints: list[str] = []
    page = open_page(
        browser,
        served.opened.url,
        complaints,
        locale="de-DE",
        color_scheme="dark",
        viewport={"width": width, "height": 780},
        has_touch=width < 500,
        is_mobile=width < 500,
    )
    for view, heading in (
        ("gallery", "Deine Avatare"),
        ("new", "Neuer Avatar"),
        ("camera", "Schau in die Kamera"),
        (f"looks-{toy.id}", "Aussehen von Ein ziemlich langer Name"),
    ):
        page.evaluate("(view) => { location.hash = `view=${view}`; }", view)
        page.get_by_role("heading", name=heading).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        wide = page.evaluate("""() => { const jobs = document.querySelector("#jobs"), before = jobs.hidden;
            jobs.hidden = false; const width = document.documentElement.scrollWidth; jobs.hidden = before; return width; }""")
        assert wide <= width, f"{view}, while a job runs"
        assert serious(page) == [], view
        small = page.evaluate("""[...document.querySelectorAll("#studio button, #studio select, #studio .tick")]
            .filter((control) => control.checkVisibility() && !control.matches(".crop-frame *"))
            .map((control) => [control.textContent.trim() || control.getAttribute("aria-label"), control.getBoundingClientRect()])
            .filter(([, {width, height}]) => Math.min(width, height) < 35.5).map(([name]) => name)""")
        assert small == [], view
    page.get_by_role("button", name="In Worten").click()
    page.get_by_text("Es ist keines eingerichtet").wait_for()
    assert serious(page) == []
    page.get_by_role("button", name="Schließen").click()
    served.studio.go_live(toy.id)
    page.evaluate("location.hash = 'view=stage'")
    page.wait_for_selector("#cover", state="hidden")
    until(lambda: page.evaluate("document.querySelector('#video').videoWidth"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#camera-dock").click()  # nothing lies over it
    assert serious(page) == []
    assert complaints == []
    page.context.close()


def test_the_page_is_light(served: Served) -> None:
    sent = 0
    for path in sorted(one for one in PAGE_FOLDER.rglob("*") if one.is_file()):
        name = path.relative_to(PAGE_FOLDER).as_posix()
        status, content = served.ask(
            "GET", f"static/{name}", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
        )
        assert status == 200
        sent += len(content)
    assert sent < 150_000, "300 kB are allowed"
