"""A merge becomes a release: Bento, image, annotated tag, GitHub release. What is already done is not done again."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from gitops import description, gates, github, goal, lock, store, tags
from gitops.environments.manifests import FORMAT
from gitops.git import has_origin, identity_env, remote_env, show
from gitops.project import Project, load, locked
from gitops.release import assets, bento, image, papers, publish, serve_check, smoke, source
from gitops.release.plan import Plan, plan_release
from gitops.shell import CommandError, dvc, run, say, stream

OUT = assets.DIST
NO_IMAGE = (
    "IMAGE is not set here, so there is no image that an environment could run. To finish it, push this commit to "
    "main, where the workflow Release makes it, or run this again with IMAGE=registry/owner/name; for releases that "
    "never have an image, with IMAGE=none"
)


def release(*, dry_run: bool = False) -> int:
    """Release the commit that is checked out, or finish a release that was interrupted."""
    project = load()
    if project.model not in locked(_lock()):
        say("Nothing to release: no model was trained on this commit yet (dvc.lock has none).")
        return 0
    source.check(project)
    store.pull()
    _check_lock()
    plan = plan_release(project)
    if plan.tagged:
        source.check_tagged(tags.find(project, plan.version), tags.releases(project), image.inspect)
    say(f"{plan.tag} ({plan.reason})")
    if plan.superseded:
        say("Nothing to do: main has moved on, and what it holds now is released.")
        return 0
    if dry_run:
        say(_would(project, plan))
        return 0
    if github.available() and publish.published(plan.tag):
        say("Nothing to do: it is released.")
    else:
        _make(project, plan)
    _tell(tags.find(project, plan.version))
    return 0


def _lock() -> str | None:
    return Path("dvc.lock").read_text() if Path("dvc.lock").exists() else None


def _check_lock() -> None:
    """Two pull requests that crossed merge into a commit which nobody trained: it must not be released."""
    if reasons := lock.stale():
        way_out = f"On a branch from main, as a pull request. {lock.ADVICE}"
        raise CommandError(
            "\n  ".join(["this commit was never trained as it is, so it is not released:", *reasons, way_out])
        )
    if reasons := lock.unpushed():
        way_out = "Whoever trained it runs `uv run gitops store push`; then run this again."
        what = "the model of this commit was never pushed, so it is not released:"
        raise CommandError("\n  ".join([what, *reasons, way_out]))


def _would(project: Project, plan: Plan) -> str:
    """Say what a release would do."""
    where, built = image.repository(), f"build {project.name}-{plan.version}.bento"
    if not (where or plan.tagged or image.none_wanted()):
        return f"Would {built} and stop there, with nothing tagged. {NO_IMAGE}"
    made = f", push {where}:{plan.version}" if where else " (no image)"
    return f"Would {built}{made}, tag {plan.commit[:9]} as {plan.tag} and publish the GitHub release."


def _make(project: Project, plan: Plan) -> None:
    """Do what is missing. All that can fail without a network is tried first, then the image; then comes the tag."""
    goal.load(description.load(project))
    say("› pulling the model that dvc.lock names, and what it is judged by")
    wanted = papers.needed(project)
    if stream(*dvc("pull", *wanted)):
        raise CommandError(f"{', '.join(wanted)} can't be pulled: the message is above")
    shutil.rmtree(OUT, ignore_errors=True)
    say("› building the Bento")
    model = locked(_lock())[project.model]
    built = bento.build(project, plan.version, {"commit": plan.commit, "model_md5": model}, OUT)
    serve_check.check(project)
    say("› writing the notes, the model card and the bill of materials")
    prepared = papers.prepare(project, _planned(project, plan), plan.last)
    source.check_review(plan.version, prepared.review.reasons)
    if not plan.tagged:
        plan = replace(plan, image=_image(project, plan, built))
    notes, files = papers.write(prepared, plan.image, OUT)
    if not (plan.tagged or plan.image or image.none_wanted()):
        raise CommandError(
            f"{plan.version} is not released: {OUT}/ holds its Bento and papers, and nothing was tagged, so the "
            f"version is still free. {NO_IMAGE}"
        )
    if not plan.tagged:
        _name(plan)
        say(f"› tagging {plan.commit[:9]}")
        _tag(project, plan)
    files = [built, *files, *_facts(project, tags.find(project, plan.version))]
    sums = OUT / assets.SUMS
    sums.write_text("".join(f"{assets.digest(file)}  {file.name}\n" for file in files))
    if has_origin():
        say("› pushing the tag")
        run("git", "push", "--no-verify", "--end-of-options", "origin", f"refs/tags/{plan.tag}", env=remote_env())
    if not github.available():
        say(f"No GITHUB_TOKEN and GITHUB_REPOSITORY here, so no GitHub release; its assets are in {OUT}/.")
        return
    address = publish.publish(plan.tag, f"{project.name} {plan.version}", notes, [*files, sums], newest=plan.newest)
    say(f"Released: {address}")


def _planned(project: Project, plan: Plan) -> tags.Release:
    """Return the release as its tag tells it, or will."""
    if plan.tagged:
        return tags.find(project, plan.version)
    return tags.Release(plan.tag, plan.version, plan.commit, "", plan.reason, plan.identity, "")


def _image(project: Project, plan: Plan, built: Path) -> str:
    """Build and push the image, and try it by its digest; "" for a team without images."""
    repository = image.repository()
    if not repository:
        return ""
    image.login()
    candidate = f"{repository}:candidate-{plan.identity[:12]}"
    say(f"› building the image {candidate}")
    image.build(project, built, plan.version, plan.commit, plan.identity, candidate)
    say("› pushing it")
    pushed = image.push(candidate)
    say(f"› trying {pushed}")
    facts = smoke.smoke(project, pushed, gates.read(Path("gates.yaml").read_text()).budgets)
    say("  " + ", ".join(f"{name} {value:.4g}" for name, value in facts.items()))
    return pushed


def _name(plan: Plan) -> None:
    """Let the registry know the image, if there is one, by the version."""
    if plan.image:
        say(f"› naming it {plan.image.partition('@')[0]}:{plan.version}")
        image.retag(plan.image, plan.version)


def _tag(project: Project, plan: Plan) -> None:
    """Register the version with an annotated tag, which GTO can see; a lightweight one it can't."""
    env = os.environ | identity_env()
    message = tags.message(project, plan.version, plan.reason, plan.identity, plan.image)
    gto = str(Path(sys.executable).with_name("gto"))
    run(gto, "register", project.name, plan.commit, "--version", f"v{plan.version}", "--message", message, env=env)


def _facts(project: Project, made: tags.Release) -> list[Path]:
    """Write release.json, and beside it the files of the commit that it speaks about."""
    texts = {name: show(made.commit, name) or "" for name in (project.metrics, project.contract, "dvc.lock")}
    texts["release.json"] = json.dumps({"format": FORMAT} | tags.facts(project, made), indent=2) + "\n"
    for name, text in texts.items():
        (OUT / name).write_text(text)
    return [OUT / name for name in texts]


def _tell(made: tags.Release) -> None:
    """Hand on to the next steps of a workflow what was released."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        name, _, digest = made.image.partition("@")
        with Path(path).open("a") as file:
            file.write(f"version={made.version}\nimage={name}\ndigest={digest}\n")
