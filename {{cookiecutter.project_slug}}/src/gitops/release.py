"""A merge becomes a release: version, Bento, annotated tag, GitHub release. What is already done is not done again."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gitops import bento, github, lock, store, tags
from gitops.git import has_origin, identity_env, remote_env
from gitops.plan import Plan, plan_release
from gitops.project import Project, load, locked
from gitops.shell import Stop, dvc, run, say, stream

OUT = Path("dist")


def release(*, dry_run: bool = False) -> int:
    """Release the commit that is checked out, or finish a release that was interrupted."""
    project = load()
    if project.model not in locked(_lock()):
        say("Nothing to release: no model was trained on this commit yet (dvc.lock has none).")
        return 0
    store.pull()
    _check_lock()
    plan = plan_release(project)
    say(f"{plan.tag} ({plan.reason})")
    if dry_run:
        say(f"Would build {project.name}-{plan.version}.bento, tag {plan.commit[:9]} and publish the GitHub release.")
        return 0
    if github.available() and _published(plan):
        say("Nothing to do: it is released.")
        return 0
    say("› pulling the model that dvc.lock names")
    if stream(*dvc("pull", project.model)):
        raise Stop(f"{project.model} can't be pulled: its message is above")
    say("› building the Bento")
    assets = _assets(project, plan)
    _tag(project, plan)
    if not github.available():
        say(f"No GITHUB_TOKEN and GITHUB_REPOSITORY here, so no GitHub release; its assets are in {OUT}/.")
        return 0
    say(f"Released: {_publish(project, plan, assets)}")
    return 0


def _lock() -> str | None:
    return Path("dvc.lock").read_text() if Path("dvc.lock").exists() else None


def _check_lock() -> None:
    """Two pull requests that crossed merge into a commit which nobody trained: it must not be released."""
    if reasons := lock.check():
        way_out = f"On a branch from main, as a pull request. {lock.ADVICE}"
        raise Stop("\n  ".join(["this commit was never trained as it is, so it is not released:", *reasons, way_out]))


def _assets(project: Project, plan: Plan) -> list[Path]:
    """Make what the release carries: the Bento, and the facts that say where it comes from."""
    labels = {"commit": plan.commit, "model_md5": locked(_lock())[project.model]}
    built = bento.build(project, plan.version, labels, OUT)
    facts = {
        "version": plan.version,
        "tag": plan.tag,
        "identity": plan.identity,
        **labels,
        "metrics": json.loads(Path(project.metrics).read_text()),
    }
    (OUT / "release.json").write_text(json.dumps(facts, indent=2) + "\n")
    copies = [shutil.copy(name, OUT) for name in (project.metrics, project.contract, "dvc.lock")]
    files = [built, OUT / "release.json", *map(Path, copies)]
    sums = OUT / "SHA256SUMS"
    sums.write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files))
    return [*files, sums]


def _tag(project: Project, plan: Plan) -> None:
    """Register the version with an annotated tag, which GTO can see; a lightweight one it can't."""
    if not plan.tagged:
        message = tags.message(project, plan.version, plan.reason, plan.identity, plan.image)
        gto = str(Path(sys.executable).with_name("gto"))
        command = (gto, "register", project.name, plan.commit, "--version", f"v{plan.version}", "--message", message)
        run(*command, env=identity_env())
    if has_origin():
        run("git", "push", "--no-verify", "origin", f"refs/tags/{plan.tag}", env=remote_env())


def _find(plan: Plan) -> dict[str, Any] | None:
    """Return the GitHub release of the tag; only the list shows drafts."""
    return next((entry for entry in github.pages("/releases") if entry["tag_name"] == plan.tag), None)


def _published(plan: Plan) -> bool:
    found = _find(plan)
    return found is not None and not found["draft"]


def _publish(project: Project, plan: Plan, assets: list[Path]) -> str:
    """Draft, then assets, then publish: nobody sees half a release, and an immutable one takes no assets later."""
    draft = _find(plan) or github.call("POST", "/releases", _draft(project, plan))
    for asset in draft["assets"]:  # of an earlier, killed run, which built another Bento: its checksums are not ours
        github.call("DELETE", f"/releases/assets/{asset['id']}")
    for file in assets:
        say(f"› uploading {file.name}")
        address = f"{draft['upload_url'].split('{')[0]}?name={quote(file.name)}"
        github.call("POST", address, data=file.read_bytes(), mime="application/octet-stream")
    published = github.call("PATCH", f"/releases/{draft['id']}", {"draft": False, "make_latest": "true"})
    return str(published["html_url"])


def _draft(project: Project, plan: Plan) -> dict[str, Any]:
    metrics = json.loads(Path(project.metrics).read_text())
    table = "\n".join(
        f"| {name} | {value:.4f} |" if isinstance(value, float) else f"| {name} | {value} |"
        for name, value in metrics.items()
    )
    # BentoML 1.4 takes a relative path for an absolute one
    run_it = f'bentoml import "$PWD/{project.name}-{plan.version}.bento" && bentoml serve {project.name}:{plan.version}'
    notes = f"{plan.reason.capitalize()}.\n\n| metric | value |\n|---|---:|\n{table}\n\nTo run it: `{run_it}`\n"
    return {"tag_name": plan.tag, "name": f"{project.name} {plan.version}", "body": notes, "draft": True}
