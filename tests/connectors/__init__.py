"""Tests of connectors. What several kinds share is in `worlds`."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.worlds")
