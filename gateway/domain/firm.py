"""A firm as it is configured: house style, people, sources, rules.

These are the models behind ``config/firms/<firm>.yaml``; gateway.settings reads and checks
the file. Frozen: a changed file makes new objects, and requests in flight keep the old ones.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from gateway.domain import colour, mail, soort
from gateway.domain.mailbox import Mailbox
from gateway.domain.model import Certified, Model, Text
from gateway.domain.soort import Soort, SoortKey

_FIELDS = re.compile(r"\{([^{}]*)\}")

FirmId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?$")]


def _mail_address(value: str) -> str:
    if mail.written(value) is None:
        raise ValueError(f"{value!r} is no e-mail address")
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]


def _colour(value: str) -> str:
    colour.parse(value)
    return value.lower()


Colour = Annotated[str, AfterValidator(_colour)]


class HouseStyle(Model):
    """How a firm looks. Text stands in `ink` on `paper` and in white on `primary`."""

    primary: Colour = Field(description="main colour: header, buttons; white text stands on it")
    accent: Colour = Field(description="second colour: marks and lines, never under text")
    logo: str = Field(description="SVG or PNG file, relative to the firm's file", default="")

    @field_validator("primary")
    @classmethod
    def _readable(cls, value: str) -> str:
        ratio = colour.contrast(value, "#ffffff")
        if ratio < colour.LEAST:
            raise ValueError(
                f"white text on {value} has contrast {ratio:.1f}; {colour.LEAST} is the least"
            )
        return value


class Address(Model):
    """Where a firm sits and how it is reached."""

    lines: tuple[str, ...] = Field(min_length=1, description="street, postcode and place")
    phone: str = Field(min_length=3)
    mail: MailAddress
    website: str = Field(default="", pattern=r"^(https://\S+)?$")


class Employee(Model):
    """Somebody of the firm whom a klant can reach."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    name: Name
    function: Text
    phone: str = Field(min_length=3)
    mail: MailAddress
    photo: str = Field(default="", description="JPEG, PNG or SVG, relative to the firm's file")


class Category(Model):
    """A published part of a source. Nothing of a source is shown but its categories."""

    name: Text
    folder: str = Field(
        default="",
        description="folder below the klant's place (file kinds) or type of dossier item (SOAP);"
        " '/' separates parts; empty: everything of the klant in this source",
    )

    @field_validator("folder")
    @classmethod
    def _relative(cls, value: str) -> str:
        parts = value.split("/") if value else []
        if any(p in ("", ".", "..") for p in parts) or "\\" in value or "\0" in value:
            raise ValueError("a folder is relative, without '.', '..' or empty parts")
        return value


class SourceLimits(Model):
    """Bounds that the guard keeps; see gateway.connector.guard.Limits. Times in seconds."""

    first_byte: float = Field(default=15.0, gt=0, le=120)
    idle: float = Field(default=30.0, gt=0, le=300)
    list: float = Field(default=20.0, gt=0, le=120)
    reads: int = Field(default=8, ge=1, le=256, description="documents streamed at once")
    lists: int = Field(default=4, ge=1, le=64, description="listings asked at once")
    writes: int = Field(default=16, ge=1, le=256, description="documents written or moved at once")
    queue_wait: float = Field(default=2.0, ge=0, le=30)


class Source(Model):
    """One back office of a firm. `options` are those of the kind (docs/connectors.md)."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    title: Text
    kind: str
    place: str = Field(
        default="{number}",
        description="the klant's place in the source; {number} and {name} are filled in",
    )
    places: dict[str, str] = Field(
        default_factory=dict, description="exceptions: klant number to place"
    )
    categories: tuple[Category, ...] = Field(min_length=1)
    dossier: bool = Field(
        default=True, description="shown in the dossier; a source of stukken alone is not"
    )
    limits: SourceLimits = SourceLimits()
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("place")
    @classmethod
    def _fields(cls, value: str) -> str:
        unknown = set(_FIELDS.findall(value)) - {"number", "name"}
        if unknown:
            raise ValueError(f"only {{number}} and {{name}} can be filled in, not {unknown}")
        if "{number}" not in value:
            raise ValueError("without {number} two klanten of one name would share a dossier")
        return value

    def place_of(self, number: str, name: str) -> str | None:
        """The klant's place; None when its name would lead outside (see `safe_part`)."""
        if number in self.places:
            return self.places[number]
        if not (safe_part(number) and ("{name}" not in self.place or safe_part(name))):
            return None
        return self.place.replace("{number}", number).replace("{name}", name)

    @property
    def folders(self) -> tuple[str, ...]:
        """The published folders."""
        return tuple(c.folder for c in self.categories)

    def category_of(self, folder: tuple[str, ...]) -> Category | None:
        """The category that a document's folder falls under: the deepest that holds it."""
        path = "/".join(folder)
        holding = [
            c
            for c in self.categories
            if not c.folder or path == c.folder or path.startswith(c.folder + "/")
        ]
        return max(holding, key=lambda c: len(c.folder), default=None)


def safe_part(text: str) -> bool:
    """Whether a klant's number or name can be one part of a path or key."""
    return (
        bool(text)
        and text.strip(". ") != ""
        and not any(c in "/\\" or ord(c) < 32 or c == "\x7f" for c in text)
    )


