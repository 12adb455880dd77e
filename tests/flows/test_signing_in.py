"""Codes and throttles under attack; pages' own tests walk the ordinary ways."""

import asyncio
import dataclasses
from datetime import timedelta

import asyncpg
import pytest
from argon2 import PasswordHasher

from gateway.domain import code as code_rules
from gateway.domain import throttle
from gateway.domain.klant import Klant
from gateway.errors import Invalid, TooMany
from gateway.flows import codes as sms_codes
from gateway.flows import people, signing_in
from gateway.flows.signing_in import Choice, From, Half, Visitor
from gateway.store import audit, codes
from gateway.store import throttle as store_throttle
from tests.pages.conftest import PASSWORD

ORIGIN = From("192.0.2.7", "test")


async def _half(portal, username="sanne@bakkerij.example", firm=None) -> Visitor:
    half = await signing_in.check_password(portal, firm, username, PASSWORD, ORIGIN)
    assert isinstance(half, Half)
    visitor = await signing_in.resume(portal, half.cookie)
    assert visitor is not None
    return visitor


async def link(portal, firm="eikenhof") -> str:
    """The token of the newest link that was mailed."""
    async with portal.db.tenant(firm) as c:
        sealed = await c.fetchval(
            "select payload_sealed from outbox where event in ('password_reset', 'invitation')"
            " order by created_at desc limit 1"
        )
    return portal.keys.open("letter", sealed).partition(f"/wachtwoord/{firm}/")[2].split('"')[0]


async def test_of_ten_thousand_guesses_at_once_five_are_looked_at(
    portal, phone, register, monkeypatch
):
    await register()
    visitor = await _half(portal)
    right = phone.code.replace("-", "")
    guesses = [f"{n:06d}" for n in range(10_001) if f"{n:06d}" != right][:10_000]
    looked_at = 0
    real = codes.take_try

    async def counting(*args):
        nonlocal looked_at
        found = await real(*args)
        looked_at += found is not None
        return found

    monkeypatch.setattr(codes, "take_try", counting)
    answers = await asyncio.gather(
        *(signing_in.confirm_code(portal, visitor, ORIGIN, g) for g in guesses),
        return_exceptions=True,
    )
    assert all(isinstance(a, Invalid) for a in answers)
    assert looked_at == 5
    with pytest.raises(Invalid):  # and the right one comes too late
        await signing_in.confirm_code(portal, visitor, ORIGIN, right)


async def test_a_code_is_good_in_its_own_session_only(portal, phone, register):
    await register()
    await register("tim@buur.example", name="Tim", mobile="06 12345679")
    one = await _half(portal)
    code_of_one = phone.code
    other = await _half(portal, "tim@buur.example")
    with pytest.raises(Invalid):
        await signing_in.confirm_code(portal, other, ORIGIN, code_of_one)
    again = await _half(portal)  # the same person, another sign-in
    with pytest.raises(Invalid):
        await signing_in.confirm_code(portal, again, ORIGIN, code_of_one)
    assert await signing_in.confirm_code(portal, one, ORIGIN, code_of_one)


async def test_a_code_works_once(portal, phone, register):
    await register()
    visitor = await _half(portal)
    answers = await asyncio.gather(
        *(signing_in.confirm_code(portal, visitor, ORIGIN, phone.code) for _ in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(a, str) for a in answers) == 1


async def test_a_code_ends_after_ten_minutes(portal, phone, register, monkeypatch):
    await register()
    visitor = await _half(portal)
    late = signing_in.now() + timedelta(minutes=10, seconds=1)
    for module in (signing_in, sms_codes):
        monkeypatch.setattr(module, "now", lambda: late)
    with pytest.raises(Invalid):
        await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)


async def test_a_session_ends_without_use_and_in_any_case(portal, phone, register, monkeypatch):
    await register()
    cookie = await signing_in.confirm_code(portal, await _half(portal), ORIGIN, phone.code)
    begun = signing_in.now()

    def at(**passed: int) -> None:
        for module in (signing_in, sms_codes):
            monkeypatch.setattr(module, "now", lambda: begun + timedelta(**passed))

    at(minutes=29)
    visitor = await signing_in.resume(portal, cookie)
    assert visitor is not None
    at(minutes=58)  # it was used at 29
    assert await signing_in.resume(portal, cookie) is not None
    at(minutes=89)
    assert await signing_in.resume(portal, cookie) is None
    at(hours=12, minutes=1)
    assert await signing_in.resume(portal, cookie) is None


