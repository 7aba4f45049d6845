"""goal.yaml: what the model is for, who answers for it, and when somebody looks again; checked when it is read."""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from gitops.shell import Stop

LIMIT = 300  # characters of one text
SUCCESS = ("measure", "target", "by")
WORDS = {"regression": ("rows",), "binary": ("rows", "called", "happened")}


@dataclass(frozen=True)
class Goal:
    """The checked content: texts are single lines, `success` has `measure`, `target` and `by` (a date).

    `words` names what a row is (`rows`), and for a classifier what the model calls it and what then happened.
    """

    target: str
    goal: str
    owner: str
    users: str
    use: str
    not_for: tuple[str, ...]
    success: dict[str, Any]
    review_by: date
    words: dict[str, str]


def load() -> Goal:
    """Read goal.yaml of the project in the current folder, and see that it speaks about what schema.yaml predicts.

    Raises:
        Stop: a file is missing, or goal.yaml is not about this model.
    """
    for name in ("goal.yaml", "schema.yaml"):
        if not Path(name).exists():
            raise Stop(f"there is no {name} here, and the model card needs it: compare with the template's")
    try:
        target = yaml.safe_load(Path("schema.yaml").read_text())["target"]
        return read(Path("goal.yaml").read_text(), {name: target[name] for name in ("name", "task")})
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        raise Stop("schema.yaml has no target with a name and a task, about which goal.yaml could speak") from None


def doubts() -> list[str]:
    """Return what is wrong with goal.yaml, as a list of at most one sentence."""
    try:
        load()
    except Stop as stop:
        return [str(stop)]
    return []


def read(text: str, target: dict[str, str]) -> Goal:
    """Parse goal.yaml for a model with this `target` (`name` and `task` of schema.yaml).

    Raises:
        Stop: it is not YAML, a key is missing or unknown, a value is of another kind, or it is about another target.
    """
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a day like 2027-02-31
        raise Stop(f"goal.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    content = _mapping("the file", raw, tuple(field.name for field in fields(Goal)))
    if content["target"] != target["name"]:
        about = f"is about {content['target']!r} and schema.yaml predicts {target['name']!r}"
        raise Stop(f"goal.yaml {about}: say in goal.yaml what this model is for")
    if not isinstance(content["not_for"], list) or not content["not_for"]:
        raise Stop("goal.yaml: not_for is no list of texts, and every model has a use that it is not for")
    success = _mapping("success", content["success"], SUCCESS)
    words = _mapping("words", content["words"], WORDS[target["task"]])
    made: dict[str, Any] = {name: _text(name, content[name]) for name in ("target", "goal", "owner", "users", "use")}
    made |= {"not_for": tuple(_text("not_for", entry) for entry in content["not_for"])}
    made |= {"success": {name: _text(f"success.{name}", success[name]) for name in ("measure", "target")}}
    made["success"]["by"] = _day("success.by", success["by"])
    made["words"] = {name: _text(f"words.{name}", word) for name, word in words.items()}
    return Goal(**made, review_by=_day("review_by", content["review_by"]))


def _mapping(where: str, given: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Stop(f"goal.yaml: {where} is not a mapping of {', '.join(keys)}")
    if odd := sorted(map(str, set(given) - set(keys))):
        raise Stop(f"goal.yaml: {where} has no {odd[0]!r}; it knows {', '.join(keys)}")
    if lacking := [key for key in keys if given.get(key) is None]:
        raise Stop(f"goal.yaml: {where} lacks {lacking[0]}, and the model card has no blanks: write it")
    return dict(given)


def _text(where: str, given: Any) -> str:
    """Return a text on one line, without the full stop that the card sets itself."""
    text = " ".join(str(given).split()).rstrip(".")
    if isinstance(given, dict | list) or not text or not text.isprintable() or len(text) > LIMIT:
        raise Stop(f"goal.yaml: {where} is not a text of 1 to {LIMIT} printable characters: write one sentence")
    return text


def _day(where: str, given: Any) -> date:
    if type(given) is not date:
        raise Stop(f"goal.yaml: {where} is {given!r}, which is no day like 2027-01-31")
    return given
