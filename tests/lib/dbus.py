# SPDX-License-Identifier: MIT
"""A D-Bus client that stays connected, to a bus or to the private socket."""

import time

from gi.repository import Gio, GLib

from lib.process import PATIENCE, SLOWNESS

MANAGER = "/org/vitald1"


def check_path(service, check):
    return f"{service_path(service)}/check/{escape(check)}"


def service_path(service):
    return f"{MANAGER}/service/{escape(service)}"


def escape(name):
    """As sd_bus_path_encode() does it."""
    return "".join(c if c.isascii() and c.isalnum() and not (i == 0 and c.isdigit())
                   else "_%02x" % ord(c) for i, c in enumerate(name))


class DBusError(Exception):
    def __init__(self, error):
        self.name = Gio.DBusError.get_remote_error(error)
        self.message = error.message.removeprefix(f"GDBus.Error:{self.name}: ")
        super().__init__(f"{self.name}: {self.message}")


class Client:
    """A connection to a bus, or with peer=True to a private socket. Signals are collected."""

    def __init__(self, address, peer=False):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
        if not peer:
            flags |= Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.destination = None if peer else "org.vitald1"
        self.signals = []       # (monotonic time, path, interface, member, arguments)
        self.context = GLib.MainContext.new()
        self.context.push_thread_default()
        try:
            self.connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
            self.connection.set_exit_on_close(False)
            self.subscription = self.connection.signal_subscribe(
                self.destination, None, None, None, None, Gio.DBusSignalFlags.NONE,
                self._on_signal, None)
        finally:
            self.context.pop_thread_default()
        # Signals come once a call has been answered: by then the match is in force, or the
        # private socket has taken us in.
        if peer:
            self.call(MANAGER, "org.freedesktop.DBus.Peer", "Ping")
        else:
            self.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId",
                      destination="org.freedesktop.DBus")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if not self.connection.is_closed():
            self.connection.signal_unsubscribe(self.subscription)
            self.connection.close_sync(None)
        self.poll()     # What is pending holds references.

    def _on_signal(self, _connection, _sender, path, interface, member, arguments, *_):
        self.signals.append((time.monotonic(), path, interface, member, arguments.unpack()))

    def poll(self):
        """Takes in what has arrived."""
        while self.context.iteration(False):
            pass

    def call(self, path, interface, member, arguments=None, destination=None, within=PATIENCE):
        """arguments: a GLib.Variant tuple. Returns the reply's arguments as a tuple."""
        try:
            reply = self.connection.call_sync(
                destination or self.destination, path, interface, member, arguments, None,
                Gio.DBusCallFlags.NO_AUTO_START, int(within * SLOWNESS * 1000), None)
        except GLib.Error as e:
            raise DBusError(e) from None
        return reply.unpack()

    def start_call(self, path, interface, member, arguments=None):
        """Returns a list to which the reply (or the error) is appended when it comes."""
        answer = []

        def done(connection, result):
            try:
                answer.append(connection.call_finish(result).unpack())
            except GLib.Error as e:
                answer.append(DBusError(e))
        self.context.push_thread_default()
        try:
            self.connection.call(self.destination, path, interface, member, arguments, None,
                                 Gio.DBusCallFlags.NO_AUTO_START, 30000 * SLOWNESS, None, done)
        finally:
            self.context.pop_thread_default()
        return answer

    def get(self, path, interface, name):
        return self.call(path, "org.freedesktop.DBus.Properties", "Get",
                         GLib.Variant("(ss)", (interface, name)))[0]

    def get_all(self, path, interface):
        return self.call(path, "org.freedesktop.DBus.Properties", "GetAll",
                         GLib.Variant("(s)", (interface,)))[0]

    def managed_objects(self):
        return self.call(MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]

    def members(self, path, name):
        """Of the signals that came: (time, arguments) of this path and name."""
        return [(t, a) for t, p, _, m, a in self.signals if p == path and m == name]
