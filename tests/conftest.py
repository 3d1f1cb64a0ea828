from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from perse_live.threads import limit_native_threads

limit_native_threads()  # before numpy is imported, as for every command

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import skimage.data  # noqa: E402
from PIL import Image  # noqa: E402

from example_scripts import example  # noqa: E402
from hypothesis_profiles import register_profiles  # noqa: E402

if TYPE_CHECKING:
    from offline.rig.photo_geometry import PhotoGeometry
    from perse_live.avatar import Avatar

register_profiles()


def _give_children_default_signals() -> None:
    """Undo for programs that tests start what nohup or a background shell did: ignored signals are inherited, handlers are not.

    The run itself still outlives those signals.
    """
    for name in ("SIGHUP", "SIGINT", "SIGTERM"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


_give_children_default_signals()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, so that a mistake shows in seconds; the order is otherwise as written."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session", autouse=True)
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Films that tests write are signed with a temporary key, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSE_LIVE_SIGNING", str(tmp_path_factory.mktemp("signing") / "signing.pem"))
        yield


@pytest.fixture(scope="session", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests do with the library does not touch the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSE_LIVE_LIBRARY", str(tmp_path_factory.mktemp("library")))
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is marked `gpu` runs where gsplat draws on a GPU (compiling it first, for minutes), and is skipped elsewhere."""
    if item.get_closest_marker("gpu") is not None:
        from perse_live.engines.nvidia import driver_obstacle

        causes = [driver_obstacle()]
        if not causes[0]:
            from perse_live.splatting.cuda import cuda_obstacles

            causes = list(cuda_obstacles())
        if any(causes):
            pytest.skip("; ".join(causes))


@pytest.fixture(scope="session")
def astronaut_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait in the public domain as a file: Eileen Collins, by NASA."""
    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


@pytest.fixture(scope="session")
def astronaut_avatar(astronaut_photo: Path) -> Avatar:
    """That portrait's avatar, built once for all tests that look at one, by the example that shows how."""
    return example("build_avatar.py")["main"](
        str(astronaut_photo), str(astronaut_photo.with_suffix(".perse")), "the tests"
    )


@pytest.fixture(scope="session")
def mean_head() -> PhotoGeometry:
    """The average head at rest, straight before a camera of 512x512."""
    from offline.rig.identity import identity_rig, load_identity_model
    from offline.rig.photo_geometry import photo_geometry
    from perse_live.camera import Camera
    from perse_live.head.rig import expressed

    rig = identity_rig(load_identity_model(), np.zeros(1))
    facing, away = np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 1.0])
    return photo_geometry(
        Camera.for_image(512, 512), rig, expressed(rig, np.zeros(52)), facing, away, rig.vertices
    )
