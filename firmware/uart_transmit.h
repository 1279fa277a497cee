// What uart.c and uart_transmit.S share.
#pragma once

// Reached in one cycle: bytes left of the frame on its way, its CRC so far.
#define UART_LEFT GPIOR0
#define UART_CRC_LOW GPIOR1
#define UART_CRC_HIGH GPIOR2

// Where the rest is done, a function like that of an interrupt; gcc wants such a name.
#define UART_FRAME_vect __vector_frame

#ifndef __ASSEMBLER__
#include <stdint.h>

#include <avr/pgmspace.h>

// By the CRC's upper byte, exclusive-or'ed with the next one of the frame.
extern const uint8_t uart_crc_low[256] PROGMEM, uart_crc_high[256] PROGMEM;
#endif
