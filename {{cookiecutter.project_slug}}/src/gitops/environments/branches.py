"""The branches `env/staging` and `env/production`: each commit is a state of a cluster, the branch is its history.

Commits are made without a checkout, with Git's plumbing. Where there is an origin they are read from it and
pushed to it; elsewhere the local branches are all there is. Nothing is ever forced.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from gitops import release_file
from gitops.git import git, has_origin, identity_env, remote_env, show, show_many
from gitops.release_file import ReleaseFile
from gitops.shell import CommandError, attempt, run

ENVIRONMENTS = ("staging", "production")


@dataclass(frozen=True)
class State:
    """One commit of an environment's branch: `since` is its ISO 8601 date, `release` what its release.json says.

    A release.json that can't be read, since somebody edited it, is no `release`; `fault` then says why.
    """

    commit: str
    tree: str
    since: str
    release: ReleaseFile | None
    fault: str = ""

    @property
    def version(self) -> str:
        """Return the version that runs, or "" when unknown."""
        return self.release.version if self.release else ""

    @property
    def settings(self) -> str:
        """Return the commit whose `deploy/` runs, or "" when unknown."""
        return (self.release.settings or self.release.commit) if self.release else ""

    @property
    def own_settings(self) -> bool:
        """Tell whether the settings are another commit's than the release's: `gitops apply` brought them."""
        return self.release is not None and self.settings != self.release.commit

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
        run("git", "fetch", "--quiet", "--prune", "--end-of-options", "origin", spec, env=remote_env())


def history(environment: str) -> Iterator[State]:
    """Yield the environment's states, the present one first; nothing when it never ran anything."""
    tip = attempt("git", "rev-parse", "--verify", "--quiet", _ref(environment)).stdout.strip()
    yield from _history(environment, tip, Path.cwd()) if tip else ()


@lru_cache(maxsize=8)  # a commit's history never changes
def _history(environment: str, tip: str, _: Path) -> tuple[State, ...]:
    log = git("-c", "log.showSignature=false", "log", "--first-parent", "--format=%H %T %cI", "--end-of-options", tip)
    commits = [line.split() for line in log.splitlines()]
    texts = show_many([f"{commit}:release.json" for commit, _, _ in commits])
    return tuple(
        _state(environment, commit, tree, since, text)
        for (commit, tree, since), text in zip(commits, texts, strict=True)
    )


def _state(environment: str, commit: str, tree: str, since: str, text: str | None) -> State:
    try:
        release = release_file.parse(text, f"release.json of {commit[:9]} on env/{environment}")
    except CommandError as error:
        return State(commit, tree, since, None, str(error))
    return State(commit, tree, since, release)


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
    return replace(now, since=since)


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
