/* SPDX-License-Identifier: MIT */

#include "model/check-type.h"

#include "base/text.h"

const char *check_types_name(const CheckTypes *types, size_t i) {
        for (size_t k = 0; types->built_in[k]; k++, i--)
                if (i == 0)
                        return types->built_in[k]->name;
        for (size_t k = 0; types->modules && types->modules[k]; k++, i--)
                if (i == 0)
                        return types->modules[k];
        return NULL;
}

const CheckType *check_types_find(const CheckTypes *types, const char *name,
                                  char why[static OPTION_WHY_MAX]) {
        *why = 0;
        for (size_t i = 0; types->built_in[i]; i++)
                if (str_equal(types->built_in[i]->name, name))
                        return types->built_in[i];
        for (size_t i = 0; types->modules && types->modules[i]; i++)
                if (str_equal(types->modules[i], name))
                        return types->load(name, why);
        return NULL;
}
