"""The outbox: nothing is lost, whatever fails."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway import worker
from gateway.flows import letters
from gateway.notify.mail import Mailer, MailFailed
from gateway.store import outbox
from gateway.store.database import DatabaseDown


class Post:
    """A mailer that fails on demand."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.failure: MailFailed | None = None

    async def send(self, mail) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(mail.recipient)

    async def aclose(self) -> None:
        pass


@pytest.fixture
def post() -> Post:
    return Post()


async def _put(portal, firm, recipient="noor@x.example"):
    async with portal.db.tenant(firm.id) as c:
        await letters.put(portal, c, firm, "password_changed", recipient, "nl", name="Noor")


def at(**passed: float) -> datetime:
    return datetime.now(UTC) + timedelta(**passed)


async def test_a_letter_goes_out_once(portal, firm, post):
    await _put(portal, firm)
    counts = await asyncio.gather(*(letters.deliver_due(portal, post, at()) for _ in range(5)))
    assert sum(counts) == 1
    assert post.sent == ["noor@x.example"]


async def test_what_is_rolled_back_is_not_sent(portal, firm, post):
    async def break_off() -> None:
        async with portal.db.tenant(firm.id) as c:
            await letters.put(portal, c, firm, "password_changed", "a@x.example", "nl", name="A")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await letters.deliver_due(portal, post, at()) == 0


async def test_a_failure_that_may_pass_is_tried_again_later(portal, firm, post):
    await _put(portal, firm)
    post.failure = MailFailed("451")
    assert await letters.deliver_due(portal, post, at()) == 0
    post.failure = None
    assert await letters.deliver_due(portal, post, at(seconds=20)) == 0  # not yet
    assert await letters.deliver_due(portal, post, at(minutes=2)) == 1


async def test_a_failure_that_stays_is_given_up(portal, firm, post):
    await _put(portal, firm, "weg@x.example")
    post.failure = MailFailed("550", retryable=False)
    await letters.deliver_due(portal, post, at())
    post.failure = None
    assert await letters.deliver_due(portal, post, at(days=9)) == 0


async def test_a_worker_that_dies_while_sending_loses_nothing(portal, firm, post):
    await _put(portal, firm)

    async def die(mail) -> None:
        raise asyncio.CancelledError

    post.send, real = die, post.send
    with pytest.raises(asyncio.CancelledError):
        await letters.deliver_due(portal, post, at())
    post.send = real
    assert await letters.deliver_due(portal, post, at(seconds=1)) == 0  # it might still be at it
    assert await letters.deliver_due(portal, post, at(minutes=3)) == 1


async def test_a_letter_that_cannot_be_written_stops_no_other(portal, firm, post, dsn):
    async with portal.db.tenant(firm.id) as c:
        for event in ("no_such_event", "username"):  # no template; a template that wants more
            await letters.put(portal, c, firm, event, "a@x.example", "nl", name="A")
        sealed = portal.keys.seal("recipient", "b@x.example")
        await outbox.add(c, firm.id, "password_changed", sealed, "sealed with another key")
    await _put(portal, firm)
    for _ in range(4):
        await letters.deliver_due(portal, post, at())
    assert post.sent == ["noor@x.example"]
    owner = await asyncpg.connect(dsn)
    assert await owner.fetchval("select count(*) from outbox where state = 'failed'") == 3
    await owner.close()


@pytest.mark.parametrize(
    "address", ["a..b@x..example", "a@x.example.", "ünï@x.example", "a@⒈x.example"]
)
async def test_an_address_of_former_days_ends_no_worker(portal, firm, post, dsn, address):
    """Addresses came in that no letter can be written to; the real mailer tells so."""
    mailer, stop = Mailer("127.0.0.1", 1, tls="none"), asyncio.Event()
    real = post.send

    async def send(mail) -> None:
        if mail.recipient == address:
            await mailer.send(mail)
        await real(mail)
        stop.set()

    post.send = send
    await _put(portal, firm, address)
    await _put(portal, firm)
    with capture_logs() as logs:
        await asyncio.wait_for(worker.run(portal, post, stop), 60)
    assert post.sent == ["noor@x.example"]
    assert [e["final"] for e in logs if e["event"] == "mail_failed"] == [True]
    owner = await asyncpg.connect(dsn)
    assert await owner.fetchval("select count(*) from outbox where state = 'failed'") == 1
    await owner.close()


