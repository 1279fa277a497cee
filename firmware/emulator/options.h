// What the command line asks for.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sensor.h"

enum fault_kind { NACK, STUCK, SHORT, LOSE, CORRUPT, UNPLUG, RESET, HANG, DRIFT };

struct fault {
    enum fault_kind kind;
    int64_t after_ns;       // since the program's start
    double amount;          // seconds, bytes or ppm, by kind; NaN where none is given
};

#define MOST_TIMES 64

struct options {
    const char *firmware, *supply, *events;
    bool stepped, drop;
    uint64_t seed;
    double drift_ppm, lag_ms, conversion_error;     // the last NaN where it is to be drawn
    struct wiring wiring;
    struct sensor sensors[16];
    int sensor_count;
    struct fault faults[MOST_TIMES];
    int fault_count;
    int64_t marks_ns[MOST_TIMES];   // the marker input changes its level at each; it begins high
    int mark_count;
};

// Ends the program with a message where they make no sense.
void options_parse(struct options *options, int count, char **arguments);
