"""model.json: what a model is, in the words of its own side. The factory knows no more of it than this file tells."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from gitops.document import clean
from gitops.project import MODULE, Project
from gitops.shell import CommandError
from gitops.validation import Strict, check

FORMAT = 1
SIZE_LIMIT = 2**21  # characters; more describes no model that a person could review
MADE = ": the stage that writes it must say it (docs/contract.md)"

Name = Annotated[str, Field(min_length=1, max_length=300)]
Module = Annotated[str, Field(pattern=f"^{MODULE}$", max_length=300)]


class Target(Strict):
    """What is predicted; `labels` of a binary target are the negative and the positive one, a number has none."""

    name: Name
    task: Literal["binary", "regression"]
    labels: tuple[Name, ...]


class Feature(Strict):
    """A column that the model reads; `min` and `max` are the allowed ends, `values` a category's allowed texts."""

    name: Name
    type: Literal["number", "integer", "boolean", "date", "category"]
    min: float | None
    max: float | None
    values: tuple[Name, ...]
    nullable: bool


class ModelFile(Strict):
    """The model file: the kind of model and of file, in their own words, and the modules that opening it imports."""

    kind: Name
    file_format: Name
    code: tuple[Module, ...]


class Service(Strict):
    """The names in a request and its answer: POST `path`, `{records: [...]}`, `{version, predictions: [{score}]}`."""

    path: Annotated[str, Field(pattern="^/", max_length=300)]
    records: Name
    predictions: Name
    score: Name
    version: Name


class Description(Strict):
    """The whole file. A score from `threshold` on gets the positive label; `ignored` maps a column to the reason."""

    format: Literal[1]
    target: Target
    threshold: float | None
    id: Name | None
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    ignored: dict[Name, Name]
    model: ModelFile
    parameters: dict[Name, JsonValue]
    service: Service

    @model_validator(mode="after")
    def _fits(self) -> Self:
        binary, labels = self.target.task == "binary", self.target.labels
        if len(set(labels)) != len(labels) or len(labels) != (2 if binary else 0):
            raise ValueError("has other target.labels than its task: two for binary (negative, positive), else none")
        if binary != (self.threshold is not None):
            raise ValueError("has another threshold than its task: a number for binary, else null")
        names = [feature.name for feature in self.features]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"lists the feature {twice[0][:100]!r} twice")
        return self

    @property
    def fields(self) -> list[str]:
        """The columns of a row that a caller sends: the id, where there is one, and the features."""
        return [*([self.id] if self.id else []), *(feature.name for feature in self.features)]


def load(project: Project, root: Path = Path()) -> Description:
    """Read the description of the model in a working tree, by default the current one.

    Raises:
        CommandError: there is none, or it has not the form that this version of the factory knows.
    """
    path = root / project.description
    if not path.is_file():
        raise CommandError(
            f"there is no {project.description}, which describes the model: `uv run dvc repro` writes it"
        )
    return read(path.read_text(errors="replace"), project.description)


def read(text: str, file: str) -> Description:
    """Parse a description; `file` is its name, for the sentences.

    Raises:
        CommandError: it has not the form that this version of the factory knows.
    """
    if len(text) > SIZE_LIMIT:
        raise CommandError(f"{file} is larger than {SIZE_LIMIT:,} characters, and a description is small{MADE}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise CommandError(f"{file} is not JSON: `uv run dvc repro` writes it") from None
    version = content.get("format") if isinstance(content, dict) else FORMAT
    if version is not None and version != FORMAT:
        cure = "update the factory, if the file is newer, or let the stage that writes it write that one"
        raise CommandError(f"{file} has the format {clean(version)!r:.40}, and this factory reads {FORMAT}: {cure}")
    return check(Description, text, file, lacking=MADE, json=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of model.json, which docs/model.schema.json holds."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return head | Description.model_json_schema()
