"""What has served its purpose goes; what has not stays."""

import asyncpg

from gateway.store import housekeeping
from gateway.store.database import Database

_FILL = """
insert into person (firm, id, username, name) values ('een', '{person}', 'a@x.example', 'A');
insert into session (firm, digest, person, stage, idle_until, ends_at) values
    ('een', 'good', '{person}', 'full', now() + interval '1 h', now() + interval '1 h'),
    ('een', 'idle', '{person}', 'full', now() - interval '1 s', now() + interval '1 h'),
    ('een', 'over', '{person}', 'full', now() + interval '1 h', now() - interval '1 s');
insert into code (firm, person, session, purpose, digest, expires_at) values
    ('een', '{person}', 'good', 'signing_in', 'new', now()),
    ('een', '{person}', 'good', 'signing_in', 'old', now() - interval '2 days');
insert into link (firm, digest, person, purpose, expires_at) values
    ('een', 'new', '{person}', 'password', now() - interval '1 day'),
    ('een', 'old', '{person}', 'password', now() - interval '8 days');
insert into outbox (firm, event, recipient_sealed, payload_sealed, state, created_at) values
    ('een', 'waits', '', '', 'waiting', now() - interval '99 days'),
    ('een', 'new', '', '', 'sent', now()),
    ('een', 'old', '', '', 'failed', now() - interval '91 days');
insert into throttle (key, until) values
    ('new', now() + interval '1 min'), ('old', now() - interval '1 min');
insert into audit (firm, at, event) values ('een', now() - interval '9 years', 'kept');
"""


async def test_what_goes_and_what_stays(dsn):
    owner = await asyncpg.connect(dsn)
    await owner.execute(_FILL.format(person="00000000-0000-0000-0000-000000000001"))
    db = await Database.connect(dsn)
    async with db.connection() as c:
        assert await housekeeping.forget(c) == 6
        assert await housekeeping.forget(c) == 0
    for column, table, stays in (
        ("digest", "session", {"good"}),
        ("digest", "code", {"new"}),
        ("digest", "link", {"new"}),
        ("event", "outbox", {"waits", "new"}),
        ("key", "throttle", {"new"}),
        ("event", "audit", {"kept"}),
    ):
        rows = await owner.fetch(f"select {column} from {table}")
        assert {r[0] for r in rows} == stays, table
    await db.close()
    await owner.close()
