"""The image of a release: what is in it, that it comes out the same, how it is tried, and how it gets to a registry."""

import json
import random
import re
import shutil
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
import yaml
from containers import BASE, Podman, Registry
from demo import CUSTOMER
from gitops import description
from gitops.project import load
from gitops.release import container, image, sample, smoke
from gitops.release import registry as api
from gitops.shell import CommandError
from harness import Failed
from laptop import Laptop
from test_release import INSIDE

pytestmark = pytest.mark.slow

KEY, DIGEST = "a-caller-s-key-that-stays-outside", "5f" * 32
COMMAND = "python -m gitops image --version 1.0.0"
ABSENT = {"sh", "bash", "gcc", "cc", "ld", "git", "dvc", "pip", "pip3", "apt", "apt-get", "dpkg", "perl", "uv", "curl"}
FOREIGN = {"pip", "setuptools", "ensurepip", "pandas", "sklearn", "scipy", "pyarrow", "dvc", "skl2onnx", "gitops"}
OURS = {
    "opt/bento/bento.yaml",
    "opt/bento/src/bentofile.yaml",
    "opt/bento/src/build/model.bin",
    "opt/bento/src/params.yaml",
    "opt/bento/src/schema.yaml",
    *(f"opt/bento/{name}" for name in INSIDE if name.startswith("src/serving/")),
}


