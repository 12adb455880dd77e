"""Brings a WSDL in: it and all that it imports, fetched once, kept with their hashes.

What comes is a stranger's. Every address is held against the egress policy, no redirect is
followed, and the number and the size of files are bounded. A file with a document type is
refused. Places of imports become names of files beside it, so that nothing can be fetched later.

Source: WSDL 1.1, 2.1.1 (import); XML Schema 1.0 part 1, 4.2 (include, redefine, import).
"""

import asyncio
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urldefrag, urljoin, urlsplit

import aiohttp
from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gateway.connector.egress import EgressPolicy
from gateway.connector.outside import body, translated
from gateway.domain.xml import Element, parse
from gateway.errors import ConfigInvalid, DeadlineExceeded, ProtocolError, SourceError, Unavailable

MANIFEST = "manifest.json"

#: Of one file, of all together, how many there may be, and seconds until the last is there.
LARGEST = 4 * 1024 * 1024
LARGEST_ALL = 16 * 1024 * 1024
MOST = 64
SECONDS = 120.0

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"
_PLACES = {
    f"{_WSDL}import": "location",
    f"{_XSD}import": "schemaLocation",
    f"{_XSD}include": "schemaLocation",
    f"{_XSD}redefine": "schemaLocation",
}
_FILE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
#: What a pinned WSDL, and so its folder, may be called.
NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"

_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Model):
    """A file as it is kept. came: the hash of what was fetched, before places were changed."""

    sha256: _Sha256
    url: str
    came: _Sha256


