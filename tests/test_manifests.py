"""What a release looks like to a cluster: each environment and option is valid, safe, and fits together."""

import contextlib
import copy
import functools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import policy
import pytest
import yaml
from gitops.environments import manifests
from gitops.environments.branches import ENVIRONMENTS
from gitops.project import load
from gitops.shell import CommandError
from gitops.tags import Release
from harness import bake, environment, missing, run
from policy import Object

IMAGE = f"registry.example.com:5000/acme/churn-model@sha256:{'a' * 64}"
CLUSTERS = ["1.32.0", "1.37.0"]
MONITOR = "components: [../../components/service-monitor]"
CUSTOM = {"ServiceMonitor", "Application", "GitRepository", "Kustomization"}  # no schema of Kubernetes' own

pytestmark = pytest.mark.parametrize("place", ENVIRONMENTS)


Rendered = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def generated(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Generate a project with an engine, once: `generated(engine)`; it is a repository with one commit."""

    @functools.cache
    def generate(engine: str) -> Path:
        folder = tmp_path_factory.mktemp(engine)
        env = environment(folder / "home")
        project = bake(template, folder, env, gitops_engine=engine, github_owner="acme-data")
        run("git", "add", "--all", cwd=project, env=env)
        run("git", "commit", "--quiet", "-m", "Release", cwd=project, env=env)
        return project

    return generate


@pytest.fixture(scope="module")
def rendered(generated: Callable[[str], Path]) -> Rendered:
    """Render a project's manifests: `rendered(place, engine, monitor)`."""
    try:
        manifests._builder()
    except CommandError:
        missing("kustomize or kubectl")

    @functools.cache
    def render(place: str, engine: str = "none", monitor: bool = False) -> dict[str, str]:
        project = generated(engine)
        env, overlay = environment(project.parent / "home"), project / f"deploy/overlays/{place}/kustomization.yaml"
        run("git", "checkout", "--quiet", "main", "--", ".", cwd=project, env=env)
        run("git", "switch", "--quiet", "--detach", "main", cwd=project, env=env)
        assert f"# {MONITOR}" in overlay.read_text()
        if monitor:
            overlay.write_text(overlay.read_text().replace(f"# {MONITOR}", MONITOR))
            run("git", "commit", "--quiet", "--all", "-m", "Monitor", cwd=project, env=env)
        overlay.write_text("not: what was released\n")
        commit = run("git", "rev-parse", "HEAD", cwd=project, env=env)
        date, tag = "2026-11-20T12:00:00+00:00", "churn-model@v1.2.0"
        with contextlib.chdir(project):
            release = Release(tag, "1.2.0", commit, date, "a model", "f" * 64, IMAGE)
            return manifests.render(load(), manifests.described(load(), release, place, commit))

    return render


def objects(files: dict[str, str]) -> list[Object]:
    """Parse the manifests."""
    return list(yaml.safe_load_all(files["manifests.yaml"]))


def valid(entry: Object) -> None:
    """Assert that the oldest and the newest cluster take an object, with no field that they do not know."""
    for version in CLUSTERS:
        kubernetes_validate.validate(entry, version, strict=True)


@pytest.mark.parametrize("monitor", [False, True], ids=["plain", "service-monitor"])
@pytest.mark.parametrize("engine", ["none", "argocd", "flux"])
def test_every_option_is_valid_and_keeps_the_policy(
    rendered: Rendered, generated: Callable[[str], Path], place: str, engine: str, monitor: bool
) -> None:
    made = objects(rendered(place, engine, monitor))
    assert policy.violations(made) == []
    assert policy.container(made)["image"] == IMAGE
    assert len(made) == len(policy.KINDS) + monitor
    engine_files = list((generated(engine) / "deploy").glob("*.yaml"))
    assert [path.stem for path in engine_files] == ([] if engine == "none" else [engine])
    rest = [entry for path in engine_files for entry in yaml.safe_load_all(path.read_text())]
    for entry in [*made, *rest]:
        if entry["kind"] not in CUSTOM:
            valid(entry)


def test_the_parts_find_each_other(rendered: Rendered, place: str) -> None:
    made = objects(rendered(place, "none", True))
    deployment, service, monitor = (policy.only(made, kind) for kind in ("Deployment", "Service", "ServiceMonitor"))
    labels, selector = deployment["spec"]["template"]["metadata"]["labels"], {"app.kubernetes.io/name": "churn-model"}
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        policy.only(made, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        policy.only(made, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        policy.pod(made)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert selectors == [selector] * 5 and selector.items() <= labels.items()
    (port,), (exposed,) = policy.container(made)["ports"], service["spec"]["ports"]
    assert exposed["targetPort"] == port["containerPort"] == 3000
    target = policy.only(made, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    (settings,) = policy.container(made)["envFrom"]
    assert settings["configMapRef"]["name"] == policy.only(made, "ConfigMap")["metadata"]["name"]
    assert {entry["metadata"]["namespace"] for entry in made} == {f"churn-model-{place}"}
    assert labels["app.kubernetes.io/version"] == "1.2.0"
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [{"port": exposed["name"], "path": "/metrics", "interval": "30s"}]
    let_in = [rule["from"][0] for rule in policy.only(made, "NetworkPolicy")["spec"]["ingress"]]
    assert {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}} in [
        one.get("namespaceSelector") for one in let_in
    ]


def test_argo_cd_follows_the_branch(generated: Callable[[str], Path], place: str) -> None:
    path = generated("argocd") / "deploy/argocd.yaml"
    entries = {entry["metadata"]["name"]: entry for entry in yaml.safe_load_all(path.read_text())}
    assert set(entries) == {f"churn-model-{name}" for name in ENVIRONMENTS}
    application = entries[f"churn-model-{place}"]
    assert (application["apiVersion"], application["kind"]) == ("argoproj.io/v1alpha1", "Application")
    repository = "https://github.com/acme-data/churn-model.git"
    spec = application["spec"]
    assert spec["source"] == {"repoURL": repository, "targetRevision": f"env/{place}", "path": "."}
    assert spec["destination"] == {"server": "https://kubernetes.default.svc", "namespace": f"churn-model-{place}"}
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert spec["syncPolicy"]["syncOptions"] == ["CreateNamespace=true"]
    assert set(spec) == {"project", "source", "destination", "syncPolicy"}


def test_flux_follows_the_branch(generated: Callable[[str], Path], place: str) -> None:
    path = generated("flux") / "deploy/flux.yaml"
    entries = list(yaml.safe_load_all(path.read_text()))
    assert len(entries) == 3 * len(ENVIRONMENTS)
    own = {entry["kind"]: entry for entry in entries if entry["metadata"]["name"] == f"churn-model-{place}"}
    source, applied = own["GitRepository"], own["Kustomization"]
    assert source["apiVersion"] == "source.toolkit.fluxcd.io/v1"
    url = "https://github.com/acme-data/churn-model"
    assert source["spec"] == {"interval": "1m", "url": url, "ref": {"branch": f"env/{place}"}}
    assert applied["apiVersion"] == "kustomize.toolkit.fluxcd.io/v1"
    reference = {"kind": "GitRepository", "name": source["metadata"]["name"]}
    expected = {"interval": "10m", "timeout": "5m", "path": "./", "prune": True, "wait": True, "sourceRef": reference}
    assert applied["spec"] == expected
    assert "churn-model-" + place == own["Namespace"]["metadata"]["name"], "the manifests' namespace"


def test_what_lies_on_the_branch_is_a_kustomization_of_its_manifests(
    rendered: Rendered, tmp_path: Path, place: str
) -> None:
    files = rendered(place)
    for name, text in files.items():
        (tmp_path / "branch").mkdir(exist_ok=True)
        (tmp_path / "branch" / name).write_text(text)
    done = subprocess.run([*manifests._builder(), tmp_path / "branch"], capture_output=True, text=True, check=True)
    again = list(yaml.safe_load_all(done.stdout))
    names = [(entry["kind"], entry["metadata"]["name"]) for entry in objects(files)]
    assert [(entry["kind"], entry["metadata"]["name"]) for entry in again] == names
    assert sorted(map(str, again)) == sorted(map(str, objects(files))), "an engine adds and loses nothing"


BROKEN: list[tuple[str, str, Any]] = [
    ("image by digest", "Deployment/spec/template/spec/containers/0/image", "registry.example.com/churn-model:latest"),
    ("not root", "Deployment/spec/template/spec/securityContext/runAsNonRoot", False),
    ("not root", "Deployment/spec/template/spec/securityContext/runAsUser", 0),
    ("no privilege escalation", "Deployment/spec/template/spec/containers/0/securityContext/privileged", True),
    (
        "no privilege escalation",
        "Deployment/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
        1,
    ),
    ("read-only root", "Deployment/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem", None),
    ("no capabilities", "Deployment/spec/template/spec/containers/0/securityContext/capabilities/add", ["NET_ADMIN"]),
    ("seccomp", "Deployment/spec/template/spec/securityContext/seccompProfile/type", "Unconfined"),
    ("no service account token", "Deployment/spec/template/spec/automountServiceAccountToken", None),
    ("no service account token", "Deployment/spec/template/spec/serviceAccountName", "default"),
    ("no service account token", "ServiceAccount/automountServiceAccountToken", True),
    ("requests and limits", "Deployment/spec/template/spec/containers/0/resources/limits/memory", None),
    ("requests and limits", "Deployment/spec/template/spec/containers/0/resources/requests", None),
    ("probes", "Deployment/spec/template/spec/containers/0/livenessProbe/httpGet/port", "http"),
    ("probes", "Deployment/spec/template/spec/containers/0/startupProbe", None),
    ("writable /tmp with a limit", "Deployment/spec/template/spec/volumes/0/emptyDir/sizeLimit", None),
    ("keys from a Secret", "Deployment/spec/template/spec/volumes/1/secret/optional", False),
    ("labels", "Deployment/spec/template/metadata/labels/app.kubernetes.io~version", None),
    ("labels", "Service/metadata/labels/app.kubernetes.io~part-of", None),
    ("network closed", "NetworkPolicy/spec/egress", [{}]),
    ("network closed", "NetworkPolicy/spec/ingress/0/from", []),
    ("autoscaler sets the replicas", "Deployment/spec/replicas", 2),
    ("complete", "PodDisruptionBudget", None),
]


def change(made: list[Object], path: str, value: Any) -> list[Object]:
    """Return the objects with one field set, or without it when the value is None."""
    kind, *keys = path.split("/")
    changed = [copy.deepcopy(entry) for entry in made if keys or entry["kind"] != kind]
    if keys:
        spot: Any = policy.only(changed, kind)
        *way, last = [key.replace("~", "/") for key in keys]
        for key in way:
            spot = spot[int(key)] if isinstance(spot, list) else spot[key]
        if value is None:
            del spot[last]
        else:
            spot[last] = value
    return changed


def test_each_rule_of_the_policy_is_broken_by_what_it_forbids(rendered: Rendered, place: str) -> None:
    made = objects(rendered(place))
    assert {name for name, _, _ in BROKEN} == set(policy.RULES)
    for name, path, value in BROKEN:
        assert policy.violations(change(made, path, value)) == [name], path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Deployment/spec/template/spec/runAsNonRoot", True),
        ("Deployment/spec/selector", None),
        ("Service/spec/ports", 1),
    ],
)
def test_the_schema_refuses_an_unknown_a_missing_and_a_wrong_field(
    rendered: Rendered, place: str, path: str, value: Any
) -> None:
    broken = policy.only(change(objects(rendered(place)), path, value), path.partition("/")[0])
    with pytest.raises(kubernetes_validate.ValidationError):
        valid(broken)
