"""Two of the web services of CMIS 1.1 on a folder, from the OASIS text: what `cmis-ws` asks.

Content goes beside the envelope (MTOM) to who accepts that, and as base64 to who does not.
It shares no code with the connector.
"""

import asyncio
import base64
import mimetypes
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from aiohttp import web

USER, PASSWORD, REPOSITORY = "portaal", "wachtwoord", "dossiers"
CORE = "http://docs.oasis-open.org/ns/cmis/core/200908/"
MESSAGING = "http://docs.oasis-open.org/ns/cmis/messaging/200908/"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XOP = "http://www.w3.org/2004/08/xop/include"


class Said(Exception):
    """A cmisFault: its type, and what it says."""


class CmisWs:
    """folder: what it keeps. calls: what was asked. mtom: whether it can; extra: what is put
    around the answer in parts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.mtom = True
        self.answers: dict[str, Callable[[dict[str, str]], web.StreamResponse]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/services11/{service}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = ET.fromstring(await request.text()).find(f"{{{SOAP}}}Body")
        assert body is not None
        name = body[0].tag.removeprefix(f"{{{MESSAGING}}}")
        asked = {c.tag.removeprefix(f"{{{MESSAGING}}}"): c.text or "" for c in body[0]}
        self.calls.append((name, asked))
        assert request.headers["SOAPAction"] == f'"{name}"'
        if name in self.answers:
            return self.answers[name](asked)
        service = "NavigationService" if name == "getChildren" else "ObjectService"
        assert request.match_info["service"] == service
        try:
            basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {basic}":
                raise Said("permissionDenied", "Invalid username or password.")
            if asked["repositoryId"] != REPOSITORY:
                raise Said("objectNotFound", "Unknown repository")
            if name == "getContentStream":
                return await self._content(request, asked)
            told = await asyncio.to_thread(
                self._children if name == "getChildren" else self._at, asked
            )
            return envelope(told)
        except Said as e:
            return fault(*e.args)
        except (OSError, ValueError) as e:
            return fault("objectNotFound", type(e).__name__)

    def _at(self, asked: dict[str, str]) -> str:
        parts = asked["path"].split("/")[1:]
        if "\0" in asked["path"] or {".", ".."} & set(parts):
            raise Said("invalidArgument", "no path")
        path = self.folder.joinpath(*parts)
        if not os.path.lexists(path):
            raise Said("objectNotFound", "no such object")
        told = f"<m:object>{self._told(path)}</m:object>"
        return f"<m:getObjectByPathResponse>{told}</m:getObjectByPathResponse>"

    def _children(self, asked: dict[str, str]) -> str:
        path = self._path(asked["folderId"])
        if not path.is_dir():
            raise Said("invalidArgument", "no folder")
        names = sorted(os.listdir(path), reverse=True)
        skip, most = int(asked["skipCount"]), int(asked["maxItems"])
        assert asked["includePathSegment"] == "true"
        rows = "".join(
            f"<m:objects><m:object>{self._told(path / n)}</m:object>"
            f"<m:pathSegment>{escape(n)}</m:pathSegment></m:objects>"
            for n in names[skip : skip + most]
        )
        more = str(len(names) > skip + most).lower()
        return (
            f"<m:getChildrenResponse><m:objects>{rows}<m:hasMoreItems>{more}</m:hasMoreItems>"
            f"<m:numItems>{len(names)}</m:numItems></m:objects></m:getChildrenResponse>"
        )

    def _told(self, path: Path) -> str:
        status = path.stat()
        at = datetime.fromtimestamp(status.st_mtime_ns // 1000_000 / 1000, UTC).isoformat()
        kind = "cmis:folder" if path.is_dir() else "cmis:document"
        told = [("Id", "objectId", self._id(path)), ("Id", "baseTypeId", kind)]
        told += [("String", "name", path.name), ("DateTime", "lastModificationDate", at)]
        told += [("String", "changeToken", str(status.st_mtime_ns))]
        if path.is_file():
            media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            told += [("String", "contentStreamMimeType", media)]
            told += [("Integer", "contentStreamLength", str(status.st_size))] * bool(
                status.st_size
            )
        rows = "".join(
            f'<c:property{t} propertyDefinitionId="cmis:{n}" localName="{n}"><c:value>{escape(v)}'
            f"</c:value></c:property{t}>"
            for t, n, v in told
        )
        return f"<c:properties>{rows}</c:properties>"

    def _id(self, path: Path) -> str:
        return "id-" + path.relative_to(self.folder).as_posix().encode().hex()

    def _path(self, id: str) -> Path:
        return self.folder / bytes.fromhex(id.removeprefix("id-")).decode()

    async def _content(self, request: web.Request, asked: dict[str, str]) -> web.StreamResponse:
        path = self._path(asked["objectId"])
        if not path.is_file():
            raise Said("streamNotSupported", "no document")
        if not path.stat().st_size:
            raise Said("constraint", "Document has no content!")
        offset, length = int(asked["offset"]), int(asked["length"])
        around = (
            "<m:getContentStreamResponse><m:contentStream>"
            f"<m:mimeType>x/y</m:mimeType><m:filename>{escape(path.name)}</m:filename><m:stream>",
            "</m:stream></m:contentStream></m:getContentStreamResponse>",
        )
        with_parts = self.mtom and "application/xop+xml" in request.headers.get("Accept", "")
        response = web.StreamResponse()
        if with_parts:
            include = f'<x:Include xmlns:x="{XOP}" href="cid:het%20stuk@dms"/>'
            before, after = parts(wrapped(around[0] + include + around[1]))
            response.headers["Content-Type"] = PARTS
        else:
            before, after = (t.encode() for t in wrapped("\0".join(around)).split("\0"))
            response.content_type = "text/xml"
        await response.prepare(request)
        await response.write(before)
        with path.open("rb") as file:
            file.seek(offset)
            while length and (piece := await asyncio.to_thread(file.read, min(3 << 16, length))):
                length -= len(piece)
                await response.write(piece if with_parts else base64.b64encode(piece))
        await response.write(after)
        await response.write_eof()
        return response


PARTS = (
    'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml";'
    ' boundary="uuid:een grens"'
)


def parts(root: str, id: str = "<het stuk@dms>") -> tuple[bytes, bytes]:
    """What stands before and after the bytes of a document in parts."""
    before = (
        "\r\n--uuid:een grens\r\nContent-ID: <root>\r\nContent-Type: application/xop+xml;"
        f'type="text/xml"\r\n\r\n{root}\r\n--uuid:een grens\r\nContent-Type: x/y\r\n'
        f"Content-ID: {id}\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    )
    return before.encode(), b"\r\n--uuid:een grens--\r\n"


def wrapped(content: str) -> str:
    return (
        f'<?xml version="1.0"?><S:Envelope xmlns:S="{SOAP}" xmlns:m="{MESSAGING}"'
        f' xmlns:c="{CORE}"><S:Body>{content}</S:Body></S:Envelope>'
    )


def envelope(content: str, status: int = 200) -> web.Response:
    return web.Response(text=wrapped(content), status=status, content_type="text/xml")


def fault(kind: str, text: str) -> web.Response:
    return envelope(
        f"<S:Fault><faultcode>S:Server</faultcode><faultstring>{text}</faultstring><detail>"
        f"<m:cmisFault><m:type>{kind}</m:type><m:code>0</m:code><m:message>{text}</m:message>"
        "</m:cmisFault></detail></S:Fault>",
        500,
    )
