"""Pictures, style and script: the portal's own, and those of a firm's house style.

The portal's files are read once, at the start. Their address holds the digest of what is in
them (``/static/<digest>/<name>``), so browsers may keep them for ever. Nothing that a browser
sends is ever used as a path: a name is looked up in what was read.
"""

import base64
import functools
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.domain.firm import Firm
from gateway.errors import NotFound
from gateway.pages.context import here, portal
from gateway.pages.routing import Access, Routes

ROUTES = Routes()
FOLDER = Path(__file__).parent / "static"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_PACKED = (".css", ".js", ".svg")
_PICTURES = (".svg", ".png", ".jpg", ".jpeg", ".webp")
_FOR_EVER = "public, max-age=31536000, immutable"
_REFERENCE = re.compile(rb'url\("([a-z0-9/._-]+)"\)')
#: A firm's picture may be an SVG, and an SVG can carry script: it runs nothing, fetches nothing.
_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is given. `packed` is the gzip form; b"" when that gains nothing."""

    type: str
    data: bytes
    digest: str
    packed: bytes = b""


def _file(name: str, data: bytes) -> File:
    ending = Path(name).suffix.lower()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:12]).decode()
    packed = gzip.compress(data, mtime=0) if ending in _PACKED else b""
    return File(_TYPES[ending], data, digest, packed)


@functools.cache
def files() -> Mapping[str, File]:
    """The portal's files by name. Style sheets come last: they name the others' addresses."""
    names = sorted(
        (p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.suffix in _TYPES),
        key=lambda name: (name.endswith(".css"), name),
    )
    found: dict[str, File] = {}

    def address(match: re.Match[bytes]) -> bytes:
        return f'url("{_address(found, match[1].decode())}")'.encode()

    for name in names:
        data = (FOLDER / name).read_bytes()
        found[name] = _file(name, _REFERENCE.sub(address, data) if name[-4:] == ".css" else data)
    return found


def _address(known: Mapping[str, File], name: str) -> str:
    return f"/static/{known[name].digest}/{name}" if name in known else f"/static/-/{name}"


def url(name: str) -> str:
    """Address of one of the portal's own files."""
    return _address(files(), name)


@ROUTES.get("/static/{digest}/{name:.+}", Access.PUBLIC)
async def give(request: web.Request) -> web.Response:
    """One of the portal's own files.

    A digest of another version (an old page, another machine during an update) gets the file
    that is here, to be used once.
    """
    file = files().get(request.match_info["name"])
    if file is None:
        raise NotFound
    wanted = request.match_info["digest"] == file.digest
    return _answer(request, file, _FOR_EVER if wanted else "no-store")


def _answer(request: web.Request, file: File, cache: str) -> web.Response:
    headers = {"Content-Type": file.type, "Cache-Control": cache, "ETag": f'"{file.digest}"'}
    if f'"{file.digest}"' in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    body = file.data
    if file.packed:
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], body = "gzip", file.packed
    return web.Response(body=body, headers=headers)


class Pictures:
    """The pictures that the firms' files name, by firm and name."""

    def __init__(self, found: Mapping[tuple[str, str], File]) -> None:
        self._files = dict(found)

    def get(self, firm: str, name: str) -> File | None:
        """The picture: "logo", or the id of an employee."""
        return self._files.get((firm, name))

    def url(self, firm: Firm, name: str) -> str:
        """Its address; "" when the firm has none."""
        file = self.get(firm.id, name)
        return f"/kantoor/{firm.id}/beeld/{name}?v={file.digest}" if file else ""


def pictures(firms: Iterable[Firm], folder: Path) -> Pictures:
    """Read them. `folder` holds the firms' files; settings checked that all are below it."""
    found: dict[tuple[str, str], File] = {}
    for firm in firms:
        named = [(employee.id, employee.photo) for employee in firm.employees]
        for name, path in (*named, ("logo", firm.style.logo)):
            if Path(path).suffix.lower() in _PICTURES:
                found[firm.id, name] = _file(path, (folder / path).read_bytes())
    return Pictures(found)


PICTURES = web.AppKey("pictures", Pictures)


@ROUTES.get("/kantoor/{firm}/beeld/{name}", Access.PUBLIC)
async def picture(request: web.Request) -> web.Response:
    """A firm's logo, for anyone; a photo of an employee, for the firm's own visitors."""
    firm, name = request.match_info["firm"], request.match_info["name"]
    visitor = here(request).visitor
    file = request.config_dict[PICTURES].get(firm, name)
    seen = name == "logo" or (visitor is not None and visitor.firm.id == firm)
    if file is None or firm not in portal(request).firms or not seen:
        raise NotFound
    kept = "public" if name == "logo" else "private"
    versioned = request.query.get("v") == file.digest
    answer = _answer(request, file, f"{kept}, max-age={31536000 if versioned else 300}")
    answer.headers["Content-Security-Policy"] = _SANDBOX
    return answer
