"""Envelopes made by hand, and what comes back."""

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from gateway.api.soap import schema
from gateway.api.soap.names import OURS, PASSWORD_TEXT, SOAP11, SOAP12, WSSE, XOP, Version
from gateway.domain import xml
from tests.packages.conftest import Package

ADDRESS = "/api/v1/soap"


def elements(members: Mapping[str, Any]) -> str:
    """A mapping as elements; lists are repeated."""
    found = []
    for name, value in members.items():
        for one in value if isinstance(value, list) else [value]:
            inner = elements(one) if isinstance(one, Mapping) else escape(str(one))
            found.append(f"<{name}>{inner}</{name}>")
    return "".join(found)


def username_token(key: str, type: str = PASSWORD_TEXT, more: str = "") -> str:
    """The header of WS-Security."""
    return (
        f'<w:Security xmlns:w="{WSSE}" s:mustUnderstand="1"><w:UsernameToken>'
        f'<w:Username>pakket</w:Username><w:Password Type="{type}">{escape(key)}</w:Password>'
        f"</w:UsernameToken>{more}</w:Security>"
    )


def envelope(inner: str, header: str = "", version: Version = SOAP11) -> bytes:
    """A whole message."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope xmlns:s="{version.namespace}"><s:Header>{header}</s:Header>'
        f"<s:Body>{inner}</s:Body></s:Envelope>"
    ).encode()


def operation(name: str, inner: str) -> str:
    """The one element of a body."""
    return f'<{name} xmlns="{OURS}">{inner}</{name}>'


ORDER = ("klant", "soort", "jaar", "periode", "onderdelen", "deadline", "opmerking",
         "relatiebeheerder", "akkoord_van", "vervangt")  # fmt: skip
_PART = ("rol", "bron", "id", "inhoud", "sha256")


def stuk_xml(stuk: Mapping[str, Any]) -> str:
    """A stuk in the order of the schema; what it does not know comes last."""
    parts = [_ordered(p, _PART) for p in stuk.get("onderdelen", ())]
    ordered = _ordered({**stuk, "onderdelen": parts}, ORDER)
    return f"<stuk>{elements(ordered)}</stuk>"


def _ordered(members: Mapping[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    return {k: members[k] for k in (*order, *(m for m in members if m not in order))
            if k in members}  # fmt: skip


@dataclass
class Reply:
    """status: of HTTP. body: the one element of the Body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def storing(self) -> Any:
        """The detail of a fault."""
        return next(e for e in self.body.iter() if xml.local(e.tag) == "Storing")

    @property
    def code(self) -> int:
        """200, or what a fault says."""
        return int(self.text("code", self.storing)) if self.failed else 200

    @property
    def failed(self) -> bool:
        """Whether it is a fault."""
        return xml.local(self.body.tag) == "Fault"

    @property
    def faults(self) -> dict[str, str]:
        """By field."""
        found = (e for e in self.storing.iter() if xml.local(e.tag) == "fout")
        return {e.get("veld"): e.text for e in found}

    @property
    def words(self) -> str:
        """What a fault says in one text."""
        return self.text("faultstring") or self.text("Text")

    def text(self, name: str, below: Any = None) -> str:
        """Of the first element of that name."""
        found = (self.body if below is None else below).iter()
        return next((e.text or "" for e in found if xml.local(e.tag) == name), "")

    def texts(self, name: str) -> list[str]:
        """Of all of them."""
        return [e.text or "" for e in self.body.iter() if xml.local(e.tag) == name]


_SCHEMA = etree.XMLSchema(etree.fromstring(schema.xsd()))


async def send(package: Package, data: Any, version: Version = SOAP11, **headers: str) -> Reply:
    """One POST; every answer is valid."""
    headers = {"Content-Type": f"{version.media_type}; charset=utf-8", **headers}
    async with package.client.post(ADDRESS, data=data, headers=headers) as r:
        answer = xml.parse(await r.read())
        assert r.content_type in (SOAP11.media_type, SOAP12.media_type)
    body = xml.child(answer, "Body")
    assert body is not None
    reply = Reply(r.status, r.headers, body[0])
    _SCHEMA.assertValid(reply.storing if reply.failed else reply.body)
    if reply.failed:
        kinds = {400: SOAP12, 500: SOAP11}
        assert reply.status == 500 or kinds[reply.status] is SOAP12
    else:
        assert reply.status == 200
    return reply


async def ask(
    package: Package, name: str, inner: str = "", version: Version = SOAP11, **headers: str
) -> Reply:
    """An operation, with the key in a UsernameToken."""
    data = envelope(operation(name, inner), username_token(package.key), version)
    return await send(package, data, version, **headers)


def upload(
    package: Package,
    stuk: Mapping[str, Any],
    files: Mapping[str, tuple[str, bytes]],
    once: str | None = None,
) -> bytes:
    """UploadMessage with its documents inline."""
    told = f"<berichtId>{once or uuid.uuid4()}</berichtId>{stuk_xml(stuk)}"
    for name, (filename, data) in files.items():
        content = base64.b64encode(data).decode()
        told += f"<document>{elements({'naam': name, 'bestandsnaam': filename})}"
        told += f"<inhoud>{content}</inhoud></document>"
    return envelope(operation("UploadMessage", told), username_token(package.key))


def include(cid: str) -> str:
    """A reference to a part."""
    return f'<x:Include xmlns:x="{XOP}" href="cid:{cid}"/>'


def related(
    root: bytes, parts: list[tuple[str, bytes]], encoding: str = "binary"
) -> tuple[bytes, str]:
    """A body of MTOM and its Content-Type."""
    border = f"uuid:{uuid.uuid4()}"
    written = [
        b'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n'
        b"Content-Transfer-Encoding: 8bit\r\nContent-ID: <root@map>\r\n\r\n" + root
    ]
    written += [
        f"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: {encoding}\r\n"
        f"Content-ID: <{cid}>\r\n\r\n".encode()
        + data
        for cid, data in parts
    ]
    data = b"".join(f"--{border}\r\n".encode() + one + b"\r\n" for one in written)
    kind = (
        'multipart/related; type="application/xop+xml"; start="<root@map>"; '
        f'start-info="text/xml"; boundary="{border}"'
    )
    return data + f"--{border}--\r\n".encode(), kind


def mtom(
    package: Package,
    stuk: Mapping[str, Any],
    files: Mapping[str, tuple[str, bytes]],
    once: str | None = None,
) -> tuple[bytes, str]:
    """UploadMessage with its documents beside it."""
    told = f"<berichtId>{once or uuid.uuid4()}</berichtId>{stuk_xml(stuk)}"
    for name, (filename, _) in files.items():
        told += f"<document>{elements({'naam': name, 'bestandsnaam': filename})}"
        told += f"<inhoud>{include(f'{name}@map')}</inhoud></document>"
    root = envelope(operation("UploadMessage", told), username_token(package.key))
    return related(root, [(f"{name}@map", data) for name, (_, data) in files.items()])
