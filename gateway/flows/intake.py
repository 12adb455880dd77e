"""Putting up a stuk: its parts are read live, hashed and checked; the verdict comes at once.

Every fault is told, never only the first: a package shows them to a person who mends them all.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID, uuid4

from gateway import log
from gateway.connector.contract import Entry
from gateway.domain import media, payment, sbr
from gateway.domain.accordering import Group, Rule, mandated
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.soort import Route, Soort
from gateway.domain.stuk import REPLACEABLE, Part, Role, State, manifest
from gateway.domain.wire import AkkoordRegelIn
from gateway.domain.xbrl import checks, summary
from gateway.domain.xbrl import instance as xbrl
from gateway.errors import (
    ConditionFailed,
    IntegrityError,
    Invalid,
    NotFound,
    PortalError,
    RangeNotSatisfiable,
    TooLarge,
    Unsupported,
)
from gateway.flows import documents, notices
from gateway.flows.portal import Portal
from gateway.flows.signing_in import as_username
from gateway.flows.visitor import today
from gateway.store import audit, klanten, mandates, persons, stukken
from gateway.store.database import Connection
from gateway.store.stukken import Duplicate, Stuk

#: Parts of one stuk.
MOST_PARTS = 20
_LONGEST_NAME = 80  # bestandsnaam in digipoort-koppelvlak-1.2.xsd
#: What a source says of one document, and would say again of that one. All else is the source's
#: own trouble (it is away, busy, refuses us all, talks nonsense) and no verdict on what was sent.
_OF_THE_DOCUMENT = (
    NotFound, TooLarge, IntegrityError, Unsupported, ConditionFailed, RangeNotSatisfiable,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PartWish:
    """A part as it is named when the stuk is put up: where it lies, and what it is for."""

    role: Role
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class GroupWish:
    """So many of these people, by their usernames."""

    people: Sequence[str]
    need: int = 1


def groups(given: Sequence[AkkoordRegelIn]) -> list[GroupWish]:
    """The rule as a package says it: without a number it is all of them."""
    return [GroupWish(g.personen, g.nodig or len(g.personen)) for g in given]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is put up. rule: who must approve; None: anybody with a mandate. by: who puts it up.
    approvers: the rule by usernames, group after group; it goes before `rule`. id: the stuk's own,
    when its documents stand in a folder of that name."""

    klant: str
    soort: str
    jaar: int
    periode: str
    parts: Sequence[PartWish]
    by: str
    deadline: date | None = None
    opmerking: str = ""
    relatiebeheerder: str | None = None
    rule: Rule | None = None
    replaces: UUID | None = None
    approvers: Sequence[GroupWish] = ()
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """The parts as they were read, and what the instance tells."""

    parts: tuple[Part, ...]
    instance: xbrl.Instance | None


class Twice(Invalid):
    """The stuk stands there already. id: of that one, when it is known."""

    def __init__(self, faults: Mapping[str, str], id: UUID | None) -> None:
        super().__init__(faults)
        self.id = id


async def put_up(
    portal: Portal,
    firm: Firm,
    wish: Wish,
    also: Callable[[Connection, UUID], Awaitable[None]] | None = None,
) -> UUID:
    """The new stuk, waiting for its client. Raises Invalid with every fault, by field, and the
    source's errors that are not about a document.

    A duplicate is the fault "content", with the id of the stuk that stands there. also: done in
    the same transaction.
    """
    soort = firm.soorten.get(wish.soort)
    wish, klant, faults = await _asked(portal, firm, wish)
    if soort is None or klant is None or any(k.startswith("parts") for k in faults):
        raise Invalid(faults)
    read = await _read(portal, firm, klant, wish, faults)
    if read is None:
        raise Invalid(faults)
    async with portal.db.tenant(firm.id) as c:
        more, known = await _checked(portal, c, firm, klant, wish, read)
        faults |= more
        if faults:
            raise Invalid(faults)
        id = await _add(portal, c, firm, klant, soort, wish, read, known)
        if also is not None:
            await also(c, id)
    log.get().info("stuk_put_up", firm=firm.id, stuk=str(id), soort=wish.soort)
    return id


async def precheck(portal: Portal, firm: Firm, wish: Wish) -> Klant:
    """The klant of a wish whose parts are still to come (those with an empty id). Raises Invalid
    with every fault that can be told without them."""
    _, klant, faults = await _asked(portal, firm, wish)
    if klant is None or faults:
        raise Invalid(faults)
    return klant


