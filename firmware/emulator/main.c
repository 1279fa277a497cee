// Runs the bridge's real firmware on a simulated ATmega328P (libsimavr, GPL-3: this is a program of its own).
//
// It prints one line of JSON when it is ready, and ends when its stdin does, like the testbed's other far ends.

#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define PACE_MS 1

static FILE *answers;

static int64_t host_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// simavr prints what it does to stdout; ours is for answers only.
static void keep_stdout(void) {
    int copy = dup(STDOUT_FILENO);
    if (copy < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || !(answers = fdopen(copy, "w"))) err(1, "stdout");
}

static void say_ready(struct machine *machine, const struct options *options) {
    double lag_s = options->lag_ms * 1e-3;
    fprintf(answers,
            "{\"device\": \"ina-bridge firmware\", \"port\": \"%s\", \"pid\": %d, \"seed\": %" PRIu64
            ", \"drift_ppm\": %g, \"lag_s\": %g, \"conversion_errors\": {",
            machine_port(machine)->path, (int)getpid(), options->seed, options->drift_ppm, lag_s);
    const struct sensor *sensors = machine_sensors(machine);
    for (int i = 0; i < options->sensor_count; i++)
        fprintf(answers, "%s\"%#04x\": %.6f", i ? ", " : "", sensors[i].address, sensors[i].conversion_error);
    fprintf(answers, "}}\n");
    fflush(answers);
}

static void hear(struct machine *machine, int64_t time_ns) {
    uint8_t bytes[4096];
    size_t got = port_get(machine_port(machine), bytes, sizeof bytes);
    machine_hear(machine, bytes, got, time_ns);
}

// Bytes are `lag` under way each way: the microcontroller hears one `lag` after it was written, and lives `lag` behind
// the host, so the middle of a round trip is the moment it answers.
static void live_paced(struct machine *machine, int64_t lag_ns) {
    struct port *port = machine_port(machine);
    for (;;) {
        struct pollfd files[] = {{.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(files, 1, PACE_MS) < 0 && errno != EINTR) err(1, "poll");
        char rubbish[256];
        if (files[0].revents && read(STDIN_FILENO, rubbish, sizeof rubbish) <= 0) return;
        int64_t now_ns = host_ns();
        hear(machine, now_ns + lag_ns);
        if (port->backlog_bytes) port_flush(port, 0);   // it stalls until the controller reads
        else machine_live(machine, now_ns - lag_ns);
    }
}

static int64_t asked_for(const char *command, int64_t now_ns) {
    int64_t until_ns;
    char rest;
    if (sscanf(command, "advance %" SCNd64 "%c", &until_ns, &rest) != 1 || until_ns < now_ns)
        errx(1, "'%s' is no step from %" PRId64 " ns: write 'advance TIME_NS'; time does not go back", command, now_ns);
    return until_ns;
}

static void live_stepped(struct machine *machine) {
    struct port *port = machine_port(machine);
    char commands[4096];
    size_t held = 0;
    int64_t now_ns = 0;
    for (;;) {
        struct pollfd files[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = port->master, .events = POLLOUT}};
        if (poll(files, port->backlog_bytes ? 2 : 1, -1) < 0 && errno != EINTR) err(1, "poll");
        port_flush(port, 0);
        if (!files[0].revents) continue;
        ssize_t got = read(STDIN_FILENO, commands + held, sizeof commands - 1 - held);
        if (got <= 0) return;
        held += (size_t)got;
        commands[held] = 0;
        char *end;
        while ((end = strchr(commands, '\n'))) {
            *end = 0;
            int64_t until_ns = asked_for(commands, now_ns);
            hear(machine, now_ns);
            machine_live(machine, until_ns);
            now_ns = until_ns;
            fprintf(answers, "ok %" PRId64 "\n", now_ns);
            fflush(answers);
            held -= (size_t)(end + 1 - commands);
            memmove(commands, end + 1, held + 1);
        }
    }
}

int main(int count, char **arguments) {
    struct options options;
    options_parse(&options, count, arguments);
    keep_stdout();
    struct machine *machine = machine_build(&options, options.stepped ? 0 : host_ns());
    say_ready(machine, &options);
    if (options.stepped) live_stepped(machine);
    else live_paced(machine, llround(options.lag_ms * 1e6));
    machine_end(machine);
    return 0;
}
