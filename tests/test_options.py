"""Answers as data: what generates a project, and what is refused with one sentence that says why and what to answer."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import SLUG, TEMPLATE, Failed, run

Bake = Callable[..., Path]

SUPPORTED = [
    {},
    {"python_version": "3.11", "license": "Apache-2.0"},
    {"python_version": "3.12", "license": "BSD-3-Clause"},
    {"python_version": "3.13", "license": "Proprietary"},
    {"project_name": "Prévision d'attrition №1", "project_slug": "attrition"},
    {"description": "Who leaves? It's 100 % `real`: #1 & <rising>, [a] *b* | c - 'd'"},
    {"github_owner": "Acme-Data", "code_owner": "@acme-data/ml.owners_1"},
    {"github_owner": "dana_acme", "code_owner": "@dana_acme"},
    {"gitops_engine": "argocd"},
    {"gitops_engine": "flux"},
    {"project_slug": "a1b"},
    {"project_slug": "m" * 40},
    {"project_slug": "model"},
    {"project_slug": "test"},
]
LETTERS = "use 3-40 of a-z, 0-9 and single hyphens, a letter first"
REFUSED = [
    ({"project_slug": "ab"}, LETTERS),
    ({"project_slug": "m" * 41}, LETTERS),
    ({"project_slug": "Churn"}, LETTERS),
    ({"project_slug": "1st-model"}, LETTERS),
    ({"project_slug": "churn_model"}, LETTERS),
    ({"project_slug": "churn--model"}, LETTERS),
    ({"project_slug": "churn-"}, LETTERS),
    ({"project_slug": "churn\n"}, LETTERS),
    ({"project_slug": "bentoml"}, "the name of a package that the project installs: try bentoml-model"),
    ({"project_slug": "dvc"}, "the name of a package that the project installs: try dvc-model"),
    ({"project_name": " ", "project_slug": SLUG}, "project_name is empty"),
    ({"description": ""}, "description is empty"),
    ({"description": 'the "best"'}, "double quote"),
    ({"description": "a\nb"}, "line break"),
    ({"description": "a\\b"}, "backslash"),
    ({"description": "a {b"}, "brace"),
    ({"project_name": 'a "b', "project_slug": SLUG}, "project_name has a double quote"),
    ({"github_owner": "acme inc"}, "github_owner 'acme inc' is no GitHub account"),
    ({"github_owner": "-acme"}, "github_owner '-acme' is no GitHub account"),
    ({"github_owner": "a" * 40}, "is no GitHub account"),
    ({"github_owner": ""}, "is no GitHub account"),
    ({"code_owner": "dana"}, "code_owner 'dana' would be ignored by GitHub: write @user or @organisation/team"),
    ({"code_owner": "dana@example.com"}, "would be ignored by GitHub"),
    ({"code_owner": "@acme/"}, "would be ignored by GitHub"),
    ({"code_owner": "@other/ml"}, "another organisation's team, which GitHub ignores: use @acme/TEAM or @user"),
]


def name(answers: dict[str, str]) -> str:
    """Name a test after its answers."""
    return ",".join(f"{key}={value[:20]!r}" for key, value in answers.items()) or "defaults"


@pytest.mark.parametrize("answers", SUPPORTED, ids=name)
def test_supported(bake: Bake, answers: dict[str, str]) -> None:
    project = bake(**answers)
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert metadata["name"] == answers.get("project_slug", SLUG) == project.name
    assert metadata["description"] == answers.get("description", "Predicts which customers will leave")
    if "python_version" in answers:
        assert metadata["requires-python"] == f"=={answers['python_version']}.*"
    owner = answers.get("code_owner", "@acme")
    lines = (project / ".github/CODEOWNERS").read_text().splitlines()
    assert [line for line in lines if not line.startswith(("#", "/"))] == [f"* {owner}"]


@pytest.mark.parametrize(("answers", "sentence"), REFUSED, ids=[name(answers) for answers, _ in REFUSED])
def test_refused(bake: Bake, tmp_path: Path, answers: dict[str, str], sentence: str) -> None:
    with pytest.raises(Failed) as failed:
        bake(**answers)
    (error,) = [line for line in str(failed.value).splitlines() if line.startswith("error: ")]
    assert sentence in error
    assert list((tmp_path / "baked").iterdir()) == [], "a refused project leaves nothing behind"


def test_a_folder_with_files_is_refused_and_kept(bake: Bake, tmp_path: Path) -> None:
    kept = tmp_path / "baked" / SLUG / "thesis.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("years of work")
    with pytest.raises(Failed, match="already exists"):
        bake()
    with pytest.raises(Failed, match=f"error: the folder {SLUG} has files in it, which would be overwritten"):
        bake("--overwrite-if-exists")
    assert [path.name for path in kept.parent.iterdir()] == ["thesis.txt"] and kept.read_text() == "years of work"


def test_the_slugs_that_no_project_can_have_are_its_dependencies(template: Path) -> None:
    hook = (template / "hooks/pre_gen_project.py").read_text()
    taken = hook.partition("TAKEN = (")[2].partition(")")[0].replace('"', "").split()
    groups = tomllib.loads((template / TEMPLATE / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [entry for group in groups.values() for entry in group if isinstance(entry, str)]
    assert taken == sorted({entry.partition("[")[0].partition("=")[0].partition("<")[0].lower() for entry in wanted})


def test_inside_another_repository_a_project_is_refused_and_leaves_nothing(
    bake: Bake, tmp_path: Path, env: dict[str, str]
) -> None:
    outer = tmp_path / "baked"
    outer.mkdir()
    run("git", "init", "--quiet", cwd=outer, env=env)
    with pytest.raises(Failed, match=f"error: this place is inside the Git repository {outer}, and a model repository"):
        bake()
    assert [path.name for path in outer.iterdir()] == [".git"]


def test_the_project_is_a_repository_of_its_own_on_main(bake: Bake, tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "baked").mkdir()
    run("git", "init", "--quiet", "--initial-branch=other", cwd=tmp_path / "baked", env=env)
    (tmp_path / "baked/.gitignore").write_text(f"/{SLUG}/\n")  # as the template does with its demo/
    (tmp_path / "home/.gitconfig").write_text("")  # a new machine: nobody told Git a name
    project = bake()
    assert run("git", "rev-parse", "--show-toplevel", cwd=project, env=env) == str(project)
    assert run("git", "symbolic-ref", "HEAD", cwd=project, env=env) == "refs/heads/main"


def test_without_git_a_sentence_says_so(bake: Bake, env: dict[str, str], tmp_path: Path) -> None:
    env["PATH"] = str(tmp_path)
    with pytest.raises(Failed, match="error: git is not installed"):
        bake()


def test_the_next_commands_are_printed(template: Path, tmp_path: Path, env: dict[str, str]) -> None:
    said = run(sys.executable, "-m", "cookiecutter", template, "--no-input", cwd=tmp_path, env=env)
    commands = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    assert commands == [
        "cd churn-model && uv sync",
        'git add --all && git commit -m "Generate churn-model"',
        "uv run dvc repro",
    ]
    done = subprocess.run("cd churn-model && " + commands[1], shell=True, cwd=tmp_path, env=env, capture_output=True)  # noqa: S602
    assert done.returncode == 0
    assert run("git", "log", "--format=%s", cwd=tmp_path / SLUG, env=env) == "Generate churn-model"
