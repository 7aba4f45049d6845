"""release.json: what a release's assets and an environment's branch say of a release."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from gitops import identifiers
from gitops.shell import CommandError

FORMAT = 1


@dataclass(frozen=True)
class ReleaseFile:
    """The content of release.json, each name of the form that it must have.

    Attributes:
        version: of the release; `tag` is its Git tag.
        commit: whose content was released, 40 hexadecimal digits.
        date: of the tag, ISO 8601.
        reason: why there is this release, one line.
        identity: SHA-256 of what the release holds.
        image: `repository@sha256:...`, or "" where the release made none.
        model_md5: of the model file, by which DVC names it.
        lock_sha256: of the commit's dvc.lock.
        metrics: name -> value, as the model's side wrote them.
        environment: whose branch holds the file; "" in a release's assets.
        settings: the commit whose `deploy/` was rendered; "" in a release's assets.
    """

    version: str
    commit: str
    tag: str = ""
    date: str = ""
    reason: str = ""
    identity: str = ""
    image: str = ""
    model_md5: str = ""
    lock_sha256: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    environment: str = ""
    settings: str = ""

    def text(self) -> str:
        """Return the file's text."""
        return json.dumps({"format": FORMAT} | {k: v for k, v in asdict(self).items() if v}, indent=2) + "\n"


FORMS = {
    "version": identifiers.version,
    "commit": identifiers.commit,
    "identity": identifiers.sha256,
    "image": identifiers.image,
    "model_md5": identifiers.md5,
    "lock_sha256": identifiers.sha256,
    "settings": identifiers.commit,
}


def parse(text: str | None, where: str) -> ReleaseFile:
    """Read a release.json that anybody may have written; `where` names it in the sentence.

    Raises:
        CommandError: it is missing or no JSON object, lacks `version` or `commit`, or a name in it has another form.
    """
    try:
        content = json.loads(text or "")
    except ValueError:
        raise CommandError(f"{where} can't be read: it is missing, or not JSON") from None
    if not isinstance(content, dict):
        raise CommandError(f"{where} can't be read: it is not a JSON object")
    given = {name: content[name] for name in ReleaseFile.__dataclass_fields__ if content.get(name) not in (None, "")}
    for name in ("version", "commit", *FORMS):
        if name in given or name in ("version", "commit"):
            FORMS[name](given.get(name), f"`{name}` of {where}")
    for name in ("tag", "date", "reason", "environment"):
        given[name] = identifiers.one_line(str(given.get(name, "")))
    if not isinstance(given.setdefault("metrics", {}), dict):
        raise CommandError(f"`metrics` of {where} is not a JSON object")
    return ReleaseFile(**given)
