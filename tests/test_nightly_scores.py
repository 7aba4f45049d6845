"""The component of the nightly job: valid, as safe as the service, with its image, and out of the callers' way."""

import contextlib
from pathlib import Path

import kubernetes_validate
import policy
import pytest
import yaml
from gitops.environments import manifests
from gitops.project import load
from gitops.shell import CommandError
from gitops.tags import Release
from harness import bake, environment, missing, run
from policy import Object

IMAGE = f"registry.example.com/acme/churn-model@sha256:{'a' * 64}"
NAME = "churn-model-nightly-scores"
RULES = (
    *("image by digest", "not root", "no privilege escalation", "read-only root", "no capabilities", "seccomp"),
    *("no service account token", "requests and limits", "a registry's password"),
)


@pytest.fixture(scope="module", params=[(), ("service-monitor", "ingress", "gateway", "openshift")], ids=str)
def made(template: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[Object]:
    """Return the objects of an environment with the component; `request.param`: and these others."""
    try:
        manifests._builder()
    except CommandError:
        missing("kustomize or kubectl")
    folder = tmp_path_factory.mktemp("nightly")
    env = environment(folder / "home")
    project = bake(template, folder, env)
    overlay = project / "deploy/overlays/production/kustomization.yaml"
    for name in ("nightly-scores", *request.param):
        line = f"- ../../components/{name}\n"
        assert f"# {line}" in overlay.read_text()
        overlay.write_text(overlay.read_text().replace(f"# {line}", line))
    run("git", "add", "--all", cwd=project, env=env)
    run("git", "commit", "--quiet", "-m", "Release", cwd=project, env=env)
    commit = run("git", "rev-parse", "HEAD", cwd=project, env=env)
    release = Release("churn-model@v1.2.0", "1.2.0", commit, "2026-11-20T12:00:00+00:00", "why", "f" * 64, IMAGE)
    with contextlib.chdir(project):
        files = manifests.render(load(), manifests.described(load(), release, "production", commit))
        assert manifests.images(files["manifests.yaml"]) == [IMAGE]  # one for the service and the job
    return list(yaml.safe_load_all(files["manifests.yaml"]))


def named(made: list[Object], kind: str, name: str) -> Object:
    (found,) = [entry for entry in made if (entry["kind"], entry["metadata"]["name"]) == (kind, name)]
    return found


def test_it_is_valid_and_as_safe_as_the_service(made: list[Object]) -> None:
    job = named(made, "CronJob", NAME)
    for entry in (job, named(made, "NetworkPolicy", NAME)):
        for version in ("1.30.0", "1.37.0"):
            kubernetes_validate.validate(entry, version, strict=True)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]
    service = policy.only(made, "Deployment")
    as_service = [entry for entry in made if entry["kind"] != "Deployment"]
    as_service.append(service | {"spec": service["spec"] | {"template": pod}})
    rules = policy.OPENSHIFT if any(entry["kind"] == "Route" for entry in made) else policy.RULES
    assert [rule for rule in RULES if not rules[rule](as_service)] == []
    (container,) = pod["spec"]["containers"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/scores"}  # noqa: S108
    claims = [volume["persistentVolumeClaim"] for volume in pod["spec"]["volumes"] if "emptyDir" not in volume]
    assert claims == [{"claimName": "churn-model-scores"}]


def test_it_has_the_environment_s_settings_and_gets_no_requests(made: list[Object]) -> None:
    pod = named(made, "CronJob", NAME)["spec"]["jobTemplate"]["spec"]["template"]
    (settings,) = pod["spec"]["containers"][0]["envFrom"]
    assert settings["configMapRef"]["name"] == policy.only(made, "ConfigMap")["metadata"]["name"]  # with its hash
    labels = pod["metadata"]["labels"]
    selector = policy.only(made, "Service")["spec"]["selector"]
    assert not selector.items() <= labels.items()
    closed = named(made, "NetworkPolicy", NAME)["spec"]
    assert closed["podSelector"]["matchLabels"].items() <= labels.items()
    assert closed["ingress"] == closed["egress"] == [] and set(closed["policyTypes"]) == {"Ingress", "Egress"}
