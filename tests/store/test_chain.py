"""PostgreSQL's chain and Python's are one; whatever the tables' owner does to it is named."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.domain import chain as rules
from gateway.domain.chain import Kind
from gateway.flows import auditing
from gateway.store import audit, chain
from gateway.store.database import Database
from tests.flows.conftest import base_url, firm, portal  # noqa: F401


@pytest.fixture
async def owner(dsn):
    """A connection of the tables' owner, whom row-level security does not hold."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def db(dsn):
    """The application's pool."""
    database = await Database.connect(dsn)
    yield database
    await database.close()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ROW = st.tuples(
    st.sampled_from(["een", "twee", "drie-é"]),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    TEXT, st.none() | st.uuids(), st.none() | TEXT, TEXT, TEXT, JSON,
)  # fmt: skip


async def test_both_digest_alike(owner):
    """Of whatever a row may hold: any text, nulls, odd JSON, far years."""

    async def insert(row) -> None:
        *fields, data = row
        async with owner.transaction():
            await owner.execute(
                "insert into audit (firm, at, event, person, klant, subject, request, data)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)",
                *fields,
                json.dumps(data),
            )

    loop = asyncio.get_running_loop()

    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(ROW)
    def many(row) -> None:
        asyncio.run_coroutine_threadsafe(insert(row), loop).result()

    await asyncio.to_thread(many)
    for firm_id in ("een", "twee", "drie-é"):
        async with owner.transaction():
            rows = await owner.fetch(
                "select a.firm, a.id, a.at, a.event, a.person::text, a.klant, a.subject,"
                " a.request, a.data::text, c.number, c.digest, c.hash from audit a"
                " join chain c on c.firm = a.firm and c.audit = a.id where a.firm = $1"
                " order by c.number",
                firm_id,
            )
        assert rows
        links = [rules.Link(r["number"], r["id"], r["digest"], r["hash"]) for r in rows]
        found = [
            rules.Row(f, id, rules.moment(at), *rest)
            for f, id, at, *rest in (tuple(r)[:9] for r in rows)
        ]
        assert rules.verify(found, links, [], {}, firm_id) == []


async def _happen(portal, firm_id, count=6):  # noqa: F811
    for number in range(count):
        async with portal.db.tenant(firm_id) as c:
            await audit.record(c, "e", firm=firm_id, subject=f"s{number}", data={"n": number})


@pytest.fixture
async def chained(portal, firm):  # noqa: F811
    """Six events in two firms, signed."""
    for one in portal.firms.values():
        await _happen(portal, one.id)
        assert await auditing.checkpoint(portal, one)
    return firm


async def _found(portal, firm):  # noqa: F811
    return [(f.kind, f.number) for f in (await auditing.verify(portal, firm)).findings]


async def test_a_whole_chain_is_good(portal, chained):  # noqa: F811
    report = await auditing.verify(portal, chained)
    assert (report.links, report.checkpoints, report.covered) == (6, 1, 6)
    assert report.findings == ()


async def test_a_checkpoint_is_made_once(portal, chained):  # noqa: F811
    first = await auditing.checkpoint(portal, chained)
    assert await auditing.checkpoint(portal, chained) == first
    await _happen(portal, chained.id, 1)
    second = await auditing.checkpoint(portal, chained)
    assert (first.number, second.number) == (6, 7)
    assert await auditing.checkpoint_all(portal) == 2


async def test_a_firm_whose_chain_is_not_signed_keeps_up_no_other(
    portal,  # noqa: F811
    chained,
    monkeypatch,
):
    real = auditing.checkpoint

    async def checkpoint(portal, one):
        if one == chained:
            raise ZeroDivisionError
        return await real(portal, one)

    monkeypatch.setattr(auditing, "checkpoint", checkpoint)
    with capture_logs() as logs:
        assert await auditing.checkpoint_all(portal) == len(portal.firms) - 1
    assert [e["firm"] for e in logs if e["event"] == "checkpoint_surprise"] == [chained.id]


async def test_nothing_is_signed_of_nothing(portal, firm):  # noqa: F811
    assert await auditing.checkpoint(portal, firm) is None
    assert (await auditing.verify(portal, firm)).findings == ()


async def test_a_new_key_signs_anew(portal, chained, monkeypatch):  # noqa: F811
    old = auditing.public_key(portal)
    monkeypatch.setattr(portal.keys, "_derived", {"checkpoint": b"n" * 32})
    made = await auditing.checkpoint(portal, chained)
    assert (made.number, made.key) == (7, rules.key_id(auditing.public_key(portal)))
    assert await _found(portal, chained) == [(Kind.KEY, 6)]
    assert (await auditing.verify(portal, chained, [old])).findings == ()


async def test_the_way_is_told(portal, chained, monkeypatch):  # noqa: F811
    monkeypatch.setattr(auditing, "STEP", 2)
    told = []
    await auditing.verify(portal, chained, told=told.append)
    assert told == [2, 4, 6]


