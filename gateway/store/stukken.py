"""Stukken, their parts, who saw them and who approved them. Sealed values stay sealed here."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import asyncpg

from gateway.domain import stuk as rules
from gateway.domain.accordering import Rule
from gateway.domain.soort import Route
from gateway.domain.stuk import State
from gateway.errors import PortalError
from gateway.store.database import Connection, Record


class Duplicate(PortalError):
    """A stuk with the same content stands there already."""

    def __init__(self, id: UUID | None) -> None:
        super().__init__()
        self.id = id


@dataclass(frozen=True, slots=True)
class Stuk:
    """A row; see 0002_stukken.sql for what the fields hold."""

    id: UUID
    klant: str
    klant_name: str
    soort: str
    route: Route
    state: State
    jaar: int
    periode: str
    deadline: date | None
    opmerking_sealed: str | None
    relatiebeheerder: str | None
    manifest: str
    content: str
    rule: Rule
    identity_sealed: str | None
    summary_sealed: str | None
    payment_sealed: str | None
    replaces: UUID | None
    put_up_by: str
    created_at: datetime
    changed_at: datetime

    @property
    def tijdvak(self) -> str:
        """See rules.tijdvak."""
        return rules.tijdvak(self.periode, self.jaar)


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part, its id and name sealed."""

    number: int
    role: rules.Role
    source: str
    document_sealed: str
    name_sealed: str
    media_type: str
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Akkoord:
    """One approval or rejection that counts. confirmed_at: the code was right (or paper).
    staff: who recorded a paper consent; None: operations did, or the person acted himself."""

    id: UUID
    stuk: UUID
    person: UUID
    act: str
    manifest: str
    code: UUID | None
    reason_sealed: str | None
    staff: UUID | None
    at: datetime
    confirmed_at: datetime | None


_COLUMNS = (
    "s.id, s.klant, k.name as klant_name, s.soort, s.route, s.state, s.jaar, s.periode,"
    " s.deadline, s.opmerking_sealed, s.relatiebeheerder, s.manifest, s.content, s.rule,"
    " s.identity_sealed, s.summary_sealed, s.payment_sealed, s.replaces, s.put_up_by,"
    " s.created_at, s.changed_at"
)
#: What is searched: also a title that was given as `t`.
_TEXT = "concat_ws(' ', k.name, k.number, s.periode, s.jaar, coalesce(t.title, s.soort))"
_FROM = "from stuk s join klant k on k.firm = s.firm and k.number = s.klant"


def _stuk(row: Record) -> Stuk:
    values = dict(row)
    values["route"] = Route(row["route"])
    values["state"] = State(row["state"])
    values["rule"] = Rule.from_json(json.loads(row["rule"]))
    return Stuk(**values)


async def add(
    c: Connection, firm: str, fields: Mapping[str, object], rule: Rule, parts: Iterable[PartRow]
) -> UUID:
    """A new stuk in the state that `fields` give. Raises Duplicate.

    fields: columns of `stuk` but firm and rule; a wrong name is a programming error.
    """
    names = ["firm", "rule", *fields]
    places = ", ".join(f"${i}" for i in range(1, len(names) + 1))
    try:
        async with c.transaction():  # a savepoint: the caller's transaction lives on
            id: UUID = await c.fetchval(
                f"insert into stuk ({', '.join(names)}) values ({places}) returning id",
                firm,
                json.dumps(rule.to_json()),
                *fields.values(),
            )
    except asyncpg.UniqueViolationError:
        found = await duplicate(
            c, str(fields["klant"]), str(fields["soort"]), str(fields["content"])
        )
        raise Duplicate(found) from None
    await c.executemany(
        "insert into stuk_part (firm, stuk, number, role, source, document_sealed, name_sealed,"
        " media_type, length, sha256) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        [
            (firm, id, p.number, p.role, p.source, p.document_sealed, p.name_sealed,
             p.media_type, p.length, p.sha256)
            for p in parts
        ],
    )  # fmt: skip
    return id


async def duplicate(c: Connection, klant: str, soort: str, content: str) -> UUID | None:
    """The stuk that has this content already and still counts."""
    found: UUID | None = await c.fetchval(
        "select id from stuk where klant = $1 and soort = $2 and content = $3"
        " and state not in ('ingetrokken', 'vervangen', 'afgekeurd', 'gewijzigd_na_akkoord',"
        " 'fout_bij_verzending')",
        klant,
        soort,
        content,
    )
    return found


