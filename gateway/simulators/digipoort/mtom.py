"""A request as MTOM sends it: the envelope, and beside it the bytes it refers to (XOP 1.0).

A signature covers the text as if the bytes stood in it as base64, so they are put there first.
"""

import base64
import re
from collections.abc import Mapping
from email.policy import HTTP
from urllib.parse import unquote

from lxml import etree

from gateway.simulators.digipoort.names import Element, Refused

_INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
_BREAK = re.compile(rb"\r?\n\r?\n")


def parse(content_type: str, data: bytes) -> Element:
    """The envelope of a request, plain or MTOM, with its bytes inline. Raises Refused."""
    kind, params = _header(content_type)
    if kind == "text/xml":
        return _xml(data)
    if kind != "multipart/related":
        raise Refused(f"Content-Type {kind} wordt niet verwacht")
    parts = dict(_parts(data, params.get("boundary", "")))
    start = params.get("start", next(iter(parts), ""))
    if start not in parts:
        raise Refused("het deel met de envelop ontbreekt")
    root = _xml(parts.pop(start))
    _inline(root, {name.strip("<>"): part for name, part in parts.items()})
    return root


def _header(value: str) -> tuple[str, Mapping[str, str]]:
    header = HTTP.header_factory("content-type", value)
    return header.content_type, header.params


def _xml(data: bytes) -> Element:
    """No document type, no entities, no comments, which nobody signs (exc-c14n).

    A document of 20 MB is one text, hence huge_tree.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        huge_tree=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as e:
        raise Refused(f"geen XML: {e}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Refused("een DOCTYPE is niet toegestaan")
    return root


def _parts(data: bytes, boundary: str) -> list[tuple[str, bytes]]:
    """Content-ID and bytes of each part, in their order."""
    if not boundary:
        raise Refused("multipart zonder boundary")
    found: list[tuple[str, bytes]] = []
    pieces = (b"\r\n" + data).split(b"\r\n--" + boundary.encode())
    for piece in pieces[1:-1]:
        head, *body = _BREAK.split(piece, maxsplit=1)
        name = re.search(rb"(?im)^content-id:\s*(\S+)", head)
        found.append((name[1].decode("latin-1") if name else str(len(found)), b"".join(body)))
    if not pieces[-1].startswith(b"--"):
        raise Refused("multipart zonder einde")
    return found


def _inline(root: Element, parts: Mapping[str, bytes]) -> None:
    """Each xop:Include becomes the base64 of the part it names."""
    for include in list(root.iter(_INCLUDE)):
        name = unquote(include.get("href", "").removeprefix("cid:"))
        holder = include.getparent()
        if holder is None or name not in parts:
            raise Refused(f"het deel {name} ontbreekt")
        holder.remove(include)
        holder.text = base64.b64encode(parts[name]).decode()
