"""What operations types about klanten, access, mandates and keys: a mistake is told, not kept."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import cli
from gateway.domain.wire import NOT_ONE_LINE
from gateway.flows import packages, people, stukbeheer
from tests.domain.xbrl import made
from tests.filing.conftest import KLANT
from tests.packages.conftest import ob, ob_files

SANNE = "sanne@bakkerij.example"
SHA256 = "ab" * 32


async def run(tmp_path: Path, *words: str) -> tuple[int, str]:
    """A command for the firm, in a loop of its own; its exit code and what it told."""
    given = [*words, "--firm", "eikenhof", "--config", str(tmp_path / "config")]
    done = await asyncio.to_thread(CliRunner().invoke, cli, given)
    return done.exit_code, done.output


async def count(office, query, *values) -> int:
    """Rows of the firm."""
    async with office.portal.db.tenant(office.firm.id) as c:
        return len(await c.fetch(query, *values))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("400900", " "), "naam: Een naam heeft 1 tot 200 tekens."),
        (("400900", "a\u202eb"), f"naam: {NOT_ONE_LINE}"),
        (("40\x0700", "Naam"), f"nummer: {people.NO_NUMBER}"),
        (("a/b", "Naam"), f"nummer: {people.NO_NUMBER}"),
        (("..", "Naam"), f"nummer: {people.NO_NUMBER}"),
        (("400900", "Naam", "--relatiebeheerder", "niemand"),
         "relatiebeheerder: Deze medewerker staat niet in de configuratie."),
    ],
)  # fmt: skip
async def test_a_klant_that_is_none(office, tmp_path, words, said):
    assert await run(tmp_path, "klant", "put", *words) == (1, said + "\n")
    assert not await count(office, "select from klant where number <> $1", KLANT)


async def test_a_relatiebeheerder_stays_until_another_is_said(office, tmp_path):
    for more, who in (
        (("--relatiebeheerder", "karim"), "karim"), ((), "karim"),
        (("--relatiebeheerder", ""), ""),
    ):  # fmt: skip
        assert await run(tmp_path, "klant", "put", "400900", "Naam", *more) == (0, "kept\n")
        query = "select from klant where number = '400900' and coalesce(relatiebeheerder, '') = $1"
        assert await count(office, query, who) == 1


async def test_a_number_that_is_not_the_klants_is_taken_away(office, proef, tmp_path):
    """What names it was somebody else's, and is refused from then on."""
    asked = ("klant", "identify", KLANT, "--type", "BTW", "--value", made.NUMBER)
    assert await run(tmp_path, *asked, "--remove") == (0, "taken away\n")
    assert await run(tmp_path, *asked, "--remove") == (
        1, "nummer: Deze klant heeft dit nummer niet.\n",
    )  # fmt: skip
    told = await proef.put_up(ob(), ob_files())
    assert (told.status, set(told.faults)) == (422, {"klant"})
    assert await count(office, "select from audit where event = 'klant_identity_taken'") == 1
    assert await run(tmp_path, *asked) == (0, "kept\n")
    assert (await proef.put_up(ob(), ob_files())).status == 201


async def test_what_was_not_there_is_not_ended(office, person, tmp_path):
    """With a word that was mistyped somebody would go on approving, or seeing."""
    await person(mandate="ob")
    running = "select from mandate where until is null"
    for words in ((), ("--soort", "obb"), ("--soort", "icp"), ("--last", "2999-12-31x")):
        code, said = await run(tmp_path, "mandate", "end", SANNE, KLANT, *words)
        assert code == (2 if "--last" in words else 1), said
        if code == 1:
            assert said == f"soort: {stukbeheer.NO_MANDATE}\n"
    assert await count(office, running) == 1
    done = await run(tmp_path, "mandate", "end", SANNE, KLANT, "--soort", "ob")
    assert done == (0, "ended\n")
    assert await count(office, running) == 0
    assert (await run(tmp_path, "mandate", "end", SANNE, KLANT, "--soort", "ob"))[0] == 1
    assert await count(office, "select from audit where event = 'mandate_ended'") == 1
    code, said = await run(tmp_path, "person", "revoke", SANNE, "400999")
    assert (code, said) == (1, "klant: Deze persoon heeft geen toegang tot deze klant.\n")
    assert await run(tmp_path, "person", "revoke", SANNE, KLANT) == (0, "taken away\n")
    assert (await run(tmp_path, "person", "revoke", SANNE, KLANT))[0] == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--rotate", "-5"), 2), (("--rotate", "10000000000"), 2), (("--days", "-1"), 2),
        (("--certificate", "zz"), 1), (("--certificate", ":"), 1),
        (("--certificate", SHA256 + "a"), 1), (("--certificate", SHA256), 0),
        (("--certificate", ":".join(["AB"] * 32)), 0), (("--rotate", "14"), 0),
    ],
)  # fmt: skip
async def test_a_key(office, tmp_path, words, code):
    await packages.make(office.portal, office.firm, "Pakket", packages.Scope)
    done, said = await run(tmp_path, "package", "key", "Pakket", "--scope", "status", *words)
    assert done == code
    if code:
        assert (f"certificate: {packages.NO_SHA256}\n" == said) is (code == 1)
        ended = "select from api_key where expires_at is not null"
        assert (await count(office, "select from api_key"), await count(office, ended)) == (1, 0)
    elif "--certificate" in words:
        query = "select from api_key where certificate = $1"
        assert await count(office, query, SHA256) == 1


@pytest.mark.parametrize("periode", ["1e\r\nkwartaal", "\u200b", "q1\0"])
async def test_a_periode_is_one_line(office, tmp_path, periode):
    part = office.write("brief.pdf", "%PDF-1.4 een brief")
    words = (KLANT, "brief", "--part", f"akkoorddocument:{part.source}:{part.id}", "--jaar",
             "2026", "--periode", periode)  # fmt: skip
    assert await run(tmp_path, "stuk", "put-up", *words) == (1, f"periode: {NOT_ONE_LINE}\n")