async def check_instance(firm: Firm, soort: str, name: str, data: bytes) -> None:
    """Whether an instance can be filed, before it stands in a source. Raises Invalid."""
    entry = Entry(id=name, name=name)
    read = documents.Read(entry, len(data), hashlib.sha256(data).hexdigest(), data)
    faults = await asyncio.to_thread(_instance_faults, read, firm.soorten[soort], "")
    if faults:
        raise Invalid({k.lstrip("."): v for k, v in faults.items()})


async def check_owner(portal: Portal, firm: Firm, klant: Klant, wish: Wish, data: bytes) -> None:
    """Whether an instance is the klant's and not there already, before it stands in a source.
    Raises Invalid, and Twice."""
    part = Part(1, Role.INSTANCE, "", "", "", "", len(data), hashlib.sha256(data).hexdigest())
    read = _Read((part,), await asyncio.to_thread(_instance, data))
    async with portal.db.tenant(firm.id) as c:
        faults, _ = await _checked(portal, c, firm, klant, wish, read)
    if faults:
        raise Invalid(faults)


async def _asked(
    portal: Portal, firm: Firm, wish: Wish
) -> tuple[Wish, Klant | None, dict[str, str]]:
    """The wish with its rule, its klant, and what is wrong with it."""
    soort = firm.soorten.get(wish.soort)
    async with portal.db.tenant(firm.id) as c:
        klant = await klanten.find(c, wish.klant)
        wish, faults = await _named(c, wish, anybody=klant is None or soort is None)
    return wish, klant, faults | _faults(firm, wish, soort, klant)


async def _named(c: Connection, wish: Wish, *, anybody: bool) -> tuple[Wish, dict[str, str]]:
    """The wish with its approvers as its rule, or what is wrong with them. anybody: who has a
    mandate cannot be said, because there is no such klant or soort."""
    if not wish.approvers:
        return wish, {}
    held = await mandates.of_klanten(c, [wish.klant], invited=True)
    able = None if anybody else mandated(held, wish.klant, wish.soort, today())
    faults: dict[str, str] = {}
    named: set[UUID] = set()
    groups: list[Group] = []
    for number, group in enumerate(wish.approvers):
        people, told = await _people(c, group, able, named)
        named |= people
        groups.append(Group(people, group.need))
        if told:
            faults[f"approvers.{number}"] = " ".join(told)
    return (wish, faults) if faults else (replace(wish, rule=Rule(tuple(groups))), {})


async def _people(
    c: Connection, group: GroupWish, able: frozenset[UUID] | None, named: Set[UUID]
) -> tuple[frozenset[UUID], list[str]]:
    """The people of a group, and its faults. named: who stands in a group before it."""
    found: set[UUID] = set()
    told: list[str] = []
    names = [as_username(name) for name in group.people]
    for name in names:
        person = await persons.by_username(c, name)
        if person is None:
            told.append(f"Er is geen persoon {name}.")
            continue
        if person.id in named | found:
            told.append(f"{name} staat er twee keer in.")
        elif able is not None and person.id not in able:
            told.append(f"{name} heeft geen mandaat of toegang voor deze klant en dit soort.")
        found.add(person.id)
    if not 0 < group.need <= len(set(names)):
        told.append(f"{group.need} van {len(set(names))} kan niet.")
    return frozenset(found), told


def _faults(firm: Firm, wish: Wish, soort: Soort | None, klant: Klant | None) -> dict[str, str]:
    """What is wrong with the wish itself."""
    found: dict[str, str] = {}
    if klant is None:
        found["klant"] = f"Er is geen klant {wish.klant}."
    if soort is None:
        found["soort"] = f"Dit soort is er niet; wel: {', '.join(sorted(firm.soorten))}."
    if not 2000 <= wish.jaar <= 2100:
        found["jaar"] = "Dit is geen jaar."
    if not 0 < len(wish.periode.strip()) <= 40:
        found["periode"] = "De periode heeft 1 tot 40 tekens."
    if len(wish.opmerking) > 2000:
        found["opmerking"] = "Dit heeft ten hoogste 2000 tekens."
    known = {e.id for e in firm.employees}
    if wish.relatiebeheerder is not None and wish.relatiebeheerder not in known:
        found["relatiebeheerder"] = "Deze medewerker staat niet in de configuratie."
    if wish.rule is not None and wish.rule.faults():
        found["rule"] = " ".join(wish.rule.faults())
    if soort is not None:
        found |= _part_faults(firm, wish, soort)
    return found


