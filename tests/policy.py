"""What no rendered manifest may lack, each rule by its name: the restricted Pod Security Standard, and our own.

`RULES` are for the plain manifests, `OPENSHIFT` and `KSERVE` for those with that component.
"""

import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
DIGEST = re.compile(r"[\w.:/-]+@sha256:[0-9a-f]{64}")
UID = 10001
LABELS = {"name", "part-of", "managed-by"}
KINDS = {
    *("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service"),
    "ServiceAccount",
}
OPTIONAL = {"HTTPRoute", "Ingress", "PrometheusRule", "Route", "ServiceMonitor"}
# https://kubernetes.io/docs/concepts/security/pod-security-standards, and OpenShift's restricted-v2 allows the same
VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"),
    "secret",
}
HOST = {"hostNetwork", "hostPID", "hostIPC"}
USERS = {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"}


def only(objects: list[Object], kind: str) -> Object:
    """Return the one object of this kind."""
    (found,) = [entry for entry in objects if entry["kind"] == kind]
    return found


def pod(objects: list[Object]) -> Object:
    """Return the spec of the deployment's pods."""
    return dict(only(objects, "Deployment")["spec"]["template"]["spec"])


def container(objects: list[Object]) -> Object:
    """Return the one container."""
    (found,) = pod(objects)["containers"]
    return dict(found)


def _restricted(objects: list[Object]) -> bool:
    security = container(objects)["securityContext"]
    return security["allowPrivilegeEscalation"] is False and "privileged" not in security


def _not_root(objects: list[Object]) -> bool:
    security = pod(objects)["securityContext"]
    return security["runAsNonRoot"] is True and security["runAsUser"] == UID


def fields(value: Any) -> set[str]:
    """Return the names of all fields, however deep."""
    if isinstance(value, dict):
        return {*value, *(name for inner in value.values() for name in fields(inner))}
    return {name for inner in value for name in fields(inner)} if isinstance(value, list) else set()


def _any_user(objects: list[Object]) -> bool:
    """Nothing names a user or group, which OpenShift would refuse; it then takes one of the namespace's range."""
    return pod(objects)["securityContext"]["runAsNonRoot"] is True and not USERS & fields(objects)


def _apart(objects: list[Object]) -> bool:
    """Nothing of the node is in the pod."""
    kinds = {kind for volume in pod(objects)["volumes"] for kind in volume if kind != "name"}
    ports = [port for port in container(objects)["ports"] if "hostPort" in port]
    return kinds <= VOLUMES and not HOST & set(pod(objects)) and not ports


def _no_token(objects: list[Object]) -> bool:
    spec, account = pod(objects), only(objects, "ServiceAccount")
    own = spec["serviceAccountName"] == account["metadata"]["name"] != "default"
    return own and spec["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False


def _limits(objects: list[Object]) -> bool:
    resources = container(objects)["resources"]
    wanted = {"cpu", "memory", "ephemeral-storage"}
    return all(set(resources[kind]) == wanted for kind in ("requests", "limits"))


def _probes(objects: list[Object]) -> bool:
    paths = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    gets = {name: container(objects)[name]["httpGet"] for name in paths}
    # numbers, since podman takes a named port for 0
    return all(gets[name]["path"] == path and gets[name]["port"] == 3000 for name, path in paths.items())


def _writable(objects: list[Object]) -> bool:
    (mount,) = [mount for mount in container(objects)["volumeMounts"] if not mount.get("readOnly")]
    (volume,) = [volume for volume in pod(objects)["volumes"] if volume["name"] == mount["name"]]
    return bool(mount["mountPath"] == "/tmp" and volume["emptyDir"]["sizeLimit"])  # noqa: S108


def _keys(objects: list[Object]) -> bool:
    """The callers' keys come from a Secret, and without it the pod runs all the same, answering nobody."""
    (volume,) = [volume for volume in pod(objects)["volumes"] if "secret" in volume]
    (mount,) = [mount for mount in container(objects)["volumeMounts"] if mount["name"] == volume["name"]]
    return bool(mount["readOnly"] is True and volume["secret"]["optional"] is True)


def _labels(objects: list[Object]) -> bool:
    deployment = only(objects, "Deployment")
    running = [deployment["metadata"]["labels"], deployment["spec"]["template"]["metadata"]["labels"]]
    everywhere = [entry["metadata"]["labels"] for entry in objects]
    has_version = all("app.kubernetes.io/version" in labels for labels in running)
    return has_version and all({f"app.kubernetes.io/{one}" for one in LABELS} <= set(labels) for labels in everywhere)


def _closed(objects: list[Object]) -> bool:
    spec = only(objects, "NetworkPolicy")["spec"]
    named = all(rule["from"] and rule["ports"] == [{"port": 3000}] for rule in spec["ingress"])
    return named and spec["egress"] == [] and set(spec["policyTypes"]) == {"Ingress", "Egress"}


RULES: dict[str, Callable[[list[Object]], bool]] = {
    "complete": lambda objects: {entry["kind"] for entry in objects} - OPTIONAL == KINDS,
    "image by digest": lambda objects: bool(DIGEST.fullmatch(container(objects)["image"])),
    "not root": _not_root,
    "no privilege escalation": _restricted,
    "read-only root": lambda objects: container(objects)["securityContext"]["readOnlyRootFilesystem"] is True,
    "no capabilities": lambda objects: container(objects)["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "seccomp": lambda objects: pod(objects)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
    "nothing of the node": _apart,
    "a registry's password": lambda objects: len(pod(objects)["imagePullSecrets"]) == 1,
    "no service account token": _no_token,
    "requests and limits": _limits,
    "probes": _probes,
    "writable /tmp with a limit": _writable,
    "keys from a Secret": _keys,
    "labels": _labels,
    "network closed": _closed,
    "autoscaler sets the replicas": lambda objects: "replicas" not in only(objects, "Deployment")["spec"],
}


OPENSHIFT = RULES | {"not root": _any_user}


def _predictor(objects: list[Object]) -> Object:
    return dict(only(objects, "InferenceService")["spec"]["predictor"])


def _runtime_restricted(objects: list[Object]) -> bool:
    spec = _predictor(objects)
    security, inner = spec["securityContext"], spec["model"]["securityContext"]
    drops = inner["capabilities"] == {"drop": ["ALL"]} and inner["allowPrivilegeEscalation"] is False
    return drops and security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}


def _runtime_reached(objects: list[Object]) -> bool:
    """The policy is for the pods that KServe makes, at the port of its runtimes, and they call nobody."""
    spec, name = only(objects, "NetworkPolicy")["spec"], only(objects, "InferenceService")["metadata"]["name"]
    chosen = spec["podSelector"]["matchLabels"] == {"serving.kserve.io/inferenceservice": name}
    named = all(rule["from"] and rule["ports"] == [{"port": 8080}] for rule in spec["ingress"])
    return chosen and named and spec["egress"] == []


KSERVE: dict[str, Callable[[list[Object]], bool]] = {
    "complete": lambda objects: {entry["kind"] for entry in objects} == {"InferenceService", "NetworkPolicy"},
    "image by digest": lambda objects: bool(
        DIGEST.fullmatch(_predictor(objects)["model"]["storageUri"].removeprefix("oci+native://"))
    ),
    "restricted": _runtime_restricted,
    "any user": lambda objects: not USERS & fields(objects),
    "no service account token": lambda objects: _predictor(objects)["automountServiceAccountToken"] is False,
    "requests and limits": lambda objects: all(
        set(_predictor(objects)["model"]["resources"][kind]) == {"cpu", "memory"} for kind in ("requests", "limits")
    ),
    "network closed": _runtime_reached,
    "labels": lambda objects: (
        "app.kubernetes.io/version" in only(objects, "InferenceService")["metadata"]["labels"]
        and all({f"app.kubernetes.io/{one}" for one in LABELS} <= set(entry["metadata"]["labels"]) for entry in objects)
    ),
}


def violations(objects: list[Object], rules: dict[str, Callable[[list[Object]], bool]] = RULES) -> list[str]:
    """Return the names of the rules that these objects break; what a rule looks at and is not there breaks it."""

    def kept(rule: Callable[[list[Object]], bool]) -> bool:
        try:
            return rule(objects)
        except (KeyError, ValueError):
            return False

    return [name for name, rule in rules.items() if not kept(rule)]
