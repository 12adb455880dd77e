"""Nothing on the way of a page or a document holds the event loop."""

from pathlib import Path

import pytest
from blockbuster import BlockBuster

from connectors.local import LocalConfig, LocalConnector
from gateway.connector.context import Context
from gateway.connector.egress import EgressPolicy
from gateway.connector.guard import Guarded
from gateway.domain.dossier import handle
from tests.faults.conftest import Office


@pytest.fixture
async def local(office: Office, tmp_path: Path) -> Office:
    """The source `ander` is a real folder."""
    folder = tmp_path / "share" / "400100" / "Map"
    folder.mkdir(parents=True)
    (folder / "akte.pdf").write_bytes(b"%PDF" + bytes(300_000))
    context = Context("eikenhof/ander", egress=EgressPolicy(), base=tmp_path)
    connector = await LocalConnector.open(LocalConfig(path="share"), context)
    guarded = Guarded("eikenhof/ander", connector, context)
    office.portal.sources._opened["eikenhof", "ander"] = guarded
    return office


async def test_pages_and_documents_do_not_block(local: Office, browser, register, sign_in):
    await register()
    await browser.get("/inloggen")  # templates and static files are read once, at the start
    await sign_in()
    await browser.get("/dossier")
    watch = BlockBuster()
    watch.activate()
    try:
        await browser.get("/uitloggen", status=405)
        await browser.get("/inloggen")
        await sign_in()
        await browser.get("/welkom")
        await browser.post("/dossier/vernieuwen", terug="/dossier")
        assert "akte.pdf" in browser.text
        for query in ("", "?opslaan=1"):
            path = f"/dossier/ander/{handle('Map/akte.pdf')}{query}"
            answer = await browser.client.get(path)
            assert len(await answer.read()) == 300_004
    finally:
        watch.deactivate()