def _part_faults(firm: Firm, wish: Wish, soort: Soort) -> dict[str, str]:
    found: dict[str, str] = {}
    roles = [p.role for p in wish.parts]
    if not 0 < len(roles) <= MOST_PARTS:
        found["parts"] = f"Een stuk heeft 1 tot {MOST_PARTS} onderdelen."
    elif roles.count(Role.INSTANCE) > 1:
        found["parts"] = "Een stuk heeft ten hoogste één instance."
    elif soort.files and Role.INSTANCE not in roles:
        found["parts"] = "Zonder XBRL-instance kan het portaal dit stuk niet indienen."
    elif Role.AKKOORD not in roles and Role.INSTANCE not in roles:
        found["parts"] = "Er is een akkoorddocument nodig: iets wat de klant kan lezen."
    for i, part in enumerate(wish.parts):
        if part.id and firm.source(part.source) is None:
            found[f"parts.{i}.source"] = f"Er is geen bron {part.source}."
    return found


async def _read(
    portal: Portal, firm: Firm, klant: Klant, wish: Wish, faults: dict[str, str]
) -> _Read | None:
    """Read every part, the instance into memory. Adds to the faults; None when one failed. Raises
    what is the source's own trouble."""
    parts: list[Part] = []
    found: xbrl.Instance | None = None
    for number, part in enumerate(wish.parts, 1):
        where = f"parts.{number - 1}"
        try:
            if part.role is Role.INSTANCE:
                read = await documents.whole(
                    portal, firm, klant, part.source, part.id, most=sbr.MOST
                )
                soort = firm.soorten[wish.soort]
                faults |= await asyncio.to_thread(_instance_faults, read, soort, where)
                found = await asyncio.to_thread(_instance, read.data)
            else:
                read = await documents.hashed(portal, firm, klant, part.source, part.id)
                if part.role is Role.BIJLAGE and read.length > sbr.MOST:
                    faults[where] = "Dit bestand is te groot: meer dan 20 MB kan niet mee."
        except _OF_THE_DOCUMENT as e:
            faults[where] = f"Dit document is niet te lezen in de bron ({e.code})."
            continue
        parts.append(_part(number, part, read))
    return _Read(tuple(parts), found) if len(parts) == len(wish.parts) else None


def _part(number: int, wish: PartWish, read: documents.Read) -> Part:
    type = media.of(read.entry.name).type
    return Part(
        number, wish.role, wish.source, wish.id, read.entry.name, type, read.length, read.sha256
    )


def _instance(data: bytes) -> xbrl.Instance | None:
    try:
        return xbrl.read(data)
    except PortalError:  # told by the checks
        return None


def _instance_faults(read: documents.Read, soort: Soort, where: str) -> dict[str, str]:
    if not soort.files:
        return {}
    expected = checks.Expected(soort.family, soort.scheme)
    found = checks.faults(read.data, read.entry.name, expected)
    named = {
        f"{where}.{f.code}{f'.{n}' if n else ''}": " ".join(filter(None, (f.message, f.where)))
        for n, f in enumerate(found)
    }
    if len(read.entry.name) > _LONGEST_NAME:
        named[f"{where}.name"] = "De bestandsnaam heeft ten hoogste 80 tekens."
    return named


async def _checked(
    portal: Portal, c: Connection, firm: Firm, klant: Klant, wish: Wish, read: _Read
) -> tuple[dict[str, str], set[str]]:
    """What is wrong unless it is this klant's, and digests of the klant's numbers. Raises Twice
    when it is there already, unless it takes that one's place."""
    soort = firm.soorten[wish.soort]
    known = await mandates.identities(c, klant.number, soort.identity)
    found = await stukken.duplicate(c, klant.number, wish.soort, _content(read))
    if found and found != wish.replaces:
        raise Twice({"content": twice(found)}, found)
    faults: dict[str, str] = {}
    if soort.files and read.instance is not None:
        numbers = {n for scheme, n in read.instance.identifiers if scheme == soort.scheme}
        digests = {portal.keys.digest("identity", soort.identity, n) for n in numbers}
        if not known:
            faults["klant"] = (
                f"Deze klant heeft bij ons geen nummer van het type {soort.identity}."
            )
        elif not _is_of(soort, digests, known):
            faults["klant"] = "Het nummer in de aangifte is niet dat van deze klant."
    return faults, known


def _is_of(soort: Soort, found: set[str], known: set[str]) -> bool:
    """Whether the numbers are the klant's; a person's return names the partner too."""
    return bool(found & known) if soort.family == "ihz" else bool(found) and found <= known


def twice(id: UUID | None) -> str:
    """What is said of a duplicate."""
    return f"Dit stuk staat al klaar of is al verwerkt: {id}."


def _content(read: _Read) -> str:
    """What makes two stukken the same: the instance that is filed, or else all of it."""
    instances = [p.sha256 for p in read.parts if p.role is Role.INSTANCE]
    return instances[0] if instances else manifest(read.parts)


