"""The chain of a release: it holds as it was made, and each link that somebody bends is named."""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from fake_github import FakeGitHub
from fake_server import BOT_TOKEN, make_repository
from gitops import github
from gitops.release.verify import verify
from gitops.shell import CommandError
from harness import needs
from laptop import Laptop
from released import IMAGE

pytestmark = pytest.mark.slow

BENTO = "churn-model-1.0.0.bento"
LINKS = ["assets", "tag", "commit", "lock", "model", "code", "data remote", "image", "sbom"]
TAG = "refs/tags/churn-model@v1.0.0"


@pytest.fixture
def project(released_project: Laptop, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    """A released project as the current folder, on `main`, without a GitHub."""
    released_project.run("git switch --quiet main")
    monkeypatch.chdir(released_project.path)
    for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, released_project.env[name])
    return released_project


def registry(project: Laptop, **other: str) -> Callable[[str], Mapping[str, str]]:
    """Return a registry that holds the release's image, but for what is said otherwise."""
    facts = json.loads(project.read("dist/release.json"))
    held = {"digest": IMAGE.partition("@")[2], "revision": facts["commit"], "identity": facts["identity"]} | other
    return lambda image: held if image == IMAGE else {}


Print = pytest.CaptureFixture[str]


def marks(printed: str) -> dict[str, str]:
    """Return the mark of each link."""
    return {name: mark for mark, name in re.findall(r"^([✓✗–]) ([^:]+):", printed, re.MULTILINE)}


def test_a_release_holds_as_it_was_made(project: Laptop, capsys: Print) -> None:
    assert verify("1.0.0", None, registry(project)) == 0
    printed = capsys.readouterr().out
    assert marks(printed) == dict.fromkeys(LINKS, "✓")
    assert printed.endswith("Every link holds.\n")


def test_what_cannot_be_checked_is_not_called_good(project: Laptop, capsys: Print) -> None:
    assert verify("v1.0.0", None) == 0
    printed = capsys.readouterr().out
    assert "– image: not checked: there is no registry here to ask\n" in printed
    assert printed.endswith("Every link holds that could be checked; not checked: image.\n")

    def unreachable(_: str) -> Mapping[str, str]:
        raise CommandError("the registry can't be reached")

    assert verify("1.0.0", None, unreachable) == 0
    assert "– image: not checked: the registry can't be reached\n" in capsys.readouterr().out
    held = registry(project)
    project.run("mv dist elsewhere")
    assert verify("1.0.0", None) == 0
    found = marks(capsys.readouterr().out)
    assert [name for name, mark in found.items() if mark == "✓"] == ["commit", "data remote"] and len(found) == 9
    assert verify("1.0.0", Path("elsewhere"), held) == 0


