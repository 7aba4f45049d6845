"""Let an environment run again what it ran before: a commit with the files of an earlier state of its branch.

A rollback takes back the model, and never settings that came later by themselves (`gitops apply`): with more replicas
since Monday, Friday's model comes back with Monday's replicas. Settings go back by applying an earlier commit's.
"""

from dataclasses import replace

from gitops import mainline, tags
from gitops.environments import branches
from gitops.environments.branches import State
from gitops.environments.manifests import images, render
from gitops.environments.transition import ATTEMPTS, PLAIN, Change, Request, carry_out, faster, running
from gitops.project import Project, load
from gitops.shell import CommandError, say


def rollback(environment: str, version: str, request: Request = PLAIN, *, offline: bool = False) -> int:
    """Put back what an environment ran before: `version`, or when "" the one before this one.

    Byte for byte, unless settings were applied since; then the earlier release with these settings.

    `offline`: only print the manifests to go back to, as this clone knows them; for a day without GitHub.

    Raises:
        CommandError: it ran nothing before, that version was withdrawn or changed by hand, or origin can't be reached.
    """
    project = load()
    for _ in range(ATTEMPTS):
        if not offline:
            _fetch()
        known = tags.known(project)
        now = branches.current(environment)
        if now is None:
            raise CommandError(f"{environment} never ran anything, so there is nothing to go back to")
        target = _earlier(environment, version, now, known)
        files = _files(project, target, now)
        if offline:
            say(f"› {environment}: {running(now)} → {target.version}; {_about_settings(target, now)}", error=True)
            say(files["manifests.yaml"].rstrip("\n"))
            return 0
        tree = target.tree if target.settings == _settings(target, now) else branches.tree(files)
        if tree == now.tree:
            say(f"Nothing to do: {environment} runs {target.version}.")
            return 0
        say(f"› this takes back the model, {running(now)} → {target.version}; {_about_settings(target, now)}")
        change = Change(
            environment,
            now,
            tree,
            files["manifests.yaml"],
            f"{running(now)} → {target.version}",
            target.version,
            _message(project, target, environment, now),
            [f"Settings: {_settings(target, now)}", f"Image: {target.release.image if target.release else 'unknown'}"],
        )
        if carry_out(change, request):
            return 0
        if not version:  # whoever was faster may have rolled back too: not one step further than was meant
            break
    raise faster(environment)


def previous(environment: str, known: tags.Known) -> State | None:
    """Return the state to go back to: what ran before the present version and is not withdrawn, or None.

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
    below = [state.version for state in stack[:-1] if state.version and state.version not in known.withdrawn]
    return _intact(environment, below[-1]) if below else None


def _fetch() -> None:
    """Bring origin's branches and tags here; a tag that is not believed must not hold up a rollback."""
    branches.fetch()
    try:
        tags.fetch()
    except CommandError as error:
        say(f"› the tags were not brought here, so a withdrawal may be unknown: {error}")


def _earlier(environment: str, version: str, now: State, known: tags.Known) -> State:
    """Return the state to go back to."""
    if not version:
        if target := previous(environment, known):
            return target
        raise CommandError(
            f"{environment} ran nothing before {now.version}: name a version that it ran, or promote another one"
        )
    asked, version = version, version.removeprefix("v")
    ran = list(dict.fromkeys(state.version for state in branches.history(environment) if state.version))
    if version not in ran:
        raise CommandError(
            f"{environment} never ran {asked!r}, only {', '.join(ran)}: a release that is new to it is promoted"
        )
    if gone := known.withdrawn.get(version):
        raise CommandError(f"{version} was {gone.words()}. {environment} does not go back to it")
    return _intact(environment, version)


def _intact(environment: str, version: str) -> State:
    """Return the last state of a version that nobody edited: its release is the one that first ran under this name.

    The branch alone is asked, so that no tag can hold up a rollback or lead it elsewhere. What is passed over is told
    on stderr: stdout may be manifests or JSON.

    Raises:
        CommandError: there is none.
    """
    states = [state for state in branches.history(environment) if state.version == version]
    first = states[-1].release  # no later commit can change what it says
    for state in states:
        there = state.release
        if not there or not first or (there.commit, there.image) != (first.commit, first.image):
            wrong = f"its release.json, edited by hand, names another release than {version} when it first ran"
        elif there.image not in images(state.file("manifests.yaml")):
            wrong = f"its manifests, edited by hand, run another image than {version}'s"
        else:
            return state
        say(f"› passing over {state.commit[:9]}: {wrong}", error=True)
    raise CommandError(f"no state of env/{environment} runs {version} as it was released: promote it by its name")


def keeps_settings(now: State) -> bool:
    """Tell whether a rollback keeps the settings of this state: applied by themselves, and held by main."""
    return now.own_settings and mainline.holds(now.settings)


def _settings(target: State, now: State) -> str:
    """Return the commit of the settings that the target gets: those applied since, if any, else its own."""
    return now.settings if keeps_settings(now) else target.settings


def _files(project: Project, target: State, now: State) -> dict[str, str]:
    if target.release and _settings(target, now) != target.settings:
        return render(project, replace(target.release, settings=_settings(target, now)))
    return {"manifests.yaml": target.file("manifests.yaml")}


def _about_settings(target: State, now: State) -> str:
    if keeps_settings(now):
        return f"the settings of {now.settings[:9]}, which were applied by themselves, stay"
    return "all of it as it ran then, byte for byte"


def _message(project: Project, target: State, environment: str, now: State) -> list[str]:
    how = f"The files are those of {target.commit}, byte for byte."
    if keeps_settings(now):
        how = f"The release is that of {target.commit}; the settings of {now.settings} stay."
    title = f"Roll {environment} back to {project.name} {target.version}"
    return [title, "", f"It takes back {running(now)}, which ran since {now.since}.", how]
