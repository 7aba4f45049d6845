"""What a release looks like to a cluster: each environment and option is valid, safe, and fits together."""

import contextlib
import copy
import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import policy
import promql
import published
import pytest
import yaml
from gitops.environments import manifests
from gitops.environments.branches import ENVIRONMENTS
from gitops.project import load
from gitops.shell import CommandError
from gitops.tags import Release
from harness import bake, environment, missing, needs, run
from policy import Object

IMAGE = f"registry.example.com:5000/acme/churn-model@sha256:{'a' * 64}"
CLUSTERS = ["1.30.0", "1.37.0"]
WATCHED = ("service-monitor", "alerts", "dashboard")
COMPONENTS = (*WATCHED, "ingress", "gateway", "nightly-scores", "openshift", "kserve")
OPTIONS = [(), *((name,) for name in COMPONENTS), COMPONENTS[:-1]]
# no schema of Kubernetes' own
CUSTOM = {kind for _, kind in published.MODULES} | {"Route", "InferenceService"}

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
    """Render a project's manifests: `rendered(place, engine, components)`."""
    try:
        manifests._builder()
    except CommandError:
        missing("kustomize or kubectl")

    @functools.cache
    def render(place: str, engine: str = "none", components: tuple[str, ...] = ()) -> dict[str, str]:
        project = generated(engine)
        env, overlay = environment(project.parent / "home"), project / f"deploy/overlays/{place}/kustomization.yaml"
        run("git", "checkout", "--quiet", "main", "--", ".", cwd=project, env=env)
        run("git", "switch", "--quiet", "--detach", "main", cwd=project, env=env)
        for name in components:  # as a team does: the # is taken off its line
            line = f"- ../../components/{name}\n"
            assert f"  # {line}" in overlay.read_text()
            overlay.write_text(overlay.read_text().replace(f"  # {line}", f"  {line}"))
        if components:
            run("git", "commit", "--quiet", "--all", "-m", "Settings", cwd=project, env=env)
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


def of_service(made: list[Object]) -> list[Object]:
    """Leave out the nightly job, which test_nightly_scores.py looks at."""
    return [entry for entry in made if not entry["metadata"]["name"].endswith("-nightly-scores")]


def valid(entry: Object) -> None:
    """Assert that the oldest and the newest cluster take an object, with no field that they do not know."""
    for version in CLUSTERS:
        kubernetes_validate.validate(entry, version, strict=True)


@pytest.mark.parametrize("components", OPTIONS, ids=lambda names: "-".join(names) or "plain")
def test_every_component_is_valid_and_keeps_the_policy(
    rendered: Rendered, place: str, components: tuple[str, ...]
) -> None:
    files = rendered(place, "none", components)
    made = objects(files)
    assert manifests.images(files["manifests.yaml"]) == [IMAGE]
    if "kserve" in components:
        rules = policy.KSERVE
    else:
        rules = policy.OPENSHIFT if "openshift" in components else policy.RULES
        assert len(made) == len(policy.KINDS) + len(components) + ("nightly-scores" in components)
    assert policy.violations(of_service(made), rules) == []
    if "openshift" in components:
        assert not policy.USERS & policy.fields(made), "the nightly job's neither"
    for entry in made:
        if entry["kind"] == "NetworkPolicy" and entry not in of_service(made):
            assert entry["spec"]["ingress"] == [], "a component that lets callers in lets them into the service alone"
    for entry in made:
        if entry["kind"] not in CUSTOM:
            valid(entry)


@pytest.mark.parametrize("engine", ["argocd", "flux"])
def test_an_engine_changes_no_manifest(
    rendered: Rendered, generated: Callable[[str], Path], place: str, engine: str
) -> None:
    assert rendered(place, engine)["manifests.yaml"] == rendered(place)["manifests.yaml"]
    assert [path.stem for path in (generated(engine) / "deploy").glob("*.yaml")] == [engine]
    for entry in yaml.safe_load_all((generated(engine) / f"deploy/{engine}.yaml").read_text()):
        if entry["kind"] not in CUSTOM:
            valid(entry)


