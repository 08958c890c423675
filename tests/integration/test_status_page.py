# SPDX-License-Identifier: MIT
"""The status page: in a real browser, without scripts, and what its stream of events costs."""

import re
import resource
import socket
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lib.browser import browser, errors
from lib.ctl import break_app, ctl, mend_app
from lib.process import SLOWNESS, eventually

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FOCUSED = "return document.activeElement.id"
BAD_WORDS = "<script>alert(1)</script> \"'&"


@pytest.fixture
def page(shop, http_server):
    """The shop's, with a second service whose words want to be escaped."""
    shop.service("evil", f"[Service]\nDescription={BAD_WORDS}\n[Check app]\nType=http\n"
                         f"URL={http_server.url()}\nInterval=100ms\nRetryInterval=50ms\n")
    ctl(shop, "reload")
    for path in "/health/ready/evil", "/health/ready":
        shop.wait_status(path, 200)
    return shop


def address(daemon):
    return "http://%s:%d/" % daemon.address


def texts_of(driver, selector):
    """At one moment: the page puts new elements in the place of old ones."""
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)


def text_of(driver, selector):
    return texts_of(driver, selector)[0]


# -- the document ----------------------------------------------------------------------------------

def test_what_to_do_is_told_only_while_it_is_of_use(page, http_server):
    def component():
        return page.get("/health/status").json["components"]["shop/app"]
    assert "documentation" not in component()
    assert "https://wiki/app" not in page.get("/", headers=HTML).text
    break_app(page, http_server)
    assert component()["documentation"] == "https://wiki/app"
    assert 'href="https://wiki/app"' in page.get("/", headers=HTML).text


def test_for_browsers_alone(page, http_server):
    """Others get a line, and the same status."""
    answer = page.get("/", headers=HTML)
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert page.get("/").text.count("\n") == 1
    assert page.get("/", headers={"Accept": "*/*"}).headers["content-type"].startswith("text/plain")
    http_server.kill()
    page.wait_status("/", 503)
    assert page.get("/", headers=HTML).status == 503
    assert ">NOT READY<" in page.get("/", headers=HTML).text


def test_policy_has_no_exceptions(page):
    policy = page.get("/", headers=HTML).headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    assert "http" not in policy
    text = page.get("/", headers=HTML).text
    assert not re.search(r"\son\w+=|style=\"|src=|@import|url\(", text)


def test_words_are_escaped(page):
    text = page.get("/", headers=HTML).text
    assert "alert(1)" in text and "<script>alert" not in text


def test_detail_by_trust(page, http_server):
    """By the network no words of a server, and nobody's name."""
    ctl(page, "drain", "shop", "--reason=new kernel")
    http_server.kill()
    eventually(lambda: page.get("/", headers=HTML).text.count("Connection refused"))
    text = page.get("/", headers=HTML).text
    assert "is drained since" in text and "new kernel" not in text
    local = page.get("/", local=True, headers=HTML).text
    assert "new kernel" in local and f"127.0.0.1:{http_server.port}" in local


# -- in a browser ----------------------------------------------------------------------------------

@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_looks(page, directory, is_dark):
    with browser(directory, is_dark) as driver:
        driver.get(address(page))
        eventually(lambda: text_of(driver, "#live") == "live")
        eventually(lambda: driver.title.startswith("READY"))
        assert texts_of(driver, "h2") == [
            "evil ready", "shop ready", "host of this machine"]
        assert BAD_WORDS in text_of(driver, "main")
        back, ink = (driver.execute_script(
            f"return getComputedStyle(document.body).{what}") for what in
            ("backgroundColor", "color"))
        dark, light = (sum(map(int, re.findall(r"\d+", c)[:3])) < 300 for c in (back, ink))
        assert dark == is_dark and light != is_dark
        picture = directory / "page.png"
        assert driver.save_screenshot(str(picture)) and picture.stat().st_size > 10000
        assert errors(driver) == []


def test_without_scripts(page, directory):
    with browser(directory, has_scripts=False) as driver:
        driver.get(address(page))
        rows = driver.find_elements(By.CSS_SELECTOR, "tbody tr")
        assert len(rows) >= 4
        live = driver.find_element(By.ID, "live")
        assert live.text == "reload the page to look again"
        assert driver.find_elements(By.CSS_SELECTOR, "svg[aria-label^='last ']")
        assert errors(driver) == []


