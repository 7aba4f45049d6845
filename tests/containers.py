"""Containers for the tests: podman with a storage of its own, a base image made from this machine, and a registry.

A base image can't be pulled everywhere that these tests run, so one is made of the interpreter that runs them.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import pytest
from harness import ROOT, TEMPLATE, run

BASE = "localhost/python:test"
PIP = "pip==26.3"
TOOLS = ("bash", "sh", "rm", "find", "ldd")
COMMON = [f"lib{name}" for name in ("dl.so.2", "gcc_s.so.1", "m.so.6", "pthread.so.0", "rt.so.1", "stdc++.so.6")]
CONTAINERFILE = """FROM scratch
COPY root /
ENV PATH=/usr/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
"""
# Stands in for podman and builds nothing twice: an image that it made of the same files and options gets the new tag.
# A build takes most of a minute, and as it leaves no history, podman's own cache does not know it again.
ONCE = """#!{python}
import hashlib, os, pathlib, subprocess, sys

argv = sys.argv[1:]
if argv[:1] != ["build"] or "--iidfile" not in argv:
    os.execv("{podman}", ["podman", *argv])
given = {{name: argv[argv.index(name) + 1] for name in ("--iidfile", "--tag", "--file")}}
context = pathlib.Path(argv[-1])
key = hashlib.sha256(repr([word for word in argv[:-1] if word not in given.values()]).encode())
for path in sorted(path for path in context.rglob("*") if path.is_file()):
    key.update(repr((path.relative_to(context), path.stat().st_mode, path.read_bytes())).encode())
built = pathlib.Path("{folder}/built", key.hexdigest())
if built.exists():
    subprocess.check_call(["{podman}", "tag", built.read_text(), given["--tag"]])
    pathlib.Path(given["--iidfile"]).write_text(built.read_text())
else:
    if code := subprocess.call(["{podman}", *argv]):
        sys.exit(code)
    built.write_text(pathlib.Path(given["--iidfile"]).read_text())
"""
# For a virtual machine with control groups of version 1, whose root may not raise limits.
OLD_MACHINE = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{host}"}}
"""
PASSWORD = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
HTPASSWD = "robot:$2b$05$rAFY8bX5jV713RBSPmmlpen0xFaAlh82jAltOJH01BpbV5pFUmNY6\n"  # secret


def make_context(folder: Path) -> None:
    """Lay out a base image: the interpreter that runs this, pip, and the few programs of the builder stage."""
    venv, root = folder / "venv", folder / "root"
    (venv / "bin").mkdir(parents=True)
    interpreter = Path(sys.executable).resolve()
    (venv / "bin/python").symlink_to(interpreter)
    (folder / "Containerfile").write_text(CONTAINERFILE)
    env = dict(os.environ)
    run(sys.executable, "-B", ROOT / TEMPLATE / "deploy/runtime.py", venv, root, cwd=folder, env=env)
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/python").symlink_to(interpreter)
    programs = [Path(found) for found in map(shutil.which, TOOLS) if found]
    for program in programs:
        shutil.copy(program, root / "usr/bin")
    for library in linked(programs) + common():
        (root / library.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library.relative_to("/"))
    site = next(root.rglob("os.py")).parent / "site-packages"
    run("uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", site, PIP, cwd=folder, env=env)


def linked(programs: list[Path]) -> list[Path]:
    said = subprocess.run(["ldd", *programs], text=True, capture_output=True).stdout
    return [Path(word) for word in said.split() if word.startswith("/") and not word.endswith(":")]


def common() -> list[Path]:
    """Return the libraries that every base image has and packages are linked with."""
    [libc] = [path for path in linked([Path(sys.executable).resolve()]) if path.name == "libc.so.6"]
    return [libc.with_name(name) for name in COMMON]


class Podman:
    """Podman with its own images and containers; leaving removes them all."""

    def __init__(self, context: Path) -> None:
        self.context = context
        self.folder = Path(tempfile.mkdtemp(prefix="pod-"))  # a short path: sockets lie below it
        (self.folder / "storage.conf").write_text(STORAGE.format(folder=self.folder))
        self.env = {"CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"), "CONTAINER_ENGINE": "podman"}
        self.env |= {"BASE_IMAGE": BASE, "REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}
        (self.folder / "auth.json").write_text("{}")
        if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
            (self.folder / "containers.conf").write_text(OLD_MACHINE)
            self.env["CONTAINERS_CONF"] = str(self.folder / "containers.conf")

        for name in ("bin", "built"):
            (self.folder / name).mkdir()
        once = ONCE.format(python=sys.executable, podman=shutil.which("podman"), folder=self.folder)
        (self.folder / "bin/podman").write_text(once)
        (self.folder / "bin/podman").chmod(0o755)

    def once(self, env: dict[str, str]) -> dict[str, str]:
        """Return variables for somebody who uses it and builds nothing twice."""
        return self.env | {"PATH": f"{self.folder / 'bin'}{os.pathsep}{env['PATH']}"}

    def forget(self) -> None:
        """Let the next build be a real one."""
        for path in (self.folder / "built").iterdir():
            path.unlink()

    def __enter__(self) -> "Podman":
        self("build", "--quiet", "--timestamp", "0", "--tag", BASE, str(self.context))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Not `system reset`, which also takes from others what all storages of this machine share: /run/libpod.
        self("rm", "--all", "--force")
        self("rmi", "--all", "--force")
        shutil.rmtree(self.folder, ignore_errors=True)  # without root, some of it belongs to other user ids

    def __call__(self, *argv: str) -> str:
        """Run podman and return what it printed."""
        return run("podman", *argv, cwd=self.folder, env=os.environ | self.env)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process use it as well."""
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)


class Registry:
    """A registry on this machine; with `password` it knows the user `robot`, whose password is `secret`."""

    def __init__(self, folder: Path, *, password: bool = False) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        folder.mkdir(parents=True)
        (folder / "htpasswd").write_text(HTPASSWD)
        text = REGISTRY + (PASSWORD if password else "")
        (folder / "config.yml").write_text(text.format(folder=folder, host=self.host))
        self.folder = folder
        self.start()

    def start(self) -> None:
        """Start, or start again on the same data and port; return when it answers."""
        with (self.folder / "log").open("a") as log:
            argv = ["docker-registry", "serve", str(self.folder / "config.yml")]
            # it would read each REGISTRY_... as a part of its configuration
            env = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=env)
        host, _, port = self.host.partition(":")
        for _ in range(200):
            with socket.socket() as probe:
                if not probe.connect_ex((host, int(port))):
                    return
            time.sleep(0.05)
        raise TimeoutError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stop; the data stay."""
        self.process.terminate()
        self.process.wait()

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
