"""Documents by content: streamed through to the firm's own source, hashed and scanned on the
way. The source keeps nothing unless all of it came and was clean; the portal keeps no byte.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from gateway import log
from gateway.connector.contract import Capability, Entry, Place
from gateway.domain import media, upload
from gateway.domain.firm import Firm, Source
from gateway.domain.klant import Klant
from gateway.errors import AlreadyExists, Invalid, NotFound
from gateway.flows import documents
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.scan import Infected
from gateway.store import audit, klanten

#: Of one document, where the firm's file does not say.
MOST_MIB = 2048

TAKEN = "Er staat al een document met deze naam."


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A document that stands in the source now. sha256: hexadecimal."""

    source: str
    entry: Entry
    length: int
    sha256: str


class Hashed:
    """A body that passes once; its SHA-256 and its length in bytes, so far."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body, self._digest, self.length = body, hashlib.sha256(), 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self._digest.update(piece)
            self.length += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        """Of what has passed, in hexadecimal."""
        return self._digest.hexdigest()


async def where(portal: Portal, firm: Firm, number: str, source: str) -> tuple[Klant, Source]:
    """The klant and the source of a document for a dossier. Raises Invalid."""
    async with portal.db.tenant(firm.id) as c:
        klant = await klanten.find(c, number)
    found = firm.source(source)
    faults = {} if klant else {"klant": f"Er is geen klant {number}."}
    if found is None:
        faults["bron"] = f"Er is geen bron {source}."
    elif not found.dossier:
        faults["bron"] = f"De bron {source} staat niet in het dossier."
    if klant is None or found is None or faults:
        raise Invalid(faults)
    return klant, found


async def put_document(
    portal: Portal,
    caller: Caller,
    klant: Klant,
    source: Source,
    folder: str,
    name: str,
    body: Hashed,
    *,
    sha256: str = "",
) -> Uploaded:
    """A package's document into a dossier. The same again is no fault: a package that lost the
    answer sends it once more. Raises as `put`."""
    firm = caller.firm
    if source.category_of(tuple(folder.split("/"))) is None:
        raise Invalid({"map": "Deze map is niet gepubliceerd."})
    done = await put_once(portal, firm, klant, source, folder, name, body, sha256=sha256)
    async with portal.db.tenant(firm.id) as c:
        await audit.record(
            c, "document_received", firm=firm.id, klant=klant.number,
            data={"source": source.id, "sha256": done.sha256, "by": caller.by},
        )  # fmt: skip
    return done


async def put_once(
    portal: Portal,
    firm: Firm,
    klant: Klant,
    source: Source,
    folder: str,
    name: str,
    body: Hashed,
    *,
    sha256: str = "",
) -> Uploaded:
    """Write a document into a dossier. One that stands there already with the same bytes is put:
    by us, before we died, or by whoever sent it twice. Raises as `put`."""
    most = (firm.intake.most_mib if firm.intake else MOST_MIB) * 2**20
    try:
        return await put(
            portal, firm, klant, source, folder, name, aiter(body), most=most, sha256=sha256
        )
    except Invalid as e:
        if e.faults.get("name") != TAKEN:
            raise
        async for _ in body:  # whether it is the same
            if body.length > most:
                raise _too_large(most) from None
        async for one in _standing(portal, firm, klant, source, folder, name):
            if one.sha256 == body.sha256 and sha256.lower() in ("", one.sha256):
                return one
        raise


async def _standing(
    portal: Portal, firm: Firm, klant: Klant, source: Source, folder: str, name: str
) -> AsyncIterator[Uploaded]:
    """What stands there by that name."""
    guarded, place = documents.at(portal, firm, source, klant)
    page: str | None = None
    while True:
        some = await guarded.list(Place(place.klant, place.root, (folder,)), page=page)
        for e in some.entries:
            if e.name == name and "/".join(e.folder) == folder:
                read = await documents.hashed(portal, firm, klant, source.id, e.id)
                yield Uploaded(source.id, read.entry, read.length, read.sha256)
        page = some.next
        if page is None:
            return


async def put(
    portal: Portal,
    firm: Firm,
    klant: Klant,
    source: Source,
    folder: str,
    name: str,
    body: AsyncIterator[bytes],
    *,
    most: int,
    sha256: str = "",
) -> Uploaded:
    """Write a document into a published folder of a source, or below it.

    most: bytes. sha256: what it has to be, in hexadecimal; "" when the sender does not tell.
    Raises Invalid with `name` or `content`, ScannerDown, what `body` raises and the source's
    errors; nothing is left then.
    """
    fault = upload.name_fault(name)
    if fault:
        raise Invalid({"name": fault})
    guarded, place = documents.at(portal, firm, source, klant)
    if Capability.WRITE not in guarded.capabilities:
        raise Invalid({"source": f"De bron {source.id} kan niet worden beschreven."})
    digest, passed = hashlib.sha256(), [0]

    async def checked() -> AsyncGenerator[bytes, None]:
        head, known = b"", False
        async for piece in body:
            passed[0] += len(piece)
            if passed[0] > most:
                raise _too_large(most)
            digest.update(piece)
            if not known:
                head += piece
                if len(head) < upload.HEAD:
                    continue
                known, piece = True, head  # noqa: PLW2901
                _refuse(name, head)
            yield piece
        if not known:
            _refuse(name, head)
            yield head
        if sha256 and digest.hexdigest() != sha256.lower():
            raise Invalid({"content": "De SHA-256 is een andere dan die werd opgegeven."})

    try:
        async with aclosing(checked()) as mine, aclosing(_scanned(portal, mine)) as stream:
            entry = await guarded.put(
                place, folder, name, stream, media_type=media.of(name).type, if_absent=True
            )
    except Infected as e:
        log.get().warning("infected", firm=firm.id, klant=klant.number, found=e.name)
        raise Invalid({"content": f"De virusscanner vond iets: {e.name}."}) from e
    except AlreadyExists as e:
        raise Invalid({"name": TAKEN}) from e
    except NotFound as e:
        raise Invalid({"folder": "Deze map is er niet."}) from e
    return Uploaded(source.id, entry, passed[0], digest.hexdigest())


def _too_large(most: int) -> Invalid:
    return Invalid({"content": f"Het bestand is groter dan {most // 2**20} MB."})


def _scanned(portal: Portal, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    return body if portal.scanner is None else portal.scanner.passing(body)


def _refuse(name: str, head: bytes) -> None:
    fault = upload.content_fault(name, head[: upload.HEAD])
    if fault:
        raise Invalid({"content": fault})
