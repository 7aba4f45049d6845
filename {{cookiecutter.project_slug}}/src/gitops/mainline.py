"""The branch `main`, which holds what was reviewed: origin's where there is one, else this clone's own."""

from gitops.git import git, has_origin, remote_env
from gitops.shell import CommandError, attempt

BRANCH = "refs/heads/main"
TRACKED = "refs/remotes/origin/main"


def fetch(*also: str) -> str:
    """Bring origin's main here with its whole history: a workflow's clone has but one commit.

    `also`: refspecs that are fetched with it; where one can't be updated, what Git says of it is returned.

    Raises:
        CommandError: origin can't be reached, or has no main.
    """
    if not has_origin():
        return ""
    shallow = git("rev-parse", "--is-shallow-repository") == "true"
    words = ("fetch", "--no-tags", *(["--unshallow"] if shallow else []), "--end-of-options", "origin")
    done = attempt("git", *words, f"+{BRANCH}:{TRACKED}", *also, env=remote_env())
    if "couldn't find remote ref" in done.stderr:
        raise CommandError(
            "origin has no branch main, and releases are made of what main holds: `git push origin main` first"
        )
    if done.returncode and "[rejected]" not in done.stderr:
        raise CommandError(f"`git fetch origin` failed ({done.returncode}): {' '.join(done.stderr.split())[-300:]}")
    return done.stderr


def tip() -> str | None:
    """Return the newest commit of main; None where there is no main."""
    done = attempt("git", "rev-parse", "--verify", "--quiet", f"{_ref()}^{{commit}}")
    return done.stdout.strip() or None


def holds(commit: str) -> bool:
    """Tell whether main contains a commit."""
    return is_ancestor(commit, _ref())


def is_ancestor(old: str, new: str) -> bool:
    """Tell whether `new` is `old` or was made from it; False also where one of them is not here."""
    words = ("merge-base", "--is-ancestor", "--end-of-options", old, new)
    return attempt("git", *words).returncode == 0


def _ref() -> str:
    return TRACKED if has_origin() else BRANCH
