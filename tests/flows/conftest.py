"""The portal below its pages: fixtures of tests/pages serve here too."""

from tests.pages.conftest import (  # noqa: F401
    base_url,
    firm,
    phone,
    portal,
    register,
)
