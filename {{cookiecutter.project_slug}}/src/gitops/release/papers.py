"""All that a release says about itself: its text, model card, review page and bill of materials."""

from pathlib import Path

from gitops import gates, goal
from gitops.project import Project
from gitops.release import card, notes, quality, sbom
from gitops.review import page
from gitops.tags import Release


def needed(project: Project) -> tuple[str, ...]:
    """Return the files of DVC that `write` reads, to be pulled before."""
    return project.model, project.rows, project.predictions, project.data


def write(project: Project, release: Release, last: Release | None, out: Path) -> tuple[str, list[Path]]:
    """Write the papers of a release into the folder `out`; the working tree is the release's commit.

    Returns:
        the GitHub release's text (Markdown), and the files to attach.

    Raises:
        Stop: goal.yaml is not about this model, or a file is not what dvc.lock names.
    """
    rows = quality.table(project, gates.read(Path("gates.yaml").read_text()))
    summary = card.summary(goal.load(), rows)
    found = notes.review_release(project, release.commit, last)
    said = [*found.conclusion.reasons, *found.conclusion.warnings]
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "model-card.md": card.card(project, release.version, release.commit, said),
        "report.html": page.html_page(found),
        sbom.NAME: sbom.sbom(project, release),
    }
    for name, text in texts.items():
        (out / name).write_text(text)
    image = sbom.image_sbom(release.image, out) if release.image else None
    text = notes.notes(project, release, last, found, summary)
    return text, [*(out / name for name in texts), *([image] if image else [])]
