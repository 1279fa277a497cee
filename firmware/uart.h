// The serial line, driven by interrupts: bytes in with the moment they came, whole frames out with their CRC.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// A frame to send. Its CRC goes behind `length` bytes: there must be room.
struct frame {
    volatile uint8_t on_its_way;
    uint8_t length;
    uint8_t bytes[];
};

void uart_begin(void);

// The next byte from the controller, and timer 1's count when it came; false when there is none.
bool uart_read(uint8_t *byte, uint16_t *came);
bool uart_heard_nothing(void);

// How many bytes from the controller were lost since the last call, 255 for more.
uint8_t uart_lost(void);

// Send it, behind those before it; its memory is the line's until it is no longer `on_its_way`.
void uart_send(struct frame *frame);

// CRC-16/XMODEM of what went before and one more byte.
uint16_t uart_crc(uint16_t crc, uint8_t byte);
