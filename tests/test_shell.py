"""Output that nobody reads, or that a terminal can't show, ends no work half way."""

import subprocess
import sys
from pathlib import Path

import pytest
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
