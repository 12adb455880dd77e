"""A back office that speaks as AFAS Profit does over SOAP, from a folder of files.

``<folder>/<klant>/<type>/<file>`` is a dossier item with one attachment, and
``<folder>/<klant>/<type>/<onderwerp>/<file>`` one of the attachments of a dossier item. ``%2F``
in the name of a type stands for "/". Files may come, change and go while it runs; links are not
followed. Three services, each a POST:

* ``/profitservices/appconnectorget.asmx``: GetDataWithOptions, for the GetConnectors
  ``ProfitSubjects`` (a row per dossier item: SbId, SbTy, Ds, DaSe, BcCd) and
  ``Portaal_Bijlagen`` (a row per attachment: also BestandId, Bestandsnaam, Grootte), with
  filters (is equal to; ";" parts alternatives), skip, take and one order;
* ``/profitservices/appconnectorsubject.asmx``: GetSubjectAttachmentInfo and GetAttachment;
* ``/profitservices/appconnectorupdate.asmx``: Execute of a KnSubject with one attachment.

A wrong token is a Fault. The beginning of a file's name chooses what GetAttachment does:

* ``storing-``: a Fault;  ``weg-``: a Fault that says it is not found;
* ``traag-``: nothing for a second, then slowly;
* ``afgebroken-``: half of it, then the connection is cut.
"""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp import web
from lxml import etree
from lxml.builder import ElementMaker

NS = "urn:Afas.Profit.Services"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

#: Bytes of a file that are read at a time; a multiple of 3, so that base64 joins up.
BLOCK = 48 * 1024

#: Bytes of a call, as AFAS takes them.
MOST = 75 * 1024 * 1024

_ZONE = ZoneInfo("Europe/Amsterdam")
_SOAP = ElementMaker(namespace=SOAP, nsmap={"soap": SOAP})
_AFAS = ElementMaker(namespace=NS, nsmap={None: NS})
_PLAIN = ElementMaker()
_BEFORE = (
    f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{SOAP}"><soap:Body>'
    f'<GetAttachmentResponse xmlns="{NS}"><GetAttachmentResult>'
).encode()
_AFTER = b"</GetAttachmentResult></GetAttachmentResponse></soap:Body></soap:Envelope>"


class Refused(Exception):
    """What is told as a Fault."""


@dataclass(frozen=True, slots=True)
class Item:
    """A dossier item. `path` is its file, or the folder of its attachments."""

    klant: str
    type: str
    title: str
    path: Path

    @property
    def number(self) -> str:
        """Its id: the same for as long as it stays where it is."""
        place = "/".join((self.klant, self.type, self.path.name))
        return str(int.from_bytes(hashlib.sha256(place.encode()).digest()[:4]) >> 1)

    def attachments(self) -> dict[str, Path]:
        """Its files by file id, which changes when the file does."""
        files = [self.path] if self.path.is_file() else sorted(_files(self.path))
        return {_file_id(f): f for f in files}

    def row(self) -> dict[str, str]:
        """As the GetConnector gives it."""
        when = datetime.fromtimestamp(int(self.path.stat().st_mtime), _ZONE)
        return {
            "SbId": self.number,
            "SbTy": self.type,
            "Ds": self.title,
            "DaSe": when.replace(tzinfo=None).isoformat(),
            "BcCd": self.klant,
        }


