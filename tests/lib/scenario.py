# SPDX-License-Identifier: MIT
"""A service that stands on a database, a cache and an API, each a real server."""

import dataclasses

CHECK = """
[Check {name}]
Type={type}
{target}
{more}
"""


def target_of(kind, server):
    """The line of a check of this type that says what it is towards."""
    if kind == "postgresql":
        return f"ConnectionString=host={server.host} port={server.port} user=postgres dbname=orders"
    if kind == "http":
        return f"URL=http://{server.address}/"
    return f"Address={server.address}"


def check(name, kind, server, more=""):
    """server: whatever has host, port and address."""
    return CHECK.format(name=name, type=kind, target=target_of(kind, server), more=more)


@dataclasses.dataclass
class Named:
    """A server by another name."""

    host: str
    port: int

    @property
    def address(self):
        return f"{self.host}:{self.port}"


def percentile(values, share):
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def assert_prompt(delays, limit=0.05):
    """Seconds, of many: a machine that stands still now and then delays some of them, one that has
    nothing else to do the fewest; what waits for an interval, or looks now and then, all."""
    middle = percentile(delays, 0.5)
    print(f"median {1000 * middle:.1f} ms, maximum {1000 * max(delays):.1f} ms")
    assert middle < limit and percentile(delays, 0.9) < 1, sorted(delays)
