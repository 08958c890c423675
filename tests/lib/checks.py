# SPDX-License-Identifier: MIT
"""[Check] sections as tests need them."""


def section(kind, *lines, name="it", interval="1d", timeout="10s"):
    """One that runs by itself only once, unless a trigger comes.

    The schedule has a phase, so that an hour would be over in one of a thousand tests; and a peer
    of this machine may be kept waiting for seconds.
    """
    return "\n".join([f"[Check {name}]", f"Type={kind}", f"Interval={interval}",
                      f"Timeout={timeout}", *lines, ""])


def http(url, *lines, **options):
    return section("http", f"URL={url}", *lines, **options)


def postgresql(connection_string, *lines, **options):
    return section("postgresql", f"ConnectionString={connection_string}", *lines, **options)
