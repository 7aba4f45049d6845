"""The recipes of the generated docs/own-model.md, as they stand there: each from the edit to the served model."""

import ast
import json
import re
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from harness import ROOT, SLUG, TEMPLATE, environment
from laptop import SERVE, Laptop, link
from serving import served

pytestmark = pytest.mark.slow

PAGE = (ROOT / TEMPLATE / "docs/own-model.md").read_text()
PIPELINE, PARAMS, SETTINGS = "src/model/pipeline.py", "params.yaml", "pyproject.toml"
OUTPUTS = {"uv.lock", "dvc.lock", "metrics.json", "model.json"}
TESTS = ("test_train.py", "test_export.py", "test_service.py")
ASK = """
import json, sys
import numpy as np
import pandas as pd
from model import data, pipeline
from serving.model_file.export import predicted
from serving.rows.matrices import from_frame, named
from serving.rows.parameters import params
from serving.rows.schema import load_schema

schema, rows, given = load_schema(), data.read_rows(data.TRAIN), params()
fitted = pipeline.build(schema, given)
pipeline.fit(fitted, named(schema, from_frame(schema, rows)), data.truth(schema, rows), given)
asked = named(schema, from_frame(schema, pd.read_parquet("asked.parquet")))
answers = [predicted(fitted, asked).tolist()]
if hasattr(pipeline, "Ratio"):
    pipeline.Ratio.transform = lambda self, rows: np.full((len(rows), 1), 20, np.float32)
    answers.append(predicted(fitted, asked).tolist())
print(json.dumps(answers))
"""


