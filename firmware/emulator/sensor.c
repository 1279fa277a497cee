#include "sensor.h"

#include <inttypes.h>
#include <math.h>

#include "draw.h"
#include "events.h"

#define RESET_BIT 0x8000

static int32_t limited(double steps, int32_t step, int32_t low, int32_t high) {
    double value = round(steps) * step;
    return value < low ? low : value > high ? high : (int32_t)value;
}

static void convert_shunt(struct sensor *sensor, uint64_t round, int64_t end_ns) {
    const struct conversion *conversion = &sensor->conversion;
    const struct wiring *wiring = &sensor->wiring;
    double power_w = supply_mean_w(sensor->supply, end_ns - llround(sensor->shunt_ns), end_ns);
    double volts = power_w / wiring->supply_v * wiring->shunt_ohm * (1 + wiring->gain_error) + wiring->offset_v;
    double noise = wiring->noise_steps ? wiring->noise_steps * draw_normal(sensor->seed, round) : 0;
    sensor->shunt_value = limited(volts / (conversion->shunt_lsb_v * conversion->shunt_step) + noise,
                                  conversion->shunt_step, -conversion->shunt_limit, conversion->shunt_limit);
}

static void convert_bus(struct sensor *sensor) {
    const struct conversion *conversion = &sensor->conversion;
    double volts = sensor->wiring.supply_v * (1 + sensor->wiring.bus_gain_error);
    sensor->bus_value = limited(volts / (conversion->bus_lsb_v * conversion->bus_step), conversion->bus_step, 0,
                                conversion->bus_limit);
}

static int64_t rounds_by(const struct sensor *sensor, int64_t time_ns, double end_ns) {
    double rounds = floor(((double)(time_ns - sensor->begun_ns) - end_ns) / sensor->round_ns) + 1;
    return rounds > 0 ? (int64_t)rounds : 0;
}

// The converter takes shunt, bus, temperature in turn, those its mode has (the INA228's order is unconfirmed).
void sensor_live(struct sensor *sensor, uint64_t cycle) {
    if (!sensor->round_ns) return;
    int64_t now_ns = world_ns(sensor->world, cycle);
    double bus_end_ns = sensor->round_ns - sensor->conversion.temperature_ns * (1 + sensor->conversion_error);
    uint64_t shunts = 0, buses = 0, done = sensor->shunts > sensor->buses ? sensor->shunts : sensor->buses;
    if (sensor->shunt_ns) shunts = (uint64_t)rounds_by(sensor, now_ns, sensor->shunt_ns);
    if (sensor->conversion.bus_ns) buses = (uint64_t)rounds_by(sensor, now_ns, bus_end_ns);
    uint64_t most = shunts > buses ? shunts : buses;
    if (done) done--;   // of the latest round the bus voltage may still have been missing
    if (!events_wanted() && most > done + 2) done = most - 2;  // nobody asks for those between
    for (uint64_t round = done; round < most; round++) {
        double begun_ns = (double)round * sensor->round_ns;
        if (round >= sensor->shunts && round < shunts) {
            int64_t end_ns = sensor->begun_ns + llround(begun_ns + sensor->shunt_ns);
            convert_shunt(sensor, sensor->rounds_before + round, end_ns);
            event(world_cycle(sensor->world, end_ns), "conversion %#04x shunt %" PRIu64 " %" PRId32, sensor->address,
                  sensor->rounds_before + round, sensor->shunt_value);
        }
        if (round >= sensor->buses && round < buses) {
            convert_bus(sensor);
            event(world_cycle(sensor->world, sensor->begun_ns + llround(begun_ns + bus_end_ns)),
                  "conversion %#04x bus %" PRIu64 " %" PRId32, sensor->address, sensor->rounds_before + round,
                  sensor->bus_value);
        }
    }
    sensor->shunts = shunts;
    sensor->buses = buses;
}

