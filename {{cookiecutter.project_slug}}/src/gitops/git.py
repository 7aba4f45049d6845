"""What the factory asks of Git."""

import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gitops.shell import CommandError, attempt, run

MERGED = ("*.yaml", "*.yml", "*.json", "*.toml", "*.lock", "*.dvc")  # what a left-over mark of a merge makes unreadable


def git(*argv: str, cwd: Path | None = None) -> str:
    """Run a local Git command and return what it printed."""
    return run("git", *argv, cwd=cwd)


def paths(*argv: str, cwd: Path | None = None) -> list[str]:
    """Run a Git command that lists paths, and return them.

    With `-z`: else Git puts a path with other letters than ASCII's into quotes, as a name that no file has.
    """
    listed = run("git", argv[0], "-z", *argv[1:], cwd=cwd)
    return [path for path in listed.split("\0") if path]


def check_tree() -> None:
    """Check that this folder is the root of a repository in which no merge is open.

    Raises:
        CommandError: it is not, and so nothing that is read here would be what a commit holds.
    """
    found = attempt("git", "rev-parse", "--show-toplevel")
    if found.returncode:
        raise CommandError(
            "this is no Git repository: run this from the root of the model repository, or `git init` it"
        )
    top = Path(found.stdout.removesuffix("\n"))
    if not top.samefile(Path.cwd()):
        ours = Path("pyproject.toml").exists() and Path(".dvc").is_dir()
        cure = "move it out, where it is a repository of its own" if ours else "run this from there"
        raise CommandError(f"this is a folder of the repository {top}, and not its root: {cure}")
    marked = attempt("git", "grep", "--files-with-matches", "-z", "-E", "^(<{7}|>{7}) ", "--", *MERGED)
    names = {*paths("diff", "--name-only", "--diff-filter=U"), *filter(None, marked.stdout.split("\0"))}
    if names:
        locked = "; dvc.lock itself needs no editing: `git checkout --ours dvc.lock`" if "dvc.lock" in names else ""
        raise CommandError(
            f"two branches changed {', '.join(sorted(names))}, and the merge is not finished: resolve it{locked}, then "
            "`uv run dvc repro` and `git add --all`"
        )


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
        CommandError: this is not a repository, or a name has a line end in it.
    """
    if odd := [name for name in objects if "\n" in name]:
        raise CommandError(f"{odd[0]!r} can't be the path of a file here: it has a line end")
    done = subprocess.run(
        ("git", "cat-file", "--batch"), input="".join(f"{name}\n" for name in objects).encode(), capture_output=True
    )
    if done.returncode:
        raise CommandError(f"`git cat-file` failed ({done.returncode}): {done.stderr.decode(errors='replace').strip()}")
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
