"""`perse-live dataset`: synthetic data set of a person in many looks with the same motion, for trainers."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from perse_live.cli.console import StepProgress, print_written, printable, say, step_progress, warn
from perse_live.cli.dataset_looks import Edit, edits_of, look_of, portrait_of
from perse_live.cli.options import Network
from perse_live.cli.shared import (
    BUILDING_ASSETS,
    TRACKING_ASSETS,
    fetch,
    require_builder,
    without_offline,
)
from perse_live.errors import UserError
from perse_live.files import file_sha256
from perse_live.motion_file import SUFFIX
from perse_live.outputs import check_output_folder

if TYPE_CHECKING:
    from offline.animation.contract import Moment
    from offline.animation.liveportrait import LivePortrait
    from offline.animation.video_pipeline import VideoPipeline
    from offline.dataset.drawing import DatasetPlan
    from offline.dataset.layout import LookEntry, Manifest, MotionEntry
    from offline.editing.contract import EditedPortrait
    from perse_live.attributes import Look
    from perse_live.avatar import Avatar

_AVATAR_FILE = "avatar.perse"
_SHOW = "show"
_TRAIN_SHARE = 400 / 513  # as PERSE splits its motion
_FRAMES, _SIZES = (2, 20_000), (64, 2048)
_MAX_THREADS = 8  # each has separate renderers, 20 MB a look
_MAKING, _DRAWING = "making looks", "drawing"
# Two cores, 512 x 512; for the time left
_SECONDS_OF_LOOK, _SECONDS_OF_FRAME = 1.5, 0.06
_LIVEPORTRAIT_CHUNK = 16  # moments that are animated at a time, so that what broke off goes on
_NAMED = 3  # deleted files that a warning names


@dataclass(frozen=True)
class Dataset:
    """Make a data set of a person: as they are and in many looks, each over the same motion, with cameras, expressions, depth,
    normals, classes and landmarks of every frame; or, by `perse-live dataset show DIR`, a sheet and a page of one.
    """

    source: Positional[Annotated[Path, arg(metavar="PHOTO_OR_AVATAR")]]
    """A photo with one face, or an avatar file (.perse); or the word show."""
    folder: Positional[Annotated[Path | None, arg(metavar="DIR")]] = None
    """With show: the data set."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """The data set's folder. An interrupted run is continued, and missing looks are added."""
    attributes: Annotated[tuple[str, ...] | None, arg(metavar="NAME")] = None
    """Looks by name: built-in ones, or ones that the avatar has; `default` and `all` stand for many. Without this, --text and
    --from: sixteen."""
    from_photo: Annotated[Path | None, arg(name="from", metavar="PHOTO")] = None
    """Add a look whose part is taken from this photo of another person."""
    text: str | None = None
    """Add a look that a diffusion model paints into the portrait, such as "a short boxed beard"."""
    part: Annotated[str | None, arg(metavar="PART")] = None
    """For --from and --text: hair, beard, brows, glasses, hat, makeup or eyes."""
    model: Annotated[str | None, arg(metavar="FOLDER_OR_ID")] = None
    """For --text: a diffusers pipeline for inpainting or editing, as a folder or the id of a hub."""
    steps: int = 30
    """Number of diffusion steps, for --text and for the video model."""
    seed: int = 0
    """Random seed of the built-in motion and of painted looks."""
    frames: int = 513
    """Number of frames of each look: the first 400 of 513 are the train split, the others the test split, as in PERSE."""
    size: int = 512
    """Width and height of the pictures, pixels."""
    motion: Annotated[Path | None, arg(metavar="FILM_OR_MOTION")] = None
    """A video of a face, or motion recorded by live --record ME.motion, used instead of the built-in motion."""
    animator: Literal["auto", "rig", "liveportrait", "video"] = "auto"
    """Animator of the looks. auto follows PERSE as far as the models are given: LivePortrait for clothes, eyebrows, mouth and
    nose, the video model for hair, hats, beards, earrings, headphones and glasses; and the rig for everything else."""
    liveportrait: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """A folder with LivePortrait's ONNX files."""
    video: Annotated[str | None, arg(metavar="FOLDER_OR_ID")] = None
    """A diffusers video pipeline that takes a reference picture and control frames."""
    video_size: int = 512
    """Width and height of what the video model draws, pixels, whatever --size is; smaller is quicker, on a CPU above all."""
    consent: bool = False
    """Declare that the people in the photos agree, instead of being asked on the terminal."""
    network: OmitArgPrefixes[Network] = field(default_factory=Network)


