"""What the factory asks of Git."""

import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gitops.shell import Stop, attempt, run


def git(*argv: str, cwd: Path | None = None) -> str:
    """Run a local Git command and return what it printed."""
    return run("git", *argv, cwd=cwd)


def remote_env() -> dict[str, str]:
    """Return the environment for Git commands that talk to origin.

    A workflow's checkout keeps no credentials (`persist-credentials: false`); where the step was given GITHUB_TOKEN, it
    is passed to this one command through the environment, so that it is never written to disk. Without it Git must fail
    instead of asking for a password.
    """
    env = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    if token := env.get("GITHUB_TOKEN"):
        server = env.get("GITHUB_SERVER_URL", "https://github.com")
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        env |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
            "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
        }
    return env


def identity_env() -> dict[str, str]:
    """Return the environment for Git commands that name an author: this laptop's person, or else the workflow."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return dict(os.environ)
    who = {"NAME": "github-actions[bot]", "EMAIL": "41898282+github-actions[bot]@users.noreply.github.com"}
    return os.environ | {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}


def has_origin() -> bool:
    """Tell whether this clone knows where to push."""
    return attempt("git", "remote", "get-url", "origin").returncode == 0


def show(revision: str, path: str) -> str | None:
    """Return a file's text at a revision, or None where the revision has no such file."""
    done = attempt("git", "show", f"{revision}:{path}")
    return done.stdout if done.returncode == 0 else None


def show_many(objects: Sequence[str]) -> list[str | None]:
    """Return the texts of files, each named `revision:path`, or None where there is none: one call of Git for all.

    Line ends are as Python reads text files; bytes that are not UTF-8 are kept as surrogates.

    Raises:
        Stop: this is not a repository, or a name has a line end in it.
    """
    if odd := [name for name in objects if "\n" in name]:
        raise Stop(f"{odd[0]!r} can't be the path of a file here: it has a line end")
    done = subprocess.run(
        ("git", "cat-file", "--batch"), input="".join(f"{name}\n" for name in objects).encode(), capture_output=True
    )
    if done.returncode:
        raise Stop(f"`git cat-file` failed ({done.returncode}): {done.stderr.decode(errors='replace').strip()}")
    texts: list[str | None] = []
    rest = done.stdout
    for _ in objects:
        header, _, rest = rest.partition(b"\n")
        kind, _, size = header.rpartition(b" ")
        if not kind.endswith(b" blob"):  # "... missing", or a folder
            skipped = int(size) + 1 if size.isdigit() else 0
            texts, rest = [*texts, None], rest[skipped:]
            continue
        texts.append(decode(rest[: int(size)]))
        rest = rest[int(size) + 1 :]
    return texts


def decode(content: bytes) -> str:
    """Return a file's bytes as text: each line end `\\n`, and what is not UTF-8 as surrogates."""
    return content.decode(errors="surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
