/* SPDX-License-Identifier: MIT */
#include "ctl/screen.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/text.h"

#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN     20 /* a text is not squeezed into less */

static size_t terminal_columns(int fd) {
        const char *e = getenv("COLUMNS");
        struct winsize size;
        uint64_t n;

        if (e && parse_uint64(e, &n) >= 0 && n >= COLUMNS_MIN && n <= UINT16_MAX)
                return (size_t) n;
        if (ioctl(fd, TIOCGWINSZ, &size) >= 0 && size.ws_col >= COLUMNS_MIN)
                return size.ws_col;
        return COLUMNS_DEFAULT;
}

Screen screen_of(FILE *file) {
        bool is_terminal = isatty(fileno(file));
        const char *term = getenv("TERM");

        return (Screen){
                .file = file,
                .columns = is_terminal ? terminal_columns(fileno(file)) : SIZE_MAX,
                .is_terminal = is_terminal,
                .has_color = is_terminal && str_is_empty(getenv("NO_COLOR")) && term &&
                             !str_equal(term, "dumb"),
        };
}

const char *tone_begin(const Screen *s, Tone tone) {
        static const char *const codes[] = {
                [TONE_PLAIN] = "",        [TONE_BOLD] = "\033[1m",     [TONE_FAINT] = "\033[2m",
                [TONE_GOOD] = "\033[32m", [TONE_WARNING] = "\033[33m", [TONE_BAD] = "\033[1;31m",
        };

        return s->has_color ? codes[tone] : "";
}

const char *tone_end(const Screen *s, Tone tone) {
        return s->has_color && tone != TONE_PLAIN ? "\033[0m" : "";
}

size_t text_width(const char *text) {
        size_t n = 0;

        for (const char *p = text; *p; p++)
                n += ((unsigned char) *p & 0xc0) != 0x80;
        return n;
}

/* Bytes of the text that go on a line of so many columns: up to a blank if there is one. */
static size_t line_length(const char *text, size_t columns) {
        size_t width = 0, blank = 0, i;

        for (i = 0; text[i]; i++) {
                if (((unsigned char) text[i] & 0xc0) == 0x80)
                        continue;
                if (width == columns)
                        break;
                if (text[i] == ' ')
                        blank = i;
                width++;
        }
        if (!text[i] || text[i] == ' ' || blank == 0)
                return i;
        return blank;
}

void screen_wrap(const Screen *s, Tone tone, const char *text, size_t at, size_t indent) {
        for (;;) {
                size_t room = s->columns > at + COLUMNS_MIN ? s->columns - at : COLUMNS_MIN;
                size_t n = line_length(text, s->columns == SIZE_MAX ? SIZE_MAX : room);

                fprintf(s->file, "%s%.*s%s\n", tone_begin(s, tone), (int) n, text,
                        tone_end(s, tone));
                text += n + strspn(text + n, " ");
                if (!*text)
                        return;
                fprintf(s->file, "%*s", (int) indent, "");
                at = indent;
        }
}
