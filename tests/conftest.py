# SPDX-License-Identifier: MIT
"""Fixtures for every test: a temporary directory that other users may enter, servers, the daemon.

    /usr/bin/python3 -m pytest tests/integration -k redis

Server fixtures (redis, postgres, nginx, bus, http_server) are running; `vitald` is not yet,
because a test writes its files first.
"""

import os
import pathlib
import shutil
import signal
import tempfile

import pytest

from lib.bus import Bus
from lib.nginx import Nginx
from lib.peers import BlackHole, HttpServer
from lib.postgres import Postgres
from lib.process import SLOWNESS
from lib.rabbitmq import RabbitMQ
from lib.redis import Redis
from lib.runner import CheckRunner
from lib.tls import Authority
from lib.vitald import Vitald, build_directory

TIME_LIMIT = 300        # seconds; only what hangs takes so long, also on a machine that is slow


def pytest_configure(config):
    # Fixtures are torn down on SIGTERM as they are on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see whether the test failed."""
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs fails by itself, and its fixtures are torn down."""
    marker = request.node.get_closest_marker("time_limit")
    seconds = max(TIME_LIMIT, marker.args[0] if marker else 0) * SLOWNESS

    def expire(*_):
        pytest.fail(f"still running after {seconds} s")
    signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture
def directory(request):
    """Kept under $VITALD_TEST_KEEP when the test fails, e.g. to look at the logs."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="vitald-test-"))
    path.chmod(0o711)
    yield path
    keep = os.environ.get("VITALD_TEST_KEEP")
    if keep and getattr(request.node, "failed", False):
        shutil.copytree(path, pathlib.Path(keep) / request.node.name, dirs_exist_ok=True,
                        ignore=lambda d, names: [n for n in names if
                                                 not (pathlib.Path(d) / n).is_dir() and
                                                 not (pathlib.Path(d) / n).is_file()])
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def redis(directory):
    with Redis(directory / "redis") as server:
        yield server


@pytest.fixture
def postgres(directory):
    with Postgres(directory / "postgres") as server:
        yield server


@pytest.fixture
def http_server():
    with HttpServer() as server:
        yield server


@pytest.fixture(scope="module")
def lasting_postgres():
    """One for all tests of a file; making one takes a second or two."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="vitald-test-"))
    path.chmod(0o711)
    with Postgres(path / "postgres") as server:
        yield server
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def shared_postgres(lasting_postgres):
    """The same; what a test has stopped or killed runs again for the next one."""
    yield lasting_postgres
    lasting_postgres.thaw()
    if lasting_postgres.process.exit_code is not None:
        lasting_postgres.start()


@pytest.fixture(scope="session")
def lasting_rabbitmq():
    """One for the whole session, as it takes long to start; speaks TLS, too."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="vitald-test-"))
    authority = Authority(path / "ca")
    with RabbitMQ(path / "rabbitmq", tls=authority.issue()) as server:
        server.authority = authority
        yield server
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def rabbitmq(lasting_rabbitmq):
    """The same; what a test has stopped or killed runs again for the next one."""
    lasting_rabbitmq.thaw()
    if lasting_rabbitmq.process.exit_code is not None:
        lasting_rabbitmq.start()
    yield lasting_rabbitmq


@pytest.fixture
def nginx(directory):
    with Nginx(directory / "nginx") as server:
        yield server


@pytest.fixture
def black_hole():
    with BlackHole() as hole:
        yield hole


@pytest.fixture
def bus(directory):
    with Bus(directory / "bus") as daemon:
        yield daemon


@pytest.fixture
def authority(directory):
    return Authority(directory / "ca")


@pytest.fixture
def runner(directory):
    """Single checks without a daemon."""
    with CheckRunner(directory) as r:
        yield r


@pytest.fixture
def make_vitald(directory, request):
    """make_vitald(bus=…) for tests that need more than one, or one with a bus."""
    made = []

    def make(**options):
        place = directory / f"vitald{len(made) or ''}"
        place.mkdir()
        daemon = Vitald(place, **options)
        if not (daemon.build / "vitald").exists():
            pytest.fail(f"no vitald in {build_directory()}; build it or set VITALD_BUILD")
        made.append(daemon)
        return daemon
    yield make
    try:
        for daemon in made:
            daemon.close()
    finally:
        for daemon in made:
            if daemon.process is not None:
                daemon.process.kill9()
                if getattr(request.node, "failed", False):
                    print(f"--- log of {daemon.directory} ---\n{daemon.log}")


@pytest.fixture
def vitald(make_vitald):
    return make_vitald()
