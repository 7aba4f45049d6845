"""Let an environment run again what it ran before: a commit with the files of an earlier state of its branch."""

from gitops.environments import branches
from gitops.environments.branches import State
from gitops.environments.transition import ATTEMPTS, done, faster, preview, running, trailers
from gitops.project import Project, load
from gitops.shell import CommandError, say


def rollback(environment: str, version: str, *, dry_run: bool = False) -> int:
    """Put back, byte for byte, what an environment ran before: `version`, or when "" the one before this one."""
    project = load()
    for _ in range(ATTEMPTS):
        branches.fetch()
        now = branches.current(environment)
        if now is None:
            raise CommandError(f"{environment} never ran anything, so there is nothing to go back to")
        target = _earlier(environment, version, now)
        if target.tree == now.tree:
            say(f"Nothing to do: {environment} runs {target.version}.")
            return 0
        if dry_run:
            return preview(environment, now, target.version, target.file("manifests.yaml"))
        if made := branches.commit(environment, now, target.tree, _message(project, target, environment, now)):
            return done(environment, now, target.version, made)
        if not version:  # whoever was faster may have rolled back too: not one step further than was meant
            break
    raise faster(environment)


def previous(environment: str) -> State | None:
    """Return the state to go back to: what ran before the present version, or None.

    The history is read as an undo stack. A version that was not there puts itself on top; one that comes back, by a
    rollback, a revert or a promotion, takes away all that lies above it. So a second rollback goes one further back,
    and what was taken back is not returned to.
    """
    stack: list[State] = []
    for state in reversed(list(branches.history(environment))):
        versions = [below.version for below in stack]
        if state.version in versions:
            del stack[versions.index(state.version) :]
        stack.append(state)
    return next((state for state in reversed(stack[:-1]) if state.version), None)


def _earlier(environment: str, version: str, now: State) -> State:
    """Return the state to go back to."""
    if not version:
        if target := previous(environment):
            return target
        raise CommandError(
            f"{environment} ran nothing before {now.version}: name a version that it ran, or promote another one"
        )
    states = list(branches.history(environment))
    for state in states:
        if state.version == version.removeprefix("v"):
            return state
    ran = ", ".join(dict.fromkeys(state.version for state in states if state.version))
    raise CommandError(f"{environment} never ran {version!r}, only {ran}: a release that is new to it is promoted")


def _message(project: Project, target: State, environment: str, now: State) -> str:
    text = [
        f"Roll {environment} back to {project.name} {target.version}",
        "",
        f"It takes back {running(now)}, which ran since {now.since}.",
        f"The files are those of {target.commit}, byte for byte.",
        "",
    ]
    return "\n".join([*text, f"Image: {target.release.get('image', 'unknown')}", *trailers(now)])
