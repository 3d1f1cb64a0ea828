"""However a command is ended from outside, it says so in one line and leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from perse_live.avatar import save_avatar
from perse_live.film.writer import film_writer
from perse_live.signals import ending_signals, interrupting
from toys import toy_avatar

PATIENCE = 300.0  # seconds; torch is imported meanwhile, on a machine that may be busy


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar, a photo and a film that is long enough to be ended."""
    folder = tmp_path_factory.mktemp("inputs")
    save_avatar(folder / "me.perse", toy_avatar())
    picture = np.asarray(Image.fromarray(astronaut()[:300, 80:380]).resize((240, 240)))
    Image.fromarray(astronaut()).save(folder / "photo.png")
    with film_writer(folder / "film.mp4", width=240, height=240, rate=Fraction(25)) as writer:
        for _ in range(400):
            writer.write(picture)
    return folder


_COMMANDS = {
    "drive": ("drive", "me.perse", "film.mp4", "-o", "OUT/out.mp4"),
    "build": ("build", "photo.png", "-o", "OUT/me.perse", "--consent"),
    "export": ("export", "me.perse", "-o", "OUT", "--engines", "onnx"),
    "attribute": ("attribute", "add", "OUT/mine.perse", "hair-copper"),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these signals")
@pytest.mark.parametrize(
    ("name", "ending"),
    [  # every command and every signal; `ending_signals` is the same for all
        ("drive", "SIGTERM"),
        ("drive", "SIGHUP"),
        ("drive", "SIGINT"),
        ("build", "SIGTERM"),
        ("export", "SIGHUP"),
        ("build", "SIGKILL"),
        ("drive", "SIGKILL"),
        ("export", "SIGKILL"),
        ("attribute", "SIGKILL"),
    ],
)
def test_an_ended_command_leaves_everything_as_it_was(
    inputs: Path, tmp_path: Path, name: str, ending: str
) -> None:
    words = _COMMANDS[name]
    if name == "attribute":
        shutil.copy(inputs / "me.perse", tmp_path / "mine.perse")
    before = contents(tmp_path)
    command = [
        sys.executable,
        "-m",
        "perse_live.cli",
        *(word.replace("OUT", str(tmp_path)) for word in words),
    ]
    process = subprocess.Popen(
        command,
        cwd=inputs,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    said = ""
    if words[0] == "drive":  # tells its progress on terminals only
        while not any(".part" in path.name for path in tmp_path.iterdir()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    else:
        assert process.stderr is not None
        said = process.stderr.readline()
    process.send_signal(getattr(signal, ending))
    _, rest = process.communicate(timeout=PATIENCE)
    # Nobody can tidy up then, but what is left has a name that says so, and is swept later
    if ending == "SIGKILL":
        assert process.returncode == -signal.SIGKILL, said + rest
        assert {
            name: content
            for name, content in contents(tmp_path).items()
            if not name.startswith(".")
        } == before
        return
    assert process.returncode == 1, said + rest
    assert rest.splitlines()[-1] == "perse-live: interrupted"
    assert "Traceback" not in rest
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, bytes]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def test_a_second_signal_does_not_cut_short_what_the_first_began() -> None:
    heard: list[str] = []
    with ending_signals(interrupting()):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except KeyboardInterrupt:
            for again in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                os.kill(os.getpid(), again)
            time.sleep(0.1)
            heard.append("finished")
    assert heard == ["finished"]


def test_handlers_are_put_back_and_what_nohup_ignores_stays_ignored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_signals(interrupting()):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, earlier)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_elsewhere_than_on_the_main_thread_nothing_is_changed() -> None:
    found: list[object] = []

    def run() -> None:
        with ending_signals(interrupting()):
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]
