"""The simulator of Digipoort: its good answers, held against the real ones and the schema."""

import asyncio
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from lxml import etree

from gateway.simulators.digipoort.pki import oin
from tests.simulators import wus_client as wus
from tests.simulators.conftest import World
from tests.simulators.wus_client import KS, NS, WSA, aanlevering, of_kenmerk, question, stuk

HAPPY = ["105", "100", "110", "200", "301", "301", "405", "400", "500"]
WHO = (
    "<identiteitBelanghebbende><nummer>001000044B37</nummer><type>Fi</type>"
    "</identiteitBelanghebbende>"
)
AUSP = "<autorisatieAdres>http://geenausp.nl</autorisatieAdres>"


@pytest.fixture(scope="session")
def schema(shared: Path) -> etree.XMLSchema:
    return etree.XMLSchema(
        etree.parse(shared / "digipoort/wus12-digipoort/digipoort-koppelvlak-1.2.xsd")
    )


@pytest.fixture
def signing(pki) -> x509.Certificate:
    return pki.signing.load()[0]


async def delivered(world: World, *args: object, **kwargs: object) -> str:
    reply = await world.client.send("aanleveren", aanlevering(*args, **kwargs))
    assert reply.status == 200, reply.data
    return reply.text("kenmerk")


# --- aanleveren