@pytest.fixture
def statements(monkeypatch) -> list[str]:
    """Every statement that is sent from here on."""
    sent: list[str] = []
    for method in ("execute", "fetch", "fetchrow", "fetchval"):
        real = getattr(asyncpg.Connection, method)

        def noting(self, query, *args, _real=real, **kwargs):
            sent.append(query)
            return _real(self, query, *args, **kwargs)

        monkeypatch.setattr(asyncpg.Connection, method, noting)
    return sent


@pytest.mark.parametrize("shared", [True, False])
async def test_an_unknown_username_costs_the_same_work(
    portal, register, firm, monkeypatch, statements, shared
):
    await register()
    await register("dicht@bakkerij.example", mobile="06 12345679")
    await people.disable(portal, firm, "dicht@bakkerij.example")
    verified: list[bool] = []
    real = type(portal.passwords).verify

    async def counting(self, hashed, password):
        verified.append(hashed is not None)
        return await real(self, hashed, password)

    monkeypatch.setattr(type(portal.passwords), "verify", counting)
    said = []
    for local in ("sanne@bakkerij", "niemand@nergens", "dicht@bakkerij"):
        statements.clear()
        with pytest.raises(Invalid) as told:
            await signing_in.check_password(
                portal, None if shared else firm, f"{local}.example", "verkeerd", ORIGIN
            )
        said.append((told.value.faults, list(statements)))
    assert said[0] == said[1] == said[2]
    assert len(said[0][1]) > 5
    assert verified == [True, False, True]  # one each; the second for nothing


async def test_a_hundred_wrong_passwords_stop_it_until_a_mailed_link(
    portal, phone, register, firm, dsn, monkeypatch
):
    monkeypatch.setattr(
        throttle, "CONSECUTIVE", dataclasses.replace(throttle.CONSECUTIVE, burst=3)
    )
    username = await register()
    for _ in range(2):
        with pytest.raises(Invalid):
            await signing_in.check_password(portal, firm, username, "verkeerd", ORIGIN)
    await _half(portal)  # a right one starts anew
    for _ in range(4):
        with pytest.raises(Invalid) as wrong:
            await signing_in.check_password(portal, firm, username, "verkeerd", ORIGIN)
    with pytest.raises(Invalid) as right:
        await signing_in.check_password(portal, firm, username, PASSWORD, ORIGIN)
    assert right.value.faults == wrong.value.faults
    async with portal.db.tenant(firm.id) as c:
        told = "select count(*) from outbox where event = 'password_stopped'"
        assert await c.fetchval(told) == 1
    new = "paarse olifant danst zacht"
    await people.forgot_password(portal, firm, username, ORIGIN)
    await people.choose_password(portal, firm.id, await link(portal), new, new)
    assert await signing_in.check_password(portal, firm, username, new, ORIGIN)


async def test_a_password_that_changes_in_between_opens_nothing(
    portal, register, firm, monkeypatch
):
    username = await register()
    real = type(portal.passwords).verify

    async def changing(self, hashed, password):
        right = await real(self, hashed, password)
        async with portal.db.tenant(firm.id) as c:
            await c.execute("update person set password = 'another'")
        return right

    monkeypatch.setattr(type(portal.passwords), "verify", changing)
    with pytest.raises(Invalid):
        await signing_in.check_password(portal, firm, username, PASSWORD, ORIGIN)
    async with portal.db.tenant(firm.id) as c:
        assert await c.fetchval("select count(*) from session") == 0


async def test_an_old_hash_is_made_anew_at_a_right_password(portal, register, firm):
    username = await register()
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    old = weak.hash(portal.keys.digest("password", PASSWORD))
    async with portal.db.tenant(firm.id) as c:
        await c.execute("update person set password = $1", old)
    assert await _half(portal, username)
    async with portal.db.tenant(firm.id) as c:
        hashed = await c.fetchval("select password from person")
    assert "m=19456,t=2,p=1" in hashed
    assert await portal.passwords.verify(hashed, PASSWORD)


