"""Which version comes next, and why: a hash tells whether anything changed, what changed tells which number goes up."""

from dataclasses import dataclass
from pathlib import Path

from gitops import bento, contract, tags
from gitops.git import git, show
from gitops.project import Project, locked


@dataclass(frozen=True)
class Plan:
    """What is released: `commit` carries the tag; a later commit with the same identity shares it.

    `image` is that of a release which is tagged already, `last` the release before this one, None for the first.
    """

    tag: str
    version: str
    commit: str
    identity: str
    reason: str
    tagged: bool
    image: str
    last: tags.Release | None


def plan_release(project: Project) -> Plan:
    """Find the version: the last one when it has the same content, else the next after what changed."""
    tags.fetch()
    head, identity = git("rev-parse", "HEAD"), bento.identity(project)
    known = tags.releases(project)
    if not known:
        return Plan(f"{project.name}@v1.0.0", "1.0.0", head, identity, "the first release", False, "", None)
    last = known[-1]
    if last.identity == identity:
        reason = "the same model and service as the last release"
        before = known[-2] if len(known) > 1 else None
        return Plan(last.tag, last.version, last.commit, identity, reason, True, last.image, before)
    part, reason = _bump(project, last.commit)
    version = ".".join(str(number) for number in [*last.order[:part], last.order[part] + 1, 0, 0][:3])
    return Plan(f"{project.name}@v{version}", version, head, identity, reason, False, "", last)


def _bump(project: Project, last: str) -> tuple[int, str]:
    """Return which number of the version goes up, and why."""
    change, breaks = contract.change(show(last, project.contract), show("HEAD", project.contract))
    if change == "breaking":
        return 0, f"the API contract breaks its callers: {breaks[0]}"
    if change == "compatible":
        return 1, "the API contract grows"
    if locked(show(last, "dvc.lock")).get(project.model) != locked(Path("dvc.lock").read_text())[project.model]:
        return 1, "another model"
    return 2, "the same model, with other code, settings or dependencies"