def run(command: Dataset) -> None:
    """Make a data set, or show one."""
    if str(command.source) == _SHOW:
        _show(command)
        return
    if command.folder is not None:
        raise UserError(
            f"{command.folder}: one photo or avatar is taken; name the data set's folder by -o DIR"
        )
    if command.output is None:
        raise UserError("where to is missing: add -o DIR, the data set's folder")
    _check(command)
    require_builder()
    was_there = command.output.exists()
    try:
        _make(command, command.output)
    except ModuleNotFoundError as error:
        raise without_offline(error) from error
    except BaseException:
        if not was_there:
            with suppress(OSError):  # not empty: the same command goes on with what is there
                command.output.rmdir()
        raise


def _check(command: Dataset) -> None:
    """Check the options before anything is loaded."""
    from offline.editing.part_names import require_part

    if not command.source.is_file():
        raise UserError(
            f"{command.source}: no such file; give a portrait photo or an avatar (.perse)"
        )
    for number, (low, high), what in (
        (command.frames, _FRAMES, "--frames"),
        (command.size, _SIZES, "--size"),
        (command.video_size, _SIZES, "--video-size"),
        (command.steps, (1, 500), "--steps"),
        (command.seed, (0, 2**53), "--seed"),
    ):
        if not low <= number <= high:
            raise UserError(f"{what} {number} is out of range: give {low} to {high}")
    edits = command.text is not None or command.from_photo is not None
    if edits and command.part is None:
        raise UserError(
            "which part is missing: add --part hair, beard, brows, glasses, hat, makeup or eyes"
        )
    if command.part is not None:
        require_part(command.part)
        if not edits:
            raise UserError("--part goes with --from or --text")
    if command.text is not None and (command.model is None or not command.text.strip()):
        raise UserError("--text needs words, and a model to paint with: add --model FOLDER")
    for path in (command.from_photo, command.motion):
        if path is not None and not path.is_file():
            raise UserError(f"{path}: no such file")
    if command.animator == "liveportrait" and command.liveportrait is None:
        raise UserError("--animator liveportrait needs its networks: add --liveportrait FOLDER")
    if command.animator == "video" and command.video is None:
        raise UserError("--animator video needs a pipeline: add --video FOLDER")


def _make(command: Dataset, root: Path) -> None:
    from offline.dataset.drawing import DatasetPlan
    from offline.dataset.layout import MANIFEST_FILE
    from offline.dataset.manifest import read_manifest, write_manifest

    begun = perf_counter()
    inputs = [path for path in (command.source, command.from_photo, command.motion) if path]
    check_output_folder(root, [MANIFEST_FILE], inputs=inputs)
    before = read_manifest(root) if (root / MANIFEST_FILE).exists() else None
    if before is None and root.is_dir() and any(root.iterdir()) and not _begun(root):
        raise UserError(f"{root} is not empty and no data set: choose another -o")
    with step_progress() as progress:
        for assets, needed in (
            (BUILDING_ASSETS, command.text is not None or command.from_photo is not None),
            (TRACKING_ASSETS, command.motion is not None),
        ):
            if needed:
                fetch(assets, command.network, progress)
        avatar, digest = _avatar(command, root, progress)
        edits = edits_of(command, avatar)  # refuses unknown names before anything is written
        moments, motion = _motion(command, root, avatar, progress)
    manifest = _manifest(command, avatar, digest, motion, len(moments))
    if before is not None:
        manifest = _continued(root, before, manifest, command.frames)
    plan = DatasetPlan(
        root,
        replace(avatar, attributes=()),
        moments,
        manifest.train_frames,
        command.size,
        min(os.cpu_count() or 1, _MAX_THREADS),
    )
    names = {edit.entry.name for edit in edits}
    others = tuple(look for look in manifest.looks if look.name not in names)
    looks = (edits[0].entry, *others, *(edit.entry for edit in edits[1:]))
    manifest = replace(manifest, looks=looks)
    _print_deleted(plan, manifest)
    _check_room(plan, edits)
    models = _models(command, plan, edits)
    write_manifest(root, manifest)
    with step_progress(_usual(plan, edits)) as progress:
        complaints = _draw(command, plan, edits, models, progress)
    if complaints:
        failed = {name for name, _ in complaints}
        write_manifest(
            root, replace(manifest, looks=tuple(one for one in looks if one.name not in failed))
        )
        for _, complaint in complaints:
            warn(f"warning: {complaint}")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    say(
        f"data set: {printable(str(root))} ({len(looks) - len(complaints)} looks of {len(moments)} frames,"
        f" {size / 1e6:.0f} MB, {perf_counter() - begun:.0f} s)"
    )