@pytest.mark.parametrize("sealed", ["[]", "{}", '{"language": "nl", "values": 1}', "geen JSON"])
async def test_a_letter_that_is_no_letter_is_given_up(portal, firm, post, dsn, sealed):
    async with portal.db.tenant(firm.id) as c:
        to, what = portal.keys.seal("recipient", "a@x.example"), portal.keys.seal("letter", sealed)
        await outbox.add(c, firm.id, "password_changed", to, what)
    await letters.deliver_due(portal, post, at())
    owner = await asyncpg.connect(dsn)
    assert await owner.fetchval("select state from outbox") == "failed"
    await owner.close()


async def test_a_fault_of_ours_in_sending_keeps_up_no_other(portal, firm, post):
    await _put(portal, firm, "raar@x.example")
    await _put(portal, firm)
    real = post.send

    async def send(mail) -> None:
        if mail.recipient == "raar@x.example":
            raise ZeroDivisionError
        await real(mail)

    post.send = send
    with capture_logs() as logs:
        while not post.sent:
            await letters.deliver_due(portal, post, at())
    assert [e["event"] for e in logs] == ["mail_surprise", "mail_failed", "mail_sent"]
    assert not logs[1]["final"]
    post.send = real
    assert await letters.deliver_due(portal, post, at(minutes=5)) == 1


async def test_no_firm_waits_for_anothers_mountain(portal, firm, post, monkeypatch):
    monkeypatch.setattr(letters, "MOST", 4)
    for n in range(6):
        await _put(portal, firm, f"{n}@eikenhof.example")
    await _put(portal, portal.firms["wilgenhof"], "een@wilgenhof.example")
    assert await letters.deliver_due(portal, post, at()) >= 4
    assert "een@wilgenhof.example" in post.sent
    while await letters.deliver_due(portal, post, at()):
        pass
    assert len(set(post.sent)) == len(post.sent) == 7


async def test_the_waiting_grows_to_six_hours_and_ends_after_three_days(
    portal, firm, post, dsn, monkeypatch
):
    await _put(portal, firm)
    post.failure = MailFailed("451")
    owner = await asyncpg.connect(dsn)
    moment, waits = at(), []
    while await owner.fetchval("select state from outbox") == "waiting":
        await letters.deliver_due(portal, post, moment)
        due = await owner.fetchval("select due_at from outbox")
        waits.append((due - moment).total_seconds() / 60)
        moment = max(due, moment)
    await owner.close()
    assert [round(w) for w in waits[:4]] == [1, 2, 4, 8]
    assert max(waits) == 360
    assert 15 < len(waits) < 25


async def test_what_was_said_is_forgotten_once_it_is_sent(portal, firm, post, dsn):
    await _put(portal, firm)
    owner = await asyncpg.connect(dsn)
    assert "Noor" not in str(await owner.fetch("select * from outbox"))
    await letters.deliver_due(portal, post, at())
    assert await owner.fetchval("select payload_sealed from outbox") == ""
    await owner.close()


async def test_the_worker_stops_in_the_midst_of_a_mountain(portal, firm, post, monkeypatch):
    monkeypatch.setattr(letters, "MOST", 3)
    for n in range(12):
        await _put(portal, firm, f"{n}@x.example")
    stop = asyncio.Event()
    real = post.send

    async def send(mail) -> None:
        await real(mail)
        if len(post.sent) == 4:
            stop.set()

    post.send = send
    await asyncio.wait_for(worker.run(portal, post, stop), 10)
    assert len(post.sent) == 6  # what was begun was ended
    post.send = real
    while await letters.deliver_due(portal, post, at()):
        pass
    assert len(set(post.sent)) == 12


async def test_the_worker_works_until_it_is_stopped(portal, firm, post, dsn):
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(portal, post, stop))
    await _put(portal, firm)
    while not post.sent:
        await asyncio.sleep(0.02)
    owner = await asyncpg.connect(dsn)  # every connection is cut, as by a restart
    await owner.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    await owner.close()
    put = False
    while not put:  # the portal's own connections are found dead at their first use
        with contextlib.suppress(DatabaseDown):
            await _put(portal, firm, "tweede@x.example")
            put = True
    while len(post.sent) < 2:
        await asyncio.sleep(0.02)
    stop.set()
    await running
    assert post.sent == ["noor@x.example", "tweede@x.example"]
