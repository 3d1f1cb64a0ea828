"""The studio: makes, edits and stores avatars, and shows one of them live. Pages reach it through `runtime.web.studio_routes`."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from perse_live.assets import user_cache
from perse_live.child import installed_program
from perse_live.detect import FaceDetector
from perse_live.errors import UserError
from perse_live.files import write_error, write_image
from perse_live.photo import load_photo
from perse_live.private_folder import PrivateFolder
from runtime.live.actions import (
    Action,
    Mirror,
    SetBackground,
    SetBadge,
    SetGain,
    SetPicture,
    SetVirtualCamera,
    SwitchAvatar,
)
from runtime.live.control import Control
from runtime.live.frames import DrawnFrame
from runtime.live.slot import Latest
from runtime.live.source_choices import SourceChoice
from runtime.studio.faces import POSES, Advice, advice
from runtime.studio.jobs import Jobs, Task
from runtime.studio.library import Entry, Library
from runtime.studio.names import clean_name, file_name
from runtime.studio.photos import Photos, UploadedPhoto, decoded_frame
from runtime.studio.pictures import Pictures
from runtime.studio.store import Preset, StudioStore

_log = logging.getLogger(__name__)
_RELOAD_SPACING = 8.0  # seconds between two readings of an avatar that is on stage and learns looks: each costs a second of work
_MAX_EXTRAS = 6
# Bytes: an avatar's file takes 10 to 20 MB, and is written next to the previous one
_MIN_FREE = 40_000_000
_CONSENT = "asked in the studio and ticked there"
_LONGEST_WORDS = 200  # characters that describe a look
_TEXT_PROBLEMS = {
    "unset": "looks from words need a model: in the settings file, name the folder of a diffusers pipeline as text_model",
    "missing": "the folder that the settings file names as text_model has no diffusers pipeline (no model_index.json)",
    "package": "looks from words need more packages: pip install 'perse-live[generate]'",
}
BUILDER_PARTS = ("hair", "beard", "brows", "glasses", "hat", "makeup", "eyes")
"""What can be taken over from another person's photo."""


class Stage(Protocol):
    """The live session behind the studio. Thread-safe."""

    def show(self, path: Path) -> None:
        """Put an avatar on stage, known by its file's stem (1 to 2 s). Raises UserError for a file that cannot be."""
        ...

    def reload(self, path: Path) -> None:
        """Read an avatar that is loaded again; which one is shown stays as it is. Raises UserError for a file that cannot be."""
        ...

    def holds(self, name: str) -> bool:
        """Whether an avatar of that name is loaded."""
        ...

    def shown(self) -> str:
        """The name of the avatar that is shown; "" for none."""
        ...

    def renamed(self, old: str, new: str) -> None:
        """An avatar's name has changed."""
        ...

    def sources(self) -> tuple[Sequence[SourceChoice], str]:
        """Where the motion can come from, and the id of where it comes from now."""
        ...

    def choose_source(self, source_id: str) -> None:
        """Take the motion from elsewhere. Raises UserError, and changes nothing, where that cannot be had."""
        ...


