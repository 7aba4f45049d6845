"""What the factory asks of Git."""

import base64
import os
from pathlib import Path

from gitops.shell import attempt, run


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
