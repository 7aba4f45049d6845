"""goal.yaml: what the model is for, who answers for it, and when somebody looks again; checked when it is read."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import yaml
from pydantic import BeforeValidator, Field

from gitops import description
from gitops.description import Description, Target
from gitops.project import Project
from gitops.shell import CommandError
from gitops.validation import Strict, check

LIMIT = 300  # characters of one text


def _text(given: Any) -> str:
    """Return a text on one line, without the full stop that the card sets itself."""
    text = " ".join(str(given).split()).rstrip(".")
    if isinstance(given, dict | list) or not text or not text.isprintable() or len(text) > LIMIT:
        raise ValueError(f"is not a text of 1 to {LIMIT} printable characters: write one sentence")
    return text


Text = Annotated[str, BeforeValidator(lambda given: given if given is None else _text(given))]  # None: a blank


class Success(Strict):
    """By when what must have happened for the model to have been worth it."""

    measure: Text
    target: Text
    by: date


class Words(Strict):
    """What people call a row of the table, in the plural."""

    rows: Text


class ClassifierWords(Words):
    """The same, with what the model calls some of the rows, and what then happened to some."""

    called: Text
    happened: Text


AnyWords = TypeVar("AnyWords", bound=Words)


class Goal(Strict, Generic[AnyWords]):
    """The checked content; texts are single lines without a full stop."""

    target: Text
    goal: Text
    owner: Text
    users: Text
    use: Text
    not_for: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    success: Success
    review_by: date
    words: AnyWords


def load(model: Description) -> Goal[Words] | Goal[ClassifierWords]:
    """Read goal.yaml of the project in the current folder, and see that it speaks about this model.

    Raises:
        CommandError: the file is missing, or is not about this model.
    """
    path = Path("goal.yaml")
    if not path.exists():
        raise CommandError("there is no goal.yaml here, and the model card needs it: compare with the template's")
    return read(path.read_text(errors="replace"), model.target)


def problems(project: Project) -> list[str]:
    """Return what is wrong with the description of the model or with goal.yaml, as a list of at most one sentence."""
    try:
        load(description.load(project))
    except CommandError as error:
        return [str(error)]
    return []


def read(text: str, target: Target) -> Goal[Words] | Goal[ClassifierWords]:
    """Parse goal.yaml for a model with this target.

    Raises:
        CommandError: it is not YAML, a key is missing or unknown, a value is of another kind, or it is about another
            target.
    """
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a day like 2027-02-31
        raise CommandError(f"goal.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    about = raw.get("target") if isinstance(raw, dict) else None
    if isinstance(about, str) and about != target.name:
        raise CommandError(
            f"goal.yaml is about {about[:LIMIT]!r} and the model predicts {target.name!r}: say in goal.yaml what this "
            "model is for"
        )
    form: Any = Goal[ClassifierWords] if target.task == "binary" else Goal[Words]
    found: Goal[Words] | Goal[ClassifierWords] = check(
        form, raw, "goal.yaml", lacking=", and the model card has no blanks: write it"
    )
    return found
