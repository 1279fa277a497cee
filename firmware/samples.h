// A sensor's readings on their way into frames.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "uart.h"

struct samples {
    uint8_t address;
    bool wide;      // registers of 24 bits instead of 16
    bool with_bus;  // each sample brings its bus voltage
    uint32_t index; // of the next sample
    uint32_t first; // tick of the open frame's first sample
    uint16_t last;  // of its latest one
    uint8_t *place; // where the next goes
    uint8_t count;
    uint8_t lost;   // since the last frame, 255 for more
    struct frame *open;
};

struct reading {
    uint32_t tick;
    bool mark;
    bool overflowed;
    uint32_t shunt, bus;    // registers, right-aligned
};

void samples_begin(struct samples *samples, uint8_t address, bool wide, bool with_bus);

// Add one to the open frame, or begin one; it is lost where all memory waits for the line.
void samples_add(struct samples *samples, const struct reading *reading);

// Send the open frame if it has waited long enough.
void samples_hurry(struct samples *samples, uint32_t now);

// Send it whatever it holds.
void samples_flush(struct samples *samples);
