"""The part of the fake API that releases: releases with their assets, and the tags under them."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from fake_server import Answer, Call, Refused, Row, find

if TYPE_CHECKING:
    from fake_github import FakeGitHub


def publish(hub: "FakeGitHub", row: Row) -> None:
    """Make the tag if it is not there: a lightweight one, which is why the factory tags first."""
    if any(other is not row and not other["draft"] and other["tag_name"] == row["tag_name"] for other in hub.releases):
        raise Refused(422, "Validation Failed", resource="Release", code="already_exists", field="tag_name")
    tag = f"refs/tags/{row['tag_name']}"
    if hub.git("rev-parse", "--verify", "-q", tag) is None:
        target = hub.git("rev-parse", "--verify", "-q", f"{row['target_commitish']}^{{commit}}")
        if target is None:
            raise Refused(422, "Validation Failed", resource="Release", code="invalid", field="target_commitish")
        hub.git("update-ref", tag, target)
    row |= {
        "draft": False,
        "immutable": hub.immutable,
        "html_url": f"{hub.url}/{hub.repository}/releases/tag/{row['tag_name']}",
    }


def add_release(hub: "FakeGitHub", call: Call) -> Answer:
    defaults = {"name": None, "body": None, "prerelease": False, "target_commitish": "main"}
    row = hub.new("releases", assets=[], immutable=False) | defaults | call.body | {"draft": True}
    row |= {
        "html_url": f"{hub.url}/{hub.repository}/releases/tag/untagged-{row['id']}",
        "upload_url": f"{row['url']}/assets{{?name,label}}",
    }
    if not call.body.get("draft"):
        publish(hub, row)
    hub.releases.append(row)
    return 201, row, {}


def edit_release(hub: "FakeGitHub", call: Call, number: str) -> Answer:
    row = find(hub.releases, id=int(number))
    row |= {key: value for key, value in call.body.items() if key != "draft"}
    if row["draft"] and call.body.get("draft") is False:
        publish(hub, row)
    return 200, row, {}


def get_release(hub: "FakeGitHub", _: Call, number: str) -> Answer:
    return 200, find(hub.releases, id=int(number)), {}


def list_releases(hub: "FakeGitHub", call: Call) -> Answer:
    """Newest first; drafts are listed to who may push."""
    return hub.page(call, [row for row in reversed(hub.releases) if call.account.writes or not row["draft"]])


def release_by_tag(hub: "FakeGitHub", _: Call, tag: str) -> Answer:
    return 200, find(hub.releases, tag_name=tag, draft=False), {}


def latest_release(hub: "FakeGitHub", _: Call) -> Answer:
    return 200, find(hub.releases[::-1], draft=False, prerelease=False), {}


def delete_release(hub: "FakeGitHub", _: Call, number: str) -> Answer:
    hub.releases.remove(find(hub.releases, id=int(number)))
    return 204, {}, {}


def list_assets(hub: "FakeGitHub", call: Call, number: str) -> Answer:
    return hub.page(call, find(hub.releases, id=int(number))["assets"])


def add_asset(hub: "FakeGitHub", call: Call, number: str) -> Answer:
    release, name = find(hub.releases, id=int(number)), call.query["name"]
    if release["immutable"]:
        raise Refused(422, "Cannot upload assets to an immutable release.")
    if any(asset["name"] == name for asset in release["assets"]):
        raise Refused(422, "Validation Failed", resource="ReleaseAsset", code="already_exists", field="name")
    digest = f"sha256:{hashlib.sha256(call.raw).hexdigest()}"
    asset = hub.new("releases/assets", name=name, size=len(call.raw), digest=digest, state="uploaded")
    asset["browser_download_url"] = f"{release['html_url'].replace('/tag/', '/download/')}/{name}"
    release["assets"].append(asset)
    hub.files[f"/signed/{asset['id']}"] = call.raw
    return 201, asset, {}


def get_asset(hub: "FakeGitHub", call: Call, number: str) -> Answer:
    """Describe the asset; who wants its bytes is sent to the storage, which is another host."""
    asset = find([asset for release in hub.releases for asset in release["assets"]], id=int(number))
    if call.accept != "application/octet-stream":
        return 200, asset, {}
    return 302, {}, {"Location": f"http://localhost:{hub.server_port}/signed/{number}"}


def delete_asset(hub: "FakeGitHub", _: Call, number: str) -> Answer:
    for release in hub.releases:
        for asset in release["assets"]:
            if asset["id"] == int(number):
                if release["immutable"]:
                    raise Refused(422, "Cannot delete asset from an immutable release")
                release["assets"].remove(asset)
                return 204, {}, {}
    raise Refused(404, "Not Found")


def get_ref(hub: "FakeGitHub", _: Call, name: str) -> Answer:
    sha = hub.git("rev-parse", "--verify", "-q", f"refs/{name}")
    if sha is None:
        raise Refused(404, "Not Found")
    return 200, {"ref": f"refs/{name}", "object": {"sha": sha, "type": hub.git("cat-file", "-t", sha)}}, {}


def add_ref(hub: "FakeGitHub", call: Call) -> Answer:
    name, sha = call.body["ref"], call.body["sha"]
    if hub.git("rev-parse", "--verify", "-q", name) is not None:
        raise Refused(422, "Reference already exists")
    if hub.git("update-ref", name, sha) is None:
        raise Refused(422, "Object does not exist")
    return 201, {"ref": name, "object": {"sha": sha, "type": hub.git("cat-file", "-t", sha)}}, {}


def add_tag(hub: "FakeGitHub", call: Call) -> Answer:
    """Make the tag object alone: no ref names it yet."""
    tag = call.body
    head = f"object {tag['object']}\ntype {tag['type']}\ntag {tag['tag']}\n"
    sha = hub.git("mktag", text=f"{head}tagger github-actions[bot] <bot@example.invalid> 0 +0000\n\n{tag['message']}\n")
    if sha is None:
        raise Refused(422, "Validation Failed", resource="Tag", code="invalid", field="object")
    return 201, tag | {"sha": sha}, {}


ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", "/releases", list_releases),
    ("POST", "/releases", add_release),
    ("GET", "/releases/latest", latest_release),
    ("GET", "/releases/tags/(.+)", release_by_tag),
    ("GET", r"/releases/(\d+)", get_release),
    ("PATCH", r"/releases/(\d+)", edit_release),
    ("DELETE", r"/releases/(\d+)", delete_release),
    ("GET", r"/releases/(\d+)/assets", list_assets),
    ("POST", r"/releases/(\d+)/assets", add_asset),
    ("GET", r"/releases/assets/(\d+)", get_asset),
    ("DELETE", r"/releases/assets/(\d+)", delete_asset),
    ("GET", "/git/ref/(.+)", get_ref),
    ("POST", "/git/refs", add_ref),
    ("POST", "/git/tags", add_tag),
]
