/* SPDX-License-Identifier: MIT */
#pragma once

/* The text in which probers outlast vitald, see state-file.h: so that a drain soon after a restart
 * waits for those who asked before it. How often each has read 503 is not kept: after a restart all
 * have to read it anew, which is never too little. */

#include "base/strbuf.h"
#include "output/http-probers.h"

#define PROBERS_FILE_KIND    "vitald-probers"
#define PROBERS_FILE_VERSION 1

/* Those who are recent. now_usec: CLOCK_MONOTONIC. Errors are the buffer's. */
void probers_file_format(StrBuf *out, const HttpProbers *p, const char *boot, usec_t now_usec);

/* Adds to p those of this boot. 0, -ESTALE: of another boot, -EBADMSG: nonsense; or -ENOMEM; with
 * why. With an error some may have been added. */
#define PROBERS_FILE_WHY_MAX 128
int probers_file_parse(const char *text, size_t n, const char *boot, usec_t now_usec,
                       HttpProbers *p, char ret_why[static PROBERS_FILE_WHY_MAX]);
