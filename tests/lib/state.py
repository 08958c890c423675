# SPDX-License-Identifier: MIT
"""A daemon that is restarted, what it says from then on, and the files that outlast it."""

import json

from lib.ctl import ctl
from lib.process import eventually

# What is logged of flips and decisions.
FLIPS = (" is healthy", " is degraded", " is unhealthy", " is unknown", " is pending",
         " is skipped", " is ready", " is not ready", " has started", " has not started",
         " is starting", " is alive", " is dead", " is shown as", " no longer overridden")


def digest(data):
    h = 14695981039346656037
    for byte in data:
        h = (h ^ byte) * 1099511628211 % 2**64
    return h


def sealed(body, kind="vitald-state", version=1):
    """As vitald would have written it."""
    return f"{kind} {version} {len(body)} {digest(body):016x}\n".encode() + body


def sealed_body(path):
    return path.read_bytes().partition(b"\n")[2]


class Restarts:
    """A Vitald that ends and starts again; `log` and transitions() are those since it did first."""

    def __init__(self, vitald):
        self.vitald = vitald
        self.service = vitald.service
        self.mark = 0

    @property
    def path(self):
        return self.vitald.runtime_directory / "state"

    @property
    def log(self):
        return self.vitald.log[self.mark:]

    def start(self, **options):
        self.vitald.start(**options)

    def end(self, how="stop"):
        """stop, or kill once what is known was written."""
        if not self.mark:
            self.mark = len(self.vitald.log)
        if how == "stop":
            self.vitald.stop()
        else:
            self.written()
            self.vitald.kill9()

    def known(self):
        """Until each check has had a result, those of the host too."""
        eventually(lambda: "pending" not in self._states().values(), within=20,
                   what="a state of each check")

    def _states(self):
        """{SERVICE/CHECK: what was measured}"""
        view = json.loads(self.vitald.vitalctl("status", "--json=short").stdout)
        return {f"{service['Name']}/{check['Name']}": check["MeasuredState"]
                for service in view["Services"] for check in service["Checks"]}

    def written(self, text=""):
        """Until the file holds the verdict and the states that are published now, and this text."""
        def is_there():
            kept = json.loads(sealed_body(self.path))
            ready = self.vitald.ready().json["status"]
            assert kept["verdict"]["ready"] == ready and text in self.path.read_text()
            assert "last" not in kept     # It is of this one.
            assert self._states() == {f"{service['name']}/{check['name']}": check["measured"]
                                      for service in kept["services"]
                                      for check in service["checks"]}
            return True
        eventually(is_there, what="what is known in the file")

    def transitions(self):
        return [line for line in self.log.splitlines() if any(flip in line for flip in FLIPS)]

    def history(self, check):
        return json.loads(ctl(self.vitald, "history", check, "--json=short"))

    def status(self):
        return self.vitald.vitalctl("status").stdout
