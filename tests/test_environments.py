"""Environments as branches, on real Git repositories: what is promoted, refused, taken back, and done only once."""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from gitops import tags
from gitops.environments import manifests
from gitops.project import load
from gitops.shell import CommandError
from harness import Failed, environment, missing, run
from people import Person
from projects import erasure

FILES = {"kustomization.yaml", "manifests.yaml", "release.json"}
LOCK = "stages:\n  train:\n    outs:\n    - path: build/model.bin\n      md5: '{:032x}'\n"
IDENTITY = "1d" * 32
PROTECTED = "#!/bin/sh\necho 'GH006: protected branch hook declined' >&2\nexit 1\n"


class Team(Person):
    """Somebody whose clone has a project that can be released without training or building anything."""

    def release(self, version: str, *, image: bool = True, files: dict[str, str] | None = None) -> str:
        """Commit a model, tag it, push both, and return its image."""
        number = int(version.replace(".", ""))
        made = {"dvc.lock": LOCK.format(number), "metrics.json": json.dumps({"roc_auc": number / 1000, "rows": 9})}
        for name, text in (made | (files or {})).items():
            (self.path / name).write_text(text)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "-m", f"Make {version}")
        self.tag(version, named := f"registry.example.com/acme/churn-model@sha256:{number:064x}" if image else "")
        if self.git("remote"):
            self.git("push", "--quiet", "origin", "HEAD:main", f"refs/tags/churn-model@v{version}")
        return named

    def tag(self, version: str, image: str, *flags: str) -> None:
        """Tag HEAD as a release does."""
        with contextlib.chdir(self.path):
            text = tags.message(load(), version, f"model {version}", IDENTITY, image)
        self.git("tag", "--annotate", *flags, "--message", text, f"churn-model@v{version}")

    def state(self, place: str, revision: str = "") -> dict[str, str]:
        """Return the files of an environment at origin (or here, without one): name -> text."""
        where = f"{self.ref(place)}{revision}"
        names = self.git("ls-tree", "-r", "--name-only", where).splitlines()
        return {name: self.git("show", f"{where}:{name}") for name in names}

    def versions(self, place: str) -> list[str]:
        """Return what an environment ran, commit by commit, the first one first."""
        commits = self.git("rev-list", "--first-parent", "--reverse", self.ref(place)).splitlines()
        return [json.loads(self.git("show", f"{commit}:release.json"))["version"] for commit in commits]

    def ref(self, place: str) -> str:
        """Return the environment's branch after a look at origin."""
        if not self.git("remote"):
            return f"env/{place}"
        self.git("fetch", "--quiet", "--prune", "origin")
        return f"origin/env/{place}"

    def on_push(self, command: str) -> None:
        """Run a shell command in place of this person's next `git push`, and only of that one."""
        path = self.env["PATH"]
        marker = self.path.with_name("pushed")
        self.git_wrapper(f'if [ "$1" = push ] && [ ! -e {marker} ]; then touch {marker}; PATH={path}; {command}; fi')

    def while_pushing(self, other: Person, command: str) -> None:
        """Let another one be faster at this person's next push."""
        # by name, since the same change by the same person in the same second is the same commit
        self.on_push(f"(cd {other.path} && GIT_COMMITTER_NAME=Ann {sys.executable} -m gitops {command})")


@pytest.fixture
def origin(baked: Path, tmp_path: Path) -> Path:
    """Return a bare repository whose `main` is a generated project."""
    try:
        manifests._builder()
    except CommandError:
        missing("kustomize or kubectl")
    env, bare, first = environment(tmp_path / "home"), tmp_path / "origin.git", tmp_path / "first"
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", bare, cwd=tmp_path, env=env)
    shutil.copytree(baked, first)
    for words in ("add --all", "commit --quiet -m Generate", f"push --quiet {bare} HEAD:main"):
        run("git", *words.split(), cwd=first, env=env)
    return bare


@pytest.fixture
def ann(origin: Path, tmp_path: Path) -> Team:
    """Return somebody who released 1.0.0."""
    person = Team(tmp_path, origin, "ann")
    person.release("1.0.0")
    return person


@pytest.fixture
def bob(ann: Team, origin: Path, tmp_path: Path) -> Team:
    """Return somebody else."""
    return Team(tmp_path, origin, "bob")


def live(person: Team, *versions: str) -> None:
    """Release versions and let them run everywhere, one after the other; the first one is released already."""
    for number, version in enumerate(versions):
        if number:
            person.release(version)
        for place in ("staging", "production"):
            person.gitops("promote", place)


