"""Accounts: made and ended by the firm, brought back by a mailed link."""

import asyncio
import time
from datetime import timedelta

import pytest

from gateway.domain.klant import Klant
from gateway.domain.person import State
from gateway.errors import Denied, Invalid, TooMany
from gateway.flows import people, signing_in, throttling
from gateway.flows.signing_in import From, Half
from gateway.store import persons
from tests.flows.test_signing_in import link
from tests.pages.conftest import PASSWORD

ORIGIN = From("192.0.2.7", "test")
NAME = "sanne@bakkerij.example"
NEW = "paarse olifant danst zacht"


async def _events(portal, firm="eikenhof") -> list[str]:
    async with portal.db.tenant(firm) as c:
        rows = await c.fetch("select event from outbox order by created_at")
    return [r[0] for r in rows]


async def _state(portal, firm="eikenhof", username=NAME) -> State:
    async with portal.db.tenant(firm) as c:
        person = await persons.by_username(c, username)
    assert person is not None
    return person.state


async def _sign_in(portal, phone, word) -> str:
    half = await signing_in.check_password(portal, None, NAME, word, ORIGIN)
    assert isinstance(half, Half)
    visitor = await signing_in.resume(portal, half.cookie)
    return await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)


async def test_from_an_invitation_to_a_session(portal, phone, firm):
    await people.put_klanten(portal, firm, [Klant("1", "Een B.V."), Klant("2", "Twee B.V.")])
    person = await people.add(
        portal, firm, username=" Sanne@Bakkerij.example ", name=" Sanne\n M ",
        mobile="06 12345678", klanten_of=["1"],
    )  # fmt: skip
    assert (person.username, person.name, person.state) == (NAME, "Sanne M", State.INVITED)
    with pytest.raises(Invalid):
        await signing_in.check_password(portal, firm, NAME, "", ORIGIN)
    token = await link(portal)
    for _ in range(20):  # mail scanners open links
        assert (await people.behind_link(portal, firm.id, token)).person.id == person.id
    for new, again in (("kort", "kort"), (NEW, "anders"), ("Sanne bakkerij", "Sanne bakkerij")):
        with pytest.raises(Invalid):
            await people.choose_password(portal, firm.id, token, new, again)
    await people.choose_password(portal, firm.id, token, NEW, NEW)
    visitor = await signing_in.resume(portal, await _sign_in(portal, phone, NEW))
    assert [k.number for k in visitor.klanten] == ["1"]
    assert await _events(portal) == ["invitation", "password_changed"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"username": "geen adres"}, "username"),
        ({"username": "a@x.example\r\nBcc: b@x.example"}, "username"),
        ({"username": "a@x.example, b@x.example"}, "username"),
        ({"username": "a..b@x..example"}, "username"),
        ({"username": "a@x.example."}, "username"),
        ({"username": "ünï@x.example"}, "username"),
        ({"username": "a@⒈x.example"}, "username"),
        ({"username": NAME.upper()}, "username"),
        ({"mobile": "020 1234567"}, "mobile"),
        ({"name": "Tim\0"}, "name"),
        ({"name": "\u200b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"klanten_of": ["404"]}, "klant"),
    ],
)
async def test_a_person_that_cannot_be_added(portal, register, firm, more, field):
    await register()
    good = {"username": "tim@x.example", "name": "Tim", "mobile": "06 12345679"}
    with pytest.raises(Invalid) as told:
        await people.add(portal, firm, **{**good, **more})
    assert list(told.value.faults) == [field]


async def test_a_link_is_used_once_whoever_comes_at_once(portal, register, firm):
    await register()
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    token = await link(portal)
    answers = await asyncio.gather(
        *(people.choose_password(portal, firm.id, token, NEW + w, NEW + w) for w in "abcdef"),
        return_exceptions=True,
    )
    assert sum(a == firm for a in answers) == 1
    assert sum(isinstance(a, Denied) for a in answers) == 5