_THIRD = "(select audit from chain where firm = 'eikenhof' and number = 3)"
_COPY = (
    "insert into audit (firm, id, at, event, person, klant, subject, request, data)"
    " overriding system value select firm, {id}, at, event, person, klant, subject, request,"
    " data from audit where firm = 'eikenhof' and id = {of}"
)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([f"update audit set data = '{{}}' where id = {_THIRD}"], [(Kind.CHANGED, 3)]),
        ([f"update audit set person = '{uuid4()}' where id = {_THIRD}"], [(Kind.CHANGED, 3)]),
        (
            [f"update audit set at = at + interval '1 us' where id = {_THIRD}"],
            [(Kind.CHANGED, 3)],
        ),
        ([f"update audit set at = 'infinity' where id = {_THIRD}"], [(Kind.CHANGED, 3)]),
        ([f"delete from audit where id = {_THIRD}"], [(Kind.DELETED, 3)]),
        (
            [
                f"delete from audit where id = {_THIRD}",
                "delete from chain where firm = 'eikenhof' and number = 3",
            ],
            [(Kind.MISSING, 4)],
        ),
        (
            [
                "alter table audit disable trigger chain_append",
                "insert into audit (firm, event) values ('eikenhof', 'x')",
            ],
            [(Kind.ADDED, None)],
        ),
        (
            ["update chain set hash = repeat('0', 64) where firm = 'eikenhof' and number = 6"],
            [(Kind.BROKEN, 6), (Kind.CHECKPOINT, 6)],
        ),
        (
            [
                "delete from audit a using chain c where c.audit = a.id and c.firm = 'eikenhof'"
                " and c.number > 4",
                "delete from chain where firm = 'eikenhof' and number > 4",
            ],
            [(Kind.CUT_OFF, 6)],
        ),
        (
            [
                "update chain set audit = -audit where firm = 'eikenhof' and number in (2, 5)",
                "update chain c set audit = -o.audit from chain o where c.firm = 'eikenhof'"
                " and o.firm = c.firm and c.number in (2, 5) and o.number = 7 - c.number",
            ],
            [(Kind.REORDERED, 2), (Kind.REORDERED, 5)],
        ),
        (
            ["update checkpoint set hash = repeat('0', 64) where firm = 'eikenhof'"],
            [(Kind.CHECKPOINT, 6)],
        ),
    ],
)
async def test_what_the_owner_does_is_named(portal, chained, owner, statements, found):  # noqa: F811
    async with owner.transaction():
        for statement in statements:
            await owner.execute(statement)
    assert await _found(portal, chained) == found
    assert await _found(portal, portal.firms["wilgenhof"]) == []


async def test_rows_that_the_owner_makes_change_places_are_named(portal, chained, owner):  # noqa: F811
    ids = [r[0] for r in await owner.fetch("select audit from chain where firm = 'eikenhof'")]
    one, two = ids[1], ids[4]
    async with owner.transaction():
        await owner.execute("alter table audit disable trigger chain_append")
        for new, of in ((-1, one), (-2, two)):
            await owner.execute(_COPY.format(id=new, of=of))
            await owner.execute("delete from audit where id = $1", of)
        for new, of in ((one, -2), (two, -1)):
            await owner.execute(_COPY.format(id=new, of=of))
            await owner.execute("delete from audit where id = $1", of)
    assert await _found(portal, chained) == [(Kind.REORDERED, 2), (Kind.REORDERED, 5)]


async def test_a_chain_made_anew_is_named(portal, chained, owner):  # noqa: F811
    """A row changed, and digest and hashes of all that follows computed again."""
    async with owner.transaction():
        await owner.execute(f"update audit set event = 'x' where id = {_THIRD}")
        hash = ""
        for number, digest in await owner.fetch(
            "select c.number, audit_digest(a) from chain c join audit a on a.firm = c.firm"
            " and a.id = c.audit where c.firm = 'eikenhof' order by c.number"
        ):
            hash = rules.linked(hash, digest)
            await owner.execute(
                "update chain set digest = $2, hash = $3 where firm = 'eikenhof'"
                " and number = $1",
                number, digest, hash,
            )  # fmt: skip
    assert await _found(portal, chained) == [(Kind.CHECKPOINT, 6)]


@pytest.mark.parametrize("table", ["audit", "chain", "checkpoint"])
async def test_the_application_changes_and_deletes_nothing(portal, chained, table):  # noqa: F811
    for statement in (
        f"update {table} set firm = firm", f"delete from {table}", f"truncate {table}",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with portal.db.tenant(chained.id) as c:
                await c.execute(statement)


async def test_the_application_adds_no_link_itself(portal, chained):  # noqa: F811
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with portal.db.tenant(chained.id) as c:
            await c.execute("insert into chain values ('eikenhof', 7, 7, 'd', 'h')")
    with pytest.raises(asyncpg.PostgresError):  # it is a trigger's, and nobody may call it
        async with portal.db.tenant(chained.id) as c:
            await c.execute("select chain_append()")


async def test_a_firm_reads_its_own_chain(portal, chained):  # noqa: F811
    async with portal.db.tenant("drie") as c:
        assert await chain.head(c) is None
        assert [one async for one in chain.every(c)] == []
    async with portal.db.tenant(chained.id) as c:
        assert [(n, r.subject) for n, r in await chain.of_subject(c, "s2")] == [(3, "s2")]
        before, digests = await chain.piece(c, 3, 5)
        every = [one.link async for one in chain.every(c)]
    assert before == every[1].hash
    assert digests == [one.digest for one in every[2:5]]


async def test_fifty_at_once_make_two_unbroken_chains(portal, firm):  # noqa: F811
    """Transactions of two firms, some of which touch both and some of which fail."""

    async def one(number: int) -> None:
        name = ("eikenhof", "wilgenhof")[number % 2]
        async with portal.db.tenant(name) as c:
            await audit.record(c, "e", firm=name, data={"n": number})
            await asyncio.sleep(0)
            await audit.record(c, "f", firm=name, data={"n": number})
            if number % 10 == 9:
                raise ZeroDivisionError

    done = await asyncio.gather(*map(one, range(50)), return_exceptions=True)
    assert sum(isinstance(e, ZeroDivisionError) for e in done) == 5
    assert {type(e) for e in done} == {type(None), ZeroDivisionError}
    counts = []
    for each in portal.firms.values():
        await auditing.checkpoint(portal, each)
        report = await auditing.verify(portal, each)
        assert report.findings == ()
        counts.append(report.links)
    assert sorted(counts) == [40, 50]
