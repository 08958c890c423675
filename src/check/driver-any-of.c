/* SPDX-License-Identifier: MIT */
/* Type=any-of: good while one of its checks is good. */

#include "check/driver.h"
#include "model/combine.h"

static Health any_of_derive(const void *settings _unused_, CheckState *const checks[],
                            const size_t needs[], size_t n, bool is_measured, Result *ret) {
        return combine(1, checks, needs, n, is_measured, ret);
}

static const Option any_of_options[] = {
        {
                .key = "Checks",
                .type = &option_names,
                .offset = offsetof(CombineSettings, checks),
                .flags = OPTION_REQUIRED,
        },
};

const CheckDriver any_of_driver = {
        .type = {
                .name = "any-of",
                .flags = CHECK_TYPE_COMBINED | CHECK_TYPE_TOLERANT,
                .schema = SCHEMA(any_of_options),
                .settings_size = sizeof(CombineSettings),
                .describe = combine_describe,
                .inputs = combine_inputs,
                .derive = any_of_derive,
        },
};
