"""Photos that were uploaded: kept in a private folder until an avatar has been made of them, looked at once for faces."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import threading
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from perse_live.arrays import UInt8Array
from perse_live.detect import FaceDetector
from perse_live.errors import UserError
from perse_live.files import write_error
from perse_live.photo import cropped, load_photo
from perse_live.private_folder import PrivateFolder
from runtime.studio.faces import Face, face_of, face_problems

MAX_UPLOAD_BYTES = 64 << 20
"""Of one file."""
_SHOWN_SIDE = 1280  # pixels of the longer side of the copy that pages show
_MAX_PHOTOS = 24
_MAX_FACES = 8
_CROP = 2.5  # side of the suggested crop, in sides of the face: what the builder takes as well
_MIN_CROP = 256  # pixels
_MIN_SEARCHED = 768  # pixels of the longer side that a part has when it is searched for faces
_MAX_FRAME_PIXELS = 1280 * 960


@dataclass(frozen=True)
class UploadedPhoto:
    """A photo that can be shown and built from."""

    id: str
    name: str
    """The file's name as its owner has it; never a path of ours."""
    path: Path
    shown: Path
    """A smaller copy for pages, upright, JPEG."""
    width: int
    height: int
    """Pixels of the photo, upright, as the builder counts them."""
    faces: tuple[Face, ...]
    """The largest first."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As a JSON object; see docs/live-api.md."""
        return {
            "id": self.id,
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "faces": [
                {**face.to_json(), "crop": list(suggested_crop(face, self.width, self.height))}
                for face in self.faces
            ],
            "warnings": list(self.warnings),
        }


def suggested_crop(face: Face, width: int, height: int) -> tuple[int, int, int, int]:
    """A part of a photo around one face, with hair and shoulders: left, top, width, height in pixels.

    width, height: of the photo, pixels.
    """
    side = _CROP * max(face.width * width, face.height * height)
    center_x, center_y = (face.left + face.width / 2) * width, (face.top + face.height / 2) * height
    wide, high = (min(max(side, _MIN_CROP), whole) for whole in (width, height))
    left = min(max(center_x - wide / 2, 0), width - wide)
    top = min(max(center_y - high / 2, 0), height - high)
    return (
        round(left),
        round(top),
        min(round(wide), width - round(left)),
        min(round(high), height - round(top)),
    )