def section(title: str) -> list[tuple[str, str]]:
    """Return the code blocks below a heading of the page, each with its language."""
    found = re.search(rf"^## {re.escape(title)}.*?\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return re.findall(r"^```(\w+)\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)


def definitions(code: str) -> dict[str, str]:
    """Return the classes and functions of some code by their names."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {
        node.name: ast.get_source_segment(code, node) or "" for node in ast.parse(code).body if isinstance(node, kinds)
    }


def apply(project: Laptop, title: str, *borrowed: str) -> None:
    """Do what a recipe says; `borrowed` are what it takes over from recipe 1.

    Imports go to the other imports and other Python to the end, parameters replace those of their name or are new, a
    line of pyproject.toml loses its #, and commands are run.
    """
    shared = definitions("".join(code for language, code in section("Recipe 1") if language == "python"))
    own = [shared[name] for name in borrowed]
    for language, block in section(title):
        if language == "python" and all(isinstance(node, ast.ImportFrom) for node in ast.parse(block).body):
            project.replace(PIPELINE, "import numpy as np\n", f"import numpy as np\n{block}")
        elif language == "python":
            project.write(PIPELINE, "\n\n".join([project.read(PIPELINE), *own, block]))
            own = []
        elif language == "yaml":
            for part in re.findall(r"(?m)^  \w.*\n(?:^   .*\n)*", block):
                name = part.partition(":")[0].strip()
                text, replaced = re.subn(rf"(?m)^  {name}:.*\n", part, project.read(PARAMS))
                project.write(PARAMS, text if replaced else text.replace("\nthreshold:", f"\n{part}threshold:"))
        elif language == "toml":
            project.replace(SETTINGS, f"# {block.strip()}", block.strip())
        else:
            assert language == "console"
            project.run(*(line.removeprefix("$ ") for line in block.splitlines()))
    project.run("uv run ruff check --fix src/model", "uv run ruff format src/model")


@pytest.fixture
def project(champion: Path, tmp_path: Path) -> Laptop:
    """Return a copy of the trained project with an environment of its own, into which a recipe installs."""
    made = Laptop(champion, tmp_path)
    link(champion / SLUG, made.path, ".venv")
    shutil.copytree(champion / SLUG / ".mypy_cache", made.path / ".mypy_cache")
    made.env = environment(tmp_path / "home") | {"IMAGE": "none"}
    made.run("uv sync --quiet")
    return made


def ask(project: Laptop, rows: pd.DataFrame) -> list[list[float]]:
    """Return what the pipeline, fitted anew, says to these rows, and what it says when the ratio is 20 in each."""
    rows.to_parquet(project.path / "asked.parquet")
    project.write("ask.py", ASK)
    answers: list[list[float]] = json.loads(project.run("uv run python ask.py").splitlines()[-1])
    return answers


RECIPES = {
    "Recipe 1": ("xgboost", "onnx", ()),
    "Recipe 2": ("lightgbm", "onnx", ()),
    "Recipe 3": ("splines", "skops", ("Ratio",)),
}


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_leads_to_a_served_model(project: Laptop, title: str, tmp_path: Path) -> None:
    kind, form, borrowed = RECIPES[title]
    apply(project, title, *borrowed)
    project.run("uv run dvc repro --quiet", "git add --all")
    changed = set(project.run("git diff --cached --name-only main").splitlines())
    assert changed == {PIPELINE, PARAMS, SETTINGS} | OUTPUTS
    described = json.loads(project.read("model.json"))["model"]
    code = ["model.pipeline"] if form == "skops" else []
    assert described == {"kind": kind, "file_format": form, "code": code}

    project.run(f"uv run pytest --quiet {' '.join(f'tests/{name}' for name in TESTS)}")
    project.run("git commit --quiet --message Recipe", "uv run gitops store push", "uv run gitops review --base main")
    report = project.read("review/report.md")
    assert not report.startswith("⛔") and "scored the same 1,428 held-out rows" in report
    project.run("git switch --quiet main", "git merge --quiet case", "uv run gitops release")
    assert project.run("git tag") == "churn-model@v1.0.0"
    with tarfile.open(project.path / "dist/churn-model-1.0.0.bento") as bento:
        bento.extractall(tmp_path / "bento", filter="data")
    assert (tmp_path / "bento/src/model/pipeline.py").exists() == (form == "skops")

    rows = pd.read_parquet(project.path / "build/holdout.parquet").dropna().head(40)
    more = rows.assign(total_charges=rows["total_charges"] * 3)
    reviewed = pd.read_parquet(project.path / "build/predictions.parquet").set_index("id")["score"]
    expected = ask(project, more)
    with served(tmp_path / "bento/src", project.env, project.path / SERVE / "bin/python", "-m") as service:
        scores = []
        for asked in (rows, more):
            records = json.loads(asked.drop(columns="churn").to_json(orient="records"))
            status, answer = service.ask("/predict", {"records": records})
            assert status == 200, answer
            scores.append([row["score"] for row in json.loads(answer)["predictions"]])
    assert scores[0] == pytest.approx(reviewed[rows["customer_id"]].tolist(), abs=1e-5)
    assert scores[1] == pytest.approx(expected[0], abs=1e-5)
    assert scores[1] != pytest.approx(scores[0], abs=1e-3), "the changed column counts"
    if "Ratio" in project.read(PIPELINE):
        assert scores[1] != pytest.approx(expected[1], abs=1e-3), "and not only as itself, but in the ratio"


COUNT = """
import json
import numpy as np
import onnx
import pandas as pd
from serving.model_file.opening import MODEL, open_model
from serving.rows.matrices import from_frame
from serving.rows.schema import load_schema

parts = [part for node in onnx.load(MODEL).graph.node for part in node.attribute]
trees = [len(set(part.ints)) for part in parts if part.name == "class_treeids"]
rows = pd.read_parquet("build/holdout.parquet")
print(json.dumps([trees, float(open_model().score(from_frame(load_schema(), rows)).mean())]))
"""


def test_the_recipes_stand_side_by_side_and_fit_differently(project: Laptop) -> None:
    for title in RECIPES:
        apply(project, title)
    project.run("uv run ruff check src/model", "uv run ruff format --check src/model", "uv run mypy")
    project.write("count.py", COUNT)
    project.replace(PARAMS, "format: skops", "format: onnx")

    def trained(fit: str = "", **imports: str) -> tuple[int, float]:
        """Train XGBoost with another `fit`; return how many trees the model file holds, and its mean score."""
        text = project.read(PIPELINE)
        new = text.replace(definitions(text)["fit"], fit.strip()) if fit else text
        lines = "".join(f"from sklearn.{module} import {name}\n" for name, module in imports.items())
        project.write(PIPELINE, new.replace("import numpy as np\n", f"import numpy as np\n{lines}"))
        project.run(
            "uv run ruff check --fix src/model", "uv run mypy src/model/pipeline.py", "uv run python -m model.train"
        )
        project.write(PIPELINE, text)
        (trees, *_), mean = json.loads(project.run("uv run python count.py"))
        return trees, mean

    project.replace(PARAMS, "kind: splines", "kind: xgboost")
    (_, weights), (_, stopping) = section("Sample weights")[0], section("Early stopping")[0]
    plain = trained()
    weighted = trained(weights, compute_sample_weight="utils.class_weight")
    assert weighted[0] == plain[0] == 80 and weighted[1] > plain[1] + 0.05
    project.replace(PARAMS, "    n_estimators: 80 ", "    early_stopping_rounds: 5\n    n_estimators: 2000 ")
    assert 10 < trained(stopping, train_test_split="model_selection")[0] < 1000
