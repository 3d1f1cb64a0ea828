"""The user's settings for all sessions: keys, gains, smoothing, looks and stream, from one TOML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import platformdirs

from perse_live.checked import CheckedError, parse_toml
from perse_live.errors import UserError
from runtime.hotkeys.keymap import KeyMap, key_map
from runtime.live.actions import BADGE_PLACES, MAX_GAIN, SetBadge, parse_action
from runtime.live.gains import Gains
from runtime.smoothing import OneEuroConfig
from runtime.web.codec import EncodeConfig
from runtime.web.ice import IceServer, ice_server

BACKGROUNDS = ("photo", "green", "alpha")
"""Names that a background may have; else it is a colour RRGGBB or the path of a picture."""

_LARGEST_FILE = 64 << 10  # bytes; a settings file is a page or two


@dataclass(frozen=True)
class Settings:
    """Contents of the settings file; the command line takes precedence."""

    keys: KeyMap = field(default_factory=KeyMap)
    """Key bindings of the page, the terminal and the system."""
    gains: Gains = field(default_factory=Gains)
    """Gains of the motion by region."""
    smoothing: OneEuroConfig | None = field(default_factory=OneEuroConfig)
    """Smoothing of the motion; None: off."""
    dead_zone: float = 0.02
    """[0, 0.5], expressions weaker than this count as rest: below it is mostly the detector's noise."""
    background: str = "d9dbde"
    """`rrggbb`, one of `BACKGROUNDS`, or the absolute path of a picture."""
    badge: SetBadge = field(default_factory=lambda: SetBadge("bottom-right"))
    """Corner of the badge that says that this is an avatar; "off" needs a reason."""
    target_fps: int = 30
    """[5, 120], pictures a second that the session tries to keep."""
    encoding: EncodeConfig = field(default_factory=EncodeConfig)
    """Codec and bitrate for viewers."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN and TURN servers; none are needed on one machine or in one network."""
    text_model: str = ""
    """Path of a diffusers pipeline for inpainting, with which the studio paints looks that words describe; "": none."""


def settings_path() -> Path:
    """Where the settings file is unless another is named: `~/.config/perse-live/config.toml` on Linux."""
    return platformdirs.user_config_path("perse-live", appauthor=False) / "config.toml"


def load_settings(path: Path | None = None) -> Settings:
    """The user's settings; missing keys have their defaults.

    path: None for `settings_path()`, which may be missing. Raises UserError, naming file, key and what is allowed, for a file
    that cannot be read (a missing one too, if it is named), an unknown key, and a value of the wrong kind or out of range.
    """
    file = path or settings_path()
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise UserError(f"{file} is not an ordinary file: it should be a settings file (TOML)")
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except FileNotFoundError as error:
        if path is None:
            return Settings()
        raise UserError(f"{file}: no such file: give the path of a settings file (TOML)") from error
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}): it should be a settings file (TOML)"
        ) from error
    try:
        content = parse_toml(data, max_bytes=_LARGEST_FILE)
    except CheckedError as error:
        raise UserError(f"{file} is no settings file: {error}") from error
    return _settings(_Table(content, str(file)), file)


def _settings(table: _Table, file: Path) -> Settings:
    usual = Settings()
    keys = table.table("keys")
    settings = Settings(
        keys=key_map(keys.texts("plain"), keys.texts("global"), where=str(file)),
        gains=_gains(table.table("gains")),
        smoothing=_smoothing(table),
        dead_zone=table.number("dead_zone", 0, 0.5, usual.dead_zone),
        background=_background(table.text("background", usual.background), table, file),
        badge=_badge(table.table("badge"), usual.badge),
        target_fps=table.whole("target_fps", 5, 120, usual.target_fps),
        encoding=EncodeConfig(
            codec="vp8"
            if table.choice("codec", ("vp8", "h264"), usual.encoding.codec) == "vp8"
            else "h264",
            bitrate=table.whole("bitrate", 100_000, 50_000_000, usual.encoding.bitrate),
        ),
        ice_servers=_ice_servers(table),
        text_model=_folder(table.text("text_model", usual.text_model), file),
    )
    keys.finish()
    table.finish()
    return settings