def _begun(root: Path) -> bool:
    """Whether a folder without a manifest holds nothing but what a broken-off run leaves."""
    from offline.dataset.motion import MOTION_FILE

    return {path.name for path in root.iterdir() if not path.name.startswith(".")} <= {
        _AVATAR_FILE,
        MOTION_FILE,
    }


def _avatar(command: Dataset, root: Path, progress: StepProgress) -> tuple[Avatar, str]:
    """The avatar, and its file's SHA-256; one that is built from a photo is kept in the data set."""
    from perse_live.avatar import load_avatar

    if command.source.suffix.lower() == ".perse":
        return load_avatar(command.source), file_sha256(command.source)
    from perse_live.cli.build import build_to
    from perse_live.cli.console import ask_consent, user_name

    kept = root / _AVATAR_FILE
    if not kept.exists():
        by = (
            printable(f"the user {user_name()}, by --consent")
            if command.consent
            else ask_consent(command.source)
        )
        root.mkdir(parents=True, exist_ok=True)
        build_to(kept, command.source, by, command.network, attributes="none", sheet=False)
    avatar = load_avatar(kept)
    if avatar.provenance.photo_sha256 != file_sha256(command.source):
        raise UserError(f"{root} is of another photo than {command.source}: choose another -o")
    return avatar, file_sha256(kept)


def _motion(
    command: Dataset, root: Path, avatar: Avatar, progress: StepProgress
) -> tuple[list[Moment], MotionEntry]:
    """The motion, written to the data set and read from there, so that all runs draw the same."""
    from offline.animation.contract import Moment
    from offline.dataset.layout import MotionEntry
    from offline.dataset.motion import (
        FPS,
        MOTION_FILE,
        built_in_motion,
        read_moments,
        write_moments,
    )

    path = root / MOTION_FILE
    if command.motion is None:
        entry = MotionEntry("built-in", seed=command.seed)
    else:
        kind = "motion" if command.motion.suffix.lower() == SUFFIX else "film"
        entry = MotionEntry(kind, sha256=file_sha256(command.motion))
    if path.exists():
        return read_moments(path), entry
    if command.motion is None:
        from runtime.perform import performed
        from runtime.performance import performance

        acted = [performed(avatar, one) for one in performance(513 / FPS, FPS, command.seed)]
        moments = built_in_motion(
            avatar,
            [Moment(one.pose, one.expression, one.gaze) for one in acted],
            command.frames,
            _train_frames(command.frames),
            command.seed,
        )
    elif entry.kind == "motion":
        moments = read_moments(command.motion, command.frames)
    else:
        from runtime.drive import followed

        def told(done: int, of: int | None) -> None:
            progress("following the film", min(done / of, 1.0) if of else 0.0)

        seen = followed(avatar, command.motion, progress=told)[: command.frames]
        moments = [Moment(one.pose, one.expression, one.gaze) for one in seen]
    if len(moments) < command.frames:
        warn(
            f"warning: {command.motion} has {len(moments)} frames, fewer than --frames {command.frames}"
        )
    root.mkdir(parents=True, exist_ok=True)
    write_moments(path, moments, command.size)
    return read_moments(path), entry