class Manifest(_Model):
    """What lies in the folder of a pinned WSDL; `main` is the file that imports the others."""

    main: str
    files: dict[Annotated[str, StringConstraints(pattern=_FILE)], File] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files by name, and what the manifest says of them."""

    manifest: Manifest
    files: Mapping[str, bytes]


class Refused(ProtocolError):
    """What came cannot be pinned; `url` is where it came from."""

    def __init__(self, message: str, url: str) -> None:
        super().__init__(f"{url[:200]}: {message}")
        self.url = url


async def fetch(session: aiohttp.ClientSession, egress: EgressPolicy, url: str) -> Fetched:
    """A WSDL with all that it imports. session: minds the policy, as a source's does.

    Raises Refused, and Unavailable or DeadlineExceeded when a server does not answer.
    """
    try:
        async with asyncio.timeout(SECONDS):
            return await _Fetch(session, egress).all(url)
    except TimeoutError:
        raise DeadlineExceeded(f"not whole in {SECONDS:.0f} seconds") from None


class _Fetch:
    def __init__(self, session: aiohttp.ClientSession, egress: EgressPolicy) -> None:
        self._session, self._egress = session, egress
        self._names: dict[str, str] = {}  # by address, in the order in which they were met
        self._total = 0

    async def all(self, url: str) -> Fetched:
        url = _joined(url, "")
        main = self._name(url)
        files, about = dict[str, bytes](), dict[str, File]()
        while waiting := [u for u, name in self._names.items() if name not in files]:
            at = waiting[0]
            data = await self._one(at)
            root = self._read(data, at)
            if at == url and root.tag != f"{_WSDL}definitions":
                raise Refused("no WSDL 1.1", at)
            for element, attribute in _places(root):
                element.set(attribute, self._name(_joined(at, str(element.attrib[attribute]))))
            kept = etree.tostring(root, xml_declaration=True, encoding="utf-8") + b"\n"
            name = self._names[at]
            files[name] = kept
            about[name] = File(sha256=_hash(kept), url=at, came=_hash(data))
        return Fetched(Manifest(main=main, files=about), files)

    def _name(self, url: str) -> str:
        """The file for an address. Raises Refused when there are too many."""
        if url not in self._names:
            if len(self._names) == MOST:
                raise Refused(f"more than {MOST} files", url)
            taken = {n.lower() for n in self._names.values()} | {MANIFEST}
            self._names[url] = next(n for n in _candidates(url) if n.lower() not in taken)
        return self._names[url]

    async def _one(self, url: str) -> bytes:
        try:
            self._egress.check_url(url)
        except ConfigInvalid as e:
            raise Refused(str(e), url) from None
        with translated(Unavailable):
            response = await self._session.get(url, allow_redirects=False)
            try:
                if response.status != 200:
                    raise Refused(_told(response), url)
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise Refused("compressed, which was not asked for", url)
                left = min(LARGEST, LARGEST_ALL - self._total)
                try:
                    data = await body(response, left)
                except ProtocolError:
                    raise Refused(f"more than {left} bytes", url) from None
            finally:
                response.close()
        self._total += len(data)
        return data

    def _read(self, data: bytes, url: str) -> Element:
        try:
            return parse(data)
        except ProtocolError as e:
            raise Refused(str(e), url) from None


def _places(root: Element) -> Iterator[tuple[Element, str]]:
    """Every element that names another file, and the attribute in which it does."""
    for element in root.iter(*_PLACES):
        attribute = _PLACES[str(element.tag)]
        if attribute in element.attrib:
            yield element, attribute


def _joined(url: str, place: str) -> str:
    try:
        return urldefrag(urljoin(url, place.strip())).url
    except ValueError:
        raise Refused(f"no address: {place[:200]!r}", url) from None


def _candidates(url: str) -> Iterator[str]:
    """Names for a file, the nicest first."""
    parts = urlsplit(url)
    end = ".wsdl" if parts.query.lower() in ("wsdl", "singlewsdl") else ".xsd"
    last = re.sub(r"[^A-Za-z0-9._-]+", "-", parts.path.rpartition("/")[2]).strip("-.")[-60:]
    stem, dot, suffix = last.rpartition(".")
    if not dot or suffix.lower() not in ("wsdl", "xsd"):
        stem, suffix = last, end[1:]
    stem = stem.lstrip("._-") or "file"
    yield f"{stem}.{suffix}"
    for number in range(2, MOST + 3):
        yield f"{stem}-{number}.{suffix}"


def _told(response: aiohttp.ClientResponse) -> str:
    if 300 <= response.status < 400:
        return f"HTTP {response.status}: a redirect, which is not followed"
    return f"HTTP {response.status}"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(folder: Path, fetched: Fetched, *, replace: bool) -> bool:
    """Keep it in a folder, whole or not at all; False when just this lies there already.

    Raises ConfigInvalid when something else does and it may not be replaced, OSError.
    """
    if folder.exists():
        if _same(folder, fetched):
            return False
        if not replace:
            raise ConfigInvalid(f"{folder} holds something else; --replace takes its place")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pin-", dir=folder.parent) as made:
        new, old = Path(made) / "new", Path(made) / "old"
        new.mkdir()
        for name, data in fetched.files.items():
            (new / name).write_bytes(data)
        text = fetched.manifest.model_dump_json(indent=2) + "\n"
        (new / MANIFEST).write_text(text, encoding="utf-8")
        if folder.exists():
            shutil.move(folder, old)
        new.rename(folder)
    return True


def _same(folder: Path, fetched: Fetched) -> bool:
    try:
        main, files = read(folder)
    except SourceError:
        return False
    return main == fetched.manifest.main and files == fetched.files


def read(folder: Path) -> tuple[str, Mapping[str, bytes]]:
    """The name of the WSDL's own file, and all files by name. Raises ConfigInvalid when one is
    not, or is another than when it was pinned."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        files = {name: (folder / name).read_bytes() for name in manifest.files}
    except ValidationError as e:
        fault = e.errors()[0]["msg"]
        raise ConfigInvalid(f"{folder / MANIFEST}: {fault}", field="profile") from None
    except OSError as e:
        raise ConfigInvalid(
            f"no pinned WSDL in {folder} ({e.strerror}: {Path(str(e.filename)).name});"
            f" `gateway wsdl pin URL --name {folder.name}` brings one in",
            field="profile",
        ) from None
    for name, data in files.items():
        if _hash(data) != manifest.files[name].sha256:
            raise ConfigInvalid(
                f"{folder / name} is not the file that was pinned", field="profile"
            )
    if manifest.main not in files:
        raise ConfigInvalid(f"{folder / MANIFEST}: no file {manifest.main}", field="profile")
    return manifest.main, files
