"""Makes the operations of a SOAP profile ready to call, from WSDLs that are pinned files.

zeep reads each WSDL once, checks the profile's arguments against it, and makes the envelopes;
afterwards an envelope is only filled in. No WSDL is ever fetched: zeep is given the bytes whose
hash was checked, and anything that they import and that is not pinned too is refused.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree
from zeep import Client, Settings
from zeep.exceptions import Error as ZeepError
from zeep.transports import Transport
from zeep.wsdl.bindings import Soap12Binding

from gateway.connector.soap import pin as soappin
from gateway.connector.soap.profile import (
    Arguments,
    Brought,
    Call,
    Markup,
    Pinned,
    Profile,
    Service,
    Template,
    escaped,
)
from gateway.errors import ConfigInvalid, NotFound

# zeep tells its types for a part only.
_Client: Callable[..., Client] = Client

_ELEMENT = re.compile(rb"<MARK\.([A-Za-z0-9_.-]+)[^>]*/>")
_MARK = re.compile(rb"@@([A-Za-z0-9_.-]+)@@")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that is ready to be called.

    envelope: bytes, and the names of the arguments that stand between them.
    """

    name: str
    url: str
    headers: Mapping[str, str]
    envelope: Sequence[bytes]
    args: Mapping[str, Template]
    elements: frozenset[str] = frozenset()  # those that are markup already

    def body(self, values: Mapping[str, str]) -> bytes:
        """The envelope, filled in. Raises NotFound for a value that XML cannot hold."""
        parts = list(self.envelope)
        try:
            for at in range(1, len(parts), 2):
                name = parts[at].decode()
                text = self.args[name].fill(values)
                parts[at] = (text if name in self.elements else escaped(text)).encode()
        except ValueError as e:
            raise NotFound(str(e)) from None
        return b"".join(parts)


class PinnedTransport(Transport):
    """Serves zeep the pinned files and nothing else, whatever a WSDL imports."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._files = files

    def load(self, url: str) -> bytes:
        """The pinned content. Raises ConfigInvalid for any other place."""
        try:
            return self._files[url]
        except KeyError:
            raise ConfigInvalid(
                f"a WSDL imports {url}, which is not pinned", field="profile"
            ) from None


def _pinned(pin: Pinned, folders: Sequence[Path]) -> tuple[str, bytes]:
    path = next((f / pin.file for f in folders if (f / pin.file).is_file()), None)
    if path is None:
        raise ConfigInvalid(f"no file wsdl/{pin.file}", field="profile")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != pin.sha256:
        raise ConfigInvalid(f"{path} is not the file that the profile pins", field="profile")
    return str(path.resolve()), data


def _brought(name: str, folders: Sequence[Path]) -> tuple[str, Mapping[str, bytes]]:
    """What `gateway wsdl pin` keeps under a name, by the paths that zeep will ask for."""
    folder = next((f / name for f in folders if (f / name).is_dir()), folders[0] / name)
    main, files = soappin.read(folder)
    place = folder.resolve()
    return str(place / main), {str(place / n): data for n, data in files.items()}


def _client(service: Service, folders: Sequence[Path]) -> Client:
    if isinstance(service.wsdl, Brought):
        return _loaded(*_brought(service.wsdl.name, folders))
    name, data = _pinned(service.wsdl, folders)
    files = {name: data}
    for location, pin in service.wsdl.imports.items():
        local, content = _pinned(pin, folders)
        files[local] = files[location] = content
    return _loaded(name, files)


def _loaded(name: str, files: Mapping[str, bytes]) -> Client:
    # Not forbid_external: an import that is pinned may well be an address.
    settings = Settings(strict=True, forbid_dtd=True, forbid_entities=True)
    try:
        return _Client(name, transport=PinnedTransport(files), settings=settings)
    except (
        ZeepError,
        etree.LxmlError,
        ValueError,
        OSError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as e:
        raise ConfigInvalid(f"{Path(name).name}: {e}", field="profile") from None


def described(main: str, files: Mapping[str, bytes]) -> Mapping[str, Sequence[str]]:
    """The operations of a WSDL by its ports, as a source would read it. Raises ConfigInvalid."""
    place = Path("/wsdl")
    client = _loaded(str(place / main), {str(place / n): d for n, d in files.items()})
    return {
        f"{service.name}.{port.name}": sorted(port.binding.all())
        for service in client.wsdl.services.values()
        for port in service.ports.values()
    }


def _port(client: Client, name: str) -> tuple[Any, Any]:
    """zeep's service and binding of a port; of the first when no name is said."""
    for service in client.wsdl.services.values():
        for port in service.ports.values():
            if name in ("", port.name):
                return client.bind(service.name, port.name), port.binding
    raise ConfigInvalid(f"a WSDL has no port {name}".rstrip(), field="profile")


def _operation(
    client: Client, service: Service, url: str, call: Call, changed: Arguments
) -> Operation:
    args = call.templates(changed)
    bound, binding = _port(client, service.port)
    make: Callable[..., etree._Element] = client.create_message
    told = {**call.args, **changed}
    elements = frozenset(name for name, value in told.items() if isinstance(value, Markup))
    try:
        marks: dict[str, Any] = {
            name: {"_value_1": etree.Element(f"MARK.{name}")}
            if name in elements
            else f"@@{name}@@"
            for name in args
        }
        envelope = make(bound, call.operation, **marks)
        action = binding.get(call.operation).soapaction or ""
    except (ZeepError, TypeError, ValueError, AttributeError, KeyError) as e:
        raise ConfigInvalid(f"{call.operation}: {e}", field="profile") from None
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
    if isinstance(binding, Soap12Binding):
        headers = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'}
    text = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
    parts = _MARK.split(_ELEMENT.sub(rb"@@\1@@", text))
    for name in set(args) - {p.decode() for p in parts[1::2]}:
        # zeep writes what is no boolean as true, and so a mark too.
        if args[name].names or args[name].fill({}) != "true":
            raise ConfigInvalid(f"{call.operation}: {name} can only be true", field="profile")
    return Operation(call.operation, url, headers, parts, args, elements)


def operations(
    profile: Profile, urls: Mapping[str, str], folders: Sequence[Path]
) -> dict[str, Operation]:
    """The profile's calls by name, as `Profile.calls` names them; reads files.

    urls: address of each service. folders: where pinned files may lie, the first that has it.
    Raises ConfigInvalid when a file is not the pinned one, or does not have the operation.
    """
    clients: dict[str, Client] = {}  # by what tells a WSDL from another: some have many ports
    for service in profile.services.values():
        key = service.wsdl.model_dump_json()
        if key not in clients:
            clients[key] = _client(service, folders)
    return {
        name: _operation(
            clients[profile.services[call.service].wsdl.model_dump_json()],
            profile.services[call.service],
            urls[call.service],
            call,
            changed,
        )
        for name, call, changed in profile.calls()
    }
