#include "chips.h"

#include <stddef.h>

static const struct chip chips[] = {
    // The datasheet has the INA219's ready flag cleared by reading Power in one place, Bus Voltage in another: read
    // both.
    {.model = 0x19, .configuration = 0, .range = NO_REGISTER, .shunt = 1, .bus = 2, .flags = 2, .ready = 0x02,
     .clear = 3},
    {.model = 0x26, .configuration = 0, .range = NO_REGISTER, .shunt = 1, .bus = 2, .flags = 6, .ready = 0x08,
     .clear = NO_REGISTER},
    {.model = 0x28, .configuration = 1, .range = 0, .shunt = 4, .bus = 5, .flags = 11, .ready = 0x02,
     .clear = NO_REGISTER, .wide = true},
};

const struct chip *chip_of(uint8_t model) {
    for (uint8_t i = 0; i < sizeof chips / sizeof chips[0]; i++)
        if (chips[i].model == model) return &chips[i];
    return NULL;
}

uint32_t chip_limit(const struct chip *chip, uint16_t configuration) {
    if (chip->wide) return 0x7FFFF;
    if (chip->model == 0x26) return 0x7FFF;
    return 4000UL << (configuration >> 11 & 3);
}

bool chip_overflowed(const struct chip *chip, uint32_t limit, uint32_t shunt) {
    if (chip->wide) return (shunt & 0x80000UL ? 0x100000UL - shunt : shunt) >= limit;
    uint16_t low = shunt;
    return (uint16_t)(low & 0x8000 ? -low : low) >= (uint16_t)limit;
}
