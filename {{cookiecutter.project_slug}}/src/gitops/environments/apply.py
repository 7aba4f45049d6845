"""Bring settings to an environment without another release: the same image, with `deploy/` of a commit of main.

Replicas, memory, environment variables, who may call: what `deploy/` says besides the image's recipe.
"""

import re
from dataclasses import replace

from gitops import mainline, tags
from gitops.environments import branches
from gitops.environments.manifests import render
from gitops.environments.transition import ATTEMPTS, PLAIN, Change, Request, carry_out, faster, subject
from gitops.project import Project, load
from gitops.release_file import ReleaseFile
from gitops.shell import CommandError, attempt, say

COMMIT = re.compile(r"[0-9a-f]{7,40}")


def apply(environment: str, commit: str, request: Request = PLAIN) -> int:
    """Give an environment the settings of a commit of main, main's newest when `commit` is "".

    An earlier commit takes settings back. A manifest that somebody edited by hand becomes again what is rendered.

    Raises:
        CommandError: nothing runs there, what runs is not a release as its tag tells it, or the commit is not on main.
    """
    project = load()
    for _ in range(ATTEMPTS):
        tags.fetch()
        branches.fetch()
        now = branches.current(environment)
        if now is None:
            raise CommandError(
                f"{environment} runs nothing yet: `uv run gitops promote {environment}` brings settings along"
            )
        if now.release is None:
            raise CommandError(f"what {environment} runs can't be told ({now.fault}): promote a version by its name")
        settings = _on_main(commit)
        what = replace(now.release, environment=environment, settings=settings)
        files = render(project, _same_release(project, what))
        if files["manifests.yaml"] == now.file("manifests.yaml"):
            say(f"Nothing to do: {environment} has the settings of {settings[:9]}.")
            return 0
        words = f"{now.version}, settings {now.settings[:9]} → {settings[:9]}"
        change = Change(
            environment,
            now,
            branches.tree(files),
            files["manifests.yaml"],
            words,
            settings,
            [
                f"Apply the settings of {settings[:9]} to {environment}",
                "",
                f"{subject(settings)}.",
                f"The release stays {project.name} {now.version}; the settings were those of {now.settings}.",
            ],
            [f"Settings: {settings}", f"Image: {now.release.image}"],
        )
        if carry_out(change, request):
            return 0
    raise faster(environment)


def waiting(environment: str, now: branches.State) -> str:
    """Return main's newest commit where its settings would change the environment's, else ""; compares `deploy/`."""
    newest = mainline.tip()
    if not newest or not now.settings or newest == now.settings or not mainline.is_ancestor(now.settings, newest):
        return ""
    words = ("diff", "--quiet", "--end-of-options", now.settings, newest, "--", "deploy/base", "deploy/components")
    return newest if attempt("git", *words, f"deploy/overlays/{environment}").returncode == 1 else ""


def _on_main(commit: str) -> str:
    """Return the full name of a commit of main."""
    newest = mainline.tip()
    if newest is None:
        raise CommandError("this clone has no branch main, whose settings are applied: `git fetch origin main`")
    if not commit:
        return newest
    if not COMMIT.fullmatch(commit):
        raise CommandError(f"{commit!r} is no commit: give 7 to 40 hexadecimal digits of one that main holds")
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    found = attempt("git", *words).stdout.strip()
    if not found or not mainline.holds(found):
        raise CommandError(f"{commit} is not on main, so nobody reviewed its settings: merge it first")
    return found


def _same_release(project: Project, what: ReleaseFile) -> ReleaseFile:
    """Compare with the tag: settings must not carry on an image that somebody wrote into the branch by hand.

    Raises:
        CommandError: there is no such release, or it has another commit or image.
    """
    release = tags.find(project, what.version)
    if (release.commit, release.image) != (what.commit, what.image):
        raise CommandError(
            f"env/{what.environment} says that {what.version} is {what.image or 'without an image'}, and its tag says "
            f"{release.image or 'none'}: go back with `uv run gitops rollback {what.environment} VERSION`, then apply"
        )
    return what