def image(files: dict[str, str]) -> str:
    """Return the image that the manifests run."""
    (deployment,) = [one for one in yaml.safe_load_all(files["manifests.yaml"]) if one["kind"] == "Deployment"]
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_promotion_writes_what_was_released(ann: Team) -> None:
    named = ann.release("1.1.0")
    released = ann.git("rev-parse", "HEAD")
    overlay = ann.path / "deploy/overlays/staging/kustomization.yaml"
    overlay.write_text("not: what was released\n")
    said = ann.gitops("promote", "staging")
    assert "staging: nothing → 1.1.0, commit " in said and "on env/staging of origin" in said
    files = ann.state("staging")
    assert set(files) == FILES and image(files) == named
    facts = json.loads(files["release.json"])
    assert facts.pop("date").startswith("20")
    assert facts == {
        "format": 1,
        "environment": "staging",
        "version": "1.1.0",
        "tag": "churn-model@v1.1.0",
        "commit": released,
        "reason": "model 1.1.0",
        "identity": IDENTITY,
        "settings": released,
        "image": named,
        "model_md5": f"{110:032x}",
        "lock_sha256": hashlib.sha256((ann.path / "dvc.lock").read_bytes()).hexdigest(),
        "metrics": {"roc_auc": 0.11, "rows": 9},
    }
    assert ann.git("rev-list", "--count", "origin/env/staging") == "1", "a root of its own"
    subject, body = ann.git("log", "--format=%an: %s%n%b", "origin/env/staging").split("\n", 1)
    assert subject == "Dana: Promote churn-model 1.1.0 to staging"
    assert (
        f"Image: {named}" in body
        and "Release: churn-model@v1.1.0" in body
        and "Why there is this release: model 1.1.0." in body
    )


def test_the_next_promotion_changes_image_and_version_and_nothing_else(ann: Team) -> None:
    ann.gitops("promote", "staging")
    ann.release("1.1.0")
    preview = ann.gitops("promote", "staging", "--dry-run")
    assert ann.versions("staging") == ["1.0.0"], "a dry run does nothing"
    ann.gitops("promote", "staging")
    assert ann.versions("staging") == ["1.0.0", "1.1.0"]
    changed = ann.git("diff", "--unified=0", "origin/env/staging~1", "origin/env/staging", "--", "manifests.yaml")
    added = [line for line in changed.splitlines() if line.startswith("+ ")]
    assert len(added) == 3 and sum("version: 1.1.0" in line for line in added) == 2 and "sha256:" in "".join(added)
    assert "Would change staging: 1.0.0 → 1.1.0" in preview and all(line in preview for line in added)
    assert "Replaces: 1.0.0 (" in ann.git("log", "-1", "--format=%(trailers)", "origin/env/staging")


def test_a_second_promotion_of_the_same_makes_no_commit(ann: Team) -> None:
    ann.gitops("promote", "staging")
    for words in (["staging"], ["staging", "1.0.0"], ["staging", "v1.0.0"]):
        assert "Nothing to do: staging runs 1.0.0." in ann.gitops("promote", *words)
    assert ann.versions("staging") == ["1.0.0"]


def test_production_gets_what_staging_runs_and_nothing_else(ann: Team) -> None:
    with pytest.raises(Failed, match="error: staging runs nothing yet"):
        ann.gitops("promote", "production")
    ann.gitops("promote", "staging")
    ann.release("1.1.0")
    with pytest.raises(Failed, match=r"error: staging never ran 1\.1\.0 .* `uv run gitops promote staging 1\.1\.0`"):
        ann.gitops("promote", "production", "1.1.0")
    assert ann.git("ls-remote", "origin", "env/production") == ""
    ann.gitops("promote", "production")
    assert ann.versions("production") == ["1.0.0"]
    assert "churn-model-production" in ann.state("production")["manifests.yaml"]


def test_a_tag_that_was_moved_after_staging_does_not_reach_production(ann: Team) -> None:
    ann.gitops("promote", "staging")
    ann.tag("1.0.0", f"registry.example.com/evil@sha256:{'6' * 64}", "--force")
    ann.git("push", "--quiet", "--force", "origin", "refs/tags/churn-model@v1.0.0")
    for words in (["production"], ["production", "1.0.0"]):
        with pytest.raises(Failed, match=r"error: the tag churn-model@v1\.0\.0 names .* was moved or forged"):
            ann.gitops("promote", *words)
    assert ann.git("ls-remote", "origin", "env/production") == ""


def test_a_rollback_puts_back_the_same_bytes_even_when_they_would_be_rendered_otherwise(ann: Team) -> None:
    live(ann, "1.0.0", "1.1.0")
    ann.git("push", "--quiet", "origin", "--delete", "refs/tags/churn-model@v1.0.0")
    ann.git("tag", "--delete", "churn-model@v1.0.0")
    assert "Would change production: 1.1.0 → 1.0.0" in ann.gitops("rollback", "production", "--dry-run")
    assert ann.versions("production") == ["1.0.0", "1.1.0"]
    assert "production: 1.1.0 → 1.0.0" in ann.gitops("rollback", "production")
    assert ann.versions("production") == ["1.0.0", "1.1.0", "1.0.0"]
    assert ann.state("production") == ann.state("production", "~2") != ann.state("production", "~1")
    assert ann.git("log", "-1", "--format=%s", "origin/env/production") == ("Roll production back to churn-model 1.0.0")
    assert ann.versions("staging") == ["1.0.0", "1.1.0"]


def test_a_revert_is_the_same_rollback(ann: Team) -> None:
    live(ann, "1.0.0", "1.1.0")
    ann.git("switch", "--quiet", "env/production")
    ann.git("revert", "--no-edit", "HEAD")
    ann.git("push", "--quiet", "origin", "env/production")
    assert ann.state("production") == ann.state("production", "~2")
    ann.git("switch", "--quiet", "main")
    assert ann.gitops("status").splitlines()[2].split()[:2] == ["production", "1.0.0"]
    with pytest.raises(Failed, match=r"error: production ran nothing before 1\.0\.0"):
        ann.gitops("rollback", "production")


