"""Ask an image registry, over its HTTP API: every engine pushes, none of them alone answers what we need to know."""

import base64
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from hashlib import sha256
from http.client import HTTPMessage
from typing import NamedTuple

from gitops.shell import CommandError

KINDS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
HINTS = {
    401: "REGISTRY_USER and REGISTRY_PASSWORD are missing or wrong",
    403: "REGISTRY_USER may not write there, or the workflow lacks `packages: write`",
}


class Manifest(NamedTuple):
    """What a tag or digest stands for: the exact bytes, which make the digest, and their media type."""

    content: bytes
    kind: str

    @property
    def digest(self) -> str:
        return "sha256:" + sha256(self.content).hexdigest()


def insecure(repository: str) -> bool:
    """Tell whether a registry is on this machine, where it has no certificate."""
    return re.sub(r":\d+$", "", repository.partition("/")[0]) in LOOPBACK


def manifest(repository: str, reference: str) -> Manifest | None:
    """Return what a tag or digest names, or None where the registry has no such image.

    Raises:
        CommandError: the registry does not answer, or refuses.
    """
    found = _call("GET", repository, f"manifests/{reference}", accept=", ".join(KINDS))
    return found and Manifest(found[0], found[1].get_content_type())


def labels(repository: str, found: Manifest) -> dict[str, str]:
    """Return the labels of an image; none for an index of several images."""
    config = json.loads(found.content).get("config")
    blob = config and _call("GET", repository, f"blobs/{config['digest']}")
    return dict(json.loads(blob[0]).get("config", {}).get("Labels") or {}) if blob else {}


def tag(repository: str, digest: str, name: str) -> None:
    """Let another tag name a digest that the registry holds; no layer moves.

    Raises:
        CommandError: it holds no such digest, does not answer, or refuses.
    """
    if (found := manifest(repository, digest)) is None:
        raise CommandError(f"{repository} holds no {digest}: push the image again")
    _call("PUT", repository, f"manifests/{name}", found)


def _call(
    method: str, repository: str, path: str, body: Manifest | None = None, accept: str = "*/*"
) -> tuple[bytes, HTTPMessage] | None:
    host, _, name = repository.partition("/")
    api = {"docker.io": "registry-1.docker.io"}.get(host, host)
    url = f"{'http' if insecure(host) else 'https'}://{api}/v2/{name}/{path}"
    headers = {"Accept": accept, "User-Agent": "gitops"} | ({"Content-Type": body.kind} if body else {})
    try:
        try:
            return _send(method, url, headers, body)
        except urllib.error.HTTPError as refusal:
            if refusal.code != 401 or "WWW-Authenticate" not in refusal.headers:
                raise
            return _send(method, url, headers | {"Authorization": _answer(refusal.headers["WWW-Authenticate"])}, body)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        hint = HINTS.get(error.code, "try again later")
        raise CommandError(f"the registry {host} answered {error.code} for {name}: {hint}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise CommandError(f"the registry {host} does not answer ({reason}): is it up, and is IMAGE right?") from None


def _send(method: str, url: str, headers: dict[str, str], body: Manifest | None = None) -> tuple[bytes, HTTPMessage]:
    data = body.content if body else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the scheme is ours
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return answer.read(), answer.headers


def _answer(challenge: str) -> str:
    """Return the Authorization header that a registry asks for: the password itself, or a token bought with it."""
    user, password = os.environ.get("REGISTRY_USER", ""), os.environ.get("REGISTRY_PASSWORD", "")
    basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    scheme, _, rest = challenge.partition(" ")
    fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    if scheme.lower() != "bearer":
        return basic
    asked = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    url = fields["realm"]
    if not url.startswith("https://") and not insecure(urllib.parse.urlsplit(url).netloc):
        raise ValueError("it asks for the password over a connection that is not encrypted")
    headers = {"Authorization": basic} if user and password else {}
    token = json.loads(_send("GET", f"{url}?{asked}", headers)[0])
    return "Bearer " + str(token.get("token") or token.get("access_token"))
