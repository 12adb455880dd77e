"""What the simulator of Digipoort refuses, and that it books none of it."""

import contextlib
import copy
import datetime as dt
import ssl

import aiohttp
import pytest
from lxml import etree

from gateway.simulators.digipoort import pki as authority
from gateway.simulators.digipoort import soap
from gateway.simulators.digipoort.names import AANLEVER, Refused
from tests.simulators import wus_client as wus
from tests.simulators.conftest import World
from tests.simulators.wus_client import KS, NS, WSA, Identity, aanlevering, of_kenmerk, stuk

ACTION = wus.action_of("aanleveren")
MINUTE = dt.timedelta(minutes=1)


def _set(path: str, text: str):
    def change(root: etree._Element) -> None:
        root.find(path, NS).text = text

    return change


def _twice(path: str):
    def change(root: etree._Element) -> None:
        found = root.find(path, NS)
        found.addnext(copy.deepcopy(found))

    return change


def _attribute(path: str, name: str, value: str):
    def change(root: etree._Element) -> None:
        root.find(path, NS).set(name, value)

    return change


def _wrap(root: etree._Element) -> None:
    """The signed Body away into the header, another one in its place."""
    header, body = root
    forged = copy.deepcopy(body)
    del forged.attrib[wus.ID]
    forged.find(".//k:berichtsoort", NS).text = "ICP"
    header.find("o:Security", NS).append(body)
    root.append(forged)


def _no_header(root: etree._Element) -> None:
    root.remove(root[0])


def _no_references(root: etree._Element) -> None:
    info = root.find(".//d:SignedInfo", NS)
    for reference in info.findall("d:Reference", NS):
        info.remove(reference)


def _reply_to(address: str):
    return _set(".//a:ReplyTo/a:Address", address)


#: What is changed, and what the fault says of it.
REFUSED: list[tuple[dict[str, object], str]] = [
    *(({"unsigned": (part,)}, f"{part} is niet ondertekend") for part in wus.PARTS),
    ({"skip": ("To",)}, "wsa:To ontbreekt"),
    ({"skip": ("Action",)}, "wsa:Action ontbreekt"),
    ({"skip": ("MessageID",)}, "wsa:MessageID ontbreekt"),
    ({"skip": ("Timestamp",)}, "Timestamp ontbreekt"),
    ({"skip": ("bst",)}, "BinarySecurityToken ontbreekt"),
    ({"skip": ("Signature",)}, "Signature ontbreekt"),
    ({"to": "https://elders.example/wus"}, "wsa:To is niet https://127.0.0.1"),
    ({"action": wus.action_of("getProcessen")}, "wsa:Action is geen operatie"),
    ({"action": wus.action_of("aanleveren").replace("Service/", "Service_V1_2/")},
     "wsa:Action is geen operatie"),
    ({"soap_action": ""}, "SOAPAction verschilt"),
    ({"extra": '<x:Eigen xmlns:x="urn:x">1</x:Eigen>'}, "header Eigen is niet toegestaan"),
    ({"extra": f'<a:ProblemAction xmlns:a="{WSA}"/>'}, "header ProblemAction is niet"),
    ({"before": _twice(".//a:Action")}, "wsa:Action komt twee keer voor"),
    ({"before": _twice(".//o:Security")}, "Security komt twee keer voor"),
    ({"before": _twice(".//u:Timestamp")}, "Timestamp komt twee keer voor"),
    ({"before": _reply_to("https://elders.example")}, "wsa:ReplyTo is niet anonymous"),
    ({"created": -10 * MINUTE}, "wsu:Timestamp is verlopen"),
    ({"created": -11 * MINUTE, "lasts": None}, "wsu:Timestamp is verlopen"),
    ({"created": 6 * MINUTE}, "wsu:Created ligt in de toekomst"),
    ({"before": _set(".//u:Created", "gisteren")}, "geen tijdstip"),
    ({"before": _set(".//u:Created", "2026-01-01")}, "geen tijdstip"),
    ({"after": _set(".//k:berichtsoort", "ICP")}, "Body is gewijzigd"),
    ({"after": _set(".//a:MessageID", "urn:uuid:1")}, "MessageID is gewijzigd"),
    ({"after": _set(".//u:Expires", "2099-01-01T00:00:00Z")}, "Timestamp is gewijzigd"),
    ({"after": _set(".//d:SignatureValue", "AAAA")}, "de handtekening klopt niet"),
    ({"after": _set(".//d:SignatureValue", "geen base64!")}, "geen base64"),
    ({"after": _set(".//d:DigestValue", "AAAA")}, "de handtekening klopt niet"),
    ({"after": _no_references}, "de handtekening klopt niet"),
    ({"after": _wrap}, "Body is niet ondertekend"),
    ({"after": _attribute(".//a:ReplyTo/a:Address", wus.ID, "Body")}, "wsu:Id is niet uniek"),
    ({"after": _attribute(".//d:Reference", "URI", "#niets")}, "de handtekening klopt niet"),
    ({"after": _attribute(".//d:SignatureMethod", "Algorithm", wus.DS + "dsa-sha1")},
     "ds:SignatureMethod is niet"),
    ({"after": _attribute(".//d:CanonicalizationMethod", "Algorithm", "urn:x")},
     "ds:CanonicalizationMethod is niet"),
    ({"after": _attribute(".//o:Reference", "URI", "#Body")}, "ds:KeyInfo verwijst niet"),
    ({"after": _attribute(".//o:BinarySecurityToken", "ValueType", "urn:x")},
     "wsse:BinarySecurityToken is geen X509v3"),
    ({"after": _set(".//o:BinarySecurityToken", "AAAA")},
     "wsse:BinarySecurityToken is geen certificaat"),
    ({"after": _no_header}, "een envelop bestaat uit"),
    ({"message_id": "urn:x:" + 251 * "x"}, "wsa:MessageID is langer dan 256"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), REFUSED)
