"""Runs a live session from its options: opens and closes sources, sinks, server and keys."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.avatar import MAX_GAUSSIANS, load_avatar
from perse_live.engines.folder import default_engine_folder
from perse_live.errors import UserError
from perse_live.memory import leave_out_of_collections
from perse_live.motion_file import SUFFIX as MOTION_SUFFIX
from perse_live.signals import ending_signals
from runtime.engines.choose import Wish, choose_engine
from runtime.engines.contract import Rebuild
from runtime.hotkeys.global_keys import GlobalKeys
from runtime.hotkeys.terminal_keys import TerminalKeys
from runtime.live.actions import GAIN_REGIONS, SetBadge, SetPicture, SetVirtualCamera, parse_action
from runtime.live.clock import StageClock
from runtime.live.config import LiveConfig
from runtime.live.control import Control
from runtime.live.feeds import Feed, MotionFeed, PictureFeed
from runtime.live.painter import Actor, actor_of, backdrop_of
from runtime.live.scripted import idle_script, performance_script
from runtime.live.session import LiveSession
from runtime.live.settings import Settings
from runtime.live.source_choices import SourceChoice, chosen_source, source_choices, source_id
from runtime.live.thinning import share_for, thinned
from runtime.sinks.contract import Recorder, Sink
from runtime.sinks.motion import MotionSink
from runtime.sinks.preview import PreviewSink
from runtime.sinks.recording import RecordingSink
from runtime.sinks.virtual_camera import VirtualCameraSink
from runtime.sound.browser import BrowserMicrophone
from runtime.sound.contract import SoundSource
from runtime.sound.voice import Voice
from runtime.sources.browser import BrowserCamera
from runtime.sources.contract import PictureSource
from runtime.sources.film import FilmClock, FilmSource
from runtime.sources.open import BROWSER, open_source
from runtime.sources.vmc import VmcSource
from runtime.studio.store import StudioStore
from runtime.studio.studio import RememberingControl, Studio, StudioOptions
from runtime.tracker import TrackerConfig
from runtime.web.codec import EncodeConfig
from runtime.web.ice import ice_server
from runtime.web.security import is_loopback, new_token, terminal_qr
from runtime.web.server import WebConfig, WebServer
from runtime.web.shared_machine import another_user
from runtime.web.shared_motion import Sharing
from runtime.web.whip_http import WhipTarget

_log = logging.getLogger(__name__)
_FIRST_PICTURE_SECONDS = 60.0  # the very first start compiles for half a minute
_STAGES = ("capture", "track", "animate", "render", "encode")
_POLL_SECONDS = 0.1
# Metres, head frame: neck pivot of the mean head, used before an avatar is loaded
_MEAN_NECK = np.array([0.0, -0.12, -0.1])

PERFORMANCE = "performance"
"""Camera name for the scripted performance."""


@dataclass(frozen=True)
class LiveOptions:
    """Options of a session; None: as in the settings file."""

    avatars: tuple[Path, ...]
    """The first one is shown; empty: the page's user chooses one."""
    camera: str = "0"
    """As `open_source` reads it, `BROWSER`, or `PERFORMANCE`."""
    once: bool = False
    """Whether a film given as the camera ends the session with its end instead of starting again."""
    microphone: str | None = None
    """Microphone: its number, its name or part of it, "" for the default; None: no microphone."""
    voice_out: str | None = None
    """Virtual microphone for call programs, as `open_voice_output` reads it; None: none."""
    publish: WhipTarget | None = None
    """WHIP server that picture and voice are published to; None: none."""
    mute_film: bool = False
    """Whether the sound of a film given as the camera is ignored."""
    virtual_camera: bool = False
    """Whether to open a virtual camera."""
    device: str | None = None
    """Device of the virtual camera; None: the first free one."""
    preview: bool = False
    """Whether to open a window."""
    record: Path | None = None
    """Record from the start into this file."""
    mark: bool = True
    """Whether recordings carry metadata that they show an avatar."""
    overwrite: bool = False
    """Whether a separate mark file of `record` may replace a file that perse-live did not write."""
    width: int = 512
    """Pixels, even."""
    height: int = 512
    """Pixels, even."""
    fps: float | None = None
    """To keep."""
    max_gaussians: int | None = None
    """Maximum per avatar; Gaussians outside the face are thinned to reach it."""
    background: str | None = None
    """As `backdrop_of` reads it."""
    badge: SetBadge | None = None
    """Corner of the badge that says that this is an avatar."""
    still: bool = False
    """Whether secondary motion (swinging hair, breathing) is off."""
    threads: int = 2
    """For drawing."""
    hotkeys: bool = True
    """Whether keys act system-wide."""
    browser: bool = True
    """Whether to open the page."""
    seconds: float | None = None
    """Seconds after which the session ends."""
    web: WebConfig = field(default_factory=WebConfig)
    """The page and its server."""
    engine: Wish = "auto"
    """Engine that poses and draws."""
    engine_folder: Path | None = None
    """Folder of engines; None: the folder next to each avatar's file."""
    rebuild: Rebuild | None = None
    """Compiles missing engines for this machine's GPU."""
    studio: StudioOptions | None = None
    """The library and the builder behind the page; None: the page shows the session only."""
    sharing: Sharing | None = None
    """Shares the avatar with viewers, whose browsers draw it; None: not shared."""
    remember: bool = False
    """Whether to restore the page's last settings; options given here take precedence."""


