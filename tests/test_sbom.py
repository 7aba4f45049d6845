"""The bill of materials: valid CycloneDX, the same bytes each time, and it names what the release is made of."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from gitops.release import sbom
from gitops.shell import CommandError
from laptop import Laptop
from released import IMAGE, release

pytestmark = pytest.mark.slow


def valid(text: str) -> bool:
    """Check against CycloneDX's own schema, with one address of each package: checking all takes half a minute."""
    document: dict[str, Any] = json.loads(text)
    for component in document["components"]:
        component["externalReferences"] = component.get("externalReferences", [])[:1]
    return JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(document)) is None


def test_it_names_the_image_the_model_the_data_and_every_package(on_laptop: Laptop) -> None:
    release(on_laptop, "1.0.0", "the first release")
    text = on_laptop.read("dist/sbom.cdx.json")
    assert valid(text)
    document: dict[str, Any] = json.loads(text)
    root = document["metadata"]["component"]
    assert (root["type"], root["version"], root["hashes"]) == (
        "container",
        "1.0.0",
        [{"alg": "SHA-256", "content": "a" * 64}],
    )
    model = next(part for part in document["components"] if part["type"] == "machine-learning-model")
    content = (on_laptop.path / "build/model.bin").read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    digests = {"MD5": md5, "SHA-256": hashlib.sha256(content).hexdigest()}
    assert {entry["alg"]: entry["content"] for entry in model["hashes"]} == digests
    metrics = {one["type"]: one["value"] for one in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics == {name: str(value) for name, value in json.loads(on_laptop.read("metrics.json")).items()}
    assert {"name": "parameter:model.kind", "value": "linear"} in model["properties"]
    data = next(part for part in document["components"] if part["type"] == "data")
    table = hashlib.md5((on_laptop.path / "data/table.csv").read_bytes(), usedforsecurity=False).hexdigest()
    assert (data["name"], data["hashes"]) == ("data/table.csv", [{"alg": "MD5", "content": table}])
    packages = {f"{part['name']}=={part['version']}" for part in document["components"] if part["type"] == "library"}
    export = on_laptop.run("uv export --locked --quiet --only-group serve --no-emit-project --no-hashes --no-header")
    assert packages == set(re.findall(r"^[a-z][^ ;\n]*==[^ ;\n]+", export, re.MULTILINE)) and len(packages) > 40
    assert sbom.read(text) == {"version": "1.0.0", "image": IMAGE, "model": md5}
    needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert model["bom-ref"] in needs[root["bom-ref"]] and needs[model["bom-ref"]] == [data["bom-ref"]]
    assert any(ref.startswith("onnxruntime") for ref in needs[root["bom-ref"]])


def test_the_same_commit_gives_the_same_bytes(on_laptop: Laptop) -> None:
    release(on_laptop, "1.0.0", "the first release", image="")
    first = on_laptop.read("dist/sbom.cdx.json")
    on_laptop.run("git tag --delete churn-model@v1.0.0")
    on_laptop.env["TZ"] = "Asia/Tokyo"
    release(on_laptop, "1.0.0", "the first release", image="")
    assert on_laptop.read("dist/sbom.cdx.json") == first
    assert json.loads(first)["metadata"]["component"]["type"] == "application"


SYFT = """#!/bin/sh
[ "$1" = "registry:$IMAGE" ] || { echo "no such image" >&2; exit 1; }
echo '{"bomFormat": "CycloneDX"}' > "${4#cyclonedx-json=}"
"""


def test_syft_lists_the_image_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sbom.image_sbom(IMAGE, tmp_path) is None
    (tmp_path / "syft").write_text(SYFT)
    (tmp_path / "syft").chmod(0o755)
    monkeypatch.setenv("IMAGE", IMAGE)
    made = sbom.image_sbom(IMAGE, tmp_path)
    assert made == tmp_path / "image.cdx.json" and made.exists()
    with pytest.raises(CommandError, match="syft can't list what lies in other@sha256:0: no such image"):
        sbom.image_sbom("other@sha256:0", tmp_path)
