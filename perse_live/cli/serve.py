"""`perse-live serve`: live sessions of many drivers on one machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.child import module_command
from perse_live.cli.console import say, step_progress, warn
from perse_live.cli.options import Network
from perse_live.cli.shared import TRACKING_ASSETS, fetch
from perse_live.errors import UserError

_MIN_TOKEN = 16  # characters


@dataclass(frozen=True)
class Serve:
    """Serve live sessions of many drivers behind one port: a process for each, started and ended through an API."""

    avatars: Annotated[Positional[tuple[Path, ...]], arg(metavar="AVATAR")]
    """Avatar files (.perse) that sessions may be started with, by their names without the suffix."""
    sessions: int | None = None
    """Number of sessions at a time; by default one per processor core. More are refused (503)."""
    idle_minutes: float = 10.0
    """End a session that nobody has used for this long; 0: never."""
    admin_token_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file whose first line is the token for starting and ending sessions; by default one is generated and printed."""
    camera: str = "browser"
    """Where each session's motion comes from: `browser` (its driver's camera), a video file, or `none`."""
    share_avatar: bool = False
    """Send the avatar's file to every viewer of a session, whose browser draws it; see perse-live live --help."""
    size: str = "512"
    """Width and height of the pictures, pixels, such as 512 or 1280x720."""
    fps: float | None = None
    """Frame rate to keep; 30 by default, or what the settings file says."""
    host: str = "127.0.0.1"
    """Address to serve on; drivers on other machines need TLS for their camera."""
    port: int = 8080
    """Port to serve on; 0: any free port."""
    cert: Path | None = None
    """Certificate (PEM) for TLS."""
    key: Path | None = None
    """The certificate's key (PEM)."""
    ice: Annotated[tuple[str, ...], arg(metavar="URL")] = ()
    """STUN or TURN servers; none are needed in one network."""
    settings: Annotated[Path | None, arg(metavar="FILE")] = None
    """A settings file other than the usual one."""
    seconds: float | None = None
    """End after this many seconds; by default only by Ctrl-C."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Serve) -> None:
    """Serve until it is ended."""
    from perse_live.avatar import load_avatar
    from perse_live.cli.live import sharing
    from runtime.live.run import parse_size
    from runtime.live.settings import load_settings
    from runtime.serve.server import ServeOptions, serve
    from runtime.web.ice import ice_server
    from runtime.web.security import new_token, read_token

    if not command.avatars:
        raise UserError("no avatar is named: give .perse files, made by perse-live build")
    avatars: dict[str, Path] = {}
    for path in command.avatars:
        if path.stem in avatars:
            raise UserError(
                f"two avatars are called {path.stem}: rename {path} or {avatars[path.stem]}"
            )
        load_avatar(path)  # what cannot be used is said now
        avatars[path.stem] = path.resolve()
    cores = os.cpu_count() or 1
    most = cores if command.sessions is None else command.sessions
    if not 1 <= most <= 64 * cores:
        raise UserError(f"--sessions {most} is out of range: give 1 to {64 * cores}")
    if command.idle_minutes < 0:
        raise UserError(f"--idle-minutes {command.idle_minutes:g} is out of range: give 0 or more")
    if command.key is not None and command.cert is None:
        raise UserError("--key without --cert: give both for TLS")
    camera = command.camera
    if camera not in ("browser", "none"):
        if not Path(camera).is_file():
            raise UserError(f"--camera {camera}: no such file: give browser, none or a video file")
        camera = str(Path(camera).resolve())
    load_settings(command.settings)
    for one in command.ice:
        ice_server(one)
    width, height = parse_size(command.size)
    file = command.admin_token_file
    token = new_token() if file is None else read_token(file)
    if len(token) < _MIN_TOKEN:
        raise UserError(f"the token in {file} is too short: give at least {_MIN_TOKEN} characters")
    with step_progress() as progress:
        fetch(TRACKING_ASSETS, command.network, progress)

    def announce(text: str) -> None:
        say(text)
        if file is None:
            say(f"administrator's token: {token}")

    options = ServeOptions(
        avatars,
        module_command("perse_live.cli.session_worker"),
        token,
        most,
        60 * command.idle_minutes,
        {
            "camera": camera,
            "width": width,
            "height": height,
            "fps": command.fps,
            "threads": min(max(1, cores // most), 4),
            "share_avatar": command.share_avatar,
            "ice": list(command.ice),
            "settings": None if command.settings is None else str(command.settings.resolve()),
        },
        sharing().scripts if command.share_avatar else {},
        host=command.host,
        port=command.port,
        cert=command.cert,
        key=command.key,
        seconds=command.seconds,
    )
    serve(options, say=announce, warn=warn)