def _gains(table: _Table) -> Gains:
    gains = Gains(
        **{region.name: table.number(region.name, 0, MAX_GAIN, 1.0) for region in fields(Gains)}
    )
    table.finish()
    return gains


def _smoothing(table: _Table) -> OneEuroConfig | None:
    inner, usual = table.table("smoothing"), OneEuroConfig()
    on = inner.switch("on", True)
    config = OneEuroConfig(
        cutoff_hz=inner.number("cutoff_hz", 0.05, 60, usual.cutoff_hz),
        speed_gain=inner.number("speed_gain", 0, 1000, usual.speed_gain),
    )
    inner.finish()
    return config if on else None


def _background(text: str, table: _Table, file: Path) -> str:
    if text in BACKGROUNDS:
        return text
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        return text[-6:].lower()
    picture = file.absolute().parent / Path(text).expanduser()  # an absolute path stays as it is
    if text and picture.is_file():
        return str(picture)
    raise table.wrong(
        "background",
        text,
        f"RRGGBB, one of {', '.join(BACKGROUNDS)}, or the path of a picture that exists",
    )


def _folder(text: str, file: Path) -> str:
    """The absolute path, relative to the settings file's folder; existence is checked at use."""
    return str(file.absolute().parent / Path(text).expanduser()) if text else ""


def _badge(table: _Table, usual: SetBadge) -> SetBadge:
    place, reason = (
        table.choice("place", BADGE_PLACES, usual.place),
        table.text("reason", usual.reason),
    )
    table.finish()
    try:
        badge = parse_action({"action": "badge", "place": place, "reason": reason})
    except UserError as error:
        raise UserError(f"{table.where}: {error}") from error
    assert isinstance(badge, SetBadge)
    return badge


def _ice_servers(table: _Table) -> tuple[IceServer, ...]:
    servers = table.take("ice_servers", [])
    texts = cast("list[object]", servers) if isinstance(servers, list) else []
    # Not shown: it may hold a password
    if texts != servers or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"{table.where}ice_servers must be a list of texts such as stun:stun.example.org:3478"
        )
    try:
        return tuple(ice_server(cast("str", text)) for text in texts)
    except UserError as error:
        raise UserError(f"{table.where}ice_servers: {error}") from None


