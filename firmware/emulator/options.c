#include "options.h"

#include <err.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bridge-emulator --firmware ELF --supply FILE --supply-voltage V --shunt-ohm R --sensor CHIP@ADDRESS ...\n"
    "Runs the bridge's firmware with sensors on its I2C bus, its serial line at a pseudo-terminal.\n\n"
    "  --firmware ELF         what to run\n"
    "  --supply FILE          the board's power, as testbed.virtual.supply writes it\n"
    "  --supply-voltage V     what the board is fed with\n"
    "  --shunt-ohm R          of every sensor: they stand in one line\n"
    "  --sensor CHIP@ADDRESS  ina219, ina226 or ina228, at 0x40 to 0x4F; may be given often\n"
    "  --gain-error E, --bus-gain-error E, --offset-v V   how far the sensors are off\n"
    "  --noise-steps N        rms of the converters' noise, in their own steps (0.5)\n"
    "  --conversion-error E   of the conversion times, relative; drawn where not given, at most 0.1\n"
    "  --ready-cleared-by R   power or bus: what reading clears an INA219's ready flag; its datasheet names both\n"
    "  --drift-ppm D          how much the microcontroller's crystal gains on the host\n"
    "  --seed N               decides all that is random\n"
    "  --events FILE          write what really happens to FILE\n"
    "  --mark SECONDS         the marker input changes its level then; may be given often\n"
    "  --fault KIND@SECONDS[:AMOUNT]   nack (seconds) of the first sensor; SDA low: stuck (until clocked), short\n"
    "                         (seconds); lose, corrupt (bytes); drift (ppm); unplug, reset, hang\n"
    "  --when-full HOW        drop what nobody reads, as a UART does, or stall; by default drop, stepped: stall\n"
    "  --lag-ms L             how long bytes are under way each way; by then the board has written what it drew (6)\n"
    "  --stepped              take the time from stdin: 'advance TIME_NS', answered 'ok TIME_NS'; no lag\n";

static double number(const char *name, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end) errx(2, "--%s: %s is no number", name, text);
    return value;
}

static void add_sensor(struct options *options, const char *text) {
    const char *at = strchr(text, '@');
    char *end;
    unsigned long address = at ? strtoul(at + 1, &end, 0) : 0;
    if (!at || *end || address < 0x40 || address > 0x4F || options->sensor_count == 16)
        errx(2, "--sensor %s: write ina219@0x40, addresses to 0x4F, at most 16", text);
    for (size_t i = 0; i < sizeof chip_table / sizeof chip_table[0]; i++) {
        const char *name = chip_table[i].name;
        if (strlen(name) != (size_t)(at - text) || strncmp(name, text, strlen(name))) continue;
        options->sensors[options->sensor_count++] =
            (struct sensor){.chip = &chip_table[i], .address = (uint8_t)address};
        return;
    }
    errx(2, "--sensor %s: the chips are ina219, ina226 and ina228", text);
}

static void add_fault(struct options *options, const char *text) {
    static const char *const kinds[] = {
        [NACK] = "nack", [STUCK] = "stuck", [SHORT] = "short", [LOSE] = "lose", [CORRUPT] = "corrupt",
        [UNPLUG] = "unplug", [RESET] = "reset", [HANG] = "hang", [DRIFT] = "drift",
    };
    char kind[16];
    double seconds, amount = NAN;
    int fields = sscanf(text, "%15[a-z]@%lf:%lf", kind, &seconds, &amount);
    if (options->fault_count == MOST_TIMES) errx(2, "--fault: at most %d", MOST_TIMES);
    for (size_t i = 0; fields >= 2 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i])) continue;
        options->faults[options->fault_count++] =
            (struct fault){.kind = (enum fault_kind)i, .after_ns = llround(seconds * 1e9), .amount = amount};
        return;
    }
    errx(2, "--fault %s: write kind@seconds[:amount]; bridge-emulator --help names the kinds", text);
}

static bool either(const char *name, const char *text, const char *yes, const char *no) {
    if (strcmp(text, yes) && strcmp(text, no)) errx(2, "--%s: %s or %s, not %s", name, yes, no, text);
    return !strcmp(text, yes);
}

