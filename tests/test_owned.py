"""Who must look at a pull request: a model's library is the data scientist's, what judges or serves it is not."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from gitops.git import git
from gitops.review import owned
from gitops.review.owned import Side
from harness import ROOT, TEMPLATE

SETTINGS = """[project]
name = "churn-model"
description = "Predicts"
requires-python = "==3.12.*"
[project.scripts]
gitops = "gitops.__main__:main"
[dependency-groups]
serve = ["numpy==2.4.6", "Uvloop==0.23.0"]
train = ["pandas==3.1.1", {include-group = "skops"}]
skops = ["scikit-learn==1.9.1"]
factory = ["dvc==3.67.1"]
dev = ["pytest==9.2.0"]
[build-system]
requires = ["uv_build"]
[tool.gitops]
model = "build/model.bin"
[tool.uv]
default-groups = "all"
[tool.mypy]
strict = true
"""
PACKAGES = {"numpy": (), "uvloop": ("libuv",), "libuv": (), "pandas": ("numpy",), "dvc": ("networkx",), "networkx": ()}
PACKAGES |= {"pytest": (), "scikit-learn": ("numpy",)}


def entry(name: str, needs: tuple[str, ...] = (), version: str = "1.0", digest: str = "a", place: str = "one") -> str:
    """Return a package as it stands in uv.lock."""
    listed = ", ".join(f'{{ name = "{need}" }}' for need in needs)
    return f"""
