"""Argon2id over a keyed hash, in threads of its own.

A stolen database alone gives nothing to guess against: the key (pepper) is not in it. The
threads are few, for each hash takes 19 MiB and a core for tens of milliseconds; forty people
signing in at once wait for one another, and the event loop for none of them.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.low_level import Type

from gateway.domain.keys import Keys
from gateway.domain.password import fault, normal

P = ParamSpec("P")
T = TypeVar("T")

#: OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


class Passwords:
    """Hashes and verifies; never on the event loop."""

    def __init__(self, keys: Keys, workers: int = 2) -> None:
        self._keys = keys
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._dummy = _HASHER.hash(self._peppered("nobody has this password"))

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        return await self._run(_HASHER.hash, self._peppered(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash, the same work for nothing: the time an
        answer takes does not tell whether a username exists."""
        right = await self._run(_verified, hashed or self._dummy, self._peppered(password))
        return right and hashed is not None

    async def fault(self, password: str, policy: str, words: Iterable[str]) -> str | None:
        """What is wrong with a new password (gateway.domain.password.fault)."""
        return await self._run(fault, password, policy, tuple(words))

    @staticmethod
    def outdated(hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(hashed)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _peppered(self, password: str) -> str:
        return self._keys.digest("password", normal(password))

    async def _run(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)


def _verified(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except VerificationError:
        return False
