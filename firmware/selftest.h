// What the bridge can tell of itself.
#pragma once

#include <stdint.h>

#define SELFTEST_BUS_STUCK 1
#define SELFTEST_NO_SENSOR 2
#define SELFTEST_READ_BACK 4
#define SELFTEST_MEMORY 8

// The result bits, 0 when all is well. Only while nothing streams.
uint8_t selftest_run(void);

// The microcontroller's supply, by its own 1.1 V reference (10 %). Waits 2 ms for it.
uint16_t selftest_supply_mv(void);
