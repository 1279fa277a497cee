#include "sensors.h"

#include <stddef.h>

#include "chips.h"
#include "frames.h"
#include "samples.h"
#include "ticks.h"
#include "twi.h"
#include "wire.h"

#define FIRST_ADDRESS 0x40
#define ADDRESSES 16
#define ATTEMPTS 3
#define LOOKS 2

// Where things are in a configuration.
enum { ADDRESS, MODEL, REGISTER, BUS_REGISTER = 4, RANGE = 6, DIVISOR = 8, INTERVAL, FLAGGED = 11 };

_Static_assert(FLAGGED + 1 == WIRE_CONFIGURATION_BYTES, "as the wire protocol has it");

// What a sensor is asked next.
enum step {
    SWITCH,     // write the configuration for what is to be read
    AWAIT,      // the conversion of it
    READ,       // it
    CLEAR,      // the ready flag
    REST,       // nothing more: it does not answer
};

enum look { NOT_LOOKED, UNREADY, READY };

struct sensor {
    const struct chip *chip;
    uint8_t address;
    enum step step;
    bool bus;               // the bus voltage is to be read, not the shunt
    bool round_done;        // its shunt was read in this round
    bool shunt_taken;       // a shunt reading waits for its bus voltage
    uint8_t selected;       // register its pointer is at
    uint8_t attempts;
    bool flagged;           // new readings are known by the ready flag, not by time
    enum look look;         // what its flag showed since the last reading
    uint8_t until_bus;      // shunt readings before the bus voltage is read
    uint8_t divisor;
    uint16_t looked;        // when the flag was not up
    uint16_t lag;           // ticks from a conversion's end to its reading
    uint32_t since;         // the last reading, or the configuration, was then
    uint16_t interval;      // ticks of the slowest round of conversions
    uint16_t age;           // of a reading after so long, on average
    uint32_t limit;         // beyond the range is a shunt reading as large
    struct reading reading; // the latest
    uint16_t settings[2];   // configuration while the shunt, while the bus voltage is read
    struct samples samples;
};

static struct sensor sensors[WIRE_MOST_SENSORS];
static uint8_t count;
static bool closed;         // the next configuration begins a new set
static bool streaming;
static uint16_t present;
static struct sensor *asked;    // the one a transfer is under way with
static struct sensor *complete; // the one whose reading is to be added to its samples
static uint8_t turn;
static uint8_t round_left;      // sensors whose shunt is still to be read in this round

static uint16_t word(const uint8_t *bytes) { return bytes[0] | (uint16_t)bytes[1] << 8; }

static void write_register(uint8_t address, uint8_t which, uint16_t value) {
    twi_out[0] = which;
    twi_out[1] = value >> 8;
    twi_out[2] = value;
    twi_transfer(address, 3, 0);
}

static void read_register(uint8_t address, uint8_t which, uint8_t bytes) {
    twi_out[0] = which;
    twi_transfer(address, 1, bytes);
}

static uint16_t received(void) { return (uint16_t)twi_in[0] << 8 | twi_in[1]; }

static uint8_t error_of(enum twi_state how) {
    return how == TWI_NACK ? WIRE_ERROR_SENSOR_SILENT : WIRE_ERROR_I2C_STUCK;
}

// Waits for a transfer made outside the stream; three attempts would not tell more of a bus that is set up at leisure.
static uint8_t settled(void) {
    enum twi_state how = twi_finish();
    return how == TWI_DONE ? 0 : error_of(how);
}

uint16_t sensors_survey(void) {
    if (streaming) return present;
    present = 0;
    for (uint8_t i = 0; i < ADDRESSES; i++) {
        twi_transfer(FIRST_ADDRESS + i, 0, 0);
        enum twi_state how = twi_finish();
        if (how == TWI_STUCK) break;
        if (how == TWI_DONE) present |= 1U << i;
    }
    return present;
}

static uint8_t set_up(uint8_t address, uint8_t which, uint8_t *value) {
    uint8_t error;
    write_register(address, which, word(value));
    if ((error = settled())) return error;
    read_register(address, which, 2);
    if ((error = settled())) return error;
    value[0] = twi_in[1];
    value[1] = twi_in[0];
    return 0;
}

static struct sensor *place_for(uint8_t address) {
    for (uint8_t i = 0; i < count; i++)
        if (sensors[i].address == address) return &sensors[i];
    return count < WIRE_MOST_SENSORS ? &sensors[count] : NULL;
}

