# SPDX-License-Identifier: MIT
"""Type=http with Profile=, against servers that answer like each of those APIs."""

import pytest

from lib import llm
from lib.checks import http, section
from lib.runner import assert_result

PROFILES = {"openai": llm.openai, "azure-openai": llm.azure, "anthropic": llm.anthropic,
            "ollama": llm.ollama, "vllm": llm.vllm}


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


@pytest.fixture(autouse=True)
def keys(runner):
    runner.credential("key", llm.KEY + "\n")
    runner.credential("old", "sk-revoked-c4n4ry")
    yield
    assert "c4n4ry" not in runner.log


def checked(server, profile, *lines, **options):
    """With a key where the API wants one."""
    key = [] if profile == "ollama" else ["KeyCredential=key"]
    return http(server.url("/"), f"Profile={profile}", *key, *lines, **options)


@pytest.mark.valgrind
@pytest.mark.parametrize("profile", PROFILES)
def test_healthy(runner, http_server, profile):
    http_server.reply = PROFILES[profile]
    assert_result(first(runner, checked(http_server, profile)), "pass", "", "HTTP 200")
    assert runner.run("it", 20)["pass"] == 20 and http_server.connections == 1
    assert {r.method for r in http_server.requests} == {"GET"}


@pytest.mark.parametrize("profile, words", [
    ("openai", "Incorrect API key provided: ****"),
    ("azure-openai", "Access denied due to invalid subscription key or wrong API endpoint."),
    ("anthropic", "invalid x-api-key"),
    ("vllm", "Unauthorized"),
])
def test_wrong_key(runner, http_server, profile, words):
    """The server's own words, and none of the key even where the server repeats it."""
    http_server.reply = PROFILES[profile]
    result = first(runner, http(http_server.url(""), f"Profile={profile}", "KeyCredential=old"))
    assert_result(result, "fail", "auth/401", f"HTTP 401 from {http_server.address}: {words}")
    assert "revoked" not in result["message"]


@pytest.mark.parametrize("body, words", [
    ({"error": {"message": "Rate limit reached for requests", "code": "rate_limit_exceeded"}},
     "Rate limit reached for requests, asked again after 30s"),
    ({"error": {"code": "429", "message": "Requests to the ListModels Operation have exceeded call "
                                          "rate limit of your current S0 pricing tier."}},
     "Requests to the ListModels Operation have exceeded call rate limit"),
    ({"type": "error", "error": {"type": "rate_limit_error", "message": "Number of requests has "
                                                                        "exceeded your limit"}},
     "Number of requests has exceeded your limit, asked again after 30s"),
    ({"error": "server busy, please try again"}, "server busy, please try again"),
    ({"object": "error", "message": "too many", "code": 429}, "too many"),
    ({"detail": "slow down"}, "slow down"),
    ([], "HTTP 429 from"),
])
def test_rate_limit(runner, http_server, body, words):
    http_server.reply = llm.reply(body, 429, Retry_After="30")
    result = first(runner, checked(http_server, "openai"))
    assert_result(result, "warn", "status/429", words)
    assert result["retry_after_ms"] == 30000


@pytest.mark.parametrize("profile, status, body, reason, words", [
    ("openai", 403, {"error": {"message": "Country, region, or territory not supported"}},
     "auth/403", "HTTP 403 from 127.0.0.1:PORT: Country, region, or territory not supported"),
    ("azure-openai", 403, {"error": {"code": "403", "message": "Access denied due to Virtual "
                                                               "Network/Firewall rules."}},
     "auth/403", "Access denied due to Virtual Network/Firewall rules."),
    ("anthropic", 529, {"type": "error", "error": {"type": "overloaded_error",
                                                   "message": "Overloaded"}},
     "status/529", "HTTP 529 from 127.0.0.1:PORT: Overloaded"),
    ("vllm", 503, {"error": {"message": "engine \x1b[31mdead\n\x00 \u00e9"}}, "status/503",
     "engine [31mdead \u00e9"),
    ("openai", 500, "x" * 5000, "status/500", "HTTP 500 from 127.0.0.1:PORT"),
    ("openai", 500, {"error": {"message": 5}}, "status/500", "HTTP 500 from 127.0.0.1:PORT"),
    ("openai", 200, {"object": "model"}, "mismatch/json", '/object is "model", expected = "list"'),
    ("anthropic", 200, {"type": "message"}, "mismatch/json", "/data is not there"),
    ("ollama", 200, {}, "mismatch/json", "/models is not there"),
    ("vllm", 200, {"object": "list", "data": []}, "mismatch/json", "/data/0/id is not there"),
])
def test_bad_answers(runner, http_server, profile, status, body, reason, words):
    http_server.reply = llm.reply(body, status)
    result = first(runner, checked(http_server, profile))
    assert_result(result, "fail", reason, words.replace("PORT", str(http_server.port)))


def test_a_login_page_is_no_list(runner, http_server):
    """A captive portal, or the wrong port."""
    http_server.reply = b"HTTP/1.1 200 OK\r\n\r\n<html>Welcome</html>"
    assert_result(first(runner, checked(http_server, "openai")), "fail", "protocol/json")


def test_own_settings_stand_over_the_profile(runner, http_server):
    http_server.reply = llm.reply({"own": True}, 202)
    runner.credential("version", "2030-01-01")
    runner.start(
        http(http_server.url("/v1/models/m?x=1"), "Profile=anthropic", "KeyCredential=key",
             "Header=Anthropic-Version: 2025-01-01", name="path")
        + http(http_server.url(), "Profile=anthropic", "HeaderCredential=X-API-Key: old",
               "HeaderCredential=anthropic-version: version", "ExpectJSON=/own = true", name="key")
        + http(http_server.url(), "Profile=openai", "BearerCredential=old", "ExpectBody=own",
               "ExpectStatus=202", name="bearer"))
    for result in runner.first_of(3).values():
        assert_result(result, "pass", "")
    requests = {r.target: r.headers for r in http_server.requests}
    assert set(requests) == {"/v1/models/m?x=1", "/v1/models?limit=1", "/v1/models"}
    assert requests["/v1/models/m?x=1"]["anthropic-version"] == "2025-01-01"
    assert requests["/v1/models?limit=1"]["anthropic-version"] == "2030-01-01"
    assert requests["/v1/models?limit=1"]["x-api-key"] == "sk-revoked-c4n4ry"
    assert requests["/v1/models"]["authorization"] == "Bearer sk-revoked-c4n4ry"


@pytest.mark.parametrize("profile, host", [("openai", "api.openai.com"),
                                           ("anthropic", "api.anthropic.com")])
def test_usual_server(runner, profile, host):
    """Without URL= it is the vendor's, which a namespace without a network cannot reach."""
    runner.wrap = lambda argv: ["/usr/bin/unshare", "--net", *argv]
    result = first(runner, section("http", f"Profile={profile}", "KeyCredential=key",
                                   "Resolve=192.0.2.1"))
    assert_result(result, "fail", "unreachable", "192.0.2.1:443")
    runner.stop()
    result = first(runner, section("http", f"Profile={profile}", "KeyCredential=key"))
    assert result["outcome"] == "fail" and host in result["message"], result


@pytest.mark.parametrize("profile, port", [("ollama", 11434), ("vllm", 8000)])
def test_usual_port(runner, profile, port):
    runner.wrap = lambda argv: ["/usr/bin/unshare", "--net", "/bin/sh", "-c",
                                'ip link set lo up && exec "$@"', "sh", *argv]
    result = first(runner, section("http", f"Profile={profile}"))
    assert_result(result, "fail", "refused", f"127.0.0.1:{port}")
