"""What is generated: exactly these files, all readable, with no template syntax left in them."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from harness import ROOT, TEMPLATE

FILES = [
    ".dvc/.gitignore",
    ".dvc/config",
    ".github/CODEOWNERS",
    ".github/dependabot.yml",
    ".github/workflows/promote.yml",
    ".github/workflows/pull-request.yml",
    ".github/workflows/release.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "LICENSE",
    "README.md",
    "data/.gitignore",
    "data/table.csv",
    "data/table.csv.dvc",
    "deploy/Containerfile",
    "deploy/base/autoscaler.yaml",
    "deploy/base/deployment.yaml",
    "deploy/base/disruption-budget.yaml",
    "deploy/base/kustomization.yaml",
    "deploy/base/network-policy.yaml",
    "deploy/base/service-account.yaml",
    "deploy/base/service.yaml",
    "deploy/components/service-monitor/kustomization.yaml",
    "deploy/components/service-monitor/service-monitor.yaml",
    "deploy/overlays/production/kustomization.yaml",
    "deploy/overlays/staging/kustomization.yaml",
    "deploy/runtime.py",
    "docs/api.md",
    "docs/contract.md",
    "docs/model.schema.json",
    "dvc.yaml",
    "gates.yaml",
    "goal.yaml",
    "openapi.json",
    "params.yaml",
    "pyproject.toml",
    "schema.yaml",
    "src/gitops/__init__.py",
    "src/gitops/__main__.py",
    "src/gitops/description.py",
    "src/gitops/document.py",
    "src/gitops/environments/__init__.py",
    "src/gitops/environments/branches.py",
    "src/gitops/environments/manifests.py",
    "src/gitops/environments/promote.py",
    "src/gitops/environments/rollback.py",
    "src/gitops/environments/status.py",
    "src/gitops/environments/transition.py",
    "src/gitops/gates.py",
    "src/gitops/git.py",
    "src/gitops/github.py",
    "src/gitops/goal.py",
    "src/gitops/imports.py",
    "src/gitops/lock.py",
    "src/gitops/markdown.py",
    "src/gitops/project.py",
    "src/gitops/prose.py",
    "src/gitops/release/__init__.py",
    "src/gitops/release/assets.py",
    "src/gitops/release/bento.py",
    "src/gitops/release/card.py",
    "src/gitops/release/card_parts.py",
    "src/gitops/release/chain.py",
    "src/gitops/release/container.py",
    "src/gitops/release/image.py",
    "src/gitops/release/notes.py",
    "src/gitops/release/papers.py",
    "src/gitops/release/plan.py",
    "src/gitops/release/publish.py",
    "src/gitops/release/quality.py",
    "src/gitops/release/registry.py",
    "src/gitops/release/release.py",
    "src/gitops/release/sample.py",
    "src/gitops/release/sbom.py",
    "src/gitops/release/serve_check.py",
    "src/gitops/release/smoke.py",
    "src/gitops/release/verify.py",
    "src/gitops/review/__init__.py",
    "src/gitops/review/baseline.py",
    "src/gitops/review/bootstrap.py",
    "src/gitops/review/budgets.py",
    "src/gitops/review/champion.py",
    "src/gitops/review/changes.py",
    "src/gitops/review/charts.py",
    "src/gitops/review/claims.py",
    "src/gitops/review/compare.py",
    "src/gitops/review/contract.py",
    "src/gitops/review/decide.py",
    "src/gitops/review/drift.py",
    "src/gitops/review/history.py",
    "src/gitops/review/judge.py",
    "src/gitops/review/metrics.py",
    "src/gitops/review/page.py",
    "src/gitops/review/report.py",
    "src/gitops/review/review.py",
    "src/gitops/review/scoring.py",
    "src/gitops/review/svg.py",
    "src/gitops/review/tables.py",
    "src/gitops/review/value.py",
    "src/gitops/review/verdict.py",
    "src/gitops/shell.py",
    "src/gitops/store.py",
    "src/gitops/tags.py",
    "src/gitops/validation.py",
    "src/model/__init__.py",
    "src/model/__main__.py",
    "src/model/adopt.py",
    "src/model/api.py",
    "src/model/auth.py",
    "src/model/batch/__init__.py",
    "src/model/batch/columns.py",
    "src/model/batch/job.py",
    "src/model/batch/parts.py",
    "src/model/batch/remote.py",
    "src/model/batch/rows_csv.py",
    "src/model/batch/scorer.py",
    "src/model/batch/source.py",
    "src/model/contract.py",
    "src/model/data.py",
    "src/model/evaluate.py",
    "src/model/export.py",
    "src/model/infer.py",
    "src/model/observe.py",
    "src/model/predict.py",
    "src/model/reasons.py",
    "src/model/route.py",
    "src/model/schema.py",
    "src/model/score.py",
    "src/model/service.py",
    "src/model/skops_model.py",
    "src/model/table.py",
    "src/model/train.py",
    "tests/conftest.py",
    "tests/test_adopt.py",
    "tests/test_auth.py",
    "tests/test_batch.py",
    "tests/test_data.py",
    "tests/test_evaluate.py",
    "tests/test_export.py",
    "tests/test_observe.py",
    "tests/test_reasons.py",
    "tests/test_schema.py",
    "tests/test_service.py",
    "tests/test_train.py",
]

BRACES = re.compile(r"(?<!\$)\{\{")


def files(project: Path) -> dict[str, Path]:
    """Return path -> file of everything generated, without Git's own folder."""
    found = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts)
    return {path.relative_to(project).as_posix(): path for path in found}


def test_expected_files_and_only_those(baked: Path) -> None:
    assert sorted(files(baked)) == FILES


@pytest.mark.parametrize("engine", ["argocd", "flux"])
def test_an_engine_adds_its_one_file(bake: Callable[..., Path], engine: str) -> None:
    project = bake(gitops_engine=engine)
    assert sorted(files(project)) == sorted([*FILES, f"deploy/{engine}.yaml"])
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
