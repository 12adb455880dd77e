"""The opened sources of every firm."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway import log
from gateway.connector import registry
from gateway.connector.context import Context
from gateway.connector.egress import EgressPolicy
from gateway.connector.guard import Guarded, Limits
from gateway.domain.firm import Firm, Source
from gateway.errors import SourceError


class Sources:
    """Sources by firm and id. A source that cannot be opened is told by `failure`, and the
    portal runs on without it."""

    def __init__(
        self,
        opened: Mapping[tuple[str, str], Guarded],
        failures: Mapping[tuple[str, str], SourceError],
    ) -> None:
        self._opened = dict(opened)
        self._failures = dict(failures)

    @classmethod
    async def open(
        cls,
        firms: Iterable[Firm],
        egress: EgressPolicy,
        base: Path,
        options: Callable[[Source], Any],
    ) -> "Sources":
        """Open every source of every firm.

        base: folder that relative paths in options start from. options: gives the checked
        options of a source (gateway.settings knows the models).
        """
        opened: dict[tuple[str, str], Guarded] = {}
        failures: dict[tuple[str, str], SourceError] = {}
        for firm in firms:
            for source in firm.sources:
                key = firm.id, source.id
                context = Context("/".join(key), egress=egress, base=base)
                try:
                    connector = await registry.find(source.kind).open(options(source), context)
                except SourceError as e:
                    await context.aclose()
                    failures[key] = e
                    log.get(source="/".join(key)).error("source_not_opened", error=str(e))
                    continue
                limits = Limits(**source.limits.model_dump())
                opened[key] = Guarded("/".join(key), connector, context, limits)
        return cls(opened, failures)

    def get(self, firm: str, source: str) -> Guarded:
        """The source. Raises what opening it raised; KeyError when there is none."""
        if (firm, source) in self._failures:
            raise self._failures[firm, source]
        return self._opened[firm, source]

    def all(self) -> Mapping[tuple[str, str], Guarded]:
        """Every opened source."""
        return self._opened

    def failures(self) -> Mapping[tuple[str, str], SourceError]:
        """Every source that could not be opened, with why."""
        return self._failures

    async def aclose(self) -> None:
        """Close them all; one that fails does not keep the others open."""
        for guarded in self._opened.values():
            try:
                await guarded.aclose()
            except Exception as e:  # a connector of a stranger may raise anything here
                log.get(source=guarded.name).warning("source_not_closed", error=str(e))
