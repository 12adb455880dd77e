"""The one XML parser: no DTD, no entities, nothing fetched.

Names are compared without their namespaces, because services of the same WSDL differ in how
they qualify them.
"""

from collections.abc import Sequence

from lxml import etree

from gateway.errors import ProtocolError

#: What stands in other modules' signatures; lxml has no public name for it.
Element = etree._Element


def parse(data: bytes, *, huge: bool = False) -> Element:
    """The root of a small document. Raises ProtocolError; also for any document type.

    huge: texts of more than 10 MB may come; the caller has limited the whole.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
        remove_pis=True, huge_tree=huge,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as e:
        raise ProtocolError(f"not XML: {e}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError("a document type is refused")
    return root


def local(tag: object) -> str:
    """An element's name without its namespace."""
    return str(tag).rpartition("}")[2]


def child(element: Element, name: str) -> Element | None:
    """The first child of that local name."""
    return next((c for c in element if local(c.tag) == name), None)


def below(element: Element, path: Sequence[str]) -> Element | None:
    """The first element at a path of local names."""
    found: Element | None = element
    for name in path:
        found = child(found, name) if found is not None else None
    return found
