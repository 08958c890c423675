# SPDX-License-Identifier: MIT
"""A service manager on a private bus that starts nothing: what it is asked for is written down, and
answered or not. The real one is in tests/system; how vitald does with one that goes away in the
middle of a call is seen here alone."""

import sys

from lib.bus_peer import BusPeer

NAME = "org.freedesktop.systemd1"


class Manager(BusPeer):
    """answers: whether StartUnit() ever is answered; `asked` has "METHOD ARGUMENT …"."""
    NAME, SCRIPT = NAME, __file__

    def __init__(self, directory, bus, answers):
        super().__init__(directory, bus, "yes" if answers else "never")

    @property
    def started(self):
        return [line.split()[1] for line in self.asked if line.startswith("StartUnit ")]


XML = """<node><interface name="org.freedesktop.systemd1.Manager">
<method name="Subscribe"/>
<method name="StartUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="o" direction="out"/></method>
<signal name="JobRemoved"><arg type="u"/><arg type="o"/><arg type="s"/><arg type="s"/></signal>
</interface></node>"""


def main(address, answer, log_path):
    from gi.repository import Gio, GLib

    def on_call(connection, _sender, path, interface, method, arguments, invocation):
        with open(log_path, "a") as f:
            f.write(" ".join([method, *arguments.unpack()]) + "\n")
        if method != "StartUnit":
            invocation.return_value(None)
        elif answer == "yes":
            job = path + "/job/1"
            invocation.return_value(GLib.Variant("(o)", (job,)))
            connection.emit_signal(None, path, interface, "JobRemoved", GLib.Variant(
                "(uoss)", (1, job, arguments.unpack()[0], "done")))

    connection = Gio.DBusConnection.new_for_address_sync(
        address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
        Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
    connection.register_object("/org/freedesktop/systemd1", interface, on_call)
    Gio.bus_own_name_on_connection(connection, NAME, Gio.BusNameOwnerFlags.NONE, None, None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
