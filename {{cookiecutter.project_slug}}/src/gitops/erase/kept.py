"""Where DVC keeps this project's files, to read them and to purge them: the cache of this clone and the data remote."""

import json
import shutil
from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gitops import pipeline, store
from gitops.erase.record import is_stored
from gitops.project import locked, md5
from gitops.shell import CommandError, say

STEP = 200  # objects after which the progress is told


class Kept:
    """The cache and the remote, as DVC's object stores."""

    def __init__(self, cache: Any, remote: Any) -> None:
        self.cache, self.remote = cache, remote

    def bring(self, digest: str, target: Path) -> bool:
        """Copy a stored file to `target`; False where neither has it."""
        for place in (self.cache, self.remote):
            if place.exists(digest):
                if place is self.cache or store.is_git():
                    shutil.copyfile(place.oid_to_path(digest), target)
                else:
                    place.fs.get_file(place.oid_to_path(digest), str(target))
                return True
        return False

    def expand(self, names: Collection[str]) -> set[str]:
        """Return stored files, and those of folders among them, as far as the folders' lists are here or there."""
        found = set(names)
        with TemporaryDirectory() as folder:
            for name in names:
                if name.endswith(".dir") and self.bring(name, copy := Path(folder, "list")):
                    found |= {entry["md5"] for entry in json.loads(copy.read_bytes()) if is_stored(entry["md5"])}
        return found

    def held(self, digests: Collection[str]) -> set[str]:
        """Return those of the files that one of the two has."""
        return {digest for digest in digests if self.cache.exists(digest) or self.remote.exists(digest)}

    def others(self, named: Container[str]) -> Iterator[tuple[str, Path]]:
        """Yield the files on this machine that no commit names, such as an experiment's: their MD5s and paths."""
        seen = set[str]()
        for place in (self.cache, self.remote) if store.is_git() else (self.cache,):
            for digest in place.all():
                if digest not in named and digest not in seen and is_stored(digest):
                    seen.add(digest)
                    yield digest, Path(place.oid_to_path(digest))

    def purge(self, digests: Collection[str]) -> None:
        """Delete files: the working tree's outputs first, then the cache's, then the remote's; safe to repeat.

        Raises:
            CommandError: a file or the remote doesn't allow it.
        """
        lock = Path("dvc.lock")
        for name, digest in locked(lock.read_text() if lock.exists() else None).items():
            if digest in digests and Path(name).is_file() and md5(Path(name)) == digest:
                Path(name).unlink()
        self._delete(self.cache, digests, "this clone's cache")
        if store.is_git():
            store.forget(digests)
        else:
            self._delete(self.remote, digests, "the data remote")

    def _delete(self, place: Any, digests: Collection[str], name: str) -> None:
        for number, digest in enumerate(sorted(digests)):
            if number % STEP == 0:
                say(f"› purge of {name}: {number:,} of {len(digests):,} files")
            if place.exists(digest):
                place.delete(digest)


@contextmanager
def kept() -> Iterator[Kept]:
    """Yield the two.

    Raises:
        CommandError: DVC can't read its settings, or the remote can't be reached.
    """
    try:
        with pipeline.repository() as repo:
            yield Kept(repo.cache.local, repo.cloud.get_remote_odb())
    except OSError as error:
        said = " ".join(str(error).split())[:300]
        raise CommandError(f"the data remote or the cache refuses ({said}): mend it, and run this again") from None
