"""One set of a mailbox's files: read, judged, and put up as a stuk or put into a dossier.

What became of it is written in the same transaction. So whoever dies at any moment leaves it
either known and done, or unknown and untouched.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from gateway.connector.contract import Entry, Place
from gateway.connector.guard import Guarded
from gateway.domain import mailbox as rules
from gateway.domain import sbr, upload
from gateway.domain.firm import Firm, Source
from gateway.domain.klant import Klant
from gateway.domain.mailbox import Bundle, Into, Mailbox, MailRule
from gateway.domain.sidecar import Sidecar
from gateway.domain.soort import Soort
from gateway.domain.stuk import Role
from gateway.domain.xbrl import instance as xbrl
from gateway.errors import (
    ConditionFailed,
    Invalid,
    NotFound,
    PermissionDenied,
    PortalError,
    SourceError,
)
from gateway.flows import intake, submitting, uploads
from gateway.flows.intake import PartWish, Twice, Wish
from gateway.flows.portal import Portal
from gateway.flows.submitting import Submission
from gateway.store import audit, mailboxes, mandates
from gateway.store.database import Connection

#: Faults of where things go, not of what comes: of the one folder, or of all in that source.
_OURS = re.compile(r"(?:parts\.\d+\.)?(folder|source)")
_NO_PLACE = (
    "Het nummer of de naam van deze klant kan geen map zijn; laat het kantoor die wijzigen, of de"
    " map van deze klant zelf instellen (places)."
)


class Gone(PortalError):
    """A file went, changed, or broke off: the set is left for another round."""


class Stuck(PortalError):
    """A file cannot be read or moved, or has nowhere to go, until somebody mends that; other
    sets can be taken."""


class Away(PortalError):
    """A source does not answer or cannot be written: nothing more goes there now."""

    def __init__(self, message: str, source: str) -> None:
        """source: its id."""
        super().__init__(message)
        self.source = source


class Overtaken(PortalError):
    """Another worker took it at the same moment."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a set. outcome: stuk, document or refused. faults: by field, in words."""

    outcome: str
    stuk: UUID | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox that is being worked on."""

    portal: Portal
    firm: Firm
    box: Mailbox
    source: Guarded
    place: Place

    @property
    def by(self) -> str:
        """As it stands in the audit."""
        return f"mailbox:{self.box.id}"

    def digest(self, entry: Entry) -> str:
        """What the ledger knows a file by."""
        when = entry.modified.isoformat() if entry.modified else ""
        return self.portal.keys.digest(
            "mailbox", self.box.id, entry.id, entry.version or "", str(entry.size), when
        )

    async def pieces(self, entry: Entry) -> AsyncGenerator[bytes, None]:
        """The bytes of a file. Raises Gone, Stuck and Away, which no writer takes for its own."""
        try:
            reader = await self.source.read(self.place, entry.id, version=entry.version)
        except PermissionDenied as e:
            raise Stuck(f"reading: {e.code} {e.native}".strip()) from None
        except (NotFound, ConditionFailed) as e:
            raise Gone(f"{e.code}") from None
        except SourceError as e:
            raise Away(f"reading: {e.code}", self.box.source) from None
        try:
            if entry.version is None and version_of(reader.entry) != version_of(entry):
                raise Gone("another file")  # such a source compares nothing by itself
            async for piece in reader:
                yield piece
        except SourceError as e:
            raise Gone(f"{e.code}") from None
        finally:
            await reader.aclose()


def version_of(entry: Entry) -> tuple[object, ...]:
    """What changes when a file does."""
    return entry.version, entry.size, entry.modified


def _refuse_without_place(source: Source | None, klant: Klant) -> None:
    """Raises Invalid when nothing of this klant can ever stand in that source."""
    if source is not None and source.place_of(klant.number, klant.name) is None:
        raise Invalid({"klant": _NO_PLACE})


@dataclass(slots=True)
class _Asked:
    """What a set is to become, as far as it is known."""

    klant: str = ""
    soort: str = ""
    jaar: int | None = None
    periode: str = ""
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Taking:
    """One set. entries: by id. note: what stands beside it; faults: what is wrong with that."""

    at: Opened
    bundle: Bundle
    entries: Mapping[str, Entry]
    note: Sidecar | None
    faults: dict[str, str]
    held: dict[str, bytes] = field(default_factory=dict)

    async def take(self) -> Verdict:
        """What became of it; written down already. Raises Gone, Stuck, Away, Overtaken,
        ScannerDown."""
        try:
            return await self._taken()
        except Invalid as e:
            ours = {found[1] for k in e.faults if (found := _OURS.fullmatch(k))}
            if "source" in ours:  # ours to mend, not the sender's; so is a folder
                raise Away(str(e), self.target) from None
            if ours:
                raise Stuck(str(e)) from None
            if isinstance(e, Twice) and e.id is not None and await self._is_mine(e.id):
                return await self._record(Verdict("stuk", e.id))
            names = [f.name for f in self._order()]
            return await self._record(Verdict("refused", None, rules.in_words(e.faults, names)))
        except NotFound as e:
            raise Stuck(f"writing: {e.code} {e.native}".strip()) from e
        except SourceError as e:
            raise Away(f"writing: {e.code}", self.target) from e

    @property
    def target(self) -> str:
        """The source that it goes to; "" when there is none."""
        rule, intake = self.bundle.rule, self.at.firm.intake
        if rule is not None and isinstance(rule.into, Into):
            return rule.into.source
        return intake.source if intake else ""

    async def _taken(self) -> Verdict:
        bundle, rule = self.bundle, self.bundle.rule
        if self.faults:
            raise Invalid(self.faults)
        faults = {f"onderdelen, {n}": submitting.ABSENT for n in bundle.missing}
        faults |= {f"{n}, inhoud": submitting.TWICE for n in bundle.twice}
        faults |= {f"onderdelen, {n}": "De notitie noemt dit bestand niet." for n in bundle.spare}
        if not bundle.documents:
            faults["onderdelen"] = "Bij deze notitie hoort een document met dezelfde naam."
        if rule is None:
            faults["naam"] = "Geen regel van deze postbus past bij deze naam."
        if faults or rule is None:
            raise Invalid(faults)
        asked = await self._asked(rule)
        if isinstance(rule.into, Into):
            return await self._document(rule.into, asked)
        return await self._stuk(asked)

    # --- what it is

    async def _asked(self, rule: MailRule) -> _Asked:
        """From the rule, else the note, else the name, else the instance."""
        lead, note = self.bundle.lead, self.note or Sidecar()
        named = rule.named(lead.name)
        found = await self._instance()
        asked = _Asked()
        kind = self._kind(found) if found else ""
        asked.soort = rule.soort or note.soort or named.get("soort", "") or kind
        soort = self.at.firm.soorten.get(asked.soort)
        jaar, periode = rules.period(found.period) if found else (None, "")
        digits = named.get("jaar", "")
        asked.jaar = rule.jaar or note.jaar or (int(digits) if digits.isdecimal() else jaar)
        asked.periode = rule.periode or note.periode or named.get("periode", "") or periode
        match rule.klant.from_:
            case "name":
                asked.klant = named.get("klant", "")
                if not asked.klant:
                    asked.faults["klant"] = "Het nummer van de klant staat niet in de naam."
            case "sidecar":
                asked.klant = note.klant
                if not asked.klant:
                    asked.faults["klant"] = "Het nummer van de klant staat niet in de notitie."
            case "xbrl":
                known = soort or self.at.firm.soorten.get(kind)
                await self._of_instance(asked, known, found)
        return asked

    def _kind(self, found: xbrl.Instance) -> str:
        """The soort of an instance: the one that is called so, or the only one of the family."""
        key, soorten = found.kind.key, self.at.firm.soorten
        if key in soorten:
            return key
        some = [name for name, one in soorten.items() if key and one.family == key]
        return some[0] if len(some) == 1 else ""

    async def _instance(self) -> xbrl.Instance | None:
        """The instance of the set, read and held; None when there is none that can be read."""
        first = next(
            (f for f in self.bundle.documents if self._role(f.name) is Role.INSTANCE), None
        )
        if first is None:
            return None
        data = bytearray()
        async with aclosing(self._pieces(first.id)) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > sbr.MOST:
                    return None
        self.held[first.id] = bytes(data)
        try:
            return await asyncio.to_thread(xbrl.read, self.held[first.id])
        except PortalError:  # told by the checks
            return None

    async def _of_instance(
        self, asked: _Asked, soort: Soort | None, found: xbrl.Instance | None
    ) -> None:
        """The klant whose number stands in it."""
        if found is None or soort is None or not soort.identity:
            asked.faults["klant"] = "Er is geen instance waarin het nummer van de klant staat."
            return
        keys = self.at.portal.keys
        digests = [
            keys.digest("identity", soort.identity, number)
            for scheme, number in found.identifiers
            if scheme == soort.scheme
        ]
        async with self.at.portal.db.tenant(self.at.firm.id) as c:
            some = sorted(await mandates.klanten_of(c, soort.identity, digests))
        if len(some) == 1:
            asked.klant = some[0]
        elif some:
            asked.faults["klant"] = "Het nummer in de aangifte is dat van meer dan één klant."
        else:
            asked.faults["klant"] = "Het nummer in de aangifte is van geen klant bekend."

    def _role(self, name: str) -> Role:
        told = {o.inhoud: o.rol for o in self.note.onderdelen} if self.note else {}
        return told.get(name) or rules.role(name)

    def _order(self) -> Sequence[rules.File]:
        """The documents in the order of the parts."""
        names = self.note.names if self.note else ()
        return sorted(
            self.bundle.documents, key=lambda f: names.index(f.name) if f.name in names else 0
        )

    # --- a stuk

    async def _stuk(self, asked: _Asked) -> Verdict:
        files = self._order()
        wish = self._wish(asked, files)
        faults = dict(asked.faults)
        if not asked.soort:
            faults["soort"] = "Het soort is niet bekend: de regel en het bestand zeggen het niet."
        if asked.jaar is None:
            faults["jaar"] = "Het jaar is niet bekend: de regel en het bestand zeggen het niet."
        submission: Submission | None = None
        try:
            submission = await Submission.begin(self.at.portal, self.at.firm, wish)
        except Invalid as e:
            faults = {**e.faults, **faults}
        for number, file in enumerate(files):
            if (fault := upload.name_fault(file.name)) and f"parts.{number}.name" not in faults:
                faults[f"parts.{number}.name"] = fault
        if faults or submission is None:
            raise Invalid(faults)
        _refuse_without_place(submission.source, submission.klant)
        hashes: list[str] = []
        sums = {o.inhoud: o.sha256 for o in self.note.onderdelen} if self.note else {}
        for number, file in enumerate(files):
            try:
                async with aclosing(self._pieces(file.id)) as pieces:
                    sha256 = await submission.take(
                        number, file.name, pieces, sums.get(file.name) or ""
                    )
                hashes.append(f"{wish.parts[number].role}:{sha256}")
            except Invalid as e:
                faults |= e.faults
        if faults:
            raise Invalid(faults)
        content = self.at.portal.keys.digest(
            "mailbox-content", wish.klant, wish.soort, *sorted(hashes)
        )
        await self._refuse_same(content, wish.replaces)

        async def also(c: Connection, id: UUID) -> None:
            await self._write(c, Verdict("stuk", id), content)

        return Verdict("stuk", await submission.finish(also))

    def _wish(self, asked: _Asked, files: Sequence[rules.File]) -> Wish:
        note = self.note or Sidecar()
        return Wish(
            asked.klant, asked.soort, asked.jaar or 0, asked.periode,
            [PartWish(self._role(f.name), "", "") for f in files], self.at.by, note.deadline,
            note.opmerking, note.relatiebeheerder, None, note.vervangt,
            intake.groups(note.akkoord_van),
        )  # fmt: skip

    async def _refuse_same(self, content: str, replaces: UUID | None) -> None:
        """The same documents under other names are the same stuk, unless it takes its place."""
        async with self.at.portal.db.tenant(self.at.firm.id) as c:
            found = await mailboxes.same(c, self.at.box.id, content)
        if found not in (None, replaces):
            raise Twice({"content": intake.twice(found)}, found)

    async def _is_mine(self, stuk: UUID) -> bool:
        """Whether these very files made that stuk before."""
        digests = self._digests()
        async with self.at.portal.db.tenant(self.at.firm.id) as c:
            known = await mailboxes.done(c, self.at.box.id, digests)
        return all(d in known and known[d].stuk == stuk for d in digests)

    # --- a document

    async def _document(self, into: Into, asked: _Asked) -> Verdict:
        at = self.at
        if asked.faults:
            raise Invalid(asked.faults)
        klant, source = await uploads.where(at.portal, at.firm, asked.klant, into.source)
        _refuse_without_place(source, klant)
        faults: dict[str, str] = {}
        put: list[str] = []
        for number, file in enumerate(self._order()):
            try:
                body = uploads.Hashed(self._pieces(file.id))
                done = await uploads.put_once(
                    at.portal, at.firm, klant, source, into.folder, file.name, body
                )
                put.append(done.sha256)
            except Invalid as e:
                faults |= {f"parts.{number}.{k}": v for k, v in e.faults.items()}
        if faults:
            raise Invalid(faults)
        async with at.portal.db.tenant(at.firm.id) as c:
            await self._write(c, Verdict("document"))
            for sha256 in put:
                await audit.record(
                    c, "document_received", firm=at.firm.id, klant=klant.number,
                    data={"source": source.id, "sha256": sha256, "by": at.by},
                )  # fmt: skip
        return Verdict("document")

    # --- what is written down

    async def _pieces(self, id: str) -> AsyncGenerator[bytes, None]:
        if id in self.held:
            yield self.held[id]
            return
        async with aclosing(self.at.pieces(self.entries[id])) as pieces:
            async for piece in pieces:
                yield piece

    def _digests(self) -> Sequence[str]:
        return [self.at.digest(self.entries[f.id]) for f in self.bundle.files]

    async def _record(self, verdict: Verdict) -> Verdict:
        async with self.at.portal.db.tenant(self.at.firm.id) as c:
            await self._write(c, verdict)
        return verdict

    async def _write(self, c: Connection, verdict: Verdict, content: str | None = None) -> None:
        """Into the ledger, in the transaction of the outcome. Raises Overtaken."""
        keys, at = self.at.portal.keys, self.at
        mine = await mailboxes.record(
            c, at.firm.id, at.box.id, self._digests(), verdict.outcome,
            stuk=verdict.stuk, content=content,
            stem_sealed=keys.seal("stem", rules.stem(self.bundle.lead.name)),
            faults_sealed=keys.seal("faults", json.dumps(dict(verdict.faults))),
        )  # fmt: skip
        if not mine:
            raise Overtaken
