"""`model score` is killed at random moments by SIGKILL, and its output is the one of an undisturbed run."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from laptop import Laptop

pytestmark = pytest.mark.slow

KILLS = 10


def start(laptop: Laptop, out: str, workers: int) -> subprocess.Popen[bytes]:
    """Start scoring in parts so small that there are many; the number of workers must not matter."""
    command = f"python -m model score rows.csv {out} --batch-rows 25 --workers {workers}".split()
    return subprocess.Popen(command, cwd=laptop.path, env=laptop.env, stderr=subprocess.PIPE, start_new_session=True)


def alive(session: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it just ended
        if int(own) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def test_killed_ten_times_it_writes_the_same_bytes(on_laptop: Laptop) -> None:
    rows = pd.read_parquet(on_laptop.path / "build/table.parquet")
    rows.loc[rows.index % 100 == 5, "monthly_charges"] = -1.0
    lines = rows.to_csv(index=False).splitlines(keepends=True)
    lines[50::100] = [f"{line.strip()},and one cell more\n" for line in lines[50::100]]
    on_laptop.write("rows.csv", "".join(lines))
    whole = start(on_laptop, "whole.csv", 1)
    assert whole.wait() == 0, whole.communicate()
    dice, killed, kept = random.Random(), 0, list[int]()
    parts = on_laptop.path / "scores.csv.parts/scores"
    while killed < KILLS:
        run = start(on_laptop, "scores.csv", 3 if killed == KILLS // 2 else 2)
        until = len(list(parts.glob("*"))) + dice.randrange(12)
        while run.poll() is None and len(list(parts.glob("*"))) <= until:
            time.sleep(0.01)
        time.sleep(dice.random() * 0.02)
        assert run.poll() is None, run.communicate()
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        killed += 1
        deadline = time.monotonic() + 10
        while left := alive(run.pid):  # workers end with the run that started them
            assert time.monotonic() < deadline, left
            time.sleep(0.02)
        kept.append(len(list(parts.glob("*"))))
        assert not (on_laptop.path / "scores.csv").exists()
    assert kept == sorted(set(kept))  # each went on from where the last one was killed
    last = start(on_laptop, "scores.csv", 2)
    _, said = last.communicate()
    assert last.returncode == 0 and b"goes on where it stopped" in said, said
    for name in ("scores.csv", "scores.csv.errors.csv"):
        expected = (on_laptop.path / name.replace("scores", "whole")).read_bytes()
        assert (on_laptop.path / name).read_bytes() == expected
        assert expected.count(b"\n") > 50
    assert not list(on_laptop.path.glob("scores.csv.parts*"))
