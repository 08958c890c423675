/* SPDX-License-Identifier: MIT */
#pragma once

/* The field types of exec checks: a command and variables of the environment. */

#include "model/option.h"

#define EXEC_WORDS_MAX 256

extern const OptionType option_command; /* char ** (owned): program with an absolute path, words */
extern const OptionType option_variables; /* char ** (owned): "NAME=value", a list */
