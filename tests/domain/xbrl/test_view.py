"""What a client sees of an instance: every fact once, the form of the return, the main figures."""

from collections import Counter
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.xbrl import instance, labels, ob
from gateway.domain.xbrl.instance import Instance
from gateway.domain.xbrl.summary import Figure, summary, total
from gateway.domain.xbrl.table import Row, Section, Shape, plain
from gateway.domain.xbrl.view import view
from tests.conftest import SHARED
from tests.domain.xbrl import made
from tests.domain.xbrl.made import amount, context, member, typed, unit, word, xbrl

SAMPLES = SHARED / "digipoort"
RETURN = "sample-instances/VB-01_bd-rpt-ob-aangifte-2021.xbrl"
ACCOUNTS = "sbr-assurance/jaarrekening_av/frc-rpt-nt-inrichtingsjaarrekening-2021.xbrl"
PERSON = "sample-instances/biv-a3053bb/VB-03_bd-rpt-ihz-aangifte-2018.xbrl"
ICP = "icp-opgaaf-2026"
SOME = "vpb-aangifte-2025"


def sample(path: str) -> Instance:
    """A real instance."""
    if not (SAMPLES / path).exists():
        pytest.skip(f"not here: {SAMPLES / path}")
    return instance.read((SAMPLES / path).read_bytes())


def seen(data: bytes) -> list[Section]:
    """The view of a made instance."""
    return view(instance.read(data))


def rows(sections: list[Section]) -> dict[str, Row]:
    """The rows that have a rubriek."""
    return {r.rubriek: r for s in sections for r in s.rows if r.rubriek}


def test_the_rubrieken_of_the_real_return() -> None:
    found = {name: row.values for name, row in rows(view(sample(RETURN))).items()}
    assert found == {
        "1a": (15000, 3150), "1b": (1500, 90), "1c": (0, 0), "1d": (0, 0), "1e": (0, None),
        "2a": (0, 0), "3a": (4000, None), "3b": (100, None), "3c": (100, None), "4a": (1200, 0),
        "4b": (0, 0), "5a": (3240,), "5b": (0,), "5d": (0,), "5g": (3240,),
    }  # fmt: skip


def test_the_sections_of_the_real_return() -> None:
    sections = view(sample(RETURN))
    assert [s.title_nl[:2] for s in sections] == ["1.", "2.", "3.", "4.", "5.", "Ge"]
    assert sections[0].columns == (("Omzet", "Turnover"), ("Omzetbelasting", "VAT"))
    assert sections[4].columns == (("Omzetbelasting", "VAT"),)
    assert sections[4].rows[-1].kind is Shape.TOTAL
    assert sections[4].rows[-1].unit == "EUR"
    assert sections[-1].rows[0] == Row(
        "", "Soort contactpersoon", "Contact type", ("INT",), Shape.TEXT
    )


def test_a_concept_stands_in_one_rubriek() -> None:
    names = [n for b in ob.FORM for r in b.rubrieken for n in (r.turnover, r.tax) if n]
    assert Counter(names).most_common(1)[0][1] == 1


@pytest.mark.parametrize(
    "path",
    [
        RETURN,
        ACCOUNTS,
        PERSON,
        "sample-instances/VB-01_bd-rpt-ihz-aangifte-2019-masked.xbrl",
        "sample-instances/biv-a3053bb/BT13_IJRvolledig_2018.xbrl",
        "sample-instances/frc-rpt-vt-duurzaamheidsscore.xbrl",
        "sbr-assurance/taxatie_dh/frc-rpt-vt-taxatierapport.xbrl",
        "sbr-assurance/jaarrekening_av/nba-controleverklaring-goedkeurend-NL.xbrl",
    ],
)
def test_every_fact_of_the_real_instances_is_shown_once(path: str) -> None:
    read = sample(path)
    sections = view(read)
    values = [v for s in sections for r in s.rows for v in r.values if v is not None]
    assert len(values) == len(read.facts)
    assert Counter(v for v in values if isinstance(v, Decimal)) == Counter(
        n for f in read.facts if (n := f.number) is not None
    )
    for section in sections:
        assert section.rows
        assert all(len(r.values) == len(section.columns) for r in section.rows)