async def test_a_newer_link_ends_the_older_one_and_each_ends_by_itself(
    portal, register, firm, monkeypatch
):
    await register()
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    first = await link(portal)
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    second = await link(portal)
    with pytest.raises(Denied):
        await people.behind_link(portal, firm.id, first)
    for firm_id, token in (("wilgenhof", second), ("elders", second), (firm.id, "\udc80")):
        with pytest.raises(Denied):
            await people.behind_link(portal, firm_id, token)
    late = signing_in.now() + timedelta(hours=1, seconds=1)
    monkeypatch.setattr(people, "now", lambda: late)
    with pytest.raises(Denied):
        await people.choose_password(portal, firm.id, second, NEW, NEW)


async def test_a_new_password_ends_every_session_and_keeps_the_code(portal, phone, register, firm):
    await register()
    cookie = await _sign_in(portal, phone, PASSWORD)
    half = await signing_in.check_password(portal, firm, NAME, PASSWORD, ORIGIN)
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    assert await signing_in.resume(portal, cookie)  # asking changes nothing
    await people.choose_password(portal, firm.id, await link(portal), NEW, NEW)
    for old in (cookie, half.cookie):
        assert await signing_in.resume(portal, old) is None
    sent = len(phone.messages)
    assert await _sign_in(portal, phone, NEW)
    assert len(phone.messages) == sent + 1
    assert (await _events(portal))[-1] == "password_changed"


async def test_deactivated_and_back_by_mail(portal, phone, register, firm):
    await register()
    full = await _sign_in(portal, phone, PASSWORD)
    half = await signing_in.check_password(portal, firm, NAME, PASSWORD, ORIGIN)
    visitor = await signing_in.resume(portal, half.cookie)
    code = phone.code
    await signing_in.deactivate(portal, visitor)
    assert await _state(portal) is State.DEACTIVATED
    for old in (full, half.cookie):
        assert await signing_in.resume(portal, old) is None
    with pytest.raises(Invalid):
        await signing_in.confirm_code(portal, visitor, ORIGIN, code)
    with pytest.raises(Invalid):
        await signing_in.check_password(portal, firm, NAME, PASSWORD, ORIGIN)
    await signing_in.deactivate(portal, visitor)  # again is nothing new
    told = (await _events(portal))[1:]  # both of one transaction, so in no order
    assert sorted(told) == ["account_deactivated", "account_deactivated_office"]
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    await people.choose_password(portal, firm.id, await link(portal), NEW, NEW)
    assert await _state(portal) is State.ACTIVE
    assert await _sign_in(portal, phone, NEW)


async def test_disabled_and_back_by_the_firm_alone(portal, phone, register, firm):
    await register()
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    before = await link(portal)
    await people.disable(portal, firm, NAME)
    await people.disable(portal, firm, NAME)
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    events = ["invitation", "password_reset", "account_disabled"]
    assert await _events(portal) == events  # told once, and no link
    with pytest.raises(Denied):
        await people.choose_password(portal, firm.id, before, NEW, NEW)
    await people.reset(portal, firm, NAME.upper())
    with pytest.raises(Denied):  # a link of before is no way back
        await people.choose_password(portal, firm.id, before, NEW, NEW)
    await people.choose_password(portal, firm.id, await link(portal), NEW, NEW)
    assert await _sign_in(portal, phone, NEW)


async def test_what_is_disabled_has_no_link_and_takes_no_password(portal, register, firm):
    await register()
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    await people.disable(portal, firm, NAME)
    async with portal.db.tenant(firm.id) as c:
        assert await c.fetchval("select count(*) from link where used_at is null") == 0
        person = await persons.by_username(c, NAME)
        assert person is not None
        assert not await persons.set_password(c, person.id, "x")
    assert await _state(portal) is State.DISABLED


async def test_a_password_and_an_ending_at_once_do_not_wait_for_each_other(portal, register, firm):
    for n in range(6):
        name = await register(f"p{n}@bakkerij.example", mobile=f"06 1234510{n}")
        await people.forgot_password(portal, firm, name, From(f"192.0.{n}.1"))
        token = await link(portal)
        answers = await asyncio.gather(
            people.choose_password(portal, firm.id, token, NEW, NEW),
            people.disable(portal, firm, name),
            people.reset(portal, firm, name),
            return_exceptions=True,
        )
        assert answers[0] == firm or isinstance(answers[0], Denied), answers
        assert answers[1:] == [None, None]


