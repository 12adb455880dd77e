"""The client against the simulator that is shipped, which shares no code with it."""

from collections.abc import AsyncIterator

import pytest

from gateway.delivery import wus
from gateway.delivery.certificates import Credentials, Trust, certificates
from gateway.delivery.client import Client, Destination
from gateway.delivery.outcomes import Unclear
from gateway.domain.sbr import Bestand
from gateway.simulators.digipoort import pki as authority
from tests.simulators.conftest import serving


@pytest.fixture(params=[("sha1", False), ("sha256", False), ("sha1", True)], ids=str)
async def simulated(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Client]:
    """A client of a simulator, for each way of signing and sending."""
    made = authority.make(tmp_path / "pki", {"kantoor": "12345678", "ander": "87654321"})
    ca, pair = made.ca.certificate.read_text(), made.clients["kantoor"]
    trust = Trust(pinned=tuple(certificates(made.signing.certificate.read_text(), "test")))
    async with serving(made, tmp_path / "ledger.sqlite") as world:
        base = f"{world.url}/wus/2.0"
        destination = Destination(
            "simulator", f"{base}/aanleverservice/1.2", f"{base}/statusinformatieservice/1.2",
            f"{base}/ophaalservice/1.2",
            Credentials(pair.certificate.read_text(), pair.key.read_text()), trust, tls_ca=ca,
            algorithm=request.param[0], mtom=request.param[1],
        )  # fmt: skip
        client = await Client.open(destination)
        yield client
        await client.close()


async def test_from_delivery_to_the_last_status(simulated: Client, aanlevering):
    bericht = aanlevering(bijlagen=(Bestand("b.xml", "text/xml", b"<b/>"),))
    found = await simulated.deliver(bericht, wus.new_message_id())
    statuses = await simulated.statuses(found.kenmerk)
    assert statuses[-1].statuscode == "500"
    known = await simulated.processes(bericht.berichtsoort, bericht.belanghebbende)
    assert [p.kenmerk for p in known] == [found.kenmerk]
    told = await simulated.message(found.kenmerk)
    assert told is not None
    assert told.aanleverkenmerk == bericht.aanleverkenmerk


async def test_a_message_id_is_taken_once(simulated: Client, aanlevering):
    message_id = wus.new_message_id()
    await simulated.deliver(aanlevering(), message_id)
    with pytest.raises(Unclear) as caught:
        await simulated.deliver(aanlevering(), message_id)
    assert (caught.value.reason, caught.value.code) == ("unsigned_fault", "ALS100")