def test_each_rollback_goes_one_further_back(ann: Team) -> None:
    live(ann, "1.0.0", "1.1.0", "1.2.0")
    ann.gitops("rollback", "production")
    ann.gitops("rollback", "production")
    with pytest.raises(Failed, match=r"error: production ran nothing before 1\.0\.0: name a version"):
        ann.gitops("rollback", "production")
    ann.gitops("promote", "production", "1.2.0")
    ann.gitops("rollback", "production")
    assert ann.versions("production") == ["1.0.0", "1.1.0", "1.2.0", "1.1.0", "1.0.0", "1.2.0", "1.0.0"]
    ann.gitops("rollback", "production", "1.1.0")
    assert "Nothing to do: production runs 1.1.0." in ann.gitops("rollback", "production", "v1.1.0")
    assert ann.versions("production")[-2:] == ["1.0.0", "1.1.0"]


def test_what_never_ran_is_nothing_to_go_back_to(ann: Team) -> None:
    with pytest.raises(Failed, match="error: production never ran anything"):
        ann.gitops("rollback", "production")
    live(ann, "1.0.0", "1.1.0")
    ann.release("1.2.0")
    with pytest.raises(Failed, match=r"error: production never ran '1\.2\.0', only 1\.1\.0, 1\.0\.0"):
        ann.gitops("rollback", "production", "1.2.0")


def test_an_old_run_that_is_started_again_changes_nothing(ann: Team) -> None:
    live(ann, "1.0.0", "1.1.0")
    ann.git("switch", "--quiet", "--detach", "churn-model@v1.0.0")
    assert "staging runs 1.1.0, which is newer" in ann.gitops("promote", "staging")
    ann.git("switch", "--quiet", "main")
    ann.gitops("rollback", "staging")
    assert "1.1.0 was taken back from staging" in ann.gitops("promote", "staging")
    ann.gitops("rollback", "production")
    ann.gitops("promote", "staging", "1.1.0")
    assert "1.1.0 was taken back from production" in ann.gitops("promote", "production")
    assert ann.versions("production") == ["1.0.0", "1.1.0", "1.0.0"]
    ann.gitops("promote", "production", "1.1.0")
    assert ann.versions("production")[-1] == "1.1.0", "whoever names it gets it"


def test_two_who_promote_the_same_at_once_make_one_commit(ann: Team, bob: Team) -> None:
    bob.gitops("promote", "staging")
    ann.release("1.1.0")
    bob.git("pull", "--quiet")
    bob.while_pushing(ann, "promote staging")
    said = bob.gitops("promote", "staging")
    assert "somebody was faster: looking again" in said and "Nothing to do: staging runs 1.1.0." in said
    assert bob.versions("staging") == ["1.0.0", "1.1.0"]


def test_two_first_promotions_make_one_commit(ann: Team, bob: Team) -> None:
    bob.while_pushing(ann, "promote staging")
    assert "Nothing to do: staging runs 1.0.0." in bob.gitops("promote", "staging")
    assert bob.versions("staging") == ["1.0.0"]


