"""The routes `/api/studio/...`; docs/live-api.md describes them. All of them need the owner's rights."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote

from aiohttp import web

from perse_live.container import MAX_FILE_BYTES
from perse_live.errors import UserError
from runtime.studio.photos import MAX_UPLOAD_BYTES
from runtime.studio.pictures import KINDS
from runtime.studio.store import preset_of
from runtime.studio.studio import BuildWish, Studio
from runtime.web.bodies import error_response, read_body, read_json, upload_chunks
from runtime.web.security import Tickets
from runtime.web.waiting import wait_while

Result = TypeVar("Result")
_MAX_JSON = 64 * 1024  # bytes
_MAX_FRAME = 400 * 1024  # bytes of a camera picture that is only looked at
_TICKET_SECONDS = 60.0
_LONGEST_NAME = 200  # characters of an uploaded file's name
_WAIT_SECONDS = 20.0  # seconds that a request for changes waits
DOWNLOAD = "/api/studio/download"


class StudioRoutes:
    """Answers for one studio."""

    def __init__(self, studio: Studio, watch_link: Callable[[], str], *, shared: bool) -> None:
        """watch_link: the address that viewers may be given; shared: whether they receive the avatar's file with it."""
        self._studio, self._link_to_watch, self._shared = studio, watch_link, shared
        self._tickets = Tickets(_TICKET_SECONDS)
        self._downloads: dict[str, str] = {}  # ids of avatars by ticket

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        base = "/api/studio"
        return [
            web.get(base, self._state),
            web.post(f"{base}/prepare", self._prepare),
            web.post(f"{base}/watch-link", self._watch_link),
            web.get(f"{base}/sources", self._sources),
            web.post(f"{base}/source", self._choose_source),
            web.post(f"{base}/avatars", self._take_in),
            web.post(f"{base}/avatars/{{id}}/name", self._rename),
            web.post(f"{base}/avatars/{{id}}/live", self._go_live),
            web.post(f"{base}/avatars/{{id}}/copy", self._duplicate),
            web.post(f"{base}/avatars/{{id}}/upgrade", self._upgrade),
            web.post(f"{base}/avatars/{{id}}/photo", self._kept_photo),
            web.post(f"{base}/avatars/{{id}}/file", self._show_file),
            web.post(f"{base}/avatars/{{id}}/export", self._export),
            web.delete(f"{base}/avatars/{{id}}", self._delete),
            web.post(f"{base}/trash/{{mark}}", self._restore),
            web.get(f"{base}/avatars/{{id}}/pictures/{{kind}}", self._picture),
            web.get(f"{base}/avatars/{{id}}/looks", self._looks),
            web.post(f"{base}/avatars/{{id}}/looks", self._add_looks),
            web.put(f"{base}/avatars/{{id}}/looks", self._arrange_looks),
            web.post(f"{base}/avatars/{{id}}/looks/pictures", self._draw_looks),
            web.post(f"{base}/avatars/{{id}}/looks/from-photo", self._look_from_photo),
            web.post(f"{base}/avatars/{{id}}/looks/from-text", self._look_from_text),
            web.get(f"{base}/avatars/{{id}}/looks/{{look}}/picture", self._look_picture),
            web.post(f"{base}/photos", self._upload),
            web.get(f"{base}/photos/{{id}}/picture", self._photo),
            web.post(f"{base}/photos/{{id}}/faces", self._look_again),
            web.delete(f"{base}/photos/{{id}}", self._delete_photo),
            web.post(f"{base}/hints", self._hints),
            web.post(f"{base}/builds", self._build),
            web.delete(f"{base}/jobs/{{id}}", self._cancel),
            web.get(f"{base}/jobs/{{id}}/pictures/{{file}}", self._job_picture),
            web.post(f"{base}/presets", self._save_preset),
            web.delete(f"{base}/presets/{{name}}", self._delete_preset),
            web.post(f"{base}/backgrounds", self._save_background),
            web.get(f"{base}/backgrounds/{{name}}", self._background),
            web.delete(f"{base}/backgrounds/{{name}}", self._delete_background),
            web.get(DOWNLOAD, self._download),
        ]

    async def _state(self, request: web.Request) -> web.Response:
        """At once, or, with `?after=NUMBER`, as soon as there is something new (20 s at most)."""
        after = request.query.get("after", "")
        if after.isascii() and after.isdigit():
            await wait_while(request, _WAIT_SECONDS, lambda: self._studio.number == int(after))
        return web.json_response(await _in_thread(self._studio.to_json))

    async def _prepare(self, request: web.Request) -> web.Response:
        await _in_thread(self._studio.jobs.prepare)
        return web.json_response({})

    async def _watch_link(self, request: web.Request) -> web.Response:
        return web.json_response({"address": self._link_to_watch(), "shared": self._shared})

    async def _sources(self, request: web.Request) -> web.Response:
        return web.json_response(await _in_thread(self._studio.sources))

    async def _choose_source(self, request: web.Request) -> web.Response:
        chosen = _text(await read_json(request, _MAX_JSON), "id")
        await _in_thread(lambda: self._studio.choose_source(chosen))
        return web.json_response({})

    # ----- avatars

    async def _take_in(self, request: web.Request) -> web.Response:
        received = await self._studio.photos.receive(
            upload_chunks(request, MAX_FILE_BYTES), MAX_FILE_BYTES
        )
        entry = await _in_thread(lambda: self._studio.take_in(received, _file_name(request)))
        return web.json_response({"id": entry.id, "name": entry.name}, status=201)

    async def _rename(self, request: web.Request) -> web.Response:
        name = _text(await read_json(request, _MAX_JSON), "name")
        entry = await _in_thread(lambda: self._studio.rename(_id(request), name))
        return web.json_response({"id": entry.id, "name": entry.name})

    async def _go_live(self, request: web.Request) -> web.Response:
        await _in_thread(lambda: self._studio.go_live(_id(request)))
        return web.json_response({})

    async def _duplicate(self, request: web.Request) -> web.Response:
        entry = await _in_thread(lambda: self._studio.duplicate(_id(request)))
        return web.json_response({"id": entry.id, "name": entry.name}, status=201)

    async def _upgrade(self, request: web.Request) -> web.Response:
        entry = await _in_thread(lambda: self._studio.upgrade(_id(request)))
        return web.json_response({"id": entry.id, "name": entry.name})

    async def _kept_photo(self, request: web.Request) -> web.Response:
        photo = await _in_thread(lambda: self._studio.kept_photo(_id(request)))
        return web.json_response(photo.to_json(), status=201)

    async def _show_file(self, request: web.Request) -> web.Response:
        await _in_thread(lambda: self._studio.show_file(_id(request)))
        return web.json_response({})

    async def _export(self, request: web.Request) -> web.Response:
        """A link can carry no header: the address works once, for a minute."""
        entry = await _in_thread(lambda: self._studio.library.get(_id(request)))
        ticket = self._tickets.issue(time.monotonic())
        self._downloads = {**dict(list(self._downloads.items())[-63:]), ticket: entry.id}
        return web.json_response(
            {
                "address": f"{DOWNLOAD}?ticket={ticket}",
                "file": entry.path.name,
                "seconds": _TICKET_SECONDS,
            }
        )

    async def _download(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        accepted = self._tickets.redeem if request.method == "GET" else self._tickets.valid
        if not accepted(ticket, time.monotonic()) or ticket not in self._downloads:
            return error_response(401, "the ticket is used or too old: ask for another one")
        entry = await _in_thread(lambda: self._studio.library.get(self._downloads[ticket]))
        name = quote(entry.path.name, safe="")
        return web.FileResponse(
            entry.path,
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                "Content-Type": "application/octet-stream",
            },
        )

    async def _delete(self, request: web.Request) -> web.Response:
        mark = await _in_thread(lambda: self._studio.delete(_id(request)))
        return web.json_response({"undo": mark})

    async def _restore(self, request: web.Request) -> web.Response:
        entry = await _in_thread(lambda: self._studio.restore(request.match_info["mark"]))
        return web.json_response({"id": entry.id, "name": entry.name})

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind not in KINDS:
            return error_response(404, f"there is no such picture: give one of {', '.join(KINDS)}")
        entry = await _in_thread(lambda: self._studio.library.get(_id(request)))
        return await _sent(
            await _in_thread(lambda: self._studio.pictures.path(entry, kind)), "image/webp"
        )

    # ----- looks

    async def _looks(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"looks": await _in_thread(lambda: self._studio.looks(_id(request)))}
        )

    async def _add_looks(self, request: web.Request) -> web.Response:
        names = _texts(await read_json(request, _MAX_JSON), "looks")
        return web.json_response(
            {"job": await _in_thread(lambda: self._studio.add_looks(_id(request), names))},
            status=202,
        )

    async def _arrange_looks(self, request: web.Request) -> web.Response:
        names = _texts(await read_json(request, _MAX_JSON), "looks")
        await _in_thread(lambda: self._studio.arrange_looks(_id(request), names))
        return web.json_response({})

    async def _draw_looks(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"job": await _in_thread(lambda: self._studio.draw_looks(_id(request)))}, status=202
        )

    async def _look_from_photo(self, request: web.Request) -> web.Response:
        body = await read_json(request, _MAX_JSON)
        _check_consent(body)
        job = await _in_thread(
            lambda: self._studio.add_look_from_photo(
                _id(request), _text(body, "photo"), _text(body, "part"), _text(body, "name")
            )
        )
        return web.json_response({"job": job}, status=202)

    async def _look_from_text(self, request: web.Request) -> web.Response:
        body = await read_json(request, _MAX_JSON)
        seed = body.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise UserError("seed must be a whole number")
        job = await _in_thread(
            lambda: self._studio.add_look_from_text(
                _id(request), _text(body, "text"), _text(body, "part"), seed
            )
        )
        return web.json_response({"job": job}, status=202)

    async def _look_picture(self, request: web.Request) -> web.StreamResponse:
        path = await _in_thread(
            lambda: self._studio.look_picture(_id(request), request.match_info["look"])
        )
        return await _sent(path, "image/webp")

    # ----- photos and jobs

    async def _upload(self, request: web.Request) -> web.Response:
        received = await self._studio.photos.receive(upload_chunks(request, MAX_UPLOAD_BYTES))
        photo = await _in_thread(lambda: self._studio.photos.look_at(received, _file_name(request)))
        return web.json_response(photo.to_json(), status=201)

    async def _photo(self, request: web.Request) -> web.StreamResponse:
        return await _sent(self._studio.photos.get(_id(request)).shown, "image/jpeg")

    async def _look_again(self, request: web.Request) -> web.Response:
        crop = _crop((await read_json(request, _MAX_JSON)).get("crop"))
        if crop is None:
            raise UserError("crop is missing: say which part is searched")
        photo = await _in_thread(lambda: self._studio.photos.look_again(_id(request), crop))
        return web.json_response(photo.to_json())

    async def _delete_photo(self, request: web.Request) -> web.Response:
        self._studio.photos.delete(_id(request))
        return web.json_response({})

    async def _hints(self, request: web.Request) -> web.Response:
        frame = await read_body(request, "image/jpeg", _MAX_FRAME)
        found = await _in_thread(
            lambda: self._studio.hints(frame, request.query.get("pose", "front"))
        )
        return web.json_response(
            {
                "face": None if found.face is None else found.face.to_json(),
                "hints": list(found.hints),
                "sharpness": found.sharpness,
            }
        )

    async def _build(self, request: web.Request) -> web.Response:
        body = await read_json(request, _MAX_JSON)
        _check_consent(body)
        wish = BuildWish(
            _text(body, "photo"),
            _crop(body.get("crop")),
            _text(body, "name"),
            _texts(body, "extras"),
            _texts(body, "looks"),
            body.get("keep_photo") is True,
        )
        return web.json_response(
            {"job": await _in_thread(lambda: self._studio.build(wish))}, status=202
        )

    async def _cancel(self, request: web.Request) -> web.Response:
        await _in_thread(lambda: self._studio.jobs.cancel(_id(request)))
        return web.json_response({})

    async def _job_picture(self, request: web.Request) -> web.StreamResponse:
        path = self._studio.jobs.picture(_id(request), request.match_info["file"])
        return await _sent(path, "image/webp")

    # ----- presets and backgrounds

    async def _save_preset(self, request: web.Request) -> web.Response:
        preset = preset_of(await read_json(request, _MAX_JSON))
        await _in_thread(lambda: self._studio.save_preset(preset))
        return web.json_response(preset.to_json(), status=201)

    async def _delete_preset(self, request: web.Request) -> web.Response:
        await _in_thread(lambda: self._studio.delete_preset(request.match_info["name"]))
        return web.json_response({})

    async def _save_background(self, request: web.Request) -> web.Response:
        received = await self._studio.photos.receive(upload_chunks(request, MAX_UPLOAD_BYTES))
        name = await _in_thread(lambda: self._studio.save_background(received, _file_name(request)))
        return web.json_response({"name": name}, status=201)

    async def _background(self, request: web.Request) -> web.StreamResponse:
        path = self._studio.store.backgrounds().get(request.match_info["name"])
        return (
            error_response(404, "there is no such background")
            if path is None
            else await _sent(path, "image/webp")
        )

    async def _delete_background(self, request: web.Request) -> web.Response:
        await _in_thread(lambda: self._studio.delete_background(request.match_info["name"]))
        return web.json_response({})


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Run slow work in a thread, outside of the event loop."""
    return await asyncio.to_thread(work)


async def _sent(path: Path, kind: str) -> web.Response:
    """A picture's content, read at once: it may be replaced or deleted at any moment."""
    with contextlib.suppress(OSError):
        content = await _in_thread(path.read_bytes)
        return web.Response(
            body=content, content_type=kind, headers={"Cache-Control": "private, no-cache"}
        )
    return error_response(404, "the picture has just gone")


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _file_name(request: web.Request) -> str:
    """The user's name of an uploaded file; only displayed, or cleaned into a name."""
    given = unquote(request.headers.get("X-File-Name", ""), errors="replace")[:_LONGEST_NAME]
    name = (
        "".join(one if one.isprintable() else " " for one in given)
        .replace("\\", "/")
        .rsplit("/", 1)[-1]
        .strip()
    )
    return name or "the photo"


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise UserError(f"{name} is missing: it must be a text")
    return value


def _texts(body: dict[str, Any], name: str) -> Sequence[str]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(
        isinstance(one, str) for one in cast("list[Any]", value)
    ):
        raise UserError(f"{name} must be a list of texts")
    return cast("list[str]", value)


def _crop(value: object) -> tuple[int, int, int, int] | None:
    if value is None:
        return None
    numbers = cast("list[Any]", value) if isinstance(value, list) else []
    whole = [
        one
        for one in numbers
        if isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= 100_000
    ]
    if len(numbers) != 4 or len(whole) != 4:
        raise UserError("crop must be a list of left, top, width and height in whole pixels")
    left, top, width, height = numbers
    return left, top, width, height


def _check_consent(body: dict[str, Any]) -> None:
    if body.get("consent") is not True:
        raise UserError(
            "nothing is made of a photo without consent: tick that the person in it agrees"
        )
