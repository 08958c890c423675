/* SPDX-License-Identifier: MIT */
#pragma once

/* What outlasts vitald. In the runtime directory, for as long as the host is not booted anew: the
 * last picture (`state`), soon after something in it changes, and what became of each check lately
 * (`history`) and who has probed (`probers`), now and then; all when vitald ends. In the state
 * directory, beyond a boot: drains of operators (`drains`). A file that is no use is told of once
 * and left aside. */

#include "io/workers.h"
#include "model/kept.h"
#include "output/history.h"
#include "output/http-probers.h"
#include "output/publisher.h"
#include "output/state-file.h"

#define KEEPER_WHY_MAX 256

typedef struct Keeper Keeper;

/* What came of the last one's picture. */
typedef struct Restoration {
        usec_t began_realtime;    /* when this vitald did */
        usec_t restored_realtime; /* the time of the picture; 0: nothing was restored */
        usec_t age_usec;          /* that it had then */
        char why[KEEPER_WHY_MAX]; /* why nothing was restored although there was something; "" */
} Restoration;

/* Directories may be NULL: then nothing is kept there. All is borrowed and must live as long. */
int keeper_new(sd_event *event, Workers *workers, Publisher *publisher,
               const char *runtime_directory, const char *state_directory, Keeper **ret);

/* The picture, matched with this configuration; *ret is NULL if there is none that is any use. 0 or
 * -ENOMEM. */
int keeper_read(Keeper *k, Config *config, Kept **ret);

/* Reads the drains of operators, for when there is no picture, or an old one: as if all of their
 * services were absent until now. */
void keeper_read_drains(Keeper *k);

/* Hands out the drains of services that were absent and are not with this configuration, before
 * anything of it is published. */
void keeper_return_drains(Keeper *k, const Config *config, DrainHandler handler, void *userdata);

/* Follows the publisher from now on, and reads and keeps this history and these probers (both
 * borrowed). */
int keeper_follow(Keeper *k, Config *config, History *history, HttpProbers *probers);

const Restoration *keeper_restoration(const Keeper *k);

/* How often something could not be written. */
uint64_t keeper_n_failures(const Keeper *k);

/* Writes what is not written yet, before the publisher and the history are freed. */
Keeper *keeper_free(Keeper *k);
DEFINE_CLEANUP(Keeper *, keeper_free);
