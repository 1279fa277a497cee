// What really happened, a line each: cycle, host's time in ns, what. The ground truth of a test.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

// Write to the file `path`.
void events_open(const char *path, const struct world *world);
bool events_wanted(void);
void event(uint64_t cycle, const char *format, ...) __attribute__((format(printf, 2, 3)));
void events_flush(void);
