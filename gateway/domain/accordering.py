"""Who has to approve a stuk, in which order, and whether somebody may (features rows 17, 18)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

#: A mandate for every soort.
ALL = "*"


@dataclass(frozen=True, slots=True)
class Mandate:
    """A person may approve for a klant, for a soort, on days from `since` to `until` inclusive."""

    id: UUID
    person: UUID
    klant: str
    soort: str
    since: date
    until: date | None = None

    def holds(self, klant: str, soort: str, day: date) -> bool:
        """Whether it covers this klant and soort on a day."""
        return (
            self.klant == klant
            and self.soort in (ALL, soort)
            and self.since <= day
            and (self.until is None or day <= self.until)
        )


def mandated(mandates: Iterable[Mandate], klant: str, soort: str, day: date) -> frozenset[UUID]:
    """Everybody who may approve it that day."""
    return frozenset(m.person for m in mandates if m.holds(klant, soort, day))


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these people; of anybody with a mandate when nobody is named."""

    people: frozenset[UUID] = frozenset()
    need: int = 1

    def takes(self, person: UUID) -> bool:
        """Whether this person can fill a place in it."""
        return not self.people or person in self.people


@dataclass(frozen=True, slots=True)
class Rule:
    """Groups one after the other; the next begins when the one before is complete."""

    groups: tuple[Group, ...] = (Group(),)

    def faults(self) -> list[str]:
        """What is wrong with it, in Dutch; nobody fills two places, so names must suffice."""
        found = []
        for number, group in enumerate(self.groups, 1):
            if group.need < 1:
                found.append(f"Groep {number}: er is ten minste één akkoord nodig.")
            if group.people and group.need > len(group.people):
                found.append(f"Groep {number}: {group.need} van {len(group.people)} kan niet.")
        named = [p for g in self.groups for p in g.people if g.need == len(g.people)]
        if len(named) != len(set(named)):
            found.append("Iemand staat in twee groepen waarin iedereen akkoord moet geven.")
        return found if self.groups else ["Er is ten minste één groep nodig."]

    def places(self, given: Sequence[UUID]) -> list[list[UUID]]:
        """Who filled a place in each group: approvals in the order they came, each person once."""
        filled: list[list[UUID]] = [[] for _ in self.groups]
        seen: set[UUID] = set()
        for person in given:
            at = self._turn(filled)
            if person not in seen and at is not None and self.groups[at].takes(person):
                filled[at].append(person)
                seen.add(person)
        return filled

    def _turn(self, filled: Sequence[Sequence[UUID]]) -> int | None:
        """The group whose turn it is; None when all are complete."""
        numbers = range(len(self.groups))
        return next((i for i in numbers if len(filled[i]) < self.groups[i].need), None)

    def complete(self, given: Sequence[UUID]) -> bool:
        """Whether nothing is missing."""
        return self._turn(self.places(given)) is None

    def may(self, person: UUID, given: Sequence[UUID]) -> bool:
        """Whether this person can fill a place now: his group's turn, and not yet in any."""
        filled = self.places(given)
        at = self._turn(filled)
        return (
            at is not None
            and self.groups[at].takes(person)
            and not any(person in group for group in filled)
        )

    def waiting(self, given: Sequence[UUID]) -> frozenset[UUID] | None:
        """Named people whose turn it is; empty: anybody with a mandate; None: nobody."""
        filled = self.places(given)
        at = self._turn(filled)
        if at is None:
            return None
        group = self.groups[at]
        return group.people - set(filled[at]) if group.people else frozenset()

    @property
    def needed(self) -> int:
        """Approvals in all."""
        return sum(g.need for g in self.groups)

    def to_json(self) -> list[dict[str, Any]]:
        """As it is stored and stands in the proof."""
        return [{"people": sorted(map(str, g.people)), "need": g.need} for g in self.groups]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> "Rule":
        """The rule of `to_json`."""
        return cls(tuple(Group(frozenset(map(UUID, g["people"])), int(g["need"])) for g in data))
