"""The GitHub release: draft, then assets, then publish, so that nobody ever sees half of one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gitops import github
from gitops.shell import say


def published(tag: str) -> bool:
    """Tell whether GitHub shows the release of this tag."""
    found = _find(tag)
    return found is not None and not found["draft"]


def publish(tag: str, name: str, notes: str, assets: Iterable[Path], *, newest: bool) -> str:
    """Make the release, or finish the draft that a killed run left behind; return its address.

    `newest` makes it the one that GitHub shows first. An immutable release takes no assets once it is published, hence
    the order.
    """
    draft = _find(tag)
    if draft is None:
        say("› drafting the GitHub release")
        draft = github.call("POST", "/releases", {"tag_name": tag, "name": name, "body": notes, "draft": True})
    else:  # its assets are of another Bento, built by the killed run: their checksums are not ours
        say("› taking up the draft of an earlier run")
        github.call("PATCH", f"/releases/{draft['id']}", {"name": name, "body": notes})
        for asset in draft["assets"]:
            github.call("DELETE", f"/releases/assets/{asset['id']}")
    for file in assets:
        say(f"› uploading {file.name}")
        address = f"{draft['upload_url'].split('{')[0]}?name={quote(file.name)}"
        github.call("POST", address, data=file.read_bytes(), mime="application/octet-stream")
    say("› publishing the GitHub release")
    done = github.call("PATCH", f"/releases/{draft['id']}", {"draft": False, "make_latest": str(newest).lower()})
    return str(done["html_url"])


def _find(tag: str) -> dict[str, Any] | None:
    """Return the GitHub release of a tag; only the list shows drafts."""
    return next((entry for entry in github.pages("/releases") if entry["tag_name"] == tag), None)
