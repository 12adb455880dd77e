"""Reading instances: what they say, and files that mean harm."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import sbr
from gateway.domain.xbrl import instance, kinds, numbers, source
from gateway.domain.xbrl.instance import Context, Fact, Group, Member, Period
from gateway.errors import Invalid
from tests.conftest import ROOT, SHARED
from tests.domain.xbrl import made
from tests.domain.xbrl.made import amount, context, member, typed, unit, word, xbrl

SAMPLES = SHARED / "digipoort"
QUARTER = Period(date(2026, 1, 1), date(2026, 3, 31))


def sample(path: str) -> instance.Instance:
    """A real instance."""
    if not (SAMPLES / path).exists():
        pytest.skip(f"not here: {SAMPLES / path}")
    return instance.read((SAMPLES / path).read_bytes())


def test_a_small_instance() -> None:
    read = instance.read(xbrl())
    assert read.entry_points == (made.ENTRY.format(report="ob-aangifte-2026"),)
    assert read.language == "nl"
    assert read.contexts == {"c": Context("c", made.OB, made.NUMBER, QUARTER)}
    assert read.units == {"EUR": "EUR"}
    (fact,) = read.facts
    assert fact == Fact(
        "http://www.nltaxonomie.nl/nt20/bd/20251210/dictionary/bd-data",
        "ValueAddedTaxOwedToBePaidBack", "c", "3240", "EUR", "INF", 0, 6,
    )  # fmt: skip
    assert fact.number == Decimal(3240)
    assert read.identifiers == {(made.OB, made.NUMBER)}
    assert read.period == QUARTER
    assert read.kind == kinds.Kind("ob", "nt20")


def test_dimensions_are_told_by_their_bare_names_in_order() -> None:
    inner = typed("bd-d:B", "\n Jan  de\tVries ") + member("x:A", " x:M ")
    read = instance.read(xbrl(contexts=context(scenario=inner)))
    assert read.contexts["c"].dimensions == (
        Member("A", "M"),
        Member("B", "Jan de Vries", typed=True),
    )


def test_tuples_have_their_place() -> None:
    inner = f"<bd-t:In>{word('A', '1')}</bd-t:In>"
    facts = f"<bd-t:Out>{word('B', '2')}{inner}{word('C', '3')}</bd-t:Out>" + word("D", "4")
    read = instance.read(xbrl(facts))
    assert read.groups == (Group(1, "Out", 0), Group(2, "In", 1))
    assert [(f.name, f.group) for f in read.facts] == [("B", 1), ("A", 2), ("C", 1), ("D", 0)]


def test_measures() -> None:
    side = "<xbrli:unit{0}><xbrli:measure>{1}</xbrli:measure></xbrli:unit{0}>"
    above, below = side.format("Numerator", "iso4217:EUR"), side.format("Denominator", "x:shares")
    units = unit("a", f"<xbrli:divide>{above}{below}</xbrli:divide>")
    units += unit("b", "<xbrli:measure>xbrli:pure</xbrli:measure>") + unit("c", "")
    assert instance.read(xbrl(units=units)).units == {"a": "EUR/shares", "b": "pure", "c": ""}


@pytest.mark.parametrize(
    ("period", "read"),
    [
        ("<xbrli:instant>2026-03-31</xbrli:instant>", Period(None, date(2026, 3, 31))),
        ("<xbrli:forever/>", Period(None, None)),
        ("", Period(None, None)),
        ("<xbrli:startDate>2026-02-30</xbrli:startDate>", Period(None, None)),
        ("<xbrli:startDate> 2026-01-01T00:00:00 </xbrli:startDate>"
         "<xbrli:endDate>2026-W10</xbrli:endDate>", Period(date(2026, 1, 1), None)),
    ],
)  # fmt: skip
def test_periods(period: str, read: Period) -> None:
    found = instance.read(xbrl(contexts=context(period=period)))
    assert found.contexts["c"].period == read


def test_the_period_it_names_itself_comes_first() -> None:
    name = "FinancialReportingPeriodCurrent"
    facts = word(f"{name}StartDate", "2025-07-01") + word(f"{name}EndDate", "2026-06-30")
    read = instance.read(xbrl(made.DEFAULT_FACTS + facts))
    assert read.period == Period(date(2025, 7, 1), date(2026, 6, 30))


def test_the_period_of_most_facts_and_of_equals_the_latest() -> None:
    old = context("old", period=made.PERIOD.replace("2026", "2025"))
    even = amount("A", 1) + amount("B", 1, context="old")
    assert instance.read(xbrl(even, contexts=old + context())).period == QUARTER
    odd = even + amount("C", 1, context="old")
    read = instance.read(xbrl(odd, contexts=old + context()))
    assert read.period == Period(date(2025, 1, 1), date(2025, 3, 31))


def test_an_instance_of_a_day_alone() -> None:
    contexts = context(period="<xbrli:instant>2026-03-31</xbrli:instant>")
    assert instance.read(xbrl(contexts=contexts)).period == Period(None, date(2026, 3, 31))
    assert instance.read(xbrl("", contexts="")).period == Period(None, None)


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32", "iso-8859-1", "cp1252"])
def test_other_encodings_are_read_too(coding: str) -> None:
    name = coding.removesuffix("-sig")
    data = xbrl(word("A", "é"), head=f'<?xml version="1.0" encoding="{name}"?>\n')
    read = instance.read(data.decode().encode(coding))
    assert [f.value for f in read.facts] == ["é"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3240", Decimal(3240)), (" -1.50\n", Decimal("-1.50")), ("+.5", Decimal("0.5")),
        ("5.", Decimal(5)), ("1e5", None), ("1,5", None), ("", None), ("-", None), ("NaN", None),
        ("Infinity", None), ("١", None), ("9" * 61, None), ("1_000", None),
    ],
)  # fmt: skip
def test_numbers(text: str, number: Decimal | None) -> None:
    assert instance.number(text) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, max_value=10**20))
def test_every_decimal_is_read_back(number: Decimal) -> None:
    if len(f"{number:f}") <= 60:
        assert instance.number(f"{number:f}") == number


@pytest.mark.parametrize(
    ("path", "kind", "taxonomy", "facts", "contexts", "period", "identifiers"),
    [
        ("sample-instances/VB-01_bd-rpt-ob-aangifte-2021.xbrl", "ob", "nt15", 33, 1,
         Period(date(2021, 10, 1), date(2021, 10, 31)), {(numbers.SCHEME_OB, "001000044B37")}),
        ("sample-instances/wusjs-valid-instance.xbrl", "ob", "nt14", 33, 1,
         Period(date(2020, 10, 1), date(2020, 10, 31)), {(numbers.SCHEME_OB, "001000044B37")}),
        ("sample-instances/VB-01_bd-rpt-ihz-aangifte-2019-masked.xbrl", "ihz", "nt14", 33, 2,
         Period(date(2019, 1, 1), date(2019, 12, 31)),
         {(numbers.SCHEME_FISCAL, "000000012"), (numbers.SCHEME_FISCAL, "000000024")}),
        ("sample-instances/biv-a3053bb/BT13_IJRvolledig_2018.xbrl", "kredietrapportage", "bt13",
         2843, 383, Period(date(2017, 1, 1), date(2017, 12, 31)),
         {(numbers.SCHEME_KVK, "12345678")}),
        ("sbr-assurance/jaarrekening_av/frc-rpt-nt-inrichtingsjaarrekening-2021.xbrl",
         "kredietrapportage", "ft16", 1177, 44, Period(date(2021, 1, 1), date(2021, 12, 31)),
         {(numbers.SCHEME_KVK, "30267975")}),
        ("sbr-assurance/taxatie_dh/frc-rpt-vt-taxatierapport.xbrl", "taxatie", "vt15", 368, 44,
         Period(date(2021, 1, 7), date(2021, 1, 7)), {(numbers.SCHEME_KVK, "12345678")}),
        ("sbr-assurance/jaarrekening_av/nba-controleverklaring-goedkeurend-NL.xbrl",
         "verklaring", "", 48, 1, Period(date(2017, 3, 25), date(2017, 3, 25)),
         {("http://www.nba.nl/kvk-id", "30267975")}),
    ],
)  # fmt: skip
def test_real_instances(
    path: str,
    kind: str,
    taxonomy: str,
    facts: int,
    contexts: int,
    period: Period,
    identifiers: set[tuple[str, str]],
) -> None:
    read = sample(path)
    assert read.kind == kinds.Kind(kind, taxonomy)
    assert (len(read.facts), len(read.contexts)) == (facts, contexts)
    assert read.period == period
    assert read.identifiers == identifiers


HEAD = "<!DOCTYPE x ["
HARM = {
    "nothing": b"",
    "white space": b" \n",
    "no xml": b"%PDF-1.7 \x00\xff",
    "html": b"<html><p>x</html>",
    "another root": b"<a/>",
    "half": xbrl()[:-30],
    "two roots": xbrl() + b"<a/>",
    "doctype": xbrl(head="<!DOCTYPE x>"),
    "file": xbrl("&a;", head=HEAD + '<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    "laughs": xbrl("&c;", head=HEAD + '<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;">]>'),
    "parameter": xbrl(head=HEAD + '<!ENTITY % a SYSTEM "http://example.org/x">%a;]>'),
    "doctype in utf-16": xbrl(head="<!DOCTYPE x>").decode().encode("utf-16"),
    "unknown entity": xbrl("&nbsp;"),
    "unknown encoding": xbrl(head='<?xml version="1.0" encoding="x-none"?>'),
    "ebcdic": xbrl(head='<?xml version="1.0" encoding="cp037"?>').decode().encode("cp037"),
    "utf-7": xbrl(head='<?xml version="1.0" encoding="utf-7"?>'),
    "overlong": xbrl().replace(b"3240", b"\xc0\xbc"),
    "surrogate": xbrl().replace(b"3240", b"\xed\xa0\x80"),
    "nul": xbrl().replace(b"3240", b"\x00"),
    "deep": xbrl("<a>" * 5000 + "</a>" * 5000),
    "two attributes of one name": xbrl('<bd-i:A contextRef="c" contextRef="d">1</bd-i:A>'),
    "too large": b"<a>" + b" " * sbr.MOST,
    "many elements": b"<a>" + b"<b/>" * source.MARKS,
    "many attributes": b"<a" + b' b=""' * (source.MARKS + 1) + b"/>",
    "many facts": b"<a>" + b'<b contextRef="c"/>' * (source.FACTS + 1) + b"</a>",
    "many namespaces": xbrl(attributes=" ".join(f'xmlns:n{i}="u"' for i in range(1001))),
    "long namespace": xbrl(attributes=f'xmlns:n="{"u" * 501}"'),
    "one long text": b"<a>" + b"x" * 15_000_000 + b"</a>",
}


@pytest.mark.parametrize("data", HARM.values(), ids=HARM.keys())
def test_harmful_files_are_refused(data: bytes) -> None:
    with pytest.raises(Invalid) as e:
        instance.read(data)
    assert list(e.value.faults) == ["instance"]


#: Files just within the bounds, each the most expensive of its sort.
DENSE = f"""
import resource, sys
from gateway.domain.xbrl import checks, instance, source, summary, view
from tests.domain.xbrl.made import amount, context, member, typed, word, xbrl

