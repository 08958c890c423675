# SPDX-License-Identifier: MIT
"""An authority that answers, slowly or never, what the test wants; run as a program of its own.

The real polkitd answers at once; how vitald does with one that does not is seen here alone.
"""

import os
import sys

from lib.bus_peer import BusPeer

NAME = "org.freedesktop.PolicyKit1"


class Polkit(BusPeer):
    """answer: yes, no, challenge, never, or the path of a file, with which it is yes; `asked` has
    "ACTION FLAGS" and "cancelled"."""
    NAME, SCRIPT = NAME, __file__


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

    def reply_in_time(invocation):
        if os.path.exists(answer):
            reply(invocation, True)
        return not os.path.exists(answer)

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
            GLib.timeout_add(10, reply_in_time, invocation)

    connection = Gio.DBusConnection.new_for_address_sync(
        address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
        Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
    connection.register_object("/org/freedesktop/PolicyKit1/Authority", interface, on_call)
    Gio.bus_own_name_on_connection(connection, NAME, Gio.BusNameOwnerFlags.NONE, None, None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
