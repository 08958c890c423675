/* SPDX-License-Identifier: MIT */
/* Type=all-of: good while each of its checks is good. */

#include "check/driver.h"
#include "model/combine.h"

static Health all_of_derive(const void *settings _unused_, CheckState *const checks[],
                            const size_t needs[], size_t n, bool is_measured, Result *ret) {
        return combine(n, checks, needs, n, is_measured, ret);
}

static const Option all_of_options[] = {
        {
                .key = "Checks",
                .type = &option_names,
                .offset = offsetof(CombineSettings, checks),
                .flags = OPTION_REQUIRED,
        },
};

const CheckDriver all_of_driver = {
        .type = {
                .name = "all-of",
                .flags = CHECK_TYPE_COMBINED,
                .schema = SCHEMA(all_of_options),
                .settings_size = sizeof(CombineSettings),
                .describe = combine_describe,
                .inputs = combine_inputs,
                .derive = all_of_derive,
        },
};
