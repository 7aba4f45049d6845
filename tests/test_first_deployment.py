"""docs/deploy.md, followed from top to bottom, twice: its blocks run as they stand, against a cluster that only keeps.

`kubectl` makes the objects as ever (`--dry-run=client` needs no cluster); what goes to a cluster is kept by a stand-in.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT, TEMPLATE, environment, needs, run

NEEDS_MORE = ("argocd ", "flux ", "git fetch", "port-forward", "uv run", "secret tls")  # a server, a release, a file
KUBECTL = """#!{python}
import base64, json, os, pathlib, sys
import yaml

argv, store = sys.argv[1:], pathlib.Path("{store}")
value = lambda name: argv[argv.index(name) + 1]
if argv[0] == "create" and "--dry-run=client" in argv:
    os.execv("{kubectl}", ["kubectl", *argv])
held = json.loads(store.read_text())
if argv == ["apply", "--filename", "-"]:
    for entry in filter(None, yaml.safe_load_all(sys.stdin)):
        meta = entry["metadata"]
        key = "/".join([meta.get("namespace", ""), entry["kind"], meta["name"]])
        kept = held.setdefault(key, entry)
        kept["data"] = kept.get("data", {{}}) | entry.get("data", {{}})
elif argv[0] == "label":
    name, setting = argv[2], argv[3].split("=")
    held[f"/Namespace/{{name}}"]["metadata"].setdefault("labels", {{}})[setting[0]] = setting[1]
elif argv[0] == "patch" and value("--type") == "merge":
    patch, data = json.loads(value("--patch")), held["/".join([value("--namespace"), "Secret", argv[2]])]["data"]
    data |= {{name: base64.b64encode(text.encode()).decode() for name, text in patch.get("stringData", {{}}).items()}}
    for name in [name for name, text in patch.get("data", {{}}).items() if text is None]:
        data.pop(name, None)
elif argv[0] == "describe":
    print(*held["/".join([value("--namespace"), "Secret", argv[2]])]["data"], sep="\\n")
else:
    sys.exit(f"the stand-in has no {{argv}}")
store.write_text(json.dumps(held))
"""


class Cluster:
    """What would be in a cluster, and a shell with a `kubectl` that reaches it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store.json"
        self.store.write_text("{}")
        (folder / "bin").mkdir()
        tool = folder / "bin/kubectl"
        tool.write_text(KUBECTL.format(python=sys.executable, store=self.store, kubectl=shutil.which("kubectl")))
        tool.chmod(0o755)
        self.env = environment(folder / "home")
        self.env["PATH"] = f"{folder / 'bin'}{os.pathsep}{self.env['PATH']}"

    def shell(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], input="p4ss\n", text=True, capture_output=True, env=self.env
        )
        assert not done.returncode, done.stderr
        return done.stdout

    def held(self) -> dict[str, Any]:
        return dict(json.loads(self.store.read_text()))

    def keys(self, environment: str) -> dict[str, str]:
        """Return the callers of an environment, with what the Secret holds for them."""
        data = self.held()[f"churn-model-{environment}/Secret/churn-model-keys"]["data"]
        return {name: base64.b64decode(text).decode() for name, text in data.items()}


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    needs("kubectl", "bash")
    return Cluster(tmp_path)


def blocks(project: Path) -> list[str]:
    """Return the page's blocks of shell, in their order."""
    return re.findall(r"(?s)```sh\n(.*?)```", (project / "docs/deploy.md").read_text())


def test_the_page_makes_what_the_manifests_ask_for_and_may_be_pasted_again(baked: Path, cluster: Cluster) -> None:
    shell = [text for text in blocks(baked) if not any(word in text for word in NEEDS_MORE)]
    first, last = [i for i, text in enumerate(shell) if "stringData" in text or "null" in text]
    digest = hashlib.sha256(b"a key").hexdigest()
    setup = "\n".join(shell[:first])
    cluster.shell(setup)
    give = shell[first].replace("DIGEST", digest)
    assert "crm" in cluster.shell(f"{give}\n{shell[first + 1]}")
    before = cluster.held()
    assert cluster.shell(f"{setup}\n{give}") is not None and cluster.held() == before, "the second time changes nothing"
    assert cluster.keys("staging") == {"crm": digest} and cluster.keys("production") == {}

    more = give.replace("caller=crm", "caller=web-shop").replace("environment=staging", "environment=production")
    cluster.shell(f"{more}\n{more.replace('web-shop', 'crm')}")
    assert cluster.keys("production") == {"web-shop": digest, "crm": digest}
    cluster.shell(f"{setup}\nenvironment=production caller=crm\n{shell[last]}")
    assert cluster.keys("production") == {"web-shop": digest}, "one caller's key is gone, the other's is as it was"

    made = cluster.held()
    manifests = yaml.safe_load((baked / "deploy/base/deployment.yaml").read_text())
    pod = manifests["spec"]["template"]["spec"]
    (registry,), (keys,) = pod["imagePullSecrets"], [one["secret"] for one in pod["volumes"] if "secret" in one]
    for place in ("staging", "production"):
        namespace = f"churn-model-{place}"
        settings = yaml.safe_load((baked / f"deploy/overlays/{place}/kustomization.yaml").read_text())
        assert settings["namespace"] == namespace
        labels = made[f"/Namespace/{namespace}"]["metadata"]["labels"]
        assert labels == {"pod-security.kubernetes.io/enforce": "restricted"}
        pulls = made[f"{namespace}/Secret/{registry['name']}"]
        login = json.loads(base64.b64decode(pulls["data"][".dockerconfigjson"]))["auths"]["ghcr.io"]
        assert pulls["type"] == "kubernetes.io/dockerconfigjson" and login["password"] == "p4ss"
        assert f"{namespace}/Secret/{keys['secretName']}" in made


def test_the_certificate_is_where_the_ingress_looks_for_it(baked: Path, cluster: Cluster) -> None:
    (block,) = [text for text in blocks(baked) if "secret tls" in text]
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "2"),
        *("-keyout", "tls.key", "-out", "tls.crt"),
        cwd=cluster.folder,
        env=cluster.env,
    )
    cluster.shell(f"cd {cluster.folder}\n{block}\n{block}")
    (ingress,) = yaml.safe_load_all((baked / "deploy/components/ingress/ingress.yaml").read_text())
    held = cluster.held()[f"churn-model-production/Secret/{ingress['spec']['tls'][0]['secretName']}"]
    assert held["type"] == "kubernetes.io/tls" and set(held["data"]) == {"tls.crt", "tls.key"}


def test_the_page_tells_every_component_and_every_name_in_it_exists(baked: Path) -> None:
    page = (baked / "docs/deploy.md").read_text()
    components = {path.name for path in (baked / "deploy/components").iterdir()}
    assert components == set(re.findall(r"(?m)^\| `([\w-]+)` \|", page))
    for name in re.findall(r"\[[^\]]+\]\(([\w./-]+)\)", page):
        assert (baked / "docs" / name).exists(), name
    for name in re.findall(r"deploy/[\w/.-]+\.yaml", page):
        optional = "{% if cookiecutter.gitops_engine == '" + Path(name).stem + "' %}"
        there = [path.name for path in (ROOT / TEMPLATE / "deploy").iterdir()]
        assert (baked / name).exists() or any(found.startswith(optional) for found in there), name