async def test_a_choice_of_firm_ends_with_the_password(portal, phone, register, monkeypatch):
    username = await register()
    await register(username, firm="wilgenhof", klanten=(Klant("9", "Elders B.V."),))
    choice = await signing_in.check_password(portal, None, username, PASSWORD, ORIGIN)
    assert isinstance(choice, Choice)
    assert {f.id for f in choice.firms} == {"eikenhof", "wilgenhof"}
    assert phone.messages == []  # no code before the choice
    half = await signing_in.choose_firm(portal, choice.ticket, "wilgenhof", ORIGIN)
    assert half.cookie.startswith("wilgenhof.")
    async with portal.db.tenant("wilgenhof") as c:
        await c.execute("update person set password = 'another'")
    late = signing_in.now() + timedelta(minutes=6)
    for ticket, firm_id in ((choice.ticket, "wilgenhof"), (choice.ticket, "elders"), ("x", "y")):
        with pytest.raises(Invalid):
            await signing_in.choose_firm(portal, ticket, firm_id, ORIGIN)
    for module in (signing_in, sms_codes):
        monkeypatch.setattr(module, "now", lambda: late)
    with pytest.raises(Invalid):
        await signing_in.choose_firm(portal, choice.ticket, "eikenhof", ORIGIN)


async def test_a_code_is_nothing_once_the_sign_in_was_broken_off(portal, phone, register):
    await register()
    visitor = await _half(portal)
    await signing_in.sign_out(portal, visitor)
    with pytest.raises(Invalid):
        await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)
    async with portal.db.tenant("eikenhof") as c:
        assert await c.fetchval("select count(*) from session") == 0


async def test_a_code_of_one_purpose_and_subject_is_none_of_another(portal, phone, register):
    await register()
    visitor = await _half(portal)
    late = signing_in.now()
    async with portal.db.tenant("eikenhof") as c:
        for purpose, subject in (("approving", ""), ("signing_in", "hash"), ("", "")):
            assert await codes.take_try(c, visitor.digest, purpose, subject, late) is None
        other = sms_codes._digest(
            portal, visitor, "signing_in", "hash", phone.code.replace("-", "")
        )
        tried = await codes.take_try(c, visitor.digest, "signing_in", "", late)
        assert tried is not None
        assert tried.digest != other


async def test_a_new_code_and_a_right_one_at_once_do_not_wait_for_each_other(
    portal, phone, register, monkeypatch
):
    monkeypatch.setattr(code_rules, "COOL_DOWN", timedelta(0))
    for n in range(8):
        name = await register(f"p{n}@bakkerij.example", mobile=f"06 1234510{n}")
        visitor = await _half(portal, name)
        answers = await asyncio.gather(
            signing_in.confirm_code(portal, visitor, ORIGIN, phone.code),
            signing_in.send_code(portal, visitor),
            return_exceptions=True,
        )
        assert all(a is None or isinstance(a, (str, Invalid)) for a in answers), answers


async def test_a_provider_that_breaks_leaves_no_code(portal, phone, register, monkeypatch):
    await register()

    async def breaking(*_: str) -> None:
        raise KeyError("an answer of another shape")

    monkeypatch.setattr(phone, "_send", breaking)
    half = await signing_in.check_password(
        portal, None, "sanne@bakkerij.example", PASSWORD, ORIGIN
    )
    assert half.sms == sms_codes.SMS_FAILED
    async with portal.db.tenant("eikenhof") as c:
        assert await c.fetchval("select count(*) from code where void_at is null") == 0


async def test_three_codes_a_sign_in_and_no_more(portal, phone, register, monkeypatch):
    await register()
    visitor = await _half(portal)
    begun = signing_in.now()
    for n, left in ((1, 1), (2, 0)):
        for module in (signing_in, sms_codes):
            monkeypatch.setattr(module, "now", lambda n=n: begun + timedelta(seconds=61 * n))
        await signing_in.send_code(portal, visitor)
        assert (await signing_in.resend_state(portal, visitor)).left == left
    for module in (signing_in, sms_codes):
        monkeypatch.setattr(module, "now", lambda: begun + timedelta(minutes=5))
    with pytest.raises(TooMany):
        await signing_in.send_code(portal, visitor)
    assert len(phone.messages) == 3


async def test_a_number_gets_no_more_than_its_share(portal, phone, register):
    await register()
    few = dataclasses.replace(portal, sms_limits=throttle.per_number(3, 10))
    answers = await asyncio.gather(
        *(
            signing_in.check_password(few, None, "sanne@bakkerij.example", PASSWORD, ORIGIN)
            for _ in range(5)
        )
    )
    assert len(phone.messages) == 3
    assert sorted(a.sms for a in answers) == ["", "", "", *[signing_in.NO_MORE_SENDS] * 2]