FACT = st.tuples(
    st.sampled_from(["SuppliesAmount", "ServicesAmount", ob.TOTAL, ob.OWED, "Equity", "Surname"]),
    st.sampled_from(["c", "d", "e", "none"]),
    st.sampled_from(["EUR", "pure", "none", ""]),
    st.sampled_from(["1", "-2", "x", "2026-01-01", "true", ""]),
    st.booleans(),
)


@given(st.lists(FACT, max_size=12), st.sampled_from(["ob-aangifte", "ob-suppletie", ICP, SOME]))
def test_every_fact_of_any_instance_is_shown_once(
    facts: list[tuple[str, str, str, str, bool]], report: str
) -> None:
    text = ""
    for name, of, in_unit, value, tuple_ in facts:
        fact = amount(name, value, context=of, unit=in_unit) if in_unit else word(name, value)
        text += f"<bd-t:T>{fact}</bd-t:T>" if tuple_ else fact
    contexts = context() + context("d", scenario=typed("bd-d:VATNumberDimension", "1"))
    contexts += context("e", period="<xbrli:instant>2026-01-01</xbrli:instant>")
    units = unit() + unit("pure", "<xbrli:measure>xbrli:pure</xbrli:measure>")
    sections = seen(xbrl(text, report=report, contexts=contexts, units=units))
    values = [v for s in sections for r in s.rows for v in r.values if v is not None]
    assert len(values) == len(facts)
    assert (
        summary(instance.read(xbrl(text, report=report, contexts=contexts, units=units)))
        is not None
    )


def test_what_the_form_has_no_line_for_comes_after_it() -> None:
    facts = made.DEFAULT_FACTS + amount("SomethingNewNT21", 7) + amount(ob.OWED, "veel")
    form, rest = seen(xbrl(facts))
    assert [r.rubriek for r in form.rows] == ["5g"]
    assert rest.title_nl == "Gegevens"
    assert [(r.label_nl, r.values) for r in rest.rows] == [
        ("Something new NT21", (7,)),
        ("Value added tax owed", ("veel",)),
    ]


def test_icp_with_tuples() -> None:
    def line(kind: str, name: str, country: str, number: str, value: int) -> str:
        named = word("CountryCodeISO-EC", country) + word(
            "VATIdentificationNumberNational", number
        )
        return f"<bd-t:{kind}>{named}{amount(name, value)}</bd-t:{kind}>"

    facts = (
        line("IntraCommunitySupplies", "SuppliesAmount", "FR", "12345678901", 1000)
        + line("IntraCommunitySupplies", "SuppliesAmount", "BE", "0123456789", 2000)
        + line("IntraCommunityServices", "ServicesAmount", "FR", "12345678901", 750)
        + line("IntraCommunitySupplies", "SuppliesAmount", "FR", "12345678901", 5)
    )
    (section,) = seen(xbrl(facts, report="icp-opgaaf-2024"))
    assert [c[0] for c in section.columns] == ["Leveringen", "Diensten", "ABC-leveringen"]
    assert [(r.rubriek, r.label_nl, r.values) for r in section.rows] == [
        ("FR", "12345678901", (1000, 750, None)),
        ("FR", "12345678901", (5, None, None)),
        ("BE", "0123456789", (2000, None, None)),
    ]


def test_icp_with_dimensions() -> None:
    who = typed("bd-d:VATNumberDimension", "12345678901") + typed(
        "bd-d:CountryCodeEUDimension", "FR"
    )
    facts = amount("SuppliesAmount", 1000, context="d") + amount(
        "ABCSuppliesAmount", -5, context="d"
    )
    data = xbrl(facts, report=ICP, contexts=context("d", scenario=who))
    (section,) = seen(data)
    (row,) = section.rows
    assert (row.rubriek, row.label_nl, row.values) == ("FR", "12345678901", (1000, None, -5))
    assert summary(instance.read(data)) == [
        Figure("Leveringen", "Supplies amount", Decimal(1000)),
        Figure("ABC-leveringen", "ABC supplies amount", Decimal(-5)),
    ]