N = source.MARKS - 60
members = member("bd-d:A", "bd-d:B") * (N // 4)
tuples = f"<bd-t:T>{{word('A', 'x')}}</bd-t:T>" * (N // 8)
make = {{
    "elements": lambda: xbrl("<bd-t:a/>" * N),
    "facts": lambda: xbrl('<bd-i:A contextRef="c"/>' * source.FACTS),
    "attributes": lambda: xbrl("<bd-t:a " + " ".join(f'a{{i}}=""' for i in range(N)) + "/>"),
    "prefixes": lambda: xbrl("<bd-t:a " + " ".join(f'xmlns:a{{i}}="u"' for i in range(N)) + "/>"),
    "declarations": lambda: xbrl('<bd-t:a xmlns:a="u"/>' * (N // 2)),
    "titles": lambda: xbrl(tuples, contexts=context(scenario=members[:len(members) // 2])),
    "typed": lambda: xbrl(tuples, contexts=context(scenario=typed("bd-d:A", "x " * 4_000_000))),
    "long names": lambda: xbrl("<bd-t:{{0}}>{{1}}</bd-t:{{0}}>".format("T" * 49_000, tuples)),
    "escaped": lambda: xbrl(word("A", "&lt;a/>" * 2_800_000)),
    "escaped tags": lambda: xbrl(word("A", "&lt;a/>" * 49_000) * 50),
    "amounts": lambda: xbrl(amount("Assets", 1) * (N // 4), report="ob-aangifte-2026"),
    "tuple": lambda: xbrl("<bd-t:T>" + amount("SuppliesAmount", 1) * (N // 4) + "</bd-t:T>",
                          report="icp-opgaaf-2026"),
    "lines": lambda: xbrl("\\n" * 10_000_000 + word("A", "\\u0161") * 10_000),
    "members": lambda: xbrl(amount("Assets", 1) * (N // 8), contexts=context(scenario=members),
                            report="icp-opgaaf-2026"),
    "utf-16": lambda: (" " * 9_000_000 + "\\u0161<a>").encode("utf-16"),
}}
data = make[sys.argv[1]]()
assert len(data) < {sbr.MOST}
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
checks.faults(data, "a.xbrl")
try:
    read = instance.read(data)
except instance.Invalid:
    pass
else:
    view.view(read), summary.summary(read)
print(start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize(
    "name",
    ["elements", "facts", "attributes", "prefixes", "declarations", "titles", "typed",
     "long names", "escaped", "escaped tags", "amounts", "tuple", "lines", "members", "utf-16"],
)  # fmt: skip
def test_time_and_memory_are_bounded(name: str) -> None:
    """That it ends at all is the proof that nothing grows with the square of the file."""
    done = subprocess.run(
        [sys.executable, "-c", DENSE, name], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after - before < 200 * 1024  # KiB, above the file itself


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        instance.read(data)