enum which_option {
    FIRMWARE, SUPPLY, SUPPLY_VOLTAGE, SHUNT_OHM, SENSOR, GAIN_ERROR, BUS_GAIN_ERROR, OFFSET_V, NOISE_STEPS,
    CONVERSION_ERROR, READY_CLEARED_BY, DRIFT_PPM, SEED, EVENTS, MARK, FAULT, WHEN_FULL, LAG_MS, STEPPED, HELP,
};

static const struct option_name {
    const char *name;
    int argument;
} names[] = {
    [FIRMWARE] = {"firmware", 1}, [SUPPLY] = {"supply", 1}, [SUPPLY_VOLTAGE] = {"supply-voltage", 1},
    [SHUNT_OHM] = {"shunt-ohm", 1}, [SENSOR] = {"sensor", 1}, [GAIN_ERROR] = {"gain-error", 1},
    [BUS_GAIN_ERROR] = {"bus-gain-error", 1}, [OFFSET_V] = {"offset-v", 1}, [NOISE_STEPS] = {"noise-steps", 1},
    [CONVERSION_ERROR] = {"conversion-error", 1}, [READY_CLEARED_BY] = {"ready-cleared-by", 1},
    [DRIFT_PPM] = {"drift-ppm", 1}, [SEED] = {"seed", 1}, [EVENTS] = {"events", 1}, [MARK] = {"mark", 1},
    [FAULT] = {"fault", 1}, [WHEN_FULL] = {"when-full", 1}, [LAG_MS] = {"lag-ms", 1}, [STEPPED] = {"stepped", 0},
    [HELP] = {"help", 0},
};

#define NAMES (sizeof names / sizeof names[0])

static void take(struct options *options, int which, const char *text) {
    const char *name = names[which].name;
    struct wiring *wiring = &options->wiring;
    switch ((enum which_option)which) {
    case FIRMWARE: options->firmware = text; break;
    case SUPPLY: options->supply = text; break;
    case SUPPLY_VOLTAGE: wiring->supply_v = number(name, text); break;
    case SHUNT_OHM: wiring->shunt_ohm = number(name, text); break;
    case SENSOR: add_sensor(options, text); break;
    case GAIN_ERROR: wiring->gain_error = number(name, text); break;
    case BUS_GAIN_ERROR: wiring->bus_gain_error = number(name, text); break;
    case OFFSET_V: wiring->offset_v = number(name, text); break;
    case NOISE_STEPS: wiring->noise_steps = number(name, text); break;
    case CONVERSION_ERROR: options->conversion_error = number(name, text); break;
    case READY_CLEARED_BY: wiring->ready_cleared_by_flags = either(name, text, "bus", "power"); break;
    case DRIFT_PPM: options->drift_ppm = number(name, text); break;
    case SEED: options->seed = (uint64_t)number(name, text); break;
    case EVENTS: options->events = text; break;
    case MARK:
        if (options->mark_count == MOST_TIMES) errx(2, "--mark: at most %d", MOST_TIMES);
        options->marks_ns[options->mark_count++] = llround(number(name, text) * 1e9);
        break;
    case FAULT: add_fault(options, text); break;
    case WHEN_FULL: options->drop = either(name, text, "drop", "stall"); break;
    case LAG_MS: options->lag_ms = number(name, text); break;
    case STEPPED:
        options->stepped = true;
        options->drop = false;
        options->lag_ms = 0;
        break;
    case HELP:
        fputs(usage, stdout);
        exit(0);
    }
}

void options_parse(struct options *options, int count, char **arguments) {
    struct option known[NAMES + 1] = {0};
    for (size_t i = 0; i < NAMES; i++)
        known[i] = (struct option){names[i].name, names[i].argument, NULL, (int)i + 256};
    *options = (struct options){.drop = true, .lag_ms = 6, .conversion_error = NAN, .wiring.noise_steps = 0.5};
    int which;
    while ((which = getopt_long(count, arguments, "", known, NULL)) != -1) {
        if (which < 256) exit(2);
        take(options, which - 256, optarg);
    }
    if (optind < count) errx(2, "%s: what is that? bridge-emulator --help tells what there is", arguments[optind]);
    if (!options->firmware || !options->supply || !options->wiring.supply_v || !options->wiring.shunt_ohm ||
        !options->sensor_count)
        errx(2, "--firmware, --supply, --supply-voltage, --shunt-ohm and --sensor are needed");
}
