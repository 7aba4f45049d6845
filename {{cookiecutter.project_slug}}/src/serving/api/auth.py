"""Who may call the service: bearer keys, known by their SHA-256 digests. Without pandas, as the service runs it."""

import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Mapping
from functools import cache, lru_cache
from ipaddress import ip_address
from pathlib import Path
from stat import S_ISDIR

import psutil
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api.observe import refuse

HEALTH = ("/livez", "/readyz", "/healthz")
PAGES = {"metrics": ("/metrics",), "docs": ("/", "/docs.json", "/schema.json")}
ASSETS = "/static_content/"  # of the page with the docs
NO_KEY = (
    "this service listens on more than loopback and knows no key: set SERVICE_KEYS to the digest that"
    " `uv run model key` prints, or serve with --host 127.0.0.1"
)
WRONG_KEY = "send the header `Authorization: Bearer KEY` with a key that this service knows"
FOREIGN_NAME = "a service without keys answers to 127.0.0.1 and localhost, and to no name of another site"

logger = logging.getLogger("bentoml.model")  # BentoML prints what its own loggers get


def new_key() -> tuple[str, str]:
    """Return a key for a caller and its digest for the service. 256 random bits need no slow hash and no salt."""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """The digests in SERVICE_KEYS and in SERVICE_KEYS_FILE, which is read again whenever it changes.

    That is one file, or a folder with a file for each caller, as a mounted Secret is.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        file = environ.get("SERVICE_KEYS_FILE", "")
        self.file = Path(file) if file else None
        self.configured = bool(file or environ.get("SERVICE_KEYS", "").strip())
        self._given = _digests("SERVICE_KEYS", environ.get("SERVICE_KEYS", ""))
        self._mounted: list[bytes] = []
        self._stamp: object = ()

    def known(self) -> list[bytes]:
        """Return the digests that count now."""
        if self.file and (stamp := _stamp(self.file)) != self._stamp:
            self._stamp = stamp
            try:
                paths = [Path(file.path) for file in _files(self.file)] if self.file.is_dir() else [self.file]
                texts = [path.read_text(encoding="utf-8") for path in paths]
                self._mounted = _digests("SERVICE_KEYS_FILE", "\n".join(texts))
                logger.info("SERVICE_KEYS_FILE: %d keys known", len(self._mounted))
            except (OSError, UnicodeDecodeError) as error:
                self._mounted = []
                logger.error("SERVICE_KEYS_FILE can't be read, so its keys open nothing: %s", type(error).__name__)
        return self._given + self._mounted

    def opens(self, header: bytes) -> bool:
        """Tell whether an `Authorization` header holds a known key; every digest is compared, each in constant time."""
        scheme, _, key = header.partition(b" ")
        digest = hashlib.sha256(key.strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self.known()]
        return scheme.lower() == b"bearer" and any(matches)


class Guard:
    """Answers 401 where a key is missing. On loopback none is needed, unless the service was given keys.

    The health endpoints are open, and what SERVICE_OPEN names: `metrics`, `docs`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.keys = Keys(os.environ)
        pages = os.environ.get("SERVICE_OPEN", "").replace(",", " ").split()
        self.open = {*HEALTH, *(path for page in pages for path in PAGES.get(page, ()))}
        self.assets = "docs" in pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if not self.keys.configured and not reachable():
            if local(_header(scope, b"host")):
                return await self.app(scope, receive, send)
            return await refuse(403, "host", FOREIGN_NAME)(scope, receive, send)
        if self.allows(scope):
            return await self.app(scope, receive, send)
        sentence = WRONG_KEY if self.keys.known() else NO_KEY
        return await refuse(401, "unauthorized", sentence, {"WWW-Authenticate": "Bearer"})(scope, receive, send)

    def allows(self, scope: Scope) -> bool:
        """Tell whether a request to a service with keys may pass."""
        path: str = scope["path"]
        if path in self.open or (self.assets and path.startswith(ASSETS)):
            return True
        return self.keys.opens(_header(scope, b"authorization"))


@lru_cache(64)
def local(host: bytes) -> bool:
    """Tell whether a `Host` header names this machine and not, by a DNS entry of its own, the site of a web page.

    A page may ask its own site for anything, and its owner may let that site's name lead to 127.0.0.1 (DNS rebinding).
    """
    name = re.sub(r":\d*$", "", host.decode("latin-1")).strip("[]").lower()
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


@cache
def reachable() -> bool:
    """Tell whether this process listens on more than loopback.

    The listening socket is asked, not the request: a proxy in the same pod or machine calls from loopback too.
    """
    try:
        sockets = psutil.Process().net_connections("inet")
    except (psutil.Error, OSError):
        return True
    return not all(ip_address(one.laddr.ip).is_loopback for one in sockets if one.status == psutil.CONN_LISTEN)


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")


def _digests(source: str, text: str) -> list[bytes]:
    entries = text.replace(",", " ").split()
    digests = [bytes.fromhex(entry) for entry in entries if re.fullmatch(r"[0-9a-fA-F]{64}", entry)]
    if odd := len(entries) - len(digests):
        logger.error("%s: %d entries are no SHA-256 digest in hex and open nothing: `model key` makes one", source, odd)
    return digests


def _files(path: Path) -> list[os.DirEntry[str]]:
    """Return the files of a folder; behind names with a dot Kubernetes keeps its own."""
    with os.scandir(path) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _stamp(path: Path) -> object:
    """Return what changes whenever the file does, or a file of the folder."""
    try:
        found = path.stat()
        return (_facts(found), _folder_stamp(path)) if S_ISDIR(found.st_mode) else _facts(found)
    except OSError:
        return None


def _folder_stamp(path: Path) -> object:
    try:
        return _facts((path / "..data").stat())  # Kubernetes replaces what this leads to as a whole
    except FileNotFoundError:
        return [(file.name, *_facts(file.stat())) for file in _files(path)]


def _facts(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_ino, found.st_size
