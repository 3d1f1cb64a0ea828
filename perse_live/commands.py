"""The options of every command, as frozen dataclasses that tyro reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg, subcommand

_Photo = Annotated[Path, arg(metavar="PHOTO")]
_Avatar = Annotated[Path, arg(metavar="AVATAR")]
_Video = Annotated[Path, arg(metavar="VIDEO")]
_Output = Annotated[Path, arg(aliases=["-o"], metavar="OUT")]
_Json = Annotated[bool, arg(name="json")]


@dataclass(frozen=True)
class Network:
    """Whether anything may be fetched."""

    offline: bool = False
    """Forbid all downloads; model files must then be in the cache, or in the folder that PERSE_LIVE_ASSETS names."""


@dataclass(frozen=True)
class Page:
    """Where the live page is, and how long."""

    host: str = "127.0.0.1"
    """Address to serve the page on; on any other than this machine's own a token is asked for."""
    port: int = 8080
    """Port to serve the page on; 0 takes any that is free."""
    no_browser: bool = False
    """Do not open the page in a browser, only say where it is."""
    seconds: float | None = None
    """End by itself after this many seconds; else Ctrl-C ends it."""


@dataclass(frozen=True)
class Demo:
    """Build an avatar from the sample portrait and let it perform in the live page: no camera and no file needed."""

    output: Annotated[Path | None, arg(aliases=["-o"], metavar="OUT")] = None
    """Also write the performance to this video; the avatar (.perse) and a contact sheet (.png) go beside it under the same name.
    Without it they go into this folder as perse-live-demo.perse and .png."""
    film_seconds: float = 15.0
    """Length of the video, if one is written; from 15 on it shows everything the avatar has."""
    fps: float = 30.0
    """Frames per second of the video."""
    size: int = 512
    """Width and height of the video, pixels."""
    page: OmitArgPrefixes[Page] = field(default_factory=Page)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Build:
    """Build an avatar from one portrait photo."""

    photo: Positional[_Photo]
    """A photo with one face, from 256 pixels on; with several faces the largest is taken."""
    output: _Output
    """The avatar file to write (.perse); a contact sheet (.png) goes beside it under the same name."""
    consent: bool = False
    """Declare that the person in the photo agrees to the avatar, instead of being asked on the terminal."""
    attributes: str = "default"
    """What it can fade into: `none`, `default`, `all`, or names such as beard-full,sunglasses; see perse-live attribute list."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Drive:
    """Move an avatar as the face in a video moves."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    video: Positional[_Video]
    """The video to follow; the output has its size, frame rate, number of frames and sound."""
    output: _Output
    """The video to write: .mp4, .mov or .mkv; with a transparent background .mov or .webm."""
    match: bool = False
    """Take the driver's place, pose and absolute expression in each picture. Without it the motion is relative to the driver's
    own neutral face, and the avatar stays where it was in its photo."""
    background: str = "d9dbde"
    """What stands behind the avatar: a colour RRGGBB, the path of a picture, or `alpha`."""
    attribute: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """Attributes to wear, such as hair-copper=0.7; weights from 0 to 1."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Render:
    """Draw a contact sheet of an avatar: turns, expressions, attributes."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    output: _Output
    """The picture to write (.png or .jpg)."""


@dataclass(frozen=True)
class AttributeList:
    """Say which attributes an avatar has, and which could be added."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    json: _Json = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class AttributeAdd:
    """Add built-in attributes to an avatar; one that it has already is made anew."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse), which is rewritten."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME")]
    """Such as beard-full; `default` and `all` stand for many."""


@dataclass(frozen=True)
class AttributeRemove:
    """Take attributes out of an avatar."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse), which is rewritten."""
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME")]
    """As `list` shows them; `all` stands for all."""


