"""What a SOAP back office is like, as data: the models of a profile and its templates.

A profile says which operations of a pinned WSDL give the dossier items, their attachments and
a document's content, and where in the answers things stand. Its whole language is element
paths (``a/b``, ``@attribute``, ``a/@attribute``, ``*[@attribute=value]``, by local names) and
placeholders:

``{klant.root}`` ``{klant.number}``   the place; ``{id.<part>}``  parts of a document's id
``{page.skip}`` ``{page.take}`` ``{page.token}``  paging; ``{auth.secret}`` the credential, wrapped
``{word.<name>}`` ``{field.<name>}``  what the firm may set: words, and names of columns
``{tree.path}`` ``{tree.object}``     with `tree`: a path, and the source's own id of what is there
``{read.offset}`` ``{read.length}``   with `range`: the part of the document
``{auth.username}`` ``{session.id}``  with `session`: who logs in, and what the login gave
``{put.name}`` ``{put.type}`` ``{put.content}``  with `put`: its name, its folder, and its base64

A placeholder's value is always text: in an argument marked ``xml`` it is escaped before it is
put in, and every argument is escaped again by the envelope. What comes from a klant's place or
from a browser (``klant.*``, ``id.*``) must match its pattern in ``accept`` as a whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal, Self
from urllib.parse import unquote
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gateway.domain.xml import Element, below, parse
from gateway.errors import ConfigInvalid, ProtocolError

_PLACEHOLDER = re.compile(
    r"\{((?:klant|id|page|auth|word|field|tree|read|put|session)\.[a-z_]+)\}"
)
_FIXED = {
    "klant.root",
    "klant.number",
    "page.skip",
    "page.take",
    "page.token",
    "auth.secret",
    "auth.username",
}
_TREE = {"tree.path", "tree.object"}
_PUT = {"put.name", "put.type", "put.content"}
_PART = {"read.offset", "read.length"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Fields that a profile need not have and a firm's own listing may.
OPTIONAL_FIELDS = frozenset(
    {"title", "modified", "attachments", "size", "version", "file", "name", "folder", "media"}
)

_QUOTES = {'"': "&quot;", "'": "&apos;"}


def escaped(value: str) -> str:
    """As text or as an attribute's value. Raises ValueError for what XML cannot hold."""
    if _NOT_XML.search(value):
        raise ValueError("a character that XML cannot hold")
    return escape(value, _QUOTES)


class Template:
    """Text with placeholders. `names`: those that stand in it."""

    def __init__(self, text: str, *, xml: bool = False) -> None:
        parts = _PLACEHOLDER.split(text)
        self._literals, self.names = parts[::2], tuple(parts[1::2])
        self._xml = xml
        if any("{" in p or "}" in p for p in self._literals):
            raise ValueError(f"only placeholders such as {{klant.root}} stand in braces: {text}")

    def fill(self, values: Mapping[str, str]) -> str:
        """With the values put in; escaped when it is XML. Raises ValueError, KeyError."""
        found = [self._literals[0]]
        for name, literal in zip(self.names, self._literals[1:], strict=True):
            found += (escaped(values[name]) if self._xml else values[name], literal)
        return "".join(found)


class Model(BaseModel):
    """Unknown keys are errors; objects do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pinned(Model):
    """A file in the folder ``wsdl`` of the configuration, with the only content it may have."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Wsdl(Pinned):
    """imports: what the WSDL imports, by the location that stands in it."""

    imports: dict[str, Pinned] = {}


class Brought(Model):
    """A WSDL that `gateway wsdl pin` brought in, under the name of its folder in ``wsdl``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")


class Service(Model):
    """One port of a WSDL, its first unless `port` names it. path: below the source's `url`."""

    wsdl: Wsdl | Brought
    port: str = ""
    path: str = Field(pattern=r"^[^/?#\s][^?#\s]*$")


class Xml(Model):
    """An argument that is itself XML in a string."""

    xml: str

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        template = Template(self.xml, xml=True)
        try:
            parse(template.fill(dict.fromkeys(template.names, "1")).encode())
        except ProtocolError as e:
            raise ValueError(str(e)) from None
        return self


class Markup(Xml):
    """An argument that is an element of its own, in whatever namespace it says."""

    xml: str = Field(alias="element")


Arguments = dict[str, str | Xml | Markup]


class Call(Model):
    """An operation with its arguments."""

    service: str
    operation: str
    args: Arguments = {}

    def templates(self, other: Arguments | None = None) -> dict[str, Template]:
        """Of each argument; `other` replaces some."""
        merged = {**self.args, **(other or {})}
        return {
            k: Template(v.xml, xml=True) if isinstance(v, Xml) else Template(v)
            for k, v in merged.items()
        }