async def test_a_request_that_breaks_the_profile(world: World, changes, why):
    reply = await world.client.send("aanleveren", aanlevering(), **changes)
    assert reply.status == 500
    code, text = reply.fault
    assert code == "ALS100"
    assert text.startswith(why)
    assert not reply.root.xpath("//o:Security", namespaces=NS)
    assert world.desk.ledger.all() == []


#: The payload, and what the fault says of it.
SCHEMA: list[tuple[str, str]] = [
    (aanlevering().replace("aanleverRequest", "afleverRequest"), "de Body bevat niet alleen"),
    (aanlevering() + aanlevering(), "de Body bevat niet alleen"),
    (aanlevering().replace(KS, KS.rstrip("/")), "de Body bevat niet alleen"),
    (aanlevering(berichtsoort="x" * 81), "berichtsoort is langer dan 80"),
    (aanlevering("x" * 41), "aanleverkenmerk is langer dan 40"),
    (aanlevering(nummer="1" * 36), "nummer is langer dan 35"),
    (aanlevering(soort="x" * 21), "type is langer dan 20"),
    (aanlevering(rol=""), "rolBelanghebbende ontbreekt"),
    (aanlevering(rol=f"<rolBelanghebbende>{'x' * 41}</rolBelanghebbende>"), "rolBelanghebbende"),
    (aanlevering(inhoud=stuk(name="x" * 81)), "bestandsnaam is langer dan 80"),
    (aanlevering(inhoud=" "), "berichtInhoud ontbreekt"),
    (aanlevering(inhoud=stuk().replace("<inhoud>", "<inhoud>!")), "inhoud is geen base64"),
    (aanlevering(inhoud=stuk().replace("mimeType", "mimetype")), "mimeType ontbreekt"),
    (aanlevering(inhoud=stuk() + stuk()), "berichtInhoud wordt hier niet verwacht"),
    (aanlevering(bijlagen="<berichtBijlagen/>"), "bijlage ontbreekt"),
    (aanlevering(bijlagen=f"<berichtBijlagen>{stuk()}</berichtBijlagen>"), "berichtInhoud wordt"),
    (aanlevering(ontvanger="<identiteitOntvanger/>"), "nummer ontbreekt"),
    (aanlevering(ontvanger="<rolOntvanger/>los"), "aanleverRequest bevat tekst"),
    (aanlevering().replace("<nummer>", "<nummer><b/>"), "nummer bevat elementen"),
    (aanlevering().replace("<nummer>", '<nummer x="1">'), "nummer heeft een attribuut"),
    (aanlevering().replace("<berichtsoort>", "<kenmerk>1</kenmerk><berichtsoort>"),
     "aanleveren bij een bestaand kenmerk"),
    (aanlevering().replace("<aanleverkenmerk>", "<eerderAanleverkenmerk>1"
     "</eerderAanleverkenmerk><aanleverkenmerk>"), "identiteitBelanghebbende ontbreekt"),
    (aanlevering().replace("geenausp", "x" * 256), "autorisatieAdres is langer dan 255"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "why"), SCHEMA)
async def test_a_request_that_breaks_the_schema(world: World, payload, why):
    reply = await world.client.send("aanleveren", payload)
    assert reply.fault[0] == "ALS100"
    assert reply.fault[1].startswith(why)
    assert world.desk.ledger.all() == []


async def test_a_document_of_20_971_520_octets_and_one_more(world: World):
    whole = 20_971_520
    good = await world.client.send("aanleveren", aanlevering(inhoud=stuk(b"x" * whole)))
    assert good.status == 200
    assert world.desk.ledger.all()[0]["inhoud"]["length"] == whole
    bad = await world.client.send("aanleveren", aanlevering(inhoud=stuk(b"x" * (whole + 1))))
    assert "ten hoogste 20971520 octetten" in bad.fault[1]
    assert len(world.desk.ledger.all()) == 1


async def test_a_message_id_counts_once(world: World):
    first = await world.client.send("aanleveren", aanlevering())
    for operation, payload in (
        ("aanleveren", aanlevering()),
        ("getStatussenProces", of_kenmerk("getStatussenProces", first.text("kenmerk"))),
    ):
        again = await world.client.send(operation, payload, message_id=first.request.message_id)
        assert again.fault[1] == "wsa:MessageID is eerder gebruikt"
    assert len(world.desk.ledger.all()) == 1