async def find(c: Connection, id: UUID, *, lock: bool = False) -> Stuk | None:
    """The stuk; locked until the transaction ends when `lock`."""
    row = await c.fetchrow(
        f"select {_COLUMNS} {_FROM} where s.id = $1" + (" for update of s" if lock else ""),
        id,
    )
    return _stuk(row) if row else None


async def lock_all(c: Connection, ids: Sequence[UUID]) -> list[Stuk]:
    """Those that exist, locked in the order of their ids, so that two batches never meet."""
    rows = await c.fetch(
        f"select {_COLUMNS} {_FROM} where s.id = any ($1) order by s.id for update of s",
        sorted(ids),
    )
    return [_stuk(r) for r in rows]


async def of_klanten(
    c: Connection,
    klanten: Sequence[str],
    *,
    states: Iterable[State] | None = None,
    jaar: int | None = None,
    soort: str | None = None,
    words: Sequence[str] = (),
    titles: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> list[Stuk]:
    """Stukken of these klanten, by deadline and then the newest first. None: any.

    words: each stands in the klant's name or number, the periode, the year or the title, in any
    case. titles: what a soort is called; a soort that is not there, by its id. limit: None: all.
    """
    called = dict(titles or {})
    rows = await c.fetch(
        f"select {_COLUMNS} {_FROM}"
        " left join unnest($6::text[], $7::text[]) as t (soort, title) on t.soort = s.soort"
        " where s.klant = any ($1)"
        " and ($2::text[] is null or s.state = any ($2)) and ($3::int is null or s.jaar = $3)"
        " and ($4::text is null or s.soort = $4)"
        f" and {_TEXT} ilike all ($5)"
        " order by s.deadline nulls last, s.created_at desc limit $8",
        list(klanten),
        None if states is None else [str(s) for s in states],
        jaar,
        soort,
        [_anywhere(word) for word in words],
        list(called),
        list(called.values()),
        limit,
    )
    return [_stuk(r) for r in rows]


def _anywhere(word: str) -> str:
    """A pattern of LIKE: this word as it is, with anything around it."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", word) + "%"


async def with_deadline(c: Connection, states: Iterable[State]) -> list[Stuk]:
    """Those of the firm in these states that have a deadline."""
    rows = await c.fetch(
        f"select {_COLUMNS} {_FROM} where s.deadline is not null and s.state = any ($1)"
        " order by s.id",
        [str(s) for s in states],
    )
    return [_stuk(r) for r in rows]


async def reminded(c: Connection, id: UUID, day: date) -> bool:
    """Whether a reminder of that day went out."""
    return bool(
        await c.fetchval(
            "select exists (select from audit where subject = $1 and event = 'stuk_reminded'"
            " and data ->> 'day' = $2)",
            f"stuk:{id}",
            day.isoformat(),
        )
    )


async def of_firm(
    c: Connection,
    *,
    open_only: bool,
    soort: str | None,
    words: Sequence[str],
    titles: Mapping[str, str],
) -> list[tuple[UUID, State, Route]]:
    """Stukken of the whole firm, for its staff: the last changed first. words, titles: as in
    `of_klanten`."""
    rows = await c.fetch(
        f"select s.id, s.state, s.route {_FROM}"
        " left join unnest($3::text[], $4::text[]) as t (soort, title) on t.soort = s.soort"
        " where (not $1 or s.state not in"
        " ('ingetrokken', 'vervangen', 'akkoord_digipoort', 'afgerond'))"
        f" and ($2::text is null or s.soort = $2) and {_TEXT} ilike all ($5)"
        " order by s.changed_at desc, s.id",
        open_only,
        soort,
        list(titles),
        list(titles.values()),
        [_anywhere(word) for word in words],
    )
    return [(r["id"], State(r["state"]), Route(r["route"])) for r in rows]


async def these(c: Connection, ids: Sequence[UUID]) -> list[Stuk]:
    """Those that exist, in the order of `ids`."""
    rows = await c.fetch(
        f"select {_COLUMNS} {_FROM} join unnest($1::uuid[]) with ordinality as o (id, place)"
        " on o.id = s.id order by o.place",
        list(ids),
    )
    return [_stuk(r) for r in rows]


async def parts(c: Connection, id: UUID) -> list[PartRow]:
    """Its parts, in order."""
    rows = await c.fetch(
        "select number, role, source, document_sealed, name_sealed, media_type, length, sha256"
        " from stuk_part where stuk = $1 order by number",
        id,
    )
    return [PartRow(**{**dict(r), "role": rules.Role(r["role"])}) for r in rows]


async def move(c: Connection, stuk: Stuk, new: State) -> bool:
    """Another state; False when that is not allowed from the present one (a late event).

    The only statement that changes a stuk's state. The caller holds the row's lock.
    """
    if not rules.may_move(stuk.state, new, stuk.route):
        return False
    found = await c.fetchval(
        "update stuk set state = $3, changed_at = now() where id = $1 and state = $2"
        " returning true",
        stuk.id,
        stuk.state,
        new,
    )
    return bool(found)


# --- who saw it


async def saw(c: Connection, firm: str, id: UUID, person: UUID, part: int, sha256: str) -> None:
    """A part was given to a person, to its last byte."""
    await c.execute(
        "insert into seen (firm, stuk, person, part, sha256) values ($1, $2, $3, $4, $5)"
        " on conflict do nothing",
        firm,
        id,
        person,
        part,
        sha256,
    )


async def seen(c: Connection, id: UUID, person: UUID) -> set[tuple[int, str]]:
    """Part numbers with the hash that was seen."""
    rows = await c.fetch(
        "select part, sha256 from seen where stuk = $1 and person = $2", id, person
    )
    return {(r["part"], r["sha256"]) for r in rows}


# --- who approved it


async def akkoorden(c: Connection, id: UUID) -> list[Akkoord]:
    """What counts, in the order it came."""
    return (await akkoorden_of(c, [id])).get(id, [])


async def akkoorden_of(c: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Akkoord]]:
    """The same for many; a stuk of which nothing counts is not there."""
    rows = await c.fetch(
        "select id, stuk, person, act, manifest, code, reason_sealed, staff, at, confirmed_at"
        " from akkoord where stuk = any ($1) and void_at is null order by at, id",
        list(ids),
    )
    found: dict[UUID, list[Akkoord]] = {}
    for row in rows:
        found.setdefault(row["stuk"], []).append(Akkoord(**dict(row)))
    return found


async def approve(
    c: Connection,
    firm: str,
    stuk: Stuk,
    person: UUID,
    *,
    act: str = "approved",
    code: UUID | None = None,
    reason_sealed: str | None = None,
    staff: UUID | None = None,
    confirmed: bool,
) -> UUID:
    """An approval, rejection or paper consent of this manifest."""
    id: UUID = await c.fetchval(
        "insert into akkoord (firm, stuk, person, act, manifest, code, reason_sealed, staff,"
        " confirmed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, case when $9 then now() end)"
        " returning id",
        firm,
        stuk.id,
        person,
        act,
        stuk.manifest,
        code,
        reason_sealed,
        staff,
        confirmed,
    )
    return id


async def confirm(c: Connection, stuk: UUID, person: UUID, code: UUID) -> bool:
    """A provisional approval ("later verzenden") becomes one; False when there is none."""
    return bool(
        await c.fetchval(
            "update akkoord set code = $3, confirmed_at = now() where stuk = $1 and person = $2"
            " and act = 'approved' and confirmed_at is null and void_at is null returning true",
            stuk,
            person,
            code,
        )
    )


async def void(c: Connection, stuk: UUID, person: UUID | None = None) -> int:
    """Take back approvals that are not confirmed (of one person), or all of them."""
    rows = await c.fetch(
        "update akkoord set void_at = now() where stuk = $1 and void_at is null"
        " and ($2::uuid is null or (person = $2 and confirmed_at is null)) returning id",
        stuk,
        person,
    )
    return len(rows)


async def consent(
    c: Connection, firm: str, stuk: UUID, person: UUID, banks: Sequence[str]
) -> None:
    """The client consents that these banks get it."""
    await c.executemany(
        "insert into consent (firm, stuk, bank, person) values ($1, $2, $3, $4)"
        " on conflict do nothing",
        [(firm, stuk, bank, person) for bank in banks],
    )


async def banks(c: Connection, stuk: UUID) -> list[str]:
    """The banks that were chosen."""
    rows = await c.fetch("select bank from consent where stuk = $1 order by bank", stuk)
    return [r["bank"] for r in rows]


async def lights(c: Connection, ids: Sequence[UUID]) -> dict[str, set[str]]:
    """Which events happened to each stuk, by its audit subject."""
    rows = await c.fetch(
        "select subject, array_agg(distinct event) as events from audit"
        " where subject = any ($1) group by subject",
        [f"stuk:{id}" for id in ids],
    )
    return {r["subject"]: set(r["events"]) for r in rows}


async def history(c: Connection, id: UUID) -> list[Record]:
    """Every event of a stuk, the oldest first: at, event, person, name, data."""
    return await c.fetch(
        "select a.id, a.at, a.event, a.person, p.name, p.role, a.data from audit a"
        " left join person p on p.firm = a.firm and p.id = a.person"
        " where a.subject = $1 order by a.id",
        f"stuk:{id}",
    )
