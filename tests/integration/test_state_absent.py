# SPDX-License-Identifier: MIT
"""Drains of services that are not there for a time: their files are gone, or cannot be read."""

import json

import pytest

from lib.ctl import ctl
from lib.process import eventually
from lib.state import Restarts, sealed, sealed_body

SERVICE = "[Check disk]\nType=disk\nMinFree=1K\n"
DAY = 86400 * 10**6


@pytest.fixture
def daemon(vitald):
    for name in "shop", "till":
        vitald.service(name, SERVICE)
    return Restarts(vitald)


def services(daemon):
    return daemon.vitald.etc / "services"


def file(daemon, name="shop"):
    return services(daemon) / f"{name}.conf"


def ready(daemon, name="shop"):
    return daemon.vitald.get(f"/health/ready/{name}")


def begin(daemon):
    daemon.start()
    for name in "shop", "till":
        daemon.vitald.wait_status(f"/health/ready/{name}", 200)
    daemon.mark = len(daemon.vitald.log)


def drain(daemon, *argv):
    ctl(daemon.vitald, "drain", "shop", "--reason=new disk", *argv)


def changed(daemon):
    """The drain of another service changes, and so does the file."""
    for verb, text in ("drain", b"other"), ("undrain", b""):
        ctl(daemon.vitald, verb, "till", *(["--reason=other"] if text else []))
        eventually(lambda: (b"other" in kept(daemon)) == bool(text), what="the file")


def kept(daemon):
    return sealed_body(daemon.vitald.state_directory / "drains")


def restart(daemon):
    daemon.end()
    daemon.start()


def reload(daemon):
    ctl(daemon.vitald, "reload")


def still_drained(daemon, was_absent=True):
    answer = ready(daemon)
    assert (answer.status, answer.json["reason"]) == (503, "drained"), answer.text
    assert "new disk" in daemon.status()
    assert daemon.log.count("shop is still drained by ") == was_absent
    ctl(daemon.vitald, "undrain", "shop")
    eventually(lambda: ready(daemon).status == 200)
    eventually(lambda: b"shop" not in kept(daemon), what="the file without it")


def unlisted(daemon):
    """The folder cannot be listed; a function that mends that."""
    place = services(daemon)
    aside = place.rename(place.with_name("aside"))
    place.touch()
    return lambda: (place.unlink(), aside.rename(place))


def no_folder(daemon):
    place = services(daemon)
    aside = place.rename(place.with_name("aside"))
    return lambda: aside.rename(place)


def no_file(daemon):
    aside = file(daemon).rename(daemon.vitald.directory / "aside")
    return lambda: aside.rename(file(daemon))


def unreadable(daemon):
    mend = no_file(daemon)
    file(daemon).mkdir()
    return lambda: (file(daemon).rmdir(), mend())


def syntax(daemon):
    file(daemon).write_text("[Check disk\n")
    return lambda: file(daemon).write_text(SERVICE)


@pytest.mark.parametrize("lose", [unlisted, no_folder, no_file, unreadable, syntax])
@pytest.mark.parametrize("back", [restart, reload])
def test_the_drain_waits_over_a_start_without_its_service(daemon, lose, back):
    begin(daemon)
    drain(daemon)
    daemon.end()
    (daemon.vitald.state_directory / "configuration").unlink()  # no last good copy
    is_absent = lose not in (unreadable, syntax)
    mend = lose(daemon)
    daemon.start()
    if lose not in (unlisted, no_folder):
        changed(daemon)
    restart(daemon)
    assert ready(daemon).status == (404 if is_absent else 503)
    assert b"new disk" in kept(daemon)
    assert daemon.log.count("shop is not configured, but drained by ") == is_absent  # in all
    daemon.mark = len(daemon.vitald.log)
    mend()
    back(daemon)
    still_drained(daemon, is_absent)


def test_the_drain_waits_over_reloads_without_its_service(daemon):
    begin(daemon)
    drain(daemon)
    mend = no_file(daemon)
    reload(daemon)
    assert daemon.log.count("shop is not configured, but drained by ") == 1
    changed(daemon)
    reload(daemon)
    mend()
    reload(daemon)
    still_drained(daemon)
    assert daemon.log.count("shop is not configured, but drained by ") == 1


def test_a_crash_between_two_files(daemon):
    """The picture knows nothing of the service, the drains are of before: that ended no drain."""
    begin(daemon)
    drain(daemon)
    daemon.end()
    before = (daemon.vitald.state_directory / "drains").read_bytes()
    mend = no_folder(daemon)
    daemon.start()
    daemon.end("kill")
    (daemon.vitald.state_directory / "drains").write_bytes(before)
    mend()
    daemon.start()
    still_drained(daemon)


def test_a_service_that_is_masked_is_gone(daemon):
    begin(daemon)
    drain(daemon)
    mend = no_file(daemon)
    file(daemon).symlink_to("/dev/null")
    restart(daemon)
    changed(daemon)
    file(daemon).unlink()
    mend()
    restart(daemon)
    assert "is still drained by " not in daemon.log
    eventually(lambda: ready(daemon).status == 200)


def test_a_mask_ends_the_drain_that_waits(daemon):
    begin(daemon)
    drain(daemon)
    mend = no_file(daemon)
    reload(daemon)
    file(daemon).symlink_to("/dev/null")
    reload(daemon)
    eventually(lambda: b"shop" not in kept(daemon), what="the file without it")
    file(daemon).unlink()
    mend()
    reload(daemon)
    eventually(lambda: ready(daemon).status == 200)


def test_the_drain_for_a_time_waits_for_that_time(daemon):
    begin(daemon)
    drain(daemon, "--timeout=2s")
    mend = no_file(daemon)
    reload(daemon)
    changed(daemon)
    eventually(lambda: (changed(daemon), b"shop" not in kept(daemon))[1], what="its end")
    mend()
    reload(daemon)
    eventually(lambda: ready(daemon).status == 200)


@pytest.mark.parametrize("days, waits", [(6, True), (8, False)])
def test_it_waits_for_a_week(daemon, days, waits):
    begin(daemon)
    drain(daemon)
    mend = no_file(daemon)
    restart(daemon)
    eventually(lambda: b'"absent":' in kept(daemon), what="since when")
    daemon.end()
    body = json.loads(kept(daemon))
    body["drains"][0]["absent"] -= days * DAY
    (daemon.vitald.state_directory / "drains").write_bytes(
        sealed(json.dumps(body).encode(), kind="vitald-drains"))
    daemon.start()
    changed(daemon)
    mend()
    reload(daemon)
    if waits:
        still_drained(daemon)
    else:
        eventually(lambda: ready(daemon).status == 200)


def test_no_more_than_a_thousand_wait(daemon):
    begin(daemon)
    drain(daemon)
    daemon.end()
    body = json.loads(kept(daemon))
    body["drains"] = [{**body["drains"][0], "service": f"old{i}"} for i in range(1002)]
    (daemon.vitald.state_directory / "drains").write_bytes(
        sealed(json.dumps(body).encode(), kind="vitald-drains"))
    daemon.start()
    changed(daemon)
    assert kept(daemon).count(b'"service":"old') == 1000
    assert daemon.log.count("Drains of more than 1000 services that are not configured") == 1
