# SPDX-License-Identifier: MIT
"""An authority that answers, slowly or never, what the test wants; run as a program of its own.

The real polkitd answers at once; how vitald does with one that does not is seen here alone.
"""

import os
import subprocess
import sys

from lib.process import CLEAN_ENVIRONMENT, eventually

NAME = "org.freedesktop.PolicyKit1"


class Polkit:
    """answer: yes, no, challenge, never, or seconds after which it is yes."""

    def __init__(self, directory, bus, answer):
        self.log_path, self.bus, self.answer = directory / "polkit.log", bus, str(answer)

    def __enter__(self):
        self.log_path.write_text("")
        self.process = subprocess.Popen(
            ["/usr/bin/setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", __file__,
             self.bus.address, self.answer, self.log_path],
            env={**CLEAN_ENVIRONMENT, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))})
        eventually(lambda: NAME in self.bus.names(), what="the authority")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @property
    def asked(self):
        """["ACTION FLAGS", …] and "cancelled" in their order"""
        return self.log_path.read_text().splitlines()


XML = """<node><interface name="org.freedesktop.PolicyKit1.Authority">
<method name="CheckAuthorization">
<arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/>
<arg type="a{ss}" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
<arg type="(bba{ss})" direction="out"/></method>
<method name="CancelCheckAuthorization"><arg type="s" direction="in"/></method>
</interface></node>"""


def main(address, answer, log_path):
    from gi.repository import Gio, GLib

    def log(text):
        with open(log_path, "a") as f:
            f.write(text + "\n")

    def reply(invocation, is_authorized, is_challenge=False):
        invocation.return_value(GLib.Variant("((bba{ss}))", ((is_authorized, is_challenge, {}),)))
        return False

    def on_call(_connection, _sender, _path, _interface, method, arguments, invocation):
        if method == "CancelCheckAuthorization":
            log("cancelled")
            invocation.return_value(None)
            return
        (kind, details), action, _, flags, _ = arguments.unpack()
        assert kind == "system-bus-name" and details["name"].startswith(":")
        log(f"{action} {flags}")
        if answer in ("yes", "no", "challenge"):
            reply(invocation, answer == "yes", answer == "challenge")
        elif answer != "never":
            GLib.timeout_add(int(float(answer) * 1000), reply, invocation, True)

    connection = Gio.DBusConnection.new_for_address_sync(
        address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
        Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
    connection.register_object("/org/freedesktop/PolicyKit1/Authority", interface, on_call)
    Gio.bus_own_name_on_connection(connection, NAME, Gio.BusNameOwnerFlags.NONE, None, None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
