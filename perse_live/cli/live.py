"""`perse-live live`: a live session."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import say, step_progress, warn
from perse_live.cli.options import Network, Page, Replacing
from perse_live.cli.shared import TRACKING_ASSETS, fetch, with_side_file
from perse_live.cli.studio import studio_options
from perse_live.errors import UserError
from perse_live.memory import keep_heap_small
from perse_live.motion_file import SUFFIX
from perse_live.outputs import check_outputs

if TYPE_CHECKING:
    from runtime.web.shared_motion import Sharing
    from runtime.web.whip_http import WhipTarget


@dataclass(frozen=True)
class Live:
    """Drive an avatar live: it follows your camera, and is shown in the live page, as a virtual camera and in recordings."""

    avatars: Annotated[Positional[tuple[Path, ...]], arg(metavar="AVATAR")]
    """Avatar files (.perse); with several, keys and page switch between them."""
    camera: str = "0"
    """Source of motion: a camera's number, a video file, `browser` (the page's camera), `vmc` (another
    program's tracker, UDP port 39539 of 127.0.0.1; `vmc:0.0.0.0` or `vmc:ADDRESS:PORT` for a phone's) or `none`."""
    once: bool = False
    """With a video file as the camera: end with the video, instead of repeating it."""
    microphone: Annotated[str | None, arg(metavar="NAME|NUMBER")] = None
    """Send this microphone to viewers and recordings, in time with the picture: a number or part of a name as listed by
    perse-live doctor, or `default`. A video file as the camera comes with its sound."""
    voice_out: Annotated[str | None, arg(metavar="DEVICE|auto")] = None
    """Offer the delayed voice to call programs, in time with the virtual camera: `auto` makes a source "perse-live microphone"
    on PulseAudio and PipeWire, and takes an installed virtual cable elsewhere; or a playback device by number or name."""
    no_sound: bool = False
    """With a video file as the camera: leave out its sound."""
    publish: Annotated[str | None, arg(metavar="URL")] = None
    """Send picture and voice to a WHIP server (LiveKit, Janus, MediaMTX, Cloudflare, Twitch), which many can watch through."""
    publish_token: Annotated[str | None, arg(metavar="TOKEN")] = None
    """Token or stream key for that server. Other users of this machine see it in the list of processes; with
    --publish-token-file they do not."""
    publish_token_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file whose first line is that token."""
    virtual_camera: bool = False
    """Offer the picture to other programs as a camera."""
    device: str | None = None
    """The virtual camera's device, such as /dev/video10; else the first that is free."""
    preview: bool = False
    """Show the picture in a window too."""
    record: Annotated[Path | None, arg(metavar="OUT")] = None
    """Record into this file from the start: a video (.mp4, .mkv), or the motion alone (.motion), which drive draws again."""
    share_avatar: bool = False
    """Send the avatar's file to every viewer: whoever has the link to watch receives the file, can keep it, and draws the avatar
    on their own machine, in any pose. Your camera's picture is sent to nobody. Off by default."""
    no_c2pa: bool = False
    """Do not mark recordings as made with an avatar; see docs/marking.md."""
    size: str = "512"
    """Width and height of the picture, pixels, such as 512 or 1280x720."""
    fps: float | None = None
    """Frame rate to keep; 30 by default, or what the settings file says."""
    max_gaussians: int | None = None
    """Draw at most this many Gaussians; hair and clothes are thinned out first."""
    background: str | None = None
    """Background: a colour RRGGBB, the path of a picture, `photo`, `green` or `alpha`."""
    badge: Literal["top-left", "top-right", "bottom-left", "bottom-right", "off"] | None = None
    """Corner of the badge that says that this is an avatar; `off` only with --badge-reason."""
    badge_reason: str = ""
    """Reason for taking the badge off; it is logged."""
    still: bool = False
    """No secondary motion: hair does not swing, and shoulders do not breathe."""
    no_hotkeys: bool = False
    """No system-wide hotkeys: keys act in the page and the terminal only."""
    token: str | None = None
    """Token that every request must carry, also on this machine; by default one is generated where other machines reach the page.
    Other users of this machine see it in the list of processes; with --token-file they do not."""
    token_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file whose first line is the token."""
    cert: Path | None = None
    """Certificate (PEM) for TLS."""
    key: Path | None = None
    """The certificate's key (PEM)."""
    ice: Annotated[tuple[str, ...], arg(metavar="URL")] = ()
    """STUN or TURN servers; none are needed on one machine or in one network."""
    codec: Literal["vp8", "h264"] | None = None
    """Video codec for viewers."""
    bitrate: int | None = None
    """Bits per second for each viewer."""
    engine: Literal["auto", "cpu", "onnx", "torch", "tensorrt", "tensorrt-rtx"] = "auto"
    """Engine that poses and draws the avatar: `auto` takes TensorRT where the avatar's engines open on this GPU, else torch and
    gsplat on that GPU, else the CPU."""
    engine_folder: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the engines of one avatar; by default NAME.engines next to each avatar. export --engines makes them."""
    library: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the avatars that the page offers in addition; by default your library, see perse-live studio."""
    settings: Annotated[Path | None, arg(metavar="FILE")] = None
    """A settings file other than the usual one (perse-live doctor says where that is)."""
    replacing: OmitArgPrefixes[Replacing] = field(default_factory=Replacing)
    page: OmitArgPrefixes[Page] = field(default_factory=Page)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Live) -> None:
    """Run a live session until it ends."""
    keep_heap_small()
    from runtime.live.actions import SetBadge
    from runtime.live.run import LiveOptions, parse_size, run_live, web_config
    from runtime.live.settings import load_settings
    from runtime.web.security import read_token
    from runtime.web.server import WebConfig

    if not command.avatars:
        raise UserError(
            "no avatar is named: give a .perse file, made by perse-live build; see perse-live live --help"
        )
    if command.badge == "off" and not command.badge_reason.strip():
        raise UserError(
            "the badge stays on without a reason: add --badge-reason TEXT, or choose a corner"
        )
    if command.token is not None and command.token_file is not None:
        raise UserError("--token and --token-file: give one of them")
    publish = _publish_target(command)
    if command.engine_folder is not None and len(command.avatars) > 1:
        raise UserError(
            "--engine-folder is for one avatar: put each avatar's engines next to it, in NAME.engines, and leave the"
            " option out"
        )
    settings = load_settings(command.settings)
    if command.record is not None:
        read = (
            command.camera,
            command.background or settings.background,
            command.settings,
            command.cert,
            command.key,
        )
        inputs = [
            *command.avatars,
            *(Path(one) for one in read if one is not None and Path(one).is_file()),
        ]
        marked = not command.no_c2pa and command.record.suffix.lower() != SUFFIX
        check_outputs(
            with_side_file(command.record, marked),
            inputs=inputs,
            overwrite=command.replacing.overwrite,
        )
    width, height = parse_size(command.size)
    page = command.page
    token = command.token if command.token_file is None else read_token(command.token_file)
    web = web_config(
        WebConfig(host=page.host, port=page.port, token=token, cert=command.cert, key=command.key),
        settings,
        codec=command.codec,
        bitrate=command.bitrate,
        ice=command.ice,
    )
    with step_progress() as progress:
        fetch(TRACKING_ASSETS, command.network, progress)
    options = LiveOptions(
        command.avatars,
        camera=command.camera,
        once=command.once,
        microphone="" if command.microphone == "default" else command.microphone,
        voice_out=command.voice_out,
        publish=publish,
        mute_film=command.no_sound,
        virtual_camera=command.virtual_camera,
        device=command.device,
        preview=command.preview,
        record=command.record,
        mark=not command.no_c2pa,
        overwrite=command.replacing.overwrite,
        width=width,
        height=height,
        fps=command.fps,
        max_gaussians=command.max_gaussians,
        background=command.background,
        badge=None if command.badge is None else SetBadge(command.badge, command.badge_reason),
        still=command.still,
        threads=min(os.cpu_count() or 1, 4),
        hotkeys=not command.no_hotkeys,
        browser=not page.no_browser,
        seconds=page.seconds,
        web=web,
        engine=command.engine,
        engine_folder=command.engine_folder,
        rebuild=_rebuild,
        studio=studio_options(command.library, page, settings, command.settings),
        sharing=sharing() if command.share_avatar else None,
    )
    run_live(options, settings, say=say, warn=warn)


