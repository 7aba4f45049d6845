"""OUT on s3://: what was joined here is sent at the end, and an object appears whole or not at all."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import fs

from serving.rows.errors import ModelError, cause


class Remote:
    """An object to write.

    Raises:
        ModelError: it isn't on S3, or the server can't be reached, or there is no such bucket.
    """

    def __init__(self, where: str) -> None:
        if not where.startswith("s3://"):
            raise ModelError(f"{shown(where)} can't be written: give a path on this machine, or s3://BUCKET/PATH")
        with _reachable(shown(where)):
            self.system, self.path = fs.FileSystem.from_uri(where)
            bucket = self.system.get_file_info(self.path.partition("/")[0])
        if bucket.type == fs.FileType.NotFound:
            raise ModelError(f"there is no bucket s3://{bucket.path}: check its name, or make it")

    def __str__(self) -> str:
        return f"s3://{self.path}"

    def exists(self) -> bool:
        """Tell whether there is such an object already."""
        with _reachable(str(self)):
            return bool(self.system.get_file_info(self.path).type != fs.FileType.NotFound)

    def send(self, file: Path) -> None:
        """Write the object; one that was there stays until then."""
        with _reachable(str(self)):
            fs.copy_files(str(file), self.path, fs.LocalFileSystem(), self.system)  # where Ctrl-C can't cut it short


@contextmanager
def _reachable(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreachable(where, error) from None


def unreachable(where: str, error: Exception) -> ModelError:
    """Return the sentence about what S3 refuses."""
    return ModelError(f"{where} can't be reached: check the variables AWS_* and the bucket: {cause(error)}")


def shown(where: str) -> str:
    """Return an address without the keys that may be in it."""
    return re.sub(r"//[^/]*@", "//", where)
