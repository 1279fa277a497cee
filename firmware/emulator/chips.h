// What the INA219, INA226 and INA228 do with their registers. Datasheets SBOS448, SBOS547, SBOSA20.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// What a configuration makes the converter do, over and over. Lengths are nominal; 0 where the mode has none.
struct conversion {
    double shunt_ns, bus_ns, temperature_ns;
    double shunt_lsb_v, bus_lsb_v;
    int32_t shunt_step, shunt_limit;    // effective step of the register; it saturates at plus and minus the limit
    int32_t bus_step, bus_limit;
};

struct chip {
    const char *name;
    uint8_t configuration;      // register that decides the conversions
    uint8_t range;              // a further one, equal to `configuration` where there is none
    uint8_t shunt, bus, flags, power;
    uint16_t power_on;          // the configuration after power-on
    uint16_t fixed_zeros, fixed_ones;   // bits of the configuration that always read so
    uint16_t ready;             // bit of `flags`
    bool wide;                  // shunt and bus have 20 bits of 24
    bool bus_holds_flags;       // the bus voltage is in bits 15-3 of the register that also holds the flags
    uint8_t identity_register[2];
    uint16_t identity[2];
    void (*converts)(uint16_t configuration, uint16_t range, struct conversion *conversion);
};

extern const struct chip chip_table[3];