def sharing() -> Sharing:
    """The bundle that `export --formats web` writes, for viewers."""
    from export.web.bundle import bundle_of, viewer_scripts
    from runtime.web.shared_motion import Sharing

    return Sharing(lambda avatar, weights: bundle_of(avatar, attributes=weights), viewer_scripts())


def _publish_target(command: Live) -> WhipTarget | None:
    """The WHIP target. Raises UserError for conflicting options, and for an invalid address or token."""
    from runtime.web.security import read_token
    from runtime.web.whip_http import whip_target

    token, file = command.publish_token, command.publish_token_file
    if token is not None and file is not None:
        raise UserError("--publish-token and --publish-token-file: give one of them")
    if command.publish is None:
        if token is not None or file is not None:
            raise UserError("a token to publish with, but no address: add --publish URL")
        return None
    if file is not None:
        token = read_token(file, "--publish-token-file")
    target = whip_target(command.publish, token)
    if token is not None and target.url.scheme == "http" and not target.on_this_machine:
        warn(
            f"the token is sent to {target.host} without encryption: use https where others share the network"
        )
    return target


def _rebuild(path: Path, backend: Literal["tensorrt", "tensorrt-rtx"]) -> None:
    """Compile a folder's graphs again, for a GPU or a version that it has no engine for."""
    from export.engines.folder import rebuild_engines

    with step_progress() as progress:
        rebuild_engines(path, backend, progress=progress)
