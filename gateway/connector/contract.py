"""What a connector implements.

A connector speaks one protocol to one back office. It is opened once for a configured
source and used by many requests at the same time. It does not retry, cache, time out,
count, log requests or limit itself: `gateway.connector.guard` does, the same way for all.
It raises the errors of `gateway.errors`, and nothing else, for what the outside does.

Required: `open`, `capabilities`, `target`, `reach`, `list`, `stat`, `read`, `aclose`.
Optional: `put`, `move`. What is not told in `capabilities` raises `Unsupported`.

The contract in tests is `gateway.connector.conformance`; a connector is right when it passes.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from gateway.connector.context import Context
from gateway.errors import (
    ConfigInvalid,
    NotFound,
    RangeNotSatisfiable,
    SourceError,
    Unsupported,
)

#: Raised when the contract changes in a way that a third party's connector would notice.
API_VERSION = 2

#: Bytes a reader gives at a time, at the most; small enough for 256 slow clients.
CHUNK = 64 * 1024

_NO_META: Mapping[str, str] = MappingProxyType({})


class Capability(enum.Flag):
    """What a source can do besides list, stat and read."""

    RANGE = enum.auto()  # read from an offset costs no more than the bytes asked for
    SIZE_KNOWN = enum.auto()  # every Entry has its exact size
    VERSION = enum.auto()  # every Entry has a version, and it changes when the bytes do
    MODIFIED = enum.auto()  # every Entry has a date
    MEDIA_TYPE = enum.auto()  # the source tells the media type itself
    CHECKSUM = enum.auto()  # the source tells a checksum of the whole
    STREAMS = enum.auto()  # the first byte is given before the last has arrived
    WRITE = enum.auto()  # put works
    IF_ABSENT = enum.auto()  # put(if_absent=True) never overwrites, also in a race
    ATOMIC_WRITE = enum.auto()  # nobody sees a half-written document, also after a cut
    MOVE = enum.auto()  # move works, and never overwrites; an id is the folder, "/" and the name


class Scope(enum.StrEnum):
    """How far a check goes; each includes the ones before it."""

    PARAMETERS = "parameters"  # the options alone, nothing leaves the machine
    CONNECTIVITY = "connectivity"  # the source answers and takes our credentials
    LIST = "list"  # one place can be listed
    READ = "read"  # the first document of it can be read


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a source that is one klant's dossier: the border of every call.

    klant: the klant's number, as the back office knows it ("300001").
    root: the klant's place in the source, from the mapping of the firm's file
        ("klanten/300001", "300001"); "/" separates its parts.
    folders: the folders below root that the firm publishes, each "/"-separated; everything
        below such a folder belongs to the dossier. Empty: nothing is published.
    """

    klant: str
    root: str
    folders: tuple[str, ...]

    def holds(self, folder: Sequence[str]) -> bool:
        """Whether documents of `folder` (parts below root) are published."""
        path = "/".join(folder)
        return any(not f or path == f or path.startswith(f + "/") for f in self.folders)


class Entry(NamedTuple):
    """One document of a dossier. A tuple, for they are made by the thousand.

    id: what `stat` and `read` take; opaque to everyone but the connector; any Unicode, at
        most 1,024 bytes in UTF-8, and the same for as long as the document stays where it is.
    name: what a person reads, with the file's extension when the source has one.
    folder: the parts below the place's root, the published folder first.
    size: in bytes; None when the source does not tell.
    modified: aware datetime; None when the source does not tell.
    version: changes when the bytes change; becomes the ETag.
    checksum: (algorithm as in hashlib, digest).
    meta: words of the source for people (subject, author); never needed to read.
    """

    id: str
    name: str
    folder: tuple[str, ...] = ()
    size: int | None = None
    modified: datetime | None = None
    media_type: str | None = None
    version: str | None = None
    checksum: tuple[str, bytes] | None = None
    meta: Mapping[str, str] = _NO_META


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing. `next` goes into the following call; None: this was the last. left_out:
    how many names were met that could not be shown or read back, as far as the source counts."""

    entries: Sequence[Entry]
    next: str | None = None
    left_out: int = 0


@runtime_checkable
class Reader(Protocol):
    """One open document. Closed by `aclose` in every case, also when the reading was cut short.

    entry: as found when opened. offset: where the first byte stands. length: bytes that will
    come; None when the source does not tell beforehand. A source that ends early raises
    `IntegrityError` (or `Unavailable`) instead of ending quietly.
    """

    @property
    def entry(self) -> Entry: ...
    @property
    def offset(self) -> int: ...
    @property
    def length(self) -> int | None: ...
    def __aiter__(self) -> AsyncIterator[bytes]:
        """Non-empty pieces of at most `CHUNK` bytes."""
        ...

    async def aclose(self) -> None:
        """Stop and free; cancels what is under way upstream. Safe to call twice."""
        ...


def length_of(size: int, offset: int, length: int | None) -> int:
    """How many bytes of a document will come; see Connector.read. Raises RangeNotSatisfiable."""
    if offset < 0 or (offset and offset >= size):
        raise RangeNotSatisfiable
    return size - offset if length is None else min(length, size - offset)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check. `field` is the option it is about; `code` one of the error codes."""

    ok: bool
    scope: Scope
    message: str
    field: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return all(f.ok for f in self.findings)


