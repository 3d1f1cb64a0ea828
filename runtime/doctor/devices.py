"""Devices and programs that perse-live uses: cameras, a virtual camera, a display for keys, a browser, a GPU."""

from __future__ import annotations

import errno
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
import webbrowser
from importlib.util import find_spec
from pathlib import Path

from perse_live.child import installed_program, python_command
from perse_live.errors import UserError, one_line
from perse_live.extras import install_command
from runtime.doctor.finding import Finding, never_raising
from runtime.hotkeys.global_keys import FALLBACK, obstacle_to_global_keys

_SYSTEM_LIST, _DEVICES, _MODULES = Path("/sys/class/video4linux"), Path("/dev"), Path("/sys/module")
_PROBE_SECONDS = 90.0  # a first import of torch from a cold disk
_FETCH_SECONDS = 5.0


@never_raising("cameras")
def cameras(*, system: Path = _SYSTEM_LIST, devices: Path = _DEVICES) -> Finding:
    """The cameras of this machine. system, devices: Linux's folders."""
    from runtime.sources.camera import list_cameras

    found = list_cameras(system=system, devices=devices)
    if not found:
        return Finding(
            "cameras",
            "warning",
            "none",
            "plug one in, or drive the avatar by a phone's or browser's camera"
            " (--camera browser), a video file, or not at all (--camera none)",
        )
    text = ", ".join(
        f"{camera.index}: {camera.name}{f' ({camera.problem})' if camera.problem else ''}"
        for camera in found
    )
    if all(camera.problem for camera in found):
        return Finding("cameras", "warning", text, found[0].problem)
    return Finding("cameras", "ok", text)


@never_raising("microphones")
def microphones() -> Finding:
    """The microphones of this machine; none is opened."""
    from runtime.sound.microphone import microphones as listed

    try:
        found = listed()
    except UserError as error:
        what, _, how = str(error).partition(": ")
        return Finding("microphones", "warning", what, how)
    if not found:
        return Finding(
            "microphones", "warning", "none", "plug one in; without one there is a picture only"
        )
    names = ", ".join(
        f"{one.number}: {one.name}{' (default)' if one.usual else ''}" for one in found
    )
    return Finding("microphones", "ok", names)


@never_raising("voice for calls")
def voice_output() -> Finding:
    """Whether call programs could hear the delayed voice."""
    from runtime.sound.output import SOURCE_NAME, cables, pulse_programs

    if pulse_programs() is not None:
        return Finding("voice for calls", "ok", f"--voice-out auto makes a source {SOURCE_NAME!r}")
    try:
        found = cables()
    except UserError as error:
        what, _, how = str(error).partition(": ")
        return Finding("voice for calls", "warning", what, how)
    if not found:
        return Finding(
            "voice for calls",
            "warning",
            "no virtual cable",
            "Linux: apt-get install pulseaudio-utils; macOS: BlackHole; Windows: VB-CABLE",
        )
    return Finding(
        "voice for calls", "ok", ", ".join(f"{number}: {name}" for number, name in found)
    )


@never_raising("virtual camera")
def virtual_camera(
    *, system: Path = _SYSTEM_LIST, devices: Path = _DEVICES, modules: Path = _MODULES
) -> Finding:
    """Whether other programs could see the avatar as a camera. system, devices, modules: Linux's folders."""
    name = "virtual camera"
    if find_spec("pyvirtualcam") is None:
        return Finding(
            name, "warning", "the package pyvirtualcam is not installed", "pip install pyvirtualcam"
        )
    if sys.platform != "linux":
        return _opened_virtual_camera()
    load = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=perse-live"
    if not (modules / "v4l2loopback").is_dir():
        if _module_is_installed("v4l2loopback"):
            return Finding(
                name, "warning", "the driver v4l2loopback is installed but not loaded", load
            )
        return Finding(
            name,
            "warning",
            "there is no driver v4l2loopback",
            f"sudo apt-get install v4l2loopback-dkms && {load}",
        )
    entries = system.iterdir() if system.is_dir() else ()
    loopbacks = sorted(entry.name for entry in entries if "virtual" in entry.resolve().parts)
    if not loopbacks:
        return Finding(
            name,
            "warning",
            "the driver v4l2loopback is loaded but has no device",
            f"sudo modprobe -r v4l2loopback && {load}",
        )
    writable = [device for device in loopbacks if os.access(devices / device, os.R_OK | os.W_OK)]
    if not writable:
        return Finding(
            name,
            "warning",
            f"{devices / loopbacks[0]} may not be written to",
            "sudo usermod -aG video $USER, then log out and in again",
        )
    return Finding(name, "ok", ", ".join(str(devices / device) for device in writable))


