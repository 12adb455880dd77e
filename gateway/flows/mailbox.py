"""A round of a mailbox: look, take what is complete and has stayed the same, move it away.

The order is what keeps a file from being taken twice or lost: first the verdict and the ledger in
one transaction, then the reason beside a refused one, then the move, then that it was moved. A
file in the inbox that the ledger knows is only moved.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway import log
from gateway.connector.contract import Capability, Entry, Place
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
)
from gateway.flows.mailbox_intake import Away, Gone, Opened, Overtaken, Taking, Verdict, version_of
from gateway.flows.portal import Portal
from gateway.flows.visitor import now
from gateway.scan import ScannerDown
from gateway.store import mailboxes

#: Files that are looked at in a round, and asked for at once in the ledger.
MOST, CHUNK = 10_000, 1000
#: Sets in a row that a source would not give or take, before a round ends.
MISSES = 3
#: Other names that are tried for a file that is moved.
NAMES = 1000
_TOKEN = f"{rules.OWN}mailbox"
_NEEDED = Capability.WRITE | Capability.MOVE
_TELLING = Capability.VERSION | Capability.SIZE_KNOWN


@dataclass(slots=True)
class _Seen:
    """version: what it was; since: it has been so."""

    version: tuple[object, ...]
    since: float


class Watch:
    """What one process remembers of a mailbox between rounds: since when each file stays the
    same, and the notes that it read."""

    def __init__(self, clock: Callable[[], float] | None = None, *, patient: bool = True) -> None:
        """patient: wait until files have settled; else they are taken as they are."""
        self._clock = clock or asyncio.get_running_loop().time
        self._patient = patient
        self._seen: dict[str, _Seen] = {}
        self.notes: dict[str, tuple[tuple[object, ...], Note | None]] = {}

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
    """What a round did. waiting: files that are left for another one. trouble: why it ended
    early; "" when it did not."""

    took: list[Took] = field(default_factory=list)
    waiting: int = 0
    trouble: str = ""


def opened(portal: Portal, firm: Firm, box: Mailbox) -> Opened:
    """The mailbox, ready to be worked on. Raises Away."""
    try:
        source = portal.sources.get(firm.id, box.source)
    except SourceError as e:
        raise Away(f"not opened: {e.code}") from None
    if _NEEDED not in source.capabilities:
        raise Away("the source cannot be written, or cannot move a file")
    if not source.capabilities & _TELLING:
        raise Away("the source does not tell when a file changes")
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
        except (Away, ScannerDown, SourceError) as e:
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
        raise Away(f"a folder cannot be written: {e.code} {e.native}".strip()) from None


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
    """A round under way."""

    at: Opened
    watch: Watch
    done: Round
    stop: Callable[[], bool]
    entries: dict[str, Entry] = field(default_factory=dict)
    misses: int = 0

    async def work(self) -> None:
        """Raises Away, ScannerDown, SourceError."""
        self.entries = {e.id: e for e in await self._list()}
        left = await self._left()
        for id in left:
            self.entries.pop(id)
        files = self.watch.look(list(self.entries.values()))
        notes = await self._notes(files)
        ready = [b for b in rules.bundles(self.at.box, files, notes)
                 if rules.is_ready(self.at.box, b)]  # fmt: skip
        self.done.waiting = len(files) + len(left)
        if not ready and not left:
            return
        await probe(self.at)
        for entry, verdict in left.values():
            await self._away(entry, verdict)
            self.done.waiting -= 1
        for bundle in ready:
            if self.stop():
                return
            await self._take(bundle)

    async def _list(self) -> list[Entry]:
        """The files of the inbox itself, page by page."""
        at, found = self.at, list[Entry]()
        place = Place("", at.place.root, (at.box.folder,))
        inbox, page = tuple(at.box.folder.split("/")), None
        while True:
            some = await at.source.list(place, page=page)
            found += [e for e in some.entries if e.folder == inbox and not at.box.leaves(e.name)]
            page = some.next
            if page is None or len(found) >= MOST:
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
        for file in files:
            kind = rules.ending(file.name)
            if kind not in ("json", "xml"):
                continue
            entry = self.entries[file.id]
            if file.still < self.at.box.settle_seconds:
                if kind == "json":
                    found[file.id] = None
                continue
            if file.id not in self.watch.notes or (
                self.watch.notes[file.id][0] != version_of(entry)
            ):
                await self._read_note(entry, kind)
            if file.id in self.watch.notes:
                _, note = self.watch.notes[file.id]
                if note is not None:
                    found[file.id] = note.said
        return found

    async def _read_note(self, entry: Entry, kind: str) -> None:
        try:
            data = await self._whole(entry)
        except Gone:
            return
        note: Note | None = None
        if kind == "json":
            note = sidecar.of_json(data) if data is not None else sidecar.TOO_LARGE
        elif data is not None:
            note = await asyncio.to_thread(sidecar.of_xml, data)
        self.watch.notes[entry.id] = version_of(entry), note

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
        try:
            verdict = await taking.take()
        except (Gone, Overtaken) as e:
            self._missed(bundle, e)
            return
        except Away as e:
            self._missed(bundle, e)
            self.misses += 1
            if self.misses >= MISSES:
                raise
            return
        except (PortalError, asyncio.CancelledError):
            raise
        except Exception as e:  # a file that trips us must not keep the others from coming in
            log.get().error(
                "mailbox_surprise", firm=self.at.firm.id, mailbox=self.at.box.id, exc_info=e
            )
            return
        log.get().info(
            "mailbox_took", firm=self.at.firm.id, mailbox=self.at.box.id,
            outcome=verdict.outcome, stuk=str(verdict.stuk) if verdict.stuk else None,
            faults=len(verdict.faults),
        )  # fmt: skip
        self.misses = 0
        self.done.took.append(Took(bundle.lead.name, verdict))
        for file in bundle.files:
            await self._away(self.entries[file.id], verdict)
            self.done.waiting -= 1

    def _note(self, bundle: Bundle) -> tuple[Sidecar | None, dict[str, str]]:
        if bundle.note is None or bundle.note.id not in self.watch.notes:
            return None, {}
        _, note = self.watch.notes[bundle.note.id]
        if note is None:
            return None, {}
        return note.said, {f"{bundle.note.name}, {k}": v for k, v in note.faults.items()}

    def _missed(self, bundle: Bundle, why: PortalError) -> None:
        log.get().warning(
            "mailbox_left", firm=self.at.firm.id, mailbox=self.at.box.id,
            files=len(bundle.files), error=str(why),
        )  # fmt: skip

    async def _away(self, entry: Entry, verdict: Verdict) -> None:
        """Out of the inbox, under a name that is free. Raises Away."""
        at, box = self.at, self.at.box
        refused = verdict.outcome == "refused"
        folder = box.failed if refused else box.done
        try:
            for number in range(1, NAMES):
                name = rules.other(rules.plain(entry.name), number)
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
                try:
                    await at.source.move(at.place, entry.id, folder, name, version=entry.version)
                except AlreadyExists:
                    continue
                break
        except PermissionDenied as e:
            raise Away(f"a file cannot be moved: {e.code}") from None
        except (NotFound, ConditionFailed):  # it went, or another has its name by now
            pass
        except SourceError as e:
            raise Away(f"a file cannot be moved: {e.code}") from None
        async with at.portal.db.tenant(at.firm.id) as c:
            await mailboxes.moved(c, box.id, at.digest(entry))


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
        count = sum(not box.leaves(e.name) for e in page.entries)
        said["reachable"] = f"yes, {'more than ' if page.next else ''}{count} files"
        async with mailboxes.claimed(portal.db, firm.id, box.id) as mine:
            if mine:
                await probe(at)
        said["writable"] = "yes" if mine else "a worker is at it"
    except (Away, SourceError) as e:
        said["writable" if "reachable" in said else "reachable"] = f"no: {e}"
        return Finding(box.id, False, said)
    return Finding(box.id, True, said)
