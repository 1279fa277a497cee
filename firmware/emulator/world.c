#include "world.h"

#include <math.h>

void world_drift(struct world *world, uint64_t cycle, double drift_ppm) {
    if (world->cycles_per_ns) world->begins_ns = world_ns(world, cycle);
    world->begins_cycle = cycle;
    world->cycles_per_ns = CYCLES_PER_SECOND * 1e-9 * (1 + drift_ppm * 1e-6);
}

int64_t world_ns(const struct world *world, uint64_t cycle) {
    return world->begins_ns + llround((double)(cycle - world->begins_cycle) / world->cycles_per_ns);
}

uint64_t world_cycle(const struct world *world, int64_t time_ns) {
    double cycles = ceil((double)(time_ns - world->begins_ns) * world->cycles_per_ns);
    return cycles > 0 ? world->begins_cycle + (uint64_t)cycles : world->begins_cycle;
}
