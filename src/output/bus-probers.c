/* SPDX-License-Identifier: MIT */
#include "output/bus-change.h"
#include "output/http-paths.h"

static int append_prober(sd_bus_message *reply, const HttpProber *p, const Time *now) {
        char address[INET6_ADDRSTRLEN];

        return sd_bus_message_append(
                reply, "(sssttqu)", http_prober_address(address, p), p->route, p->agent,
                usec_sub(now->realtime, usec_sub(now->monotonic, p->seen_usec)), p->interval_usec,
                (uint16_t) p->status, (uint32_t) p->n_not_ready);
}

int bus_get_probers(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                    _unused_ const char *property, sd_bus_message *reply, void *userdata,
                    _unused_ sd_bus_error *error) {
        const BusTarget *t = userdata;
        const BusContext *context = &t->link->bus->context;
        Time now = time_now();
        const HttpProber *p;
        size_t at = 0;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sssttqu)");
        while (r >= 0 && (p = http_path_next_prober(context->probers, t->snapshot->config, t->index,
                                                    now.monotonic, &at)))
                r = append_prober(reply, p, &now);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
