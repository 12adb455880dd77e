"""Every rule: broken alone it is told alone; broken together, all are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.xbrl import checks
from gateway.domain.xbrl.checks import Expected
from tests.conftest import SHARED
from tests.domain.xbrl import made
from tests.domain.xbrl.made import amount, context, member, ref, typed, unit, word, xbrl

KVK = "http://www.nltaxonomie.nl/nt20/kvk/20251210/entrypoints/kvk-rpt-jaarverantwoording-2025-"
KVK_ID = {"scheme": "http://www.kvk.nl/kvk-id", "number": "12345678"}
TOTAL = made.DEFAULT_FACTS
FOOTNOTE = "<link:footnoteLink><link:footnote>x</link:footnote></link:footnoteLink>"
FOREVER = "<xbrli:forever/>"
TIMED = made.PERIOD.replace("2026-01-01", "2026-01-01T00:00:00")
AXIS = "bd-d:A"
OWN_EUR = '<xbrli:measure xmlns:own="http://www.xbrl.org/2003/iso4217">own:EUR</xbrli:measure>'


def kvk(facts: str = TOTAL, entry: str = KVK + "nlgaap-klein.xsd", **parts: str) -> bytes:
    """Annual accounts."""
    return xbrl(facts, **{"entry": ref(entry), "contexts": context(**KVK_ID), **parts})


def codes(data: bytes, name: str = "", expected: Expected | None = None) -> list[str]:
    """The codes of the faults, in order."""
    return [f.code for f in checks.faults(data, name, expected)]


BROKEN: list[tuple[str, bytes]] = [
    ("FR-NL-1.01", b"\xef\xbb\xbf" + xbrl()),
    ("FR-NL-1.02", xbrl(TOTAL + word("Surname", "Šimić"))),
    ("FR-NL-1.02", xbrl(TOTAL + word("Surname", "emoji \U0001f600"))),
    ("FR-NL-1.02", xbrl(TOTAL + "<!-- \u2019 -->")),
    ("FR-NL-1.03", xbrl(head="<!DOCTYPE x>")),
    ("FR-NL-1.03", xbrl(head='<!-- x --><?pi?>\n<!DOCTYPE x [<!ENTITY a "b">]>')),
    ("FR-NL-1.05", xbrl(head='<?xml version="1.0" encoding="ISO-8859-1"?>')),
    ("FR-NL-1.05", xbrl(head='<?xml version="1.0" encoding="US-ASCII"?>')),
    ("FR-NL-2.03", xbrl(attributes="")),
    ("FR-NL-2.04", xbrl(entry=ref(made.ENTRY.format(report="ob-aangifte-2026")) * 2)),
    ("FR-NL-2.05", xbrl('<link:linkbaseRef xlink:href="x.xml"/>' + TOTAL)),
    ("FR-NL-2.06", xbrl(TOTAL + word("Surname", "<![CDATA[x]]>"))),
    ("FR-NL-2.07", xbrl(TOTAL + word("Surname", "x", more='xsi:nil="false"'))),
    ("FR-NL-3.01", xbrl(contexts=context(period=TIMED))),
    ("FR-NL-3.02", xbrl(contexts=context(period=FOREVER))),
    ("FR-NL-3.03", xbrl(contexts=context() + context("d", scenario=member(AXIS, "bd-d:M")))),
    ("FR-NL-3.04", xbrl(TOTAL + word("Surname", "x", context="d"),
                        contexts=context() + context("d"))),
    ("FR-NL-4.01", xbrl(TOTAL + amount("A", 1, unit="e"), units=unit() + unit("e"))),
    ("FR-NL-4.01", xbrl(TOTAL + amount("A", 1, unit="e"), units=unit() + unit("e", OWN_EUR))),
    ("FR-NL-4.02", xbrl(units=unit() + unit("p", "<xbrli:measure>xbrli:pure</xbrli:measure>"))),
    ("FR-NL-5.01", xbrl(TOTAL + amount("ValueAddedTaxOwedToBePaidBack", 1))),
    ("FR-NL-5.03", xbrl(TOTAL + word("Surname", " \n"))),
    ("FR-NL-5.06", xbrl(amount("A", 1, more='precision="INF"'))),
    ("FR-NL-5.11", xbrl(TOTAL + word("A", "&lt;script>x&lt;/script>"))),
    ("FR-NL-5.11", xbrl(TOTAL + word("A", '&lt;p style="display:none">x&lt;/p>'))),
    ("FR-NL-5.11", xbrl(TOTAL + word("A", '&lt;ol>&lt;li type="disc">x&lt;/li>&lt;/ol>'))),
    ("FR-NL-6.01", xbrl(TOTAL + FOOTNOTE)),
    ("MAP-ENTRYPOINT", xbrl(entry="")),
    ("MAP-VERWIJZING", xbrl(TOTAL + word("A", "x", context="none"))),
    ("MAP-VERWIJZING", xbrl(TOTAL + amount("A", 1, unit="none"))),
    ("MAP-INHOUD", xbrl(TOTAL + word("A", "1<bd-i:B/>2"))),
    ("MAP-INHOUD", xbrl(TOTAL + "<bd-i:A>x</bd-i:A>")),
    ("MAP-INHOUD", xbrl(TOTAL + "<bd-t:T/>")),
    ("MAP-INHOUD", xbrl(TOTAL + f"<bd-t:T>x{word('A', 'x')}</bd-t:T>")),
    ("MAP-INHOUD", xbrl(TOTAL + f"<bd-t:T>{word('A', 'x')}x</bd-t:T>")),
    ("MAP-INHOUD", xbrl(TOTAL + f"<link:x>{word('A', 'x')}</link:x>")),
    ("MAP-INHOUD", xbrl(TOTAL + "betaal dit niet")),
    ("MAP-ID", xbrl(contexts=context() + context(period=made.PERIOD.replace("01-01", "02-01")))),
    ("MAP-GETAL", xbrl(amount("A", "1.000,00"))),
    ("MAP-GETAL", xbrl(amount("A", "1e9"))),
    ("MAP-NUMMER", xbrl(contexts=context(number="123456789B01"))),
    ("MAP-NUMMER", xbrl(contexts=context(scheme="http://example.org", number="1"))),
    ("MAP-BECON", xbrl(TOTAL + word("TaxConsultantNumber", "123455"))),
    ("MAP-XBRL", b"<a/>"),
    ("MAP-XML", b"%PDF-1.7"),
    ("MAP-XML", b""),
    ("FR-KVK-2.01", kvk(attributes='xml:lang="es"')),
    ("FR-KVK-2.02", kvk(TOTAL + word("A", "x", more='xml:lang="en"'))),
    ("FR-KVK-2.03", kvk(entry="https" + KVK[4:] + "nlgaap-klein.xsd")),
    ("FR-KVK-5.01", kvk(amount("A", 1, more='decimals="1"'))),
    ("FR-KVK-5.01", kvk(amount("A", 1, more=""))),
    ("FR-KVK-5.02", kvk(amount("A", 1, more='decimals="0"'),
                        units=unit("EUR", "<xbrli:measure>xbrli:pure</xbrli:measure>"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "data"), BROKEN, ids=[f"{c}-{i}" for i, (c, _) in enumerate(BROKEN)]
)
def test_one_broken_rule_is_told_alone(code: str, data: bytes) -> None:
    found = checks.faults(data)
    assert [f.code for f in found] == [code]
    assert found[0].message.endswith(".") or code == "MAP-XML"


def test_every_rule_is_broken_above() -> None:
    told = {code for code, _ in BROKEN} | {"FR-NL-1.04"}
    assert {r.code for r in (*checks.BYTES, *checks.TREE, *checks.KVK)} <= told


@pytest.mark.parametrize("reference", ["&#1080;", "&#x438;", "&#99999999999999;"])
def test_a_reference_to_another_character_breaks_two_rules(reference: str) -> None:
    found = codes(xbrl(TOTAL + word("Surname", reference)))
    assert found[:2] == ["FR-NL-1.02", "FR-NL-1.04"]


@pytest.mark.parametrize(
    "data",
    [
        xbrl(),
        kvk(),
        kvk(amount("A", 1, more='decimals="-3"')),
        kvk(amount("A", 1, more='decimals="0"'), units=unit("EUR", OWN_EUR)),
        kvk(entry=KVK + "ifrs-full.xsd"),
        kvk(attributes='xml:lang="de"'),
        xbrl(head=""),
        xbrl(TOTAL + word("Surname", "é € &#xE9; &#8364; &amp; &lt; &gt; &apos; &quot;")),
        xbrl(TOTAL + word("A", "1 &lt; 2 en &lt;b>")),
        xbrl(TOTAL + word("A", '&lt;p style="color: red">a&lt;b>b&lt;/b>&lt;br/>&lt;/p>')),
        xbrl(TOTAL + word("A", '&lt;ol>&lt;li type="a">x&lt;/li>&lt;/ol>')),
        xbrl(TOTAL + word("TaxConsultantNumber", "234564")),
        xbrl("<!-- <!DOCTYPE x> -->" + TOTAL),
        xbrl(TOTAL, attributes='xml:lang="es"'),  # a rule of the KvK alone
        xbrl(2 * f"<bd-t:T>{word('A', 'x')}</bd-t:T>" + TOTAL),  # one concept in two tuples
    ],
)
def test_a_good_instance_has_no_faults(data: bytes) -> None:
    assert checks.faults(data, "a-B_1.xbrl") == []


def test_all_faults_at_once() -> None:
    data = b"\xef\xbb\xbf" + xbrl(
        word("Surname", "") + word("Surname", "\u0161") + FOOTNOTE,
        attributes="",
        contexts=context(number="1") + context("d", number="2", period=FOREVER),
    )
    assert codes(data, "een twee.xml") == [
        "FR-NL-1.06", "FR-NL-1.01", "FR-NL-1.02", "FR-NL-2.03", "FR-NL-3.02", "FR-NL-3.03",
        "FR-NL-4.02", "FR-NL-5.01", "FR-NL-5.03", "FR-NL-6.01", "MAP-NUMMER",
    ]  # fmt: skip


def test_an_item_that_is_nil_is_empty_too() -> None:
    data = xbrl(TOTAL + word("Surname", "", more='xsi:nil="true"'))
    assert codes(data) == ["FR-NL-2.07", "FR-NL-5.03"]


@pytest.mark.parametrize("coding", ["utf-16", "utf-32"])
def test_faults_are_told_in_another_encoding_too(coding: str) -> None:
    data = xbrl(TOTAL * 2, head=f'<?xml version="1.0" encoding="{coding}"?>').decode()
    assert codes(data.encode(coding)) == ["FR-NL-1.01", "FR-NL-1.05", "FR-NL-5.01"]


def test_bytes_that_are_no_utf8() -> None:
    assert codes(xbrl().replace(b"3240", b"\xff")) == ["FR-NL-1.05", "MAP-XML"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Omzetbelasting.xbrl", []),
        ("a", []),
        ("", []),
        ("btw q1.xbrl", ["FR-NL-1.06"]),
        ("btw.q1.xbrl", ["FR-NL-1.06"]),
        ("café.xbrl", ["FR-NL-1.06"]),
        ("../a.xbrl", ["FR-NL-1.06"]),
        ("a\n.xbrl", ["FR-NL-1.06"]),
    ],
)
def test_file_names(name: str, code: list[str]) -> None:
    assert codes(xbrl(), name) == code


def test_the_file_name_of_annual_accounts() -> None:
    assert codes(kvk(), "jaar.xml") == ["FR-KVK-1.01"]
    assert codes(xbrl(), "btw.xml") == []


@pytest.mark.parametrize(
    "second",
    [
        member("bd-d:A", "bd-d:M") + member("bd-d:B", "bd-d:N"),
        member("bd-d:B", "bd-d:N") + member("bd-d:A", "bd-d:M"),
        member(" bd-d:A", "\n bd-d:M ") + member("bd-d:B", "bd-d:N"),
    ],
)
def test_contexts_are_the_same_in_any_order_of_dimensions(second: str) -> None:
    first = member("bd-d:A", "bd-d:M") + member("bd-d:B", "bd-d:N")
    contexts = context(scenario=first) + context("d", scenario=second)
    data = xbrl(TOTAL + word("A", "x", context="d"), contexts=contexts)
    assert codes(data) == ["FR-NL-3.04"]


@pytest.mark.parametrize(
    "other",
    [
        {"scenario": member(AXIS, "bd-d:N")},
        {"scenario": typed(AXIS, "2")},
        {"scenario": typed(AXIS, "1") + typed("bd-d:B", "1")},
        {"scenario": typed(AXIS, "1"), "period": "<xbrli:instant>2026-03-31</xbrli:instant>"},
    ],
)
def test_contexts_that_differ(other: dict[str, str]) -> None:
    contexts = context(scenario=typed(AXIS, "1")) + context("d", **other)
    assert codes(xbrl(TOTAL + word("A", "x", context="d"), contexts=contexts)) == []


def test_units_that_differ_by_the_line_alone() -> None:
    per = (
        "<xbrli:divide><xbrli:unitNumerator><xbrli:measure>iso4217:EUR</xbrli:measure>"
        "</xbrli:unitNumerator><xbrli:unitDenominator><xbrli:measure>xbrli:shares"
        "</xbrli:measure></xbrli:unitDenominator></xbrli:divide>"
    )
    units = unit() + unit("per", per)
    facts = TOTAL + amount("EarningsPerShareBasic", "1.20", unit="per")
    assert codes(xbrl(facts, units=units)) == []
    assert codes(kvk(facts, units=units)) == []
    again = facts + amount("A", 1, unit="again")
    assert codes(xbrl(again, units=units + unit("again", per))) == ["FR-NL-4.01"]


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        (Expected("ob"), []),
        (Expected("icp"), ["MAP-SOORT"]),
        (Expected("ob", made.OB, made.NUMBER), []),
        (Expected("", made.OB), []),
        (Expected("", "www.belastingdienst.nl/identificatie"), ["MAP-BELANGHEBBENDE"]),
        (Expected("", made.OB, "001041149B01"), ["MAP-BELANGHEBBENDE"]),
        (Expected("publicatiestukken"), ["MAP-SOORT", "FR-KVK-2.03"]),
    ],
)
def test_what_is_expected(expected: Expected, code: list[str]) -> None:
    assert codes(xbrl(), "", expected) == code


def test_a_persons_return_may_name_the_partner_and_another_may_not() -> None:
    scheme = "www.belastingdienst.nl/identificatie"
    contexts = context(scheme=scheme, number="123456782") + context(
        "d", scheme=scheme, number="111222333"
    )
    facts = word("Surname", "A") + word("Surname", "B", context="d")
    own = Expected("", scheme, "123456782")
    assert (
        codes(xbrl(facts, report="ihz-aangifte-2025", contexts=contexts, units=""), "", own) == []
    )
    vpb = xbrl(facts, report="vpb-aangifte-2025", contexts=contexts, units="")
    assert codes(vpb, "", own) == ["MAP-BELANGHEBBENDE"]


def test_an_instance_of_nobody_is_not_of_whom_is_expected() -> None:
    data = xbrl("", contexts="", units="")
    assert codes(data) == []
    assert codes(data, "", Expected("", made.OB, made.NUMBER)) == ["MAP-BELANGHEBBENDE"]


def test_a_place_is_told_in_few_words() -> None:
    (fault,) = checks.faults(xbrl(contexts=context() + context("d" * 5000, period="")))
    assert (fault.code, len(fault.where)) == ("FR-NL-3.03", 200)


def test_where_tells_lines_and_stops_at_five() -> None:
    facts = "".join(word(f"A{i}", "") for i in range(7))
    (fault,) = checks.faults(xbrl(TOTAL + facts))
    assert fault.where.split("; ") == [*(f"regel {7 + i}: A{i}" for i in range(5)), "..."]


def test_a_bsn_is_not_told() -> None:
    scheme = "www.belastingdienst.nl/identificatie"
    (fault,) = checks.faults(xbrl(contexts=context(scheme=scheme, number="123456789")))
    assert "123456789" not in repr(fault)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("sample-instances/VB-01_bd-rpt-ob-aangifte-2021.xbrl", []),
        ("sample-instances/VB-01_bd-rpt-ihz-aangifte-2019-masked.xbrl", []),
        ("sample-instances/wusjs-valid-instance.xbrl", []),
        ("sample-instances/frc-rpt-vt-duurzaamheidsscore.xbrl", []),
        ("sample-instances/biv-a3053bb/BT13_IJRvolledig_2018.xbrl", []),
        # a made-up number of eight digits
        ("sample-instances/biv-a3053bb/VB-03_bd-rpt-ihz-aangifte-2018.xbrl", ["MAP-NUMMER"]),
        ("sbr-assurance/jaarrekening_av/frc-rpt-nt-inrichtingsjaarrekening-2021.xbrl", []),
        # typographic quotes
        ("sbr-assurance/jaarrekening_av/nba-controleverklaring-goedkeurend-NL.xbrl",
         ["FR-NL-1.02"]),
        ("sbr-assurance/taxatie_dh/frc-rpt-vt-taxatierapport.xbrl", []),
    ],
)  # fmt: skip
def test_real_instances(path: str, code: list[str]) -> None:
    file = SHARED / "digipoort" / path
    if not file.exists():
        pytest.skip(f"not here: {file}")
    assert codes(file.read_bytes(), file.name) == code


@given(st.binary(max_size=400))
def test_any_bytes_have_faults_and_raise_nothing(data: bytes) -> None:
    assert checks.faults(data, "a.xbrl")


@given(st.data())
def test_a_damaged_instance_raises_nothing(data: st.DataObject) -> None:
    good = bytearray(kvk(TOTAL + word("A", "&lt;p>x&lt;/p>")))
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=3)):
        good[place] = data.draw(st.integers(0, 255))
    checks.faults(bytes(good), "a.xbrl", Expected("ob", made.OB, made.NUMBER))


@given(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))
def test_allowed_characters(sign: str) -> None:
    allowed = ord(sign) < 0x100 or 0x20A0 <= ord(sign) <= 0x20CF
    data = xbrl(TOTAL + f"<!-- {sign} -->")
    if ord(sign) not in (0xFFFE, 0xFFFF):  # no characters of XML
        assert codes(data) == ([] if allowed else ["FR-NL-1.02"])
