"""The model card: what a model is for, how good it is and where it is weak, made from the files that decide about it.

Its parts follow Mitchell et al., Model Cards for Model Reporting (2019).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gitops import description, gates, goal
from gitops.description import Description
from gitops.document import Block, Bullets, Paragraph, Strong, Text, Untrusted
from gitops.git import git
from gitops.goal import ClassifierWords, Goal, Words
from gitops.markdown import markdown
from gitops.project import Project, load
from gitops.prose import prose
from gitops.release import card_parts, quality, top
from gitops.review import judge
from gitops.shell import CommandError, say


def card(project: Project, version: str, commit: str, warnings: Sequence[str] = ()) -> str:
    """Return the model card of the model in the working tree, as Markdown.

    Args:
        project: where its files are: the data, the held-out rows and the files that the stages made must be here.
        version: of the release, or what to say instead.
        commit: that the working tree was checked out from.
        warnings: what the review said of this model.

    Raises:
        CommandError: a file is missing, is not what dvc.lock names, or goal.yaml is not about this model.
    """
    model = description.load(project)
    aim = goal.load(model)
    checked = gates.read(_text("gates.yaml"))
    rows = quality.table(project, checked)
    metrics, segments = quality.measure(rows, checked)
    said = [*judge.judge_predictions(None, rows, checked).remarks, *warnings]
    parts: list[tuple[str, list[Block]]] = [
        (f"Model card: {project.name} {version}", [Paragraph([summary(aim, model, rows)])]),
        ("What it is for", [Bullets(_use(aim))]),
        ("What it is not for", [Bullets([[f"{prose(text)}."] for text in aim.not_for])]),
        ("How good it is", [*card_parts.quality(aim, metrics, rows), *card_parts.highest(aim, _tops(model, rows))]),
        ("Where it is weak", card_parts.weakness(aim, segments, checked, list(dict.fromkeys(said)))),
        ("The data", card_parts.data(project, model)),
        ("How it was made", [card_parts.made(model), card_parts.footer(project, version, commit)]),
    ]
    texts = [
        f"{'##' if number else '#'} {title}\n\n" + "\n\n".join(map(markdown, blocks))
        for number, (title, blocks) in enumerate(parts)
    ]
    return "\n\n".join(texts) + "\n"


def show(out: Path | None) -> int:
    """Print the card of the working tree, or write it to a file."""
    text = card(load(), "(not released)", git("rev-parse", "HEAD"))
    if out:
        out.write_text(text)
    say(f"Written: {out}" if out else text)
    return 0


def _tops(model: Description, rows: pd.DataFrame) -> list[top.Top]:
    truth, score = (rows[column].to_numpy(float) for column in ("truth", "score"))
    return top.tops(truth, score, binary=model.target.task == "binary")


def _text(name: str) -> str:
    if not Path(name).exists():
        raise CommandError(f"there is no {name} here, and the model card needs it")
    return Path(name).read_text()


def summary(aim: Goal[Words] | Goal[ClassifierWords], model: Description, rows: pd.DataFrame) -> str:
    """Return what the model does and how well, as Markdown for a reader who knows no metric.

    Args:
        aim: the content of goal.yaml.
        model: the content of model.json.
        rows: the held-out rows (see `gitops.release.quality.table`).
    """
    tried = f" It was tried on {len(rows):,} {prose(aim.words.rows)} that it had never seen:"
    truth, score = (rows[column].to_numpy(float) for column in ("truth", "score"))
    if isinstance(aim.words, ClassifierWords) and model.threshold is not None:
        counts = quality.decisions(truth, score, model.threshold)
        return f"{prose(aim.goal)}.{tried} {_decided(aim.words, counts, len(rows))}"
    half, most = quality.errors(truth, score)
    known = f"half of its predictions were within {half:.4g} of the truth and nine of ten within {most:.4g}"
    return f"{prose(aim.goal)}.{tried} {known}. The middle of the truth was {np.median(truth):.4g}."


def _decided(words: ClassifierWords, counts: dict[str, int], rows: int) -> str:
    who, called, happened = map(prose, (words.rows, words.called, words.happened))
    base = f"Of 100 {who} picked blindly, {_share(counts['happened'], rows)} {happened}"
    if not counts["named"] or not counts["happened"]:
        return f"it called {counts['named']:,} of them {called}, and {counts['happened']:,} {happened}. {base}."
    right = f"of 100 {who} that it called {called}, {_share(counts['both'], counts['named'])} {happened}"
    found = f"of 100 {who} that {happened}, it had called {_share(counts['both'], counts['happened'])}"
    return f"{right}; {found} {called}. {base}."


def _share(part: int, whole: int) -> int:
    return round(100 * part / whole)


def _use(aim: Goal[Words] | Goal[ClassifierWords]) -> list[Text]:
    success = aim.success
    return [
        [Strong("Use"), f": {prose(aim.use)}."],
        [Strong("Users"), f": {prose(aim.users)}."],
        [
            Strong("Success"),
            f": {prose(success.measure)}: {prose(success.target)}, by {success.by}.",
        ],
        [Strong("Who answers for it"), ": ", Untrusted(aim.owner), "."],
        [Strong("To be looked at again by"), f": {aim.review_by}."],
    ]