async def test_every_session_of_a_person_ends_at_once(portal, phone, register, firm):
    await register()
    cookies = []
    for _ in range(3):
        visitor = await _half(portal)
        cookies.append(await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code))
    assert await signing_in.revoke_all(portal, firm, visitor.person_id) == 3
    assert [await signing_in.resume(portal, cookie) for cookie in cookies] == [None] * 3


async def test_last_time_is_the_time_before(portal, phone, register):
    await register()
    seen = []
    for _ in range(3):
        cookie = await signing_in.confirm_code(portal, await _half(portal), ORIGIN, phone.code)
        visitor = await signing_in.resume(portal, cookie)
        seen.append(visitor.previous_login_at)
    assert seen[0] is None
    assert seen[1] < seen[2]


async def test_no_change_without_its_audit(portal, phone, register, firm, monkeypatch):
    """A row that cannot be written takes the change with it."""
    await register()
    visitor = await _half(portal)

    async def failing(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(audit, "record", failing)
    with pytest.raises(ZeroDivisionError):
        await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)
    with pytest.raises(ZeroDivisionError):
        await signing_in.deactivate(portal, visitor)
    monkeypatch.undo()
    assert await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "'; drop table person; --", "x" * 9999, ""])
async def test_strange_text_is_just_wrong(portal, register, firm, text):
    await register()
    for username, word in ((text, "x"), ("sanne@bakkerij.example", text)):
        with pytest.raises(Invalid):
            await signing_in.check_password(portal, None, username, word, From("x", text))
    await people.forgot_password(portal, firm, text, ORIGIN)
    half = await signing_in.check_password(
        portal, firm, "sanne@bakkerij.example", PASSWORD, From("x", text)
    )
    assert half.cookie


async def test_a_throttle_is_exact_whoever_comes_at_once(portal):
    async def take() -> float:
        async with portal.db.connection() as c:
            return await store_throttle.take(c, "sleutel", throttle.ACCOUNT)

    waits = await asyncio.gather(*(take() for _ in range(60)))
    assert sum(w == 0 for w in waits) == throttle.ACCOUNT.burst


async def test_wrong_passwords_are_stopped_and_right_ones_are_not(portal, register):
    await register()
    for _ in range(8):
        await _half(portal)
    refused = []
    for _ in range(8):
        with pytest.raises((Invalid, TooMany)) as told:
            await signing_in.check_password(
                portal, None, "sanne@bakkerij.example", "verkeerd", ORIGIN
            )
        refused.append(told.type)
    assert refused == [Invalid] * 5 + [TooMany] * 3


async def test_a_network_that_guesses_is_stopped_and_others_are_not(portal, register, monkeypatch):
    monkeypatch.setattr(throttle, "NETWORK", dataclasses.replace(throttle.NETWORK, burst=3))
    username = await register()
    for n in range(3):
        with pytest.raises(Invalid):
            await signing_in.check_password(
                portal, None, f"{n}@x.example", "verkeerd", From(f"198.51.100.{n}")
            )
    with pytest.raises(TooMany) as told:
        await signing_in.check_password(portal, None, username, PASSWORD, From("198.51.100.99"))
    assert 0 < told.value.retry_after <= 900
    assert await signing_in.check_password(portal, None, username, PASSWORD, ORIGIN)


async def test_access_that_is_taken_away_counts_at_once(portal, phone, register, firm):
    await register()
    cookie = await signing_in.confirm_code(portal, await _half(portal), ORIGIN, phone.code)
    await people.revoke(portal, firm, "sanne@bakkerij.example", "400100")
    visitor = await signing_in.resume(portal, cookie)
    assert visitor is not None
    assert (visitor.klanten, visitor.klant) == ((), None)
    await people.disable(portal, firm, "sanne@bakkerij.example")
    assert await signing_in.resume(portal, cookie) is None
    with pytest.raises(Invalid):
        await _half(portal)


@pytest.mark.parametrize(
    "cookie", ["eikenhof.\udc80", "", ".", "eikenhof.", "eikenhof", "x.y", "a.b.c", "\0", "é.é"]
)
async def test_cookies_that_open_nothing(portal, cookie):
    assert await signing_in.resume(portal, cookie) is None
