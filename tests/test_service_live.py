"""The service over a real socket: keys, what others see of it, its contract, and the calls that its page shows."""

import http.client
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import promql
import pytest
import yaml
from harness import Failed, missing, needs, run
from laptop import Laptop
from serving import Service, proxied, schemathesis, served

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Live:
    """The service, listening on every address, with the only key that it knows so far."""

    laptop: Laptop
    service: Service
    keys: Path
    key: str

    def ask(self, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
        return self.service.ask(path, body, self.key, **more)


@pytest.fixture(scope="module")
def live(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    laptop = Laptop(champion, folder)
    key, digest = new_key(laptop)
    keys = folder / "keys"
    keys.write_text(digest)
    everywhere = "0.0.0.0"  # noqa: S104 - that is the point
    with served(laptop.path, laptop.env, host=everywhere, SERVICE_KEYS_FILE=str(keys)) as service:
        yield Live(laptop, service, keys, key)


def new_key(laptop: Laptop) -> tuple[str, str]:
    """Make a key as operations do."""
    words = laptop.run("python -m model key").split()
    return words[1], words[words.index("digest") + 1]


def request(live: Live) -> dict[str, Any]:
    """Return the request that the page for callers shows."""
    shown = re.search(r"(?s)```json\n(.*?)```", live.laptop.read("docs/api.md"))
    assert shown
    return dict(json.loads(shown[1]))


def test_who_comes_by_loopback_needs_a_key_too_since_a_proxy_does(live: Live) -> None:
    assert live.service.address.startswith("http://127.0.0.1:")
    for path in ("/predict", "/metrics", "/docs.json", "/"):
        assert live.service.ask(path, request(live) if path == "/predict" else None)[0] == 401, path
    assert live.ask("/predict", request(live))[0] == 200
    assert live.service.ask("/predict", request(live), live.key[:-1] + "x")[0] == 401
    assert {live.service.ask(path)[0] for path in ("/livez", "/readyz", "/healthz")} == {200}


def test_a_key_is_rotated_and_revoked_while_it_runs(live: Live) -> None:
    old = live.keys.read_text()
    key, digest = new_key(live.laptop)
    assert live.service.ask("/predict", request(live), key)[0] == 401
    live.keys.write_text(f"{old}\n{digest}\n")
    assert live.service.ask("/predict", request(live), key)[0] == 200
    live.keys.write_text(old)
    assert live.service.ask("/predict", request(live), key)[0] == 401
    assert live.ask("/predict", request(live))[0] == 200
    log = live.service.log.read_text()
    assert "SERVICE_KEYS_FILE: 2 keys known" in log
    assert not [secret for secret in (key, digest, live.key, old) if secret in log]


def test_what_operations_see_of_a_request(live: Live) -> None:
    def count(name: str) -> float:
        found = re.findall(rf"(?m)^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", live.ask("/metrics")[1])
        return sum(map(float, found))

    names = ("model_records_total", "model_score_count", 'model_rejected_total{reason="extra_forbidden"}')
    before, lines = [count(name) for name in names], live.service.log.read_text().count('{"event":"prediction"')
    query = request(live)
    answer = json.loads(live.ask("/predict", query)[1])
    query["records"][0]["name"] = "Jane Doe"
    status, refusal = live.ask("/predict", query)
    assert status == 400 and json.loads(refusal)["detail"][0]["loc"] == ["records", 0, "name"]
    assert [count(name) for name in names] == [number + 1 for number in before]
    live.ask("/nobody-asks-for-this")
    shown = live.ask("/metrics")[1]
    assert 'model_requests_total{path="/predict",status="400"}' in shown
    assert "nobody" not in shown, "a label's values would fill the memory"
    log = live.service.log.read_text()
    assert log.count('{"event":"prediction"') == lines + 1
    last = json.loads([line for line in log.splitlines() if line.startswith('{"event"')][-1])
    assert last.pop("time") and last == {
        "event": "prediction",
        "model_version": answer["model_version"],
        "score": answer["predictions"][0]["score"],
        "label": answer["predictions"][0]["label"],
    }
    assert not re.search("Jane|A-1|Traceback", log)


def test_alerts_and_dashboard_read_metrics_that_the_service_has(live: Live) -> None:
    live.ask("/predict", request(live))
    live.ask("/predict", {"records": []})
    shown = re.findall(r"(?m)^(\w+)(?:\{(.*)\})? \S+$", live.ask("/metrics")[1])
    labels = {name: set(re.findall(r'(\w+)="', found)) for name, found in shown}
    labels["up"] = set()  # Prometheus' own, for each pod
    parts = live.laptop.path / "deploy/components"
    asked = promql.rule_expressions(yaml.safe_load((parts / "alerts/prometheus-rule.yaml").read_text()))
    asked += promql.dashboard_expressions(json.loads((parts / "dashboard/dashboard.json").read_text()))
    read = [selector for expression in asked for selector in promql.selectors(expression)]
    assert {name for name, _ in read} <= set(labels)
    added = {"job", "namespace"}  # by Prometheus, to whatever it reads
    assert not [(name, found) for name, found in read if not found <= labels[name] | added]
    own = {re.sub("_(bucket|count|sum|total)$", "", name) for name in labels if name.startswith("model_")}
    assert own <= {re.sub("_(bucket|count|sum|total)$", "", name) for name, _ in read}, "one that nobody looks at"


def test_the_service_shows_the_committed_contract(live: Live) -> None:
    assert json.loads(live.ask("/docs.json")[1]) == json.loads(live.laptop.read("openapi.json"))
    assert "static_content/swagger" in live.ask("/")[1]


def raw(live: Live, text: bytes) -> bytes:
    """Send bytes, say that no more will come, and return what the service sends back."""
    with socket.create_connection(
        (urlsplit(live.service.address).hostname, urlsplit(live.service.address).port)
    ) as wire:
        wire.settimeout(20)
        wire.sendall(text)
        wire.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: wire.recv(65_536), b""))


