/* SPDX-License-Identifier: MIT */

/* What stands behind the digest of a file that outlasts a restart: whatever the bytes, what is
 * taken is fit to show, and never green for longer than it may. */

#include "state-judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        (void) judge(JUDGE_STATE, (const char *) data, size);
        return 0;
}
