"""Which model is the champion: that of the base, or the one that runs in production."""

import json

from gitops import identifiers
from gitops.gates import Gates
from gitops.git import git, has_origin, remote_env, show
from gitops.shell import attempt, run, say

PRODUCTION = "env/production"


def champion_commit(base: str, gates: Gates) -> tuple[str, str]:
    """Return the champion's commit and where it stands, by `baseline` of the gates; without production it is the base.

    Raises:
        CommandError: origin can't be reached, or the commit that production names can't be fetched.
    """
    if gates.baseline == "main":
        return base, "on main"
    commit = _running()
    if not commit:
        say("› nothing runs in production yet, so the champion is the base's")
        return base, "on main, as nothing runs in production yet"
    if attempt("git", "cat-file", "-e", f"{commit}^{{commit}}").returncode:  # a workflow has only the last two commits
        run("git", "fetch", "--quiet", "--depth=1", "--end-of-options", "origin", commit, env=remote_env())
    return commit, "in production"


def _running() -> str:
    """Return the commit of the release that production runs, or ""."""
    if not has_origin():
        text = show(PRODUCTION, "release.json")
    else:  # an origin that can't be reached stops here: it must not pass for one that runs nothing
        text = None
        if run("git", "ls-remote", "origin", f"refs/heads/{PRODUCTION}", env=remote_env()):
            run("git", "fetch", "--quiet", "origin", f"refs/heads/{PRODUCTION}", env=remote_env())
            text = git("show", "FETCH_HEAD:release.json")
    if not text:
        return ""
    try:
        named = json.loads(text)["commit"]
    except (ValueError, KeyError, TypeError):
        named = None
    return identifiers.commit(named, f"release.json of {PRODUCTION}")  # anybody who may push there wrote it
