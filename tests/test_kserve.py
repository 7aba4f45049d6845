"""The model file under KServe's own server: the manifest fits KServe's types, and the scores are those of the service.

Triton, which the manifest names, is in no package index; it runs ONNX Runtime behind the same protocol.
"""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import once
from harness import PYTHON, ROOT, environment, needs, run
from laptop import Laptop
from serving import served

pytestmark = pytest.mark.slow

PACKAGES = ["kserve==0.21.0", "onnxruntime==1.32.0"]
RUNTIME = ROOT / "tests/runtime"
ROWS = 100
START = 90  # seconds at most


@pytest.fixture(scope="module")
def python(shared: Path) -> Path:
    """Return the interpreter of an environment with KServe."""
    needs("uv")

    def install(folder: Path) -> None:
        env = environment(shared / "kserve-home")
        run("uv", "venv", "--quiet", "--python", PYTHON, folder, cwd=shared, env=env)
        words = ["uv", "pip", "install", "--quiet", "--exclude-newer", "2026-11-15", *PACKAGES]
        run(*words, "--python", folder, cwd=shared, env=env)

    return once(shared, "kserve", install) / "bin/python"


def test_the_inference_service_fits_kserves_types(python: Path, baked: Path) -> None:
    entry = yaml.safe_load((baked / "deploy/components/kserve/inference-service.yaml").read_text())

    def faults() -> list[str]:
        check = [str(python), str(RUNTIME / "check.py")]
        done = subprocess.run(check, input=json.dumps(entry), text=True, capture_output=True, check=True)
        return done.stdout.splitlines()

    assert faults() == []
    model = entry["spec"]["predictor"]["model"]
    model["runtim"], model["modelFormat"]["version"] = model.pop("runtime"), 1
    assert faults() == ["/spec/predictor/model has no runtim", "/spec/predictor/model/model_format/version is no str"]


def test_the_scores_are_those_of_the_service(python: Path, on_laptop: Laptop) -> None:
    columns = yaml.safe_load(on_laptop.read("schema.yaml"))["columns"]
    texts = [name for name, column in columns.items() if column["type"] == "category"]
    numbers = [name for name in columns if name not in texts]
    rows = pd.read_parquet(on_laptop.path / "build/holdout.parquet").dropna(subset=numbers).head(ROWS)
    tensors = [
        tensor("numbers", "FP32", rows[numbers].astype(float)),
        tensor("categories", "BYTES", rows[texts].astype(object)),
    ]
    with running(python, on_laptop.path / "build/model.bin", on_laptop.path.parent / "kserve.log") as address:
        last = ask(f"{address}/v2/models/model/infer", {"inputs": tensors})["outputs"][-1]
    scores = np.array(last["data"], np.float32).reshape(last["shape"])[:, -1]

    records = json.loads(rows.drop(columns="churn").to_json(orient="records"))
    with served(on_laptop.path, on_laptop.env) as service:
        answer = ask(f"{service.address}/predict", {"records": records})
    assert last["name"] == "probabilities" and last["shape"] == [ROWS, 2]
    np.testing.assert_allclose(scores, [row["score"] for row in answer["predictions"]], rtol=1e-7)
    assert np.ptp(scores) > 0.5


def ask(url: str, body: Any = None) -> Any:
    """Send one request and return the JSON of its answer."""
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def tensor(name: str, datatype: str, values: pd.DataFrame) -> dict[str, Any]:
    """Return a table as a tensor of the Open Inference Protocol."""
    data = values.to_numpy().ravel().tolist()
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": data}


@contextmanager
def running(python: Path, model: Path, log: Path) -> Iterator[str]:
    """Serve a model file by KServe for the length of the block, and give the address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = map(str, (python, RUNTIME / "onnx_server.py", model, "--model_name", "model", "--http_port", port))
    with log.open("w") as output:
        process = subprocess.Popen([*command, "--enable_grpc", "false"], stdout=output, stderr=output)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START
        while not ready(address):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.25)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def ready(address: str) -> bool:
    try:
        return bool(ask(f"{address}/v2/health/ready"))
    except OSError:
        return False
