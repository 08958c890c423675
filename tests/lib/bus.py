# SPDX-License-Identifier: MIT
"""A private dbus-daemon with a system bus's manners, and busctl towards it."""

import json
import pathlib
import subprocess

from lib.process import CLEAN_ENVIRONMENT, PATIENCE, Process, Server, eventually

CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow eavesdrop="false"/>
  </policy>
</busconfig>
"""


class Bus(Server):
    """`environment` is what a program needs to take it for the system bus."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o711)
        self.socket = self.directory / "bus.sock"
        self.address = f"unix:path={self.socket}"
        self.environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.address,
                            "DBUS_SESSION_BUS_ADDRESS": self.address}

    def start(self):
        configuration = self.directory / "bus.conf"
        configuration.write_text(CONFIGURATION.format(socket=self.socket))
        self.socket.unlink(missing_ok=True)
        self.process = Process(["/usr/bin/dbus-daemon", f"--config-file={configuration}",
                                "--nofork", "--nopidfile"], self.directory / "bus.log")
        eventually(self._answers, what="dbus-daemon")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return self.busctl("list", "--no-legend").returncode == 0

    def busctl(self, *argv, user=None, within=PATIENCE):
        as_user = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return subprocess.run(
            ["/usr/bin/setpriv", *as_user, "/usr/bin/busctl", f"--address={self.address}",
             *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=CLEAN_ENVIRONMENT, timeout=within)

    def names(self):
        return {line.split()[0] for line in self.busctl("list", "--no-legend").stdout.split("\n")
                if line.strip()}

    def get(self, path, interface, *properties, name="org.vitald1"):
        """Properties as busctl --json=short gives them: one value, or a list for several."""
        done = self.busctl("--json=short", "get-property", name, path, interface, *properties)
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        values = [json.loads(line)["data"] for line in done.stdout.splitlines()]
        return values[0] if len(properties) == 1 else values

    def call(self, path, interface, method, *arguments, name="org.vitald1", user=None):
        """The reply's arguments as a list; ValueError with the error's text otherwise."""
        done = self.busctl("--json=short", "call", name, path, interface, method, *arguments,
                           user=user)
        if done.returncode != 0:
            raise ValueError(done.stderr.strip())
        return json.loads(done.stdout)["data"] if done.stdout.strip() else []
