"""Large documents pass in bounded memory, and nothing of a document stays in the portal."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.domain.xbrl import made
from tests.faults.test_no_documents import Canary
from tests.filing.conftest import INSTANCES, KLANT
from tests.filing.test_canary import written
from tests.packages.conftest import ob, ob_files
from tests.packages.test_mailbox import bus  # noqa: F401
from tests.packages.test_same_words import CONTENT, ways  # noqa: F401

MIB = 2**20


def _memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


class Large:
    """A PDF of so many MiB; most: bytes that the process grew while it went out."""

    def __init__(self, count: int) -> None:
        self.count, self.most, self._start = count, 0, _memory()

    async def pieces(self, before: bytes = b"", after: bytes = b"") -> AsyncIterator[bytes]:
        """Its bytes, between two others."""
        yield before + b"%PDF-1.7 " + bytes(MIB - 9)
        for _ in range(self.count - 1):
            yield bytes(MIB)
            self.most = max(self.most, _memory() - self._start)
        yield after


@pytest.mark.slow
@pytest.mark.parametrize("way", ["document", "multipart"])
async def test_a_large_document_is_never_held(office, proef, way):
    """As many MiB as MAP_LARGE_MIB says."""
    large = Large(int(os.environ.get("MAP_LARGE_MIB", "256")))
    if way == "document":
        told = await proef.ask(
            "POST", f"/klanten/{KLANT}/documenten?bron=map&map=Stukken&naam=groot.pdf",
            data=large.pieces(), headers={"Content-Type": "application/octet-stream"},
        )  # fmt: skip
    else:
        told = await proef.ask(
            "POST", "/stukken", data=large.pieces(*_around(ob(), ob_files())),
            headers={"Content-Type": "multipart/form-data; boundary=grens"},
        )  # fmt: skip
    assert told.status == 201, told.body
    (file,) = (p for p in office.folder.rglob("*.pdf"))
    assert file.stat().st_size == large.count * MIB
    assert large.most < 64 * MIB, large.most


def _around(stuk: dict[str, object], files: dict[str, tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """What stands before and after the PDF in a multipart."""
    name, data = files["aangifte"]
    before = (
        b"--grens\r\nContent-Disposition: form-data; name=\"stuk\"\r\n"
        b"Content-Type: application/json\r\n\r\n" + json.dumps(stuk).encode()
        + f'\r\n--grens\r\nContent-Disposition: form-data; name="aangifte";'
        f' filename="{name}"\r\n\r\n'.encode() + data
        + b"\r\n--grens\r\nContent-Disposition: form-data; name=\"pdf\";"
        b" filename=\"groot.pdf\"\r\n\r\n"
    )  # fmt: skip
    return before, b"\r\n--grens--\r\n"


@pytest.mark.parametrize("way", CONTENT, ids=lambda way: way.__name__)
async def test_nothing_of_what_comes_in_stays(
    ways, proef, postgres, dsn, tmp_path, monkeypatch, way  # noqa: F811
):  # fmt: skip
    paper, filed, letter = Canary(), Canary(), Canary()
    text = made.word("ContactSurname", f"x{filed.mark.hex()}" * 20)
    facts = made.amount("ValueAddedTaxOwedToBePaidBack", 3240) + text
    monkeypatch.setitem(INSTANCES, "ob", lambda tag: made.xbrl(facts))
    files = ob_files() | {"pdf": ("ob.pdf", b"%PDF-1.4\n" + paper.body)}
    refused = ob(klant="999"), files  # the other way out
    assert (await way(ways, *refused)).status == 422
    assert (await way(ways, ob(), files)).status == 201
    assert (await way(ways, ob(), files)).faults  # once more: it is there already
    told = await proef.ask(
        "POST", f"/klanten/{KLANT}/documenten?bron=map&map=Stukken&naam=brief.pdf",
        data=b"%PDF-1.4\n" + letter.body, headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    assert told.status == 201
    owner = await asyncpg.connect(dsn)
    await owner.execute("checkpoint")
    await owner.close()
    traces = [t for canary in (paper, filed, letter) for t in canary.traces]
    found = False
    for path in written(tmp_path, postgres.data):
        content = path.read_bytes()
        assert not [t for t in traces if t in content], path
        found = found or KLANT.encode() in content
    assert found  # the search reads what it should


async def test_a_kept_answer_keeps_no_document(proef, postgres, dsn):
    """What an Idempotency-Key remembers is an answer and a hash."""
    paper = Canary()
    files = ob_files() | {"pdf": ("ob.pdf", b"%PDF-1.4\n" + paper.body)}
    for _ in range(2):
        assert (await proef.put_up(ob(), files, once="een")).status == 201
    owner = await asyncpg.connect(dsn)
    kept = await owner.fetch("select to_jsonb(r)::text from idempotency r")
    await owner.close()
    assert kept
    assert not [t for t in paper.traces if t in str(kept).encode()]
