"""PostgreSQL breaks a package's transaction off: it is told to come back, and then it goes."""

import asyncpg
import pytest

from tests.packages.conftest import ob, ob_files

_TRIGGER = """
create function breaks() returns trigger language plpgsql as
  $$begin raise exception sqlstate '{code}'; end$$;
create trigger breaks before insert on stuk for each row execute function breaks();
"""


@pytest.mark.parametrize("code", ["40P01", "40001", "53100", "57014", "25006"])
async def test_what_passes_by_itself_is_told_as_that(proef, dsn, code):
    owner = await asyncpg.connect(dsn)
    await owner.execute(_TRIGGER.format(code=code))
    told = await proef.put_up(ob(), ob_files(), once="een")
    assert (told.status, told.headers["Retry-After"]) == (503, "30"), told.body
    await owner.execute("drop trigger breaks on stuk")
    await owner.close()
    again = await proef.put_up(ob(), ob_files(), once="een")
    assert again.status == 201, again.body
