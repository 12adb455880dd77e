"""A mailbox: a folder in which a package drops files. Its rules, and which files belong together.

Files with the same stem are one set: something to read, an instance, and a note beside them that
tells what the names do not (gateway.domain.sidecar). A note may also name files of other stems.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from gateway.domain import package
from gateway.domain.model import Model
from gateway.domain.sidecar import Sidecar
from gateway.domain.soort import SoortKey
from gateway.domain.stuk import Role
from gateway.domain.xbrl.instance import Period

#: What a file stays alone for, in times of settle_seconds, before it is taken without a partner.
PATIENCE = 3
#: Names that begin so are the portal's own.
OWN = ".map-"
_GROUPS = frozenset({"klant", "soort", "jaar", "periode"})
_READ = frozenset({"pdf", "html", "htm"})
_LONGEST_NAME = 180

FolderName = Annotated[str, StringConstraints(max_length=200)]


def _relative(value: str) -> str:
    parts = value.split("/") if value else []
    if any(p in ("", ".", "..") for p in parts) or "\\" in value or "\0" in value:
        raise ValueError("a folder is relative, without '.', '..' or empty parts")
    return value


class Whence(Model):
    """Where the klant's number comes from."""

    from_: Literal["name", "xbrl", "sidecar"] = Field(
        alias="from", description="the file's name, the number in the instance, or the note"
    )
    pattern: str = Field(
        default="",
        max_length=500,
        description="regular expression for the file's name; its group klant is the number, and"
        " the groups soort, jaar and periode are taken too",
    )

    @model_validator(mode="after")
    def _groups(self) -> Self:
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as e:
            raise ValueError(f"pattern is no regular expression: {e}") from None
        if groups - _GROUPS:
            raise ValueError(f"pattern: only the groups {', '.join(sorted(_GROUPS))} are known")
        if (self.from_ == "name") != ("klant" in groups):
            raise ValueError("pattern: from name needs a group (?P<klant>...), others have none")
        return self


class Into(Model):
    """A published folder in the klant's place of a source."""

    source: str
    folder: str

    _folder = field_validator("folder")(_relative)


class MailRule(Model):
    """What to do with files of some name."""

    match: str = Field(default="*", min_length=1, description="glob on the file's name")
    soort: SoortKey | None = Field(default=None, description="else from the note or the instance")
    jaar: int | None = Field(default=None, ge=2000, le=2100)
    periode: str = Field(default="", max_length=40)
    klant: Whence
    into: Literal["stuk"] | Into = Field(
        default="stuk", description="put up as a stuk, or a document in {source, folder}"
    )

    def fits(self, name: str) -> bool:
        """Whether it is for a file of that name."""
        return fnmatchcase(name.casefold(), self.match.casefold())

    def named(self, name: str) -> dict[str, str]:
        """What the file's name tells: klant, soort, jaar, periode."""
        found = re.search(self.klant.pattern, name) if self.klant.pattern else None
        return {k: v.strip() for k, v in found.groupdict().items() if v} if found else {}


class Mailbox(Model):
    """A folder of a source that a package writes files into."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    source: str
    place: str = Field(default="", description="fixed place in the source; empty: its root")
    folder: FolderName = Field(min_length=1, description="where the package drops files")
    done: FolderName = Field(default="verwerkt", min_length=1)
    failed: FolderName = Field(default="fout", min_length=1)
    out: FolderName = Field(default="terug", description="for return messages; empty: none")
    xml: bool = Field(default=False, description="return messages in XML too")
    settle_seconds: float = Field(
        default=30, ge=0, le=3600, description="a file is taken once it stayed the same so long"
    )
    leave: tuple[str, ...] = Field(
        default=(".part", ".tmp", ".filepart", "~*"),
        description="endings, or globs, of names that are left alone: they are being written",
    )
    rules: tuple[MailRule, ...] = Field(min_length=1)

    _folders = field_validator("place", "folder", "done", "failed", "out")(_relative)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        folders = self.folders
        if len(set(folders)) < len(folders):
            raise ValueError("folder, done, failed and out must be different folders")
        if any(f.startswith(self.folder + "/") for f in folders):
            raise ValueError(f"no other folder may lie in {self.folder}")
        return self

    @property
    def folders(self) -> tuple[str, ...]:
        """All of them, the inbox first."""
        return tuple(f for f in (self.folder, self.done, self.failed, self.out) if f)

    def leaves(self, name: str) -> bool:
        """Whether a file is left alone for its name."""
        folded = name.casefold()
        return folded.startswith(OWN) or any(
            fnmatchcase(folded, one.casefold())
            if "*" in one or "?" in one
            else folded.endswith(one.casefold())
            for one in self.leave
        )

    def rule_of(self, names: Sequence[str]) -> MailRule | None:
        """The first rule for the first of the names that has one."""
        return next((r for name in names for r in self.rules if r.fits(name)), None)


class File(NamedTuple):
    """A file in the inbox. still: seconds that it has stayed the same."""

    id: str
    name: str
    still: float


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files that belong together. documents: the leading one first. missing: names in the note
    of files that are not there. spare: files that the note should have named. twice: files that it
    names more than once."""

    documents: tuple[File, ...]
    note: File | None
    rule: MailRule | None
    missing: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[File, ...]:
        """All of them."""
        return (*self.documents, self.note) if self.note else self.documents

    @property
    def lead(self) -> File:
        """The one that the set is called by."""
        return self.files[0]


