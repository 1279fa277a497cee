// Time: the microcontroller's cycles and the host's nanoseconds, whose axis the supply file has.
#pragma once

#include <stdint.h>

#define CYCLES_PER_SECOND 16000000.0

struct world {
    int64_t begins_ns;      // the host's time at ...
    uint64_t begins_cycle;  // ... this cycle
    double cycles_per_ns;
};

// The microcontroller's crystal gains `drift_ppm` on the host from `cycle` on.
void world_drift(struct world *world, uint64_t cycle, double drift_ppm);

int64_t world_ns(const struct world *world, uint64_t cycle);

// The first cycle at or after that time.
uint64_t world_cycle(const struct world *world, int64_t time_ns);
