"""Codes and throttles under attack; pages' own tests walk the ordinary ways."""

import asyncio
from datetime import timedelta

import pytest

from gateway.domain import throttle
from gateway.errors import Invalid, TooMany
from gateway.flows import people, signing_in
from gateway.flows.signing_in import From, Half, Visitor
from gateway.store import codes
from gateway.store import throttle as store_throttle
from tests.pages.conftest import PASSWORD

ORIGIN = From("192.0.2.7", "test")


async def _half(portal, username="sanne@bakkerij.example", firm=None) -> Visitor:
    half = await signing_in.check_password(portal, firm, username, PASSWORD, ORIGIN)
    assert isinstance(half, Half)
    visitor = await signing_in.resume(portal, half.cookie)
    assert visitor is not None
    return visitor


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
    monkeypatch.setattr(signing_in, "now", lambda: late)
    with pytest.raises(Invalid):
        await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)


async def test_a_session_ends_without_use_and_in_any_case(portal, phone, register, monkeypatch):
    await register()
    cookie = await signing_in.confirm_code(portal, await _half(portal), ORIGIN, phone.code)
    begun = signing_in.now()

    def at(**passed: int) -> None:
        monkeypatch.setattr(signing_in, "now", lambda: begun + timedelta(**passed))

    at(minutes=29)
    visitor = await signing_in.resume(portal, cookie)
    assert visitor is not None
    at(minutes=58)  # it was used at 29
    assert await signing_in.resume(portal, cookie) is not None
    at(minutes=89)
    assert await signing_in.resume(portal, cookie) is None
    at(hours=12, minutes=1)
    assert await signing_in.resume(portal, cookie) is None


async def test_an_unknown_username_costs_the_same_work(portal, register, monkeypatch):
    await register()
    verified: list[bool] = []
    real = type(portal.passwords).verify

    async def counting(self, hashed, password):
        verified.append(hashed is not None)
        return await real(self, hashed, password)

    monkeypatch.setattr(type(portal.passwords), "verify", counting)
    said = []
    for username in ("sanne@bakkerij.example", "niemand@nergens.example"):
        with pytest.raises(Invalid) as told:
            await signing_in.check_password(portal, None, username, "verkeerd", ORIGIN)
        said.append(told.value.faults)
    assert said[0] == said[1]
    assert verified == [True, False]  # one verification each; the second for nothing


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


@pytest.mark.parametrize("cookie", ["", ".", "eikenhof.", "eikenhof", "x.y", "a.b.c", "\0", "é.é"])
async def test_cookies_that_open_nothing(portal, cookie):
    assert await signing_in.resume(portal, cookie) is None