uint8_t sensors_configure(uint8_t *asked_for) {
    uint8_t address = asked_for[ADDRESS], error;
    const struct chip *chip = chip_of(asked_for[MODEL]);
    bool known = address >= FIRST_ADDRESS && address < FIRST_ADDRESS + ADDRESSES;
    if (!chip || !known || !asked_for[DIVISOR] || asked_for[FLAGGED] > 1) return WIRE_ERROR_MALFORMED;
    if (closed) {
        closed = false;
        count = 0;
    }
    struct sensor *sensor = place_for(address);
    if (!sensor) return WIRE_ERROR_TOO_MANY_SENSORS;
    uint16_t interval = word(&asked_for[INTERVAL]);
    *sensor = (struct sensor){
        .chip = chip,
        .address = address,
        .flagged = asked_for[FLAGGED],
        .settings = {word(&asked_for[REGISTER]), word(&asked_for[BUS_REGISTER])},
        .divisor = asked_for[DIVISOR],
        .interval = interval,
        .age = interval * 5UL / 11,     // half of the nominal round, which the slowest is 1.1 times
        .limit = chip_limit(chip, word(&asked_for[REGISTER])),
    };
    if (chip->range != NO_REGISTER && (error = set_up(address, chip->range, &asked_for[RANGE]))) return error;
    if ((error = set_up(address, chip->configuration, &asked_for[REGISTER]))) return error;
    if (sensor == &sensors[count]) count++;
    return 0;
}

bool sensors_as_configured(void) {
    for (uint8_t i = 0; i < count; i++) {
        const struct sensor *sensor = &sensors[i];
        read_register(sensor->address, sensor->chip->configuration, 2);
        if (settled() || received() != sensor->settings[0]) return false;
    }
    return true;
}

static void begin_round(void) {
    round_left = 0;
    for (uint8_t i = 0; i < count; i++) {
        if (sensors[i].step == REST) continue;
        sensors[i].round_done = false;
        round_left++;
    }
}

static void end_turn(struct sensor *sensor) {
    if (count == 1 || sensor->round_done) return;   // one alone waits for nobody
    sensor->round_done = true;
    if (--round_left == 0) begin_round();
}

bool sensors_streaming(void) { return streaming; }

void sensors_start(void) {
    frames_divide(count);
    for (uint8_t i = 0; i < count; i++) {
        struct sensor *sensor = &sensors[i];
        samples_begin(&sensor->samples, sensor->address, sensor->chip->wide, sensor->divisor == 1);
        sensor->step = SWITCH;
        sensor->bus = true;
        sensor->attempts = 0;
        sensor->selected = NO_REGISTER;
        sensor->shunt_taken = false;
    }
    begin_round();
    turn = 0;
    asked = complete = NULL;
    streaming = true;
}

void sensors_stop(void) {
    twi_finish();
    for (uint8_t i = 0; streaming && i < count; i++) {
        // Left as it was configured, whichever reading its converter was set to.
        write_register(sensors[i].address, sensors[i].chip->configuration, sensors[i].settings[0]);
        twi_finish();
        samples_flush(&sensors[i].samples);
    }
    streaming = false;
    closed = true;
}

static void fetch(struct sensor *sensor, uint8_t which, uint8_t bytes) {
    twi_out[0] = which;
    twi_transfer(sensor->address, sensor->selected != which, bytes);
    sensor->selected = which;
}

static uint8_t sought(const struct sensor *sensor) { return sensor->bus ? sensor->chip->bus : sensor->chip->shunt; }

static bool passed(const struct sensor *sensor, uint32_t now, uint16_t ticks) { return now - sensor->since >= ticks; }

// Begin what is due with this sensor, if anything is.
static bool ask(struct sensor *sensor, uint32_t now) {
    switch (sensor->step) {
    case SWITCH:
        write_register(sensor->address, sensor->chip->configuration, sensor->settings[sensor->bus]);
        sensor->selected = sensor->chip->configuration;
        return true;
    case AWAIT:
        if (sensor->round_done && !sensor->bus) return false;
        if (sensor->flagged) {
            // The quickest round takes 9/11 of the slowest; looking earlier is of no use, later may be too late.
            uint16_t first = sensor->interval - sensor->interval / 4;
            if (!passed(sensor, now, first > sensor->lag ? first - sensor->lag : 0)) return false;
            fetch(sensor, sensor->chip->flags, 2);
            return true;
        }
        {
            // The register is read TWI_LEAD_TICKS after the transfer begins; a tick of it may be lost to rounding.
            uint8_t lead = sensor->selected == sought(sensor) ? TWI_LEAD_TICKS_READ : TWI_LEAD_TICKS_SELECT;
            if (sensor->interval >= lead && !passed(sensor, now, sensor->interval - lead + 1)) return false;
        }
        sensor->step = READ;
        // fall through
    case READ:
        fetch(sensor, sought(sensor), sensor->chip->wide ? 3 : 2);
        return true;
    case CLEAR:
        fetch(sensor, sensor->chip->clear, 2);
        return true;
    default:
        return false;
    }
}

