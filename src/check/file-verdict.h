/* SPDX-License-Identifier: MIT */
#pragma once

/* What was seen of a file, and what that means. Pure. For driver-file.c. */

#include "check/pattern.h"
#include "model/result.h"

#define FILE_CONTENT_MAX ((size_t) 64 * 1024) /* bytes that are searched */

typedef struct FileSettings {
        char *path; /* owned */
        bool exists;
        usec_t max_age_usec; /* 0: any */
        uint64_t min_size_bytes;
        uint64_t max_size_bytes; /* 0: any */
        Pattern content;         /* its text is NULL: any */
} FileSettings;

typedef struct FileFacts {
        int error; /* errno; 0: the rest is set */
        usec_t changed_realtime;
        uint64_t size_bytes;
        bool is_matching;
} FileFacts;

void file_judge(Result *ret, const FileSettings *s, const FileFacts *f, usec_t now_realtime);