static void configure(struct sensor *sensor, uint64_t cycle) {
    double stretch = 1 + sensor->conversion_error;
    sensor->rounds_before += sensor->shunts > sensor->buses ? sensor->shunts : sensor->buses;
    sensor->chip->converts(sensor->configuration, sensor->range, &sensor->conversion);
    const struct conversion *conversion = &sensor->conversion;
    sensor->shunt_ns = conversion->shunt_ns * stretch;
    sensor->round_ns = (conversion->shunt_ns + conversion->bus_ns + conversion->temperature_ns) * stretch;
    sensor->begun_ns = world_ns(sensor->world, cycle);
    sensor->shunts = sensor->buses = 0;
    sensor->rounds_told = 0;
}

void sensor_power_on(struct sensor *sensor, uint64_t cycle) {
    sensor->configuration = sensor->chip->power_on;
    sensor->range = 0;
    sensor->pointer = 0;
    configure(sensor, cycle);
}

static uint16_t flags(struct sensor *sensor, int64_t now_ns, bool clear) {
    if (!sensor->round_ns) return 0;
    int64_t rounds = rounds_by(sensor, now_ns, sensor->round_ns);
    uint16_t shown = rounds > sensor->rounds_told ? sensor->chip->ready : 0;
    if (clear) sensor->rounds_told = rounds;
    return shown;
}

static uint32_t contents(struct sensor *sensor, uint64_t cycle) {
    const struct chip *chip = sensor->chip;
    uint8_t at = sensor->pointer;
    int64_t now_ns = world_ns(sensor->world, cycle);
    if (at == chip->configuration) return sensor->configuration;
    if (at == chip->range) return sensor->range;
    if (at == chip->shunt) {
        event(cycle, "read %#04x shunt %" PRIu64 " %" PRId32, sensor->address,
              sensor->rounds_before + sensor->shunts - 1, sensor->shunt_value);
        return chip->wide ? (uint32_t)sensor->shunt_value << 4 : (uint32_t)sensor->shunt_value;
    }
    if (at == chip->bus) {
        event(cycle, "read %#04x bus %" PRIu64 " %" PRId32, sensor->address,
              sensor->rounds_before + sensor->buses - 1, sensor->bus_value);
        uint32_t value = (uint32_t)sensor->bus_value;
        if (chip->wide) return value << 4;
        if (!chip->bus_holds_flags) return value;
        return value << 3 | flags(sensor, now_ns, sensor->wiring.ready_cleared_by_flags);
    }
    if (at == chip->flags) return flags(sensor, now_ns, true);
    for (int i = 0; i < 2; i++)
        if (chip->identity[i] && at == chip->identity_register[i]) return chip->identity[i];
    // The INA219's power register, 0 like the current's while Calibration is 0; reading it may clear the ready flag.
    bool clears = chip->bus_holds_flags && !sensor->wiring.ready_cleared_by_flags;
    if (at == chip->power && clears) flags(sensor, now_ns, true);
    return 0;
}

bool sensor_called(struct sensor *sensor, bool reading, uint64_t cycle) {
    if (world_ns(sensor->world, cycle) < sensor->silent_until_ns) return false;
    sensor_live(sensor, cycle);
    sensor->position = 0;
    if (!reading) return true;
    bool wide = sensor->chip->wide && (sensor->pointer == sensor->chip->shunt || sensor->pointer == sensor->chip->bus);
    sensor->shifted = contents(sensor, cycle) << (wide ? 8 : 16);
    return true;
}

void sensor_write(struct sensor *sensor, uint8_t byte, uint64_t cycle) {
    const struct chip *chip = sensor->chip;
    if (sensor->position++ == 0) {
        sensor->pointer = byte;
        return;
    }
    sensor->shifted = sensor->shifted << 8 | byte;
    if (sensor->position != 3) return;
    uint16_t value = (uint16_t)sensor->shifted;
    if (value & RESET_BIT && sensor->pointer == chip->range) {
        sensor_power_on(sensor, cycle);
    } else if (sensor->pointer == chip->configuration) {
        sensor->configuration = (uint16_t)((value & ~chip->fixed_zeros) | chip->fixed_ones);
        configure(sensor, cycle);
    } else if (sensor->pointer == chip->range) {
        sensor->range = value;
        configure(sensor, cycle);
    }
}

uint8_t sensor_read(struct sensor *sensor) {
    uint8_t byte = (uint8_t)(sensor->shifted >> 24);
    sensor->shifted = sensor->shifted << 8 | 0xFF;
    return byte;
}
