/* SPDX-License-Identifier: MIT */
#include "check/http-profile.h"

#include <json-c/json_pointer.h>
#include <string.h>

#include "base/text.h"

enum {
        PROFILE_NONE,
        PROFILE_OPENAI,
        PROFILE_AZURE,
        PROFILE_ANTHROPIC,
        PROFILE_OLLAMA,
        PROFILE_VLLM
};

const HttpProfile *http_profile(unsigned word) {
        static const HttpProfile profiles[] = {
                [PROFILE_OPENAI] = {
                        .url = "https://api.openai.com",
                        .path = "/v1/models",
                        .expect_json = { "/object = \"list\"" },
                },
                [PROFILE_AZURE] = {
                        .path = "/openai/models?api-version=2024-12-01-preview",
                        .key_header = "api-key",
                        .expect_json = { "/object = \"list\"" },
                },
                [PROFILE_ANTHROPIC] = {
                        .url = "https://api.anthropic.com",
                        .path = "/v1/models?limit=1",
                        .key_header = "x-api-key",
                        .headers = { "anthropic-version: 2023-06-01" },
                        .expect_json = { "/data exists" },
                },
                /* That one answers without a model, too, and pulls it when it is wanted. */
                [PROFILE_OLLAMA] = {
                        .url = "http://127.0.0.1:11434",
                        .path = "/api/tags",
                        .expect_json = { "/models exists" },
                },
                [PROFILE_VLLM] = {
                        .url = "http://127.0.0.1:8000",
                        .path = "/v1/models",
                        .expect_json = { "/object = \"list\"", "/data/0/id exists" },
                },
        };

        return word == PROFILE_NONE || word >= ELEMENTSOF(profiles) ? NULL : profiles + word;
}

void http_error_text(const char *body, size_t n, size_t size, char *buf) {
        static const char *const places[] = { "/error/message", "/error", "/message", "/detail" };
        _cleanup_json_ json_object *tree = NULL;
        JsonFault fault;

        buf[0] = 0;
        if (json_tree_parse(body, n, &tree, &fault) < 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                json_object *o = NULL;

                if (json_pointer_get(tree, places[i], &o) < 0 ||
                    !json_object_is_type(o, json_type_string))
                        continue;
                text_sanitize(buf, size, json_object_get_string(o),
                              (size_t) json_object_get_string_len(o));
                return;
        }
}

const char *const http_profile_words[] = {
        [PROFILE_NONE] = "none",
        [PROFILE_OPENAI] = "openai",
        [PROFILE_AZURE] = "azure-openai",
        [PROFILE_ANTHROPIC] = "anthropic",
        [PROFILE_OLLAMA] = "ollama",
        [PROFILE_VLLM] = "vllm",
        NULL,
};
