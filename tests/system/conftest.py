# SPDX-License-Identifier: MIT
"""Hosts for the system tests: one boot per file."""

import pytest

from lib import host as hosts
from lib.host import Host
from lib.vitald import build_directory


@pytest.fixture(scope="module")
def host():
    """A running host without vitald."""
    reason = hosts.why_not()
    if reason:
        pytest.skip(reason)
    with Host() as running:
        yield running


@pytest.fixture(scope="module")
def vitald_host(host):
    """A host with vitald installed, its units known and none of them started."""
    build = build_directory()
    if not (build / "vitald").exists():
        pytest.fail(f"no vitald in {build}; build it or set VITALD_BUILD")
    host.install(build)
    return host
