"""The live page in a real browser, served by the real server."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from portrait_session import MANY_LOOKS, SKIN, PortraitSession
from voices import tone, voice_of

from perse_live.arrays import UInt8Array
from runtime.live.actions import Recalibrate, SetAttribute, SetBadge, SetGain
from runtime.live.clock import StageClock
from runtime.sound.browser import BrowserMicrophone
from runtime.sound.voice import Voice
from runtime.sources.browser import BrowserCamera
from runtime.sources.contract import SourceLost
from runtime.web.server import WebConfig, WebServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
_CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _CHROMIUM.exists(), reason="there is no /usr/bin/chromium"),
]

PATIENCE = 60.0  # seconds that a test waits for what must come
_FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
_NOTE_VIOLATIONS = """window.violations = [];
document.addEventListener("securitypolicyviolation", ({violatedDirective}) => violations.push(violatedDirective));"""


@pytest.fixture(scope="module")
def session() -> Generator[PortraitSession, None, None]:
    session = PortraitSession()
    yield session
    session.close()


@pytest.fixture(scope="module")
def camera() -> BrowserCamera:
    return BrowserCamera()


@pytest.fixture(scope="module")
def url(session: PortraitSession, camera: BrowserCamera) -> Generator[str, None, None]:
    with _served(session, WebConfig(port=0), camera) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Generator[Any, None, None]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(_CHROMIUM), args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, session: PortraitSession) -> Generator[Callable[..., Any], None, None]:
    """Opens pages, and checks at the end that none of them had anything to complain of."""
    session.reset()
    complaints: list[str] = []
    contexts: list[Any] = []

    def open_page(
        address: str, *, wait: str = "#cover", complains: bool = False, **options: Any
    ) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        context.add_init_script(_NOTE_VIOLATIONS)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        if not complains:
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text) if message.type == "error" else None
                ),
            )
        page.goto(address)
        if wait == "#cover":
            page.wait_for_selector("#cover", state="hidden")
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.violations") == []
        context.close()
    assert complaints == []


@contextlib.contextmanager
def _served(
    session: PortraitSession,
    config: WebConfig,
    camera: BrowserCamera | None = None,
    voice: Voice | None = None,
    microphone: BrowserMicrophone | None = None,
) -> Generator[str, None, None]:
    server = WebServer(
        session, StageClock(), config, camera=camera, microphone=microphone, voice=voice
    )
    try:
        yield server.start()
    finally:
        server.close()


# (`wait_for_function` of playwright would need eval in the page, which the server forbids.)
def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def _picture(page: Any) -> UInt8Array:
    """What the page shows, (H, W, 4)."""
    return np.array(Image.open(io.BytesIO(page.screenshot(omit_background=True))).convert("RGBA"))


def test_the_avatar_plays(open_page: Callable[..., Any], url: str) -> None:
    page = open_page(url)
    assert page.inner_text("#status-text") == "Live"
    _until(
        lambda: page.evaluate(
            "document.querySelector('#video').getVideoPlaybackQuality().totalVideoFrames > 20"
        )
    )
    box = page.locator("#frame").bounding_box()
    shown = _picture(page)[..., :3].astype(int)
    left, top, side = (round(box[name]) for name in ("x", "y", "width"))
    assert np.abs(shown[top + side // 2, left + side // 2] - SKIN).max() < 16
    assert np.abs(shown[top + side // 3, left + 40] - (0xD9, 0xDB, 0xDE)).max() < 12


def test_a_chip_switches_its_attribute_and_opens_a_slider(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    chip, slider = (
        page.get_by_role("button", name="Copper hair"),
        page.get_by_role("slider", name="Copper hair"),
    )
    assert slider.count() == 0
    chip.click()
    page.wait_for_selector("[data-attribute=hair-copper][aria-pressed=true]")
    assert session.targets == {"hair-copper": 1.0, "hair-silver": 0.0, "hat": 0.0}
    slider.focus()
    page.keyboard.press("Home")
    _until(lambda: session.targets["hair-copper"] == 0)
    page.keyboard.press("ArrowRight")  # it can be drawn up again: it does not go away in use
    _until(lambda: session.targets["hair-copper"] == 0.01)
    page.get_by_role("button", name="All off").click()
    page.wait_for_selector("[data-attribute=hair-copper][aria-pressed=false]")
    assert session.targets["hair-copper"] == 0


def test_many_attributes_fold_by_slot_and_can_be_found(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    session.have(MANY_LOOKS)
    page = open_page(url)
    eyes = page.get_by_role("button", name="Eyes of kind 7", exact=True)
    # The first slot is open
    assert page.get_by_role("button", name="Silver hair").is_visible() and not eyes.is_visible()
    page.locator("summary").filter(has_text="Eyes").focus()
    page.keyboard.press("Enter")
    eyes.click()
    _until(lambda: session.targets["eyes-7"] == 1)
    page.locator("summary").filter(has_text="Eyes").click()
    assert not eyes.is_visible()
    # Said although it is folded
    page.locator("summary .worn").get_by_text("Eyes of kind 7").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("silver h")  # keys are text here
    assert page.get_by_role("button", name="Silver hair").is_visible()
    assert (
        not page.get_by_role("button", name="Copper hair").is_visible()
        and not page.locator("summary").nth(2).is_visible()
    )
    page.keyboard.press("Enter")
    _until(lambda: session.targets["hair-silver"] == 1)
    page.keyboard.type("nothing")
    page.get_by_text("No look of that name.").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Copper hair").is_visible() and not eyes.is_visible()
    assert not session.hidden and session.recording is None


def test_a_dragged_slider_sends_its_weights_sparingly_and_the_last_one_surely(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.get_by_role("button", name="Hat").click()
    slider = page.get_by_role("slider", name="Hat")
    slider.wait_for()
    session.acts.clear()
    slider.evaluate("""(input) => { for (let step = 100; step >= 40; step -= 1) {
        input.value = step / 100; input.dispatchEvent(new Event("input", {bubbles: true})); } }""")
    _until(lambda: session.targets["hat"] == 0.4)
    assert session.acts[-1] == SetAttribute("hat", 0.4)
    assert len(session.acts) < 30


def test_gains_are_sent_and_reset(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    mouth = page.get_by_role("slider", name="Mouth")
    mouth.fill("1.5")
    _until(lambda: SetGain("mouth", 1.5) in session.acts)
    assert mouth.get_attribute("aria-valuetext") == "150 %"
    page.get_by_role("button", name="Reset").click()
    _until(lambda: session.gains["mouth"] == 1)
    _until(lambda: page.evaluate("document.querySelector('[aria-label=Mouth]').value === '1'"))


def test_keys_do_what_the_session_binds_to_them(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.keyboard.press("3")
    _until(lambda: session.targets["hat"] == 1)
    page.keyboard.press("9")  # bound, but this avatar has no ninth attribute
    page.keyboard.press("h")
    page.get_by_text("You are hidden.").wait_for()
    assert (
        page.get_by_role("button", name="Hide", exact=True).get_attribute("aria-pressed") == "true"
    )
    page.get_by_role("button", name="Show again").click()
    _until(lambda: not session.hidden)
    assert page.locator("#toasts .toast-error").count() == 0
    page.keyboard.press("?")
    assert "Copper hair" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("m")  # also while they are looked up
    page.get_by_text("Mirrored for you only").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


def test_taking_the_badge_off_needs_a_reason(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.get_by_role("button", name="Off", exact=True).click()
    page.get_by_role("button", name="Take it off").click()
    assert page.get_by_role("dialog").is_visible()
    assert session.badge.place == "bottom-right"
    page.keyboard.type("home trial")  # keys are text here, not actions
    page.keyboard.press("Enter")
    _until(lambda: session.badge == SetBadge("off", "home trial"))
    page.get_by_text("Off: home trial.").wait_for()
    assert not session.hidden and session.recording is None
    page.get_by_role("radio", name="Top left").check()
    _until(lambda: session.badge == SetBadge("top-left"))


def test_calibration_counts_down_on_the_stage(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.evaluate("""() => {
        const number = document.querySelector("#countdown-number");
        window.counted = [];
        const note = () => counted.push(number.textContent);
        new MutationObserver(note).observe(number, {childList: true, characterData: true, subtree: true});
    }""")
    page.get_by_role("button", name="Calibrate").click()
    page.wait_for_selector("#countdown", state="visible")
    assert Recalibrate(3.0) in session.acts
    page.wait_for_selector("#countdown", state="hidden")
    counted = list(dict.fromkeys(page.evaluate("counted.filter((text) => text > '0')")))
    assert counted and counted == sorted(counted, reverse=True) and set(counted) <= {"3", "2", "1"}
    page.get_by_text("Your face at rest is learned.").wait_for()


def test_recording_shows_a_clock(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.get_by_role("button", name="Record").click()
    _until(lambda: page.evaluate("document.querySelector('#record-time').textContent >= '0:01'"))
    assert page.is_visible("#tag-record")
    assert page.inner_text("#status-text") == "Live, recording"
    page.get_by_role("button", name="Record").click()
    page.wait_for_selector("#tag-record", state="hidden")
    assert session.recording is None
    assert not page.get_by_text("Last recording").is_visible()


@pytest.mark.parametrize("token", [None, "one-two-three"])
def test_the_last_recording_can_be_saved(
    open_page: Callable[..., Any], session: PortraitSession, tmp_path: Path, token: str | None
) -> None:
    with _served(session, WebConfig(port=0, token=token)) as address:
        page = open_page(address)
        session.recorded = tmp_path / "Ich, heute.mp4"
        session.recorded.write_bytes(bytes(range(256)) * 40)
        link = page.get_by_role("link", name="Save Ich, heute.mp4")
        with page.expect_download() as saved:
            link.click()
        assert Path(saved.value.path()).read_bytes() == session.recorded.read_bytes()
        assert page.is_hidden("#cover"), "it does not leave the page"
        page.context.close()


def test_figures_notices_and_problems_are_told_in_words(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.get_by_role("button", name="Figures").click()
    figures = page.get_by_role("complementary", name="Figures")
    figures.get_by_text("Tracking takes longest: 14 ms of 33.").wait_for()
    figures.get_by_text("drawing smaller to keep 30 fps").wait_for()
    session.facts.notices = ("<b>recorded</b> me.mp4",)
    page.locator("#toasts").get_by_text("<b>recorded</b> me.mp4").wait_for()  # text stays text
    session.facts.problem = "camera 0 was unplugged"
    page.locator("#problem-banner").get_by_text("Camera 0 was unplugged.").wait_for()


def test_the_page_comes_back_when_the_server_does(
    open_page: Callable[..., Any], session: PortraitSession
) -> None:
    with _served(session, WebConfig(port=0)) as address:
        # Of the requests that nobody answers, the browser tells its console
        page = open_page(address, complains=True)
    page.wait_for_selector("#cover", state="visible")
    page.get_by_text("perse-live does not answer").wait_for()
    with _served(session, WebConfig(port=int(address.rsplit(":", 1)[1].strip("/")))):
        page.wait_for_selector("#cover", state="hidden")
        page.get_by_role("button", name="Hat").click()
        _until(lambda: session.targets["hat"] == 1)


def test_the_token_of_the_link_goes_along(
    open_page: Callable[..., Any], session: PortraitSession
) -> None:
    with _served(session, WebConfig(port=0, token="a token & more")) as address:
        page = open_page(address)
        page.get_by_role("button", name="Hat").click()
        _until(lambda: session.targets["hat"] == 1)
        page.close()


def test_transparency_is_real_on_the_page_for_obs(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(f"{url}obs", wait="", viewport={"width": 640, "height": 360})
    page.wait_for_selector("video.shown")
    opaque = _picture(page)
    assert tuple(opaque[180, 20]) == (0, 0, 0, 0)  # beside the picture
    assert np.abs(opaque[30, 180].astype(int) - (0xD9, 0xDB, 0xDE, 255)).max() < 12
    session.background = "alpha"
    page.wait_for_selector("canvas:not([hidden])")
    _until(lambda: page.evaluate("document.querySelector('video').videoWidth === 512"))
    _until(lambda: _picture(page)[30, 180, 3] == 0)
    clear = _picture(page).astype(int)
    assert np.abs(clear[180, 320] - (*SKIN, 255)).max() < 16
    assert page.inner_text("body").strip() == ""


def test_the_page_shows_transparency_over_a_checkerboard(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    page = open_page(url)
    page.get_by_role("radio", name="Transparent").check()
    page.wait_for_selector("#frame.matte canvas:not([hidden])")
    assert session.background == "alpha"
    page.get_by_role("radio", name="Green screen").check()
    page.wait_for_selector("#matte", state="hidden")
    page.get_by_label("Own colour").fill("#336699")
    _until(lambda: session.background == "336699")


def test_the_browsers_camera_is_explained_then_published_and_never_shown(
    open_page: Callable[..., Any], url: str, session: PortraitSession, camera: BrowserCamera
) -> None:
    session.facts.source_kind = "browser"
    page = open_page(url)
    # The flags above grant it beforehand
    page.evaluate("navigator.permissions.query = async () => ({state: 'prompt'})")
    page.get_by_role("button", name="Turn on camera").click()
    assert "nobody sees it" in page.get_by_role("dialog").inner_text()
    with contextlib.suppress(SourceLost):
        assert camera.read(0.0) is None  # not before it was explained
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector("#camera-dock[aria-pressed=true]")
    image = _read(camera)
    assert image.shape == (480, 640, 3)
    assert page.locator("video").count() == 1
    assert (
        page.evaluate("""(async () => {
        const [used] = (await navigator.mediaDevices.enumerateDevices()).filter(({kind}) => kind === 'videoinput');
        return [...document.querySelectorAll('video')].some((video) => video.srcObject.getTracks()[0].label === used.label);
    })()""")
        is False
    )

    # The newest camera counts; the first page lets it go instead of fighting for it
    other = open_page(url)
    other.locator("#camera-dock").click()
    if other.get_by_role("dialog").is_visible():
        other.get_by_role("button", name="Continue").click()
    page.locator("#invite").get_by_text("Another page or program became the camera.").wait_for()
    _read(camera)
    other.locator("#camera-dock").click()
    other.get_by_role("button", name="Turn on camera").wait_for()
    with pytest.raises(SourceLost):
        for _ in range(round(PATIENCE)):
            camera.read(1.0)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "does not let this page"),
        ("NotFoundError", "No camera found"),
        ("NotReadableError", "busy"),
        ("SecurityError", "https"),
    ],
)
def test_what_is_wrong_with_the_camera_is_said_in_words(
    open_page: Callable[..., Any], url: str, session: PortraitSession, error: str, words: str
) -> None:
    session.facts.source_kind = "browser"
    page = open_page(url)
    page.evaluate(
        "(name) => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }",
        error,
    )
    page.locator("#camera-dock").click()
    if page.get_by_role("dialog").is_visible():
        page.get_by_role("button", name="Continue").click()
    page.locator("#invite").get_by_text(words).wait_for()
    page.get_by_role("button", name="Try again").wait_for()


@pytest.mark.parametrize("width", [360, 390, 768, 1440])
def test_the_page_fits_and_can_be_touched(
    open_page: Callable[..., Any], url: str, width: int
) -> None:
    page = open_page(
        url, viewport={"width": width, "height": 800}, has_touch=True, is_mobile=width < 500
    )
    page.get_by_role("button", name="Copper hair").click()
    page.get_by_role("slider", name="Copper hair").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#frame").bounding_box()["width"] > 0.4 * width
    small = page.evaluate("""[...document.querySelectorAll("button:not(.link), select, .choice, input[type=range]")]
        .filter((control) => control.checkVisibility())
        .map((control) => [control.getAttribute("aria-label") ?? control.textContent.trim(), control.getBoundingClientRect()])
        .filter(([, {width, height}]) => Math.min(width, height) < 43.5).map(([name]) => name)""")
    assert small == []


def test_every_control_has_a_name(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    session.facts.source_kind = "browser"
    page = open_page(url)
    page.get_by_role("button", name="Copper hair").click()
    page.get_by_role("button", name="Figures").click()
    page.get_by_role("slider", name="Copper hair").wait_for()
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = {
        "button",
        "slider",
        "radio",
        "combobox",
        "textbox",
        "ColorWell",
        "link",
        "checkbox",
        "group",
        "dialog",
    }
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert len([role for role, _ in named if role in controls]) > 30
    assert [role for role, name in named if role in controls and not name.strip()] == []


def test_names_of_keys(open_page: Callable[..., Any], url: str) -> None:
    page = open_page(url, wait="")
    assert page.evaluate("""import("/static/keys.js").then(({normalised, namesOf}) => [
        normalised("<Alt>+<ctrl>+1"), normalised("ctrl++"), normalised("H"),
        namesOf(new KeyboardEvent("keydown", {key: "¡", code: "Digit1", altKey: true, ctrlKey: true})),
        namesOf(new KeyboardEvent("keydown", {key: "?", code: "Slash", shiftKey: true})),
        namesOf(new KeyboardEvent("keydown", {key: "H", code: "KeyH", shiftKey: true}))])""") == [
        "ctrl+alt+1",
        "ctrl++",
        "h",
        ["ctrl+alt+¡", "ctrl+alt+1"],
        ["shift+?", "?"],
        ["shift+h"],
    ]


def _read(camera: BrowserCamera) -> UInt8Array:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(SourceLost):
            frame = camera.read(1.0)
            if frame is not None:
                return frame.image
    raise AssertionError("the camera sent nothing")


# ----- the voice

_LOUDNESS = """async () => {
    const context = new AudioContext();
    await context.resume();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(document.getElementById("video").srcObject).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let loudest = 0;
    for (let tries = 0; tries < 200 && loudest < 0.2; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        analyser.getFloatTimeDomainData(samples);
        loudest = Math.max(loudest, ...samples);
    }
    await context.close();
    return loudest;
}"""


def test_the_voice_is_heard_after_a_click_and_muted_by_key(
    open_page: Callable[..., Any], session: PortraitSession
) -> None:
    with voice_of(tone) as voice, _served(session, WebConfig(port=0), voice=voice) as address:
        session.facts.voice = {
            "name": "microphone USB",
            "problem": "",
            "muted": False,
            "level": 0.1,
            "delay_ms": 70,
        }
        page = open_page(address)
        page.wait_for_selector("#listen")
        muted = "document.getElementById('video').muted"
        assert page.evaluate(muted) is True, "the driver's own microphone would hear it"
        page.click("#listen")
        assert page.evaluate(muted) is False
        assert page.evaluate(_LOUDNESS) > 0.2
        page.keyboard.press("v")
        _until(lambda: page.get_attribute("#mute", "aria-pressed") == "true")
        assert session.facts.voice["muted"] is True


def test_the_browsers_microphone_is_sent_once_its_button_is_pressed(
    open_page: Callable[..., Any], session: PortraitSession
) -> None:
    """Chromium's stand-in for a microphone beeps."""
    session.facts.source_kind = "browser"
    camera, microphone = BrowserCamera(), BrowserMicrophone()
    loudest = [0.0]
    microphone.start(
        lambda samples, _: loudest.append(max(loudest[-1], float(np.abs(samples).max())))
    )
    with _served(session, WebConfig(port=0), camera, microphone=microphone) as address:
        page = open_page(address)
        asked = """(() => {
            const stock = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            window.asked = [];
            navigator.mediaDevices.getUserMedia = (wish) => { asked.push(Boolean(wish.audio)); return stock(wish); };
        })()"""
        page.evaluate(asked)
        button = page.locator("#microphone")
        assert button.is_hidden(), "without a camera nobody speaks"
        page.locator("#camera-dock").click()
        if page.get_by_role("dialog").is_visible():
            page.get_by_role("button", name="Continue").click()
        page.wait_for_selector("#camera-dock[aria-pressed=true]")
        button.wait_for()
        _read(camera)
        assert page.evaluate("asked") == [False] and not microphone.on
        button.click()
        _until(lambda: button.get_attribute("aria-pressed") == "true")
        _until(lambda: loudest[-1] > 0.05)
        button.click()
        _until(lambda: button.get_attribute("aria-pressed") == "false")
        _until(lambda: not microphone.on)
        button.click()
        _until(lambda: microphone.on)
        page.locator("#camera-dock").click()  # with the camera the microphone goes off
        _until(lambda: not microphone.on)
        button.wait_for(state="hidden")


def test_why_the_microphone_is_silent_is_shown(
    open_page: Callable[..., Any], url: str, session: PortraitSession
) -> None:
    said = "microphone USB gives no sound: plug it in again"
    voice: dict[str, object] = {
        "name": "microphone USB",
        "problem": "",
        "muted": False,
        "level": 0.1,
        "delay_ms": 70,
    }
    session.facts.voice = voice
    page = open_page(url)
    assert page.locator("#problem-banner").is_hidden()
    session.facts.voice = {**voice, "problem": said}
    page.locator("#problem-banner").get_by_text("gives no sound: plug it in again").wait_for()
    session.facts.voice = voice
    page.locator("#problem-banner").wait_for(state="hidden")


def test_without_a_voice_there_is_nothing_to_listen_to(
    open_page: Callable[..., Any], url: str
) -> None:
    page = open_page(url)
    assert page.locator("#listen").is_hidden() and page.locator("#mute").is_hidden()
