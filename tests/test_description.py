"""model.json and the wall: what the factory takes for a description, what it refuses, and what it knows besides."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gitops import description
from gitops.shell import CommandError
from harness import ROOT, TEMPLATE

FACTORY = ROOT / TEMPLATE / "src/gitops"
FEATURE = {"name": "tenure", "type": "integer", "min": 0, "max": None, "values": [], "nullable": False}
GOOD: dict[str, Any] = {
    "format": 1,
    "target": {"name": "churn", "task": "binary", "labels": ["No", "Yes"]},
    "threshold": 0.5,
    "id": "customer_id",
    "features": [FEATURE],
    "ignored": {"phone": "personal"},
    "model": {"kind": "linear", "file_format": "onnx", "code": ["model.pipeline"]},
    "parameters": {"seed": 20, "model": {"linear": {"alpha": 1.0}}},
    "service": {"path": "/predict", "records": "r", "predictions": "p", "score": "s", "version": "v"},
}
Edit = Callable[[dict[str, Any]], Any]
BAD: list[tuple[Edit, str]] = [
    (lambda d: d.update(format=2), "model.json has the format '2', and this factory reads 1: update the factory"),
    (lambda d: d.pop("format"), "model.json: the file lacks format: the stage that writes it must say it"),
    (lambda d: d.update(threshhold=1), "model.json: the file has no 'threshhold'; it knows format, target, threshold"),
    (lambda d: d["target"].update(task="ranking"), "target.task is 'ranking', which is none of 'binary' or 'regressi"),
    (lambda d: d["target"].update(task="regression"), "the file has other target.labels than its task: two for bin"),
    (lambda d: d["target"].update(labels=["Yes", "Yes"]), "the file has other target.labels than its task"),
    (lambda d: d.update(threshold=None), "the file has another threshold than its task: a number for binary"),
    (lambda d: d.update(threshold=float("nan")), "threshold is nan and should be a finite number"),
    (lambda d: d.update(threshold=True), "threshold is True and should be a valid number"),
    (lambda d: d["features"][0].pop("type"), "model.json: features[0] lacks type: the stage that writes it must say"),
    (lambda d: d["features"][0].update(min="0"), "features[0].min is '0' and should be a valid number"),
    (lambda d: d["features"].append(FEATURE), "the file lists the feature 'tenure' twice"),
    (lambda d: d.update(features=[]), "features is no list, or an empty one"),
    (lambda d: d["model"].update(code=["../x"]), "model.code[0] is '../x' and should match pattern"),
    (lambda d: d["service"].update(path="predict"), "service.path is 'predict' and should match pattern '^/'"),
    (lambda d: d.update(ignored={"a": "<b>" * 10**5}), "ignored.a is '<b><b><b>"),
    (lambda d: d.update(ignored={"@a" * 400: None}), "model.json: ignored.@a@a"),
]


def test_a_description_is_read_whole() -> None:
    found = description.read(json.dumps(GOOD), "model.json")
    assert found.model_dump(mode="json") == GOOD
    assert found.fields == ["customer_id", "tenure"]
    number = GOOD | {"target": {"name": "price", "task": "regression", "labels": []}, "threshold": None, "id": None}
    assert description.read(json.dumps(number), "model.json").fields == ["tenure"]


@pytest.mark.parametrize(("edit", "sentence"), BAD)
def test_a_bad_description_is_one_short_sentence(edit: Edit, sentence: str) -> None:
    content = json.loads(json.dumps(GOOD))
    edit(content)
    with pytest.raises(CommandError, match=re.escape(sentence)) as stop:
        description.read(json.dumps(content), "model.json")
    assert "\n" not in str(stop.value) and len(str(stop.value)) < 500


@pytest.mark.parametrize("text", ["", "{", "[" * 10**5, "3", "[]", "null", '"x"', "{}" * 2**20, "\ud800"], ids=range(9))
def test_what_is_no_description_at_all_is_one_sentence_too(text: str) -> None:
    with pytest.raises(CommandError, match=r"^model\.json") as stop:
        description.read(text, "model.json")
    assert "\n" not in str(stop.value) and len(str(stop.value)) < 300


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    published = (ROOT / TEMPLATE / "docs/model.schema.json").read_text()
    wanted = json.dumps(description.json_schema(), indent=2) + "\n"
    assert published == wanted, "write gitops.description.json_schema() to docs/model.schema.json, with an indent of 2"


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the string constants of a module, apart from docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docs = {id(first.value) for first in bodies if isinstance(first, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def leaks(text: str) -> Iterator[str]:
    """Yield what only the model's side may know: its files' inner forms, its settings, its libraries, its commands."""
    for word in texts(ast.parse(text)):
        if re.search(r"schema\.yaml|skops|model\.kind|model\.bin|python -m (model|serving)", word):
            yield word
        if word in ("model_version", "/predict", "linear"):
            yield word


def test_the_factory_knows_nothing_of_the_model_but_its_description() -> None:
    found = {
        f"{path.relative_to(FACTORY)}: {word}"
        for path in sorted(FACTORY.rglob("*.py"))
        for word in leaks(path.read_text())
    }
    assert not found
    assert list(leaks('x = open("schema.yaml")')) == ["schema.yaml"] and not list(leaks('"""schema.yaml"""'))


def test_parameters_are_shown_and_never_interpreted() -> None:
    files = [path for path in sorted(FACTORY.rglob("*.py")) if "params.yaml" in set(texts(ast.parse(path.read_text())))]
    assert [path.name for path in files] == [
        "changes.py",  # the report's table of changed parameters
        "owned.py",  # who may change them
        "state.py",
    ]


def test_a_description_elsewhere_is_found_there(tmp_path: Path) -> None:
    from gitops.project import load

    settings = (ROOT / TEMPLATE / "pyproject.toml").read_text().replace("{{ cookiecutter.project_slug }}", "churn")
    settings = settings.replace('description = "model.json"', 'description = "docs/described.json"')
    (tmp_path / "pyproject.toml").write_text(settings.replace("{{ cookiecutter.description }}", "x"))
    with pytest.raises(
        CommandError, match=r"there is no docs/described\.json, which describes the model: `uv run dvc repro`"
    ):
        description.load(load(tmp_path), tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/described.json").write_text(json.dumps(GOOD))
    assert description.load(load(tmp_path), tmp_path).id == "customer_id"
