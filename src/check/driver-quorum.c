/* SPDX-License-Identifier: MIT */
/* Type=quorum: good while so many of its checks are good. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "model/combine.h"

static Health quorum_derive(const void *settings, CheckState *const checks[], const size_t needs[],
                            size_t n, bool is_measured, Result *ret) {
        const CombineSettings *s = settings;

        return combine(s->minimum > 0 ? (size_t) s->minimum : n / 2 + 1, checks, needs, n,
                       is_measured, ret);
}

static int quorum_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const CombineSettings *s = settings;

        if (s->minimum <= strv_length(s->checks))
                return 0;
        *ret_key = "Minimum";
        snprintf(why, OPTION_WHY_MAX, "more than there are in Checks=");
        return -EINVAL;
}

static const Option quorum_options[] = {
        {
                .key = "Checks",
                .type = &option_names,
                .offset = offsetof(CombineSettings, checks),
                .flags = OPTION_REQUIRED,
        },
        {
                .key = "Minimum",
                .type = &option_unsigned,
                .offset = offsetof(CombineSettings, minimum),
                .min = 1,
                .max = 1000,
        },
};

const CheckDriver quorum_driver = {
        .type = {
                .name = "quorum",
                .flags = CHECK_TYPE_COMBINED | CHECK_TYPE_TOLERANT,
                .schema = SCHEMA(quorum_options),
                .settings_size = sizeof(CombineSettings),
                .validate = quorum_validate,
                .describe = combine_describe,
                .inputs = combine_inputs,
                .derive = quorum_derive,
        },
};