def sums(project: Laptop) -> None:
    """Write SHA256SUMS anew, as somebody would who bends a file."""
    files = [path for path in sorted((project.path / "dist").iterdir()) if path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    project.write("dist/SHA256SUMS", "".join(lines))


def move_tag(project: Laptop) -> None:
    project.run("git commit --quiet --allow-empty --message later")
    message = project.run("git for-each-ref --format=%(contents) " + TAG)
    project.write("message", message)
    project.run("git tag --force --annotate churn-model@v1.0.0 --file message")


def lighten_tag(project: Laptop) -> None:
    commit = project.run(f"git rev-parse {TAG}^{{commit}}")
    project.run(f"git update-ref {TAG} {commit}")


def leave_main(project: Laptop) -> None:
    project.run("git checkout --quiet --orphan other", "git commit --quiet --message other", "git branch -f main other")


def change_lock(project: Laptop) -> None:
    project.write("dist/dvc.lock", project.read("dist/dvc.lock") + "# later\n")
    sums(project)


def change_model(project: Laptop) -> None:
    repack(project, "src/build/model.bin")


def change_code(project: Laptop) -> None:
    repack(project, "src/serving/service.py")


def repack(project: Laptop, name: str) -> None:
    """Put another file in the place of one in the Bento."""
    old, new = project.path / "dist" / BENTO, project.path / "dist/new"
    with tarfile.open(old) as source, tarfile.open(new, "w:gz") as target:
        for member in source:
            content = source.extractfile(member)
            if member.name.endswith(name):
                member.size, content = 7, (project.path / "planted").open("rb")
            target.addfile(member, content)
    new.rename(old)
    sums(project)


def change_remote(project: Laptop) -> None:
    digest = json.loads(project.read("dist/release.json"))["model_md5"]
    kept = project.path / ".dvc/store/files/md5" / digest[:2] / digest[2:]
    kept.chmod(0o644)
    kept.write_bytes(b"planted")


def change_sbom(project: Laptop) -> None:
    project.replace("dist/sbom.cdx.json", "a" * 64, "b" * 64)
    sums(project)


def break_sbom(project: Laptop) -> None:
    project.write("dist/sbom.cdx.json", "{}")
    sums(project)


def change_file(project: Laptop) -> None:
    project.replace("dist/model-card.md", "customers", "people")


def change_sums(project: Laptop) -> None:
    project.write("dist/SHA256SUMS", project.read("dist/SHA256SUMS").replace("a", "b"))


def lose_asset(project: Laptop) -> None:
    project.run("rm dist/report.html")


def lose_facts(project: Laptop) -> None:
    project.run("rm dist/release.json")
    sums(project)


def add_asset(project: Laptop) -> None:
    project.write("dist/setup.sh", "curl evil")


def deploy(project: Laptop) -> None:
    """Let production run the release."""
    needs("kubectl")
    project.run("python -m gitops promote staging", "python -m gitops promote production")


def edit_production(project: Laptop, name: str, old: str, new: str) -> None:
    project.run("git switch --quiet env/production")
    project.replace(name, old, new)
    project.run("git commit --quiet --all --message edit", "git switch --quiet --force main")


def bend_environment(project: Laptop) -> None:
    """Let production say that it runs this release, with another image."""
    deploy(project)
    edit_production(project, "release.json", "aaaa", "bbbb")


def bend_manifest(project: Laptop) -> None:
    """Let production run another image than it says."""
    deploy(project)
    edit_production(project, "manifests.yaml", IMAGE, IMAGE.replace("aaaa", "bbbb"))


def bend_settings(project: Laptop) -> None:
    deploy(project)
    edit_production(project, "manifests.yaml", "maxReplicas: 6", "maxReplicas: 60")


def withdraw_release(project: Laptop) -> None:
    project.run("python -m gitops withdraw 1.0.0 --reason unlawful")


CASES: list[tuple[Callable[[Laptop], None], set[str], str]] = [
    (move_tag, {"tag", "image"}, r"commit of the tag is '[0-9a-f]{40}' and should be '[0-9a-f]{40}'"),
    (lighten_tag, {"tag"}, r"the tag churn-model@v1\.0\.0 is lightweight"),
    (leave_main, {"commit"}, r"[0-9a-f]{9} is not on main"),
    (change_lock, {"lock"}, r"the asset dvc\.lock is '[0-9a-f]{64}' and should be '[0-9a-f]{64}'"),
    (change_model, {"model"}, rf"the model in {BENTO} is '[0-9a-f]{{32}}' and should be '[0-9a-f]{{32}}'"),
    (change_code, {"code"}, r"src/serving/service\.py is not the commit's"),
    (change_remote, {"data remote"}, r"the model in the data remote is '[0-9a-f]{32}' and should be '[0-9a-f]{32}'"),
    (change_sbom, {"sbom"}, r"image in sbom\.cdx\.json is '.*bbbb' and should be '.*aaaa'"),
    (break_sbom, {"sbom"}, r"sbom\.cdx\.json is missing, or not one of ours"),
    (change_file, {"assets"}, r"model-card\.md has another checksum than SHA256SUMS says"),
    (change_sums, {"assets"}, r"has another checksum than SHA256SUMS says"),
    (lose_asset, {"assets"}, r"report\.html is missing"),
    (lose_facts, {"tag", "lock", "model"}, r"commit of the tag is '[0-9a-f]{40}' and should be None"),
    (add_asset, {"assets"}, r"setup\.sh is not in SHA256SUMS"),
    (
        bend_environment,
        {"env/production"},
        r"image is .*bbbb in release\.json, and .*aaaa in the tag churn-model@v1\.0\.0",
    ),
    (bend_manifest, {"env/production"}, r"the manifests run .*bbbb.*, and release\.json says .*aaaa(.|\n)* [+] .*bbbb"),
    (
        bend_settings,
        {"env/production"},
        r"changed by hand: 2 lines differ(.|\n)* -  maxReplicas: 6\n +[+]  maxReplicas: 60",
    ),
    (withdraw_release, {"withdrawn"}, r"1\.0\.0 was withdrawn on 20.* by Dana: unlawful"),
]


@pytest.mark.parametrize(("bend", "names", "words"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_bent_link_is_named(
    project: Laptop, capsys: Print, bend: Callable[[Laptop], None], names: set[str], words: str
) -> None:
    project.write("planted", "planted")
    inspect = registry(project)
    bend(project)
    assert verify("1.0.0", Path("dist"), inspect) == 1
    printed = capsys.readouterr().out
    assert {name for name, mark in marks(printed).items() if mark == "✗"} == names
    assert re.search(words, printed)
    assert f"Broken: {', '.join(name for name in marks(printed) if name in names)}." in printed


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"digest": f"sha256:{'b' * 64}"}, "digest of the image is 'sha256:bbbb"),
        ({"revision": "b" * 40}, "revision of the image is 'bbbb"),
        ({"identity": "b" * 64}, "identity of the image is 'bbbb"),
    ],
)
def test_another_image_is_named(project: Laptop, capsys: Print, other: dict[str, str], words: str) -> None:
    assert verify("1.0.0", None, registry(project, **other)) == 1
    printed = capsys.readouterr().out
    assert f"✗ image: {words}" in printed
    assert verify("1.0.0", None, lambda _: {}) == 1
    assert "✗ image: digest of the image is None" in capsys.readouterr().out