async def test_a_message_id_counts_once_after_a_restart_too(serve):
    before, after = await serve(), await serve()
    first = await before.client.send("aanleveren", aanlevering())
    again = await after.client.send(
        "aanleveren", aanlevering(), message_id=first.request.message_id
    )
    assert again.fault[1] == "wsa:MessageID is eerder gebruikt"


async def test_the_signature_is_of_the_tls_client(world: World):
    """Another client's certificate in the token, with its own signature or with ours."""
    token = world.other.me
    for key in (token, world.client.me):
        reply = await world.client.send("aanleveren", aanlevering(), token=token, key=key)
        assert reply.fault[1] == "het certificaat is niet dat van de TLS-verbinding"
    reply = await world.client.send("aanleveren", aanlevering(), key=token)
    assert reply.fault[1] == "de handtekening klopt niet"


@pytest.fixture
def foreign(tmp_path) -> authority.Pki:
    return authority.make(tmp_path / "elders", {"vreemd": "11111111"})


async def test_tls_wants_a_certificate_of_the_authority(world: World, foreign, pki):
    pair = foreign.clients["vreemd"]
    stranger = wus.Client(world.url, Identity(pair.certificate, pair.key), pki.ca.certificate)
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    nobody = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
    try:
        # with TLS 1.3 a client hears of it when it reads: a reset, or an end without an answer
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
            await stranger.send("aanleveren", aanlevering())
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
            await nobody.post(world.url + wus.path_of("aanleveren"), data=b"")
    finally:
        await stranger.session.close()
        await nobody.close()
    assert world.desk.ledger.all() == []


def test_a_token_that_does_not_chain(foreign, pki):
    """Were TLS to let it pass, the message would not."""
    client = Identity(pki.clients["kantoor"].certificate, pki.clients["kantoor"].key)
    request = wus.Request("aanleveren", aanlevering(), to="https://x/", action=ACTION)
    for ca, why in ((foreign.ca, "niet van een vertrouwde uitgever"), (pki.ca, None)):
        expected = soap.Expected("https://x/", AANLEVER, ACTION, client.certificate, ca.load()[0])
        with pytest.raises(Refused, match=why) if why else contextlib.nullcontext():
            soap.check(wus.signed_envelope(request, client), expected)


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("text/xml", b"", "geen XML"),
        ("text/xml", b"geen xml", "geen XML"),
        ("text/xml", b"<!DOCTYPE a><a/>", "een DOCTYPE is niet toegestaan"),
        ("text/xml", b"<a/>", "geen SOAP 1.1-envelop"),
        ("application/soap+xml", b"<a/>", "Content-Type application/soap+xml"),
        ("multipart/related", b"", "multipart zonder boundary"),
        ("multipart/related; boundary=x", b"--x\r\n\r\n<a/>", "multipart zonder einde"),
        ("multipart/related; boundary=x; start=y", b"--x\r\n\r\n<a/>\r\n--x--", "het deel met"),
        ("multipart/related; boundary=x", b"--x\r\n\r\n<a><x:Include href='cid:z'"
         b" xmlns:x='http://www.w3.org/2004/08/xop/include'/></a>\r\n--x--", "het deel z"),
        ("text/xml", b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>",
         "een DOCTYPE"),
    ],
)  # fmt: skip
async def test_what_is_no_envelope(world: World, kind, data, why):
    reply = await world.client.raw(wus.path_of("aanleveren"), data, ACTION, kind)
    assert reply.status == 500
    assert reply.fault[0] == "ALS100"
    assert reply.fault[1].startswith(why)
    assert reply.root.findtext(".//a:RelatesTo", None, NS) == f"{WSA}/unspecified"


@pytest.mark.parametrize(
    ("operation", "code"),
    [("aanleveren", "ALS100"), ("getProcessen", "STS100"), ("getBerichtenLijst", "OPS100")],
)
async def test_each_service_has_its_own_fault(world: World, operation, code):
    reply = await world.client.send(operation, f'<x xmlns="{KS}"/>')
    assert reply.fault[0] == code
    action = reply.root.findtext(".//a:Action", None, NS)
    assert action == wus.action_of(operation, "/Fault/")


@pytest.mark.parametrize("text", ["gisteren", "2026-01-01", ""])
async def test_a_period_is_of_moments(world: World, text):
    period = f"<tijdstempelVanaf>{text}</tijdstempelVanaf>"
    reply = await world.client.send(
        "getStatussenProces", of_kenmerk("getStatussenProces", "x", period)
    )
    assert reply.fault[1].startswith("geen tijdstip")


async def test_comments_change_nothing(world: World):
    """exc-c14n leaves them out, so nobody signs them; a text around one is read whole."""
    payload = aanlevering().replace("Omzetbelasting<", "Omzet<!-- -->belasting<", 1)
    reply = await world.client.send("aanleveren", payload)
    assert reply.status == 200, reply.data
    assert world.desk.ledger.all()[0]["berichtsoort"] == "Omzetbelasting"
