"""Custom resources against what their projects publish: the types of npm's packages, and OpenShift's API description.

`.ci/run` installs them into the folder NPM_LIBRARIES.
"""

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
from harness import Failed, missing, needs, run

# apiVersion and kind -> the module of @kubernetes-models that has its type; made from the projects' own definitions
MODULES = {
    ("argoproj.io/v1alpha1", "Application"): "argo-cd",
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): "gateway-api",
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"): "flux-cd",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "prometheus-operator",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "prometheus-operator",
    ("source.toolkit.fluxcd.io/v1", "GitRepository"): "flux-cd",
}
ROUTE = "com.github.openshift.api.route.v1.Route"
FILLED_IN = {"host", "status", "weight"}  # by the server, although the description calls them required
OPTIONS = {
    "strict": True,
    "noEmit": True,
    "target": "es2022",
    "module": "nodenext",
    "skipLibCheck": True,
    "types": list[str](),
}


def faults(entries: list[dict[str, Any]], folder: Path) -> list[str]:
    """Return what the compiler or the schema says against these objects: a field that is unknown, missing or wrong."""
    routes = [entry for entry in entries if entry["kind"] == "Route"]
    found = [error.message for entry in routes for error in _route_schema().iter_errors(entry)]
    return found + _compile([entry for entry in entries if entry["kind"] != "Route"], folder)


def _libraries() -> Path:
    needs("node")
    folder = Path(os.environ.get("NPM_LIBRARIES", "none"), "node_modules")
    if not (folder / "@kubernetes-models").is_dir() or not (folder / "openshift-rest-client").is_dir():
        missing("NPM_LIBRARIES with the types of custom resources (npm install them there, as .ci/run does)")
    return folder


def _compile(entries: list[dict[str, Any]], folder: Path) -> list[str]:
    """Let TypeScript compare object literals with the types, strictly: it refuses properties that a type lacks."""
    libraries, lines = _libraries(), list[str]()
    for i, entry in enumerate(entries):
        package = MODULES[entry["apiVersion"], entry["kind"]]
        module = f"@kubernetes-models/{package}/{entry['apiVersion']}/{entry['kind']}"
        lines.append(f'import type {{ I{entry["kind"]} as Type{i} }} from "{module}";')
        lines.append(f"export const entry{i}: Type{i} = {json.dumps(entry)};")
    (folder / "entries.ts").write_text("\n".join(lines))
    (folder / "node_modules").unlink(missing_ok=True)
    (folder / "node_modules").symlink_to(libraries)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS}))
    try:
        run(libraries / ".bin/tsc", "--project", folder, cwd=folder, env=dict(os.environ))
    except Failed as error:
        return [line for line in str(error).splitlines() if "error TS" in line] or [str(error)]
    return []


@functools.cache
def _route_schema() -> jsonschema.Draft4Validator:
    """Return the schema of a Route, from the API description that OpenShift's own client carries; made strict."""
    path = _libraries() / "openshift-rest-client/lib/specs/openshift-openapi-spec.json.gz"
    definitions = json.loads(gzip.decompress(path.read_bytes()))["definitions"]
    for definition in definitions.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
            definition["required"] = sorted(set(definition.get("required", ())) - FILLED_IN)
    return jsonschema.Draft4Validator({"$ref": f"#/definitions/{ROUTE}", "definitions": definitions})
