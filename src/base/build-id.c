/* SPDX-License-Identifier: MIT */
#include "base/build-id.h"

#include <link.h>
#include <stdio.h>
#include <string.h>

static size_t align(size_t n) {
        return (n + 3) & ~(size_t) 3;
}

static void note_print(char buf[static BUILD_ID_MAX], const uint8_t *id, size_t n) {
        for (size_t i = 0; i < n && 2 * i + 2 < BUILD_ID_MAX; i++)
                snprintf(buf + 2 * i, 3, "%02x", id[i]);
}

static void notes_search(char buf[static BUILD_ID_MAX], const uint8_t *notes, size_t size) {
        static const char owner[] = "GNU";

        while (size >= sizeof(ElfW(Nhdr))) {
                ElfW(Nhdr) note;
                size_t name, all;

                memcpy(&note, notes, sizeof(note));
                name = sizeof(note) + align(note.n_namesz);
                all = name + align(note.n_descsz);
                if (all > size)
                        return;
                if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(owner) &&
                    memcmp(notes + sizeof(note), owner, sizeof(owner)) == 0)
                        note_print(buf, notes + name, note.n_descsz);
                notes += all;
                size -= all;
        }
}

/* The first object is the program itself. */
static int on_object(struct dl_phdr_info *info, size_t size _unused_, void *userdata) {
        for (unsigned i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *p = &info->dlpi_phdr[i];

                if (p->p_type == PT_NOTE)
                        notes_search(userdata,
                                     (const uint8_t *) (uintptr_t) (info->dlpi_addr + p->p_vaddr),
                                     p->p_memsz);
        }

        return 1;
}

const char *build_id(char buf[static BUILD_ID_MAX]) {
        *buf = 0;
        dl_iterate_phdr(on_object, buf);
        return buf;
}