class Intake(Model):
    """Where documents go that a package sends with a stuk: a source that can be written and is not
    shown in the dossier (what is refused may stay there), and a published folder in the klant's
    place."""

    source: str
    folder: str
    most_mib: int = Field(default=2048, ge=1, le=10240, description="of one document")


class SmsStyle(Model):
    """Who a text message comes from: at most 11 letters and digits (GSM alphanumeric sender)."""

    sender: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ]{3,11}$")] = "Accountant"


class MailStyle(Model):
    """Who mail comes from."""

    sender: MailAddress
    name: Name | None = None  # "<firm> portal" unless said


class SessionRules(Model):
    """How long a session lasts (ASVS 7.3; NIST 800-63B AAL2: 30 minutes and 12 hours)."""

    idle_minutes: int = Field(default=30, ge=5, le=60)
    absolute_hours: int = Field(default=12, ge=1, le=12)


class Firm(Certified):
    """One firm. A certificate of its own goes before a destination's shared one."""

    id: FirmId
    name: Name
    short: Name = Field(description="name in titles and messages: '<short> portal'")
    host: HostName | None = Field(default=None, description="the firm's own host name")
    style: HouseStyle
    address: Address
    information: Text = Field(description="the page 'Meer informatie'; blank lines part it")
    questions: Text | None = Field(default=None, description="text below the sign-in form")
    employees: tuple[Employee, ...] = Field(min_length=1)
    relatiebeheerder: str = Field(description="employee who stands in when a klant has none")
    sms: SmsStyle = SmsStyle()
    mail: MailStyle
    passwords: Literal["veilig", "handleiding-2018"] = "veilig"
    sessions: SessionRules = SessionRules()
    sources: tuple[Source, ...] = ()
    intake: Intake | None = Field(
        default=None, description="for stukken by content; empty: by reference only"
    )
    mailboxes: tuple[Mailbox, ...] = Field(
        default=(), description="folders in which packages drop files (docs/packages.md)"
    )
    soorten: dict[SoortKey, Soort] = Field(
        default_factory=lambda: dict(soort.DEFAULTS),
        description="changes to the kinds of stukken, and kinds of one's own (docs/operations.md)",
        validate_default=False,
    )

    @field_validator("soorten", mode="before")
    @classmethod
    def _changed(cls, value: Any) -> Any:
        return soort.changed(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [e.id for e in self.employees]
        if self.relatiebeheerder not in ids:
            raise ValueError(f"relatiebeheerder {self.relatiebeheerder!r} is not an employee")
        for what, names in (
            ("employee", ids),
            ("source", [s.id for s in self.sources]),
            ("mailbox", [m.id for m in self.mailboxes]),
        ):
            twice = {n for n in names if names.count(n) > 1}
            if twice:
                raise ValueError(f"{what} {', '.join(sorted(twice))} stands there twice")
        if self.intake is not None:
            source = self.source(self.intake.source)
            if source is None or source.category_of(tuple(self.intake.folder.split("/"))) is None:
                raise ValueError("intake: no such source, or its folder is not published")
            if any(s.dossier and self._shows(s, source) for s in self.sources):
                raise ValueError(
                    "intake: its folder is shown in the dossier, where a client would see"
                    " what was refused; give the stukken a source of their own, `dossier: false`"
                )
        return self

    @model_validator(mode="after")
    def _mailboxes(self) -> Self:
        for box in self.mailboxes:
            if self.source(box.source) is None:
                raise ValueError(f"mailbox {box.id}: there is no source {box.source!r}")
            for rule in box.rules:
                if rule.soort is not None and rule.soort not in self.soorten:
                    raise ValueError(f"mailbox {box.id}: there is no soort {rule.soort!r}")
                if rule.into == "stuk":
                    if self.intake is None:
                        raise ValueError(f"mailbox {box.id}: stukken need an intake")
                    continue
                source = self.source(rule.into.source)
                folder = tuple(rule.into.folder.split("/"))
                if source is None or not source.dossier or source.category_of(folder) is None:
                    raise ValueError(
                        f"mailbox {box.id}: into: no such source in the dossier, or its folder is"
                        " not published"
                    )
        return self

    def _shows(self, source: Source, of: Source) -> bool:
        """Whether it publishes the intake's folder, which stands in `of`."""
        where = [
            (s.kind, s.place, s.places, {k: v for k, v in s.options.items() if k != "writable"})
            for s in (source, of)
        ]
        folder = tuple(self.intake.folder.split("/")) if self.intake else ()
        return where[0] == where[1] and source.category_of(folder) is not None

    def employee(self, id: str | None) -> Employee:
        """The employee, or the one who stands in."""
        by_id = {e.id: e for e in self.employees}
        return by_id.get(id or "") or by_id[self.relatiebeheerder]

    def source(self, id: str) -> Source | None:
        """The source of that id."""
        return next((s for s in self.sources if s.id == id), None)

    @property
    def mail_name(self) -> str:
        """Name that mail comes from: "<short> portal"."""
        return self.mail.name or f"{self.short} portal"