def _train_frames(frames: int) -> int:
    return min(max(round(frames * _TRAIN_SHARE), 1), frames)


def _manifest(
    command: Dataset, avatar: Avatar, digest: str, motion: MotionEntry, frames: int
) -> Manifest:
    from offline.dataset.layout import AvatarEntry, Manifest

    origin = avatar.provenance
    return Manifest(
        f"perse-live {version('perse-live')}",
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        AvatarEntry(
            digest, origin.photo_sha256, origin.consent_by, origin.consent_at, origin.licences
        ),
        motion,
        frames,
        _train_frames(frames),
        command.size,
        (),
    )


def _continued(root: Path, before: Manifest, now: Manifest, asked: int) -> Manifest:
    """The manifest of a data set that goes on; asked: frames. Raises UserError where it was begun in another way."""
    # A film may have fewer frames than were asked for
    frames = asked if before.motion.kind == "built-in" else min(asked, now.frames)
    for what, one, other in (
        ("another person", before.avatar.photo_sha256, now.avatar.photo_sha256),
        ("another motion", before.motion, now.motion),
        (f"{before.frames} frames a look", before.frames, frames),
        (f"pictures of {before.size} pixels", before.size, now.size),
    ):
        if one != other:
            raise UserError(
                f"{root} was begun with {what}: give the same options, or choose another -o"
            )
    if before.avatar.sha256 != now.avatar.sha256:
        warn("warning: the avatar's file has changed since the data set was begun")
    return before