@runtime_checkable
class HasFile(Protocol):
    """What a Reader may be besides: one whose bytes stand in a file of this machine.

    A host may then send bytes `offset` to `offset + length` by sendfile(2) instead of iterating.
    """

    def fileno(self) -> int:
        """The open file, until `aclose`."""
        ...

    async def verify(self) -> None:
        """To be asked after sending. Raises IntegrityError when the file changed meanwhile."""
        ...


class ConnectorConfig(BaseModel):
    """The options of a kind. Subclass it; an unknown option is an error.

    Each field has a `description` (it becomes the documentation, the schema and later the
    operations page). A secret's type is `gateway.connector.secret.Secret`.
    """

    # A value that is refused is not repeated: it may be a password in the wrong place.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


C = TypeVar("C", bound=ConnectorConfig)


class Connector(ABC, Generic[C]):
    """One opened source.

    kind: the word in the firm's file, equal to the module's name. title: for people, by language.
    main_option: what a finding is about when an error does not say.
    """

    api_version: ClassVar[int] = API_VERSION
    kind: ClassVar[str]
    title: ClassVar[Mapping[str, str]]
    main_option: ClassVar[str] = ""
    Config: ClassVar[type[Any]]

    @classmethod
    @abstractmethod
    async def open(cls, config: C, context: Context) -> Self:
        """Make ready. Does not need the source to be up: a portal starts while one is down.

        Raises ConfigInvalid when the options cannot work whatever the outside does.
        """

    @property
    @abstractmethod
    def capabilities(self) -> Capability:
        """What this source can do, as configured."""

    @abstractmethod
    def target(self) -> str:
        """What it is configured to, as people know it; no secrets."""

    @abstractmethod
    async def reach(self) -> str:
        """Reach the source and sign in, and no more. What that showed. Raises SourceError."""

    def judge(self, entry: Entry) -> None:
        """Whether a document is as the options say. Raises ConfigInvalid."""

    async def check(self, scope: Scope, place: Place | None = None) -> Report:
        """Try it, up to `scope`; `place` is needed for LIST and READ. Never changes anything."""
        findings: list[Finding] = []
        for step in Scope:
            try:
                findings.append(Finding(True, step, await self._try(step, place)))
            except SourceError as e:
                field = e.field or self.main_option
                findings.append(Finding(False, step, str(e), field, e.code))
            if step is scope or not findings[-1].ok:
                break
        return Report(tuple(findings))

    async def _try(self, step: Scope, place: Place | None) -> str:
        """One step of a check: what was found. Raises SourceError."""
        if step is Scope.PARAMETERS:
            return self.target()
        if step is Scope.CONNECTIVITY:
            return await self.reach()
        if place is None:
            raise ConfigInvalid("a klant's place is needed to try this")
        entry = next(iter((await self.list(place, limit=1)).entries), None)
        if step is Scope.LIST or entry is None:
            return "the place has no documents" if entry is None else "a document was found"
        self.judge(entry)
        reader = await self.read(place, entry.id)
        try:
            return f"{len(await anext(aiter(reader), b''))} bytes came at once"
        finally:
            await reader.aclose()

    @abstractmethod
    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """Documents of the place, at any depth below its published folders, in a stable order.

        A place or folder that does not exist has no documents (a klant without a dossier is
        no fault). Names that cannot be shown or read back safely are left out by the
        connector only when reading them would be impossible.
        page: `Page.next` of the call before; ConditionFailed for one that is none.
        limit: entries at the most, 1 to 1,000.
        """

    @abstractmethod
    async def stat(self, place: Place, id: str) -> Entry:
        """The document as it is now. NotFound when it is not in the published part of place."""

    @abstractmethod
    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> Reader:
        """Open a document, whole or in part.

        offset, length: only with Capability.RANGE; RangeNotSatisfiable when offset is past
        the end (an offset equal to the size too, but for an empty document read from 0).
        A length is at least 1; one that goes past the end gives what there is.
        version: ConditionFailed when the document is another version by now.
        NotFound when it is not in the published part of place, whatever `id` says.
        """

    async def put(
        self,
        place: Place,
        folder: str,
        name: str,
        body: AsyncIterable[bytes],
        *,
        size: int | None = None,
        media_type: str | None = None,
        sha256: bytes | None = None,
        if_absent: bool = True,
    ) -> Entry:
        """Write a document into a published folder; nothing is left when it fails.

        AlreadyExists with if_absent; IntegrityError when size or sha256 do not match; NotFound
        for a folder or name outside the place; Unsupported without Capability.WRITE. What the
        body raises is passed on.
        """
        raise Unsupported(f"{self.kind}: put")

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """Give a document another name, or another published folder, which is made when it is
        not there. Whatever goes wrong, it stands in one of the two, whole.

        AlreadyExists when there is a document of that name, also in a race; NotFound when it is
        not in the published part of place, or the folder or name is not; ConditionFailed when it
        is another version by now; Unsupported without Capability.MOVE.
        """
        raise Unsupported(f"{self.kind}: move")

    def new_id(self, folder: str, name: str) -> str:
        """The id of a document that is to be written, where an id is folder, "/" and name.
        Raises Unsupported, and NotFound for a name that is a path."""
        if Capability.WRITE not in self.capabilities:
            raise Unsupported("this source is not writable")
        if "/" in name:
            raise NotFound
        return f"{folder}/{name}" if folder else name

    @abstractmethod
    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