@dataclass(frozen=True)
class AttributePreview:
    """Draw a sheet of an avatar's attributes: each coming in, turned and talking."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    output: _Output
    """The picture to write (.png or .jpg)."""


@dataclass(frozen=True)
class Attributes:
    """See, add, remove or preview what an avatar can fade into: beards, glasses, hats, make-up, colours, shapes."""

    do: OmitSubcommandPrefixes[
        Annotated[AttributeList, subcommand("list")]
        | Annotated[AttributeAdd, subcommand("add")]
        | Annotated[AttributeRemove, subcommand("remove")]
        | Annotated[AttributePreview, subcommand("preview")]
    ]


@dataclass(frozen=True)
class Export:
    """Write an avatar as files for other programs, in one expression and look."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The folder to write into, made where it is missing; the files are named as the avatar's."""
    formats: Annotated[str, arg(metavar="NAMES")] = "ply"
    """Which, with commas between: ply (as 3D Gaussian Splatting writes it), spz (Niantic's), splat (antimatter15's), glb
    (glTF with KHR_gaussian_splatting). In spz and glb y is up and the face looks to +z; ply and splat have y down and the face to
    -z, as their viewers expect. Metres."""
    attribute: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """Attributes to wear, such as hair-copper=0.7; weights from 0 to 1."""
    expression: Annotated[tuple[str, ...], arg(metavar="NAME=WEIGHT")] = ()
    """The expression, by ARKit names such as jawOpen=0.5; weights from 0 to 1; at rest without."""


@dataclass(frozen=True)
class Live:
    """Be the avatar: it follows your camera, and is seen in the live page, as a virtual camera, in a recording."""

    avatars: Annotated[Positional[tuple[Path, ...]], arg(metavar="AVATAR")]
    """Avatar files (.perse); with several, keys and page switch between them."""
    camera: str = "0"
    """Where the motion comes from: a camera's number, a video file, `browser` (the page's camera), `vmc` (a phone's tracker, UDP
    39539) or `none`."""
    once: bool = False
    """End with the end of the video that stands for the camera, instead of starting it anew."""
    virtual_camera: bool = False
    """Offer the picture to other programs as a camera."""
    device: str | None = None
    """The virtual camera's device, such as /dev/video10; else the first that is free."""
    preview: bool = False
    """Show the picture in a window too."""
    record: Annotated[Path | None, arg(metavar="OUT")] = None
    """Record into this file (.mp4, .mkv) from the start."""
    size: str = "512"
    """Of the picture in pixels, such as 512 or 1280x720."""
    fps: float | None = None
    """Frames per second to keep; by itself 30, or what the settings file says."""
    max_gaussians: int | None = None
    """Draw no more than this many; hair and clothes are thinned out to it."""
    background: str | None = None
    """What stands behind the avatar: a colour RRGGBB, the path of a picture, `photo`, `green` or `alpha`."""
    badge: Literal["top-left", "top-right", "bottom-left", "bottom-right", "off"] | None = None
    """The corner for the badge that says this is an avatar; off only with --badge-reason."""
    badge_reason: str = ""
    """Why the badge may be off."""
    no_hotkeys: bool = False
    """Leave the keys of other programs alone: only the page and the terminal are listened to."""
    token: str | None = None
    """What every request must bring where the page is served to other machines; else one is made up."""
    cert: Path | None = None
    """Certificate (PEM) for TLS."""
    key: Path | None = None
    """The certificate's key (PEM)."""
    ice: Annotated[tuple[str, ...], arg(metavar="URL")] = ()
    """STUN or TURN servers; none are needed on one machine or in one network."""
    codec: Literal["vp8", "h264"] | None = None
    """For viewers."""
    bitrate: int | None = None
    """Bits per second for each viewer."""
    settings: Annotated[Path | None, arg(metavar="FILE")] = None
    """A settings file other than the usual one (perse-live doctor says where that is)."""
    page: OmitArgPrefixes[Page] = field(default_factory=Page)
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


@dataclass(frozen=True)
class Info:
    """Say what is in an avatar file."""

    avatar: Positional[_Avatar]
    """An avatar file (.perse)."""
    json: _Json = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Bench:
    """Measure how fast this machine draws: milliseconds per stage, and frames per second."""

    json: _Json = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Doctor:
    """Look at everything a live session needs, run its stages for three seconds, and say what is slow or missing."""

    avatar: Annotated[Path | None, arg(metavar="AVATAR")] = None
    """An avatar to draw in the trial, instead of a made-up head."""
    port: int = 8080
    """Where the page would be served."""
    json: _Json = False
    """Print one JSON object instead of a table."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Build, subcommand("build")]
    | Annotated[Drive, subcommand("drive")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Attributes, subcommand("attribute")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Live, subcommand("live")]
    | Annotated[Info, subcommand("info")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Doctor, subcommand("doctor")]
)

AnyCommand = Demo | Build | Drive | Render | Attributes | Export | Live | Info | Bench | Doctor