[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "https://{place}.invalid/simple" }}
dependencies = [{listed}]
wheels = [{{ url = "{name}.whl", hash = "sha256:{digest}" }}]
"""


LOCK = 'version = 1\n[[package]]\nname = "churn-model"\nversion = "0"\nsource = { editable = "." }\n' + "".join(
    entry(name, needs) for name, needs in PACKAGES.items()
)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"pandas==3.1.1"', '"pandas==3.1.1", "xgboost-cpu==3.4.1"', []),
        ('"pandas==3.1.1"', '"pandas==3.2.0"', []),
        ('"scikit-learn==1.9.1"', '"scikit-learn==1.9.2"', []),
        ("train =", 'plots = ["altair==6"]\ntrain =', []),
        ('"Predicts"', '"Predicts who leaves"', []),
        ("strict = true", 'strict = true\n[[tool.mypy.overrides]]\nmodule = ["x"]\nignore_missing_imports = true', []),
        ('"dvc==3.67.1"', '"dvc==3.0"', ["group factory"]),
        ('"dvc==3.67.1"', '"dvc==3.67.1", {include-group = "more"}]\nmore = ["evil"', ["group factory"]),
        ('"pytest==9.2.0"', '"pytest==9.2.0", "evil"', ["group dev"]),
        ('"numpy==2.4.6"', '"numpy==2.4.7"', ["group serve (runs in production)"]),
        ('serve = ["numpy', 'serve = [{include-group = "skops"}, "numpy', ["group serve (runs in production)"]),
        ('"build/model.bin"', '"build/other.bin"', ["[tool.gitops]"]),
        ('default-groups = "all"', 'index-url = "https://evil.invalid"', ["[tool.uv]"]),
        ("[tool.uv]", "[tool.other]\nx = 1\n[tool.uv]", ["[tool.other]"]),
        ('"uv_build"', '"evil_build"', ["[build-system]"]),
        ("gitops.__main__:main", "model.evil:main", ["[project.scripts]"]),
        ('name = "churn-model"', 'name = "other"', ["[project.name]"]),
        ("[build-system]", "[new]\nx = 1\n[build-system]", ["[new]"]),
        ("[project.scripts]", "[project.scripts", ["(unreadable)"]),
        ('factory = ["dvc==3.67.1"]', "factory = 3", ["(unreadable)"]),
        ('model = "build', "x = " + "[" * 100_000 + '\nmodel = "build', ["(unreadable)"]),
    ],
)
def test_the_parts_of_pyproject_that_are_not_the_models_own(old: str, new: str, found: list[str]) -> None:
    assert old in SETTINGS
    assert owned.settings(SETTINGS, SETTINGS.replace(old, new)) == [f"pyproject.toml {part}" for part in found]


def test_a_pyproject_that_is_gone_or_new_is_looked_at() -> None:
    assert "pyproject.toml [tool.gitops]" in owned.settings(SETTINGS, None)
    assert "pyproject.toml [tool.gitops]" in owned.settings(None, SETTINGS)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", entry("xgboost-cpu", ("numpy",)), []),
        (entry("pandas", ("numpy",)), entry("pandas", ("numpy",), "2.0"), []),
        (entry("networkx"), entry("networkx", version="2.0"), []),
        ("version = 1\n", "version = 1\nrevision = 7\nresolution-markers = []\n", []),
        (entry("dvc", ("networkx",)), entry("dvc", ("networkx",), "2.0"), ["dvc"]),
        (entry("pytest"), "", ["pytest"]),
        (entry("libuv"), entry("libuv", version="2.0"), ["libuv (runs in production)"]),
        (entry("numpy"), entry("numpy", ("evil",)) + entry("evil"), ["evil", "numpy"]),
        (entry("networkx"), entry("networkx", digest="b"), ["networkx (the same version, other files)"]),
        ("", entry("x", place="evil"), ["x (from another place than all packages before)"]),
        ("", entry("x") + entry("x"), ["(unreadable)"]),
        ("version = 1\n", "version = 1\n[options]\nx = 1\n", ["[options]"]),
        (LOCK, "[[package]]\nname = 3", ["(unreadable)"]),
    ],
)
def test_the_parts_of_the_lock_that_are_not_the_models_own(old: str, new: str, found: list[str]) -> None:
    assert old in LOCK
    lock = LOCK.replace(old, new, 1) if old else LOCK + new
    named = [
        part.replace("evil", "evil (runs in production)").replace("numpy", "numpy (runs in production)")
        for part in found
    ]
    assert owned.lock(Side(SETTINGS, LOCK), Side(SETTINGS, lock)) == [f"uv.lock {part}" for part in named]


def test_what_a_new_group_names_is_the_services_too() -> None:
    new = SETTINGS.replace('"Uvloop==0.23.0"', '"Uvloop==0.23.0", "Pandas==3.1.1"')
    moved = LOCK.replace(entry("pandas", ("numpy",)), entry("pandas", ("numpy",), "2.0"))
    assert owned.lock(Side(SETTINGS, LOCK), Side(new, moved)) == ["uv.lock pandas (runs in production)"]


@pytest.fixture
def differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> Callable[..., list[str]]:
    """Return what a code owner must look at when files (name -> text) change, in a commit and in the tree alike."""
    for name in ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, env[name])
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    base = commit({"pyproject.toml": SETTINGS, "uv.lock": LOCK, "src/gitops/a.py": "1\n2\n3\n"})

    def found(files: dict[str, str], link: str = "") -> list[str]:
        for name in [name for name, text in files.items() if not text]:
            Path(name).unlink()
        if link:
            Path(link).parent.mkdir()
            Path(link).symlink_to("../gates.yaml")
        head = commit({name: text for name, text in files.items() if text})
        in_commit = owned.found(base, head)
        assert owned.found(base, "") == in_commit, "the working tree is that commit"
        return in_commit

    return found


def commit(files: dict[str, str]) -> str:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", "one")
    return git("rev-parse", "HEAD")


def test_what_is_changed_every_day_is_plain(differs: Callable[..., list[str]]) -> None:
    names = [f"{one}x.py" if one.endswith("/") else one for one in owned.PLAIN]
    assert differs(dict.fromkeys(names, "text\n")) == []


@pytest.mark.parametrize(
    "name",
    [
        ".dvc/config",
        ".gitattributes",
        ".github/CODEOWNERS",
        ".github/workflows/pull-request.yml",
        ".pre-commit-config.yaml",
        "conftest.py",
        "deploy/base/deployment.yaml",
        "gates.yaml",
        "json.py",
        "params.yaml.py",
        "schema.yaml",
        "setup.py",
        "src/gitops/review/judge.py",
        "src/model.py",
        "src/serving/rows/schema.py",
        "src/sitecustomize.py",
        "Tests/x.py",
    ],
)
def test_a_file_that_nobody_listed_is_named(differs: Callable[..., list[str]], name: str) -> None:
    assert differs({name: "text\n", "src/model/train.py": "text\n"}) == [name]


def test_a_file_that_leaves_the_factory_is_named_by_its_old_path(differs: Callable[..., list[str]]) -> None:
    assert differs({"src/gitops/a.py": "", "docs/a.py": "1\n2\n3\n"}) == ["src/gitops/a.py"]


def test_a_link_in_a_plain_folder_is_named(differs: Callable[..., list[str]]) -> None:
    assert differs({"docs/a.md": "text\n"}, link="tests/linked") == ["tests/linked"]


def test_a_library_of_the_model_is_the_data_scientists(differs: Callable[..., list[str]]) -> None:
    settings = SETTINGS.replace('"pandas==3.1.1"', '"pandas==3.1.1", "xgboost-cpu==3.4.1"')
    assert differs({"pyproject.toml": settings, "uv.lock": LOCK + entry("xgboost-cpu", ("numpy",))}) == []


def test_what_the_factory_runs_is_named(differs: Callable[..., list[str]]) -> None:
    settings = SETTINGS.replace("dvc==3.67.1", "dvc==3.0").replace("build/model.bin", "build/other.bin")
    assert differs({"pyproject.toml": settings}) == ["pyproject.toml group factory", "pyproject.toml [tool.gitops]"]


def test_bytes_that_are_no_text_are_looked_at(differs: Callable[..., list[str]]) -> None:
    assert differs({"pyproject.toml": "\0" + SETTINGS}) == [
        "pyproject.toml (unreadable)",
        "uv.lock (unreadable)",  # whose groups only that file tells
    ]


def test_code_owners_are_asked_for_all_that_is_not_plain() -> None:
    lines = (ROOT / TEMPLATE / ".github/CODEOWNERS").read_text().splitlines()
    everything, *without_owner = [line for line in lines if not line.startswith("#")]
    assert everything.startswith("* {{"), "what no later line names has the owner"
    assert without_owner == [f"/{name}" for name in owned.PLAIN]


def test_the_generated_projects_own_groups_are_known(baked: Path) -> None:
    groups = tomllib.loads((baked / "pyproject.toml").read_text())["dependency-groups"]
    assert set(owned.OWNED) < set(groups), "a group that is named otherwise would guard nothing"
