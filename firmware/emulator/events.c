#include "events.h"

#include <err.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static FILE *file;
static const struct world *world;

void events_open(const char *path, const struct world *of) {
    world = of;
    file = fopen(path, "we");
    if (!file) err(1, "the event log %s", path);
}

bool events_wanted(void) { return file; }

void event(uint64_t cycle, const char *format, ...) {
    if (!file) return;
    fprintf(file, "%" PRIu64 " %" PRId64 " ", cycle, world_ns(world, cycle));
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fputc('\n', file);
}

void events_flush(void) {
    if (file && fflush(file)) err(1, "the event log");
}