@dataclass(frozen=True)
class StudioOptions:
    """Configuration of the studio that depends on the builder."""

    library: Path
    looks: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Label and slot of each built-in look, by name."""
    default_looks: Sequence[str] = ()
    """Which of them a new avatar learns."""
    pages_are_local: bool = True
    """Whether pages are on this machine: a file manager can be opened for them."""
    text_model: str = ""
    """Folder of a diffusers pipeline for looks that words describe; "": none was chosen in the settings."""
    settings: str = ""
    """Path of the settings file, for people."""


@dataclass(frozen=True)
class BuildWish:
    """What a page asks for when an avatar is to be built."""

    photo: str
    """Id of an uploaded photo."""
    crop: tuple[int, int, int, int] | None
    """Pixels of the upright photo; None: all of it."""
    name: str
    extras: Sequence[str] = ()
    """Ids of further photos."""
    looks: Sequence[str] = ()
    """To be learnt afterwards."""
    keep_photo: bool = False
    """Whether the photo may be kept in the library with the avatar."""


class Studio:
    """Implementation of `/api/studio`. Thread-safe. Close it at the end."""

    def __init__(self, options: StudioOptions, stage: Stage, store: StudioStore) -> None:
        """Open the library. store: of the same folder. Raises UserError where it cannot be used."""
        self.options, self._stage, self.store = options, stage, store
        self.library = Library(options.library)
        self.pictures = Pictures()
        self.photos = Photos()
        self._number = 0
        self._numbered = threading.Lock()
        self.jobs = Jobs(self._note)
        self._work = PrivateFolder("perse-live-studio-")
        self._hinting = threading.Lock()
        self._detector: FaceDetector | None = None
        self._reloaded: dict[str, float] = {}

    def close(self) -> None:
        """End all jobs and delete what was uploaded."""
        self.jobs.close()
        self.photos.close()
        with self._hinting:
            if self._detector is not None:
                self._detector.close()
                self._detector = None
        self._work.close()

    @property
    def number(self) -> int:
        """Grows with every change that a page should hear of."""
        return self._number

    def note_change(self) -> None:
        """Notify pages of a change made elsewhere."""
        self._note()

    # ----- what pages are told

    def to_json(self) -> dict[str, object]:
        """The state of the studio as a JSON object; see docs/live-api.md."""
        number = self._number
        return {
            "number": number,
            "folder": str(self.library.folder),
            "writable": self.library.writable,
            "own_machine": self.options.pages_are_local,
            "avatars": [self._entry(entry) for entry in self.library.entries()],
            "jobs": self.jobs.to_json(),
            "presets": [preset.to_json() for preset in self.store.presets()],
            "backgrounds": list(self.store.backgrounds()),
            "default_looks": list(self.options.default_looks),
            "parts": list(BUILDER_PARTS),
            "text_looks": {"problem": self._text_problem(), "settings": self.options.settings},
        }

    def looks(self, entry_id: str) -> list[dict[str, object]]:
        """All looks that an avatar has or could have, with which of them there is a picture of; see docs/live-api.md."""
        entry = self.library.get(entry_id)
        there = [one.name for one in entry.looks]
        folder = self._previews(entry)
        known = {**{one.name: (one.label, one.slot) for one in entry.looks}, **self.options.looks}
        return [
            {
                "name": name,
                "label": label,
                "slot": slot,
                "key": there.index(name) + 1 if name in there else 0,
                "picture": (folder / f"{name}.webp").is_file(),
                "built_in": name in self.options.looks,
            }
            for name, (label, slot) in known.items()
        ]

    def look_picture(self, entry_id: str, name: str) -> Path:
        """The picture of a look on an avatar's face. Raises UserError where it has not been drawn."""
        entry = self.library.get(entry_id)
        path = self._previews(entry) / f"{name}.webp"
        if name not in self.options.looks or not path.is_file():
            raise UserError("there is no picture of this look yet")
        return path

    def hints(self, frame: bytes, pose: str) -> Advice:
        """What to do before a camera picture is taken. frame: JPEG; pose: of `POSES`. Raises UserError for anything else."""
        if pose not in POSES:
            raise UserError(f"unknown pose {pose[:20]!r}: give one of {', '.join(POSES)}")
        image = decoded_frame(frame)
        with self._hinting:
            self._detector = self._detector or FaceDetector(max_faces=3, search=False)
            return advice(image, self._detector.detect(image), pose)

    # ----- where the motion comes from

    def sources(self) -> dict[str, object]:
        """What can be chosen, and what is, as a JSON object; a second of work on some systems."""
        choices, chosen = self._stage.sources()
        return {"sources": [one.to_json() for one in choices], "chosen": chosen}

    def choose_source(self, source_id: str) -> None:
        """Take the motion from another source, now and the next time. Raises UserError where it cannot be had."""
        self._stage.choose_source(source_id)
        self.store.remember(source=source_id)

    # ----- avatars

    def go_live(self, entry_id: str) -> None:
        """Put an avatar on stage. Raises UserError for one that cannot be read."""
        entry = self.library.get(entry_id)
        self._stage.show(entry.path)
        self.store.remember(avatar=entry.name)
        self._note()

    def rename(self, entry_id: str, name: str) -> Entry:
        """Give an avatar another name. Raises UserError for a name that is taken, and while a job works on the avatar."""
        self._check_free(entry_id)
        before = self.library.get(entry_id).name
        entry = self.library.rename(entry_id, name)
        self._stage.renamed(before, entry.name)
        self._note()
        return entry

    def duplicate(self, entry_id: str) -> Entry:
        """Copy an avatar."""
        entry = self.library.duplicate(entry_id)
        self._note()
        return entry

    def upgrade(self, entry_id: str) -> Entry:
        """Write an avatar's file in the current version. Raises UserError while a job works on the avatar."""
        self._check_free(entry_id)
        entry = self.library.upgrade(entry_id)
        self._note()
        return entry

    def kept_photo(self, entry_id: str) -> UploadedPhoto:
        """The photo that an avatar was built from, as if it were uploaded again. Raises UserError where it was not kept."""
        entry = self.library.get(entry_id)
        if entry.photo is None:
            raise UserError(f"the photo of {entry.name} was not kept: choose it again")
        return self.photos.look_at(self.photos.copy(entry.photo), entry.photo.name)

    def delete(self, entry_id: str) -> str:
        """Move an avatar into the trash; returns what `restore` takes. Raises UserError while a job works on the avatar."""
        self._check_free(entry_id)
        mark = self.library.delete(entry_id)
        self._note()
        return mark

    def restore(self, mark: str) -> Entry:
        """Bring an avatar back from the trash."""
        entry = self.library.restore(mark)
        self._note()
        return entry

    def take_in(self, received: Path, name: str) -> Entry:
        """Add an uploaded avatar file to the library; the upload is deleted. Raises UserError for what is none."""
        try:
            entry = self.library.take_in(received, Path(name).stem or "Avatar")
        except UserError as error:
            raise UserError(str(error).replace(str(received), name)) from error
        finally:
            received.unlink(missing_ok=True)
        self._note()
        return entry

    def show_file(self, entry_id: str) -> None:
        """Open the system's file manager where an avatar's file is. Raises UserError where there is none to open."""
        path = self.library.get(entry_id).path
        if not self.options.pages_are_local:
            raise UserError(f"the file is on the computer that perse-live runs on: {path}")
        command = _file_manager(path)
        if command is None:
            raise UserError(f"there is no file manager to open: the file is {path}")
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def arrange_looks(self, entry_id: str, names: Sequence[str]) -> Entry:
        """Keep these looks, in this order; the others are taken out. Raises UserError while a job works on the avatar."""
        self._check_free(entry_id)
        entry = self.library.with_looks(entry_id, names)
        self._reload(entry.name, at_once=True)
        self._note()
        return entry

    def _check_free(self, entry_id: str) -> None:
        if self.jobs.busy_with(entry_id):
            raise UserError("this avatar is being changed by a job: wait for its end, or cancel it")

    def _entry(self, entry: Entry) -> dict[str, object]:
        return {
            "id": entry.id,
            "name": entry.name,
            "version": entry.version,
            "face": entry.face,
            "made": entry.made,
            "modified": entry.modified,
            "bytes": entry.bytes,
            "likeness": entry.likeness,
            "warnings": list(entry.warnings),
            "looks": [vars(one) for one in entry.looks],
            "problem": entry.problem,
            "upgradable": entry.upgradable,
            "photo": entry.photo is not None,
            "on_stage": self._stage.shown() == entry.name,
            "busy": self.jobs.busy_with(entry.id),
        }

    # ----- presets and backgrounds

    def save_preset(self, preset: Preset) -> None:
        """Keep a set of looks. Raises UserError where it cannot be written."""
        self.store.save_preset(preset)
        self._note()

    def delete_preset(self, name: str) -> None:
        """Forget a set of looks."""
        self.store.delete_preset(name)
        self._note()

    def save_background(self, received: Path, name: str) -> str:
        """Keep an uploaded picture as a background; the upload is deleted. Returns its name. Raises UserError for no picture."""
        try:
            kept = self.store.save_background(received)
        except UserError as error:
            raise UserError(str(error).replace(f"{received}: ", f"{name}: ")) from error
        except OSError as error:
            raise write_error(self.library.folder, error) from error
        finally:
            received.unlink(missing_ok=True)
        self._note()
        return kept

    def delete_background(self, name: str) -> None:
        """Delete a kept background."""
        self.store.delete_background(name)
        self._note()

    # ----- jobs

    def build(self, wish: BuildWish) -> str:
        """Queue the building of an avatar; its looks follow as a job of their own. Returns the job's id.

        Raises UserError where the photo is gone, the name cannot be, or nothing can be written.
        """
        self._check_library()
        name, photo = clean_name(wish.name), self.photos.get(wish.photo)
        if len(wish.extras) > _MAX_EXTRAS:
            raise UserError(f"at most {_MAX_EXTRAS} further pictures are taken")
        extras = [self.photos.get(one) for one in wish.extras]
        self._check_looks(wish.looks)
        folder, output = self._folder(), self.library.unfinished()
        command = [
            "build",
            str(photo.path),
            "-o",
            str(output),
            "--attributes",
            "none",
            "--previews",
            str(folder),
            "--no-sheet",
            "--consent",
            "--consent-how",
            _CONSENT,
            "--progress-json",
        ]
        if wish.crop is not None:
            command += ["--crop", *map(str, wish.crop)]
        if extras:
            command += ["--extra", *(str(one.path) for one in extras)]

        def done() -> str:
            entry = self.library.adopt(output, name)
            if wish.keep_photo:
                self._keep_photo(photo.path, entry)
            if wish.looks:
                self.add_looks(entry.id, wish.looks)
            for one in (photo, *extras):
                self.photos.delete(one.id)
            self._note()
            return entry.id

        task = Task(
            "build",
            name,
            lambda: command,
            folder,
            gives_way=lambda: self._stage.shown() != "",  # else somebody waits for nothing but this
            done=done,
            over=lambda: output.unlink(missing_ok=True),
            facts={
                "photo": photo.to_json(),
                "crop": None if wish.crop is None else list(wish.crop),
            },
            names={str(output): f"{name}.perse", **_names(photo, *extras)},
        )
        return self.jobs.add(task).id

    def add_looks(self, entry_id: str, names: Sequence[str]) -> str:
        """Queue the learning of built-in looks. Returns the job's id."""
        self._check_looks(names)
        self._check_library()
        entry = self.library.get(entry_id)
        if not names:
            raise UserError("no look is named")

        def command() -> list[str]:
            return [
                "attribute",
                "add",
                str(self.library.get(entry_id).path),
                *names,
                "--progress-json",
            ]

        titles = ", ".join(self.options.looks[name][0] for name in names[:3]) + (
            " ..." if len(names) > 3 else ""
        )
        task = Task(
            "looks",
            titles,
            command,
            self._folder(),
            avatar=entry_id,
            reported=lambda _: self._reload(entry.name),
            done=lambda: entry_id,
            over=lambda: self._reload(entry.name, at_once=True),
            facts={"name": entry.name},
        )
        return self.jobs.add(task).id

    def add_look_from_photo(self, entry_id: str, photo_id: str, part: str, name: str) -> str:
        """Queue the learning of a look from another person's photo, who has agreed. Returns the job's id."""
        self._check_library()
        entry, photo = self.library.get(entry_id), self.photos.get(photo_id)
        if part not in BUILDER_PARTS:
            raise UserError(f"unknown part {part[:20]!r}: give one of {', '.join(BUILDER_PARTS)}")
        look, folder = _look_name(name, part), self._folder()
        named = folder / file_name(photo.name)  # the look is labelled after the file
        try:
            shutil.copyfile(photo.path, named)
        except OSError as error:
            raise write_error(named, error) from error

        def command() -> list[str]:
            return [
                "attribute",
                "add",
                str(self.library.get(entry_id).path),
                "--from",
                str(named),
                "--part",
                part,
                "--name",
                look,
                "--consent",
                "--consent-how",
                _CONSENT,
                "--progress-json",
            ]

        def over() -> None:
            self.photos.delete(photo_id)
            self._reload(entry.name, at_once=True)

        task = Task(
            "look-from-photo",
            f"{part.capitalize()} from {photo.name}",
            command,
            folder,
            avatar=entry_id,
            done=lambda: entry_id,
            over=over,
            facts={"name": entry.name},
            names={str(named): photo.name},
        )
        return self.jobs.add(task).id

    def add_look_from_text(self, entry_id: str, text: str, part: str, seed: int) -> str:
        """Queue the learning of a look that words describe. Returns the job's id.

        text: in English, such as "a short boxed beard". seed: another one gives another picture. Raises UserError where no model
        can paint it.
        """
        entry, text = self.library.get(entry_id), " ".join(text.split())
        if part not in BUILDER_PARTS:
            raise UserError(f"unknown part {part[:20]!r}: give one of {', '.join(BUILDER_PARTS)}")
        if not text or len(text) > _LONGEST_WORDS or not text.isprintable() or text[0] == "-":
            raise UserError(f"describe the look in 1 to {_LONGEST_WORDS} characters")
        if not 0 <= seed < 2**31:
            raise UserError("the seed is a whole number from 0")
        if problem := self._text_problem():
            raise UserError(_TEXT_PROBLEMS[problem])
        self._check_library()

        def command() -> list[str]:
            return [
                "attribute",
                "add",
                str(self.library.get(entry_id).path),
                "--text",
                text,
                "--part",
                part,
                "--name",
                _look_name(text, part),
                "--model",
                self.options.text_model,
                "--seed",
                str(seed),
                "--offline",
                "--progress-json",
            ]

        task = Task(
            "look-from-text",
            text,
            command,
            self._folder(),
            avatar=entry_id,
            done=lambda: entry_id,
            over=lambda: self._reload(entry.name, at_once=True),
            facts={"name": entry.name},
        )
        return self.jobs.add(task).id

    def _text_problem(self) -> str:
        """Why no look can be made of words, a key of `_TEXT_PROBLEMS`; "" where one can."""
        if not self.options.text_model:
            return "unset"
        if not (Path(self.options.text_model) / "model_index.json").is_file():
            return "missing"
        return "" if importlib.util.find_spec("diffusers") else "package"

    def draw_looks(self, entry_id: str) -> str:
        """Queue the drawing of all built-in looks on an avatar's face.

        Returns the job's id; "" where all are drawn, or will be.
        """
        entry = self.library.get(entry_id)
        folder = self._previews(entry)

        def missing() -> list[str]:
            return [name for name in self.options.looks if not (folder / f"{name}.webp").is_file()]

        waiting = any(
            job["kind"] == "previews"
            and job.get("of") == entry_id
            and job["state"] in ("queued", "running")
            for job in self.jobs.to_json()
        )
        if not missing() or waiting:
            return ""

        def command() -> list[str]:
            path, names = str(self.library.get(entry_id).path), missing()
            return (
                [
                    "attribute",
                    "thumbnails",
                    path,
                    "-o",
                    str(folder),
                    "--names",
                    *names,
                    "--progress-json",
                ]
                if names
                else []
            )

        task = Task(
            "previews",
            entry.name,
            command,
            folder,
            background=True,
            keeps_folder=True,
            facts={"of": entry_id, "name": entry.name},
        )
        return self.jobs.add(task).id

    def _check_library(self) -> None:
        """Raises UserError where an avatar could not be written after all the work on it: no right to, or a full disk."""
        if not self.library.writable:
            raise UserError(
                f"the library {self.library.folder} may not be written to: start with --library and another folder"
            )
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self.library.folder).free
            if free < _MIN_FREE:
                raise UserError(
                    f"only {free / 1e6:.0f} MB are free in {self.library.folder}: free at least {_MIN_FREE / 1e6:.0f} MB"
                )

    def _check_looks(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.options.looks:
                raise UserError(f"there is no built-in look {name[:40]!r}")

    def _keep_photo(self, photo: Path, entry: Entry) -> None:
        """In the library, as a JPEG of the avatar's name; one that is there is left alone."""
        target = self.library.photo_path(entry.name)
        if not target.exists():
            write_image(target, load_photo(photo).rgb)

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._work.path))

    def _previews(self, entry: Entry) -> Path:
        """Where the pictures of looks on this face are: the same for all copies of an avatar, whatever looks they have."""
        return user_cache() / "studio" / f"looks-{entry.face}"

    def _reload(self, name: str, *, at_once: bool = False) -> None:
        """Reload an avatar that is shown after it has learnt looks."""
        now = time.monotonic()
        if not self._stage.holds(name) or (
            not at_once and now < self._reloaded.get(name, 0.0) + _RELOAD_SPACING
        ):
            return
        self._reloaded[name] = now
        entry = next((one for one in self.library.entries() if one.name == name), None)
        if entry is not None:
            try:
                self._stage.reload(entry.path)
            except UserError as error:
                _log.warning("%s", error)

    def _note(self) -> None:
        with self._numbered:
            self._number += 1