def test_two_who_roll_back_at_once_go_one_step(ann: Team, bob: Team) -> None:
    live(ann, "1.0.0", "1.1.0", "1.2.0")
    bob.while_pushing(ann, "rollback production")
    with pytest.raises(Failed, match="error: somebody else changed env/production meanwhile"):
        bob.gitops("rollback", "production")
    assert bob.versions("production") == ["1.0.0", "1.1.0", "1.2.0", "1.1.0"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_push_and_run_again_it_ends_in_one_commit(ann: Team, moment: str) -> None:
    real = f'{shlex.quote(str(shutil.which("git")))} "$@"; ' if moment == "after" else ""
    path = ann.env["PATH"]
    ann.on_push(f"{real}kill -9 $PPID; exit 1")
    with pytest.raises(Failed, match="exited with -9"):
        ann.gitops("promote", "staging")
    assert bool(ann.git("ls-remote", "origin", "env/staging")) is (moment == "after")
    ann.env["PATH"] = path
    ann.gitops("promote", "staging")
    assert ann.versions("staging") == ["1.0.0"]


def test_a_push_whose_answer_was_lost_is_done(ann: Team) -> None:
    ann.on_push(f'{shlex.quote(str(shutil.which("git")))} "$@"; exit 1')
    assert "staging: nothing → 1.0.0" in ann.gitops("promote", "staging")
    assert ann.versions("staging") == ["1.0.0"]


def test_a_protected_branch_is_said_in_a_sentence_and_heals(ann: Team, origin: Path) -> None:
    hook = origin / "hooks/pre-receive"
    hook.write_text(PROTECTED)
    hook.chmod(0o755)
    with pytest.raises(Failed) as failed:
        ann.gitops("promote", "staging")
    (error,) = [line for line in str(failed.value).splitlines() if line.startswith("error: ")]
    assert "origin does not take a push to env/staging" in error and "protected branch hook declined" in error
    assert "nothing was changed" in error and ann.git("ls-remote", "origin", "env/staging") == ""
    hook.unlink()
    ann.gitops("promote", "staging")
    assert ann.versions("staging") == ["1.0.0"]


def test_an_unreachable_origin_stops_changes_and_not_the_status(ann: Team, origin: Path) -> None:
    ann.gitops("promote", "staging")
    origin.rename(origin.with_name("away.git"))
    for words in (["promote", "production"], ["rollback", "staging"]):
        with pytest.raises(Failed, match="error: `git fetch"):
            ann.gitops(*words)
    said = ann.gitops("status")
    assert "As of the last time that origin could be reached" in said and "staging      1.0.0" in said


@pytest.mark.parametrize("version", ["../x", "$(id)", "--force", "--help", "1.0.0; id", "1.0", "main", "v", "\n", "*"])
def test_a_hostile_version_is_refused_in_a_sentence(ann: Team, version: str) -> None:
    live(ann, "1.0.0")
    before = ann.git("ls-remote", "origin")
    for command in ("promote", "rollback"):
        for place in ("staging", "production"):
            with pytest.raises(Failed) as failed:
                ann.gitops(command, place, "--", version)
            sentence = str(failed.value).strip().splitlines()[-1]
            assert sentence.startswith("error: ") and repr(version) in sentence and "Traceback" not in str(failed.value)
    assert ann.git("ls-remote", "origin") == before


def test_no_version_is_the_same_as_an_empty_one(ann: Team) -> None:
    assert "staging: nothing → 1.0.0" in ann.gitops("promote", "staging", "--", "")


def test_what_can_not_be_rendered_is_said_in_a_sentence(ann: Team) -> None:
    ann.release("1.1.0", image=False)
    with pytest.raises(Failed, match=r"error: 1\.1\.0 was released without a container image"):
        ann.gitops("promote", "staging")
    ann.release("1.2.0", files={"deploy/base/service.yaml": "kind: [\n"})
    with pytest.raises(Failed, match=r"error: `.*kust.*` failed"):
        ann.gitops("promote", "staging")
    ann.git("rm", "--quiet", "-r", "deploy/overlays/staging")
    ann.release("1.3.0")
    with pytest.raises(Failed, match=r"error: release 1\.3\.0 has no deploy/overlays/staging/kustomization\.yaml"):
        ann.gitops("promote", "staging")
    assert ann.git("ls-remote", "origin", "env/*") == ""


def test_without_kustomize_a_sentence_says_so(ann: Team, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(str(shutil.which("git")))
    ann.env["PATH"] = str(tmp_path / "bin")
    with pytest.raises(Failed, match="error: neither `kustomize` nor `kubectl` is on PATH"):
        run(sys.executable, "-m", "gitops", "promote", "staging", cwd=ann.path, env=ann.env)


def test_what_this_branch_does_not_contain_is_promoted_by_name_only(ann: Team) -> None:
    ann.git("switch", "--quiet", "--orphan", "elsewhere")
    run("git", "checkout", "main", "--", ".", cwd=ann.path, env=ann.env)
    ann.git("commit", "--quiet", "-m", "Start anew")
    with pytest.raises(Failed, match=r"error: HEAD contains no release: .* \(the last is 1\.0\.0\)"):
        ann.gitops("promote", "staging")
    ann.gitops("promote", "staging", "1.0.0")
    assert ann.versions("staging") == ["1.0.0"]


def test_a_shallow_clone_as_of_a_workflow_is_enough(ann: Team, origin: Path, tmp_path: Path) -> None:
    ann.git("commit", "--quiet", "--allow-empty", "-m", "Change nothing")
    ann.git("push", "--quiet", "origin", "main", "main:refs/heads/dvc-store")
    env, clone = ann.env, tmp_path / "shallow"
    run("git", "clone", "--quiet", "--depth=1", "--no-tags", f"file://{origin}", clone, cwd=tmp_path, env=env)
    run("git", "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", cwd=clone, env=env)
    command = (sys.executable, "-m", "gitops", "promote")
    assert "staging: nothing → 1.0.0" in run(*command, "staging", cwd=clone, env=env)
    ann.release("1.1.0")
    run(*command, "staging", "1.1.0", cwd=clone, env=env)
    assert ann.versions("staging") == ["1.0.0", "1.1.0"]
    assert "dvc-store" not in run("git", "branch", "--remotes", cwd=clone, env=env), "which holds all data"


def test_before_the_first_release_there_is_nothing_to_promote(origin: Path, tmp_path: Path) -> None:
    eve = Team(tmp_path, origin, "eve")
    assert "Nothing to promote: nothing was released yet." in eve.gitops("promote", "staging")
    assert "Nothing was released yet." in eve.gitops("status")
    with pytest.raises(Failed, match=r"error: there is no release '1\.0\.0' of churn-model: nothing was released yet"):
        eve.gitops("promote", "staging", "1.0.0")


def test_a_laptop_without_an_origin_has_environments_too(ann: Team) -> None:
    ann.git("remote", "remove", "origin")
    assert "on the local branch env/staging (no `origin` here)" in ann.gitops("promote", "staging")
    live(ann, "1.0.0", "1.1.0")
    ann.gitops("rollback", "production")
    assert ann.versions("staging") == ["1.0.0", "1.1.0"]
    assert ann.versions("production") == ["1.0.0", "1.1.0", "1.0.0"]
    assert ann.git("status", "--short") == "" and ann.git("branch", "--show-current") == "main"


def test_status_says_that_a_model_was_trained_on_rows_that_were_erased_since(ann: Team) -> None:
    data = "d" * 32
    lock = f"stages:\n  validate:\n    deps:\n    - path: data/table.csv\n      md5: {data}\n"
    ann.release("1.1.0", files={"dvc.lock": lock + LOCK.format(110).removeprefix("stages:\n")})
    live(ann, "1.1.0")
    assert "erased" not in ann.gitops("status")
    with contextlib.chdir(ann.path):
        erasure(data).write()
    ann.git("add", "--all")
    ann.git("commit", "--quiet", "-m", "Erase")
    ann.git("push", "--quiet", "origin", "HEAD:main")
    ann.git("switch", "--quiet", "--detach", "churn-model@v1.1.0")  # a checkout that has no such record
    said = ann.gitops("status")
    assert "production: 1.1.0 was trained on rows that were erased since (2027-05-26)." in said
    assert json.loads(ann.gitops("status", "--json"))["staging"]["erased"] == "2027-05-26"
    assert not (ann.path / "erasures").exists()


def test_status_shows_what_runs_since_when_and_what_waits(ann: Team) -> None:
    assert "Not yet in staging: 1.0.0" in ann.gitops("status")
    past = {f"GIT_{role}_DATE": "2026-01-02T03:04:05+00:00" for role in ("AUTHOR", "COMMITTER")}
    now, ann.env = ann.env, ann.env | past
    ann.gitops("promote", "staging")
    ann.gitops("promote", "production")
    ann.env = now
    named = ann.release("1.1.0")
    ann.gitops("promote", "staging")
    same = ann.git("commit-tree", "-p", ann.ref("production"), "-m", "Touch", "origin/env/production^{tree}")
    ann.git("push", "--quiet", "origin", f"{same}:refs/heads/env/production")
    head, staging, production, *rest = ann.gitops("status").splitlines()
    assert head.split() == ["environment", "version", "since", "image", "metrics", "reason"]
    digest = named.rpartition(":")[2][:12]
    assert staging.split()[:2] == ["staging", "1.1.0"] and "(today)" in staging and digest in staging
    assert staging.endswith("roc_auc 0.1100  model 1.1.0")
    assert production.startswith("production   1.0.0    2026-01-02 (") and " days)" in production
    assert rest[0] == "A rollback of staging takes back the model: 1.1.0 → 1.0.0."
    assert rest[1].startswith("Not yet in production: 1.1.0, released 20") and rest[1].endswith("(model 1.1.0)")
    assert len(rest) == 2
    facts = json.loads(ann.gitops("status", "--json"))
    assert facts["staging"]["waiting"] == [] and facts["production"]["waiting"] == ["1.1.0"]
    assert facts["production"]["running"]["version"] == "1.0.0"
    assert facts["production"]["running"]["since"] == "2026-01-02T03:04:05+00:00"
    assert facts["staging"]["running"]["image"] == named and facts["staging"]["rollback"] == "1.0.0"
    assert facts["staging"]["problems"] == facts["production"]["problems"] == []


@pytest.mark.parametrize("broken", ["not json", "[]", '{"version": 7}'])
def test_a_branch_that_somebody_edited_is_said_and_mended(ann: Team, broken: str) -> None:
    live(ann, "1.0.0")
    ann.git("switch", "--quiet", "env/production")
    (ann.path / "release.json").write_text(broken)
    ann.git("commit", "--quiet", "--all", "-m", "Edit by hand")
    ann.git("push", "--quiet", "origin", "env/production")
    ann.git("switch", "--quiet", "main")
    said = ann.gitops("status")
    assert said.splitlines()[2].split()[:2] == ["production", "unknown"]
    assert re.search(r"^✗ production: .*release\.json of .*: what runs can't be told\.$", said, re.MULTILINE)
    ann.gitops("rollback", "production")
    assert ann.state("production") == ann.state("production", "~2")


def test_a_workflow_signs_as_itself_and_says_who_asked(ann: Team) -> None:
    run_of = {"SERVER_URL": "https://github.com", "REPOSITORY": "acme/churn-model", "RUN_ID": "42", "ACTOR": "dana"}
    ann.env |= {f"GITHUB_{key}": value for key, value in (run_of | {"ACTIONS": "true"}).items()}
    ann.gitops("promote", "staging")
    author, *lines = ann.git("log", "--format=%an%n%(trailers)", ann.ref("staging")).splitlines()
    assert author == "github-actions[bot]"
    assert {"Requested-by: @dana", "Run: https://github.com/acme/churn-model/actions/runs/42"} <= set(lines)


def test_commands_do_not_depend_on_how_git_is_set_up(ann: Team) -> None:
    for key, value in (("log.showSignature", "true"), ("color.ui", "always"), ("core.autocrlf", "true")):
        ann.git("config", key, value)
    live(ann, "1.0.0", "1.1.0")
    ann.gitops("rollback", "staging")
    assert "\r" not in ann.state("staging")["manifests.yaml"] and os.linesep == "\n"
    assert ann.state("staging") == ann.state("staging", "~2")


def settings(person: Team, text: str = "value: 5", place: str = "production") -> str:
    """Merge another most replicas of an environment to main, without a release, and return the commit."""
    overlay = person.path / f"deploy/overlays/{place}/kustomization.yaml"
    overlay.write_text(re.sub(r"(/spec/maxReplicas, )value: \d+", rf"\1{text}", overlay.read_text()))
    person.git("commit", "--quiet", "--all", "-m", f"Set {text}")
    person.git("push", "--quiet", "origin", "HEAD:main")
    return person.git("rev-parse", "HEAD")


def replicas(files: dict[str, str]) -> int:
    """Return the most pods that the manifests allow."""
    (scaler,) = [one for one in yaml.safe_load_all(files["manifests.yaml"]) if one["kind"] == "HorizontalPodAutoscaler"]
    return int(scaler["spec"]["maxReplicas"])


def test_settings_reach_production_with_the_same_image_and_survive_a_rollback_of_the_model(ann: Team) -> None:
    live(ann, "1.0.0", "1.1.0")
    ann.release("1.2.0")
    ann.gitops("promote", "staging")
    first = ann.git("rev-parse", "HEAD")
    commit = settings(ann)
    assert f"Not yet in production: the settings of main, {commit[:9]}" in ann.gitops("status")
    preview = ann.gitops("apply", "production", "--dry-run")
    assert "+  maxReplicas: 5" in preview and "sha256:" not in preview and ann.versions("production")[-1] == "1.1.0"
    before = ann.state("production")
    ann.gitops("apply", "production", "--reason", "A campaign\nImage: forged")
    after = ann.state("production")
    assert (image(after), replicas(after)) == (image(before), 5), "the model that staging tries does not come along"
    log = ann.git("log", "-1", "--format=%s%n%(trailers)", "origin/env/production").splitlines()
    assert log[0] == f"Apply the settings of {commit[:9]} to production"
    assert {"Reason: A campaign Image: forged", f"Settings: {commit}", f"Image: {image(before)}"} <= set(log)
    assert any(line.startswith("Requested-by: Dana <dana@example.invalid>") for line in log)
    assert any(line.startswith("From: a clone on ") for line in log)
    assert "Nothing to do: production has the settings of" in ann.gitops("apply", "production")
    said = ann.gitops("status")
    assert (
        f"A rollback of production takes back the model: 1.1.0 → 1.0.0, and keeps the settings of {commit[:9]}." in said
    )
    assert f"production has the settings of {commit[:9]} (Set value: 5)" in said and "✗" not in said

    assert f"the settings of {commit[:9]}, which were applied by themselves, stay" in ann.gitops(
        "rollback", "production"
    )
    back = ann.state("production")
    assert (image(back)[-3:], replicas(back)) == ("064", 5) and json.loads(back["release.json"])["version"] == "1.0.0"
    ann.gitops("promote", "production")
    assert replicas(ann.state("production")) == 5, "a promotion does not take later settings back either"
    ann.gitops("apply", "production", first[:9])
    assert replicas(ann.state("production")) == 6 and ann.versions("production")[-1] == "1.2.0"
    assert "✗" not in ann.gitops("status")


def test_settings_that_main_does_not_hold_are_not_applied(ann: Team) -> None:
    with pytest.raises(Failed, match="error: production runs nothing yet"):
        ann.gitops("apply", "production")
    live(ann, "1.0.0")
    ann.git("commit", "--quiet", "--allow-empty", "-m", "Nobody saw this")
    rogue = ann.git("rev-parse", "HEAD")
    with pytest.raises(Failed, match=f"error: {rogue} is not on main, so nobody reviewed its settings"):
        ann.gitops("apply", "production", rogue)
    for word in ("--upload-pack=x", "main", "HEAD", "$(id)"):
        with pytest.raises(Failed, match=f"error: {re.escape(repr(word))} is no commit"):
            ann.gitops("apply", "production", "--", word)
    assert ann.versions("production") == ["1.0.0"]


def edit(person: Team, place: str, name: str, old: str, new: str) -> None:
    """Change a file of an environment by hand."""
    person.git("fetch", "--quiet", "origin")
    person.git("switch", "--quiet", "--force-create", "hand", f"origin/env/{place}")
    text = (person.path / name).read_text()
    assert old in text
    (person.path / name).write_text(text.replace(old, new))
    person.git("commit", "--quiet", "--all", "-m", "Edit by hand")
    person.git("push", "--quiet", "origin", f"HEAD:env/{place}")
    person.git("switch", "--quiet", "main")


def test_a_manifest_that_was_edited_by_hand_is_shown_and_put_right(ann: Team) -> None:
    live(ann, "1.0.0", "1.1.0")
    good = ann.state("production")
    edit(ann, "production", "manifests.yaml", "maxReplicas: 6", "maxReplicas: 60")
    said = ann.gitops("status")
    assert "✗ production: the manifests were changed by hand: 2 lines differ" in said
    assert "    -  maxReplicas: 6\n" in said and "    +  maxReplicas: 60\n" in said and "✗ staging" not in said
    with pytest.raises(
        Failed, match=r"✗ env/production: the manifests were changed by hand(.|\n)*Broken: env/production\."
    ):
        ann.gitops("verify")
    ann.gitops("apply", "production")
    assert ann.state("production")["manifests.yaml"] == good["manifests.yaml"]
    assert "Every link holds." in ann.gitops("verify")

    edit(ann, "production", "manifests.yaml", image(good), evil := f"evil.example.com/x@sha256:{'6' * 64}")
    assert f"✗ production: the manifests run {evil}, and release.json says {image(good)}." in ann.gitops("status")
    ann.gitops("promote", "production", "1.1.0")
    assert ann.state("production") == good | {"release.json": ann.state("production")["release.json"]}


def test_a_rollback_passes_over_what_was_edited_by_hand(ann: Team) -> None:
    live(ann, "1.0.0")
    good, evil = ann.state("production"), f"evil.example.com/x@sha256:{'6' * 64}"
    edit(ann, "production", "manifests.yaml", image(good), evil)
    ann.release("1.1.0")
    ann.gitops("promote", "staging")
    ann.gitops("promote", "production")
    settings = json.loads(ann.state("production")["release.json"])["settings"]
    edit(ann, "production", "release.json", f'"settings": "{settings}"', f'"settings": "{"f" * 40}"')
    assert json.loads(ann.gitops("status", "--json"))["production"]["rollback"] == "1.0.0"
    assert ann.gitops("rollback", "production", "--offline") == good["manifests.yaml"], "and nothing else on stdout"
    ann.gitops("rollback", "production")
    assert ann.state("production") == good
    for name in ("release.json", "manifests.yaml"):  # which then agree with each other
        edit(ann, "production", name, image(good), evil)
    ann.gitops("rollback", "production", "1.0.0")
    assert ann.state("production") == good


def test_an_image_of_another_release_json_is_not_carried_on(ann: Team) -> None:
    live(ann, "1.0.0")
    evil = f"evil.example.com/x@sha256:{'6' * 64}"
    named = image(ann.state("production"))
    edit(ann, "production", "release.json", named, evil)
    edit(ann, "production", "manifests.yaml", named, evil)
    assert f"✗ production: image is {evil} in release.json, and {named} in the tag" in ann.gitops("status")
    with pytest.raises(Failed, match=r"✗ env/production: image is evil"):
        ann.gitops("verify")
    settings(ann)
    with pytest.raises(Failed, match=r"error: env/production says that 1\.0\.0 is evil"):
        ann.gitops("apply", "production")


def test_a_withdrawn_release_runs_nowhere_any_more(ann: Team, bob: Team) -> None:
    live(ann, "1.0.0", "1.1.0", "1.2.0")
    ann.gitops("rollback", "staging", "1.1.0")
    with pytest.raises(Failed, match="error: a withdrawal needs its reason"):
        ann.gitops("withdraw", "1.1.0", "--reason", " \n ")
    assert "Would set the tag churn-model@v1.1.0! on" in ann.gitops("withdraw", "1.1.0", "--reason", "why", "--dry-run")
    assert ann.git("ls-remote", "origin", "*!") == ""
    ann.on_push("exit 1")
    with pytest.raises(Failed):
        ann.gitops("withdraw", "1.1.0", "--reason", "trained on rows\nthat we may not use")
    said = ann.gitops("withdraw", "v1.1.0", "--reason", "again")
    assert "1.1.0 is withdrawn: trained on rows that we may not use" in said and "staging runs it: " in said
    assert "Nothing to do: 1.1.0 was withdrawn on 20" in ann.gitops("withdraw", "1.1.0", "--reason", "again")
    assert ann.git("ls-remote", "origin", "*!").count("refs/tags/churn-model@v1.1.0!") == 1

    said = bob.gitops("status")
    wanted = "✗ staging: it runs 1.1.0, which was withdrawn on 20"
    assert wanted in said and "by Dana: trained on rows that we may not use." in said
    assert "takes back the model: 1.2.0 → 1.0.0." in said, "not to what is withdrawn"
    for words in ("promote production 1.1.0", "promote production", "rollback production 1.1.0"):
        with pytest.raises(Failed, match=r"error: 1\.1\.0 was withdrawn on 20"):
            bob.gitops(*words.split())
    bob.gitops("rollback", "production")
    assert bob.versions("production")[-1] == "1.0.0"
    shown = run(Path(sys.prefix, "bin/gto"), "show", "churn-model", "--json", cwd=bob.path, env=bob.env)
    assert "v1.2.0" in shown and "v1.1.0" not in shown, "GTO's own tools know it too"


def lightweight(person: Team, tag: str) -> None:
    person.git("tag", tag, "main")


def off_main(person: Team, tag: str) -> None:
    person.git("commit", "--quiet", "--allow-empty", "-m", "Nobody saw this")
    person.tag(tag.partition("@v")[2], f"registry.example.com/acme/churn-model@sha256:{'6' * 64}")
    person.git("reset", "--quiet", "--hard", "HEAD~1")


def from_the_future(person: Team, tag: str) -> None:
    person.env |= {"GIT_COMMITTER_DATE": "2099-01-01T00:00:00+00:00"}
    person.tag(tag.partition("@v")[2], f"registry.example.com/acme/churn-model@sha256:{'6' * 64}")
    del person.env["GIT_COMMITTER_DATE"]


def of_another_release(person: Team, tag: str) -> None:
    old = person.git("rev-parse", "churn-model@v1.0.0")
    person.git("update-ref", f"refs/tags/{tag}", old)


def with_an_option_as_image(person: Team, tag: str) -> None:
    person.tag(tag.partition("@v")[2], "--upload-pack=touch")


def without_identity(person: Team, tag: str) -> None:
    person.git("tag", "--annotate", "--message", f"churn-model {tag.partition('@v')[2]}: mine", tag)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lightweight, "is lightweight"),
        (off_main, "which is not on origin's main"),
        (from_the_future, "which is still to come"),
        (of_another_release, "does not say what a release writes there"),
        (with_an_option_as_image, "`image` of the tag .* which is not an image by digest"),
        (without_identity, "`identity` of the tag .* which is not a SHA-256"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_tag_that_no_release_made_stops_promotions_and_no_rollback(
    ann: Team, bob: Team, forge: Callable[[Team, str], None], words: str
) -> None:
    if forge is lightweight:
        ann.gitops("promote", "staging")
    tag = "churn-model@v1.1.0"
    forge(bob, tag)
    bob.git("push", "--quiet", "origin", f"refs/tags/{tag}")
    with pytest.raises(Failed, match=f"error: (the tag {tag} )?.*{words}") as failed:
        ann.gitops("promote", "staging")
    assert f"`git push origin --delete refs/tags/{tag}`" in str(failed.value)
    if forge is lightweight:
        assert re.search(f"^✗ .*{words}", ann.gitops("status"), re.MULTILINE) and ann.versions("staging") == ["1.0.0"]
        ann.gitops("rollback", "staging", "1.0.0")
        ann.git("push", "--quiet", "origin", "--delete", f"refs/tags/{tag}")
        ann.git("tag", "--delete", tag)
        assert "Nothing to do" in ann.gitops("promote", "staging")


def test_a_tag_that_moved_at_origin_is_not_taken_over(ann: Team, bob: Team) -> None:
    ann.gitops("promote", "staging")
    bob.tag("1.0.0", f"registry.example.com/acme/churn-model@sha256:{'6' * 64}", "--force")
    bob.git("push", "--quiet", "--force", "origin", "refs/tags/churn-model@v1.0.0")
    with pytest.raises(Failed, match=r"error: the tag churn-model@v1\.0\.0 at origin is not the one in this clone"):
        ann.gitops("promote", "staging", "1.0.0")
    with pytest.raises(Failed, match=r"error: the tag churn-model@v1\.0\.0 names .* one of them was moved or forged"):
        bob.gitops("promote", "staging", "1.0.0")
    assert "1.0.0" in ann.gitops("status")


def test_an_image_of_another_place_is_not_promoted(ann: Team) -> None:
    ann.env["IMAGE"] = "registry.example.com/ours"
    with pytest.raises(
        Failed, match=r"error: the tag churn-model@v1\.0\.0 names an image in .*/acme/churn-model, and IMAGE"
    ):
        ann.gitops("promote", "staging")
    ann.env["IMAGE"] = "registry.example.com/acme/churn-model"
    ann.gitops("promote", "staging")
    del ann.env["IMAGE"]
    ann.git("commit", "--quiet", "--allow-empty", "-m", "More")
    ann.git("push", "--quiet", "origin", "main")
    ann.tag("1.1.0", f"evil.example.com/x@sha256:{'6' * 64}")
    with pytest.raises(Failed, match="and the first release's is in registry"):
        ann.gitops("promote", "staging")
    assert ann.versions("staging") == ["1.0.0"]


def test_only_what_was_approved_is_done(ann: Team, bob: Team, tmp_path: Path) -> None:
    live(ann, "1.0.0")
    ann.release("1.1.0")
    ann.gitops("promote", "staging")
    output, summary = tmp_path / "output", tmp_path / "summary"
    ann.env |= {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    ann.gitops("promote", "production", "--dry-run")
    told = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert (told["argument"], told["words"]) == ("1.1.0", "1.0.0 → 1.1.0") and "+" in summary.read_text()
    bob.git("pull", "--quiet", "origin", "main")
    settings(bob)
    bob.gitops("apply", "production")
    approved = ["promote", f"--approved={told['approved']}", "production", "--", "1.1.0"]
    with pytest.raises(Failed, match=r"error: this is no longer what was approved: env/production"):
        ann.gitops(*approved)
    assert ann.versions("production") == ["1.0.0", "1.0.0"]
    output.unlink()
    ann.gitops("promote", "production", "--dry-run")
    told = dict(line.split("=", 1) for line in output.read_text().splitlines())
    ann.gitops("promote", f"--approved={told['approved']}", "production", "--", told["argument"])
    assert ann.versions("production")[-1] == "1.1.0"


def test_back_without_github_takes_seconds(ann: Team, origin: Path) -> None:
    live(ann, "1.0.0", "1.1.0")
    commit = settings(ann)
    ann.gitops("apply", "production")
    ann.git("fetch", "--quiet", "origin")
    origin.rename(away := origin.with_name("away.git"))
    begun = time.monotonic()
    text = ann.gitops("rollback", "production", "--offline")
    assert time.monotonic() - begun < 20
    assert image({"manifests.yaml": text})[-3:] == "064" and replicas({"manifests.yaml": text}) == 5
    away.rename(origin)
    assert ann.versions("production")[-1] == "1.1.0"
    ann.gitops("rollback", "production")
    then = ann.state("production")
    assert yaml.safe_load(then["manifests.yaml"].split("---")[0]) and then["manifests.yaml"].strip() == text.strip()
    assert json.loads(then["release.json"])["settings"] == commit
