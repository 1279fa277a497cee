// I2C master at 400 kHz, driven by interrupts. One transfer at a time; a transfer ends, or is ended, within 2 ms.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum twi_state { TWI_BUSY, TWI_DONE, TWI_NACK, TWI_STUCK };

#define TWI_MOST_OUT 3
#define TWI_MOST_IN 3

// From the start of a transfer to the moment the device is asked for its data: at least so many whole ticks.
#define TWI_LEAD_TICKS_READ 6       // start, address: 25 us
#define TWI_LEAD_TICKS_SELECT 18    // start, address, pointer, start, address: 72.5 us

void twi_begin(void);

// Write `out` bytes of twi_out to the device, then read `in` bytes to twi_in; with neither, only call it.
void twi_transfer(uint8_t address, uint8_t out, uint8_t in);

// How the last transfer goes. What takes too long is ended here, and the bus freed as far as clocking it can.
enum twi_state twi_state(void);

// The same, but waits for the end.
enum twi_state twi_finish(void);

// Whether nobody holds either line low.
bool twi_lines_high(void);

extern uint8_t twi_out[TWI_MOST_OUT];
extern uint8_t twi_in[TWI_MOST_IN];

// When the device was asked for the data last read (count of timer 1), and the marker input's level then.
extern volatile uint16_t twi_asked;
extern volatile bool twi_mark;
