"""Let an environment run a release: a commit on its branch with the manifests that the release describes."""

from gitops import tags
from gitops.environments import branches
from gitops.environments.branches import State
from gitops.environments.manifests import render
from gitops.environments.transition import ATTEMPTS, done, faster, preview, running, trailers
from gitops.git import git, remote_env
from gitops.project import Project, load
from gitops.shell import CommandError, attempt, run, say


def promote(environment: str, version: str, *, dry_run: bool = False) -> int:
    """Promote `version`; when it is "", staging gets what HEAD released, and production what staging runs.

    What nobody named is promoted only if it is news: an old workflow run that is started again neither replaces a newer
    version nor undoes a rollback.
    """
    project = load()
    for _ in range(ATTEMPTS):
        tags.fetch()
        branches.fetch()
        now = branches.current(environment)
        release = _named(project, environment, version) if version else _default(project, environment, now)
        if release is None:
            return 0
        say(f"› rendering {release.tag} for {environment}")
        files = render(project, release, environment)
        tree = branches.tree(files)
        if now and tree == now.tree:
            say(f"Nothing to do: {environment} runs {release.version}.")
            return 0
        if dry_run:
            return preview(environment, now, release.version, files["manifests.yaml"])
        if made := branches.commit(environment, now, tree, _message(project, release, environment, now)):
            return done(environment, now, release.version, made)
        say("› somebody was faster: looking again")
    raise faster(environment)


def _default(project: Project, environment: str, now: State | None) -> tags.Release | None:
    """Return the release to promote when none was named; when there is no news, say why and return None."""
    release = _released(project) if environment == "staging" else _in_staging(project)
    if release is None:
        say("Nothing to promote: nothing was released yet.")
    elif now and now.version == release.version:
        say(f"Nothing to do: {environment} runs {release.version}.")
    elif now and tags.VERSION.fullmatch(now.version) and tags.numbers(now.version) > release.order:
        say(f"Nothing promoted: {environment} runs {now.version}, which is newer. {_by_name(environment, release)}")
    elif any(state.version == release.version for state in branches.history(environment)):
        say(f"Nothing promoted: {release.version} was taken back from {environment}. {_by_name(environment, release)}")
    else:
        return release
    return None


def _by_name(environment: str, release: tags.Release) -> str:
    return f"To have {release.version} all the same: `uv run gitops promote {environment} {release.version}`."


def _released(project: Project) -> tags.Release | None:
    """Return the last release that HEAD contains."""
    if git("rev-parse", "--is-shallow-repository") == "true":  # as in a workflow; not all branches: one holds the data
        run("git", "fetch", "--quiet", "--unshallow", "origin", "HEAD", env=remote_env())
    known = tags.releases(project)
    for release in reversed(known):
        if attempt("git", "merge-base", "--is-ancestor", release.commit, "HEAD").returncode == 0:
            return release
    if known:
        raise CommandError(
            f"HEAD contains no release: switch to main, or name the version (the last is {known[-1].version})"
        )
    return None


def _in_staging(project: Project) -> tags.Release:
    staging = branches.current("staging")
    if staging is None:
        raise CommandError(
            "staging runs nothing yet, and production gets what staging runs: `uv run gitops promote staging` first"
        )
    return _named(project, "production", staging.version)


def _named(project: Project, environment: str, version: str) -> tags.Release:
    """Return a release; production takes only what staging ran, image and all, or what it ran before itself."""
    release = tags.find(project, version)
    if environment == "production" and not any(_ran(place, release) for place in branches.ENVIRONMENTS):
        raise CommandError(
            f"staging never ran {release.version} with the image that its tag names, so production does not get it: "
            f"`uv run gitops promote staging {release.version}`, look at it, and promote it then"
        )
    return release


def _ran(environment: str, release: tags.Release) -> bool:
    wanted = (release.version, release.image)
    return any((state.version, state.release.get("image")) == wanted for state in branches.history(environment))


def _message(project: Project, release: tags.Release, environment: str, now: State | None) -> str:
    before = f"Before, it ran {running(now)}, since {now.since}." if now else "The first release here."
    facts = [f"Release: {release.tag}", f"Commit: {release.commit}", f"Image: {release.image}"]
    text = [f"Promote {project.name} {release.version} to {environment}", "", f"Reason: {release.reason}.", before, ""]
    return "\n".join([*text, *facts, *trailers(now)])
