"""Collect, in the builder stage, what a service needs to run, and nothing else: `python runtime.py VENV ROOT`.

ROOT becomes the whole file system of the image: the interpreter with its standard library, the shared libraries that it
and the packages of VENV are linked with, and the names of the Debian packages they come from, for vulnerability scans.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

UNUSED = ("test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages")
WASTE = shutil.ignore_patterns(*UNUSED, "config-*", "__pycache__", "*.a")
FILES = ("/etc/os-release", "/etc/nsswitch.conf", "/etc/ssl/certs/ca-certificates.crt")
USERS = "model:x:10001:10001::/tmp:/sbin/nologin\n"


def main() -> None:
    """Fill ROOT."""
    venv, root = Path(sys.argv[1]), Path(sys.argv[2])
    interpreter, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, _at(root, library), ignore=WASTE)
    binaries = [interpreter, *_at(root, library).rglob("*.so"), *venv.rglob("*.so*")]
    libraries = _linked(binaries)
    for file in {interpreter, *libraries, *filter(Path.exists, map(Path, FILES))}:
        _at(root, file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, _at(root, file))
    link = venv / "bin/python"  # may lead to the interpreter by way of names that are not copied
    link.unlink()
    link.symlink_to(interpreter)
    _at(root, Path("/etc/passwd")).write_text(USERS)
    _at(root, Path("/etc/group")).write_text("model:x:10001:\n")
    _at(root, Path("/tmp")).mkdir(mode=0o1777)  # noqa: S108 - the image's own
    _at(root, Path("/tmp")).chmod(0o1777)  # noqa: S108 - whatever the umask is
    _record({interpreter, *libraries}, _at(root, Path("/var/lib/dpkg/status.d")))


def _at(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _linked(binaries: Iterable[Path]) -> set[Path]:
    """Return the libraries of the system that binaries load, directly or through others, as the loader finds them."""
    said = subprocess.run(["ldd", *map(str, binaries)], text=True, capture_output=True).stdout
    found = {Path(os.path.normpath(path)) for path in re.findall(r"(?:=> |^\s)(/\S+) \(0x", said, re.MULTILINE)}
    names = ("libnss_dns.so.2", "libnss_files.so.2")  # glibc opens these by name
    folders = {path.parent for path in found if path.name == "libc.so.6"}
    return found | {folder / name for folder in folders for name in names if (folder / name).exists()}


def _record(files: Iterable[Path], folder: Path) -> None:
    """Write the description of each Debian package that a file comes from, where scanners of small images look."""
    if not shutil.which("dpkg-query"):
        return
    paths = sorted({str(path) for file in files for path in (file, file.resolve())})
    owners = subprocess.run(["dpkg-query", "--search", *paths], text=True, capture_output=True).stdout
    folder.mkdir(parents=True)
    for package in sorted(set(re.findall(r"^([^\s:]+)(?::\w+)?: /", owners, re.MULTILINE))):
        told = subprocess.run(["dpkg-query", "--status", package], text=True, capture_output=True).stdout
        (folder / package).write_text(told)


if __name__ == "__main__":
    main()
