// A sensor on the bus: its registers as the bus sees them, its converter on a clock of its own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "chips.h"
#include "supply.h"
#include "world.h"

struct wiring {
    double supply_v, shunt_ohm;
    double gain_error, bus_gain_error;  // relative
    double offset_v;                    // of the shunt voltage
    double noise_steps;                 // rms, in the converter's effective steps
    bool ready_cleared_by_flags;        // INA219: reading Bus Voltage clears its ready flag, not reading Power
};

struct sensor {
    const struct chip *chip;
    uint8_t address;
    struct wiring wiring;
    double conversion_error;            // of its clock, relative
    uint64_t seed;
    const struct supply *supply;
    const struct world *world;
    int64_t silent_until_ns;

    uint16_t configuration, range;
    struct conversion conversion;
    int64_t begun_ns;                   // the first round of conversions
    double shunt_ns, round_ns;
    uint64_t shunts, buses;             // conversions that have ended
    uint64_t rounds_before;             // of earlier configurations
    int32_t shunt_value, bus_value;
    int64_t rounds_told;                // rounds whose ready flag was cleared

    uint8_t pointer, position;          // register selected; byte within a transfer
    uint32_t shifted;                   // what is read out or came in
};

void sensor_power_on(struct sensor *sensor, uint64_t cycle);

// Called by its address; false: no answer. A register read is latched now.
bool sensor_called(struct sensor *sensor, bool reading, uint64_t cycle);
void sensor_write(struct sensor *sensor, uint8_t byte, uint64_t cycle);
uint8_t sensor_read(struct sensor *sensor);

// Live until `cycle`: what it converted is in the event log.
void sensor_live(struct sensor *sensor, uint64_t cycle);