@dataclass(frozen=True, eq=False)
class Opened:
    """An open session."""

    session: LiveSession
    server: WebServer
    url: str
    """Of the page."""
    studio: Studio | None
    """Studio behind the page, if there is one."""
    engines: tuple[str, ...]
    """One line per avatar: its engine and why, where engines were requested or exist, or there is a GPU."""


def run_live(
    options: LiveOptions,
    settings: Settings,
    *,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Run a session until its time is up, the film ends, or a signal arrives.

    say: prints a line of output; `ready: URL` once the first frame is drawn. warn: prints warnings. Raises UserError where
    something cannot be opened; everything is closed then, and recordings are playable.
    """
    check_options(options)
    other = another_user()
    if other and options.web.token is None and is_loopback(options.web.host):
        warn(
            f"{other} is logged in on this machine too: the page asks for the token of the link below"
        )
        options = replace(options, web=replace(options.web, token=new_token()))
    # A second signal must not interrupt the closing of files
    with _interruptible() as interrupted, contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_live(options, settings))
        interrupted.opened()
        session = opened.session
        if options.record is not None:
            session.record_now()
        _listen_to_keys(stack, session, options, settings, warn)
        for line in opened.engines:
            warn(line)
        if options.sharing is not None:
            warn(
                "the avatar is shared: whoever opens this link receives the avatar's file, can keep it, and draws it on their own"
                f" machine: {opened.server.watch_link()}"
            )
        say(f"ready: {opened.url}")
        _invite(options, opened.url, say, shared=bool(other))
        ends = None if options.seconds is None else time.monotonic() + options.seconds
        while not (
            interrupted.wait(_POLL_SECONDS)
            or session.ended
            or (ends is not None and time.monotonic() >= ends)
        ):
            pass
    if session.failure is not None:
        raise session.failure


@contextlib.contextmanager
def open_live(
    options: LiveOptions,
    settings: Settings,
    *,
    shown: Callable[[LiveSession], Control] = lambda session: session,
) -> Generator[Opened, None, None]:
    """The session with its first picture drawn, its sinks and its server; closed again at the end of the block.

    shown: replaces the session for viewers, such as the same pictures with a time stamp. Raises UserError for what cannot be
    opened.
    """
    with contextlib.ExitStack() as stack:
        clocks = {name: StageClock() for name in _STAGES}
        engines: list[str] = []
        actors = [_actor(path, options, engines.append) for path in options.avatars]
        store = None if options.studio is None else StudioStore(options.studio.library)
        if store is not None and options.remember:
            options, settings = _as_remembered(options, settings, store)
        pivot = actors[0].avatar.rig.neck_pivot if actors else _MEAN_NECK
        sources = _Sources(options, settings, pivot, clocks)
        feed, kind, sound = _open_source(sources, options)
        script = performance_script(pivot) if options.camera == PERFORMANCE else idle_script(pivot)
        voice: Voice | None = None
        without_sound: set[Path] = set()  # recordings
        finished = (
            _marker(lambda: session.actors, options, lambda problem: session.notice(problem))
            if options.mark
            else None
        )
        try:
            session = LiveSession(
                actors,
                _live_config(options, settings),
                feed=feed,
                source_kind=kind,
                script=script,
                clocks=clocks,
                keys=settings.keys.plain,
                record_to=options.record,
                recorder=lambda path: _recorder(path, session, voice, finished, without_sound),
                virtual_camera=lambda now: VirtualCameraSink(
                    now.width, now.height, now.target_fps, device=options.device
                ),
                pictures=dict if store is None else store.backgrounds,
            )
        except BaseException:
            if feed is not None:
                feed.close()
            if sound is not None:
                sound.close()
            raise
        stack.enter_context(session)
        voice = _open_voice(stack, options, session, sound)
        if options.virtual_camera:
            session.act(SetVirtualCamera(True))
        if options.preview:
            session.add_sink(PreviewSink())
        studio = None
        if options.studio is not None and store is not None:
            stage = _SessionStage(session, options, sources, store)
            studio = _open_studio(stack, options.studio, stage, store, required=not options.avatars)
            if options.remember:
                _restore(session, store)
        control = shown(session)
        if studio is not None:
            control = RememberingControl(control, studio)
        microphone = sound if isinstance(sound, BrowserMicrophone) else None
        if microphone is not None:
            microphone.when_on(lambda: _tell_of_silent_recording(session, without_sound))
        server = WebServer(
            control,
            clocks["encode"],
            options.web,
            camera=sources.browser_camera,
            microphone=microphone,
            voice=voice,
            studio=studio,
            sharing=options.sharing,
        )
        stack.callback(server.close)
        url = server.start()
        session.count_viewers_by(lambda: server.viewers)
        session.start()
        if voice is not None:
            voice.start()
        if actors:
            session.wait_for_picture(_FIRST_PICTURE_SECONDS)
        leave_out_of_collections()
        if options.publish is not None:
            session.add_sink(_whip_sink(options.publish, options.web, session, voice))
        yield Opened(session, server, url, studio, tuple(engines))


def _open_source(
    sources: _Sources, options: LiveOptions
) -> tuple[Feed | None, str, SoundSource | None]:
    """The feed, the kind of its source, and the sound: of a microphone, else of the film, else of the page's browser."""
    sound = _microphone(options)
    try:
        feed, kind, film_sound = sources.open(options.camera)
    except BaseException:
        if sound is not None:
            sound.close()
        raise
    if film_sound is not None and sound is None:
        sound = film_sound()
    if sound is None and sources.browser_camera is not None:
        sound = BrowserMicrophone()
    return feed, kind, sound


def _live_config(options: LiveOptions, settings: Settings) -> LiveConfig:
    return LiveConfig(
        width=options.width,
        height=options.height,
        target_fps=options.fps or float(settings.target_fps),
        threads=options.threads,
        background=options.background or settings.background,
        gains=settings.gains,
        dead_zone=settings.dead_zone,
        badge=options.badge or settings.badge,
        still=options.still,
    )


def _open_voice(
    stack: contextlib.ExitStack,
    options: LiveOptions,
    session: LiveSession,
    sound: SoundSource | None,
) -> Voice | None:
    """The session's voice from a sound source, and its output to call programs; the stack closes both."""
    from_page = isinstance(sound, BrowserMicrophone)
    if options.voice_out is not None and (
        sound is None or (from_page and options.camera != BROWSER)
    ):
        raise UserError(
            "--voice-out without a voice: add --microphone, or a video with sound as the camera"
        )
    if sound is None:
        return None
    voice = Voice(sound, latency=session.picture_latency, silent=lambda: session.silent)
    stack.callback(voice.close)
    session.have_voice(voice)
    if options.voice_out is not None:
        from runtime.sound.output import open_voice_output

        output = open_voice_output(options.voice_out)
        stack.callback(output.close)
        stack.callback(voice.hear(output.hear))
    return voice


def _open_studio(
    stack: contextlib.ExitStack,
    options: StudioOptions,
    stage: _SessionStage,
    store: StudioStore,
    *,
    required: bool,
) -> Studio | None:
    """The studio behind the page; the stack closes it. None, with a warning, where it cannot be opened and is not required."""
    try:
        studio = Studio(options, stage, store)
    except UserError as error:
        if required:
            raise
        _log.warning("%s", error)
        return None
    stack.callback(studio.close)
    return studio


def _whip_sink(
    target: WhipTarget, config: WebConfig, session: LiveSession, voice: Voice | None
) -> Sink:
    from runtime.sinks.whip import WhipSink

    return WhipSink(
        target,
        EncodeConfig(codec=config.codec, bitrate=config.bitrate),
        ice_servers=config.ice_servers,
        voice=voice,
        tell=session.notice,
    )


class _SessionStage:
    """A session as the studio's stage."""

    def __init__(
        self, session: LiveSession, options: LiveOptions, sources: _Sources, store: StudioStore
    ) -> None:
        self._session, self._options, self._sources = session, options, sources
        self._choosing = threading.Lock()
        self._source = source_id(options.camera)
        remembered = store.stage.get("source")
        self._wish = (  # the camera chosen last; opened when needed
            remembered
            if options.remember and options.camera == BROWSER and isinstance(remembered, str)
            else ""
        )

    def show(self, path: Path) -> None:
        """Show an avatar."""
        self._session.put_on_stage(_actor(path, self._options, _log.info))
        wish, self._wish = self._wish, ""
        if wish:
            try:
                self.choose_source(wish)
            except UserError as error:
                self._session.notice(str(error))

    def sources(self) -> tuple[list[SourceChoice], str]:
        """The available sources of motion, and the id of the current one."""
        return source_choices(self._options.camera), self._source

    def choose_source(self, source_id: str) -> None:
        """Switch to another source of motion."""
        with self._choosing:
            chosen = chosen_source(source_choices(self._options.camera), source_id)
            self._wish = ""
            if chosen.id != self._source:
                feed, kind, _ = self._sources.open(chosen.camera)
                self._session.follow(feed, kind)
                self._source = chosen.id

    def reload(self, path: Path) -> None:
        """Reload an avatar from its file."""
        self._session.replace_on_stage(_actor(path, self._options, _log.info))

    def holds(self, name: str) -> bool:
        """Whether an avatar of that name is loaded."""
        return any(one.name == name for one in self._session.actors)

    def shown(self) -> str:
        """The name of the avatar that is shown."""
        return self._session.shown_name

    def renamed(self, old: str, new: str) -> None:
        """Rename a loaded avatar."""
        self._session.rename_actor(old, new)


def _as_remembered(
    options: LiveOptions, settings: Settings, store: StudioStore
) -> tuple[LiveOptions, Settings]:
    """Options and settings with the page's last values; values that are no longer valid are ignored."""
    stage = store.stage
    with contextlib.suppress(UserError, TypeError):
        known = {name: stage[name] for name in ("width", "height", "fps") if name in stage}
        action = parse_action({"action": "picture", **known})
        if isinstance(action, SetPicture) and options.fps is None:
            options = replace(options, width=action.width, height=action.height, fps=action.fps)
    background = stage.get("background")
    if options.background is None and isinstance(background, str):
        with contextlib.suppress(UserError):
            if background not in store.backgrounds():
                backdrop_of(background)
            options = replace(options, background=background)
    return options, settings


def _restore(session: LiveSession, store: StudioStore) -> None:
    """Apply the page user's last choices."""
    stage = store.stage
    wishes: list[dict[str, object]] = [
        {"action": "gain", "region": region, "value": stage.get(f"gain-{region}")}
        for region in GAIN_REGIONS
        if f"gain-{region}" in stage
    ]
    if stage.get("mirror") is True:
        wishes.append({"action": "mirror", "on": True})
    if "badge" in stage:
        wishes.append(
            {"action": "badge", "place": stage["badge"], "reason": stage.get("badge_reason", "")}
        )
    if stage.get("virtual_camera") is True:
        wishes.append({"action": "virtual-camera", "on": True})
    for wish in wishes:
        try:
            session.act(parse_action(wish))
        except UserError as error:
            _log.warning("%s", error)


def _recorder(
    path: Path,
    session: LiveSession,
    voice: Voice | None,
    finished: Callable[[Path], None] | None,
    without_sound: set[Path],
) -> Recorder:
    """Open a recording. without_sound: its path is added where there is no voice at present."""
    sounds = voice is not None and voice.on
    if not sounds:
        without_sound.add(path)
    if path.suffix.lower() == MOTION_SUFFIX:
        return MotionSink(path, session.motion_header)
    return RecordingSink(
        path,
        fps=session.config.target_fps,
        finished=finished,
        listen=voice.hear if voice is not None and sounds else None,
    )


def _tell_of_silent_recording(session: LiveSession, without_sound: Collection[Path]) -> None:
    """Notify the driver where the page's microphone is turned on during a recording without sound (`without_sound`)."""
    recording = session.recording
    if recording is not None and recording in without_sound:
        session.notice(f"{recording.name} has no sound: it began before the microphone was on")


def _marker(
    actors: Callable[[], Sequence[Actor]], options: LiveOptions, tell: Callable[[str], None]
) -> Callable[[Path], None]:
    """Function that marks a finished recording as showing these avatars.

    actors: the avatars loaded at its end. tell: called with the reason where a recording cannot be
    marked.
    """

    def finished(path: Path) -> None:
        from perse_live.marking.mark import mark_film, mark_of

        try:
            mark_film(
                path,
                mark_of([actor.avatar for actor in actors()]),
                overwrite=options.overwrite and path == options.record,
            )
        except UserError as error:
            _log.warning("%s", error)
            tell(str(error))

    return finished


def check_options(options: LiveOptions) -> None:
    """Raise UserError for numbers out of range; `run_live` calls it first."""
    for name, value, least, most in (
        ("fps", options.fps, 5, 120),
        ("max-gaussians", options.max_gaussians, 1, MAX_GAUSSIANS),
        ("seconds", options.seconds, 0, 1e9),
    ):
        if value is not None and not least <= value <= most:
            raise UserError(f"--{name} {value:g} is out of range: give {least:g} to {most:g}")


def _actor(path: Path, options: LiveOptions, tell: Callable[[str], None]) -> Actor:
    avatar, most = load_avatar(path), options.max_gaussians
    folder = options.engine_folder or default_engine_folder(path)
    choice = choose_engine(
        options.engine,
        folder,
        avatar,
        rebuild=options.rebuild,
        size=(options.width, options.height),
    )
    if (
        options.engine != "auto"
        or folder.is_dir()
        or choice.engine.name != "cpu"
        or choice.unexpected
    ):
        tell(f"{path.stem}: {choice.why}")
    if most is not None and len(avatar) > most:
        avatar = thinned(avatar, share_for(avatar, most))
    return replace(actor_of(path.stem, avatar), engine=choice.engine)


class _Sources:
    """Opens sources of motion; the browser's camera is one object, however often it is chosen."""

    def __init__(
        self,
        options: LiveOptions,
        settings: Settings,
        neck_pivot: FloatArray,
        clocks: Mapping[str, StageClock],
    ) -> None:
        self._options, self._pivot, self._clocks = options, neck_pivot, clocks
        self._tracker = TrackerConfig(smoothing=settings.smoothing)
        self._film: FilmSource | None = None  # opened last; closed while another source plays
        self.browser_camera: BrowserCamera | None = None
        """The camera of a page's browser; None where this session has no page that can be a camera."""
        if options.camera == BROWSER or options.studio is not None:
            self.browser_camera = BrowserCamera()
            self.browser_camera.close()  # until it is chosen

    def open(self, camera: str) -> tuple[Feed | None, str, Callable[[], SoundSource] | None]:
        """Returns a feed, the kind of the source (see docs/live-api.md), and a function that opens the film's sound, if any.

        camera: as in `LiveOptions`. Raises UserError where it cannot be had.
        """
        if camera == PERFORMANCE:
            return None, "none", None
        if camera == BROWSER:
            assert self.browser_camera is not None
            self.browser_camera.reopen()
            return self._pictures(self.browser_camera), "browser", None
        source = open_source(camera, repeat=not self._options.once)
        if source is None:
            return None, "none", None
        if isinstance(source, VmcSource):
            feed = MotionFeed(source, track=self._clocks["track"], neck_pivot=self._pivot)
            return feed, "motion", None
        if not isinstance(source, FilmSource):
            return self._pictures(source), "camera", None
        audible = source.has_sound and not self._options.mute_film
        sound = partial(_film_sound, self, Path(camera)) if audible else None
        self._film = source
        return self._pictures(source), "file", sound

    def clock(self) -> FilmClock | None:
        """Clock of the film that plays now; None while none plays."""
        return None if self._film is None else self._film.clock()

    def _pictures(self, source: PictureSource) -> PictureFeed:
        clocks = self._clocks
        return PictureFeed(
            source, capture=clocks["capture"], track=clocks["track"], config=self._tracker
        )


def _film_sound(pictures: _Sources, path: Path) -> SoundSource:
    from runtime.sound.film import FilmSound

    return FilmSound(pictures, path)


def _microphone(options: LiveOptions) -> SoundSource | None:
    if options.microphone is None:
        return None
    from runtime.sound.microphone import MicrophoneSource

    return MicrophoneSource(options.microphone)


def _listen_to_keys(
    stack: contextlib.ExitStack,
    session: LiveSession,
    options: LiveOptions,
    settings: Settings,
    warn: Callable[[str], None],
) -> None:
    terminal = TerminalKeys(settings.keys.terminal_actions(), session.act, session.notice)
    stack.callback(terminal.close)
    if options.hotkeys:
        try:
            keys = GlobalKeys(settings.keys.global_actions(), session.act, session.notice)
            stack.callback(keys.close)
        except UserError as error:
            warn(str(error))


def _invite(options: LiveOptions, url: str, say: Callable[[str], None], *, shared: bool) -> None:
    """Print the page's address, and open it. shared: whether other users of this machine could read the token in the process
    list.
    """
    if options.web.host not in ("127.0.0.1", "localhost", "::1") and sys.stdout.isatty():
        say(terminal_qr(url))
    if options.browser and _has_screen():
        with contextlib.suppress(webbrowser.Error):
            # The page explains that it needs the complete link
            webbrowser.open(url.partition("#")[0] if shared else url)


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


class _Interruption:
    """Handler of ending signals: they interrupt the opening of a session, and later end it normally."""

    def __init__(self) -> None:
        self._opening, self._asked = True, threading.Event()

    def opened(self) -> None:
        """From here on signals no longer interrupt."""
        self._opening = False

    def wait(self, seconds: float) -> bool:
        """Wait for a signal; returns whether one arrived."""
        return self._asked.wait(seconds)

    def end(self, _: int, __: FrameType | None) -> None:
        """Signal handler."""
        self._asked.set()
        if self._opening:
            self._opening = False  # resources are closed without further interruption
            raise KeyboardInterrupt


@contextlib.contextmanager
def _interruptible() -> Generator[_Interruption, None, None]:
    interruption = _Interruption()
    with ending_signals(interruption.end):
        yield interruption


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels from "512" or "1280x720", made even.

    Raises UserError for anything else, and for sides below 128 or above 1920.
    """
    found = re.fullmatch(r"(\d{2,4})(?:x(\d{2,4}))?", text)
    if found is None:
        raise UserError(
            f"the size {text[:20]!r} is not understood: give pixels, such as 512 or 1280x720"
        )
    width = int(found[1])
    return check_size(width, int(found[2]) if found[2] else width)


def check_size(width: int, height: int) -> tuple[int, int]:
    """Width and height in pixels, made even. Raises UserError for sides below 128 or above 1920."""
    if not (128 <= width <= 1920 and 128 <= height <= 1920):
        raise UserError(
            f"the size {width}x{height} is out of range: each side may have 128 to 1920 pixels"
        )
    return width // 2 * 2, height // 2 * 2


def web_config(
    base: WebConfig,
    settings: Settings,
    *,
    codec: str | None,
    bitrate: int | None,
    ice: tuple[str, ...],
) -> WebConfig:
    """The server's settings; the command line takes precedence over the settings file."""
    encoding = settings.encoding
    chosen = codec or encoding.codec
    if chosen not in ("vp8", "h264"):
        raise UserError(f"unknown codec {chosen[:20]!r}: give vp8 or h264")
    if bitrate is not None and not 100_000 <= bitrate <= 50_000_000:
        raise UserError(f"--bitrate {bitrate} is out of range: give 100000 to 50000000")
    servers = tuple(map(ice_server, ice)) or settings.ice_servers
    return replace(base, codec=chosen, bitrate=bitrate or encoding.bitrate, ice_servers=servers)
