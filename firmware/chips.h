// What the firmware must know of each kind of sensor. Register numbers: datasheets SBOS448, SBOS547, SBOSA20.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NO_REGISTER 0xFF

struct chip {
    uint8_t model;          // the wire protocol's number for it
    uint8_t configuration;  // register that decides the conversions
    uint8_t range;          // a further one, NO_REGISTER for none
    uint8_t shunt, bus;
    uint8_t flags;          // register whose low byte tells of a finished conversion
    uint8_t ready;          // by this bit
    uint8_t clear;          // register to read to clear it, where reading the flags may not do
    bool wide;              // shunt and bus are 24 bits, the lowest 4 unused
};

// NULL for an unknown one.
const struct chip *chip_of(uint8_t model);

// The largest shunt reading with this configuration: one as large is beyond the range.
uint32_t chip_limit(const struct chip *chip, uint16_t configuration);

// Whether a shunt register, right-aligned, is at that limit, either way.
bool chip_overflowed(const struct chip *chip, uint32_t limit, uint32_t shunt);