def _print_deleted(plan: DatasetPlan, manifest: Manifest) -> None:
    """Name the files that are gone from looks that were complete; their frames are drawn again."""
    from offline.dataset.layout import TRANSFORMS_FILE, Dataset
    from offline.dataset.reading import missing_files
    from offline.dataset.transforms import read_transforms

    complete = [one for one in manifest.looks if (plan.root / one.name / TRANSFORMS_FILE).is_file()]
    looks = tuple(read_transforms(plan.root / one.name, plan.root, one) for one in complete)
    missing = missing_files(Dataset(plan.root, manifest, looks))
    if missing:
        names = ", ".join(str(path) for path in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        warn(f"warning: files have gone from {plan.root}: {names}{more}; they are drawn again")


def _check_room(plan: DatasetPlan, edits: list[Edit]) -> None:
    """Raises UserError where the disk is too full for what is still to be drawn."""
    from offline.dataset.drawing import BYTES_OF_FRAME
    from offline.dataset.layout import TRANSFORMS_FILE

    wanted = sum(not (plan.root / edit.entry.name / TRANSFORMS_FILE).is_file() for edit in edits)
    pixels = (plan.size / 512) ** 2
    needed = wanted * len(plan.moments) * BYTES_OF_FRAME["whole"] * pixels
    free = shutil.disk_usage(plan.root).free
    if needed > free:
        raise UserError(
            f"cannot write {plan.root}: the data set needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free:"
            " free some space, or give fewer looks, --frames or --size"
        )


def _usual(plan: DatasetPlan, edits: list[Edit]) -> dict[str, float]:
    """Seconds that the steps of `_draw` usually take, for the time left."""
    rig = sum(edit.entry.animator == "rig" for edit in edits)
    frames = len(plan.moments) * (plan.size / 512) ** 2
    return {_MAKING: _SECONDS_OF_LOOK * len(edits), _DRAWING: _SECONDS_OF_FRAME * rig * frames}


def _draw(
    command: Dataset, plan: DatasetPlan, edits: list[Edit], models: _Models, progress: StepProgress
) -> list[tuple[str, str]]:
    """Make the looks that are not complete, and draw them; what could not be made is left out: names and complaints."""
    from offline.dataset.drawing import draw_by_rig

    by_rig: list[tuple[LookEntry, Look | None]] = []
    animated: list[tuple[LookEntry, EditedPortrait]] = []
    complaints: list[tuple[str, str]] = []
    for k, edit in enumerate(edits):
        progress(_MAKING, k / len(edits))
        entry = edit.entry
        if _complete(plan, entry.name):
            continue
        try:
            made = edit.make(progress)
        except UserError as error:
            if entry.source.kind != "built-in":
                raise
            complaints.append((entry.name, f"no {entry.name}: {error}"))
            continue
        if entry.animator == "rig":
            by_rig.append((entry, look_of(made)))
        else:
            animated.append((entry, portrait_of(plan, made)))
    progress(_MAKING, 1.0)
    if by_rig:
        draw_by_rig(plan, by_rig, progress=lambda share: progress(_DRAWING, share))
    if animated:
        _animate(command, plan, animated, models, progress)
    return complaints


def _complete(plan: DatasetPlan, name: str) -> bool:
    """Whether a look's frames are all there, its `transforms.json` too."""
    from offline.dataset.layout import TRANSFORMS_FILE
    from offline.dataset.transforms import read_transforms

    folder = plan.root / name
    if not (folder / TRANSFORMS_FILE).is_file():
        return False
    return all(path.is_file() for path in read_transforms(folder, plan.root, None).files())


@dataclass(frozen=True)
class _Models:
    """The models of the animators that are needed; None: not needed."""

    liveportrait: LivePortrait | None
    video: VideoPipeline | None


def _models(command: Dataset, plan: DatasetPlan, edits: list[Edit]) -> _Models:
    """Load them before anything is drawn: a folder that does not do is said at once. Raises UserError for such a folder."""
    from offline.animation.liveportrait import LivePortrait
    from offline.animation.video_pipeline import open_video_pipeline

    needed = {edit.entry.animator for edit in edits if not _complete(plan, edit.entry.name)}
    networks = video = None
    with step_progress() as progress:
        if "liveportrait" in needed:
            networks = LivePortrait(command.liveportrait or Path())
        if "video" in needed:
            progress("loading the video model", 0.0)
            video = open_video_pipeline(command.video or "", local_only=command.network.offline)
    return _Models(networks, video)


def _animate(
    command: Dataset,
    plan: DatasetPlan,
    looks: list[tuple[LookEntry, EditedPortrait]],
    models: _Models,
    progress: StepProgress,
) -> None:
    """Draw looks by LivePortrait or a video model."""
    from offline.animation.guided_video import prompted
    from offline.animation.liveportrait import animate_by_liveportrait
    from offline.animation.video_pipeline import VideoConfig
    from offline.dataset.drawing import draw_by_animator, draw_by_video

    for entry, portrait in looks:
        told = partial(progress, f"{_DRAWING} {entry.name}")
        if entry.animator == "video":
            assert models.video is not None
            config = prompted(portrait, VideoConfig(steps=command.steps, size=command.video_size))
            draw_by_video(plan, entry, portrait, models.video, config, progress=told)
            continue
        assert models.liveportrait is not None
        animator = partial(animate_by_liveportrait, networks=models.liveportrait)
        draw_by_animator(plan, entry, portrait, animator, chunk=_LIVEPORTRAIT_CHUNK, progress=told)


def _show(command: Dataset) -> None:
    """Write the sheet and the page of a data set into its folder."""
    from offline.dataset.page import PAGE_FILE, page_of
    from offline.dataset.reading import read_dataset
    from offline.dataset.sheet import SHEET_FILE, dataset_sheet
    from perse_live.files import write_bytes, write_image

    if command.folder is None:
        raise UserError("which data set is missing: perse-live dataset show DIR")
    dataset = read_dataset(command.folder)
    sheet, page = command.folder / SHEET_FILE, command.folder / PAGE_FILE
    write_image(sheet, dataset_sheet(dataset))
    write_bytes(page, page_of(dataset).encode())
    print_written("sheet", sheet)
    print_written("page", page)
