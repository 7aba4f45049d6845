"""Output that nobody reads, or that a terminal can't show, ends no work half way; and no command hands on a secret."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gitops import shell
from gitops.review import scoring
from harness import ROOT, TEMPLATE, environment, run

SOURCE = ROOT / TEMPLATE / "src"
WORK = """import sys, time
from pathlib import Path
from gitops.shell import output, say, stream
with output():
    say("one")
    time.sleep(0.3)
    for number in range(3):
        say("x" * 100_000)
        code = stream(sys.executable, "-c", "print('y' * 100_000, flush=True); print('z', flush=True)")
        assert code == 0, code
    say("last", error=True)
    Path("done").touch()
"""

STAGE = """import sys, time
from pathlib import Path
from serving.rows.errors import run_stage
def stage():
    print("one", flush=True)
    time.sleep(0.3)
    print("x" * 1_000_000)
    print("last", file=sys.stderr)
    Path("done").touch()
run_stage(stage)
"""


@pytest.mark.parametrize("work", [WORK, STAGE], ids=["gitops", "model"])
@pytest.mark.parametrize("errors", ["", "2>&1 "], ids=["stdout", "both"])
def test_work_goes_on_when_the_reader_leaves(tmp_path: Path, errors: str, work: str) -> None:
    env = environment(tmp_path / "home") | {"PYTHONPATH": str(SOURCE)}
    (tmp_path / "work.py").write_text(work)
    line = f"{sys.executable} work.py {errors}| head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "one\n") and (tmp_path / "done").exists()
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("command", ["--help", "status --json", "nonsense"])
def test_a_command_that_only_prints_ends_quietly(tmp_path: Path, command: str) -> None:
    env = environment(tmp_path / "home") | {"PYTHONPATH": str(SOURCE)}
    run("git", "init", "--quiet", cwd=tmp_path, env=env)
    line = f"{sys.executable} -m gitops {command} 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, text=True, capture_output=True)
    assert done.returncode in (0, 2) and done.stderr == ""


def test_a_letter_that_the_terminal_has_not_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORK.replace('say("one")', 'say("› œ")'))
    env = environment(tmp_path / "home") | {"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "ascii"}
    assert run(sys.executable, "work.py", cwd=tmp_path, env=env).startswith("? ?\n") and (tmp_path / "done").exists()


def test_a_models_code_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/spy.py").write_text("import json, os\njson.dump(dict(os.environ), open('seen.json', 'w'))\n")
    given = {"OMP_NUM_THREADS": "1", "DATABASE": "sqlite://", "KEYBOARD": "us"}
    secrets = (
        "GITHUB_TOKEN",
        "REGISTRY_PASSWORD",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_RUNTIME_URL",
        "SERVICE_KEYS",
    )
    cloud = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS")
    for name, value in (given | dict.fromkeys((*secrets, *cloud), "s3cret")).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(scoring.ScoringFailed, match="it left no table"):
        scoring.score("python -m spy", tmp_path / "rows", tmp_path, (sys.executable,))
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert {name: seen[name] for name in given} == given and "s3cret" not in seen.values()
    bucket = shell.without_secrets(bucket=True)
    assert set(cloud) <= set(bucket) and not set(secrets) & set(bucket), "what brings data from a bucket is kept there"
