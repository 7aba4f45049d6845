"""Withdraw a release that must not run any more: a tag beside its own, which every clone gets and GTO understands.

`NAME@v1.2.3!` is GTO's tag for a version that is no longer registered. An annotated tag says who, when and why, comes
with each fetch, needs no branch and no right to push to main, and stays where the release's own tag is.
"""

from gitops import tags
from gitops.environments import branches
from gitops.git import has_origin, identity_env, remote_env
from gitops.identifiers import one_line
from gitops.project import load
from gitops.shell import CommandError, run, say


def withdraw(version: str, reason: str, *, dry_run: bool = False) -> int:
    """Withdraw a release: from now on it is neither promoted nor rolled back to.

    Raises:
        CommandError: there is no such release, or no reason; or origin can't be reached.
    """
    project, reason = load(), one_line(reason)
    if not reason:
        raise CommandError('a withdrawal needs its reason: --reason "trained on rows that we may not use"')
    tags.fetch()
    branches.fetch()
    known = tags.known(project)
    release = tags.among(project, known.releases, version)  # also one whose tag is not believed
    gone = known.withdrawn.get(release.version)
    tag = gone.tag if gone else f"{release.tag}!"
    places = [
        name for name in branches.ENVIRONMENTS if (now := branches.current(name)) and now.version == release.version
    ]
    if gone and _at_origin(tag):
        say(f"Nothing to do: {release.version} was {gone.words()}.")
    elif dry_run:
        say(f"Would set the tag {tag} on {release.commit[:9]}: {release.version} withdrawn, {reason}")
    else:
        if not gone:
            text = f"{project.name} {release.version} withdrawn: {reason}"
            words = ("tag", "--annotate", "--message", text, "--end-of-options", tag, release.commit)
            run("git", *words, env=identity_env())
        if has_origin():
            push = ("push", "--quiet", "--no-verify", "--end-of-options", "origin", f"refs/tags/{tag}")
            run("git", *push, env=remote_env())
        say(f"{release.version} is withdrawn: {gone.reason if gone else reason}")
    for place in places:
        say(f"{place} runs it: `uv run gitops rollback {place}`, or promote what mends it.")
    return 0


def _at_origin(tag: str) -> bool:
    """Tell whether everybody sees the tag: a run that was killed before its push left it here alone."""
    if not has_origin():
        return True
    words = ("ls-remote", "--end-of-options", "origin", f"refs/tags/{tag}")
    return bool(run("git", *words, env=remote_env()))