def test_years_stand_beside_one_another_the_latest_first() -> None:
    day = "<xbrli:instant>{}-12-31</xbrli:instant>"
    contexts = context("a", period=day.format(2024)) + context("b", period=day.format(2025))
    facts = amount("Equity", 1, context="a") + amount("Assets", 3, context="b")
    facts += amount("Equity", 2, context="b") + amount("Equity", 9, context="b")
    (section,) = seen(xbrl(facts, report=SOME, contexts=contexts))
    assert section.columns == (("31-12-2025", "31-12-2025"), ("31-12-2024", "31-12-2024"))
    assert [(r.label_nl, r.values) for r in section.rows] == [
        ("Eigen vermogen", (2, 1)),
        ("Totaal van activa", (3, None)),
        ("Eigen vermogen", (9, None)),
    ]


def test_a_title_has_bounds() -> None:
    many = "".join(member("d:A", f"d:Part{i:02}") for i in range(22))
    (section,) = seen(xbrl(word("A", "x"), report=SOME, contexts=context(scenario=many)))
    assert section.title_nl.split(" - ") == [*(f"Part {i:02}" for i in range(20)), "..."]
    long = typed("d:A", "x" * 300)
    (section,) = seen(xbrl(word("A", "x"), report=SOME, contexts=context(scenario=long)))
    assert section.title_nl == "A: " + "x" * 200


def test_many_periods_stand_below_one_another() -> None:
    day = "<xbrli:instant>202{}-12-31</xbrli:instant>"
    contexts = "".join(context(f"c{i}", period=day.format(i)) for i in range(6))
    facts = "".join(amount("Equity", i, context=f"c{i}") for i in range(6))
    sections = seen(xbrl(facts, report=SOME, contexts=contexts))
    assert [s.columns[0][0][-4:] for s in sections] == [
        "2025",
        "2024",
        "2023",
        "2022",
        "2021",
        "2020",
    ]


def test_titles_tell_tuples_and_dimensions() -> None:
    own = member("d:X", "d:Declarant") + typed("d:SegmentsAxis", "Zuid")
    inner = f"<bd-t:In>{word('A', 'x', context='d')}</bd-t:In>"
    data = xbrl(f"<bd-t:OutSide>{inner}</bd-t:OutSide>", report=SOME,
                contexts=context("d", scenario=own))  # fmt: skip
    (section,) = seen(data)
    assert section.title_nl == "Out side - In - Segments: Zuid - Aangever"
    assert section.title_en == "Out side - In - Segments: Zuid - Declarant"


@pytest.mark.parametrize(
    ("fact", "kind", "value", "in_unit"),
    [
        (amount("A", "-1.50"), Shape.AMOUNT, Decimal("-1.5"), "EUR"),
        (amount("A", "5", unit="pure"), Shape.NUMBER, Decimal(5), "pure"),
        (amount("A", "veel"), Shape.TEXT, "veel", "EUR"),
        (amount("A", "5", unit="lost"), Shape.NUMBER, Decimal(5), "lost"),
        (word("A", "2026-02-28"), Shape.DATE, date(2026, 2, 28), ""),
        (word("A", "2026-02-30"), Shape.TEXT, "2026-02-30", ""),
        (word("A", "true"), Shape.YESNO, True, ""),
        (word("A", "false"), Shape.YESNO, False, ""),
        (word("A", "123"), Shape.TEXT, "123", ""),
        (word("A", ""), Shape.TEXT, "", ""),
    ],
)
def test_shapes(fact: str, kind: Shape, value: object, in_unit: str) -> None:
    units = unit() + unit("pure", "<xbrli:measure>xbrli:pure</xbrli:measure>")
    (section,) = seen(xbrl(fact, report=SOME, units=units))
    (row,) = section.rows
    assert (row.kind, row.values, row.unit) == (kind, (value,), in_unit)


