"""How fast does the service answer, beside what others serve the same model with?

`python tests/bench/serving.py` trains the project with gradient boosting and serves that one model in six ways. Ours
has its keys, checks, metrics and a log line for each prediction; the peers, in `tests/bench/peers/`, have neither keys
nor a log. Each server has one worker and is held to one core, wrk has another one. All are started once and stay, idle
while their turn has not come; they take turns in every round, and each figure is the median of the rounds. Before the
clock runs all must give the same scores for the same rows, and an answer that is not 2xx ends the run. `ready` is the
time from the command to the first prediction, `MB` the proportional set size of all its processes after the load.
`echo` only sends the body back: the limit of the server below all of them.
"""

import json
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

ROUNDS = 5
SECONDS = 3
CELLS = {"1 row, 8 clients": (1, 8), "100 rows, 8 clients": (100, 8), "1 row, 64 clients": (1, 64)}
BODIES = 100  # different ones, sent in turn
AGREE = 1e-5  # the largest difference of a score
START = 120  # seconds at most
PEERS = Path(__file__).parent / "peers"
LUA = Path(__file__).with_name("post.lua")
PINS = (
    "bentoml==1.4.40",
    "fastapi==0.163.0",
    "mlflow==3.17.2",
    "numpy==2.4.6",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "pandas==3.1.1",
    "scikit-learn==1.9.1",
    "uvicorn[standard]==0.54.0",
)
NEWEST = "2026-11-15T00:00:00Z"  # as in the generated pyproject.toml
QUIET = {"BENTOML_DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


@dataclass(frozen=True)
class Server:
    """A way to serve the model: how it starts, what it is sent, and where its answer holds the scores."""

    name: str
    command: str  # with {port}
    scores: Callable[[Any], list[float]]
    path: str = "/predict"
    body: Callable[[list[dict[str, Any]]], dict[str, Any]] = lambda rows: {"records": rows}


def tensors(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows as the model's two matrices: MLflow's ONNX flavour takes no frame that has texts."""
    values = [[value for name, value in row.items() if name != "customer_id"] for row in rows]
    texts = [[value for value in row if isinstance(value, str)] for row in values]
    numbers = [
        [math.nan if value is None else float(value) for value in row if not isinstance(value, str)] for row in values
    ]
    return {"inputs": {"numbers": numbers, "categories": texts}}


UVICORN = "uvicorn --no-access-log --port {port} "
MLFLOW = "mlflow models serve --env-manager local --port {port} --model-uri "
SERVERS = (
    Server(
        "ours", "bentoml serve serving.service:Model --port {port}", lambda a: [p["score"] for p in a["predictions"]]
    ),
    Server(
        "MLflow, scikit-learn",
        MLFLOW + "mlflow-sklearn",
        lambda a: [row[1] for row in a["predictions"]],
        "/invocations",
        lambda rows: {"dataframe_records": rows},
    ),
    Server(
        "MLflow, ONNX",
        MLFLOW + "mlflow-onnx",
        lambda a: [row[1] for row in a["predictions"]["probabilities"]],
        "/invocations",
        tensors,
    ),
    Server("BentoML, pandas, scikit-learn", "bentoml serve bento_pandas:Churn --port {port}", list),
    Server("FastAPI, pandas, scikit-learn", UVICORN + "fastapi_pandas:app", lambda a: list(a["scores"])),
    Server("FastAPI, ONNX", UVICORN + "fastapi_onnx:app", lambda a: list(a["scores"])),
    Server("echo", UVICORN + "echo:app", lambda a: []),
)


@dataclass
class Running:
    """A started server, and what has been measured of it."""

    server: Server
    url: str
    process: int
    ready: float
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def median(self, cell: str, what: str) -> float:
        return statistics.median(one[what] for one in self.rounds[cell])


def main() -> None:
    """Print one Markdown table."""
    cores = sorted(os.sched_getaffinity(0))
    if not shutil.which("wrk"):
        sys.exit("error: wrk is missing: apt-get install wrk")
    if len(cores) < 2:
        sys.exit("error: one core is too few: the servers need one and wrk another")
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        rows, key, environments = prepare(folder)
        running = []
        for server in SERVERS:
            say(f"starting {server.name}")
            cwd, env = environments[server.name == "ours"]
            running.append(stack.enter_context(started(server, cwd, env, cores[0], key, rows)))
        agree(running, rows, key)
        measure(running, rows, key, folder, cores[1])
        print(table(running))


def prepare(folder: Path) -> tuple[list[dict[str, Any]], str, list[tuple[Path, dict[str, str]]]]:
    """Return rows, a key, and where the peers and ours run: folder, with what they serve in it, and environment."""
    from harness import PYTHON, environment, run
    from laptop import Laptop, from_template

    say("training the project")
    from_template(folder)
    project = Laptop(folder / "trained", folder)
    project.replace("params.yaml", "kind: linear ", "kind: gradient_boosting ")
    project.run("dvc repro --quiet")
    served = shutil.copytree(PEERS, folder / "peers")
    project.run(f"python {served / 'fit.py'} {served}")
    say("installing the peers")
    env = environment(folder / "peers-home") | {"VIRTUAL_ENV": str(folder / "venv")}
    env["PATH"] = f"{folder / 'venv/bin'}{os.pathsep}{env['PATH']}"
    run("uv", "venv", "--quiet", "--python", PYTHON, str(folder / "venv"), cwd=served, env=env)
    run("uv", "pip", "install", "--quiet", "--exclude-newer", NEWEST, *PINS, cwd=served, env=env, timeout=600)
    run("python", "mlflow_models.py", str(served), cwd=served, env=env)
    words = project.run("python -m model key").split()
    ours = project.env | {"SERVICE_KEYS": words[words.index("digest") + 1]}
    rows = json.loads((served / "rows.json").read_text())
    return rows, words[1], [(served, env), (project.path, ours)]


@contextmanager
def started(
    server: Server, cwd: Path, env: dict[str, str], core: int, key: str, rows: list[dict[str, Any]]
) -> Iterator[Running]:
    """Start a server on one core, and stop it in the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = cwd.parent / f"{port}.log"
    command = ["taskset", "--cpu-list", str(core), *server.command.format(port=port).split()]
    with log.open("w") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env | QUIET, stdout=output, stderr=output, start_new_session=True
        )
    running = Running(server, f"http://127.0.0.1:{port}{server.path}", process.pid, 0.0)
    try:
        while True:
            try:
                ask(running, rows[:1], key)
                break
            except urllib.error.HTTPError as refusal:
                sys.exit(f"error: {server.name} answers {refusal.code}: {refusal.read().decode()[:2000]}")
            except OSError:
                running.ready = time.perf_counter() - begun
                if process.poll() is not None or running.ready > START:
                    sys.exit(f"error: {server.name} does not answer:\n{log.read_text()[-3000:]}")
                time.sleep(0.05)
        running.ready = time.perf_counter() - begun
        yield running
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def ask(running: Running, rows: list[dict[str, Any]], key: str) -> list[float]:
    """Return a server's scores."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(running.url, json.dumps(running.server.body(rows)).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return running.server.scores(json.load(answer))


def agree(running: list[Running], rows: list[dict[str, Any]], key: str) -> None:
    """Stop unless all give the scores that ours does."""
    expected = ask(running[0], rows, key)
    for one in running[1:-1]:
        found = ask(one, rows, key)
        difference = max(abs(a - b) for a, b in zip(expected, found, strict=True))
        say(f"{one.server.name} differs from ours by {difference:.1e}")
        if not difference <= AGREE:
            sys.exit(f"error: {one.server.name} serves another model: a score differs by {difference}")


def measure(running: list[Running], rows: list[dict[str, Any]], key: str, folder: Path, core: int) -> None:
    """Let the servers take turns, once to warm up and then in rounds."""
    for number in range(ROUNDS + 1):
        for cell, (size, clients) in CELLS.items():
            for one in running:
                bodies = folder / "bodies"
                bodies.write_text("".join(json.dumps(one.server.body(part)) + "\n" for part in parts(rows, size)))
                found = wrk(one.url, bodies, key, clients, core, SECONDS if number else 1)
                if found["failed"]:
                    sys.exit(f"error: {one.server.name} failed {found['failed']:.0f} of {found['requests']} requests")
                if number:
                    one.rounds.setdefault(cell, []).append(found)
        say(f"round {number} of {ROUNDS}" if number else "warmed up")


def parts(rows: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    """Return different bodies of so many rows."""
    return [(rows + rows)[start : start + size] for start in range(BODIES)]


def wrk(url: str, bodies: Path, key: str, clients: int, core: int, seconds: int) -> dict[str, float]:
    """Load a server; return requests, rate and latencies in ms."""
    options = ["--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--timeout", "30s"]
    command = ["taskset", "--cpu-list", str(core), "wrk", *options, "--script", str(LUA), url]
    done = subprocess.run([*command, "--", str(bodies), f"Bearer {key}"], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"rate": found["requests"] / found["seconds"]}


def table(running: list[Running]) -> str:
    """Return the results; in brackets the rate over that of MLflow with scikit-learn."""
    from memory import pss

    base = next(one for one in running if one.server.name == "MLflow, scikit-learn")
    lines = [
        "| |" + "".join(f" {cell}: requests/s | p50 / p99, ms |" for cell in CELLS) + " ready, s | MB |",
        "|---|" + "---:|" * (2 * len(CELLS) + 2),
    ]
    for one in running:
        cells = [one.server.name]
        for cell in CELLS:
            rate = one.median(cell, "rate")
            cells.append(f"{rate:,.0f} ({rate / base.median(cell, 'rate'):.1f}x)")
            cells.append(f"{one.median(cell, 'p50'):.1f} / {one.median(cell, 'p99'):.1f}")
        lines.append(f"| {' | '.join(cells)} | {one.ready:.1f} | {pss(one.process):.0f} |")
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"› {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
