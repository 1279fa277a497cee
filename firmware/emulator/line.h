// The microcontroller's UART, in place of simavr's own, which sends 11 bits for 10, has no second buffer, and loses
// nothing: 8N1, a byte to send waits while one is on the wire, two received wait while a third comes in.
#pragma once

#include <stdint.h>

#include <sim_avr.h>

struct line;

// `sent` is called with every byte that left, when it has.
struct line *line_attach(avr_t *avr, void (*sent)(uint8_t byte, void *parameter), void *parameter);

// A byte has arrived from the wire.
void line_arrived(struct line *line, uint8_t byte);

// How long a byte takes.
uint64_t line_byte_cycles(const struct line *line);
