"""Which files a stage runs: found in a tree of files, compared with what Python itself imports."""

import subprocess
import sys
from pathlib import Path

import pytest
from gitops import imports
from gitops.shell import CommandError

FILES = {
    "src/model/__init__.py": "",
    "src/model/train.py": "import json\nfrom model import features\nfrom . import data\nimport serving.rows.schema\n",
    "src/model/features.py": "def f():\n    from model.deep.inner import x\n    return x\n",
    "src/model/deep/__init__.py": "from ..helper import h\n",
    "src/model/deep/inner.py": "x = 1\n",
    "src/model/helper.py": "h = 1\n",
    "src/model/data.py": "import importlib\nimportlib.import_module('model.loaded')\n",
    "src/model/loaded.py": "from .stars import *\n",
    "src/model/stars/__init__.py": "__all__ = ['one', 'number']\nnumber = 1\n",
    "src/model/stars/one.py": "",
    "src/model/stars/two.py": "",
    "src/model/unused.py": "",
    "src/model/__main__.py": "import typing\nif typing.TYPE_CHECKING:\n    import model.unused\nimport model.helper\n",
    "src/serving/__init__.py": '"""Nothing but words."""\n',
    "src/serving/rows/__init__.py": "",
    "src/serving/rows/schema.py": "import tools.shared\n",
    "tools/shared.py": "x = 1\n",
    "scripts/report.py": "import beside\nfrom model.helper import h\n",
    "scripts/beside.py": "",
    "scripts/other.py": "",
}
TRAIN = {
    *("src/model/__init__.py", "src/model/train.py", "src/model/features.py", "src/model/deep/__init__.py"),
    *("src/model/deep/inner.py", "src/model/helper.py", "src/model/data.py", "src/model/loaded.py"),
    *("src/model/stars/__init__.py", "src/model/stars/one.py", "src/serving/__init__.py"),
    *("src/serving/rows/__init__.py", "src/serving/rows/schema.py", "tools/shared.py"),
}
OTHERS = ["src/model/data.py", "src/model/features.py", "src/model/helper.py", "src/model/loaded.py"]
MAIN = {"src/model/__init__.py", "src/model/__main__.py", "src/model/helper.py"}
REPORT = {"scripts/report.py", "scripts/beside.py", "src/model/__init__.py", "src/model/helper.py"}
SCRIPTS = {"model": "model.__main__:main"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a project's folder."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_closure_is_what_python_loads(tree: Path) -> None:
    assert imports.closure("model.train:main", tree) == sorted(TRAIN)
    loads = "import model.train, sys; model.train.features.f()"
    prints = "[print(m.__file__) for m in sys.modules.values() if getattr(m, '__file__', None)]"
    done = subprocess.run(
        [sys.executable, "-c", f"{loads}; {prints}"],
        cwd=tree,
        env={"PYTHONPATH": f"{tree / 'src'}:{tree}"},
        text=True,
        capture_output=True,
    )
    loaded = {
        Path(line).relative_to(tree).as_posix() for line in done.stdout.splitlines() if line.startswith(str(tree))
    }
    assert loaded == TRAIN, done.stderr


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python -m model.train", TRAIN),
        ("python -m model.train --rows x.parquet > log.txt", TRAIN),
        ("uv run python -m model.train", TRAIN),
        ("uv run --frozen --group train -m model.train", TRAIN),
        ("PYTHONHASHSEED=0 python3.12 -O -W ignore -um model.train", TRAIN),
        ("python -mmodel.train", TRAIN),
        ("echo start && time .venv/bin/python -m model.train; echo end", TRAIN),
        ("mkdir -p build\npython \\\n  -m model.train", TRAIN),
        ("x=$(python -m model.train)", TRAIN),
        ("python -m model", MAIN),
        ("model train", MAIN),
        ("uv run model train", MAIN),
        ("python scripts/report.py", REPORT),
        ("uv run scripts/report.py", REPORT),
        ("python -m model && python scripts/report.py", MAIN | REPORT),
        ("python -m pytest", set()),
        ("python -c 'import model.train'", set()),
        ("python missing.py", set()),
        ("cat src/model/train.py", set()),
        ("bash train.sh", set()),
        ("echo 'unfinished", set()),
        ("", set()),
    ],
)
def test_what_a_command_runs(tree: Path, command: str, found: set[str]) -> None:
    assert imports.of_command(command, tree, tree, SCRIPTS) == sorted(found)


def test_a_command_runs_in_its_stages_folder(tree: Path) -> None:
    assert imports.of_command("python report.py", tree, tree / "scripts", {}) == sorted(REPORT)
    assert imports.of_command("python -m other", tree, tree / "scripts", {}) == ["scripts/other.py"]


@pytest.mark.parametrize(
    ("deps", "missing"),
    [
        (["src/model", "src/serving/rows", "tools"], []),
        (["src"], ["tools/shared.py"]),
        (["src/model", "src/serving/rows/sch", "tools"], ["src/serving/rows/schema.py"]),
        (["src/model/train.py", "src/model/deep", "src/model/stars", "src/serving", "tools/shared.py"], OTHERS),
    ],
    ids=["folders", "one is missing", "a beginning of a name is no folder", "files"],
)
def test_what_dvc_yaml_does_not_declare(tree: Path, deps: list[str], missing: list[str]) -> None:
    assert imports.undeclared(sorted(TRAIN), deps, tree) == missing


def test_an_init_file_is_named_as_soon_as_it_says_something(tree: Path) -> None:
    declared = ["src/model", "src/serving/rows", "tools"]
    (tree / "src/serving/__init__.py").write_text('"""Words."""\nX = 1\n')
    assert imports.undeclared(sorted(TRAIN), declared, tree) == ["src/serving/__init__.py"]


def test_a_module_that_is_not_there_and_one_that_is_no_python(tree: Path) -> None:
    with pytest.raises(CommandError, match=r"there is no module model\.trian in this project"):
        imports.closure("model.trian", tree)
    (tree / "src/model/helper.py").write_text("def f(:\n")
    with pytest.raises(CommandError, match=r"helper\.py is not valid Python, line 1"):
        imports.closure("model.train", tree)


def test_a_circle_ends(tree: Path) -> None:
    (tree / "src/model/helper.py").write_text("import model.train\n")
    assert imports.closure("model.helper", tree) == sorted(TRAIN)
