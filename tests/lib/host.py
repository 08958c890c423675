# SPDX-License-Identifier: MIT
"""A host of its own: a real systemd as PID 1, in namespaces over a copy of this machine's files.

It has dbus, logind, journald and, where the Debian packages are installed, PostgreSQL and Redis
as ordinary units; nothing of what happens in it reaches the machine. Needs root.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

from lib.process import CLEAN_ENVIRONMENT, PATIENCE, Process, children_of, eventually
from lib.vitald import Answer, fetch

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def why_not():
    """None when a host can be booted here, otherwise the reason."""
    if os.geteuid() != 0:
        return "needs root to boot systemd in namespaces"
    if not pathlib.Path("/lib/systemd/systemd").exists():
        return "systemd is not installed"
    if cgroup_root() is None:
        return "no cgroup2 file system is mounted"
    probe = subprocess.run(["/usr/bin/unshare", "--mount", "--pid", "--fork", "--cgroup", "--uts",
                            "--net", "--ipc", "/bin/true"], capture_output=True)
    return None if probe.returncode == 0 else "namespaces are not permitted here"


def cgroup_root():
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return pathlib.Path(before.split()[4])
    return None


class Host:
    """
    with Host() as host:
        host.install(build)
        host.systemctl("start", "vitald.socket")
    """

    def __init__(self, stage=None):
        """stage: a tree from stage_of() that is there from the first moment of the boot."""
        self.stage = stage
        self.pid = None

    # -- life --

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vitald-host-"))
        (self.directory / "mount").mkdir()
        try:
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _boot(self):
        # A cgroup of its own first, so that the cgroup namespace begins there.
        self.cgroup = cgroup_root() / self.directory.name
        self.cgroup.mkdir()
        boot = pathlib.Path(__file__).with_name("host-boot")
        unshare = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--cgroup", "--uts", "--net",
                   "--ipc", "--kill-child", str(boot), str(self.directory / "mount")]
        if self.stage:
            unshare.append(str(self.stage))
        enter = f"echo $$ >{self.cgroup}/cgroup.procs; exec {shlex.join(unshare)}"
        self.process = Process(["/bin/sh", "-ec", enter], self.directory / "boot.log")
        eventually(self._is_up, within=180, every=0.05, what="systemd as PID 1")

    def _is_up(self):
        assert self.process.exit_code is None, self.process.log
        children = children_of(self.process.pid)
        if not children:
            return False
        comm = pathlib.Path(f"/proc/{children[0]}/comm").read_text().strip()
        if comm != "systemd":
            return False
        self.pid = children[0]
        state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        return state in ("running", "degraded")

    def __exit__(self, *_):
        if getattr(self, "process", None):
            self.process.kill9()        # unshare ignores SIGTERM; --kill-child takes PID 1 along.
        if getattr(self, "cgroup", None):
            eventually(self._remove_cgroup, within=60, what="the cgroup to be empty")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _remove_cgroup(self):
        for path, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(path)
        return True

    # -- inside --

    @property
    def root(self):
        """Its file system, as a path of ours."""
        return pathlib.Path(f"/proc/{self.pid}/root")

    def run(self, argv, check=True, user=None, within=100, **options):
        """A command inside; returns the CompletedProcess with text."""
        enter = ["/usr/bin/nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-n", "-i", "-C"]
        if user:
            enter += ["/usr/sbin/runuser", "-u", user, "--"]
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([*enter, *map(str, argv)], capture_output=True, text=True,
                              env=CLEAN_ENVIRONMENT, timeout=within, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: exit code {done.returncode}\n{done.stdout}"
                                 f"{done.stderr}")
        return done

    def pid_outside(self, pid):
        """What the process with this number inside is called out here."""
        namespace = os.readlink(f"/proc/{self.pid}/ns/pid")
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                names = status.read_text().partition("\nNSpid:")[2].split("\n")[0].split()
                if names[-1:] == [str(pid)] and \
                        os.readlink(status.parent / "ns/pid") == namespace:
                    return names[0]
        raise AssertionError(f"no process {pid} inside")

    def systemctl(self, *argv, **options):
        return self.run(["systemctl", "--no-pager", *argv], **options)

    def show(self, unit, name):
        """One property of a unit."""
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def busctl(self, *argv, **options):
        return self.run(["busctl", "--no-pager", *argv], **options)

    def journal(self, *argv):
        """Entries as dicts, with all that was sent until now; argv are matches and options of
        journalctl."""
        self.run(["journalctl", "--sync"], check=False)
        done = self.run(["journalctl", "--no-pager", "-q", "-o", "json", *argv], check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def messages(self, unit):
        return [entry.get("MESSAGE", "") for entry in self.journal("-u", unit)]

    def write(self, path, text, mode=None):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        if mode is not None:
            target.chmod(mode)
        return target

    def drop_in(self, unit, text):
        """Settings for a unit, under one name; the empty text takes them away."""
        path = f"/etc/systemd/system/{unit}.d/test.conf"
        if text:
            self.write(path, text)
        else:
            (self.root / path.lstrip("/")).unlink(missing_ok=True)
        self.systemctl("daemon-reload")

    def reexec(self):
        """systemd executes itself anew; returns when it answers again."""
        self.systemctl("daemon-reexec", check=False)    # Cut off, where it was too quick.
        eventually(lambda: self.show("init.scope", "ActiveState") == "active", what="systemd")

    @contextlib.contextmanager
    def network(self):
        """This thread's new sockets belong to the host; those of other threads do not."""
        with open("/proc/thread-self/ns/net", "rb") as ours, \
                open(f"/proc/{self.pid}/ns/net", "rb") as theirs:
            setns(theirs)
            try:
                yield
            finally:
                setns(ours)

    def get(self, path="/health", port=9911, address="127.0.0.1", within=PATIENCE,
            **options) -> Answer:
        """One HTTP request from inside."""
        with self.network():
            return fetch((address, port), path, within=within, **options)

    def get_local(self, path="/health", within=PATIENCE, **options) -> Answer:
        """The same over vitald's own unix socket."""
        return fetch(self.root / "run/vitald/http.sock", path, within=within, **options)

    # -- vitald --

    def install(self, build):
        """What a package's installation does: files, user, directories, units known and enabled."""
        with tempfile.TemporaryDirectory(prefix="vitald-stage-") as stage:
            stage_of(build, stage)
            subprocess.run(["/bin/cp", "-a", f"{stage}/.", f"{self.root}/"], check=True)
        self.run(["systemd-sysusers"])
        self.run(["systemd-tmpfiles", "--create"], check=False)
        self.run(["journalctl", "--update-catalog"])
        self.systemctl("daemon-reload")
        self.systemctl("reload", "dbus.service")
        self.systemctl("preset", "vitald.socket", "vitald-local.socket", "vitald.service")


def stage_of(build, directory):
    """make install DESTDIR=directory of a build that was configured for /usr and /etc."""
    status = (pathlib.Path(build) / "config.log").read_text(errors="replace")
    for wanted in ("prefix='/usr'\n", "sysconfdir='/etc'\n"):
        assert wanted in status, f"{build}: configure with --prefix=/usr --sysconfdir=/etc"
    subprocess.run(["make", "-C", str(build), "install", f"DESTDIR={directory}"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   env=CLEAN_ENVIRONMENT)
    # The root of the tree is laid over /, whose mode must not change.
    os.chmod(directory, 0o755)
    return directory


def setns(handle):
    if LIBC.setns(handle.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
