"""What a release tells: how the model differs from the one before, what the review says, how to run it and go back."""

from dataclasses import replace
from pathlib import Path

from gitops import gates
from gitops.document import Block, Bullets, Fold, Footer, Paragraph, Strong, Text, Untrusted, joined
from gitops.git import show
from gitops.markdown import markdown
from gitops.project import Project, locked
from gitops.review import state
from gitops.review.assess import Assignment, assess
from gitops.review.record import Contract, LockState, Review
from gitops.review.report import document, fit, without_charts
from gitops.tags import Release

NOTHING = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # Git's empty tree, which the first release is compared with
FENCE = "```console\n{}\n```"


def review_release(project: Project, commit: str, last: Release | None) -> Review:
    """Review the working tree, checked out from `commit`, against the release before it, by the release's own gates.

    For the first release nothing counts as changed.
    """
    before = state.of_commit(last.commit if last else NOTHING, project)
    now = state.of_working_tree(project)
    found = assess(
        Assignment(
            project=project,
            commit=commit,
            base=before,
            champion=before,
            where=f"of {last.version}" if last else "",
            challenger=now,
            gates=gates.read(now.gates),
            lock=LockState(),
            released=True,
        )
    )
    if last:
        return found
    facts = found.facts
    changes = replace(facts.changes, params=(), data=(), code=(), dependencies=())
    return replace(found, facts=replace(facts, changes=changes, champion=replace(facts.champion, commit="none yet")))


def notes(project: Project, release: Release, last: Release | None, found: Review, summary: str) -> str:
    """Return the release's text as Markdown, within what GitHub takes.

    Args:
        project: where gates.yaml and dvc.lock are those of the release.
        release: this one; `image` decides how it is run.
        last: the release before, None for the first.
        found: what `review_release` returned.
        summary: what the model does, in Markdown (see `gitops.release.card.summary`).
    """
    parts = [
        markdown(Paragraph(_first(project, release, last))),
        summary,
        *callers(found.facts.changes.contract),
        "## The review",
        *_review(found, release, last),
        *_waivers(),
        "## Run it",
        *_run(project, release),
        "## To production, and back",
        *environments(release, last),
        "## Is it genuine?",
        "This follows the chain from the tag to the image, and names the link that does not hold:",
        FENCE.format(f"$ uv run gitops verify {release.version}"),
        markdown(_footer(project, release)),
    ]
    return "\n\n".join(parts) + "\n"


def _first(project: Project, release: Release, last: Release | None) -> Text:
    """The one line that everybody reads."""
    if not last:
        first = f"{project.name} {release.version}: the first release."
        return [Strong(first), " Each merge that changes it makes another."]
    before = locked(show(last.commit, "dvc.lock")).get(project.model)
    same = before == locked(Path("dvc.lock").read_text())[project.model]
    what = f"the same model as {last.version}" if same else f"a new model in the place of {last.version}'s"
    why = [] if release.reason == "another model" else [" Why there is a release: ", Untrusted(release.reason), "."]
    return [Strong(f"{project.name} {release.version}: {what}."), *why]


def callers(contract: Contract) -> list[str]:
    """Return, in Markdown, what somebody has to do whose program asks the model."""
    if contract.change == "none":
        return ["Programs that ask the model need no change."]
    if contract.change == "compatible":
        return [
            "Programs that ask the model need no change; there is something new that they can send (`openapi.json`)."
        ]
    block = Bullets([[Untrusted(what)] for what in contract.breaks])
    return ["**Programs that ask the model must change first:**", markdown(block)]


def _review(found: Review, release: Release, last: Release | None) -> list[str]:
    """The report without its charts, which report.html has; a first release changes nothing."""
    blocks = [block for block in document(without_charts(found)) if not isinstance(block, Footer)]
    if not last:
        return [fit([block for block in blocks if not isinstance(block, Fold)]).strip()]
    who = f"The champion is {last.version}, the challenger {release.version}. All of it, with charts: `report.html`."
    return [who, fit(blocks).strip()]


def _waivers() -> list[str]:
    waivers = gates.read(Path("gates.yaml").read_text()).waivers
    items: list[Text] = [
        [Untrusted(one.metric), ": ", Untrusted(one.reason), " (", Untrusted(one.who), f", until {one.until})"]
        for one in waivers
    ]
    return ["## Known losses that were accepted", markdown(Bullets(items))] if items else []


def _run(project: Project, release: Release) -> list[str]:
    name = f"{project.name}-{release.version}.bento"
    # BentoML 1.4 takes a relative path for an absolute one
    bento = f'bentoml import "$PWD/{name}" && bentoml serve {project.name}:{release.version} --host 127.0.0.1'
    key = "KEY=$(openssl rand -hex 32)   # in a container the service answers nobody without one\n$ "
    keys = "--env SERVICE_KEYS=$(printf %s $KEY | sha256sum | cut -c 1-64)"
    image = f"{key}docker run --rm --read-only --tmpfs /tmp {keys} --publish 3000:3000 {release.image}"
    header = '--header "Authorization: Bearer $KEY" ' if release.image else ""
    ask = f"$ curl localhost:3000/predict {header}--json '{{\"records\": [{{…}}]}}'   # the fields: openapi.json"
    how = "Here it runs in a container (`podman` takes the same words):" if release.image else "From the Bento below:"
    return [how, FENCE.format(f"$ {image if release.image else bento}\n{ask}")]


def environments(release: Release, last: Release | None) -> list[str]:
    """Return, in Markdown, how the release gets to production, and how one goes back."""
    if not release.image:
        back = f" To go back, serve the Bento of {last.version}." if last else ""
        return [f"This release made no image, so no environment runs it by itself.{back}"]
    there = f"Staging runs it by itself. To production, once somebody has looked at staging:\n\n{FENCE}".format(
        f"$ uv run gitops promote production {release.version}"
    )
    undo = "`git revert` of the last commit on `env/production` does the same, and so does the workflow **promote**"
    back = f"And back to what ran before; {undo}:\n\n{FENCE}".format("$ uv run gitops rollback production")
    return [there, back]


def _footer(project: Project, release: Release) -> Block:
    facts = [project.name, release.version, release.commit[:9], release.image]
    return Footer(joined(filter(None, facts), " · "))
