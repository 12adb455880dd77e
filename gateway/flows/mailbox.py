"""A round of a mailbox: look, take what is complete and has stayed the same, move it away.

The order is what keeps a file from being taken twice or lost: first the verdict and the ledger in
one transaction, then the reason beside a refused one, then the move, then that it was moved. A
file in the inbox that the ledger knows is only moved.
"""

import asyncio
import itertools
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway import log
from gateway.connector.contract import Capability, Entry, Page, Place
from gateway.domain import mailbox as rules
from gateway.domain import sidecar
from gateway.domain.firm import Firm
from gateway.domain.mailbox import Bundle, File, Mailbox
from gateway.domain.sidecar import Note, Sidecar
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    NotFound,
    PermissionDenied,
    PortalError,
    SourceError,
    TooMany,
)
from gateway.flows.mailbox_intake import (
    Away,
    Gone,
    Opened,
    Overtaken,
    Stuck,
    Taking,
    Verdict,
    version_of,
)
from gateway.flows.portal import Portal
from gateway.flows.visitor import now
from gateway.scan import ScannerDown
from gateway.store import mailboxes

#: Files that are looked at in a round, and asked for at once in the ledger.
MOST, CHUNK = 10_000, 1000
#: Sets in a row that a source would not give or take, before a round asks it no more.
MISSES = 3
#: Seconds until a set is tried again that has nowhere to go.
AGAIN = 300.0
_TOKEN = f"{rules.OWN}mailbox"
_NEEDED = Capability.WRITE | Capability.MOVE
_TELLING = Capability.VERSION | Capability.SIZE_KNOWN


#: Files as they were: their ids, and what changes when they do.
Key = tuple[tuple[str, tuple[object, ...]], ...]