static void await(struct sensor *sensor, bool bus, enum step step) {
    sensor->bus = bus;
    sensor->step = step;
    sensor->look = NOT_LOOKED;
}

// A reading is new where its flag rose while it was watched; where it had risen before, or there is none, by time.
static void take_flags(struct sensor *sensor, uint32_t tick) {
    bool ready = twi_in[1] & sensor->chip->ready;
    if (!ready && sensor->look != READY) {
        sensor->look = UNREADY;
        sensor->looked = tick;
        return;
    }
    if (sensor->look == UNREADY) {
        sensor->reading.tick = tick - (uint16_t)((uint16_t)tick - sensor->looked) / 2;
    } else if (passed(sensor, tick, sensor->interval)) {
        sensor->reading.tick = tick;
    } else {
        sensor->look = READY;
        return;
    }
    sensor->step = READ;
}

// Right-aligned.
static uint32_t register_read(const struct chip *chip) {
    if (!chip->wide) return received();
    return ((uint32_t)twi_in[0] << 16 | (uint32_t)twi_in[1] << 8 | twi_in[2]) >> 4;
}

// Both registers of a converter that alternates by itself are read one after the other; else it is switched over.
static bool alternates(const struct sensor *sensor) { return sensor->settings[0] == sensor->settings[1]; }

static void await_shunt(struct sensor *sensor) {
    await(sensor, false, sensor->flagged && sensor->chip->clear != NO_REGISTER ? CLEAR : AWAIT);
}

static void take_shunt(struct sensor *sensor, uint32_t tick) {
    struct reading *reading = &sensor->reading;
    if (sensor->flagged) {
        sensor->lag = tick - reading->tick;
        if (alternates(sensor)) reading->tick -= sensor->age;   // the flag rose with the bus conversion's end
    } else {
        reading->tick = tick - sensor->age;
    }
    reading->mark = twi_mark;
    reading->shunt = register_read(sensor->chip);
    sensor->since = tick;
    if (sensor->divisor > 1) complete = sensor;
    if (--sensor->until_bus) await_shunt(sensor);
    else await(sensor, true, alternates(sensor) ? READ : SWITCH);
    end_turn(sensor);
}

static void take_bus(struct sensor *sensor) {
    sensor->reading.bus = register_read(sensor->chip);
    if (sensor->divisor == 1 && sensor->shunt_taken) complete = sensor;
    sensor->shunt_taken = true;
    sensor->until_bus = sensor->divisor;
    if (alternates(sensor)) await_shunt(sensor);
    else await(sensor, false, SWITCH);
}

static void answered(struct sensor *sensor, uint32_t now) {
    uint32_t tick = ticks_at(now, twi_asked);
    sensor->attempts = 0;
    switch (sensor->step) {
    case SWITCH:
        sensor->since = now;
        sensor->lag = 0;
        await(sensor, sensor->bus, AWAIT);
        break;
    case AWAIT:
        take_flags(sensor, tick);
        break;
    case READ:
        if (sensor->bus) take_bus(sensor);
        else take_shunt(sensor, tick);
        break;
    default:    // CLEAR
        sensor->step = AWAIT;
    }
}

static void failed(struct sensor *sensor, enum twi_state how) {
    sensor->selected = NO_REGISTER;
    if (++sensor->attempts < ATTEMPTS) return;
    if (!frames_report(error_of(how), sensor->address)) {
        sensor->attempts--;
        return;
    }
    sensor->step = REST;
    end_turn(sensor);
}

static void store(struct sensor *sensor) {
    struct reading *reading = &sensor->reading;
    reading->overflowed = chip_overflowed(sensor->chip, sensor->limit, reading->shunt);
    samples_add(&sensor->samples, reading);
}

static bool ask_next(uint32_t now) {
    for (uint8_t i = 0; i < count; i++) {
        struct sensor *sensor = &sensors[turn];
        turn = turn + 1 < count ? turn + 1 : 0;
        if (!ask(sensor, now)) continue;
        asked = sensor;
        return true;
    }
    return false;
}

void sensors_step(void) {
    if (!streaming) return;
    struct sensor *sensor = asked;
    uint32_t now;
    if (sensor) {
        enum twi_state how = twi_state();
        if (how == TWI_BUSY) return;
        now = ticks_now();
        if (how == TWI_DONE) answered(sensor, now);
        else failed(sensor, how);
        asked = NULL;
    } else {
        now = ticks_now();
    }
    // A reading is stored while the bus works on: for that the next one may be waited for a little.
    uint8_t looks = complete ? LOOKS : 1;
    while (!ask_next(now) && --looks) now = ticks_now();
    if (complete) store(complete);
    complete = NULL;
    samples_hurry(&sensors[turn].samples, now);
}