async def _add(
    portal: Portal,
    c: Connection,
    firm: Firm,
    klant: Klant,
    soort: Soort,
    wish: Wish,
    read: _Read,
    known: set[str],
) -> UUID:
    replaced = await _replaced(c, wish)
    fields: dict[str, object] = {
        "id": wish.id or uuid4(),
        "klant": klant.number,
        "soort": wish.soort,
        "route": soort.route,
        "state": State.TO_APPROVE if soort.route is not Route.INZAGE else State.DONE,
        "jaar": wish.jaar,
        "periode": wish.periode.strip(),
        "deadline": wish.deadline,
        "opmerking_sealed": _sealed(portal, "opmerking", wish.opmerking.strip()),
        "relatiebeheerder": wish.relatiebeheerder or klant.relatiebeheerder,
        "manifest": manifest(read.parts),
        "content": _content(read),
        "identity_sealed": _sealed(portal, "identity", _identity(portal, soort, read, known)),
        "summary_sealed": _sealed(portal, "summary", _summary(read)),
        "payment_sealed": _sealed(portal, "payment", _payment(soort, read)),
        "replaces": replaced.id if replaced else None,
        "put_up_by": wish.by,
    }
    rows = [
        stukken.PartRow(
            p.number, p.role, p.source, portal.keys.seal("document", p.id),
            portal.keys.seal("name", p.name), p.media_type, p.length, p.sha256,
        )
        for p in read.parts
    ]  # fmt: skip
    try:
        id = await stukken.add(c, firm.id, fields, wish.rule or Rule(), rows)
    except Duplicate as e:  # another request was first
        raise Twice({"content": twice(e.id)}, e.id) from e
    await audit.record(
        c, "stuk_put_up", firm=firm.id, klant=klant.number, subject=f"stuk:{id}",
        data={"manifest": fields["manifest"], "soort": wish.soort, "by": wish.by,
              "replaces": str(replaced.id) if replaced else None},
    )  # fmt: skip
    if replaced:
        await audit.record(
            c, "stuk_replaced", firm=firm.id, klant=klant.number,
            subject=f"stuk:{replaced.id}", data={"by": wish.by},
        )  # fmt: skip
    stuk = await stukken.find(c, id)
    if stuk is not None and stuk.state is State.TO_APPROVE:
        await notices.to_approve(portal, c, firm, stuk)
    return id


async def _replaced(c: Connection, wish: Wish) -> Stuk | None:
    """The stuk whose place it takes, out of the way. Raises Invalid when it cannot be."""
    if wish.replaces is None:
        return None
    old = await stukken.find(c, wish.replaces, lock=True)
    if old is None or old.klant != wish.klant or old.soort != wish.soort:
        raise Invalid({"replaces": "Er is geen stuk van deze klant en dit soort met dat nummer."})
    if old.state not in REPLACEABLE or not await stukken.move(c, old, State.REPLACED):
        raise Invalid({"replaces": "Dat stuk kan niet meer worden vervangen."})
    return old


def _sealed(portal: Portal, label: str, value: str) -> str | None:
    return portal.keys.seal(label, value) if value else None


def _identity(portal: Portal, soort: Soort, read: _Read, known: set[str]) -> str:
    """Type and number of the belanghebbende, as JSON; "" when it is filed with nobody."""
    if not soort.files or read.instance is None:
        return ""
    numbers = sorted(n for scheme, n in read.instance.identifiers if scheme == soort.scheme)
    mine = (n for n in numbers if portal.keys.digest("identity", soort.identity, n) in known)
    return json.dumps([soort.identity, next(mine)])


def _summary(read: _Read) -> str:
    """The figures that matter, as JSON rows of Dutch label, English label and amount."""
    if read.instance is None:
        return ""
    rows = [[f.label_nl, f.label_en, str(f.amount)] for f in summary.summary(read.instance)]
    return json.dumps(rows, ensure_ascii=False) if rows else ""


def _payment(soort: Soort, read: _Read) -> str:
    """What is to be paid, as JSON; "" when nothing is, or nobody is set to be paid."""
    if soort.payee is None or read.instance is None:
        return ""
    payee = payment.Receiver(soort.payee.name, soort.payee.iban, soort.payee.bic)
    due = payment.of_return(read.instance, payee)
    if due is None:
        return ""
    day = due.due.isoformat() if due.due else ""
    return json.dumps([str(due.amount), due.betalingskenmerk, day])


def aanleverkenmerk(stuk: UUID, receiver: str) -> str:
    """Our own reference of a delivery: 32 signs of the 40, the same for a stuk and receiver."""
    return hashlib.sha256(f"{stuk}:{receiver}".encode()).hexdigest()[:32]
