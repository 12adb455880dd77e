"""Finds the connector of a kind: ``connectors/<kind>.py``, or a third party's entry point.

The gateway imports no connector by name. A module holds one class whose `kind` is the
module's name. Entry points of the group ``gateway.connectors`` come second; they cannot
take the name of a kind that ships. A broken plug-in is reported, it does not stop the others.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from gateway.connector.contract import API_VERSION, Connector, ConnectorConfig
from gateway.errors import ConfigInvalid

GROUP = "gateway.connectors"
PACKAGE = "connectors"
_KIND = re.compile(r"^[a-z][a-z0-9_]*$")

AnyConnector = type[Connector[Any]]


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """A kind that exists and cannot be used; `reason` is for operations."""

    kind: str
    reason: str


def _class_in(module: ModuleType, kind: str) -> AnyConnector:
    for _, candidate in inspect.getmembers(module, inspect.isclass):
        if issubclass(candidate, Connector) and getattr(candidate, "kind", None) == kind:
            return candidate
    raise ConfigInvalid(f"{module.__name__} holds no Connector with kind = {kind!r}")


def _checked(found: AnyConnector, kind: str) -> AnyConnector:
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise ConfigInvalid(f"{kind} does not implement {', '.join(missing)}", field="kind")
    if not issubclass(getattr(found, "Config", object), ConnectorConfig):
        raise ConfigInvalid(f"{kind} has no Config", field="kind")
    if found.api_version != API_VERSION:
        raise ConfigInvalid(
            f"{kind} is made for version {found.api_version} of the contract, not {API_VERSION}",
            field="kind",
        )
    return found


def _shipped() -> list[str]:
    package = importlib.import_module(PACKAGE)
    return [m.name for m in pkgutil.iter_modules(package.__path__) if _KIND.match(m.name)]


def _third_party() -> Mapping[str, Sequence[EntryPoint]]:
    """By kind; more than one that differ is a fault of the installation, told by `find`."""
    shipped, found = set(_shipped()), dict[str, list[EntryPoint]]()
    for entry in entry_points(group=GROUP):
        if _KIND.match(entry.name) and entry.name not in shipped:
            some = found.setdefault(entry.name, [])
            if entry.value not in (e.value for e in some):
                some.append(entry)
    return found


def _shipped_class(kind: str) -> AnyConnector:
    try:
        module = importlib.import_module(f"{PACKAGE}.{kind}")
    except Exception as e:  # a library that it needs may be missing
        raise ConfigInvalid(f"kind {kind} is not loaded: {e!r}", field="kind") from e
    return _class_in(module, kind)


def _loaded(kind: str, entries: Sequence[EntryPoint]) -> AnyConnector:
    if len(entries) > 1:
        both = " and ".join(e.value for e in entries)
        raise ConfigInvalid(f"{both} both claim kind {kind}", field="kind")
    try:
        found = entries[0].load()
    except Exception as e:  # a stranger's module may raise anything while it is imported
        raise ConfigInvalid(f"plug-in {kind} is not loaded: {e!r}", field="kind") from e
    if not (inspect.isclass(found) and issubclass(found, Connector)):
        raise ConfigInvalid(f"plug-in {kind} is not a Connector", field="kind")
    if getattr(found, "kind", None) != kind:
        raise ConfigInvalid(f"plug-in {kind} holds another kind", field="kind")
    return found


@cache
def find(kind: str) -> AnyConnector:
    """The class of a kind. Raises ConfigInvalid, naming the kinds that exist."""
    if kind in _shipped():
        return _checked(_shipped_class(kind), kind)
    entries = _third_party().get(kind)
    if not entries:
        raise ConfigInvalid(f"no kind {kind!r}; there are: {', '.join(kinds())}", field="kind")
    return _checked(_loaded(kind, entries), kind)


def kinds() -> list[str]:
    """Names of all kinds, shipped first."""
    return [*sorted(_shipped()), *sorted(_third_party())]


def overview() -> dict[str, AnyConnector | NotLoaded]:
    """Every kind with its class, or why it is not loaded."""
    found: dict[str, AnyConnector | NotLoaded] = {}
    for kind in kinds():
        try:
            found[kind] = find(kind)
        except Exception as e:
            found[kind] = NotLoaded(kind, str(e))
    return found
