// The whole bench: microcontroller, bus, sensors, line, port, and what happens to them and when.
#pragma once

#include "options.h"
#include "port.h"
#include "world.h"

struct machine;

// `begins_ns`: the host's time now.
struct machine *machine_build(const struct options *options, int64_t begins_ns);

struct port *machine_port(struct machine *machine);
const struct sensor *machine_sensors(const struct machine *machine);

// Bytes the controller wrote reach the microcontroller at `time_ns`, one after the other as the line has it.
void machine_hear(struct machine *machine, const uint8_t *bytes, size_t count, int64_t time_ns);

// Live until that time, and give the port what was sent.
void machine_live(struct machine *machine, int64_t time_ns);

// The last line of the event log.
void machine_end(struct machine *machine);