def _file_id(path: Path) -> str:
    told = path.stat()
    text = f"{path}\0{told.st_mtime_ns}\0{told.st_size}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32].upper()


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from (e for e in found if not e.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return


def _folders(folder: Path) -> Iterator[Path]:
    yield from (Path(e.path) for e in _entries(folder) if e.is_dir())


def _files(folder: Path) -> Iterator[Path]:
    yield from (Path(e.path) for e in _entries(folder) if e.is_file())


class Office:
    """The dossier items of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_number: dict[str, Item] = {}

    def items(self) -> list[Item]:
        """All of them, as they are now."""
        found = [
            Item(
                klant.name,
                type.name.replace("%2F", "/"),
                path.stem if path.is_file() else path.name,
                path,
            )
            for klant in _folders(self._folder)
            for type in _folders(klant)
            for path in (*_files(type), *_folders(type))
        ]
        self._by_number = {i.number: i for i in found}
        return found

    def item(self, number: str) -> Item | None:
        """The item of a number; looks again when it is not known or no longer there."""
        known = self._by_number.get(number)
        if known is None or not known.path.exists():
            self.items()
        return self._by_number.get(number)

    def rows(self, connector: str) -> list[dict[str, str]]:
        """What a GetConnector gives, before filters."""
        if connector == "ProfitSubjects":
            return [i.row() for i in self.items()]
        if connector == "Portaal_Bijlagen":
            return [
                i.row()
                | {"BestandId": id, "Bestandsnaam": f.name, "Grootte": str(f.stat().st_size)}
                for i in self.items()
                for id, f in i.attachments().items()
            ]
        raise Refused(f"GetConnector {connector} not found")

    def add(self, klant: str, type: str, name: str, data: bytes) -> str:
        """Keep a document as an item of its own; its number."""
        folder = self._folder / klant / type.replace("/", "%2F")
        if {klant, name} & {"", ".", ".."} or "/" in klant + name:
            raise Refused("KnSubject: a value is not right")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_bytes(data)
        return Item(klant, type, path.stem, path).number

    def attachment(self, number: str, file_id: str) -> Path:
        """The file of an item. Raises Refused."""
        item = self.item(number)
        path = item.attachments().get(file_id) if item else None
        if path is None or path.name.startswith("weg-"):
            raise Refused("Attachment not found")
        if path.name.startswith("storing-"):
            raise Refused("General message: Unexpected error")
        return path


def _inner(text: str) -> etree._Element | None:
    return _parsed(text.encode()) if text.strip() else None


def _parsed(data: bytes, huge: bool = False) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=huge)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as e:
        raise Refused(f"Invalid XML: {e.msg}") from None
    if root.getroottree().docinfo.doctype:
        raise Refused("Invalid XML: DTD")
    return root


def _wanted(filters: str) -> Callable[[Mapping[str, str]], bool]:
    """Filters are alternatives; the fields of one filter hold together."""
    root = _inner(filters)
    found = [] if root is None else [list(f.iterfind("Field")) for f in root.iterfind("Filter")]
    if any(c.get("OperatorType") != "1" for f in found for c in f):
        raise Refused("Only OperatorType 1 is simulated")

    def holds(row: Mapping[str, str]) -> bool:
        return not found or any(
            all(row.get(c.get("FieldId", "")) in (c.text or "").split(";") for c in f)
            for f in found
        )

    return holds


def _ordered(rows: list[dict[str, str]], options: str) -> list[dict[str, str]]:
    root = _inner(options)
    field = None if root is None else root.find("Index/Field")
    if field is None:
        return rows
    column, down = field.get("FieldId", ""), field.get("OperatorType") == "0"
    return sorted(
        rows, key=lambda r: (len(r.get(column, "")), r.get(column, "")), reverse=down
    )  # numbers of one length sort as numbers


def get_data(office: Office, args: Mapping[str, str]) -> str:
    """GetDataWithOptions: the rows as XML in a string."""
    connector = args.get("connectorId", "")
    holds = _wanted(args.get("filtersXml", ""))
    rows = _ordered([r for r in office.rows(connector) if holds(r)], args.get("options", ""))
    skip, take = int(args.get("skip") or 0), int(args.get("take") or 0)
    if take < 0 or skip < 0:
        raise Refused("Unexpected backend error")
    return _table("AfasGetConnector", connector, rows[skip : skip + take])


def _table(name: str, row: str, rows: Iterable[Mapping[str, str]]) -> str:
    root = etree.Element(name)
    for cells in rows:
        element = etree.SubElement(root, row)
        for column, value in cells.items():
            etree.SubElement(element, column).text = value
    return etree.tostring(root, encoding="unicode")


def attachment_info(office: Office, args: Mapping[str, str]) -> str:
    """GetSubjectAttachmentInfo: the attachments as XML in a string."""
    item = office.item(args.get("subjectID", ""))
    root = etree.Element("SubjectAttachmentInfo")
    for id, path in (item.attachments() if item else {}).items():
        etree.SubElement(root, "Attachment", fileId=id, filename=path.name)
    return etree.tostring(root, encoding="unicode")


def execute(office: Office, args: Mapping[str, str]) -> str:
    """Execute: a new dossier item with one attachment; its number as XML in a string."""
    if args.get("connectorType") != "KnSubject":
        raise Refused(f"UpdateConnector {args.get('connectorType')} not found")
    root = _parsed(args.get("dataXml", "").encode(), huge=True)
    told = {str(e.tag): e.text or "" for e in root.iter("StId", "BcId", "FileName", "FileStream")}
    if len(told) != 4:
        raise Refused("KnSubject: a field is missing")
    data = base64.b64decode(told["FileStream"], validate=True)
    number = office.add(told["BcId"], told["StId"], told["FileName"], data)
    made = etree.Element("results")
    etree.SubElement(etree.SubElement(made, "KnSubject"), "SbId").text = number
    return etree.tostring(made, encoding="unicode")


def _envelope(content: etree._Element) -> bytes:
    whole = _SOAP.Envelope(_SOAP.Body(content))
    return etree.tostring(whole, xml_declaration=True, encoding="utf-8")


def _answer(operation: str, text: str) -> web.Response:
    result = _AFAS(f"{operation}Response", _AFAS(f"{operation}Result", text))
    return web.Response(body=_envelope(result), content_type="text/xml", charset="utf-8")


def _fault(text: str) -> web.Response:
    told = _SOAP.Fault(_PLAIN.faultcode("soap:Server"), _PLAIN.faultstring(text))
    return web.Response(status=500, body=_envelope(told), content_type="text/xml", charset="utf-8")


def _call(data: bytes, token: str) -> tuple[str, dict[str, str]]:
    """Operation and arguments. Raises Refused."""
    content = _parsed(data, huge=True).find(f"{{{SOAP}}}Body/{{{NS}}}*")
    if content is None:
        raise Refused("No operation")
    args = {etree.QName(a).localname: a.text or "" for a in content}
    if args.get("token") != f"<token><version>1</version><data>{token}</data></token>":
        raise Refused("Invalid token")
    return etree.QName(content).localname, args


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield base64.b64encode(block)


async def _send(request: web.Request, path: Path) -> web.StreamResponse:
    """The document as base64, block by block, with what its name asks for."""
    size = (await asyncio.to_thread(path.stat)).st_size
    response = web.StreamResponse(headers={"Content-Type": "text/xml; charset=utf-8"})
    response.content_length = len(_BEFORE) + 4 * -(-size // 3) + len(_AFTER)
    try:
        await response.prepare(request)
        await _write(request, response, path, size)
    except ConnectionResetError:
        pass  # the reader left
    return response


async def _write(
    request: web.Request, response: web.StreamResponse, path: Path, size: int
) -> None:
    slow, cut = path.name.startswith("traag-"), path.name.startswith("afgebroken-")
    await asyncio.sleep(1.0 if slow else 0)
    await response.write(_BEFORE)
    sent = 0
    async for block in _blocks(path):
        sent += len(block)
        if cut and sent * 3 // 4 >= size // 2 and request.transport is not None:
            await response.write(block[: len(block) // 2])
            request.transport.close()
            return
        await response.write(block)
        await asyncio.sleep(0.2 if slow else 0)
    await response.write(_AFTER)


def build(folder: Path, token: str) -> web.Application:
    """The program. `token` is the data of the token that it takes."""
    office = Office(folder)
    tables = {
        "GetDataWithOptions": get_data,
        "GetSubjectAttachmentInfo": attachment_info,
        "Execute": execute,
    }

    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            operation, args = _call(await request.read(), token)
            if operation in tables:
                text = await asyncio.to_thread(tables[operation], office, args)
                return _answer(operation, text)
            if operation != "GetAttachment":
                raise Refused(f"No operation {operation}")
            asked = args.get("subjectID", ""), args.get("fileId", "")
            path = await asyncio.to_thread(office.attachment, *asked)
        except Refused as e:
            return _fault(str(e))
        return await _send(request, path)

    app = web.Application(client_max_size=MOST)
    app.router.add_post("/profitservices/appconnectorget.asmx", serve)
    app.router.add_post("/profitservices/appconnectorsubject.asmx", serve)
    app.router.add_post("/profitservices/appconnectorupdate.asmx", serve)
    return app
