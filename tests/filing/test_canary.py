"""No document byte at rest, on the way of a stuk: put up, opened, approved, filed, proved."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg

from gateway.domain.delivery import State as D
from gateway.domain.stuk import Role
from gateway.flows.accordering import showing
from gateway.flows.intake import PartWish
from gateway.flows.proof import gathering
from tests.domain.xbrl import made
from tests.faults.test_no_documents import Canary
from tests.filing.conftest import INSTANCES, KLANT


def written(tmp_path: Path, data: Path) -> Iterator[Path]:
    """Every file that was written, but the back office's own folders."""
    for folder in (tmp_path, data):
        for path in folder.rglob("*"):
            if path.is_file() and not {"eikenhof", "bus"} & {*path.parts}:
                yield path


async def test_nothing_of_a_stuk_stays(office, person, postgres, dsn, tmp_path, monkeypatch):
    paper, filed, beside = Canary(), Canary(), Canary()
    text = made.word("ContactSurname", f"x{filed.mark.hex()}" * 20)
    facts = made.amount("ValueAddedTaxOwedToBePaidBack", 3240) + text
    monkeypatch.setitem(INSTANCES, "ob", lambda tag: made.xbrl(facts))
    sanne = await person()
    office.write("bijlage.pdf", beside.body)
    parts = [
        office.write("ob.pdf", b"%PDF-1.4\n" + paper.body),
        office.write("ob.xbrl", made.xbrl(facts)),
        PartWish(Role.BIJLAGE, "map", "Stukken/bijlage.pdf"),
    ]
    id = await office.put_up(parts=parts)
    detail = await showing.detail(office.portal, sanne.visitor, id)
    assert [p.name for p in detail.parts] == ["ob.pdf", "ob.xbrl", "bijlage.pdf"]
    await sanne.approves(id)
    assert (await office.finish(id)).state is D.FINAL_OK
    await gathering.bundle(office.portal, sanne.visitor, id)
    owner = await asyncpg.connect(dsn)
    await owner.execute("checkpoint")
    await owner.close()
    traces = [t for canary in (paper, filed, beside) for t in canary.traces]
    names = [b"bijlage.pdf", KLANT.encode()]
    seen = set()
    for path in written(tmp_path, postgres.data):
        content = path.read_bytes()
        assert not [t for t in traces if t in content], path
        seen |= {n for n in names if n in content}
    assert KLANT.encode() in seen  # the search reads what it should