class _Table:
    """One table of the file; each key is taken once, and what is left in the end is unknown."""

    def __init__(self, values: Mapping[str, object], file: str, prefix: str = "") -> None:
        self._values, self._file, self._prefix = dict(values), file, prefix
        self._known: list[str] = []

    @property
    def where(self) -> str:
        return f"{self._file}: {self._prefix.rstrip('.')}"

    def take(self, name: str, default: object) -> object:
        self._known.append(name)
        return self._values.pop(name, default)

    def switch(self, name: str, default: bool) -> bool:
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def text(self, name: str, default: str) -> str:
        value = self.take(name, default)
        if not isinstance(value, str) or len(value) > 1000:
            raise self.wrong(name, value, "a text")
        return value

    def choice(self, name: str, among: tuple[str, ...], default: str) -> str:
        value = self.take(name, default)
        if not isinstance(value, str) or value not in among:
            raise self.wrong(name, value, f"one of {', '.join(among)}")
        return value

    def number(self, name: str, least: float, most: float, default: float) -> float:
        value = self.take(name, default)
        if not (_is_number(value, int | float) and least <= cast("float", value) <= most):
            raise self.wrong(name, value, f"a number from {least:g} to {most:g}")
        return float(cast("float", value))

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        value = self.take(name, default)
        if not (_is_number(value, int) and least <= cast("int", value) <= most):
            raise self.wrong(name, value, f"a whole number from {least} to {most}")
        return cast("int", value)

    def table(self, name: str) -> _Table:
        return _Table(self.texts(name), self._file, f"{self._prefix}{name}.")

    def texts(self, name: str) -> Mapping[str, object]:
        value = self.take(name, {})
        if not isinstance(value, dict):
            raise self.wrong(name, value, f"a table, [{self._prefix}{name}]")
        return cast("dict[str, object]", value)

    def wrong(self, name: str, value: object, wanted: str) -> UserError:
        shown = repr(value)
        return UserError(
            f"{self._file}: {self._prefix}{name} is {shown if len(shown) <= 60 else shown[:57] + '...'};"
            f" it must be {wanted}"
        )

    def finish(self) -> None:
        for name in self._values:
            raise UserError(
                f"{self._file}: unknown key {self._prefix}{name}: there are"
                f" {', '.join(self._prefix + known for known in sorted(self._known))}"
            )


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def default_config_text() -> str:
    """A settings file with every setting commented out, at its default."""
    usual = Settings()
    assert usual.smoothing is not None
    sections: list[tuple[str, tuple[str, ...], Mapping[str, object]]] = [
        (
            "",
            (
                "perse-live's settings. To change one, take the # before its line away; what keeps it follows new versions.",
                "Options of the command line go before this file.",
            ),
            {},
        ),
        (
            "",
            (
                "What stands behind the avatar: RRGGBB, photo (its own, blurred), green, alpha (for OBS), or a picture's path.",
            ),
            {"background": usual.background},
        ),
        (
            "",
            ("Pictures a second, 5 to 120; on a slow machine less is drawn to keep them.",),
            {"target_fps": usual.target_fps},
        ),
        (
            "",
            ("Expressions weaker than this count as rest, 0 to 0.5.",),
            {"dead_zone": usual.dead_zone},
        ),
        (
            "",
            ("The stream to viewers: vp8 or h264, and bits a second.",),
            {"codec": usual.encoding.codec, "bitrate": usual.encoding.bitrate},
        ),
        (
            "",
            (
                'STUN and TURN servers, such as ["stun:stun.example.org:3478", "turn:USER:PASSWORD@turn.example.org"];',
                "none are needed within one network.",
            ),
            {"ice_servers": [one.url for one in usual.ice_servers]},
        ),
        (
            "",
            (
                "A folder with a diffusers pipeline for inpainting: the studio then makes looks that words describe.",
            ),
            {"text_model": usual.text_model},
        ),
        (
            "smoothing",
            (
                "One-Euro filter of the motion. cutoff_hz: lower is calmer and later at rest; speed_gain: higher follows",
                "quick motion sooner. on = false follows at once and shows every jitter.",
            ),
            {
                "on": True,
                "cutoff_hz": usual.smoothing.cutoff_hz,
                "speed_gain": usual.smoothing.speed_gain,
            },
        ),
        ("gains", ("How strongly the avatar follows, 0 to 2; 1 as tracked.",), asdict(usual.gains)),
        (
            "badge",
            (f"Where the badge is: {', '.join(BADGE_PLACES)}; off needs a reason.",),
            asdict(usual.badge),
        ),
        (
            "keys.plain",
            (
                "Keys in the page; the single characters work in the terminal too. An empty text takes a key away.",
            ),
            usual.keys.plain,
        ),
        (
            "keys.global",
            ("Keys in any window: F keys, or <ctrl>, <alt>, <shift>, <cmd> and a character.",),
            usual.keys.everywhere,
        ),
    ]
    return "\n".join(_section(*section) for section in sections)


def _section(name: str, remarks: tuple[str, ...], values: Mapping[str, object]) -> str:
    head = [f"[{name}]"] if name else []
    lines = [f"#{_toml_key(key)} = {json.dumps(value)}" for key, value in values.items()]
    return "".join(f"{line}\n" for line in [*(f"# {remark}" for remark in remarks), *head, *lines])


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[a-z_]+", key) and len(key) > 1 else json.dumps(key)
