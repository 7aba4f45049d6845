"""All that a release says about itself: its text, model card, review page and bill of materials.

It is made in two steps. `prepare` does all that can fail without a network, before anything is built or tagged; `write`
adds what only the image's digest can tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gitops import description, gates, goal
from gitops.project import Project
from gitops.release import card, notes, quality, sbom, smoke
from gitops.review import page
from gitops.review.record import Review
from gitops.tags import Release


@dataclass(frozen=True)
class Papers:
    """What is known before the image is: the review against the release before, the summary and the finished texts."""

    project: Project
    release: Release
    last: Release | None
    review: Review
    summary: str
    texts: Mapping[str, str]


def needed(project: Project) -> tuple[str, ...]:
    """Return the files of DVC that `prepare` reads, to be pulled before."""
    return project.model, project.rows, project.predictions, project.data


def prepare(project: Project, release: Release, last: Release | None) -> Papers:
    """Make the papers of a release as far as they don't depend on its image, and try the rest.

    Args:
        project: of the working tree, which is the release's commit.
        release: the one to be made; it may have no tag yet, and no image.
        last: the release before, None for the first.

    Raises:
        CommandError: a file is missing, is not what dvc.lock names, or goal.yaml or the contract is not about this
            model.
    """
    model = description.load(project)
    smoke.promised(project, model)
    rows = quality.table(project, gates.read(Path("gates.yaml").read_text()))
    summary = card.summary(goal.load(model), model, rows)
    found = notes.review_release(project, release.commit, last)
    said = [*found.reasons, *found.warnings]
    texts = {
        "model-card.md": card.card(project, release.version, release.commit, said),
        "report.html": page.html_page(found),
    }
    sbom.sbom(project, release)
    notes.notes(project, release, last, found, summary)
    return Papers(project, release, last, found, summary, texts)


def write(papers: Papers, image: str, out: Path) -> tuple[str, list[Path]]:
    """Write the papers into the folder `out`; `image` is `repository@sha256:...`, or "" for a release that made none.

    Returns:
        the GitHub release's text (Markdown), and the files to attach.

    Raises:
        CommandError: the tool that lists the image's packages can't read the image.
    """
    project, release = papers.project, replace(papers.release, image=image)
    out.mkdir(parents=True, exist_ok=True)
    texts = {**papers.texts, sbom.NAME: sbom.sbom(project, release)}
    for name, text in texts.items():
        (out / name).write_text(text)
    listed = sbom.image_sbom(image, out) if image else None
    text = notes.notes(project, release, papers.last, papers.review, papers.summary)
    return text, [*(out / name for name in texts), *([listed] if listed else [])]
