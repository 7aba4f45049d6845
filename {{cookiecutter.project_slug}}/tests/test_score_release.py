"""`model score --release` runs the release's own code in a folder of its own, with the same options and no secret."""

import json
from pathlib import Path

import pytest

from model.__main__ import main

FETCH = """
import sys
from pathlib import Path
if sys.argv[1] != "1.2.0":
    sys.exit("error: there is no such release")
package = Path(sys.argv[2], "src/model")
package.mkdir(parents=True)
(package / "__init__.py").touch()
(package / "__main__.py").write_text(Path("own.py").read_text())
Path(sys.argv[2], "uv.lock").write_text("the same")
"""
OWN = """
import json, os, sys
from pathlib import Path
out = Path(sys.argv[-1])
out.write_text(json.dumps({"words": sys.argv[1:], "folder": os.getcwd(), "path": sys.path, "env": dict(os.environ)}))
sys.exit(json.loads(Path(sys.argv[-2]).read_text()))
"""
PYPROJECT = '[tool.serving]\nrelease = "python fetch.py {release} {folder}"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose releases tell what they are called with, and end with the code that their input holds."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"fetch.py": FETCH, "own.py": OWN, "pyproject.toml": PYPROJECT, "in.csv": "0"}.items():
        Path(name).write_text(text)
    Path("uv.lock").write_text("the same")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    return tmp_path


def score(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["model", "score", *words])
    main()


def test_the_release_gets_the_options_and_whole_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score(monkeypatch, "in.csv", "out.json", "--release", "1.2.0", "--rank", "--round=3", "--errors", "bad.csv")
    said = json.loads(Path("out.json").read_text())
    places = ["--", str(folder / "in.csv"), str(folder / "out.json")]
    assert said["words"] == ["score", f"--errors={folder / 'bad.csv'}", "--rank", "--round=3", *places]
    assert said["path"][0] == f"{said['folder']}/src" and not Path(said["folder"]).exists()
    assert {"GITHUB_TOKEN", "AWS_SESSION_TOKEN"} & said["env"].keys() == {"AWS_SESSION_TOKEN"}  # which opens IN and OUT


def test_what_fails_there_fails_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        score(monkeypatch, "in.csv", "out.json", "--release", "9.9.9")
    assert "error: there is no such release\nerror: nothing was scored" in capfd.readouterr().err
    Path("in.csv").write_text("3")
    with pytest.raises(SystemExit):
        score(monkeypatch, "in.csv", "out.json", "--release", "1.2.0")
    assert "the release itself says why above" in capfd.readouterr().err
    Path("pyproject.toml").write_text("")
    with pytest.raises(SystemExit):
        score(monkeypatch, "in.csv", "out.json", "--release", "1.2.0")
    assert "pyproject.toml has no `release` under [tool.serving]" in capfd.readouterr().err


def test_every_option_is_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--batch-rows=5 --workers=1 --force --top=4 --reasons=2 --spreadsheet=comma --delimiter=; --decimal=,"
    score(monkeypatch, "in.csv", "out.json", "--release=1.2.0", *words.split())
    said = json.loads(Path("out.json").read_text())["words"]
    assert set(said) >= set(words.split())
