"""Which version comes next, and why: a hash tells whether anything changed, what changed tells which number goes up."""

from dataclasses import dataclass
from pathlib import Path

from gitops import tags
from gitops.git import git, show
from gitops.project import Project, locked
from gitops.release import bento
from gitops.review import contract
from gitops.shell import attempt


@dataclass(frozen=True)
class Plan:
    """What is released: `commit` carries the tag; a later commit with the same identity shares it.

    `image` is that of a release which is tagged already, `last` the release before this one, None for the first.
    `superseded`: a later commit of `main` was released already; `newest`: no release has a higher version.
    """

    tag: str
    version: str
    commit: str
    identity: str
    reason: str
    tagged: bool
    image: str
    last: tags.Release | None
    superseded: bool = False
    newest: bool = True


def plan_release(project: Project) -> Plan:
    """Find the version: the last one when it has the same content, else the next after what changed."""
    tags.fetch()
    head, identity = git("rev-parse", "HEAD"), bento.identity(project)
    known = tags.releases(project)
    if not known:
        return Plan(f"{project.name}@v1.0.0", "1.0.0", head, identity, "the first release", False, "", None)
    last = known[-1]
    for before, one in zip([None, *known], known, strict=False):
        if one.identity == identity and (one is last or one.commit == head):  # an older one may still be unfinished
            reason = "the same model and service as the last release" if one is last else one.reason
            return Plan(one.tag, one.version, one.commit, identity, reason, True, one.image, before, newest=one is last)
    if _later(last.commit, head):
        reason = f"released from {last.commit[:9]}, which is later than {head[:9]}"
        return Plan(last.tag, last.version, last.commit, last.identity, reason, True, last.image, None, superseded=True)
    part, reason = _bump(project, last.commit)
    version = ".".join(str(number) for number in [*last.order[:part], last.order[part] + 1, 0, 0][:3])
    return Plan(f"{project.name}@v{version}", version, head, identity, reason, False, "", last)


def _later(released: str, head: str) -> bool:
    """Tell whether the last release came from a later commit than HEAD: a run that was restarted must not go back.

    A workflow's shallow clone has no history to ask; there, GitHub's merges are dated in their order.
    """
    if git("rev-parse", "--is-shallow-repository") == "true":
        dates = [int(git("show", "--no-patch", "--format=%ct", commit)) for commit in (released, head)]
        return dates[0] > dates[1]
    return released != head and attempt("git", "merge-base", "--is-ancestor", head, released).returncode == 0


def _bump(project: Project, last: str) -> tuple[int, str]:
    """Return which number of the version goes up, and why."""
    found = contract.contract_change(show(last, project.contract), show("HEAD", project.contract))
    if found.change == "breaking":
        return 0, f"the API contract breaks its callers: {found.breaks[0]}"
    if found.change == "compatible":
        return 1, "the API contract grows"
    if locked(show(last, "dvc.lock")).get(project.model) != locked(Path("dvc.lock").read_text())[project.model]:
        return 1, "another model"
    return 2, "the same model, with other code, parameters or dependencies"
