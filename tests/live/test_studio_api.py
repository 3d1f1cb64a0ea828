"""The studio's API over real HTTP: avatars, photos, presets, backgrounds, going live, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import shutil
import socket
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
import skimage.data
from aiortc import RTCPeerConnection
from PIL import Image
from studio_session import Served, studio, until
from web_session import Watcher

from perse_live.avatar import save_avatar
from perse_live.film.writer import film_writer
from toys import toy_avatar

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served, None, None]:
    with studio(tmp_path_factory.mktemp("library")) as served:
        yield served


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("toy") / "toy.perse"
    save_avatar(path, toy_avatar())
    return path.read_bytes()


def jpeg(image: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", **options)
    return out.getvalue()


def test_an_avatar_is_taken_in_shown_renamed_copied_exported_deleted_and_brought_back(
    served: Served, toy: bytes
) -> None:
    status, made = served.upload("api/studio/avatars", toy, "Ada%20L..perse")
    assert (status, made["name"]) == (201, "Ada L")
    place = f"api/studio/avatars/{made['id']}"
    told = served.ask("GET", "api/studio")[1]
    assert [one["name"] for one in told["avatars"]] == ["Ada L"] and told["writable"]
    for kind, size in (
        ("card", (320, 320)),
        ("turns", (11 * 320, 3 * 320)),
        ("expressions", (1760, 176)),
    ):
        status, content = served.ask("GET", f"{place}/pictures/{kind}")
        assert status == 200 and Image.open(io.BytesIO(content)).size == size
    status, renamed = served.ask("POST", f"{place}/name", {"name": "Grace"})
    assert status == 200 and served.ask("POST", f"{place}/name", {"name": "Ada"})[0] == 400
    place = f"api/studio/avatars/{renamed['id']}"
    assert served.ask("POST", f"{place}/copy")[1]["name"] == "Grace 2"
    address = served.ask("POST", f"{place}/export")[1]["address"].lstrip("/")
    assert served.ask("GET", address) == (200, toy)
    assert served.ask("GET", address)[0] == 401, "once"
    undo = served.ask("DELETE", place)[1]["undo"]
    assert [one["name"] for one in served.ask("GET", "api/studio")[1]["avatars"]] == ["Grace 2"]
    assert served.ask("POST", f"api/studio/trash/{undo}")[1]["name"] == "Grace"


def test_going_live(served: Served, toy: bytes) -> None:
    made = served.upload("api/studio/avatars", toy, "Live.perse")[1]
    assert served.ask("GET", "api/state")[1]["studio"] is True
    assert served.ask("POST", f"api/studio/avatars/{made['id']}/live")[0] == 200
    until(lambda: served.opened.session.drawn.wait(0, 0.1))
    state = served.ask("GET", "api/state")[1]
    assert state["avatars"][state["avatar"] - 1] == "Live"

    def on_stage() -> list[str]:
        avatars = served.ask("GET", "api/studio")[1]["avatars"]
        return [one["name"] for one in avatars if one["on_stage"]]

    assert on_stage() == ["Live"]
    other = served.upload("api/studio/avatars", toy, "Other.perse")[1]
    served.ask("POST", f"api/studio/avatars/{other['id']}/live")
    assert on_stage() == ["Other"]
    number = served.ask("GET", "api/studio")[1]["number"]
    served.ask("POST", "api/action", {"action": "avatar", "number": state["avatar"]})
    assert on_stage() == ["Live"] and served.ask("GET", "api/studio")[1]["number"] > number
    served.ask("POST", f"api/studio/avatars/{made['id']}/name", {"name": "Alive"})
    assert "Alive" in served.ask("GET", "api/state")[1]["avatars"]
    served.ask("POST", "api/action", {"action": "picture", "width": 200, "height": 160, "fps": 24})
    until(
        lambda: (
            (found := served.opened.session.drawn.wait(0, 0.1))
            and found[1].image.shape == (160, 200, 3)
        )
    )
    assert served.ask("GET", "api/state")[1]["target_fps"] == 24


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04", "Foreign.perse is not a usable perse-live avatar file"),
        (b"", "the file is empty"),
    ],
)
def test_foreign_files_are_no_avatars(served: Served, content: bytes, said: str) -> None:
    before = served.ask("GET", "api/studio")[1]["avatars"]
    status, answer = served.upload("api/studio/avatars", content, "Foreign.perse")
    assert status == 400 and said in answer["error"]
    assert served.ask("GET", "api/studio")[1]["avatars"] == before


def test_a_photo_is_looked_at(served: Served) -> None:
    astronaut = skimage.data.astronaut()
    status, photo = served.upload("api/studio/photos", jpeg(astronaut), "IMG 1.jpg")
    assert (status, photo["name"], photo["width"], photo["height"]) == (201, "IMG 1.jpg", 512, 512)
    (face,) = photo["faces"]
    left, top, width, height = face["crop"]
    assert left <= face["left"] * 512 and top <= face["top"] * 512 and min(width, height) >= 256
    assert left >= 0 and left + width <= 512 and top + height <= 512
    content = served.ask("GET", f"api/studio/photos/{photo['id']}/picture")[1]
    assert Image.open(io.BytesIO(content)).size == (512, 512)
    served.ask("DELETE", f"api/studio/photos/{photo['id']}")
    assert served.ask("GET", f"api/studio/photos/{photo['id']}/picture")[0] == 400


def test_two_people_and_a_photo_on_its_side(served: Served) -> None:
    astronaut = skimage.data.astronaut()
    status, photo = served.upload(
        "api/studio/photos", jpeg(np.concatenate([astronaut, astronaut], 1)), "two.jpg"
    )
    assert status == 201 and len(photo["faces"]) == 2
    photo = served.upload("api/studio/photos", jpeg(np.rot90(astronaut).copy()), "side.jpg")[1]
    (face,) = photo["faces"]
    upright = served.upload("api/studio/photos", jpeg(astronaut), "up.jpg")[1]["faces"][0]
    # Turned counter-clockwise, what was above is on the left
    assert face["left"] == pytest.approx(upright["top"], abs=0.03)
    assert face["top"] == pytest.approx(1 - upright["left"] - upright["width"], abs=0.03)


def test_what_is_poor_about_a_face_is_said(served: Served) -> None:
    astronaut = np.asarray(
        Image.fromarray(skimage.data.astronaut()[:330, 65:395]).resize((660, 660))
    )

    def problems(image: np.ndarray) -> list[str]:
        photo = served.upload("api/studio/photos", jpeg(image, quality=95), "a.jpg")[1]
        return photo["faces"][0]["problems"]

    assert problems(astronaut) == []
    assert problems((astronaut * 0.22).astype(np.uint8)) == ["light"]
    assert problems(np.asarray(Image.fromarray(astronaut).resize((260, 260)))) == ["small"]
    assert "cut-off" in problems(astronaut[:, :390])


@pytest.mark.slow
def test_a_face_that_was_overlooked_is_found_in_a_part_of_the_photo(served: Served) -> None:
    crowd = np.full((2400, 3600, 3), 120, np.uint8)
    face = Image.fromarray(skimage.data.astronaut()[:330, 65:395]).resize((150, 150))
    crowd[1500:1650, 2900:3050] = np.asarray(face)
    photo = served.upload("api/studio/photos", jpeg(crowd, quality=95), "crowd.jpg")[1]
    path = f"api/studio/photos/{photo['id']}/faces"
    assert photo["faces"] == []
    assert served.ask("POST", path, {"crop": [0, 0, 600, 600]})[1]["faces"] == []
    (found,) = served.ask("POST", path, {"crop": [2700, 1300, 600, 600]})[1]["faces"]
    assert 2900 < (found["left"] + found["width"] / 2) * 3600 < 3050
    assert 1500 < (found["top"] + found["height"] / 2) * 2400 < 1650
    for bad in ([3400, 0, 600, 600], None, "all"):
        assert served.ask("POST", path, {"crop": bad})[0] == 400


def test_a_kept_photo_is_built_from_again(served: Served, toy: bytes) -> None:
    ada = served.upload("api/studio/avatars", toy, "StudioStore.perse")[1]
    status, answer = served.ask("POST", f"api/studio/avatars/{ada['id']}/photo")
    assert (status, "was not kept" in answer["error"]) == (400, True)
    kept = served.studio.library.photo_path("StudioStore")
    kept.write_bytes(jpeg(skimage.data.astronaut()))
    status, photo = served.ask("POST", f"api/studio/avatars/{ada['id']}/photo")
    assert (status, photo["name"], len(photo["faces"])) == (201, "StudioStore.jpg", 1)
    served.ask("DELETE", f"api/studio/photos/{photo['id']}")
    assert kept.exists(), "only the copy is deleted"
    assert served.ask("POST", f"api/studio/avatars/{ada['id']}/upgrade")[0] == 200
    served.ask("DELETE", f"api/studio/avatars/{ada['id']}")


def test_a_look_from_a_photo_is_named_after_the_users_file(served: Served, toy: bytes) -> None:
    ada = served.upload("api/studio/avatars", toy, "Donor.perse")[1]
    photo = served.upload("api/studio/photos", jpeg(skimage.data.astronaut()), "My uncle.jpg")[1]
    wish = {"photo": photo["id"], "part": "hair", "name": "hair-My uncle", "consent": True}
    job = served.ask("POST", f"api/studio/avatars/{ada['id']}/looks/from-photo", wish)[1]["job"]
    command = list(served.studio.jobs.get(job).task.command())
    served.ask("DELETE", f"api/studio/jobs/{job}")
    source = Path(command[command.index("--from") + 1])
    assert (source.name, command[command.index("--name") + 1]) == ("My uncle.jpg", "hair-my-uncle")
    served.ended(job)
    served.ask("DELETE", f"api/studio/jobs/{job}")
    served.ask("DELETE", f"api/studio/avatars/{ada['id']}")


def test_looks_in_words_need_a_model(served: Served, toy: bytes) -> None:
    ada = served.upload("api/studio/avatars", toy, "Words.perse")[1]
    wish = {"text": "round red glasses", "part": "glasses"}
    status, answer = served.ask("POST", f"api/studio/avatars/{ada['id']}/looks/from-text", wish)
    assert (status, "text_model" in answer["error"]) == (400, True)
    assert served.ask("GET", "api/studio")[1]["text_looks"]["problem"] == "unset"
    for change in ({"text": "--help"}, {"text": " "}, {"part": "nose"}, {"seed": 1.5}):
        path = f"api/studio/avatars/{ada['id']}/looks/from-text"
        assert served.ask("POST", path, {**wish, **change})[0] == 400
    served.ask("DELETE", f"api/studio/avatars/{ada['id']}")


def test_bad_photos_are_refused_in_words(served: Served) -> None:
    assert served.upload("api/studio/photos", b"GIF89a nonsense", "a.gif")[1]["error"].startswith(
        "a.gif: "
    )
    assert (
        "not a picture"
        in served.upload("api/studio/photos", b"no picture at all", "a.txt")[1]["error"]
    )
    assert (
        "256 px"
        in served.upload("api/studio/photos", jpeg(skimage.data.astronaut()[:100]), "thin.jpg")[1][
            "error"
        ]
    )
    out = io.BytesIO()
    Image.new("1", (20_000, 15_000)).save(out, "PNG")  # 300 megapixels in a few kilobytes
    assert (
        "120 megapixels"
        in served.upload("api/studio/photos", out.getvalue(), "huge.png")[1]["error"]
    )
    out = io.BytesIO()
    frames = [Image.fromarray(skimage.data.astronaut()), Image.new("RGB", (512, 512))]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    photo = served.upload("api/studio/photos", out.getvalue(), "moving.gif")[1]
    assert len(photo["faces"]) == 1 and photo["warnings"] == [
        "an animation: only its first frame is used"
    ]
    assert (
        served.ask("POST", "api/studio/photos", data=b"x", headers={"Content-Type": "image/jpeg"})[
            0
        ]
        == 415
    )
    assert served.upload("api/studio/photos", bytes(65 << 20), "long.jpg")[1]["error"].startswith(
        "the file is larger than 64 MB"
    )


def test_an_upload_that_breaks_off_leaves_nothing(served: Served) -> None:
    folder = served.studio.photos.folder
    before = sorted(folder.iterdir())
    parts = urlsplit(served.opened.url)

    async def begin() -> None:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            b"POST /api/studio/photos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: 100000\r\n\r\n" + bytes(5000)
        )
        await writer.drain()
        while sorted(folder.iterdir()) == before:
            await asyncio.sleep(0.02)
        writer.close()

    asyncio.run(begin())
    until(lambda: sorted(folder.iterdir()) == before)


def test_hints_before_a_camera_picture(served: Served) -> None:
    def hints(image: np.ndarray, pose: str = "front") -> list[str]:
        status, said = served.ask(
            "POST", f"api/studio/hints?pose={pose}", data=jpeg(image), headers=JPEG
        )
        assert status == 200, said
        return said["hints"]

    astronaut = skimage.data.astronaut()
    room = np.full((480, 640, 3), 120, np.uint8)
    assert hints(room) == ["no-face"]
    near = np.asarray(Image.fromarray(astronaut[20:280, 90:350]).resize((480, 480)))
    scene = room.copy()
    scene[:, 80:560] = near
    assert not {"no-face", "center", "closer", "several"} & set(hints(scene))
    assert "light" in hints((scene * 0.2).astype(np.uint8))
    off_centre = room.copy()
    off_centre[:, 320:640] = near[:, :320]
    assert "center" in hints(np.roll(scene, 200, 1)) and "shut-eyes" in hints(scene, "eyes-shut")
    small = room.copy()
    small[200:320, 260:380] = np.asarray(Image.fromarray(near).resize((120, 120)))
    assert hints(small)[0] in ("no-face", "closer")
    assert (
        served.ask("POST", "api/studio/hints?pose=sideways", data=jpeg(room), headers=JPEG)[0]
        == 400
    )
    assert served.ask("POST", "api/studio/hints", data=b"none", headers=JPEG)[0] == 400


def test_a_turned_head_is_told_from_the_other_side(served: Served) -> None:
    """The astronaut's head is turned a little to the picture's left or right; mirrored it is the other way."""
    astronaut = skimage.data.astronaut()
    faces = [
        served.upload("api/studio/photos", jpeg(np.ascontiguousarray(image)), "a.jpg")[1]["faces"][
            0
        ]
        for image in (astronaut, astronaut[:, ::-1])
    ]
    assert faces[0]["yaw"] == pytest.approx(-faces[1]["yaw"], abs=4)
    assert faces[0]["pitch"] == pytest.approx(faces[1]["pitch"], abs=4)


def test_nothing_is_built_without_consent_or_with_nonsense(served: Served) -> None:
    photo = served.upload("api/studio/photos", jpeg(skimage.data.astronaut()), "a.jpg")[1]
    wish = {"photo": photo["id"], "name": "Ada", "consent": True}
    for change, said in (
        ({"consent": False}, "consent"),
        ({"consent": "yes"}, "consent"),
        ({"photo": "../x"}, "not here any"),
        ({"name": ""}, "name"),
        ({"crop": [1, 2, 3]}, "crop"),
        ({"looks": ["--help"]}, "no built-in look"),
        ({"extras": [1]}, "extras"),
    ):
        status, answer = served.ask("POST", "api/studio/builds", {**wish, **change})
        assert status == 400 and said in answer["error"], change
    assert served.ask("GET", "api/studio")[1]["jobs"] == []


def test_nothing_is_begun_on_a_full_disk(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = served.upload("api/studio/photos", jpeg(skimage.data.astronaut()), "a.jpg")[1]
    whole = shutil.disk_usage(served.studio.library.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: whole._replace(free=3_000_000))
    wish = {"photo": photo["id"], "name": "Ada", "consent": True}
    status, answer = served.ask("POST", "api/studio/builds", wish)
    assert (status, answer["error"].startswith("only 3 MB are free in ")) == (400, True)
    assert served.ask("GET", "api/studio")[1]["jobs"] == []


def test_presets_and_backgrounds(served: Served) -> None:
    preset = {"name": "Party", "key": "p", "weights": {"hat-wide": 1.0}}
    assert served.ask("POST", "api/studio/presets", preset) == (201, preset)
    assert served.ask("GET", "api/studio")[1]["presets"] == [preset]
    served.ask("DELETE", "api/studio/presets/Party")
    status, kept = served.upload("api/studio/backgrounds", jpeg(skimage.data.chelsea()), "cat.jpg")
    assert status == 201
    assert served.ask("GET", f"api/studio/backgrounds/{kept['name']}")[0] == 200
    assert (
        served.ask("POST", "api/action", {"action": "background", "background": kept["name"]})[0]
        == 200
    )
    assert served.ask("GET", "api/state")[1]["background"] == kept["name"]
    served.ask("POST", "api/action", {"action": "background", "background": "d9dbde"})
    served.ask("DELETE", f"api/studio/backgrounds/{kept['name']}")
    assert served.ask("GET", "api/studio")[1]["backgrounds"] == []
    assert (
        served.ask("POST", "api/action", {"action": "background", "background": kept["name"]})[0]
        == 400
    )
    assert "no.jpg" in served.upload("api/studio/backgrounds", b"no picture", "no.jpg")[1]["error"]


def test_settings_of_the_stage_are_there_again(tmp_path: Path) -> None:
    with studio(tmp_path, remember=True) as served:
        for action in (
            {"action": "background", "background": "336699"},
            {"action": "mirror"},
            {"action": "gain", "region": "mouth", "value": 1.5},
            {"action": "picture", "width": 320, "height": 240, "fps": 24},
        ):
            assert served.ask("POST", "api/action", action)[0] == 200
    with studio(tmp_path, remember=True) as served:
        state = served.ask("GET", "api/state")[1]
        assert (state["background"], state["mirror"], state["gains"]["mouth"]) == (
            "336699",
            True,
            1.5,
        )
        assert (state["size"], state["target_fps"]) == ([320, 240], 24)


async def camera_offer() -> str:
    """The SDP offer of a browser that would be the camera."""
    connection = RTCPeerConnection()
    connection.addTransceiver("video", direction="sendonly")
    await connection.setLocalDescription(await connection.createOffer())
    text = connection.localDescription.sdp
    await connection.close()
    return text


@pytest.mark.slow
def test_the_motion_comes_from_another_camera_without_a_restart(tmp_path: Path) -> None:
    film = tmp_path / "clip.mp4"
    with film_writer(film, width=320, height=256, rate=Fraction(25)) as writer:
        for _ in range(50):
            writer.write(np.ascontiguousarray(skimage.data.astronaut()[:256, 80:400]))

    def source(served: Served) -> tuple[str, str]:
        state = served.ask("GET", "api/state")[1]
        return state["source"]["kind"], state["source"]["problem"]

    with studio(tmp_path / "library", camera=str(film)) as served:
        known = served.ask("GET", "api/studio/sources")[1]
        by_id = {one["id"]: one for one in known["sources"]}
        assert known["chosen"] == "given" and by_id["given"]["name"] == "clip.mp4"
        assert str(tmp_path) not in json.dumps(known), "no path is any page's business"
        until(lambda: served.ask("GET", "api/state")[1]["calibration"]["phase"] == "done")
        status, answer = served.ask(
            "POST",
            "whip",
            data=asyncio.run(camera_offer()),
            headers={"Content-Type": "application/sdp"},
        )
        assert (status, "another source" in answer["error"]) == (400, True)
        for wished, kind in (("browser", "browser"), ("none", "none"), ("given", "file")):
            assert served.ask("POST", "api/studio/source", {"id": wished})[0] == 200
            assert source(served) == (kind, "")
        until(lambda: served.ask("GET", "api/stats")[1]["stages"]["track"]["per_second"] > 0)
        for bad in ("/dev/video0", str(film), "camera-77", ""):
            status, answer = served.ask("POST", "api/studio/source", {"id": bad})
            assert (status, "not there any more" in answer["error"]) == (400, True)
        assert source(served)[0] == "file"


def test_a_link_to_watch_gives_no_other_right(tmp_path: Path) -> None:
    with studio(tmp_path, token="the owner's token") as served:
        answer = served.ask("POST", "api/studio/watch-link")[1]
        link = answer["address"]
        assert answer["shared"] is False, "viewers do not receive the avatar's file"
        assert urlsplit(link).path == "/watch"
        viewer = link.partition("#token=")[2]
        status, told = served.ask("GET", "api/watch", token=viewer)
        assert (status, told["size"]) == (200, [128, 128])
        for method, path in (
            ("GET", "api/state"),
            ("GET", "api/stats"),
            ("POST", "api/action"),
            ("GET", "api/studio"),
            ("POST", "api/studio/avatars"),
            ("POST", "whip"),
            ("GET", "recording"),
            ("POST", "recording"),
        ):
            assert served.ask(method, path, token=viewer)[0] == 403, path
        assert served.ask("GET", "api/studio", token="")[0] == 401
        assert (
            served.ask(
                "POST", "whep", token=viewer, data=b"x", headers={"Content-Type": "application/sdp"}
            )[0]
            == 400
        )


def test_a_viewers_data_channel_tells_and_takes_nothing(tmp_path: Path) -> None:
    with studio(tmp_path) as served:
        viewer = served.ask("POST", "api/studio/watch-link")[1]["address"].partition("#token=")[2]

        async def watch() -> list[str]:
            watcher = Watcher()
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {viewer}"}) as http:
                await watcher.join(http, served.opened.url.partition("#")[0])
                while watcher.channel.readyState != "open" or not watcher.messages:
                    await asyncio.sleep(0.05)
                watcher.channel.send('{"action": "mirror"}')
                while not any("only" in text for text in watcher.messages):
                    await asyncio.sleep(0.05)
                await watcher.close()
            return watcher.messages

        messages = asyncio.run(asyncio.wait_for(watch(), 60))
        assert not any("avatars" in text or "fps" in text for text in messages)
        assert served.ask("GET", "api/state")[1]["mirror"] is False


def test_who_waits_for_news_is_answered_at_the_end_and_who_has_left_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "runtime.web.server"), contextlib.ExitStack() as stack:
        with studio(tmp_path) as served:
            number = served.ask("GET", "api/studio")[1]["number"]
            host = urlsplit(served.opened.url).netloc
            name, _, port = host.partition(":")
            waiting = [
                stack.enter_context(socket.create_connection((name, int(port)), timeout=30))
                for _ in range(2)
            ]
            for one in waiting:
                one.sendall(
                    f"GET /api/studio?after={number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
                )
            for _ in range(2):  # what was sent before is read before
                assert served.ask("GET", "api/state")[0] == 200
            waiting[1].close()
        assert waiting[0].recv(100).startswith(b"HTTP/1.1 200 OK")
    assert "does not end by itself" not in caplog.text