def test_custom_resources_fit_their_published_types(
    rendered: Rendered, generated: Callable[[str], Path], tmp_path: Path, place: str
) -> None:
    made = objects(rendered(place, "none", COMPONENTS[:-1]))
    for engine in ("argocd", "flux"):
        made += yaml.safe_load_all((generated(engine) / f"deploy/{engine}.yaml").read_text())
    custom = [entry for entry in made if entry["kind"] in CUSTOM]
    assert {entry["kind"] for entry in custom} == CUSTOM - {"InferenceService"}, "which test_kserve.py checks"
    assert published.faults(custom, tmp_path) == []
    broken = [change(custom, path, 1) for path in ("HTTPRoute/spec/hostname", "Route/spec/hosts")]
    assert all(len(published.faults(entries, tmp_path)) == 1 for entries in broken)


def test_a_route_of_each_kind_leads_to_the_service_and_is_let_in(rendered: Rendered, place: str) -> None:
    made = objects(rendered(place, "none", ("ingress", "gateway", "openshift")))
    service = policy.only(made, "Service")
    (port,), name = service["spec"]["ports"], service["metadata"]["name"]
    host = {"production": "churn-model.example.com", "staging": "churn-model-staging.example.com"}[place]
    ingress, http = policy.only(made, "Ingress")["spec"], policy.only(made, "HTTPRoute")["spec"]
    (rule,), (tls,) = ingress["rules"], ingress["tls"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], tls["hosts"], path["path"]) == (host, [host], "/predict")
    assert path["backend"]["service"] == {"name": name, "port": {"name": port["name"]}}
    assert http["hostnames"] == [host] and http["rules"][0]["backendRefs"] == [{"name": name, "port": port["port"]}]
    route = policy.only(made, "Route")["spec"]
    assert (route["to"]["name"], route["port"]["targetPort"]) == (name, port["name"])
    assert route["tls"] == {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}
    let_in = [
        one["namespaceSelector"]["matchLabels"]
        for rule in policy.only(made, "NetworkPolicy")["spec"]["ingress"]
        for one in rule["from"]
        if "namespaceSelector" in one
    ]
    for names in ({"kubernetes.io/metadata.name": "ingress"}, {"kubernetes.io/metadata.name": "gateway"}):
        assert names in let_in
    assert {"policy-group.network.openshift.io/ingress": ""} in let_in


def test_an_alert_goes_off_when_it_should_and_not_before(rendered: Rendered, tmp_path: Path, place: str) -> None:
    """By Prometheus' own program, on made-up series; `a` is well all the time."""
    needs("promtool")
    rule = policy.only(objects(rendered(place, "none", WATCHED)), "PrometheusRule")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    (group,) = rule["spec"]["groups"]
    notes = {one["alert"]: (one["labels"], one["annotations"]) for one in group["rules"]}
    well, fails, all_of = 'job="churn-model", namespace="a"', 'job="churn-model", namespace="b"', "0+60x90"
    series = {
        f"up{{{well}}}": "1x90",
        f"up{{{fails}}}": "1x30 0x30 _x30",  # answers, then does not, then has no pod
        f'model_requests_total{{{well}, path="/predict", status="200"}}': all_of,
        f'model_requests_total{{{fails}, path="/predict", status="200"}}': all_of,
        f'model_requests_total{{{fails}, path="/predict", status="500"}}': "0x30 0+1x60",  # of 60 a minute
        f'model_request_seconds_bucket{{{well}, path="/predict", le="1"}}': all_of,
        f'model_request_seconds_bucket{{{well}, path="/predict", le="+Inf"}}': all_of,
        f'model_request_seconds_bucket{{{fails}, path="/predict", le="1"}}': "0+60x30 1800+58x60",
        f'model_request_seconds_bucket{{{fails}, path="/predict", le="2.5"}}': all_of,
        f'model_request_seconds_bucket{{{fails}, path="/predict", le="+Inf"}}': all_of,
        f'model_rejected_total{{{well}, reason="body"}}': "0+6x90",
        f'model_rejected_total{{{fails}, reason="unauthorized"}}': "0x30 0+40x60",
    }

    def check(minute: int, alert: str, off: bool) -> dict[str, Any]:
        labels, annotations = notes[alert]
        expected = {"exp_labels": labels | {"namespace": "b"}, "exp_annotations": annotations}
        return {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [expected] if off else []}

    checks = [check(30, alert, False) for alert in notes] + [check(60, alert, True) for alert in notes]
    checks.append(check(80, "ModelDown", True))
    test = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": checks,
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    for words in (["check", "rules", "rules.yml"], ["test", "rules", "test.yml"]):
        run("promtool", *words, cwd=tmp_path, env=environment(tmp_path / "home"))


