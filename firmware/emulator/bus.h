// The microcontroller's I2C master and the wires behind it, in place of simavr's own, whose timing is wrong: a bit
// takes 16 + 2 TWBR 4^TWPS cycles; a byte is 9 bits, a start or a stop one.
#pragma once

#include <stdint.h>

#include <sim_avr.h>

#include "sensor.h"

#define MOST_SENSORS 16

struct bus;

struct bus *bus_attach(avr_t *avr, struct sensor *sensors, int count);

// Somebody holds SDA low: until the clock has gone round 9 times, or for good.
void bus_stick(struct bus *bus, uint64_t until_cycle, int freed_by_clocks);
