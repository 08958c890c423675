/* SPDX-License-Identifier: MIT */
#pragma once

/* A doubly linked list without allocation: the links live in the listed struct. The list does not
 * own its items. */

#include "base/macro.h"

typedef struct ListLink {
        struct ListLink *prev, *next;
} ListLink;

/* The head is a link that points to itself while the list is empty. */
typedef ListLink List;

#define LIST_INIT(l) ((List){ .prev = &(l), .next = &(l) })

static inline void list_init(List *l) {
        l->prev = l->next = l;
}

static inline bool list_is_empty(const List *l) {
        return l->next == l;
}

/* An unlinked link has NULL pointers; a link is linked at most once. */
static inline bool list_is_linked(const ListLink *link) {
        return link->next;
}

static inline void list_insert_before(ListLink *where, ListLink *link) {
        assert(!list_is_linked(link));
        link->prev = where->prev;
        link->next = where;
        where->prev->next = link;
        where->prev = link;
}

static inline void list_append(List *l, ListLink *link) {
        list_insert_before(l, link);
}

/* Unlinking what is not linked does nothing. */
static inline void list_unlink(ListLink *link) {
        if (!list_is_linked(link))
                return;
        link->prev->next = link->next;
        link->next->prev = link->prev;
        link->prev = link->next = NULL;
}

#define list_item(link, Type, member) container_of(link, Type, member)

/* The first item, or NULL. */
#define list_first(l, Type, member) (list_is_empty(l) ? NULL : list_item((l)->next, Type, member))

#define LIST_FOREACH(link, l) for (ListLink *link = (l)->next; link != (l); link = link->next)

/* The current item may be unlinked and freed. */
#define LIST_FOREACH_SAFE(link, l)                                               \
        for (ListLink *link = (l)->next, *link##_next = link->next; link != (l); \
             link = link##_next, link##_next = link->next)
