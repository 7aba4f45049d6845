"""The first `dvc` in a clone: the data remote is mounted, and the data brought, before DVC looks for them.

DVC has no setting and no extension for this, and says only that files are missing. `startup/~gitops.pth`, which is
installed with the project (`[tool.uv.build-backend]`), calls it at the start of the command `dvc` and of no other.
"""

from collections.abc import Sequence
from pathlib import Path

from gitops import store
from gitops.git import has_origin
from gitops.shell import CommandError, dvc, say, stream

READS_DATA = ("checkout", "exp", "repro")
READS_REMOTE = ("data", "fetch", "pull", "push", "status")


def bring(words: Sequence[str]) -> None:
    """Mount the Git store for `dvc WORDS` where it is not yet; bring the data too for a command that reads them."""
    command = next((word for word in words if not word.startswith("-")), "")
    if command not in (*READS_DATA, *READS_REMOTE) or not Path(".dvc/config").is_file():
        return
    if store.MOUNT.exists() or not store.is_git() or not has_origin():
        return
    say("› first use of this clone's data remote: uv run gitops store pull", error=True)
    try:
        store.pull()
        if command in READS_DATA and store.holds_files():
            stream(*dvc("pull", "--quiet"))
    except CommandError as error:
        say(f"note: {error}", error=True)  # what is missing then, DVC says