def _opened_virtual_camera() -> Finding:
    from runtime.sinks.virtual_camera import VirtualCameraSink

    try:
        sink = VirtualCameraSink(640, 480, 30.0)
    except UserError as error:
        return Finding("virtual camera", "warning", one_line(error))
    sink.close()
    return Finding("virtual camera", "ok", sink.device)


def _module_is_installed(module: str) -> bool:
    modinfo = installed_program("modinfo", more_folders=("/usr/sbin", "/sbin"))
    return (
        modinfo is not None
        and subprocess.run([modinfo, module], capture_output=True, check=False).returncode == 0
    )


@never_raising("global hotkeys")
def global_hotkeys() -> Finding:
    """Whether keys pressed in other windows can be heard."""
    obstacle = obstacle_to_global_keys()
    if obstacle:
        return Finding("global hotkeys", "warning", f"none: {obstacle}", FALLBACK)
    return Finding(
        "global hotkeys",
        "ok",
        f"on display {os.environ['DISPLAY']}" if sys.platform == "linux" else "yes",
    )


class _Greeting(http.server.BaseHTTPRequestHandler):
    """Answers every request with one word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"perse-live")

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.HTTPServer):
    allow_reuse_address = sys.platform != "win32"  # on Windows it would share a port that is in use

    def server_bind(self) -> None:
        # HTTPServer's method looks up the host's name, which can take seconds
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]


@never_raising("page")
def page(port: int) -> Finding:
    """Whether a page served on a port of this machine can be fetched from it."""
    address = f"http://127.0.0.1:{port}/"
    try:
        server = _Server(("127.0.0.1", port), _Greeting)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return Finding(
                "page",
                "warning",
                f"port {port} is taken by another program (or another session)",
                f"choose another one: --port {port + 1 if port < 65535 else 8080}",
            )
        return Finding(
            "page",
            "problem",
            f"port {port} cannot be opened: {one_line(error)}",
            "choose one from 1024 to 65535: --port 8080",
        )
    with server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="doctor's page"
        )
        thread.start()
        try:
            # As browsers do here
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(address, timeout=_FETCH_SECONDS) as response:
                right = response.read() == b"perse-live"
        except OSError as error:
            return Finding(
                "page",
                "problem",
                f"{address} was served but cannot be fetched: {one_line(error)}",
                "allow Python in the firewall for connections within this machine",
            )
        finally:
            server.shutdown()
            thread.join()
    if not right:
        return Finding(
            "page",
            "problem",
            f"another program answers for {address}",
            f"choose another port: --port {port + 1}",
        )
    return Finding("page", "ok", f"{address} can be served and fetched")


@never_raising("browser")
def browser() -> Finding:
    """Whether there is a browser to open the page with."""
    try:
        controller = webbrowser.get()
    except webbrowser.Error:
        return Finding(
            "browser",
            "warning",
            "none that could be opened here",
            "open the link that live prints by hand; from"
            " another machine through ssh -L 8080:127.0.0.1:8080",
        )
    return Finding(
        "browser", "ok", str(getattr(controller, "name", "") or type(controller).__name__)
    )


@never_raising("CUDA")
def cuda() -> Finding:
    """NVIDIA GPU, its driver, and what draws on it."""
    torch = _imported(
        "torch", "dict(version=m.__version__, there=m.cuda.is_available(), built=m.version.cuda)"
    )
    # Jetsons have no nvidia-smi
    gpu = _nvidia_gpu() or ("an NVIDIA GPU" if torch is not None and torch.get("there") else None)
    if gpu is None:
        return Finding(
            "CUDA", "ok", "no NVIDIA GPU: everything runs on the processor, as it is meant to"
        )
    if torch is None or find_spec("gsplat") is None:
        return Finding(
            "CUDA",
            "warning",
            f"{gpu}, which is not used: torch or gsplat is missing",
            install_command("cuda"),
        )
    if "error" in torch:
        return Finding(
            "CUDA",
            "warning",
            f"{gpu}, but torch cannot be imported: {torch['error']}",
            "pip install --force-reinstall torch",
        )
    found = f"{gpu}, torch {torch['version']}"
    if not torch["built"]:
        return Finding(
            "CUDA",
            "warning",
            f"{found}, built without CUDA",
            "install torch as https://pytorch.org says for your driver",
        )
    if not torch["there"]:
        return Finding(
            "CUDA",
            "warning",
            f"{found}, which does not see it",
            "update the NVIDIA driver, then look at nvidia-smi",
        )
    drawing = _imported("perse_live.splatting.cuda", "m.quick_obstacles()") or {}
    if cause := drawing.get("error") or drawing.get("causes"):
        return Finding(
            "CUDA",
            "warning",
            f"{found}, but the CPU draws: {one_line(cause)}",
            "perse-live doctor --gpu tries all of it; docs/engines.md says what it needs",
        )
    if not drawing.get("compiled"):
        return Finding(
            "CUDA",
            "warning",
            f"{found}; gsplat's kernels are not compiled yet, the first session will take minutes",
            "perse-live doctor --gpu compiles them, and tries what draws on the GPU",
        )
    return Finding("CUDA", "ok", f"{found}; gsplat draws")


@never_raising("TensorRT")
def tensorrt() -> Finding:
    """NVIDIA's engine runtimes."""
    there: list[str] = []
    for module in ("tensorrt", "tensorrt_rtx"):
        content = _imported(module, "dict(version=m.__version__)")
        if content is not None and "error" in content:
            return Finding(
                "TensorRT",
                "warning",
                f"{module} cannot be imported: {content['error']}",
                f"pip install --force-reinstall {module}, or uninstall it",
            )
        if content is not None:
            there.append(f"{module} {content['version']}")
    return Finding(
        "TensorRT",
        "ok",
        ", ".join(there) or "not installed: only needed for engines on NVIDIA GPUs",
    )


def _nvidia_gpu() -> str | None:
    """Name, driver and memory of the first GPU."""
    program = installed_program("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(
        query, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
    )
    lines = answer.stdout.splitlines()
    return lines[0].strip() if answer.returncode == 0 and lines else None


def _imported(module: str, content: str) -> dict[str, str] | None:
    """What an import of a module says; None where it is not installed, "error" where it fails.

    content: an expression of the module `m`. In a separate process: these modules take gigabytes and seconds, and where they do
    not fit the driver they end the process.
    """
    if find_spec(module) is None:
        return None
    code = f"import json, {module} as m; print(json.dumps({content}))"
    try:
        with tempfile.TemporaryDirectory(prefix="perse-live-") as folder:
            answer = subprocess.run(
                python_command(code),
                capture_output=True,
                text=True,
                timeout=_PROBE_SECONDS,
                check=False,
                cwd=folder,
            )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {_PROBE_SECONDS:.0f} s"}
    if answer.returncode:
        complaint = answer.stderr.strip().splitlines()
        return {
            "error": one_line(
                complaint[-1] if complaint else f"it ends the process (code {answer.returncode})"
            )
        }
    return json.loads(answer.stdout.splitlines()[-1])
