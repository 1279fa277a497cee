#define _GNU_SOURCE
#include "port.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "draw.h"
#include "events.h"

void port_open(struct port *port, enum when_full when_full, uint64_t seed) {
    struct termios raw;
    *port = (struct port){.when_full = when_full, .seed = seed};
    if (openpty(&port->master, &port->slave, port->path, NULL, NULL)) err(1, "a pseudo-terminal");
    if (tcgetattr(port->slave, &raw)) err(1, "a pseudo-terminal");
    cfmakeraw(&raw);
    if (tcsetattr(port->slave, TCSANOW, &raw)) err(1, "a pseudo-terminal");
    if (fcntl(port->master, F_SETFL, O_NONBLOCK)) err(1, "a pseudo-terminal");
}

void port_unplug(struct port *port) {
    if (port->master < 0) return;
    close(port->master);
    close(port->slave);
    port->master = -1;
    port->backlog_bytes = 0;
}

void port_put(struct port *port, uint8_t byte) {
    if (port->master < 0) return;
    if (port->to_lose) {
        port->to_lose--;
        return;
    }
    if (port->to_corrupt) {
        port->to_corrupt--;
        byte ^= (uint8_t)(1 << (draw_bits(port->seed, port->spoilt++) & 7));
    }
    if (port->backlog_bytes == port->backlog_room) {
        port->backlog_room = port->backlog_room ? 2 * port->backlog_room : 4096;
        port->backlog = realloc(port->backlog, port->backlog_room);
        if (!port->backlog) err(1, "the port");
    }
    port->backlog[port->backlog_bytes++] = byte;
}

void port_flush(struct port *port, uint64_t cycle) {
    size_t taken = 0;
    while (taken < port->backlog_bytes) {
        ssize_t wrote = write(port->master, port->backlog + taken, port->backlog_bytes - taken);
        if (wrote < 0 && errno == EAGAIN) break;
        if (wrote < 0) err(1, "writing to the port");
        taken += (size_t)wrote;
    }
    size_t left = port->backlog_bytes - taken;
    if (left && port->when_full == DROP) {
        event(cycle, "dropped %zu", left);
        port->dropped += left;
        left = 0;
    }
    memmove(port->backlog, port->backlog + taken, left);
    port->backlog_bytes = left;
}

size_t port_get(struct port *port, uint8_t *bytes, size_t room) {
    if (port->master < 0) return 0;
    ssize_t got = read(port->master, bytes, room);
    if (got < 0 && errno != EAGAIN) err(1, "reading from the port");
    return got < 0 ? 0 : (size_t)got;
}
