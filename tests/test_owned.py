"""Who must look at a pull request: a model's library is the data scientist's, what judges or serves it is not."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_github import FakeGitHub
from fake_server import BOT_TOKEN, make_repository
from gitops.github import Refused
from gitops.review import owned, verdict
from gitops.review.owned import Side
from test_hostile import FACTORY, saved

WHO = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
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
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """A GitHub, and this process as the verdict's job, in whose folder the base is checked out."""
    make_repository(tmp_path / "hub", "acme/churn-model")
    base = tmp_path / "base"
    base.mkdir()
    (base / "pyproject.toml").write_text(SETTINGS)
    (base / "uv.lock").write_text(LOCK)
    monkeypatch.chdir(base)
    with FakeGitHub(tmp_path / "hub") as server:
        monkeypatch.setenv("GITHUB_TOKEN", BOT_TOKEN)
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/churn-model")
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        yield server


@pytest.fixture
def first_line(hub: FakeGitHub, tmp_path: Path) -> Callable[[dict[str, str]], str]:
    """Return the comment's first line for a pull request that leaves these files (name -> text)."""

    def commit(files: dict[str, str], *parent: str) -> str:
        blobs = {name: hub.git("hash-object", "-w", "--stdin", text=text) for name, text in files.items()}
        tree = hub.git("mktree", text="".join(f"100644 blob {blob}\t{name}\n" for name, blob in blobs.items()))
        return str(hub.git(*WHO, "commit-tree", "-m", "one", *parent, str(tree)))

    def comment(files: dict[str, str]) -> str:
        base = commit({"pyproject.toml": SETTINGS, "uv.lock": LOCK})
        head = commit({"pyproject.toml": SETTINGS, "uv.lock": LOCK} | files, "-p", base)
        hub.pulls = [{"number": 7, "base": {"sha": base}, "head": {"sha": head}}]
        assert verdict.write_comment(saved(tmp_path), 7) == 0
        return str(hub.comments[0]["body"].splitlines()[1])

    return comment


def test_a_library_of_the_model_reads_ready_to_merge(first_line: Callable[[dict[str, str]], str]) -> None:
    settings = SETTINGS.replace('"pandas==3.1.1"', '"pandas==3.1.1", "xgboost-cpu==3.4.1"')
    line = first_line({"pyproject.toml": settings, "uv.lock": LOCK + entry("xgboost-cpu", ("numpy",))})
    assert line.startswith("✅ **Ready to merge**")


def test_what_the_factory_runs_is_named_whatever_the_review_says(first_line: Callable[[dict[str, str]], str]) -> None:
    settings = SETTINGS.replace("dvc==3.67.1", "dvc==3.0").replace("build/model.bin", "build/other.bin")
    line = first_line({"pyproject.toml": settings})
    assert line == f"⚠️ **Look before you merge**: `{FACTORY}pyproject.toml group factory, pyproject.toml [tool.gitops]`"


def test_the_commit_that_github_names_is_read_and_no_other(first_line: Callable[[dict[str, str]], str]) -> None:
    large = SETTINGS.replace("dvc==3.67.1", "dvc==3.0") + "# x" * 2**20  # more than the API's default form gives
    assert "pyproject.toml group factory" in first_line({"pyproject.toml": large})


def test_bytes_that_are_no_text_are_looked_at(first_line: Callable[[dict[str, str]], str]) -> None:
    assert "pyproject.toml (unreadable)" in first_line({"pyproject.toml": "\0" + SETTINGS})


def test_when_github_does_not_give_the_file_nothing_passes(
    hub: FakeGitHub, first_line: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    first_line({"pyproject.toml": SETTINGS + "\n"})
    hub.fail("GET", "/contents/", 502)
    with pytest.raises(Refused, match="502"):
        verdict.print_verdict(saved(tmp_path), "", "7")


def test_the_generated_projects_own_groups_are_known(baked: Path) -> None:
    groups = tomllib.loads((baked / "pyproject.toml").read_text())["dependency-groups"]
    assert set(owned.OWNED) < set(groups), "a group that is named otherwise would guard nothing"
