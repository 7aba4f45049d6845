"""A real S3 server on 127.0.0.1, SeaweedFS, with one bucket: for what reads from there or keeps its data there."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

BUCKET = "churn"
KEY, SECRET = "AKTEST", "SKTEST"
READ_ONLY_KEY, READ_ONLY_SECRET = "AKREAD", "SKREAD"
START = 60.0  # seconds; it takes four
PORTS = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
OFF = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false")
SMALL = ("-volume.max=20", "-master.volumeSizeLimitMB=256")


@dataclass(frozen=True)
class Bucket:
    """A bucket, its server's address, and the server."""

    endpoint: str
    process: subprocess.Popen[bytes]
    name: str = BUCKET

    @property
    def env(self) -> dict[str, str]:
        """The variables with which any client of S3 reaches it."""
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        return keys | {"AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}

    @property
    def files(self) -> fs.FileSystem:
        """The server as a file system, whose paths start with a bucket's name."""
        return fs.S3FileSystem(
            access_key=KEY, secret_key=SECRET, endpoint_override=self.endpoint, allow_bucket_creation=True
        )

    def put(self, name: str, content: bytes) -> None:
        """Write one object."""
        with self.files.open_output_stream(f"{self.name}/{name}") as stream:
            stream.write(content)

    def get(self, name: str) -> bytes:
        """Read one object."""
        with self.files.open_input_stream(f"{self.name}/{name}") as stream:
            return bytes(stream.read())

    def names(self) -> list[str]:
        """Return the objects' names, sorted."""
        found = self.files.get_file_info(fs.FileSelector(self.name, recursive=True))
        return sorted(file.path.removeprefix(f"{self.name}/") for file in found if file.is_file)

    def stop(self) -> None:
        """End the server at once; asked to end, it takes more than ten seconds."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """Start a server that keeps its data in `folder`, which is made, and yield its empty bucket."""
    folder.mkdir(parents=True)
    people = [
        _identity("owner", KEY, SECRET, "Admin", "Read", "Write", "List", "Tagging"),
        _identity("reader", READ_ONLY_KEY, READ_ONLY_SECRET, "Read", "List"),
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": people}))
    ports = free_ports(len(PORTS))
    address = ("-ip=127.0.0.1", "-ip.bind=127.0.0.1", *(f"-{x}={n}" for x, n in zip(PORTS, ports, strict=True)))
    weed = [str(Path(sys.prefix, "bin/weed")), "server", "-s3", f"-dir={folder}", f"-s3.config={folder / 's3.json'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*weed, *address, *OFF, *SMALL], cwd=folder, stdout=log, stderr=log)
    started, deadline = Bucket(f"http://127.0.0.1:{ports[0]}", process), time.monotonic() + START
    try:
        while not _ready(started):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.25)
        started.files.create_dir(BUCKET)
        yield started
    finally:
        started.stop()


def _identity(name: str, key: str, secret: str, *rights: str) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": rights}


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens."""
    with ExitStack() as held:
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


def _ready(server: Bucket) -> bool:
    """Tell whether it answers, for it has nothing to say to somebody without a key."""
    try:
        urllib.request.urlopen(server.endpoint, timeout=5).close()
    except urllib.error.HTTPError as refused:
        return refused.code == 403
    except OSError:
        return False
    return True
