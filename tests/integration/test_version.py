# SPDX-License-Identifier: MIT
"""What runs here: vitald's own version and build, and that of each application."""

import os
import re
import subprocess

import pytest

from lib.bus import Bus
from lib.checks import section
from lib.process import eventually
from lib.vitald import EAGER_ALLOCATOR, Vitald


@pytest.fixture
def shop(vitald):
    vitald.service("default", "[Service]\n" + check(vitald))
    return vitald


def check(daemon):
    (daemon.directory / "file").touch()
    return section("file", f"Path={daemon.directory}/file", name="file")


def put(path, content):
    """At once: whoever looks meanwhile sees no file that is half written."""
    content = content if isinstance(content, bytes) else content.encode()
    path.with_suffix(".new").write_bytes(content)
    os.rename(path.with_suffix(".new"), path)


def report(daemon, path="/health/status"):
    return daemon.get(path).json


def test_vitald_itself(shop):
    shop.start()
    said = report(shop)
    program = shop.build / "vitald"
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    assert said["version"] in version
    notes = subprocess.run(["/usr/bin/readelf", "-n", program], capture_output=True,
                           text=True).stdout
    build = re.search(r"Build ID: (\w+)", notes)
    assert said.get("build") == (build.group(1) if build else None)
    (name,) = [n for n in shop.metrics() if n.startswith("vitald_build_info")]
    assert f'build="{said.get("build", "")}"' in name
    assert "versions" not in said


def test_version_of_an_application(shop):
    shop.service("orders", "[Service]\nDescription=Orders\nVersion=1.4.2 \"x\"\n" + check(shop))
    shop.start()
    assert report(shop)["versions"] == {"orders": '1.4.2 "x"'}
    assert report(shop, "/health/status/orders")["versions"] == {"orders": '1.4.2 "x"'}
    assert "versions" not in report(shop, "/health/status/default")
    assert report(shop, "/health/ready/orders?format=ietf")["releaseId"] == '1.4.2 "x"'
    samples = shop.metrics()
    assert samples['vitald_service_info{service="orders",version="1.4.2 \\"x\\""}'] == 1
    assert samples['vitald_service_info{service="default",version=""}'] == 1
    assert "Orders, version 1.4.2" in shop.vitalctl("status", "orders").stdout


def test_version_file(shop):
    """Links that move, files that go and come, and what is no version."""
    releases = shop.directory / "releases"
    for name in "1", "2":
        (releases / name).mkdir(parents=True)
        (releases / name / "VERSION").write_text(f"{name}.0\nbuilt by hand\n")
    current = releases / "current"
    current.symlink_to("1")
    shop.service("orders", f"[Service]\nVersion=?\nVersionFile={current}/VERSION\n" + check(shop))
    shop.start()

    def becomes(version):
        eventually(lambda: report(shop)["versions"] == {"orders": version}, within=20)
    becomes("1.0")
    sequence = int(shop.get().headers["x-health-sequence"])

    (releases / "next").symlink_to("2")
    os.rename(releases / "next", current)
    becomes("2.0")
    assert int(shop.get().headers["x-health-sequence"]) > sequence
    assert report(shop, "/health/ready")["status"] == "ready"

    put(releases / "2/VERSION", "2.1 \x1b[31m\x00red\n")
    eventually(lambda: report(shop)["versions"]["orders"].startswith("2.1 [31m"), within=20)
    put(releases / "2/VERSION", b"\xff" * 100)
    eventually(lambda: len(report(shop)["versions"]["orders"].encode()) == 63, within=20)
    (releases / "2/VERSION").unlink()
    becomes("?")
    assert shop.log.count("VersionFile=") == 1
    put(releases / "2/VERSION", "2.2")
    becomes("2.2")
    put(releases / "2/VERSION", "")
    becomes("?")
    put(releases / "2/VERSION", "x" * 5000)
    eventually(lambda: shop.log.count("VersionFile=") == 2, within=20)
    becomes("?")


def test_reload(shop):
    file = shop.directory / "VERSION"
    file.write_text("7")
    shop.service("orders", f"[Service]\nVersionFile={file}\n" + check(shop))
    shop.start()
    eventually(lambda: report(shop).get("versions") == {"orders": "7"}, within=20)
    shop.service("orders", "[Service]\nVersion=8\n" + check(shop))
    shop.service("billing", f"[Service]\nVersionFile={file}\n" + check(shop))
    shop.reload()
    eventually(lambda: report(shop).get("versions") == {"orders": "8", "billing": "7"}, within=20)
    shop.service("orders", "[Service]\n" + check(shop))
    shop.service("billing", "[Service]\n" + check(shop))
    shop.reload()
    eventually(lambda: "versions" not in report(shop), within=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file that hangs needs root")
def test_a_file_that_is_a_pipe_holds_nothing_up(shop):
    pipe = shop.directory / "pipe"
    os.mkfifo(pipe)
    shop.service("orders", f"[Service]\nVersion=1\nVersionFile={pipe}\n" + check(shop))
    shop.start()
    eventually(lambda: "VersionFile=" in shop.log, within=20)
    assert report(shop)["versions"] == {"orders": "1"}
    assert shop.get("/health/ready").status == 200


def test_many_reloads_leave_nothing_behind(shop):
    file = shop.directory / "VERSION"
    file.write_text("1")
    shop.environment |= EAGER_ALLOCATOR
    shop.service("orders", f"[Service]\nVersionFile={file}\n" + check(shop))
    shop.start()

    def reload(n):
        for i in range(n):
            put(file, f"{i}.{n}")
            assert shop.vitalctl("reload").returncode == 0
        eventually(lambda: report(shop).get("versions") == {"orders": f"{n - 1}.{n}"}, within=20)
    reload(10)
    fds, memory = shop.open_fds(), shop.memory_kib()
    reload(100)
    eventually(lambda: shop.open_fds() <= fds)
    assert shop.memory_kib() - memory < shop.growth_max_kib


def test_on_the_bus(directory):
    with Bus(directory / "bus") as bus:
        daemon = Vitald(directory / "daemon", bus=bus)
        daemon.service("orders", "[Service]\nVersion=3\n" + check(daemon))
        daemon.start()
        try:
            said = report(daemon)

            def ask(path, interface, name):
                return subprocess.run(
                    ["/usr/bin/busctl", "--address=" + bus.address, "get-property", "org.vitald1",
                     path, f"org.vitald1.{interface}", name], capture_output=True,
                    text=True).stdout
            eventually(lambda: ask("/org/vitald1", "Manager", "Version"))
            assert ask("/org/vitald1/service/orders", "Service", "Version") == 's "3"\n'
            assert ask("/org/vitald1", "Manager", "Build") == f's "{said.get("build", "")}"\n'
        finally:
            daemon.close()