def test_what_runs_is_followed_to_its_environment(project: Laptop, capsys: Print) -> None:
    deploy(project)
    assert verify("1.0.0", None, registry(project)) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"^✓ env/production: runs 1\.0\.0, as it was released, with the settings of", printed, re.MULTILINE
    )
    assert verify("", None) == 0
    assert marks(capsys.readouterr().out) == {"env/staging": "✓", "env/production": "✓"}


def test_a_clone_asks_its_origin(project: Laptop, capsys: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    files, clone = project.path / "dist", project.path.with_name("clone")
    project.run(f"git clone --quiet {project.path} {clone}")
    monkeypatch.chdir(clone)
    assert verify("1.0.0", files, registry(project)) == 0
    assert marks(capsys.readouterr().out) == dict.fromkeys(LINKS, "✓")
    bend_environment(project)
    leave_main(project)
    assert verify("1.0.0", files, registry(project)) == 1
    assert "Broken: commit, env/staging, env/production. " in capsys.readouterr().out


@pytest.fixture
def hub(project: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """A GitHub that has the release with its files."""
    make_repository(tmp_path / "hub", "acme/churn-model")
    with FakeGitHub(tmp_path / "hub") as server:
        for name, value in (("TOKEN", BOT_TOKEN), ("REPOSITORY", "acme/churn-model"), ("API_URL", server.url)):
            monkeypatch.setenv(f"GITHUB_{name}", value)
        draft = github.call("POST", "/releases", {"tag_name": "churn-model@v1.0.0", "draft": True})
        for file in sorted((project.path / "dist").iterdir()):
            github.call("POST", f"/releases/{draft['id']}/assets?name={file.name}", data=file.read_bytes(), mime="x/y")
        yield server


def test_the_files_come_from_github(project: Laptop, hub: FakeGitHub, capsys: Print) -> None:
    project.run("rm -r dist/model-card.md")  # GitHub's files count, not those that lie here
    assert verify("1.0.0", None, registry(project)) == 0
    assert f"› downloading {BENTO}" in capsys.readouterr().out
    card = next(asset for asset in hub.releases[0]["assets"] if asset["name"] == "model-card.md")
    hub.files[f"/signed/{card['id']}"] = b"bent"
    assert verify("1.0.0", None, registry(project)) == 1
    assert "✗ assets: model-card.md has another checksum than SHA256SUMS says\n" in capsys.readouterr().out


def test_an_unknown_version_is_one_sentence(project: Laptop) -> None:
    for version in ("2.0.0", "--help", "../x", "$(id)"):
        with pytest.raises(
            CommandError, match=re.escape(f"there is no release {version!r} of churn-model: the last one is 1.0.0")
        ):
            verify(version, None)
    with pytest.raises(CommandError, match="there is no folder nowhere"):
        verify("1.0.0", Path("nowhere"))


def test_the_command_says_it_with_its_exit_code(project: Laptop) -> None:
    assert project.run("python -m gitops verify 1.0.0").endswith("not checked: image.")
    assert os.environ.get("GITHUB_TOKEN") is None
