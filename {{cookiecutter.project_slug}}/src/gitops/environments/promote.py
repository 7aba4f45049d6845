"""Let an environment run a release: a commit on its branch with the manifests that the release describes."""

from gitops import mainline, tags
from gitops.environments import branches, trust
from gitops.environments.branches import State
from gitops.environments.manifests import described, render
from gitops.environments.transition import ATTEMPTS, PLAIN, Change, Request, carry_out, faster, running
from gitops.git import git, remote_env
from gitops.project import Project, load
from gitops.shell import CommandError, attempt, run, say


def promote(environment: str, version: str, request: Request = PLAIN) -> int:
    """Promote `version`; when it is "", staging gets what HEAD released, and production what staging runs.

    What nobody named is promoted only if it is news: an old workflow run that is started again neither replaces a newer
    version nor undoes a rollback.

    Raises:
        CommandError: there is no such release, its tag is not believed, it may not run there, or it can't be rendered.
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
        what = described(project, release, environment, _settings(release, now))
        files = render(project, what)
        tree = branches.tree(files)
        if now and tree == now.tree:
            say(f"Nothing to do: {environment} runs {release.version}.")
            return 0
        change = Change(
            environment,
            now,
            tree,
            files["manifests.yaml"],
            f"{running(now)} → {release.version}",
            release.version,
            _message(project, release, environment, now),
            [
                f"Release: {release.tag}",
                f"Commit: {release.commit}",
                f"Settings: {what.settings}",
                f"Image: {release.image}",
            ],
        )
        if carry_out(change, request):
            return 0
    raise faster(environment)


def _settings(release: tags.Release, now: State | None) -> str:
    """Return the commit whose settings the release gets: its own, unless the environment has later ones of main."""
    if now and now.settings and mainline.is_ancestor(release.commit, now.settings) and mainline.holds(now.settings):
        return now.settings
    return release.commit


def _default(project: Project, environment: str, now: State | None) -> tags.Release | None:
    """Return the release to promote when none was named; when there is no news, say why and return None."""
    known = tags.known(project)
    release = _released(project) if environment == "staging" else _in_staging(project)
    if release is None:
        say("Nothing to promote: nothing was released yet.")
    elif gone := known.withdrawn.get(release.version):
        say(f"Nothing promoted: {release.version} was {gone.words()}.")
    elif now and now.version == release.version:
        say(f"Nothing to do: {environment} runs {release.version}.")
    elif now and now.version and tags.numbers(now.version) > release.order:
        say(f"Nothing promoted: {environment} runs {now.version}, which is newer. {_by_name(environment, release)}")
    elif any(state.version == release.version for state in branches.history(environment)):
        say(f"Nothing promoted: {release.version} was taken back from {environment}. {_by_name(environment, release)}")
    else:
        trust.check(release, known)
        return release
    return None


def _by_name(environment: str, release: tags.Release) -> str:
    return f"To have {release.version} all the same: `uv run gitops promote {environment} {release.version}`."


def _released(project: Project) -> tags.Release | None:
    """Return the last release that HEAD contains."""
    if git("rev-parse", "--is-shallow-repository") == "true":  # HEAD is not on main, whose history is here
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
    if not staging.version:
        raise CommandError(
            f"what staging runs can't be told ({staging.fault}): promote a version to staging, by its name"
        )
    return _named(project, "production", staging.version)


def _named(project: Project, environment: str, version: str) -> tags.Release:
    """Return a release; production takes only what staging ran, image and all, or what it ran before itself."""
    release = tags.find(project, version)
    trust.check(release, tags.known(project))
    if environment == "production" and not any(_ran(place, release) for place in branches.ENVIRONMENTS):
        raise CommandError(
            f"staging never ran {release.version} with the image that its tag names, so production does not get it: "
            f"`uv run gitops promote staging {release.version}`, look at it, and promote it then"
        )
    return release


def _ran(environment: str, release: tags.Release) -> bool:
    wanted = (release.version, release.image)
    return any(
        state.release and (state.version, state.release.image) == wanted for state in branches.history(environment)
    )


def _message(project: Project, release: tags.Release, environment: str, now: State | None) -> list[str]:
    before = f"Before, it ran {running(now)}, since {now.since}." if now else "The first release here."
    title = f"Promote {project.name} {release.version} to {environment}"
    return [title, "", f"Why there is this release: {release.reason}.", before]
