# SPDX-License-Identifier: MIT
"""What only the integration tests need; servers and the daemon come from tests/conftest.py."""

import pytest

from lib.ctl import check


@pytest.fixture
def shop(vitald, http_server):
    """A daemon with the service shop, which stands on the HTTP server."""
    vitald.service("shop", "[Service]\nDescription=The shop\n"
                   + check("app", http_server.url(), "Documentation=https://wiki/app"))
    vitald.start()
    vitald.vitalctl("wait", "shop", "--timeout=10s")
    return vitald
