/* SPDX-License-Identifier: MIT */
#include "check/http-handle.h"

#include "check/http-transfer.h"

CURL *http_handle_take(HttpHandles *h) {
        CURL *easy;

        if (h->n > 0)
                return h->spare[--h->n];
        easy = curl_easy_init();
        if (!easy || http_set_common(easy))
                return easy;
        curl_easy_cleanup(easy);
        return NULL;
}

void http_handle_give(HttpHandles *h, CURL *easy) {
        if (!easy)
                return;
        (void) curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
        if (h->n < HTTP_HANDLES_SPARE_MAX)
                h->spare[h->n++] = easy;
        else
                curl_easy_cleanup(easy);
}

void http_handles_done(HttpHandles *h) {
        while (h->n > 0)
                curl_easy_cleanup(h->spare[--h->n]);
}
