"""The branches `env/staging` and `env/production`: each commit is a state of a cluster, the branch is its history.

Commits are made without a checkout, with Git's plumbing. Where there is an origin they are read from it and
pushed to it; elsewhere the local branches are all there is. Nothing is ever forced.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gitops.git import git, has_origin, identity_env, remote_env, show
from gitops.shell import CommandError, attempt, run

ENVIRONMENTS = ("staging", "production")


@dataclass(frozen=True)
class State:
    """One commit of an environment's branch: `since` is its ISO 8601 date, `release` what its release.json says.

    A release.json that can't be read, since somebody edited it, is an empty `release`.
    """

    commit: str
    tree: str
    since: str
    release: dict[str, Any]

    @property
    def version(self) -> str:
        """Return the version that runs, or "" when unknown."""
        return str(self.release.get("version", ""))

    def file(self, name: str) -> str:
        """Return the text of a file in this state, "" when there is none."""
        return show(self.commit, name) or ""


def fetch() -> None:
    """Bring origin's environments here, where there is an origin.

    Raises:
        CommandError: origin can't be reached.
    """
    if has_origin():
        spec = "+refs/heads/env/*:refs/remotes/origin/env/*"
        run("git", "fetch", "--quiet", "--prune", "origin", spec, env=remote_env())


def history(environment: str) -> Iterator[State]:
    """Yield the environment's states, the present one first; nothing when it never ran anything."""
    ref = _ref(environment)
    if attempt("git", "rev-parse", "--verify", "--quiet", ref).returncode:
        return
    for line in git("-c", "log.showSignature=false", "log", "--first-parent", "--format=%H %T %cI", ref).splitlines():
        commit, tree, since = line.split()
        yield State(commit, tree, since, _facts(show(commit, "release.json")))


def current(environment: str) -> State | None:
    """Return the state that runs now, or None; its `since` is when its version came, whatever else changed later."""
    states = history(environment)
    now = next(states, None)
    if now is None:
        return None
    since = now.since
    for state in states:
        if state.version != now.version:
            break
        since = state.since
    return State(now.commit, now.tree, since, now.release)


def tree(files: dict[str, str]) -> str:
    """Store files (name -> text) and return the tree that holds them."""
    blobs = {name: run("git", "hash-object", "-w", "--stdin", text=text) for name, text in files.items()}
    return run("git", "mktree", text="".join(f"100644 blob {blob}\t{name}\n" for name, blob in blobs.items()))


def commit(environment: str, parent: State | None, content: str, message: str) -> str | None:
    """Put the tree `content` on top of `parent`; return the commit, or None when the branch has moved on meanwhile.

    A process that is killed before the push leaves nothing: the commit is on no branch yet.

    Raises:
        CommandError: the branch may not be pushed, or origin can't be reached.
    """
    parents = ("-p", parent.commit) if parent else ()
    made = run("git", "commit-tree", *parents, "-F", "-", content, text=message, env=identity_env())
    branch = f"refs/heads/env/{environment}"
    if not has_origin():
        before = parent.commit if parent else "0" * len(made)
        return made if attempt("git", "update-ref", branch, made, before).returncode == 0 else None
    pushed = attempt("git", "push", "--no-verify", "origin", f"{made}:{branch}", env=remote_env())
    if pushed.returncode:
        fetch()
        tip = attempt("git", "rev-parse", "--verify", "--quiet", _ref(environment)).stdout.strip()
        if tip == (parent.commit if parent else ""):
            said = " ".join(pushed.stderr.split()[-40:])
            raise CommandError(
                f"origin does not take a push to env/{environment} ({said}): nothing was changed; if "
                "a rule protects the branch, let whoever ran this pass it, and run it again"
            )
        return made if tip == made else None
    git("update-ref", _ref(environment), made)
    return made


def _ref(environment: str) -> str:
    return f"refs/remotes/origin/env/{environment}" if has_origin() else f"refs/heads/env/{environment}"


def _facts(text: str | None) -> dict[str, Any]:
    try:
        facts = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}