async def test_disabled_while_a_password_is_being_chosen(portal, register, firm, monkeypatch):
    await register()
    await people.forgot_password(portal, firm, NAME, ORIGIN)
    real = type(portal.passwords).hash

    async def slow(self, word):
        hashed = await real(self, word)
        await people.disable(portal, firm, NAME)
        return hashed

    monkeypatch.setattr(type(portal.passwords), "hash", slow)
    with pytest.raises(Denied):
        await people.choose_password(portal, firm.id, await link(portal), NEW, NEW)
    assert await _state(portal) is State.DISABLED


async def test_another_number_by_the_firm(portal, phone, register, firm):
    await register()
    cookie = await _sign_in(portal, phone, PASSWORD)
    with pytest.raises(Invalid):
        await people.set_mobile(portal, firm, NAME, "112")
    await people.set_mobile(portal, firm, NAME, "06 87654321")
    assert await signing_in.resume(portal, cookie) is None
    await _sign_in(portal, phone, PASSWORD)
    assert phone.messages[-1][0] == "+31687654321"


@pytest.mark.parametrize(
    ("given", "shared", "mails"),
    [
        ("06 12345678", True, 1),
        ("+31612345678", False, 1),
        ("06 87654321", False, 0),
        ("400100", False, 1),
        ("400101", False, 0),
    ],
)
async def test_a_forgotten_username(portal, register, firm, given, shared, mails):
    await register()
    await people.forgot_username(portal, None if shared else firm, given, ORIGIN)
    assert (await _events(portal)).count("username") == mails
    assert await _events(portal, "wilgenhof") == []


@pytest.mark.parametrize(
    ("given", "shared"), [("400100", True), ("020 1234567", False), ("", False), ("a\0", False)]
)
async def test_what_is_no_number_for_a_forgotten_username(portal, firm, given, shared):
    with pytest.raises(Invalid):
        await people.forgot_username(portal, None if shared else firm, given, ORIGIN)


async def test_what_is_forgotten_takes_as_long_for_nobody(portal, register, firm, monkeypatch):
    """The work differs (a link, a letter), so the answer waits for a moment that does not."""
    await register()
    monkeypatch.setattr(throttling, "UNHURRIED", 0.5)
    for call, given in (
        (people.forgot_password, (NAME, "niemand@x.example")),
        (people.forgot_username, ("06 12345678", "06 87654321")),
    ):
        took = []
        for one in given:
            start = time.monotonic()
            await call(portal, firm, one, ORIGIN)
            took.append(time.monotonic() - start)
        assert min(took) >= 0.5


async def test_mail_on_demand_has_its_limit(portal, register, firm):
    await register()
    for name in (NAME, "niemand@x.example"):
        for _ in range(3):
            await people.forgot_password(portal, firm, name, ORIGIN)
        with pytest.raises(TooMany):
            await people.forgot_password(portal, firm, name, ORIGIN)
    assert (await _events(portal)).count("password_reset") == 3


async def test_access_is_given_and_taken(portal, register, firm):
    await register(klanten=())
    await people.put_klanten(portal, firm, [Klant(str(n), f"Klant {n}") for n in range(500)])
    await people.put_klanten(portal, firm, [Klant("7", "Zeven", "eva")])
    await people.grant(portal, firm, NAME, "7")
    await people.grant(portal, firm, NAME, "7")
    with pytest.raises(Invalid):
        await people.grant(portal, firm, NAME, "9999")
    with pytest.raises(Invalid):
        await people.grant(portal, firm, "niemand@x.example", "7")
    await people.revoke(portal, firm, NAME, "7")
    with pytest.raises(Invalid):  # it may have been mistyped
        await people.revoke(portal, firm, NAME, "7")
    async with portal.db.tenant(firm.id) as c:
        rows = await c.fetch("select event from audit where klant = '7' order by id")
        assert [r[0] for r in rows] == ["access_given", "access_given", "access_taken"]