def test_is_live(page, http_server, directory):
    """Flips are shown without a reload, also after a restart; the reader's place is kept."""
    with browser(directory) as driver:
        driver.get(address(page))
        eventually(lambda: text_of(driver, "#live") == "live")
        driver.execute_script("window.isTheSame = true")
        driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
        focused = driver.execute_script(FOCUSED)
        assert focused.startswith("t")

        break_app(page, http_server)
        eventually(lambda: text_of(driver, "#verdict") == "NOT READY", within=20)
        eventually(lambda: driver.title.startswith("NOT READY"))
        eventually(lambda: "HTTP 500" in text_of(driver, "main"))
        assert driver.execute_script(FOCUSED) == focused
        link = "return document.querySelector('td a')?.href"
        eventually(lambda: driver.execute_script(link) == "https://wiki/app")

        mend_app(page, http_server)
        eventually(lambda: text_of(driver, "#verdict") == "READY", within=20)
        page.stop()
        eventually(lambda: text_of(driver, "#live") == "no connection to vitald", within=20)
        page.start()
        eventually(lambda: text_of(driver, "#live") == "live", within=40)
        break_app(page, http_server)
        eventually(lambda: text_of(driver, "#verdict") == "NOT READY", within=20)
        assert driver.execute_script("return window.isTheSame")
        assert errors(driver) == []


# -- the stream ------------------------------------------------------------------------------------

class Viewer:
    def __init__(self, daemon):
        self.socket = socket.create_connection(daemon.address, timeout=20 * SLOWNESS)
        self.socket.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        self.received = b""

    def wait_for(self, pattern):
        while not re.search(pattern, self.received):
            data = self.socket.recv(4096)
            assert data, f"ended after {self.received!r}"
            self.received += data
        return self.received

    def close(self):
        self.socket.close()


def test_stream(page, http_server):
    viewer = Viewer(page)
    head = viewer.wait_for(rb"retry: \d+\n\n").partition(b"\r\n\r\n")[0].lower()
    assert b"content-type: text/event-stream" in head and b"content-length" not in head
    before, began = len(viewer.received), time.monotonic()
    break_app(page, http_server)
    viewer.wait_for(rb"data: \d+\n\n")
    assert b"data: " in viewer.received[before:]
    # As a rule a second lies between two of them, however much there is to tell.
    viewer.socket.settimeout(0.5)
    while time.monotonic() < began + 4:
        try:
            viewer.received += viewer.socket.recv(4096)
        except TimeoutError:
            pass
    assert viewer.received[before:].count(b"data") <= time.monotonic() - began + 2
    viewer.close()


def test_head_and_options_of_the_stream_end(page):
    for method in ("HEAD", "OPTIONS"):
        assert page.get("/events", method=method).status == 200


def test_streams_are_bounded(page):
    """One too many is refused in words; when one goes there is room again."""
    page.conf("[HTTP]\nMaxConnectionsPerAddress=2000\n")
    ctl(page, "reload")
    viewers = [Viewer(page) for _ in range(256)]
    for viewer in viewers:
        viewer.wait_for(rb"200 OK")
    Viewer(page).wait_for(rb"503 Service Unavailable")
    assert page.get("/health/ready").status == 200
    viewers.pop().close()

    def has_room():
        return b"200 OK" in Viewer(page).wait_for(rb"\r\n\r\n")
    eventually(has_room)
    for viewer in viewers:
        viewer.close()


def probes_p99(daemon, n=100):
    """Of new probes, each on a connection of its own, in seconds."""
    took = []
    for _ in range(n):
        began = time.monotonic()
        assert daemon.get("/health/ready").status == 200
        took.append(time.monotonic() - began)
        time.sleep(0.002)
    return sorted(took)[n * 99 // 100 - 1]


@pytest.mark.timing
def test_a_crowd_keeps_no_probe_waiting(page):
    """200 viewers and 10,000 connections that do nothing."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > 10500
    page.conf("[HTTP]\nMaxConnections=20000\nMaxConnectionsPerAddress=20000\nIdleTimeout=1h\n"
              "HeaderTimeout=5min\n")
    ctl(page, "reload")
    # As busy as this machine happens to be; what others do now and then spoils one part of many.
    alone = max(probes_p99(page) for _ in range(5))
    viewers = [Viewer(page) for _ in range(200)]
    idle = []
    for i in range(10000):
        s = socket.socket()
        s.bind((f"127.0.0.{2 + i % 100}", 0))
        s.connect(page.address)
        idle.append(s)
    p99 = min(probes_p99(page) for _ in range(5))
    for viewer in viewers:
        viewer.wait_for(rb"data: \d+\n\n")
    assert p99 < max(0.005, 3 * alone), (p99, alone)
    for s in [*idle, *(viewer.socket for viewer in viewers)]:
        s.close()