class Photos:
    """All uploaded photos of one studio; thread-safe. Closing it deletes them."""

    def __init__(self) -> None:
        self._private = PrivateFolder("perse-live-photos-")
        self.folder = self._private.path
        """Where they are; for its owner only."""
        self._numbers = itertools.count(1)
        self._photos: dict[str, tuple[UploadedPhoto, float]] = {}
        self._looking = threading.Lock()  # one picture at a time: a large one takes a gigabyte
        self._detector: FaceDetector | None = None
        self._changing = threading.Lock()

    async def receive(self, chunks: AsyncIterable[bytes], most: int = MAX_UPLOAD_BYTES) -> Path:
        """Write an upload to a separate file.

        Raises UserError where it is empty, larger than `most` bytes, or the disk is full. An upload that breaks off leaves
        nothing.
        """
        path = self.folder / f"upload-{next(self._numbers)}"
        size = 0
        try:
            with path.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise UserError(
                            f"the file is larger than {most >> 20} MB: reduce it, or choose another one"
                        )
                    file.write(chunk)
            if not size:
                raise UserError("the file is empty: choose another one")
        except OSError as error:
            path.unlink(missing_ok=True)
            raise write_error(path, error) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def copy(self, source: Path) -> Path:
        """A copy of a file of the user's, as if it were received. Raises UserError where it cannot be made."""
        path = self.folder / f"upload-{next(self._numbers)}"
        try:
            shutil.copyfile(source, path)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise write_error(path, error) from error
        return path

    def look_at(self, path: Path, name: str) -> UploadedPhoto:
        """Read a received file as a photo and find the faces in it.

        Raises UserError, and deletes the file, where it is no photo; no face in it is no error here, so that it can be shown.
        """
        with self._looking:
            try:
                photo = load_photo(path)
                with self._changing:
                    self._detector = self._detector or FaceDetector(max_faces=_MAX_FACES)
                faces = _faces(photo.rgb, self._detector)
                shown = path.with_name(f"{path.name}-shown.jpg")
                small = Image.fromarray(photo.rgb)
                small.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS)
                small.save(shown, quality=88)
            except UserError as error:
                path.unlink(missing_ok=True)
                raise UserError(str(error).replace(str(path), name)) from error
            except OSError as error:
                path.unlink(missing_ok=True)
                raise write_error(path, error) from error
        height, width = photo.rgb.shape[:2]
        taken = UploadedPhoto(
            path.name.removeprefix("upload-"),
            name,
            path,
            shown,
            width,
            height,
            faces,
            photo.warnings,
        )
        with self._changing:
            self._photos[taken.id] = taken, time.monotonic()
            while len(self._photos) > _MAX_PHOTOS:
                self._remove(min(self._photos, key=lambda key: self._photos[key][1]))
        return taken

    def look_again(self, photo_id: str, crop: tuple[int, int, int, int]) -> UploadedPhoto:
        """Search a part of a photo for faces, such as small ones, and take these in place of those found before.

        crop: left, top, width, height in pixels. Raises UserError where the photo is gone or the part is not inside it. Where no
        face is in the part, the photo stays as it is.
        """
        before = self.get(photo_id)
        with self._looking:
            part = cropped(load_photo(before.path), crop).rgb
            with self._changing:
                self._detector = self._detector or FaceDetector(max_faces=_MAX_FACES)
            faces = _faces(_enlarged(part), self._detector)
        if not faces:
            return before
        left, top, width, height = crop
        placed = tuple(
            replace(
                face,
                left=(left + face.left * width) / before.width,
                top=(top + face.top * height) / before.height,
                width=face.width * width / before.width,
                height=face.height * height / before.height,
            )
            for face in faces
        )
        after = replace(before, faces=placed)
        with self._changing:
            if photo_id in self._photos:
                self._photos[photo_id] = after, time.monotonic()
        return after

    def get(self, photo_id: str) -> UploadedPhoto:
        """A photo by its id. Raises UserError where it is gone."""
        found = self._photos.get(photo_id)
        if found is None:
            raise UserError("the photo is not here any more: choose it again")
        return found[0]

    def delete(self, photo_id: str) -> None:
        """Delete a photo; nothing where it is gone."""
        with self._changing:
            self._remove(photo_id)

    def close(self) -> None:
        """Delete all of them."""
        with self._looking:
            if self._detector is not None:
                self._detector.close()
                self._detector = None
        self._private.close()

    def _remove(self, photo_id: str) -> None:
        found = self._photos.pop(photo_id, None)
        if found is not None:
            for path in (found[0].path, found[0].shown):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def _faces(rgb: UInt8Array, detector: FaceDetector) -> tuple[Face, ...]:
    """Faces in a photo, which may lie on its side or stand on its head, as the builder finds them. rgb: (H, W, 3)."""
    for quarters in (0, 1, 3, 2):
        found = detector.detect(np.ascontiguousarray(np.rot90(rgb, quarters)), search=quarters == 0)
        if found:
            turned = np.ascontiguousarray(np.rot90(rgb, quarters))
            return tuple(
                _turned_back(replace(face_of(face), problems=face_problems(turned, face)), quarters)
                for face in found
            )
    return ()


def _enlarged(rgb: UInt8Array) -> UInt8Array:
    """A small part at a size at which faces are found. rgb: (H, W, 3)."""
    scale = _MIN_SEARCHED / max(rgb.shape[:2])
    if scale <= 1:
        return rgb
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS), np.uint8)


def _turned_back(face: Face, quarters: int) -> Face:
    """From a picture turned counter-clockwise by quarter turns to the original."""
    for _ in range(quarters):
        face = replace(
            face,
            left=1 - face.top - face.height,
            top=face.left,
            width=face.height,
            height=face.width,
            roll=(face.roll + 270) % 360 - 180,
        )
    return face


def decoded_frame(data: bytes) -> UInt8Array:
    """A camera picture from a page, (H, W, 3) RGB. Raises UserError for what is no small JPEG."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.width * image.height > _MAX_FRAME_PIXELS:
                raise UserError(
                    "the camera picture is too large for a look at it: send it at 640 x 480"
                )
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError("the camera picture is damaged, or no JPEG") from error