class Derived(Model):
    """A field out of another: the first group of a pattern in it, perhaps with %XX undone."""

    of: str
    match: re.Pattern[str]
    unquote: bool = False

    def value(self, text: str) -> str | None:
        """None when the pattern is not there."""
        found = self.match.search(text)
        if found is None:
            return None
        return unquote(found[1]) if self.unquote else found[1]


class Table(Call):
    """A call whose answer holds rows.

    result: path below soap:Body. inner_xml: the result is XML in a string. rows: path to each
    row, from the result element, or with `inner_xml` from the inner document's root, which is
    its first part; a last part ``*`` is any element. fields: path of each field in a row. more:
    path below soap:Body of what says whether there are more rows.
    """

    result: str
    inner_xml: bool = False
    rows: str
    fields: dict[str, str]
    more: str = ""
    derive: dict[str, Derived] = {}


class Paging(Model):
    """skip and take, as far as a page that is empty (or `short`); or by the `token` that the
    table's `more` gives, as far as there is one."""

    page_size: int = Field(default=100, ge=1, le=1000)
    stop: Literal["empty", "short", "token"] = "empty"


class Listing(Table):
    """The table of dossier items. where: fields that must have a value, whatever was asked."""

    where: dict[str, str]
    paging: Paging = Paging()


class Tree(Model):
    """For a source whose documents stand in folders. at: gives the one object at a path.
    children: gives those in a folder, as often as `more` says "true".

    Fields: object (the source's own id), kind, name; segment (its part of the path, when it
    differs from the name), size, modified, version and media. A document without a size has no
    content. folder, document: what `kind` is of these.
    """

    at: Table
    children: Table
    folder: str
    document: str
    page_size: int = Field(default=200, ge=20, le=1000)

    @model_validator(mode="after")
    def _fields(self) -> Self:
        for table in (self.at, self.children):
            if lacking := {"object", "kind", "name"} - set(table.fields):
                raise ValueError(f"no field {', '.join(sorted(lacking))}")
        if not self.children.more:
            raise ValueError("children: `more` says when they end")
        return self


class Read(Call):
    """The call that gives a document. content: path below soap:Body. encoding: mtom may stand
    beside the envelope; with url there is no call: the field `url` of a row is the address of
    the document, below the source's own. range: it gives a part."""

    service: str = ""
    operation: str = ""
    content: str = ""
    encoding: Literal["base64", "mtom", "url"] = "base64"
    range: bool = False


class Put(Table):
    """The call that makes a document. Its one row gives the first parts of the new id, by name.
    largest: bytes of a document that it takes."""

    largest: int = Field(ge=1)

    @model_validator(mode="after")
    def _content(self) -> Self:
        if sum(t.names.count("put.content") for t in self.templates().values()) != 1:
            raise ValueError("put: {put.content} stands in one argument, once")
        return self


class Login(Call):
    """session: path below soap:Body of what names the session."""

    session: str


class Session(Model):
    """For a service that wants a login first. Calls have `{session.id}`; one that is refused with
    an error rule's `session_ended` is made again after another login.

    keep: called every so many seconds while the source is used. idle: seconds without a call
    after which the session is logged out and left.
    """

    login: Login
    keep: Call | None = None
    logout: Call | None = None
    every: float = Field(default=600, gt=0)
    idle: float = Field(default=1500, gt=0)


class ErrorRule(Model):
    """match: a pattern in a fault's code and text. to: the error's code."""

    match: re.Pattern[str]
    to: Literal[
        "auth_failed", "permission_denied", "not_found", "rate_limited", "unavailable",
        "too_large", "config_invalid", "protocol_error", "session_ended",
    ]  # fmt: skip
    operation: str = ""


class Ok(Model):
    """For services that tell success in an element instead of by a fault; paths below Body/*,
    in which ``{operation}`` is the name of the operation."""

    element: str
    equals: str
    message: str

    def refusal(self, body: Element, operation: str) -> tuple[str, str] | None:
        """Code (the flag's value) and message when the flag is not as it should be."""
        within = next(iter(body), None)
        flag, message = (
            below(within, path.replace("{operation}", operation).split("/"))
            if within is not None
            else None
            for path in (self.element, self.message)
        )
        told = "" if flag is None else (flag.text or "").strip()
        if told == self.equals:
            return None
        return told, "" if message is None else message.text or ""


class Auth(Model):
    """How the credential is given: as an argument (`{auth.secret}`), or in the HTTP header.

    wrap: what is put around it; a credential that is wrapped already is taken as it is.
    """

    kind: Literal["body", "basic", "bearer", "none"] = "none"
    wrap: str = "{secret}"

    def wrapped(self, secret: str) -> str:
        """As the service expects it."""
        before, _, after = self.wrap.partition("{secret}")
        whole = secret.strip()
        if before and whole.startswith(before) and whole.endswith(after):
            return whole
        return before + whole + after


