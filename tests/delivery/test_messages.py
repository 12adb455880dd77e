"""Requests and replies against the official schema, and what is read from replies."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from lxml import etree

from gateway.delivery import koppelvlak, messages
from gateway.delivery.text import moment
from gateway.delivery.wus import Envelope
from gateway.domain.sbr import MOST, Bericht, Bestand, Identiteit, Proces, Statusmelding
from gateway.errors import Invalid, ProtocolError
from tests.delivery.replies import KS, ontvangst, statussen

WHO = Identiteit("001000044B37", "Fi")
FILE = Bestand("jaarrekening.xbrl", "application/xml", b"<xbrl/>")
FULL = {
    "ontvanger": Identiteit("00000000123456780000", "ID-ontvanger"),
    "rol_ontvanger": "Bank",
    "eerder_aanleverkenmerk": "MAP-0000",
    "bijlagen": (FILE, Bestand("signature.xml", "text/xml", b"<s/>")),
}


@pytest.fixture(scope="session", params=["wus12-digipoort", "biv-sbrbanken"])
def schema(request: pytest.FixtureRequest, shared) -> etree.XMLSchema:
    """That of Digipoort, and that of the banks."""
    file = shared / "digipoort" / request.param / "digipoort-koppelvlak-1.2.xsd"
    if not file.exists():
        pytest.skip("not here: the schema of the koppelvlak")
    return etree.XMLSchema(etree.parse(file))


def element(content) -> etree._Element:
    return etree.fromstring(b"".join(Envelope(content).inline()))


def requests(aanlevering):
    moments = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    adres = "http://geenausp.nl"
    return [
        messages.aanleveren(aanlevering()),
        messages.aanleveren(aanlevering(**FULL)),
        messages.aanleveren(aanlevering(rol="", ontvanger=WHO)),
        messages.statussen("k-1", adres, *moments),
        messages.statussen("k-1", adres, None, None),
        messages.processen("Omzetbelasting", WHO, adres),
        messages.berichtsoorten(WHO, adres),
        messages.bericht("k-1", adres),
    ]


def test_every_request_is_as_the_schema_says(aanlevering, schema):
    for content in requests(aanlevering):
        schema.assertValid(element(content))


def test_a_moment_is_sent_in_utc():
    cest = timezone(timedelta(hours=2))
    made = element(messages.statussen("k", "http://x", datetime(2026, 7, 1, 1, tzinfo=cest), None))
    assert made.findtext(f"{{{KS}}}tijdstempelVanaf") == "2026-06-30T23:00:00.000Z"


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"aanleverkenmerk": "x" * 40}, {}),
        ({"aanleverkenmerk": "x" * 41}, {"aanleverkenmerk"}),
        ({"aanleverkenmerk": ""}, {"aanleverkenmerk"}),
        ({"berichtsoort": "x" * 81, "rol": "x" * 41}, {"berichtsoort", "rolBelanghebbende"}),
        ({"rol": "een\x00rol"}, {"rolBelanghebbende"}),
        ({"rol": "\ud800"}, {"rolBelanghebbende"}),
        ({"rol": "twee  spaties"}, {"rolBelanghebbende"}),
        ({"rol": " rand"}, {"rolBelanghebbende"}),
        ({"rol": "regel\neinde"}, {"rolBelanghebbende"}),
        (
            {"belanghebbende": Identiteit("1" * 36, "t" * 21)},
            {"identiteitBelanghebbende.nummer", "identiteitBelanghebbende.type"},
        ),
        ({"ontvanger": Identiteit("", "OIN")}, {"identiteitOntvanger.nummer"}),
        ({"autorisatie_adres": "x" * 256}, {"autorisatieAdres"}),
        (
            {"inhoud": Bestand("n" * 81, "m" * 256, b"")},
            {"berichtInhoud.bestandsnaam", "berichtInhoud.mimeType", "berichtInhoud.inhoud"},
        ),
        ({"inhoud": Bestand("a", "b", bytes(MOST))}, {}),
        ({"inhoud": Bestand("a", "b", bytes(MOST + 1))}, {"berichtInhoud.inhoud"}),
        (
            {"bijlagen": (FILE, Bestand("a", "b", bytes(MOST + 1)))},
            {"berichtBijlagen.2.bijlage.inhoud"},
        ),
    ],
)
def test_limits_are_told_all_at_once(aanlevering, changes, faults):
    made = aanlevering(**changes)
    if not faults:
        messages.aanleveren(made)
        return
    with pytest.raises(Invalid) as caught:
        messages.aanleveren(made)
    assert set(caught.value.faults) == faults


def test_the_longest_texts_are_as_the_schema_says(aanlevering, schema):
    """The limits here are those of the schema: one sign more is refused by both."""
    for name, most in koppelvlak.MOST_SIGNS.items():
        for path in ("aanleverkenmerk", "berichtsoort", "bestandsnaam", "nummer", "type"):
            if name != path:
                continue
            root = element(messages.aanleveren(aanlevering()))
            found = root.find(f".//{{{KS}}}{name}")
            found.text = "x" * most
            assert schema.validate(root)
            found.text += "x"
            assert not schema.validate(root)


BERICHT = (
    f'<getBerichtenKenmerkResponse xmlns="{KS}"><getBerichtenKenmerkReturn><BerichtResultaat>'
    "<kenmerk>k-1</kenmerk><berichtsoort>Omzetbelasting</berichtsoort><berichtkenmerk>urn:uuid:1"
    "</berichtkenmerk><aanleverkenmerk>MAP-0001</aanleverkenmerk><tijdstempelAangeleverd>"
    "2026-03-07T11:37:39Z</tijdstempelAangeleverd><identiteitBelanghebbende><nummer>1</nummer>"
    "<type>Fi</type></identiteitBelanghebbende><rolBelanghebbende>Bedrijf</rolBelanghebbende>"
    "<identiteitAanleveraar>1</identiteitAanleveraar><berichtInhoud><mimeType>a/b</mimeType>"
    "<bestandsnaam>n</bestandsnaam><inhoud>eA==</inhoud></berichtInhoud><berichtBijlagen>"
    "<bijlage><mimeType>a/b</mimeType><bestandsnaam>n</bestandsnaam><inhoud>eA==</inhoud>"
    "</bijlage></berichtBijlagen><constateringenLijst><constatering><code>1</code><beschrijving>"
    "x</beschrijving></constatering></constateringenLijst><additioneleElementenLijst><element>"
    "<naam>n</naam><waarde>w</waarde></element></additioneleElementenLijst></BerichtResultaat>"
    "</getBerichtenKenmerkReturn></getBerichtenKenmerkResponse>"
)
PROCESSEN = (
    f'<getProcessenResponse xmlns="{KS}"><getProcessenReturn><ProcesResultaat><kenmerk>k-1'
    "</kenmerk><berichtsoort>Omzetbelasting</berichtsoort><identiteitBelanghebbende><nummer>"
    "001000044B37</nummer><type>Fi</type></identiteitBelanghebbende></ProcesResultaat>"
    "</getProcessenReturn></getProcessenResponse>"
)
SOORTEN = (
    f'<getBerichtsoortenResponse xmlns="{KS}"><getBerichtsoortenReturn><berichtsoort>'
    "Omzetbelasting</berichtsoort><berichtsoort>ICP</berichtsoort></getBerichtsoortenReturn>"
    "</getBerichtsoortenResponse>"
)
FOUT = (
    "<statusFoutcode><foutcode>VAS500</foutcode><foutbeschrijving>x &lt;y&gt;"
    "</foutbeschrijving></statusFoutcode><statusdetails> &lt;results/&gt;\n</statusdetails>"
)
STATUSSEN = statussen(
    ("k-1", "400", "2026-03-07T11:00:02.500Z"),
    ("k-1", "100", "2026-03-07T12:00:01+01:00"),
    ("k-1", "405", "2026-03-07T11:00:01.500"),
    more=FOUT,
)
REPLIES = [ontvangst(), BERICHT, PROCESSEN, SOORTEN, STATUSSEN, statussen()]


def variants(text: str):
    """Each element left out, doubled, renamed, swapped with the next, emptied, or too long."""
    for index in range(1, len(list(etree.fromstring(text).iter()))):
        for change in (_without, _double, _rename, _swap, _empty, _long, _foreign):
            root = etree.fromstring(text)
            change(list(root.iter())[index])
            yield root


def _without(e):
    e.getparent().remove(e)


def _double(e):
    e.addnext(etree.fromstring(etree.tostring(e)))


def _rename(e):
    e.tag = f"{{{KS}}}anders"


def _swap(e):
    if e.getnext() is not None:
        e.getnext().addnext(e)


def _empty(e):
    for child in list(e):
        e.remove(child)
    e.text = None


def _long(e):
    if not len(e) and etree.QName(e).localname != "inhoud":
        e.text = "9" * 300


def _foreign(e):
    e.tag = etree.QName(e).localname


def _of_bank(e: etree._Element) -> bool:
    """rolBelanghebbende is missing, which is the one thing that is let through."""
    return e.find(f".//{{{KS}}}rolBelanghebbende") is None


@pytest.mark.parametrize("text", REPLIES, ids=lambda t: t[1:20])
def test_replies_are_judged_as_the_schema_does(schema, text):
    koppelvlak.check(etree.fromstring(text))
    assert schema.validate(etree.fromstring(text))
    for root in variants(text):
        if schema.validate(root):
            koppelvlak.check(root)
        elif not _of_bank(root):
            with pytest.raises(ProtocolError):
                koppelvlak.check(root)


def test_statuses_come_in_the_order_of_their_moments():
    found = messages.read_statussen(etree.fromstring(STATUSSEN), "k-1")
    assert [s.statuscode for s in found] == ["100", "405", "400"]
    assert found[0] == Statusmelding(
        "k-1", "100", datetime(2026, 3, 7, 11, 0, 1, tzinfo=UTC), "Tekst", "VAS500", "x <y>",
        "<results/>",
    )  # fmt: skip
    assert all(s.tijdstempel.tzinfo for s in found)


def test_statuses_of_another_kenmerk_are_refused():
    with pytest.raises(ProtocolError) as caught:
        messages.read_statussen(etree.fromstring(STATUSSEN), "k-2")
    assert caught.value.native == "echo"


def test_an_ontvangst_is_read(aanlevering):
    more = (
        "<statuscode>100</statuscode><tijdstempelStatus>2026-03-07T11:37:40Z</tijdstempelStatus>"
        "<statusomschrijving>Aanleveren gelukt.</statusomschrijving>"
    )
    root = etree.fromstring(ontvangst(more=more))
    found = messages.read_ontvangst(root, aanlevering(), b"proof")
    assert (found.kenmerk, found.reply) == ("700627b6-383e-4d8d-809f-b066845b36e0", b"proof")
    assert found.aangeleverd == datetime(2026, 3, 7, 11, 37, 39, 702000, UTC)
    assert found.status is not None
    assert found.status.statuscode == "100"
    plain = messages.read_ontvangst(etree.fromstring(ontvangst()), aanlevering(), b"")
    assert plain.status is None


@pytest.mark.parametrize(
    "echo", [{"soort": "ICP"}, {"aanleverkenmerk": "MAP-0002"}, {"nummer": "001000044B38"}]
)
def test_an_ontvangst_of_something_else_is_refused(aanlevering, echo):
    with pytest.raises(ProtocolError) as caught:
        messages.read_ontvangst(etree.fromstring(ontvangst(**echo)), aanlevering(), b"")
    assert caught.value.native == "echo"


def test_an_ontvangst_needs_a_kenmerk(aanlevering):
    with pytest.raises(ProtocolError):
        messages.read_ontvangst(etree.fromstring(ontvangst(kenmerk=" ")), aanlevering(), b"")


def test_other_answers_are_read():
    read = etree.fromstring
    assert messages.read_processen(read(PROCESSEN), "Omzetbelasting", WHO) == [
        Proces("k-1", "Omzetbelasting", WHO)
    ]
    assert messages.read_berichtsoorten(read(SOORTEN)) == ["Omzetbelasting", "ICP"]
    assert messages.read_bericht(read(BERICHT), "k-1") == Bericht(
        "k-1", "Omzetbelasting", "urn:uuid:1", "MAP-0001",
        datetime(2026, 3, 7, 11, 37, 39, tzinfo=UTC),
    )  # fmt: skip
    empty = etree.fromstring(BERICHT)
    _empty(empty[0])
    assert messages.read_bericht(empty, "k-1") is None


def test_other_answers_about_something_else_are_refused():
    with pytest.raises(ProtocolError):
        messages.read_processen(etree.fromstring(PROCESSEN), "ICP", WHO)
    with pytest.raises(ProtocolError):
        messages.read_bericht(etree.fromstring(BERICHT), "k-2")
    with pytest.raises(ProtocolError):
        messages.read_bericht(etree.fromstring(PROCESSEN), "k-1")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-07T11:37:39Z", datetime(2026, 3, 7, 11, 37, 39, tzinfo=UTC)),
        (" 2026-03-07T11:37:39.7021234+01:00 ", datetime(2026, 3, 7, 10, 37, 39, 702123, UTC)),
        ("2026-03-07T11:37:39", datetime(2026, 3, 7, 11, 37, 39, tzinfo=UTC)),
    ],
)
def test_moments(text, at):
    assert moment(text) == at


@pytest.mark.parametrize("text", ["", "2026-03-07", "2026-13-07T11:37:39Z", "20260307T113739Z"])
def test_no_moments(text):
    with pytest.raises(ValueError, match=r"."):
        moment(text)