def test_broken_and_huge_bodies_leave_it_standing(live: Live) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {live.key}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    for text in (head + b"Content-Length: 900\r\n\r\n{", chunked + b"zz\r\n", chunked + b"5\r\n{", b"\x16\x03\x01\x00"):
        answer = raw(live, text)
        assert not answer or re.match(rb"HTTP/1\.1 4\d\d ", answer), answer
    assert re.search(
        rb'(?s)^HTTP/1\.1 400 .*x-request-id: .*{"error":"[^"]+","detail":\[\]}$', raw(live, b"HELLO\r\n\r\n")
    )
    huge = b'{"records": "' + b"x" * 30_000_000 + b'"}'
    wire = http.client.HTTPConnection(urlsplit(live.service.address).netloc, timeout=30)
    wire.request("POST", "/predict", huge, {"Authorization": f"Bearer {live.key}", "Content-Type": "application/json"})
    answered = wire.getresponse()
    assert answered.status == 413 and b"bytes: send fewer records at once" in answered.read()
    assert live.ask("/predict", request(live))[0] == 200
    assert "Traceback" not in live.service.log.read_text()


def test_made_up_requests_are_answered_as_the_contract_says(live: Live, tmp_path: Path) -> None:
    cases, told = schemathesis(live.laptop.path / "openapi.json", live.service, live.key, 60, tmp_path, timeout=120)
    assert cases >= 250, told[-5000:]


@pytest.mark.parametrize("way", ["curl", "python", "typescript", "typed client"])
def test_the_calls_of_the_page_for_callers(live: Live, tmp_path: Path, way: str) -> None:
    page = live.laptop.read("docs/api.md")
    (tmp_path / "request.json").write_text(json.dumps(request(live)))
    language, block, prepare = {
        "curl": ("sh", -1, shell),
        "python": ("python", 0, python),
        "typescript": ("typescript", 0, typescript),
        "typed client": ("python", 1, python),
    }[way]
    if way == "typed client":
        (generate,) = re.findall(r"(?m)^\$ (uvx .*)", page)
        shutil.copy(live.laptop.path / "openapi.json", tmp_path)
        run(*generate.split(), cwd=tmp_path, env=live.laptop.env)
    command = prepare(tmp_path, re.findall(rf"(?s)```{language}\n(.*?)```", page)[block])
    env = live.laptop.env | {"SERVICE_URL": live.service.address, "SERVICE_KEY": live.key}
    answer = live.ask("/predict", request(live))[1]
    prediction = json.loads(answer)["predictions"][0]

    def told(address: str) -> None:
        text = run(*command, cwd=tmp_path, env=env | {"SERVICE_URL": address})
        if way == "curl":
            assert json.loads(text)["predictions"] == [prediction] and len(prediction["reasons"]) == 3
        else:
            name, score = text.split()
            assert (name, float(score)) == (prediction["id"], prediction["score"])

    told(live.service.address)
    with pytest.raises(Failed, match="401.*Authorization: Bearer KEY"):
        run(*command, cwd=tmp_path, env=env | {"SERVICE_KEY": "wrong"})
    with proxied(answer.encode(), [502, 0, 429]) as (address, times):
        told(address)
    assert len(times) == 4 and times[3] - times[2] > max(0.9, times[1] - times[0]), "it waits, and longer each time"
    for status in (404, 413):
        with proxied(b"", [status]) as (address, times), pytest.raises(Failed, match=rf"\b{status}\b") as failed:
            run(*command, cwd=tmp_path, env=env | {"SERVICE_URL": address})
        assert len(times) == 1 and "Traceback" not in str(failed.value), "the same would come back"


def shell(folder: Path, text: str) -> list[str]:
    needs("curl")
    (folder / "call.sh").write_text(text)
    return ["bash", "-e", "call.sh"]


def python(folder: Path, text: str) -> list[str]:
    (folder / "call.py").write_text(text)
    return ["python", "call.py"]


def typescript(folder: Path, text: str) -> list[str]:
    """Check the types, strictly, and compile."""
    needs("node")
    libraries = Path(os.environ.get("NPM_LIBRARIES", "none")) / "node_modules"
    compiler = libraries / ".bin/tsc"
    if not compiler.exists():
        missing("TypeScript (npm install it into NPM_LIBRARIES, as .ci/run does)")
    (folder / "call.ts").write_text(text)
    (folder / "package.json").write_text('{"type": "module"}')
    options = {"strict": True, "target": "es2022", "module": "nodenext", "typeRoots": [str(libraries / "@types")]}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options | {"types": ["node"]}}))
    run(compiler, "--project", folder, cwd=folder, env=dict(os.environ))
    assert shutil.which("node")
    return ["node", "call.js"]
