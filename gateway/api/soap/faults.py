"""Failures as SOAP faults, with the same words and fields as problem+json."""

from aiohttp import web
from lxml import etree

from gateway.api.problem import Problem
from gateway.api.soap.names import OURS, SOAP11, Version
from gateway.domain import members
from gateway.domain.xml import Element

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
#: The same message may be good later.
_LATER = frozenset({408, 429})


class Refused(Problem):
    """An envelope that is no good. code: VersionMismatch or MustUnderstand."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(400, detail)
        self.code = code


def response(version: Version, problem: Problem) -> web.Response:
    """The fault as it goes out: HTTP 500, or 400 in SOAP 1.2 when it is the sender's."""
    theirs = problem.status < 500 and problem.status not in _LATER
    code = version.client if theirs else version.server
    if isinstance(problem, Refused):
        code = problem.code
    envelope, body = new(version)
    fault = etree.SubElement(body, f"{{{version.namespace}}}Fault")
    told = problem.told()
    words = told.get("detail") or _said(told) or told["title"]
    if version is SOAP11:
        etree.SubElement(fault, "faultcode").text = f"s:{code}"
        etree.SubElement(fault, "faultstring").text = members.clean(words)
        detail = etree.SubElement(fault, "detail")
    else:
        value = etree.SubElement(fault, f"{{{version.namespace}}}Code")
        etree.SubElement(value, f"{{{version.namespace}}}Value").text = f"s:{code}"
        reason = etree.SubElement(fault, f"{{{version.namespace}}}Reason")
        text = etree.SubElement(reason, f"{{{version.namespace}}}Text")
        text.set(_XML_LANG, "nl")
        text.text = members.clean(words)
        detail = etree.SubElement(fault, f"{{{version.namespace}}}Detail")
    wait = problem.headers.get("Retry-After", "")
    _detail(detail, told, wait)
    status = 400 if theirs and version is not SOAP11 else 500
    return out(version, envelope, status, {"Retry-After": wait} if wait else {})


def _said(told: dict[str, object]) -> str:
    """Every fault with its field, as one text: some packages show nothing else."""
    faults = told.get("fouten")
    rows = faults if isinstance(faults, list) else []
    return " ".join(f"{row['veld']}: {row['melding']}" for row in rows)[:2000]


def _detail(detail: Element, told: dict[str, object], wait: str) -> None:
    found = etree.SubElement(detail, f"{{{OURS}}}Storing")
    shown = {"code": told["status"], "wacht": wait or None, "stuk": told.get("stuk")}
    members.write(found, shown)
    faults = told.get("fouten")
    if isinstance(faults, list):
        rows = etree.SubElement(found, f"{{{OURS}}}fouten")
        for row in faults:
            one = etree.SubElement(rows, f"{{{OURS}}}fout")
            one.set("veld", members.clean(str(row["veld"])))
            one.text = members.clean(str(row["melding"]))


def new(version: Version) -> tuple[Element, Element]:
    """An empty envelope and its body."""
    envelope = etree.Element(
        f"{{{version.namespace}}}Envelope", nsmap={"s": version.namespace, "p": OURS}
    )
    return envelope, etree.SubElement(envelope, f"{{{version.namespace}}}Body")


def out(
    version: Version, envelope: Element, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """An envelope as it goes out."""
    return web.Response(
        status=status,
        body=etree.tostring(envelope, xml_declaration=True, encoding="UTF-8"),
        content_type=version.media_type,
        charset="utf-8",
        headers=headers,
    )