def _look_name(text: str, part: str) -> str:
    """A name for a look, from what somebody calls it."""
    words = "".join(one if one.isascii() and one.isalnum() else "-" for one in text.lower())
    name = re.sub("-+", "-", words).strip("-")[:40].rstrip("-")
    return name or f"{part}-own"


def _names(*photos: UploadedPhoto) -> dict[str, str]:
    """What the builder calls uploaded files, and what their owner does; longer ones first."""
    return {
        **{str(one.path): one.name for one in photos},
        **{one.path.name: one.name for one in photos},
    }


class RememberingControl:
    """A session's `Control` that stores changed settings for the next session."""

    def __init__(self, control: Control, studio: Studio) -> None:
        self._control, self._studio, self._store = control, studio, studio.store

    @property
    def drawn(self) -> Latest[DrawnFrame]:
        """The session's newest picture."""
        return self._control.drawn

    @property
    def recorded(self) -> Path | None:
        """The session's last recording that was finished."""
        return self._control.recorded

    def state(self) -> dict[str, object]:
        """As the session's."""
        return self._control.state()

    def stats(self) -> dict[str, object]:
        """As the session's."""
        return self._control.stats()

    def act(self, action: Action) -> None:
        """Do something, and remember it where it is a setting. Raises UserError as the session does."""
        self._control.act(action)
        match action:
            case SwitchAvatar():
                self._studio.note_change()  # another one is on stage
            case SetBackground(text):
                self._store.remember(background=text)
            case SetGain(region, value):
                self._store.remember(**{f"gain-{region}": value})
            case Mirror():
                self._store.remember(mirror=bool(self._control.state().get("mirror")))
            case SetBadge(place, reason):
                self._store.remember(badge=place, badge_reason=reason)
            case SetPicture(width, height, fps):
                self._store.remember(width=width, height=height, fps=fps)
            case SetVirtualCamera():
                self._store.remember(
                    virtual_camera=bool(self._control.state().get("virtual_camera"))
                )
            case _:
                pass


def _file_manager(path: Path) -> list[str] | None:
    """The command that shows a file in its folder; None where the system has none that we know."""
    if sys.platform == "darwin":
        return ["/usr/bin/open", "-R", str(path)]
    if sys.platform == "win32":
        return [
            str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "explorer.exe"),
            "/select,",
            str(path),
        ]
    opener = installed_program("xdg-open")
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return [opener, str(path.parent)] if opener and screen else None
