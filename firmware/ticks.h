// The bridge's clock: 32 bits, 250,000 ticks a second, counted from the reset.
#pragma once

#include <stdint.h>

#include "wire.h"

#define TICKS_PER_MS (TICKS_PER_SECOND / 1000UL)

void ticks_begin(void);

// The present.
uint32_t ticks_now(void);

// Its lower half.
uint16_t ticks_count(void);

// The moment not long before `now` at which the hardware's counter stood at `count`.
uint32_t ticks_at(uint32_t now, uint16_t count);