@dataclass(slots=True)
class _Seen:
    """version: what it was; since: it has been so."""

    version: tuple[object, ...]
    since: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How much of an inbox is no file to be taken. names: those that no address can lead back to
    (no Unicode, links, pipes). below: files in folders of the inbox."""

    names: int = 0
    below: int = 0

    def after(self, box: Mailbox, page: Page) -> "LeftOut":
        """With the next page of a listing; it may count names that one before it did too."""
        inbox = tuple(box.folder.split("/"))
        below = sum(e.folder != inbox for e in page.entries)
        return LeftOut(max(self.names, page.left_out), self.below + below)

    def __str__(self) -> str:
        """As operations read it; "" when there is nothing."""
        names = f"{self.names} names that cannot be read back, or links" if self.names else ""
        below = f"{self.below} files in folders below it" if self.below else ""
        return ", ".join(filter(None, (names, below)))


class Watch:
    """What one process remembers of a mailbox between rounds: since when each file stays the
    same, the notes that it read, what was missed, and what was left out."""

    def __init__(self, clock: Callable[[], float] | None = None, *, patient: bool = True) -> None:
        """patient: wait until files have settled; else they are taken as they are."""
        self._clock = clock or asyncio.get_running_loop().time
        self._patient = patient
        self._seen: dict[str, _Seen] = {}
        self.notes: dict[str, tuple[tuple[object, ...], Note | None]] = {}
        self.left_out = LeftOut()
        self._missed: dict[Key, tuple[int, float]] = {}
        self._turn = itertools.count(1)

    def miss(self, key: Key, wait: float = 0.0) -> None:
        """To be tried after all others, and not within so many seconds."""
        self._missed[key] = next(self._turn), self._clock() + wait

    def due(self, key: Key) -> bool:
        """Whether it may be tried now."""
        return key not in self._missed or self._missed[key][1] <= self._clock()

    def turn(self, key: Key) -> int:
        """What to sort by: those that were never missed come first, then the longest ago."""
        return self._missed[key][0] if key in self._missed else 0

    def forget(self, there: Collection[str]) -> None:
        """What was missed of files that are there no more. there: their ids."""
        self._missed = {k: v for k, v in self._missed.items() if all(id in there for id, _ in k)}

    def look(self, entries: Sequence[Entry]) -> list[File]:
        """The files, and how long each has stayed the same; forgets those that are gone."""
        at, before = self._clock(), self._seen
        self._seen = {}
        files: list[File] = []
        for entry in entries:
            version = version_of(entry)
            seen = before.get(entry.id)
            if seen is None or seen.version != version:
                seen = _Seen(version, at)
            self._seen[entry.id] = seen
            still = at - seen.since if self._patient else float("inf")
            files.append(File(entry.id, entry.name, still))
        self.notes = {k: v for k, v in self.notes.items() if k in self._seen}
        return files


@dataclass(frozen=True, slots=True)
class Took:
    """One set: the name of its leading file, and what became of it."""

    name: str
    verdict: Verdict


@dataclass(slots=True)
class Round:
    """What a round did. waiting: files that are left for another one; missed: of those, the name
    of a leading one and why it was not taken. trouble: why it ended early; "" when it did not."""

    took: list[Took] = field(default_factory=list)
    waiting: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    left_out: LeftOut = LeftOut()
    trouble: str = ""


def opened(portal: Portal, firm: Firm, box: Mailbox) -> Opened:
    """The mailbox, ready to be worked on. Raises Away."""
    try:
        source = portal.sources.get(firm.id, box.source)
    except SourceError as e:
        raise Away(f"not opened: {e.code}", box.source) from None
    if _NEEDED not in source.capabilities:
        raise Away("the source cannot be written, or cannot move a file", box.source)
    if not source.capabilities & _TELLING:
        raise Away("the source does not tell when a file changes", box.source)
    return Opened(portal, firm, box, source, Place("", box.place, box.folders))


async def run(
    portal: Portal,
    firm: Firm,
    box: Mailbox,
    watch: Watch,
    stop: Callable[[], bool] = lambda: False,
) -> Round | None:
    """One round; None when another worker is at it. Raises DatabaseDown. stop: asked between
    two sets."""
    async with mailboxes.claimed(portal.db, firm.id, box.id) as mine:
        if not mine:
            return None
        done = Round()
        try:
            await _Work(opened(portal, firm, box), watch, done, stop).work()
        except (Away, ScannerDown, TooMany, SourceError) as e:
            done.trouble = str(e)
            log.get().warning(
                "mailbox_waits", firm=firm.id, mailbox=box.id, error=str(e), waiting=done.waiting
            )
        return done


async def probe(at: Opened) -> None:
    """Whether files can be moved out of the inbox, and into the other two: a file of our own
    goes round. Raises Away."""
    box, name = at.box, _TOKEN
    body = _text(f"Van het portaal, voor postbus {box.id}; laat dit bestand staan.\r\n")
    try:
        for folder in (box.failed, box.done):  # the other is where one died half-way
            if await _stands(at, folder, name):
                await at.source.move(at.place, f"{folder}/{name}", box.folder, name)
                break
        else:
            await at.source.put(at.place, box.folder, name, body, if_absent=False)
        entry = await at.source.move(at.place, f"{box.folder}/{name}", box.failed, name)
        await at.source.move(at.place, entry.id, box.done, name)
    except SourceError as e:
        what = f"a folder cannot be written: {e.code} {e.native}".strip()
        raise Away(what, box.source) from None


async def _stands(at: Opened, folder: str, name: str) -> bool:
    try:
        await at.source.stat(at.place, f"{folder}/{name}")
    except PermissionDenied:
        raise
    except NotFound:
        return False
    return True


async def _text(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


@dataclass(slots=True)
class _Work:
    """A round under way. unread: notes that could not be read. misses: in a row, by source.
    away: why one of those is asked no more."""

    at: Opened
    watch: Watch
    done: Round
    stop: Callable[[], bool]
    entries: dict[str, Entry] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    misses: Counter[str] = field(default_factory=Counter)
    away: Away | None = None

    async def work(self) -> None:
        """Raises Away, ScannerDown, TooMany, SourceError."""
        self.entries = {e.id: e for e in await self._list()}
        self.watch.forget(self.entries)
        left = await self._left()
        for id in left:
            self.entries.pop(id)
        files = self.watch.look(list(self.entries.values()))
        notes = await self._notes(files)
        ready = [b for b in rules.bundles(self.at.box, files, notes)
                 if rules.is_ready(self.at.box, b) and self._due(b)]  # fmt: skip
        self.done.waiting = len(files) + len(left)
        if ready or left:
            await probe(self.at)
            self.misses.clear()  # it works: what was missed until now are a few notes
            self.away = None
        for bundle in sorted(ready, key=lambda b: self.watch.turn(self._key(b))):
            if self.stop():
                return
            await self._take(bundle)
        # After the sets: a few files that will not move must not keep others from coming in.
        for entry, verdict in sorted(left.values(), key=lambda o: self.watch.turn(_key(o[0]))):
            await self._out(entry, verdict)
        if self.away is not None:
            raise self.away

    def _key(self, bundle: Bundle) -> Key:
        return _key(*(self.entries[f.id] for f in bundle.files))

    def _due(self, bundle: Bundle) -> bool:
        """Whether it may be tried. One whose note was not read would be taken for another."""
        unread = any(f.id in self.unread for f in bundle.files)
        return not unread and self.watch.due(self._key(bundle))

    async def _list(self) -> list[Entry]:
        """The files of the inbox itself, page by page."""
        at, found = self.at, list[Entry]()
        place = Place("", at.place.root, (at.box.folder,))
        inbox, page = tuple(at.box.folder.split("/")), None
        while True:
            some = await at.source.list(place, page=page)
            found += [e for e in some.entries if e.folder == inbox and not at.box.leaves(e.name)]
            self.done.left_out = self.done.left_out.after(at.box, some)
            page = some.next
            if page is None or len(found) >= MOST:
                break
        if self.done.left_out != self.watch.left_out:
            self.watch.left_out = self.done.left_out
            log.get().warning(
                "mailbox_left_out", firm=at.firm.id, mailbox=at.box.id,
                names=self.done.left_out.names, below=self.done.left_out.below,
            )  # fmt: skip
        return found[:MOST]

    async def _left(self) -> dict[str, tuple[Entry, Verdict]]:
        """Files that were taken and not moved, by id."""
        at, found = self.at, dict[str, tuple[Entry, Verdict]]()
        digests = {at.digest(e): e for e in self.entries.values()}
        some = list(digests)
        for start in range(0, len(some), CHUNK):
            async with at.portal.db.tenant(at.firm.id) as c:
                known = await mailboxes.done(c, at.box.id, some[start : start + CHUNK])
            for digest, one in known.items():
                if not one.moved:
                    sealed = one.faults_sealed
                    faults = json.loads(at.portal.keys.open("faults", sealed)) if sealed else {}
                    entry = digests[digest]
                    found[entry.id] = entry, Verdict(one.outcome, one.stuk, faults)
        return found

    # --- notes

    async def _notes(self, files: Sequence[File]) -> dict[str, Sidecar | None]:
        """What the notes say, by id; those that have not settled yet are not read."""
        found: dict[str, Sidecar | None] = {}
        for file in sorted(files, key=lambda f: self.watch.turn(_key(self.entries[f.id]))):
            kind = rules.ending(file.name)
            if kind not in ("json", "xml"):
                continue
            if file.still < self.at.box.settle_seconds:
                if kind == "json":
                    found[file.id] = None
                continue
            entry = self.entries[file.id]
            known = self.watch.notes.get(file.id)
            if known is None or known[0] != version_of(entry):
                await self._read_note(entry, kind)
                known = self.watch.notes.get(file.id)
            if known is None:
                found[file.id] = None  # it keeps its set together, which waits with it
            elif known[1] is not None:
                found[file.id] = known[1].said
        return found

    async def _read_note(self, entry: Entry, kind: str) -> None:
        self.watch.notes.pop(entry.id, None)
        self.unread.add(entry.id)
        if self.misses[self.at.box.source] >= MISSES or not self.watch.due(_key(entry)):
            return
        try:
            data = await self._whole(entry)
        except Gone as e:
            self._missed(e, entry)
            return
        except Stuck as e:
            self._missed(e, entry, wait=AGAIN)
            return
        except Away as e:  # the round goes on: it may be this file alone
            self._missed(e, entry)
            self._count(e)
            return
        note: Note | None = None
        if kind == "json":
            note = sidecar.of_json(data) if data is not None else sidecar.TOO_LARGE
        elif data is not None:
            note = await asyncio.to_thread(sidecar.of_xml, data)
        self.watch.notes[entry.id] = version_of(entry), note
        self.unread.discard(entry.id)
        self.misses.pop(self.at.box.source, None)

    async def _whole(self, entry: Entry) -> bytes | None:
        """A small file; None when it is not."""
        if entry.size is not None and entry.size > sidecar.MOST:
            return None
        data = bytearray()
        async with aclosing(self.at.pieces(entry)) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > sidecar.MOST:
                    return None
        return bytes(data)

    # --- taking

    async def _take(self, bundle: Bundle) -> None:
        """One set, and out of the inbox with it."""
        note, faults = self._note(bundle)
        taking = Taking(self.at, bundle, self.entries, note, faults)
        files = [self.entries[f.id] for f in bundle.files]
        own = self.at.box.source
        if max(self.misses[own], self.misses[taking.target]) >= MISSES:
            return
        try:
            verdict = await taking.take()
        except (Gone, Overtaken) as e:
            self._missed(e, *files)
            return
        except Stuck as e:
            self._missed(e, *files, wait=AGAIN)
            return
        except Away as e:
            self._missed(e, *files)
            self._count(e)
            return
        except (PortalError, asyncio.CancelledError):
            self.watch.miss(_key(*files))  # the scanner may be down for this one alone
            raise
        except Exception as e:  # a file that trips us must not keep the others from coming in
            self.watch.miss(_key(*files), AGAIN)
            log.get().error(
                "mailbox_surprise", firm=self.at.firm.id, mailbox=self.at.box.id, exc_info=e
            )
            return
        log.get().info(
            "mailbox_took", firm=self.at.firm.id, mailbox=self.at.box.id,
            outcome=verdict.outcome, stuk=str(verdict.stuk) if verdict.stuk else None,
            faults=len(verdict.faults),
        )  # fmt: skip
        if taking.target != own:  # that one must move files too
            self.misses.pop(taking.target, None)
        self.done.took.append(Took(bundle.lead.name, verdict))
        for entry in files:
            await self._out(entry, verdict)

    def _note(self, bundle: Bundle) -> tuple[Sidecar | None, dict[str, str]]:
        if bundle.note is None or bundle.note.id not in self.watch.notes:
            return None, {}
        _, note = self.watch.notes[bundle.note.id]
        if note is None:
            return None, {}
        return note.said, {f"{bundle.note.name}, {k}": v for k, v in note.faults.items()}

    def _missed(self, why: PortalError, *files: Entry, wait: float = 0.0) -> None:
        """They stay in the inbox for now."""
        self.watch.miss(_key(*files), wait)
        self.done.missed.append((files[0].name, str(why)))
        log.get().warning(
            "mailbox_left", firm=self.at.firm.id, mailbox=self.at.box.id,
            files=len(files), error=str(why),
        )  # fmt: skip

    def _count(self, why: Away) -> None:
        """A source failed once more."""
        self.misses[why.source] += 1
        if self.misses[why.source] >= MISSES:
            self.away = why

    async def _out(self, entry: Entry, verdict: Verdict) -> None:
        """Out of the inbox, or left for another round."""
        own = self.at.box.source
        if self.misses[own] >= MISSES:
            return
        try:
            await self._away(entry, verdict)
        except Away as e:
            self._missed(e, entry)
            self._count(e)
            return
        self.misses.pop(own, None)
        self.done.waiting -= 1

    async def _away(self, entry: Entry, verdict: Verdict) -> None:
        """Out of the inbox, under a name that is free. Raises Away."""
        at, box = self.at, self.at.box
        refused = verdict.outcome == "refused"
        folder = box.failed if refused else box.done
        # Few are asked for: with the sixth there is none of that name.
        for mark in (1, 2, 3, 4, at.digest(entry)[:8], secrets.token_hex(8)):
            name = rules.other(rules.plain(entry.name), mark)
            try:
                if await _stands(at, folder, name):
                    continue
                if refused:
                    text = rules.reason(box, entry.name, verdict.faults, now())
                    await at.source.put(
                        at.place, folder, f"{name}.reden.txt", _text(text), if_absent=False
                    )
                if entry.version is None:  # such a source compares nothing by itself
                    now_there = await at.source.stat(at.place, entry.id)
                    if version_of(now_there) != version_of(entry):
                        raise ConditionFailed
                await at.source.move(at.place, entry.id, folder, name, version=entry.version)
                break
            except AlreadyExists:
                continue
            except PermissionDenied as e:
                raise Away(f"a file cannot be moved: {e.code}", box.source) from None
            except (NotFound, ConditionFailed):  # it went, or another has its name by now
                break
            except SourceError as e:
                raise Away(f"a file cannot be moved: {e.code}", box.source) from None
        else:
            raise Away("a file cannot be moved: no name is free", box.source)
        async with at.portal.db.tenant(at.firm.id) as c:
            await mailboxes.moved(c, box.id, at.digest(entry))


def _key(*files: Entry) -> Key:
    return tuple((e.id, version_of(e)) for e in files)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of a mailbox found. said: by what was looked at."""

    id: str
    ok: bool
    said: Mapping[str, str]


async def check(portal: Portal, firm: Firm, box: Mailbox) -> Finding:
    """Whether a mailbox can work: reached, listed, written. Leaves a file of our own in `done`."""
    said: dict[str, str] = {}
    try:
        at = opened(portal, firm, box)
        place = Place("", at.place.root, (box.folder,))
        page = await at.source.list(place, limit=1000)
        inbox = tuple(box.folder.split("/"))
        count = sum(e.folder == inbox and not box.leaves(e.name) for e in page.entries)
        said["reachable"] = f"yes, {'more than ' if page.next else ''}{count} files"
        if out := str(LeftOut().after(box, page)):
            said["left_out"] = out
        async with mailboxes.claimed(portal.db, firm.id, box.id) as mine:
            if mine:
                await probe(at)
        said["writable"] = "yes" if mine else "a worker is at it"
    except (Away, SourceError) as e:
        said["writable" if "reachable" in said else "reachable"] = f"no: {e}"
        return Finding(box.id, False, said)
    return Finding(box.id, True, said)