@pytest.fixture(scope="module")
def built(champion: Path, podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> tuple[Laptop, str, str]:
    """Return a laptop with secrets lying around, the id of the image that its command made, and all that it said."""
    laptop = Laptop(champion, tmp_path_factory.mktemp("image"))
    for name in (".env", "src/.env", "src/serving/notes.txt", "deploy/.env"):
        laptop.write(name, "PASSWORD=secret")
    laptop.write("keys", f"{KEY}\n{DIGEST}\n")
    laptop.env |= podman.env | {"SERVICE_KEYS": DIGEST, "SERVICE_KEYS_FILE": str(laptop.path / "keys")}
    said = laptop.run(COMMAND)
    return laptop, said.splitlines()[-1].split()[1], said


@pytest.fixture
def here(built: tuple[Laptop, str, str], podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand in a copy of that project's files, with the same podman, and return the image's id."""
    laptop, made, _ = built
    for name in ("pyproject.toml", "openapi.json", "model.json"):
        shutil.copy(laptop.path / name, tmp_path)
    shutil.copytree(laptop.path / "build", tmp_path / "build")
    podman.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(smoke, "REQUESTS", 10)
    return made


def test_the_command_builds_and_tries_the_image(built: tuple[Laptop, str, str], podman: Podman) -> None:
    _, made, said = built
    facts = json.loads(re.search(r"\{.*\}$", said)[0])  # type: ignore[index]
    assert podman("image", "inspect", "--format", "{{.Id}}", "localhost/churn-model:1.0.0") == made
    assert 0 < facts["ready_seconds"] < 60 and 0 < facts["p95_ms"] < 1000
    assert 50 < facts["memory_mb"] < 512 and 100 < facts["size_mb"] < 320
    assert not podman("ps", "--all", "--quiet")


def test_the_same_commit_makes_the_same_image_elsewhere(
    built: tuple[Laptop, str, str], podman: Podman, champion: Path, tmp_path: Path
) -> None:
    laptop, made, _ = built
    other = Laptop(champion, tmp_path)
    other.write(".env", "another")  # both checkouts are dirty, and that is all that the image may tell
    with Podman(podman.context) as fresh:  # which has no layers of an earlier build
        other.env |= fresh.env
        assert other.run("git rev-parse HEAD") == laptop.run("git rev-parse HEAD")
        assert other.run(COMMAND).splitlines()[-1].split()[1] == made


def test_the_image_holds_the_service_and_nothing_else(here: str, podman: Podman, tmp_path: Path) -> None:
    container = podman("create", here)
    podman("export", "--output", str(tmp_path / "image.tar"), container)
    podman("rm", container)
    with tarfile.open(tmp_path / "image.tar") as archive:
        members = {member.name: member for member in archive}
    content = (tmp_path / "image.tar").read_bytes()
    assert b"The released service" in content and not [key for key in (KEY, DIGEST) if key.encode() in content]
    parts = {part for name in members for part in Path(name).parts}
    programs = {Path(name).name for name, member in members.items() if member.mode & 0o111 and member.isfile()}
    assert not ABSENT & programs and "bentoml" in programs
    assert not FOREIGN & parts and {"onnxruntime", "numpy", "pydantic"} <= parts
    assert not parts & {".env", ".git", ".dvc", "notes.txt", "table.csv", "holdout.parquet", "tests"}
    files = {name for name, member in members.items() if name.startswith("opt/bento/") and member.isfile()}
    assert files == OURS
    served = {Path(name).relative_to("models").as_posix() for name in members if name.startswith("models/")}
    assert served == {"model", "model/config.pbtxt", "model/1", "model/1/model.onnx"}, "what KServe mounts"
    with tarfile.open(tmp_path / "image.tar") as archive:
        texts = [archive.extractfile(name) for name in ("models/model/1/model.onnx", "opt/bento/src/build/model.bin")]
        assert texts[0] and texts[1] and texts[0].read() == texts[1].read()
    writable = [name for name, member in members.items() if member.mode & 0o002 and not member.issym()]
    assert [name.rstrip("/") for name in writable if not name.startswith(("dev", "proc", "sys"))] == ["tmp"]
    assert not [name for name, member in members.items() if member.mode & 0o6000], "nothing runs as somebody else"


def test_the_nightly_job_runs_in_it(built: tuple[Laptop, str, str], here: str, podman: Podman, tmp_path: Path) -> None:
    job = yaml.safe_load((built[0].path / "deploy/components/nightly-scores/nightly-scores.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "records.jsonl").write_text(json.dumps(CUSTOMER) + "\n{}\n")
    program, *words = container["command"]
    where = ("--volume", f"{folder}:/scores", "--workdir", container["workingDir"], "--entrypoint", program)
    hard = ("--rm", "--read-only", "--cap-drop=all", "--network=none", "--user=10001:0", "--tmpfs=/tmp")
    logged = podman("run", *hard, *where, here, *words, *container["args"])
    (row,) = pd.read_csv(folder / "scores.csv").to_dict("records")
    assert row["id"] == CUSTOMER["customer_id"] and row["model_version"] == "1.0.0"
    assert 0 < row["score"] < 1 and row["reason_3"].endswith(" the score")
    assert (folder / "scores.csv.errors.csv").read_text().startswith("row,column,reason\n2,female,Field required\n")
    assert json.loads(logged)["model_version"] == "1.0.0"


def test_any_user_of_group_0_runs_it(here: str, podman: Podman, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenShift does it: a random user of group 0, whom /etc/passwd does not know, with a read-only root."""
    project, hardened = load(), container.HARDENED
    model = description.load(project)
    records = sample.records(project, model)
    users = random.sample(range(1_000_000_000, 2_000_000_000), 10)
    with ExitStack() as stack:
        services = []
        for user in users:
            monkeypatch.setattr(container, "HARDENED", hardened.replace("--user 10001", f"--user {user}:0"))
            services.append(stack.enter_context(container.running(here)))
        for service, user in zip(services, users, strict=True):
            service.wait()
            answer = service.ask("POST", model.service.path, {model.service.records: records})
            scores = [row[model.service.score] for row in answer[model.service.predictions]]
            assert sample.differences(project, f"the image as {user}", scores) == ""
            told = json.loads(podman("inspect", service.name))[0]
            assert told["Config"]["User"] == f"{user}:0" and told["HostConfig"]["ReadonlyRootfs"] is True


def test_what_the_image_says_of_itself(built: tuple[Laptop, str, str], podman: Podman) -> None:
    laptop, made, said = built
    told = podman("image", "inspect", made)
    assert not [key for key in (KEY, DIGEST) if key in told + said]
    config = json.loads(told)[0]["Config"]
    labels = config["Labels"]
    assert config["User"] == "10001:10001" and list(config["ExposedPorts"]) == ["3000/tcp"]
    assert (
        config["Entrypoint"][:3] == ["bentoml", "serve", "/opt/bento"] and "BENTOML_HOME=/tmp/bentoml" in config["Env"]
    )
    assert labels["org.opencontainers.image.title"] == "churn-model"
    assert labels["org.opencontainers.image.version"] == "1.0.0"
    assert labels["org.opencontainers.image.revision"].removesuffix("-dirty") == laptop.run("git rev-parse HEAD")
    assert re.fullmatch("[0-9a-f]{64}", labels["gitops.identity"])


def edit_scores(folder: Path) -> None:
    path = folder / "build/predictions.parquet"
    table = pd.read_parquet(path)
    table.loc[table.index[7], "score"] += 1e-5
    table.to_parquet(path)


def edit_contract(folder: Path) -> None:
    path = folder / "openapi.json"
    path.write_text(path.read_text().replace('"maximum": 9007199254740991', '"maximum": 72'))


def no_edit(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("edit", "budgets", "sentence"),
    [
        (edit_scores, {}, "scores 1 of 100 held-out rows otherwise than the reviewed model"),
        (edit_contract, {}, "serves other `components` than openapi.json promises"),
        (no_edit, {"p95_ms": 0.01}, r"exceeds the budget p95_ms of gates.yaml: [\d.]+ > 0.01"),
        (no_edit, {"image_mb": 1e6, "memory_mb": 9.0}, r"exceeds the budget memory_mb of gates.yaml: [\d.]+ > 9"),
        (no_edit, {"p95_ms": 1e6, "image_mb": 99.0}, r"exceeds the budget image_mb of gates.yaml: [\d.]+ > 99"),
    ],
)
def test_what_differs_stops_the_release(
    here: str,
    podman: Podman,
    tmp_path: Path,
    edit: Callable[[Path], None],
    budgets: dict[str, float],
    sentence: str,
) -> None:
    edit(tmp_path)
    with pytest.raises(CommandError, match=sentence):
        smoke.smoke(load(), here, budgets)
    assert not podman("ps", "--all", "--quiet")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("LABEL org.opencontainers.image.version=2.0.0", r"is labelled 2\.0\.0 and answers as 1\.0\.0"),
        ('ENTRYPOINT ["python", "-c", "raise SystemExit(\'no model here\')"]', "does not become ready: no model here"),
    ],
)
def test_an_image_that_is_not_what_it_says_stops(
    here: str, podman: Podman, tmp_path: Path, line: str, sentence: str
) -> None:
    (tmp_path / "Containerfile").write_text(f"FROM {here}\n{line}\n")
    other = podman("build", "--quiet", str(tmp_path))
    with pytest.raises(CommandError, match=sentence):
        smoke.smoke(load(), other, {})
    podman("rmi", other)
    assert not podman("ps", "--all", "--quiet")


