"""What is generated: exactly these files, all readable, with no template syntax left in them."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from harness import ROOT, TEMPLATE

BRACES = re.compile(r"(?<!\$)\{\{")


def files(project: Path) -> dict[str, Path]:
    """Return path -> file of everything generated, without Git's own folder."""
    found = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts)
    return {path.relative_to(project).as_posix(): path for path in found}


def test_each_file_of_the_template_is_generated_and_no_other(template: Path, baked: Path) -> None:
    optional = {name for name in files(template / TEMPLATE) if "{% if" in name}
    assert len(optional) == 2, "one for each engine"
    # by its plain name it would rule in the template too, where the factory is written by people
    named = {name.replace("{{ '.gitattributes' }}", ".gitattributes") for name in files(template / TEMPLATE)}
    assert set(files(baked)) == named - optional


@pytest.mark.parametrize("engine", ["argocd", "flux"])
def test_an_engine_adds_its_one_file(bake: Callable[..., Path], baked: Path, engine: str) -> None:
    project = bake(gitops_engine=engine)
    assert set(files(project)) == {*files(baked), f"deploy/{engine}.yaml"}
    text = (project / f"deploy/{engine}.yaml").read_text()
    assert "{" not in text and "https://github.com/acme/churn-model" in text


def test_no_template_syntax_is_left(baked: Path) -> None:
    for name, path in files(baked).items():
        text = path.read_text()
        assert "{%" not in text and "cookiecutter." not in text and "{#" not in text, name
        # GitHub's own expressions have a dollar sign; in Python, braces in f-strings are doubled
        assert name.endswith(".py") or not BRACES.search(text), name


def test_python_and_workflows_of_the_template_hold_no_jinja(template: Path, baked: Path) -> None:
    for name, path in files(template / TEMPLATE).items():
        if name.endswith(".py") or name.startswith(".github/workflows/"):
            assert path.read_bytes() == (baked / name).read_bytes(), name
            assert "cookiecutter" not in path.read_text() and "{%" not in path.read_text(), name


def test_every_file_of_a_known_kind_parses(baked: Path) -> None:
    parsers: dict[str, Callable[[str], object]] = {
        ".toml": tomllib.loads,
        ".json": json.loads,
        ".yml": yaml.safe_load,
        ".yaml": yaml.safe_load,
    }
    parsers |= {".dvc": yaml.safe_load, ".py": lambda text: compile(text, "generated", "exec")}
    for path in files(baked).values():
        if parse := parsers.get(path.suffix):
            parse(path.read_text())


def test_text_files_end_with_one_line_end(baked: Path) -> None:
    for name, path in files(baked).items():
        text = path.read_text()
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
        assert "\r" not in text and not re.search(r"[ \t]+$", text, re.MULTILINE), name


def test_the_factory_is_tested_with_the_versions_that_it_will_run_with(template: Path) -> None:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    groups = tomllib.loads((template / TEMPLATE / "pyproject.toml").read_text())["dependency-groups"].values()
    theirs = {entry.partition("==")[0]: entry for group in groups for entry in group if isinstance(entry, str)}
    shared = [entry for entry in ours if entry.partition("==")[0] in theirs]
    assert "dvc==" in " ".join(shared) and [theirs[entry.partition("==")[0]] for entry in shared] == shared
