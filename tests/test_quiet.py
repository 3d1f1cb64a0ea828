from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from perse_live.quiet import quiet_stderr, quiet_stdout, stdout_to_stderr


def test_what_native_code_writes_is_gone_and_what_comes_later_is_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="an error"), quiet_stderr():
        os.write(2, b"W0000 chatter\n")
        raise ValueError("an error")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_warning_waits_until_another_thread_is_no_longer_silent() -> None:
    code = (
        "import threading\nfrom perse_live.cli.console import warn\nfrom perse_live.quiet import quiet_stderr\n"
        "speaking = threading.Thread(target=warn, args=('a warning',))\n"
        "with quiet_stderr():\n    speaking.start()\n    speaking.join(0.3)\n"
        "speaking.join()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "perse-live: a warning\n"


def test_a_process_without_stderr_runs_too() -> None:
    code = (
        "import os, sys; os.close(2); sys.stderr = None\n"
        "from perse_live.quiet import quiet_stderr\nwith quiet_stderr(): print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"


@pytest.mark.parametrize("silencer", [quiet_stdout, stdout_to_stderr])
def test_stdout_comes_back_after_two_threads_silenced_it_at_once(
    silencer: Callable[[], AbstractContextManager[None]],
) -> None:
    before = sys.stdout
    second_asks, first_ends = threading.Event(), threading.Event()

    def first() -> None:
        with silencer():
            second_asks.set()
            first_ends.wait(0.2)  # without a lock the second is inside by now

    def second() -> None:
        second_asks.wait()
        with silencer():
            first_ends.set()
            one.join()

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    two.join()
    assert sys.stdout is before
