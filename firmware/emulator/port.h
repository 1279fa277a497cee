// The far side of the serial cable: a raw pseudo-terminal whose other side stays open.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum when_full { DROP, KEEP };

struct port {
    int master, slave;  // -1 once unplugged
    char path[64];
    enum when_full when_full;
    uint8_t *backlog;
    size_t backlog_bytes, backlog_room;
    unsigned to_lose, to_corrupt;   // bytes still to be spoilt on their way
    uint64_t seed, spoilt;
    uint64_t dropped;               // bytes nobody took
};

void port_open(struct port *port, enum when_full when_full, uint64_t seed);
void port_unplug(struct port *port);

// A byte for the controller.
void port_put(struct port *port, uint8_t byte);

// Give the controller what there is. What it does not take is dropped, or kept.
void port_flush(struct port *port, uint64_t cycle);

// What the controller wrote, at most `room` bytes.
size_t port_get(struct port *port, uint8_t *bytes, size_t room);