@pytest.mark.parametrize(
    ("formatted", "text"),
    [
        ("<p>een</p><p>t<b>w</b>ee</p>", "een\ntwee"),
        ("a<br/>b", "a\nb"),
        ("1 < 2 &amp; 3", "1 < 2 & 3"),
        ("a &amp; b", "a &amp; b"),
        ('<img src="data:image/png;base64,AAAA">', "[afbeelding]"),
        ("<script>alert(1)</script>", "alert(1)"),
    ],
)
def test_formatted_text_is_told_plainly(formatted: str, text: str) -> None:
    assert plain(formatted) == text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("NetResultAfterTax", "Net result after tax"),
        ("SuppliesToCountriesOutsideTheEC", "Supplies to countries outside the EC"),
        ("VATIdentificationNumberNational", "VAT identification number national"),
        ("IncomeBox1", "Income box 1"),
        ("CountryCodeISO-EC", "Country code ISO EC"),
        ("FinancialStatementsTypeAxis", "Financial statements type"),
        ("x", "X"),
        ("Member", "Member"),
    ],
)
def test_english_labels(name: str, label: str) -> None:
    assert labels.english(name) == label


def test_dutch_labels_are_for_concepts_that_are_read_so() -> None:
    assert all(label and label == label.strip() for label in labels.DUTCH.values())
    assert labels.dutch("Equity") == "Eigen vermogen"
    assert labels.dutch("Unknown") == "Unknown"


def test_the_figures_of_the_real_return() -> None:
    assert summary(sample(RETURN)) == [
        Figure("Te betalen", "To pay", Decimal(3240)),
        Figure("Verschuldigde omzetbelasting", "VAT owed", Decimal(3240)),
        Figure("Voorbelasting", "Input tax", Decimal(0)),
    ]


def test_the_figures_of_the_real_accounts() -> None:
    told = {f.label_nl: f.amount for f in summary(sample(ACCOUNTS))}
    assert told == {
        "Totaal van activa": 3590000, "Eigen vermogen": 2290000, "Netto-omzet": 10000000,
        "Resultaat na belastingen": 10455000,
    }  # fmt: skip


def test_the_figures_of_a_real_person() -> None:
    assert [int(f.amount) for f in summary(sample(PERSON))] == [104224, 257110, 21236, 382570]


@pytest.mark.parametrize(
    ("value", "label", "figure"),
    [(-12, "Terug te vragen", 12), (0, "Te betalen", 0), (12, "Te betalen", 12)],
)
@pytest.mark.parametrize("report", ["ob-aangifte-2026", "ob-suppletie-2026"])
def test_to_pay_or_to_reclaim(value: int, label: str, figure: int, report: str) -> None:
    name = ob.TOTAL if "aangifte" in report else ob.TOTAL_EXTRA
    read = instance.read(xbrl(amount(name, value), report=report))
    assert total(read) == value
    assert [(f.label_nl, f.amount) for f in summary(read)] == [(label, figure)]


@pytest.mark.parametrize(
    "facts",
    [
        "",
        amount(ob.TOTAL, "x"),
        amount(ob.TOTAL, 1) * 2,
        amount(ob.TOTAL, 1, unit="pure"),
        amount(ob.TOTAL_EXTRA, 1),
    ],
)
def test_no_total(facts: str) -> None:
    assert total(instance.read(xbrl(facts))) is None


def test_the_companys_own_figures_come_before_the_groups() -> None:
    group = member("d:A", "d:CommercialMember") + member("d:B", "d:ConsolidatedMember")
    own = member("d:A", "d:CommercialMember") + member("d:B", "d:SeparateMember")
    part = own + member("d:C", "d:ReservesMember")
    contexts = "".join(
        context(name, scenario=scenario)
        for name, scenario in [("part", part), ("group", group), ("own", own)]
    )
    entry = made.ref("https://www.sbrnexus.nl/ft16/frc/20211208/entrypoints/frc-rpt-nt-x.xsd")
    facts = [amount("Equity", i, context=c) for i, c in enumerate(["part", "group", "own"])]
    told = {
        n: summary(instance.read(xbrl("".join(facts[:n]), contexts=contexts, entry=entry)))
        for n in (1, 2, 3)
    }
    assert [[int(f.amount) for f in figures] for figures in told.values()] == [[], [1], [2]]


def test_a_report_that_is_not_known_has_no_figures() -> None:
    assert summary(instance.read(xbrl(report="x"))) == []
