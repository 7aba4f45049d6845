"""What an environment's branch really holds: its manifests against release.json, the tag, and what `deploy/` gives."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from gitops import mainline, tags
from gitops.environments.branches import State
from gitops.environments.manifests import ENTRY, images, render
from gitops.environments.transition import difference
from gitops.git import git
from gitops.project import Project
from gitops.release_file import ReleaseFile
from gitops.shell import CommandError

FILES = {"kustomization.yaml", "manifests.yaml", "release.json"}


@dataclass(frozen=True)
class Deployed:
    """What was found.

    Attributes:
        problems: one sentence each; empty where all of it is as a release and its settings make it.
        lines: how the manifests differ from what is rendered, as a unified diff.
        unchecked: why the manifests could not be compared with what is rendered, or "".
    """

    problems: tuple[str, ...]
    lines: tuple[str, ...] = ()
    unchecked: str = ""


def inspect(project: Project, environment: str, state: State, known: tags.Known) -> Deployed:
    """Compare what an environment's branch holds with what it should hold."""
    if state.release is None:
        return Deployed((f"{state.fault}: what runs can't be told",))
    problems = [*_against_tag(environment, state.release, known), *_files(state)]
    manifests = state.file("manifests.yaml")
    try:
        problems += _other_image(state.release, manifests)
        tagged = next((one.image for one in known.releases if one.version == state.version), state.release.image)
        what = replace(state.release, environment=environment, settings=state.settings, image=tagged)
        rendered = render(project, what)["manifests.yaml"]
    except CommandError as error:
        return Deployed(tuple(problems), unchecked=str(error))
    if _same(manifests, rendered):
        return Deployed(tuple(problems))
    lines = tuple(line for line in difference(rendered, manifests) if not line.startswith(("--- ", "+++ ")))
    changed = sum(line[0] in "+-" for line in lines)
    problems.append(
        f"the manifests were changed by hand: {changed} lines differ from what {state.settings[:9]} renders"
    )
    return Deployed(tuple(problems), lines)


def contradictions(environment: str, state: State, known: tags.Known) -> list[str]:
    """Return why an environment does not run the release that it names; what else was changed there is left alone.

    Raises:
        CommandError: its manifests are not YAML.
    """
    if state.release is None:
        return [f"{state.fault}: what runs can't be told"]
    manifests = state.file("manifests.yaml")
    return [*_against_tag(environment, state.release, known), *_other_image(state.release, manifests)]


def _other_image(release: ReleaseFile, manifests: str) -> list[str]:
    named = images(manifests)
    if release.image in named:
        return []
    return [f"the manifests run {', '.join(named) or 'no image'}, and release.json says {release.image}"]


def _against_tag(environment: str, there: ReleaseFile, known: tags.Known) -> Iterator[str]:
    """Yield in what release.json differs from the release's tag, and what is wrong with either."""
    if there.environment not in ("", environment):
        yield f"its release.json is that of {there.environment}"
    if gone := known.withdrawn.get(there.version):
        yield f"it runs {there.version}, which was {gone.words()}"
    release = next((one for one in known.releases if one.version == there.version), None)
    if release is None:
        fault = next((words for tag, words in known.faults.items() if tag.endswith(f"@v{there.version}")), "")
        yield fault or f"there is no tag of {there.version}, which its release.json names"
        return
    if release.tag in known.faults:
        yield known.faults[release.tag]
    for name in ("commit", "image", "identity"):
        said, wanted = getattr(there, name), getattr(release, name)
        if said != wanted:
            yield f"{name} is {said or 'missing'} in release.json, and {wanted or 'missing'} in the tag {release.tag}"
    if there.settings and not mainline.holds(there.settings):
        yield f"its settings are those of {there.settings[:9]}, which is not on main"


def _files(state: State) -> Iterator[str]:
    """Yield what the branch holds too much or too little; an engine reads what kustomization.yaml names."""
    names = set(git("ls-tree", "-r", "--name-only", "--end-of-options", state.commit).splitlines())
    if odd := sorted(names ^ FILES):
        yield f"{odd[0]} is {'missing' if odd[0] in FILES else 'not of a release'}"
    if "kustomization.yaml" in names and state.file("kustomization.yaml") != ENTRY:
        yield "kustomization.yaml was changed by hand"


def _same(one: str, other: str) -> bool:
    """Compare what manifests mean: another version of Kustomize may order or quote them in another way."""
    if one == other:
        return True
    try:
        documents = [sorted(filter(None, yaml.safe_load_all(text)), key=_kind_and_name) for text in (one, other)]
    except (yaml.YAMLError, AttributeError):
        return False
    return documents[0] == documents[1]


def _kind_and_name(document: dict[str, Any]) -> tuple[str, str]:
    return str(document.get("kind")), str(document.get("metadata", {}).get("name"))