class Profile(Model):
    """A kind of SOAP back office; see the module. It has a `list` or a `tree`.

    words: may be set by a firm, and must be when empty here.
    """

    title: str
    services: dict[str, Service]
    auth: Auth = Auth()
    session: Session | None = None
    words: dict[str, str] = {}
    accept: dict[str, re.Pattern[str]] = {}
    id: tuple[str, ...] = ()
    probe: str = Field(default="", description="a klant's place that `check` asks for, or a path")
    timezone: str = "UTC"
    list: Listing | None = None
    find: Arguments = {}
    tree: Tree | None = None
    attachments: Table | None = None
    read: Read
    put: Put | None = None
    errors: tuple[ErrorRule, ...] = ()
    ok: Ok | None = None

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError):
            raise ValueError(f"no time zone {value}") from None
        return value

    @property
    def fields(self) -> Mapping[str, str]:
        """The columns of a listing."""
        if self.list is not None:
            return self.list.fields
        return {} if self.tree is None else self.tree.children.fields

    def adapted(self, words: Mapping[str, str], fields: Mapping[str, str]) -> "Profile":
        """With a firm's own words and columns. Raises ConfigInvalid for unknown ones."""
        columns = set() if self.list is None else set(self.list.fields) | OPTIONAL_FIELDS
        for option, given, known in (
            ("words", words, set(self.words)),
            ("fields", fields, columns),
        ):
            if wrong := set(given) - known:
                raise ConfigInvalid(
                    f"{', '.join(sorted(wrong))}: the profile knows {', '.join(sorted(known))}",
                    field=option,
                )
            if any(not v or _NOT_XML.search(v) for v in given.values()):
                raise ConfigInvalid("a value is empty, or cannot stand in XML", field=option)
        changed: dict[str, object] = {"words": {**self.words, **words}}
        if lacking := [w for w, value in {**self.words, **words}.items() if not value]:
            raise ConfigInvalid(f"needed: {', '.join(lacking)}", field="words")
        if self.list is not None:
            merged = {**self.list.fields, **fields}
            changed["list"] = self.list.model_copy(update={"fields": merged})
        return self.model_copy(update=changed)

    def calls(self) -> Iterator[tuple[str, Call, Arguments]]:
        """Every call with its name, and the arguments that it changes."""
        if self.list is not None:
            yield "find", self.list, self.find
        for name, table in self.tables():
            if name != "find":
                yield name, table, {}
        if self.read.encoding != "url":
            yield "read", self.read, {}
        if self.session is not None:
            yield "login", self.session.login, {}
            if self.session.keep is not None:
                yield "keep", self.session.keep, {}
            if self.session.logout is not None:
                yield "logout", self.session.logout, {}

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every call whose answer is a table."""
        if self.list is not None:
            yield "list", self.list
            yield "find", self.list
        if self.tree is not None:
            yield "at", self.tree.at
            yield "children", self.tree.children
        if self.attachments is not None:
            yield "attachments", self.attachments
        if self.put is not None:
            yield "put", self.put

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.list is None) == (self.tree is None):
            raise ValueError("a `list` or a `tree` is needed")
        if self.list is not None and not (self.id and self.probe):
            raise ValueError("with a `list`: `id` and `probe`")
        known = _FIXED | {f"id.{p}" for p in self.id} | {f"word.{w}" for w in self.words}
        known |= {f"field.{f}" for f in self.fields}
        known |= _TREE if self.tree is not None else set()
        known |= _PUT if self.put is not None else set()
        known |= {"session.id"} if self.session is not None else set()
        known |= _PART if self.read.range else set()
        where = {} if self.list is None else self.list.where
        names = {n for w in where.values() for n in Template(w).names}
        for name, call, changed in self.calls():
            if call.service not in self.services:
                raise ValueError(f"{name}: no service {call.service!r}")
            names |= {n for t in call.templates(changed).values() for n in t.names}
        outside = {n for n in names if n.startswith(("klant.", "id."))}
        if lacking := (names - known) | (outside - set(self.accept)):
            raise ValueError(f"unknown, or not in accept: {', '.join(sorted(lacking))}")
        if self.list is not None and not where:
            raise ValueError("without `where` a source's filter is the only border of a dossier")
        return self


def load(text: str, name: str) -> Profile:
    """The profile in a YAML text. Raises ConfigInvalid with every fault."""
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.version = (1, 2)
        return Profile.model_validate(yaml.load(text))
    except YAMLError as e:
        said = " ".join(str(e).split())
        raise ConfigInvalid(f"profile {name}: {said}", field="profile") from None
    except ValidationError as e:
        faults = (f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in e.errors())
        raise ConfigInvalid(f"profile {name}: {'; '.join(faults)}", field="profile") from None
