// The sensors on the bus: finding them, setting them up, and reading them in rounds: each sensor once,
// and each time a conversion that was not read before.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Call every address; bit i of the result: a device answers at 0x40 + i. While streaming, what was found last.
uint16_t sensors_survey(void);

// Carry out a configuration of the wire protocol and read it back into it. The first one after sensors_stop() begins a
// new set. Returns 0 or the protocol's error code.
uint8_t sensors_configure(uint8_t *configuration);

// Whether every sensor still has the configuration it was given.
bool sensors_as_configured(void);

void sensors_start(void);
void sensors_stop(void);
bool sensors_streaming(void);

// What is to be done now; returns soon.
void sensors_step(void);
