# SPDX-License-Identifier: MIT
"""Answers like those of language models' APIs, for lib.peers.HttpServer: their lists of models, and
how they say no. Each takes the key that is right, and how it is to be sent."""

import json

from lib.peers import Reply

KEY = "sk-c4n4ry-0123456789"

MODELS = {"object": "list", "data": [
    {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"},
    {"id": "gpt-4o-mini", "object": "model", "created": 1721172741, "owned_by": "system"}]}
AZURE_MODELS = {"object": "list", "data": [
    {"id": "gpt-4o-2024-08-06", "object": "model", "status": "succeeded", "created_at": 1646126127,
     "capabilities": {"fine_tune": True, "inference": True, "chat_completion": True},
     "lifecycle_status": "generally-available", "deprecation": {"inference": 1709284527}}
    for _ in range(300)]}           # Some 70 KiB, as the real list.
ANTHROPIC_MODELS = {"data": [{"type": "model", "id": "claude-sonnet-4-20250514",
                              "display_name": "Claude Sonnet 4",
                              "created_at": "2025-05-14T00:00:00Z"}],
                    "has_more": True, "first_id": "claude-sonnet-4-20250514",
                    "last_id": "claude-sonnet-4-20250514"}
OLLAMA_TAGS = {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest",
                           "size": 2019393189, "digest": "a80c4f17acd5",
                           "details": {"family": "llama"}}]}
VLLM_MODELS = {"object": "list", "data": [{"id": "facebook/opt-125m", "object": "model",
                                           "created": 1733000000, "owned_by": "vllm",
                                           "root": "facebook/opt-125m", "max_model_len": 2048}]}


def reply(value, status=200, **headers):
    return Reply(status=status, body=json.dumps(value).encode(),
                 headers={"Content-Type": "application/json",
                          **{name.replace("_", "-"): v for name, v in headers.items()}})


def openai(request):
    if request.target != "/v1/models":
        return reply({"error": {"message": f"Invalid URL (GET {request.target})",
                                "type": "invalid_request_error", "param": None, "code": None}}, 404)
    key = request.headers.get("authorization", "")
    if key != f"Bearer {KEY}":
        return reply({"error": {"message": f"Incorrect API key provided: {key.split()[-1]}. You "
                                           "can find your API key at https://platform.openai.com.",
                                "type": "invalid_request_error", "param": None,
                                "code": "invalid_api_key"}}, 401)
    return reply(MODELS)


def azure(request):
    if request.target != "/openai/models?api-version=2024-12-01-preview":
        return reply({"error": {"code": "404", "message": "Resource not found"}}, 404)
    if request.headers.get("api-key") != KEY:
        return reply({"error": {"code": "401", "message":
                                "Access denied due to invalid subscription key or wrong API "
                                "endpoint. Make sure to provide a valid key for an active "
                                "subscription and use a correct regional API endpoint for your "
                                "resource."}}, 401)
    return reply(AZURE_MODELS)


def anthropic(request):
    def error(status, kind, message):
        return reply({"type": "error", "error": {"type": kind, "message": message}}, status)
    if not request.target.startswith("/v1/models"):
        return error(404, "not_found_error", "Not found")
    if "anthropic-version" not in request.headers:
        return error(400, "invalid_request_error", "anthropic-version: header is required")
    if request.headers.get("x-api-key") != KEY:
        return error(401, "authentication_error", "invalid x-api-key")
    return reply(ANTHROPIC_MODELS)


def ollama(request):
    if request.target != "/api/tags":
        return Reply(status=404, body=b"404 page not found")
    return reply(OLLAMA_TAGS)


def vllm(request):
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return reply({"error": "Unauthorized"}, 401)
    if request.target != "/v1/models":
        return reply({"detail": "Not Found"}, 404)
    return reply(VLLM_MODELS)