def test_the_dashboard_is_one_file_of_json_that_grafana_finds(rendered: Rendered, place: str) -> None:
    made = objects(rendered(place, "none", WATCHED))
    (held,) = [entry for entry in made if "grafana_dashboard" in entry["metadata"]["labels"]]
    (text,) = held["data"].values()
    dashboard = json.loads(text)
    assert dashboard["uid"] == "churn-model" and len({panel["id"] for panel in dashboard["panels"]}) == 7
    expressions = promql.dashboard_expressions(dashboard)
    asked = [labels for expression in expressions for _, labels in promql.selectors(expression)]
    assert all({"job", "namespace"} <= labels for labels in asked), "another model's series are none of it"


def test_the_parts_find_each_other(rendered: Rendered, place: str) -> None:
    made = objects(rendered(place, "none", ("service-monitor",)))
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
    ("requests and limits", "Deployment/spec/template/spec/containers/0/resources/limits/ephemeral-storage", None),
    ("nothing of the node", "Deployment/spec/template/spec/hostNetwork", True),
    ("nothing of the node", "Deployment/spec/template/spec/volumes/2", {"name": "x", "hostPath": {"path": "/"}}),
    ("nothing of the node", "Deployment/spec/template/spec/containers/0/ports/0/hostPort", 3000),
    ("a registry's password", "Deployment/spec/template/spec/imagePullSecrets", None),
    ("writable /tmp with a limit", "Deployment/spec/template/spec/volumes/0/emptyDir/sizeLimit", None),
    ("keys from a Secret", "Deployment/spec/template/spec/volumes/1/secret/optional", False),
    ("labels", "Deployment/spec/template/metadata/labels/app.kubernetes.io~version", None),
    ("labels", "Service/metadata/labels/app.kubernetes.io~part-of", None),
    ("network closed", "NetworkPolicy/spec/egress", [{}]),
    ("network closed", "NetworkPolicy/spec/ingress/0/from", []),
    ("autoscaler sets the replicas", "Deployment/spec/replicas", 2),
    ("complete", "PodDisruptionBudget", None),
]


SECURITY = "Deployment/spec/template/spec/securityContext"
BROKEN_OPENSHIFT = [
    *(("not root", f"{SECURITY}/{name}", 10001) for name in ("runAsUser", "runAsGroup", "fsGroup")),
    ("not root", "Deployment/spec/template/spec/containers/0/securityContext/runAsUser", 10001),
    ("not root", f"{SECURITY}/runAsNonRoot", False),
]
PREDICTOR = "InferenceService/spec/predictor"
BROKEN_KSERVE: list[tuple[str, str, Any]] = [
    ("complete", "NetworkPolicy/kind", "Service"),
    ("image by digest", f"{PREDICTOR}/model/storageUri", "oci+native://registry.example.com/churn-model:latest"),
    ("restricted", f"{PREDICTOR}/model/securityContext/capabilities", None),
    ("any user", f"{PREDICTOR}/securityContext/runAsUser", 1000),
    ("no service account token", f"{PREDICTOR}/automountServiceAccountToken", None),
    ("requests and limits", f"{PREDICTOR}/model/resources/limits", None),
    ("network closed", "NetworkPolicy/spec/ingress/0/ports/0/port", 3000),
    ("network closed", "NetworkPolicy/spec/podSelector/matchLabels", {"app.kubernetes.io/name": "churn-model"}),
    ("labels", "InferenceService/metadata/labels/app.kubernetes.io~version", None),
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
        elif isinstance(spot, list):
            spot.append(value)
        else:
            spot[last] = value
    return changed


def test_each_rule_of_the_policy_is_broken_by_what_it_forbids(rendered: Rendered, place: str) -> None:
    made = objects(rendered(place))
    assert {name for name, _, _ in BROKEN} == set(policy.RULES)
    for name, path, value in BROKEN:
        assert policy.violations(change(made, path, value)) == [name], path
    of_kserve, of_openshift = (objects(rendered(place, "none", (one,))) for one in ("kserve", "openshift"))
    for name, path, value in BROKEN_OPENSHIFT:
        assert policy.violations(change(of_openshift, path, value), policy.OPENSHIFT) == [name], path
    assert {name for name, _, _ in BROKEN_KSERVE} == set(policy.KSERVE)
    for name, path, value in BROKEN_KSERVE:
        assert name in policy.violations(change(of_kserve, path, value), policy.KSERVE), path


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
