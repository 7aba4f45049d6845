"""The files of a release: where they are, and whether they are those that its SHA256SUMS lists."""

import hashlib
import json
from pathlib import Path
from typing import Any

from gitops import github
from gitops.shell import CommandError, say
from gitops.tags import Release

SUMS = "SHA256SUMS"
DIST = Path("dist")


def find(release: Release, folder: Path | None, temporary: Path) -> Path | None:
    """Return the folder with the release's files: the one named, GitHub's (downloaded), dist/, or None.

    Raises:
        CommandError: the folder that was named is none, or GitHub can't be asked.
    """
    if folder:
        if not folder.is_dir():
            raise CommandError(f"there is no folder {folder}: --from names the one with the release's files")
        return folder
    if github.available():
        entries = [entry for entry in github.pages("/releases") if entry["tag_name"] == release.tag]
        for asset in entries[0]["assets"] if entries else ():
            say(f"› downloading {asset['name']}")
            name = Path(asset["name"]).name
            (temporary / name).write_bytes(github.download(f"/releases/assets/{int(asset['id'])}"))
        if entries:
            return temporary
    return DIST if facts(DIST).get("version") == release.version else None


def facts(folder: Path) -> dict[str, Any]:
    """Return the content of release.json; nothing where it is missing or damaged."""
    try:
        content = json.loads((folder / "release.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def wrong(folder: Path) -> list[str]:
    """Return, one sentence each, in what the files differ from the folder's SHA256SUMS."""
    if not (folder / SUMS).is_file():
        return [f"{SUMS} is missing"]
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines() if "  " in line]
    sums = {Path(name).name: checksum for checksum, name in lines}
    here = {path.name for path in folder.iterdir() if path.is_file()} - {SUMS}
    found = [f"{name} is missing" for name in sorted(sums.keys() - here)]
    found += [f"{name} is not in {SUMS}" for name in sorted(here - sums.keys())]
    return found + [
        f"{name} has another checksum than {SUMS} says"
        for name in sorted(here & sums.keys())
        if digest(folder / name) != sums[name]
    ]


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest(path: Path) -> str:
    """Return a file's SHA-256, or "" where there is no file."""
    return sha256(path.read_bytes()) if path.is_file() else ""
