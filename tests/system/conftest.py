# SPDX-License-Identifier: MIT
"""Hosts for the system tests: one boot per file."""

import pytest

from lib import host as hosts
from lib.host import Host
from lib.vitald import build_directory


@pytest.fixture(scope="session")
def needs_host():
    reason = hosts.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def build(needs_host):
    """What is installed on the hosts."""
    directory = build_directory()
    if not (directory / "vitald").exists():
        pytest.fail(f"no vitald in {directory}; build it or set VITALD_BUILD")
    return directory


@pytest.fixture(scope="module")
def host(needs_host):
    """A running host without vitald."""
    with Host() as running:
        yield running


@pytest.fixture(scope="module")
def vitald_host(build, host):
    """A host with vitald installed, its units known and none of them started."""
    host.install(build)
    return host