async def test_a_delivery_is_booked_with_hashes_and_without_bytes(world: World, signing, tmp_path):
    data = b"<xbrl>een heel eigen inhoud, nergens anders te vinden</xbrl>"
    extra = b"<verklaring>goedkeurend, ook nergens anders</verklaring>"
    bijlagen = f"<berichtBijlagen>{stuk(extra, 'nba.xbrl', 'bijlage')}</berichtBijlagen>"
    payload = aanlevering("Ref.1", inhoud=stuk(data), bijlagen=bijlagen)
    reply = await world.client.send("aanleveren", payload)
    assert wus.verified(reply.root, signing) == {
        "Timestamp", "To", "MessageID", "Action", "RelatesTo", "Body"
    }  # fmt: skip
    (booking,) = world.desk.ledger.all()
    assert booking["kenmerk"] == reply.text("kenmerk")
    assert booking["message_id"] == reply.request.message_id
    assert booking["oin"] == oin("12345678") == "00000003123456780000"
    assert booking["aanleverkenmerk"] == reply.text("aanleverkenmerk") == "Ref.1"
    assert (booking["berichtsoort"], booking["rol"]) == ("Omzetbelasting", "Bedrijf")
    assert (booking["nummer"], booking["type"]) == ("001000044B37", "Fi")
    assert booking["inhoud"] == {
        "mimeType": "application/xml",
        "bestandsnaam": "Omzetbelasting.xbrl",
        "length": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert [(b["bestandsnaam"], b["length"]) for b in booking["bijlagen"]] == [
        ("nba.xbrl", len(extra))
    ]
    files = list(tmp_path.glob("ledger.sqlite*"))
    assert not any(d in f.read_bytes() for f in files for d in (data, extra))


async def test_the_same_aanleverkenmerk_again_is_a_new_process(world: World):
    kenmerken = {await delivered(world, "Happyflow") for _ in range(3)}
    assert len(kenmerken) == len(world.desk.ledger.all()) == 3


async def test_many_at_once_are_each_booked_once(world: World):
    numbers = [f"ref-{n}" for n in range(100)]
    kenmerken = await asyncio.gather(*(delivered(world, n) for n in numbers))
    booked = {b["kenmerk"]: b["aanleverkenmerk"] for b in world.desk.ledger.all()}
    assert booked == dict(zip(kenmerken, numbers, strict=True))


@pytest.mark.parametrize("method", ["sha1", "sha256"])
@pytest.mark.parametrize("inclusive", ["", "s u"])
async def test_both_hashes_and_inclusive_prefixes_are_taken(world: World, method, inclusive):
    reply = await world.client.send(
        "aanleveren", aanlevering(), method=method, inclusive=inclusive
    )
    assert reply.status == 200


async def test_a_request_that_xmlsec_signed_is_taken(world: World, tmp_path):
    if not shutil.which("xmlsec1"):
        pytest.skip("xmlsec1 is not installed")
    me = world.client.me
    request = world.client.make("aanleveren", aanlevering())
    root = wus.unsigned_envelope(request, me)
    template = etree.fromstring(wus.signature_text(root, request, digests=False))
    root.find(".//o:Security", NS).append(template)
    file = tmp_path / "request.xml"
    file.write_bytes(etree.tostring(root))
    made = subprocess.run(
        ["xmlsec1", "--sign", "--privkey-pem", me.paths[1], *_ids(root), file],
        capture_output=True,
        check=True,
    ).stdout
    reply = await world.client.raw(wus.path_of("aanleveren"), made, request.action)
    assert reply.status == 200, reply.data


def _ids(root: etree._Element) -> list[str]:
    return [
        word
        for e in root.iter(etree.Element)
        if wus.ID in e.attrib
        for word in ("--id-attr:Id", f"{etree.QName(e).namespace}:{etree.QName(e).localname}")
    ]


@pytest.mark.parametrize("operation", ["aanleveren", "getStatussenProces", "getBerichtenKenmerk"])
async def test_xmlsec_verifies_the_replies(world: World, operation, pki, tmp_path):
    if not shutil.which("xmlsec1"):
        pytest.skip("xmlsec1 is not installed")
    kenmerk = await delivered(world)
    payload = aanlevering() if operation == "aanleveren" else of_kenmerk(operation, kenmerk)
    reply = await world.client.send(operation, payload)
    file = tmp_path / "reply.xml"

    def verify(data: bytes) -> int:
        file.write_bytes(data)
        command = ["xmlsec1", "--verify", "--pubkey-cert-pem", pki.signing.certificate]
        return subprocess.run(
            [*command, *_ids(reply.root), file], capture_output=True, check=False
        ).returncode

    assert verify(reply.data) == 0
    assert verify(reply.data.replace(b"001000044B37", b"001000044B38")) != 0


async def test_mtom_is_taken_byte_for_byte(world: World):
    data = bytes(range(256)) * 40 + b"\r\n--x\r\n\n\r"
    request = world.client.make("aanleveren", aanlevering(inhoud=stuk(data)))
    root = wus.signed_envelope(request, world.client.me)
    inhoud = root.find(".//k:inhoud", NS)
    inhoud.text = None
    etree.SubElement(
        inhoud, "{http://www.w3.org/2004/08/xop/include}Include", href="cid:een%40client"
    )
    body = (
        b"voorwoord\r\n--=_grens\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: binary\r\nContent-ID: <een@client>\r\n\r\n" + data
        + b"\r\n--=_grens\r\nContent-ID: <root@client>\r\nContent-Type: application/xop+xml;"
        b' type="text/xml"\r\n\r\n' + etree.tostring(root) + b"\r\n--=_grens--\r\n"
    )  # fmt: skip
    kind = (
        'multipart/related; type="application/xop+xml"; start="<root@client>";'
        ' start-info="text/xml"; boundary="=_grens"'
    )
    reply = await world.client.raw(wus.path_of("aanleveren"), body, request.action, kind)
    assert reply.status == 200, reply.data
    (booking,) = world.desk.ledger.all()
    assert booking["inhoud"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert booking["inhoud"]["length"] == len(data)


# --- held against the real replies


def _tags(element: etree._Element) -> list[str]:
    return [str(e.tag) for e in element.iter(etree.Element)]


def _references(root: etree._Element) -> list[str]:
    by_id = {e.get(wus.ID): etree.QName(e).localname for e in root.iter(etree.Element)}
    return [by_id[r.get("URI")[1:]] for r in root.iterfind(".//d:Reference", NS)]


def _algorithms(root: etree._Element) -> list[str]:
    return [e.get("Algorithm") for e in root.iter(etree.Element) if "Algorithm" in e.attrib]


async def test_an_answer_has_the_shape_of_a_real_one(world: World, shared: Path):
    folder = shared / "digipoort/sample-responses"
    real = etree.parse(folder / "valid-deliver-response.xml").getroot()
    reply = await world.client.send("aanleveren", aanlevering())
    assert _tags(reply.root[0]) == _tags(real[0])
    assert _references(reply.root) == _references(real)
    assert _algorithms(reply.root) == _algorithms(real)
    # the real one also tells which agency it is for
    ontvanger = real.find(".//k:identiteitOntvanger", NS)
    ontvanger.getparent().remove(ontvanger)
    assert _tags(reply.root[1]) == _tags(real[1])
    for name in ("To", "Action"):
        assert reply.root.findtext(f".//a:{name}", None, NS) == real.findtext(
            f".//a:{name}", None, NS
        )
    assert reply.root.findtext(".//a:RelatesTo", None, NS) == reply.request.message_id


async def test_the_good_flow_is_the_real_one(world: World, shared: Path):
    folder = shared / "digipoort/sample-responses"
    real = etree.parse(folder / "valid-newstatus-response.xml").getroot()
    kenmerk = await delivered(world)
    reply = await world.client.send(
        "getNieuweStatussenProces", of_kenmerk("getNieuweStatussenProces", kenmerk)
    )
    assert _tags(reply.root) == _tags(real)
    for name in ("statuscode", "statusomschrijving"):
        assert reply.texts(name) == [e.text for e in real.iterfind(f".//k:{name}", NS)]
    details = [etree.fromstring(x.find(".//k:statusdetails", NS).text) for x in (reply.root, real)]
    assert _tags(details[0]) == _tags(details[1])
    assert details[0].findtext(".//RefersToMessageId") == kenmerk


@pytest.mark.parametrize(
    ("name", "operation"),
    [("fault-deliver", "aanleveren"), ("fault-newstatus", "getNieuweStatussenProces")],
)
async def test_a_fault_is_the_real_one(world: World, shared: Path, name, operation):
    real = etree.parse(shared / f"digipoort/sample-responses/{name}-response.xml").getroot()
    payload = aanlevering("AanleverFault") if operation == "aanleveren" else ""
    payload = payload or of_kenmerk(operation, "onbekend")
    reply = await world.client.send(operation, payload)
    assert reply.status == 500
    assert _tags(reply.root) == _tags(real)
    assert not reply.root.xpath("//o:Security", namespaces=NS)
    for path in (".//a:To", ".//a:Action", ".//faultcode", ".//faultstring", ".//faultactor",
                 ".//k:foutcode"):  # fmt: skip
        assert reply.root.findtext(path, None, NS) == real.findtext(path, None, NS)
    text, told = (" ".join(x.findtext(".//k:foutbeschrijving", None, NS).split())
                  for x in (reply.root, real))  # fmt: skip
    assert text.startswith(told)
    assert reply.root.findtext(".//a:RelatesTo", None, NS) == reply.request.message_id


@pytest.mark.parametrize(
    ("operation", "content"),
    [
        ("getBerichtsoorten", WHO + AUSP),
        ("getProcessen", "<berichtsoort>Omzetbelasting</berichtsoort>" + WHO + AUSP),
        ("getStatussenProces", "<kenmerk>{}</kenmerk>" + AUSP),
        ("getNieuweStatussenProces", "<kenmerk>{}</kenmerk>"),
        ("getNieuweStatussen", "<berichtsoort>Omzetbelasting</berichtsoort>" + WHO),
        ("getBerichten", WHO),
        ("getNieuweBerichten", WHO),
        ("getBerichtenLijst", ""),
        ("getNieuweBerichtenLijst", "<berichtsoort>Omzetbelasting</berichtsoort>"),
        ("getBerichtenKenmerk", "<kenmerk>{}</kenmerk>"),
        ("getNieuweBerichtenKenmerk", "<kenmerk>{}</kenmerk>"),
    ],
)
async def test_every_question_and_answer_fits_the_schema(
    world: World, schema, signing, operation, content
):
    bijlagen = f"<berichtBijlagen>{stuk(b'y', 'b.xml', 'bijlage')}</berichtBijlagen>"
    kenmerk = await delivered(world, bijlagen=bijlagen)
    payload = question(operation, content.format(kenmerk))
    schema.assertValid(etree.fromstring(payload))
    reply = await world.client.send(operation, payload)
    assert reply.status == 200, reply.data
    assert reply.content.tag == f"{{{KS}}}{operation}Response"
    schema.assertValid(etree.fromstring(etree.tostring(reply.content)))
    assert len(reply.content[0]) > 0
    assert "Body" in wus.verified(reply.root, signing)
    assert reply.root.findtext(".//a:To", None, NS) == f"{WSA}/anonymous"
    assert reply.root.findtext(".//a:Action", None, NS) == wus.action_of(operation, "Response")


async def test_an_answer_and_a_fault_fit_the_schema(world: World, schema):
    payload = aanlevering()
    schema.assertValid(etree.fromstring(payload))
    good = await world.client.send("aanleveren", payload)
    schema.assertValid(etree.fromstring(etree.tostring(good.content)))
    bad = await world.client.send("aanleveren", aanlevering("AanleverFault"))
    detail = bad.root.find(".//k:aanleverFault", NS)
    schema.assertValid(etree.fromstring(etree.tostring(detail)))


# --- questions


async def test_processen_are_those_of_berichtsoort_and_belanghebbende(world: World):
    mine = await delivered(world, None)
    await delivered(world, None, berichtsoort="ICP")
    await delivered(world, None, nummer="001000056B12")
    again = await delivered(world, None)
    payload = question("getProcessen", "<berichtsoort>Omzetbelasting</berichtsoort>" + WHO)
    assert (await world.client.send("getProcessen", payload)).texts("kenmerk") == [mine, again]


async def test_a_bericht_tells_aanleverkenmerk_and_message_id(world: World):
    sent = await world.client.send("aanleveren", aanlevering("Ref-7"))
    kenmerk = sent.text("kenmerk")
    reply = await world.client.send(
        "getBerichtenKenmerk", of_kenmerk("getBerichtenKenmerk", kenmerk)
    )
    assert reply.text("aanleverkenmerk") == "Ref-7"
    assert reply.text("berichtkenmerk") == sent.request.message_id
    assert reply.text("kenmerk") == kenmerk


@pytest.mark.parametrize(
    ("again", "operation"),
    [
        (True, "getStatussenProces"),
        (False, "getNieuweStatussenProces"),
        (True, "getBerichtenKenmerk"),
        (False, "getNieuweBerichtenKenmerk"),
    ],
)
async def test_nieuwe_tells_once_and_the_others_tell_again(world: World, again, operation):
    kenmerk = await delivered(world)
    first = await world.client.send(operation, of_kenmerk(operation, kenmerk))
    second = await world.client.send(operation, of_kenmerk(operation, kenmerk))
    assert len(first.content[0]) > 0
    assert len(second.content[0]) == (len(first.content[0]) if again else 0)


async def test_statuses_are_chosen_by_period(world: World):
    kenmerk = await delivered(world)

    async def codes(period: str) -> list[str]:
        payload = of_kenmerk("getStatussenProces", kenmerk, period)
        return (await world.client.send("getStatussenProces", payload)).texts("statuscode")

    vanaf, tot = "<tijdstempelVanaf>{}</tijdstempelVanaf>", "<tijdstempelTot>{}</tijdstempelTot>"
    past, future = "2001-01-01T00:00:00+01:00", "2101-01-01T00:00:00Z"
    assert await codes(vanaf.format(past) + tot.format(future)) == HAPPY
    assert await codes(vanaf.format(future)) == []
    assert await codes(tot.format(past)) == []


async def test_a_period_that_begins_and_ends_at_a_time_told_includes_it(serve):
    """Also when the clock's speed makes times that are no whole milliseconds."""
    world = await serve(speed=3e6)
    kenmerk = await delivered(world)
    told: list[str] = []
    while len(told) < len(HAPPY):
        payload = of_kenmerk("getStatussenProces", kenmerk)
        told = (await world.client.send("getStatussenProces", payload)).texts("tijdstempelStatus")
    for at in set(told):
        period = f"<tijdstempelVanaf>{at}</tijdstempelVanaf><tijdstempelTot>{at}</tijdstempelTot>"
        payload = of_kenmerk("getStatussenProces", kenmerk, period)
        reply = await world.client.send("getStatussenProces", payload)
        assert reply.texts("tijdstempelStatus") == [t for t in told if t == at]


@pytest.mark.parametrize("operation", ["getStatussenProces", "getBerichtenKenmerk"])
async def test_a_stranger_is_told_nothing(world: World, operation):
    kenmerk = await delivered(world)
    reply = await world.other.send(operation, of_kenmerk(operation, kenmerk))
    assert reply.status == 500
    assert reply.fault[1] == f"kenmerk {kenmerk} is onbekend"
    processen = question("getProcessen", "<berichtsoort>Omzetbelasting</berichtsoort>" + WHO)
    assert (await world.other.send("getProcessen", processen)).texts("kenmerk") == []
