"""Whether the model in build/ is the one that dvc.lock names, made with the schema and the parameters of today.

A release that was brought here (`model score --release`) says in release.json which version it is.
"""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

from serving.model_file.opening import MODEL
from serving.rows.errors import ModelError
from serving.rows.parameters import PARAMS, read_yaml
from serving.rows.schema import PATH

LOCK = Path("dvc.lock")
RELEASE = Path("release.json")
DEV = "dev"  # as the service calls itself outside of a release
CURE = "`uv run dvc repro` brings build/ up to date; or score with a release: --release production"


def running_release() -> str:
    """Return the version of the release in this folder, or "dev" in a working tree.

    Raises:
        ModelError: there is a release.json that no release wrote.
    """
    if not RELEASE.exists():
        return DEV
    try:
        return str(json.loads(RELEASE.read_text(encoding="utf-8"))["version"])
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{RELEASE} is not what `gitops fetch-release` writes: remove it") from None


def check_build() -> None:
    """Refuse to score with a model that nobody evaluated as it is; without a dvc.lock there is nothing to compare.

    Raises:
        ModelError: build/ or dvc.lock is out of date.
    """
    stages: dict[str, Any] = (read_yaml(LOCK) or {}).get("stages", {}) if LOCK.exists() else {}
    for stage in stages.values():
        for out in stage.get("outs", ()):
            if out["path"] == str(MODEL) and MODEL.exists() and _md5(MODEL) != out.get("md5"):
                raise ModelError(
                    f"{MODEL} is not the model that dvc.lock names: `uv run gitops store pull` brings that one. {CURE}"
                )
    for name, stage in stages.items():
        for dep in stage.get("deps", ()):
            if dep["path"] == str(PATH) and _md5(PATH) != dep.get("md5"):
                raise ModelError(f"{PATH} has changed since `{name}` ran, so build/ is out of date: {CURE}")
        for key, before in stage.get("params", {}).get(str(PARAMS), {}).items():
            now: Any = read_yaml(PARAMS)
            for part in key.split("."):
                now = now.get(part) if isinstance(now, dict) else None
            if now != before:
                raise ModelError(f"{key} in {PARAMS} has changed since `{name}` ran, so build/ is out of date: {CURE}")


def _md5(path: Path) -> str:
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.exists() else ""