def ending(name: str) -> str:
    """In small letters, without the dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def stem(name: str) -> str:
    """The name without its ending."""
    return name.rpartition(".")[0] or name


def role(name: str) -> Role:
    """What a file is for, by its name alone."""
    if ending(name) in ("xbrl", "xml"):
        return Role.INSTANCE
    return Role.AKKOORD if ending(name) in _READ else Role.BIJLAGE


_ORDER = (Role.INSTANCE, Role.AKKOORD, Role.BIJLAGE)


def bundles(
    box: Mailbox, files: Sequence[File], notes: Mapping[str, Sidecar | None]
) -> Iterator[Bundle]:
    """The sets. notes: id of a file that is a note -> what it says; None when it is faulty or not
    read yet."""
    files = sorted(files, key=lambda f: f.name)
    claimed: dict[str, str] = {}
    for file in files:
        note = notes.get(file.id)
        for name in note.names if note else ():
            claimed.setdefault(name, stem(file.name).casefold())
    sets: dict[str, list[File]] = {}
    for file in files:
        sets.setdefault(claimed.get(file.name, stem(file.name).casefold()), []).append(file)
    for together in sets.values():
        yield from _bundles(box, together, notes)


def _bundles(
    box: Mailbox, files: Sequence[File], notes: Mapping[str, Sidecar | None]
) -> Iterator[Bundle]:
    note = next((f for f in files if f.id in notes), None)
    documents = sorted(
        (f for f in files if f is not note), key=lambda f: (_ORDER.index(role(f.name)), f.name)
    )
    told = notes.get(note.id) if note else None
    rule = box.rule_of([f.name for f in documents] or [f.name for f in files])
    if note is None and rule is not None and rule.into != "stuk":
        yield from (Bundle((f,), None, box.rule_of([f.name]) or rule) for f in documents)
        return
    missing: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    if told is not None and told.names:
        there = {f.name for f in documents}
        missing = tuple(n for n in told.names if n not in there)
        spare = tuple(f.name for f in documents if f.name not in told.names)
        twice = tuple(n for n, count in Counter(told.names).items() if count > 1)
    yield Bundle(tuple(documents), note, rule, missing, spare, twice)


def is_ready(box: Mailbox, bundle: Bundle) -> bool:
    """Whether it is to be taken now: all of it is still, and it is complete, or was waited for."""
    still = min(f.still for f in bundle.files)
    if still < box.settle_seconds:
        return False
    if still >= box.settle_seconds * PATIENCE:
        return True
    rule = bundle.rule
    if rule is None or bundle.missing or not bundle.documents:
        return False
    if rule.klant.from_ == "sidecar" and bundle.note is None:
        return False
    roles = {role(f.name) for f in bundle.documents}
    return rule.into != "stuk" or roles >= {Role.INSTANCE, Role.AKKOORD}


_MONTHS = (
    "januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september",
    "oktober", "november", "december",
)  # fmt: skip


def period(found: Period) -> tuple[int | None, str]:
    """Year and period as people say them, of an instance; "" when it does not tell."""
    start, end = found.start, found.end
    if end is None:
        return None, ""
    if start is None:
        return end.year, str(end.year)
    months = (end.year - start.year) * 12 + end.month - start.month + 1
    if start.day != 1 or not _is_last(end):
        return end.year, f"{_day(start)} t/m {_day(end)}"
    if months == 1:
        return end.year, _MONTHS[end.month - 1]
    if months == 3 and end.month % 3 == 0:
        return end.year, f"{end.month // 3}e kwartaal"
    if months == 12 and end.month == 12:
        return end.year, str(end.year)
    return end.year, f"{_day(start)} t/m {_day(end)}"


def _is_last(day: date) -> bool:
    return day == date.max or date.fromordinal(day.toordinal() + 1).day == 1


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


# --- what is written


def plain(name: str) -> str:
    """A name that every file system takes."""
    made = "".join(
        "_" if c in '/\\:*?"<>|' or unicodedata.category(c) in ("Cc", "Cf", "Cs") else c
        for c in name
    ).rstrip(". ")
    if made.startswith((OWN, "~map-")) or not made.strip("."):
        made = f"_{made}"
    *first, last = made.rpartition(".")
    room = _LONGEST_NAME - len(last.encode())
    if len(made.encode()) <= _LONGEST_NAME or room < 1:
        return made.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return f"{first[0].encode()[: room - 1].decode(errors='ignore')}.{last}"


def other(name: str, mark: int | str) -> str:
    """Another name for a file whose own (1) is taken: "a (2).pdf", "a (3f9a1c2b).pdf"."""
    if mark == 1:
        return name
    first, dot, last = name.rpartition(".")
    return f"{first} ({mark}){dot}{last}" if dot else f"{name} ({mark})"


def reason(box: Mailbox, name: str, faults: Mapping[str, str], at: datetime) -> str:
    """Why a file was refused, to be read by a person."""
    lines = [
        f"{name} is niet aangenomen door het portaal.",
        "",
        *(f"- {field}: {fault}" for field, fault in faults.items()),
        "",
        f"Postbus {box.id}, {at:%d-%m-%Y %H:%M}.",
        f"Zet wat verbeterd is opnieuw in de map {box.folder}.",
    ]
    return "\r\n".join(lines) + "\r\n"


def in_words(faults: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Faults by fields as packages call them, a part by its file's name. What holds a comma is
    in words already."""
    return {_field(k, names): v for k, v in faults.items()}


def _field(key: str, names: Sequence[str]) -> str:
    first, _, rest = key.partition(".")
    number, _, rest = rest.partition(".") if first == "parts" else ("", "", "")
    if "," in key:
        return key
    if not number.isdigit() or int(number) >= len(names):
        return package.field(key)
    return f"{names[int(number)]}, {package.field(rest)}" if rest else names[int(number)]
