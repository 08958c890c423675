# SPDX-License-Identifier: MIT
"""Those who ask vitald in the field read it correctly: up, degraded, drained, down, restarted."""

import json
import subprocess
import urllib.parse
import urllib.request

import pytest

from lib.ctl import ctl
from lib.haproxy import Haproxy
from lib.peers import HttpServer
from lib.process import CLEAN_ENVIRONMENT, SLOWNESS, Process, eventually, free_port

CHECK = "[Check {}]\nType=http\nURL={}\nInterval=50ms\nRetryInterval=50ms\n{}"


@pytest.fixture
def app():
    with HttpServer() as server:
        yield server


@pytest.fixture
def cache():
    with HttpServer() as server:
        yield server


@pytest.fixture
def orders(vitald, app, cache):
    vitald.service("orders", CHECK.format("app", app.url(), "")
                   + CHECK.format("cache", cache.url(), "Critical=no\n"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    return vitald


def life(daemon, app, cache, reads):
    """Leads the daemon through what befalls a service; reads(up, degraded): whether it is so."""
    def becomes(up, degraded=False):
        eventually(lambda: reads(up, degraded), within=25)
    becomes(True)
    cache.kill()
    becomes(True, degraded=True)
    cache.start()
    becomes(True)
    ctl(daemon, "drain", "orders", "--reason=test")
    becomes(False)
    ctl(daemon, "undrain", "orders")
    becomes(True)
    app.kill()
    becomes(False)
    app.start()
    becomes(True)
    daemon.stop()
    becomes(False)
    daemon.start()
    becomes(True)


# -- load balancers --------------------------------------------------------------------------------

def test_haproxy_with_httpchk(orders, app, cache, directory):
    with Haproxy(directory / "haproxy", [
            "option httpchk", "http-check send meth GET uri /health/ready ver HTTP/1.1 hdr Host x",
            "http-check expect status 200",
            f"server app 127.0.0.1:{app.port} check port {orders.address[1]} inter 100ms "
            "fastinter 50ms fall 1 rise 1"]) as proxy:
        def reads(up, _degraded):
            return proxy.servers()["app"]["status"] == ("UP" if up else "DOWN")
        life(orders, app, cache, reads)
        eventually(lambda: proxy.servers()["app"]["check_code"] == "200")


def test_haproxy_left_at_its_default_is_not_wrong(orders, app, cache, directory):
    """OPTIONS / and any 2xx or 3xx."""
    with Haproxy(directory / "haproxy", [
            "option httpchk",
            f"server app 127.0.0.1:{app.port} check port {orders.address[1]} inter 100ms "
            "fall 1 rise 1"]) as proxy:
        life(orders, app, cache, lambda up, _degraded:
             proxy.servers()["app"]["status"] == ("UP" if up else "DOWN"))


NGINX = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    upstream vitald {{ server 127.0.0.1:{vitald} max_fails=0; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://vitald; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
    }}
}}
"""


def test_through_nginx(orders, app, cache, directory):
    """It hands on what vitald says, over connections that it keeps."""
    port = free_port()
    (directory / "nginx").mkdir()
    (directory / "nginx/nginx.conf").write_text(NGINX.format(
        dir=directory / "nginx", vitald=orders.address[1], port=port))
    nginx = Process(["/usr/sbin/nginx", "-p", directory / "nginx", "-c",
                     directory / "nginx/nginx.conf"], directory / "nginx.log")
    try:
        def reads(up, degraded):
            status, headers, body = fetch(f"http://127.0.0.1:{port}/health/ready")
            if status == 502:
                return not up       # vitald is not there.
            assert status == (200 if up else 503)
            return not up or (headers["x-health"] == ("degraded" if degraded else "ready")
                              and json.loads(body)["status"] == "ready")
        life(orders, app, cache, reads)
    finally:
        nginx.stop()


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5 * SLOWNESS) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


# -- monitoring ------------------------------------------------------------------------------------

def test_check_http(orders, app, cache):
    def reads(up, degraded):
        done = subprocess.run(
            ["/usr/lib/nagios/plugins/check_http", "-I", "127.0.0.1", "-p",
             str(orders.address[1]), "-u", "/health/ready", "-e", "HTTP/1.1 200", "-s",
             '"degraded"' if degraded else '"status":"ready"'], capture_output=True, text=True,
            env=CLEAN_ENVIRONMENT)
        assert done.returncode in (0, 2), done
        return (done.returncode == 0) == up
    life(orders, app, cache, reads)


def test_blackbox_exporter(orders, app, cache, directory):
    port = free_port()
    (directory / "blackbox.yml").write_text(
        "modules: {ready: {prober: http, timeout: 3s, http: {valid_status_codes: [200], "
        "fail_if_body_not_matches_regexp: ['\"status\":\"ready\"'], "
        "preferred_ip_protocol: ip4}}}\n")
    exporter = Process(["/usr/bin/prometheus-blackbox-exporter", "--config.file",
                        directory / "blackbox.yml", f"--web.listen-address=127.0.0.1:{port}"],
                       directory / "blackbox.log")
    try:
        target = urllib.parse.quote("http://%s:%d/health/ready" % orders.address)

        def reads(up, _degraded):
            _, _, body = fetch(f"http://127.0.0.1:{port}/probe?module=ready&target={target}")
            return f"\nprobe_success {int(up)}\n".encode() in body
        life(orders, app, cache, reads)
    finally:
        exporter.stop()


def test_prometheus(orders, app, cache, directory):
    """Its own scraper, by whatever format it asks for, with our rules loaded."""
    from lib.vitald import SOURCE
    port = free_port()
    (directory / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1s}\n"
        f"rule_files: ['{SOURCE}/data/prometheus/vitald.rules.yml']\n"
        "scrape_configs: [{job_name: vitald, static_configs: [{targets: ['%s:%d']}]}]\n"
        % orders.address)
    prometheus = Process(["/usr/bin/prometheus", f"--config.file={directory}/prometheus.yml",
                          f"--storage.tsdb.path={directory}/tsdb",
                          f"--web.listen-address=127.0.0.1:{port}"], directory / "prometheus.log")
    try:
        def query(expression):
            _, _, body = fetch(f"http://127.0.0.1:{port}/api/v1/query?"
                               + urllib.parse.urlencode({"query": expression}))
            return [float(r["value"][1]) for r in json.loads(body)["data"]["result"]]

        def reads(up, degraded):
            if query("up") == [0]:
                return not up
            return query('vitald_probe_ok{service="orders",probe="readiness"}') == [float(up)] \
                and (not up or
                     query('vitald_check_healthy{check="cache"}') == [float(not degraded)])
        eventually(lambda: query("up") == [1], within=40)
        life(orders, app, cache, reads)
        eventually(lambda: max(query('scrape_samples_scraped{job="vitald"}'), default=0) > 50)
        eventually(lambda: query("count(ALERTS) or vector(0)"))
    finally:
        prometheus.stop()
