"""The service of a trained project, really listening, and what callers do with it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

START = 60  # seconds at most
HOOKS = "schemathesis_hooks"


@dataclass
class Service:
    """A running service: where it answers, the file that gets its output, its process, and what starts another one."""

    address: str
    log: Path
    process: subprocess.Popen[bytes]
    start: Callable[[], subprocess.Popen[bytes]]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def restart(self, patience: float) -> float:
        """Stop it as Kubernetes does, and start it again at the same place; return how many seconds it took to end.

        Raises:
            TimeoutExpired: it had not ended after `patience` seconds.
        """
        begun = time.monotonic()
        self.process.terminate()
        self.process.wait(patience)
        seconds = time.monotonic() - begun
        self.process = self.start()
        return seconds

    def ask(
        self, path: str, body: Any = None, key: str | None = None, content_type: str = "application/json"
    ) -> tuple[int, str]:
        """Send one request; bytes go as they are. Return status and text."""
        headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {key}"} if key else {})
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.address + path, data, headers), timeout=30
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()


HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"  # as proxies answer


@contextmanager
def proxied(answer: bytes, plan: list[int]) -> Iterator[tuple[str, list[float]]]:
    """Stand before a service: give each status of `plan` once, as a proxy's HTML, and then `answer`; 0 hangs up.

    Yields:
        The address, and the times of the requests.
    """
    times = list[float]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            times.append(time.monotonic())
            self.rfile.read(int(self.headers["Content-Length"]))
            status = plan[len(times) - 1] if len(times) <= len(plan) else 200
            self.close_connection = True
            if status:
                kind, body = ("application/json", answer) if status == 200 else ("text/html", HTML)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", times
        server.shutdown()


@contextmanager
def served(
    cwd: Path, env: dict[str, str], *prefix: str | Path, host: str = "127.0.0.1", **variables: str
) -> Iterator[Service]:
    """Serve a project's model as its README says; `prefix` comes ahead of the command, such as `uv run`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = cwd.parent / f"service-{port}.log"
    command = [*prefix, "bentoml", "serve", "serving.service:Model", "--host", host, "--port", str(port)]
    quiet = env | {"BENTOML_DO_NOT_TRACK": "1"} | variables

    def start() -> subprocess.Popen[bytes]:
        with log.open("a") as output:
            return subprocess.Popen(command, cwd=cwd, env=quiet, stdout=output, stderr=output, start_new_session=True)

    service, deadline = Service(f"http://127.0.0.1:{port}", log, start(), start), time.monotonic() + START
    try:
        while not _ready(service):
            assert service.process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.25)
        yield service
    finally:
        os.killpg(service.process.pid, signal.SIGTERM)
        service.process.wait(30)


def _ready(service: Service) -> bool:
    try:
        return service.ask("/readyz")[0] == 200
    except OSError:
        return False


def schemathesis(
    contract: Path, service: Service, key: str, examples: int, folder: Path, timeout: float
) -> tuple[int, str]:
    """Send made-up requests, good and bad, and hold each answer against the contract, with all of the tool's checks.

    `examples` is for its fuzzing; it tries some hundred cases of its own as well.

    Returns:
        The number of cases, 0 if an answer was wrong, and what the tool printed.
    """
    tool = Path(sys.executable).with_name("schemathesis")
    options = ["--checks", "all", "--max-examples", str(examples), "--continue-on-failure", "--no-color"]
    command: list[str | Path] = [
        tool,
        "run",
        contract,
        "--url",
        service.address,
        "--header",
        f"Authorization: Bearer {key}",
        *options,
    ]
    env = os.environ | {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout)
    cases = re.search(r"([\d,]+) generated", done.stdout)
    passed = done.returncode == 0 and cases
    return int(cases[1].replace(",", "")) if cases and passed else 0, done.stdout + done.stderr