def test_a_push_is_found_and_tried_by_its_digest(here: str, podman: Podman, registry: Registry) -> None:
    tag = f"{registry.host}/acme/churn-model:candidate"
    labels = json.loads(podman("image", "inspect", here))[0]["Config"]["Labels"]
    commit, identity = labels["org.opencontainers.image.revision"], labels["gitops.identity"]
    podman("tag", here, tag)
    pushed = image.push(tag)
    digest = pushed.partition("@")[2]
    assert image.inspect(pushed) == {"digest": digest, "revision": commit, "identity": identity}
    assert image.inspect(pushed[:-1] + ("0" if pushed[-1] != "0" else "1")) == {}
    image.retag(pushed, "1.0.0")
    assert (held := api.manifest(f"{registry.host}/acme/churn-model", "1.0.0")) and held.digest == digest
    podman("rmi", "--force", tag)
    assert smoke.smoke(load(), pushed, {})["size_mb"] > 100
    with pytest.raises(CommandError, match="holds no sha256:0000"):
        image.retag(pushed.partition("@")[0] + "@sha256:" + "0" * 64, "1.0.0")


@pytest.fixture
def small(podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an image of one file, with this process using the same podman: pushing it takes no time."""
    podman.use(monkeypatch)
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY Containerfile /\n")
    return podman("build", "--quiet", str(tmp_path))


def test_a_registry_that_is_down_is_told_in_one_sentence(small: str, podman: Podman, registry: Registry) -> None:
    tag = f"{registry.host}/acme/churn-model:1.0.0"
    podman("tag", small, tag)
    registry.stop()
    for call in (
        lambda: image.push(tag),
        lambda: image.inspect(f"{tag[:-6]}@x"),
        lambda: image.retag(f"{tag[:-6]}@x", "y"),
    ):
        with pytest.raises(CommandError, match="connection refused|Connection refused") as stop:
            call()
        assert "\n" not in str(stop.value) and registry.host in str(stop.value)
    registry.start()
    image.push(tag)
    assert api.manifest(tag[:-6], "1.0.0")
    podman("rmi", tag)


def test_a_base_image_that_is_not_there_is_told(built: tuple[Laptop, str, str], registry: Registry) -> None:
    laptop, _, _ = built
    laptop.env["BASE_IMAGE"] = f"{registry.host}/no/base:1"
    with pytest.raises(
        Failed, match=r"error: localhost/churn-model:1\.0\.0 can't be built: podman says .*manifest unknown"
    ):
        laptop.run(COMMAND)
    laptop.env["BASE_IMAGE"] = BASE


def test_a_registry_with_a_password(
    small: str, podman: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(tmp_path / "closed", password=True) as closed:
        monkeypatch.setenv("IMAGE", f"{closed.host}/acme/churn-model")
        tag = image.repository() + ":1.0.0"
        podman("tag", small, tag)
        with pytest.raises(CommandError, match="can't be pushed"):
            image.push(tag)
        monkeypatch.setenv("REGISTRY_USER", "robot")
        monkeypatch.setenv("REGISTRY_PASSWORD", "wrong")
        with pytest.raises(CommandError, match="robot can't log in to"):
            image.login()
        with pytest.raises(
            CommandError, match="answered 401 for acme/churn-model: REGISTRY_USER and REGISTRY_PASSWORD"
        ):
            image.inspect(f"{tag[:-6]}@sha256:{'0' * 64}")
        monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
        image.login()
        assert image.push(tag).startswith(f"{closed.host}/acme/churn-model@sha256:")
        podman("rmi", tag)
