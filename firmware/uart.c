#include "uart.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <util/atomic.h>

#include "frames.h"
#include "uart_transmit.h"
#include "wire.h"

#define HEARD 64    // a power of two
#define CRC_BYTES 2

_Static_assert(FRAMES_MOST < 256 && (FRAMES_MOST & (FRAMES_MOST - 1)) == 0, "a ring");

static volatile uint8_t heard_head, heard_tail, lost;
static uint8_t heard[HEARD];
static uint16_t heard_at[HEARD];

static struct frame *queue[FRAMES_MOST];
static volatile uint8_t queue_head, queue_tail;

uint8_t *uart_next;     // byte to send, for uart_transmit.S

void uart_begin(void) {
    UCSR0A = _BV(U2X0);
    UBRR0 = (F_CPU + 4UL * BAUD) / (8UL * BAUD) - 1;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
}

uint16_t uart_crc(uint16_t crc, uint8_t byte) {
    uint8_t row = crc >> 8 ^ byte;
    uint8_t high = pgm_read_byte(&uart_crc_high[row]) ^ (uint8_t)crc;
    return (uint16_t)high << 8 | pgm_read_byte(&uart_crc_low[row]);
}

static inline void lose(void) {
    if (lost != 255) lost++;
}

ISR(USART_RX_vect) {
    if (UCSR0A & _BV(DOR0)) lose();
    uint8_t head = heard_head, byte = UDR0, behind = (head + 1) % HEARD;
    if (behind == heard_tail) {
        lose();
        return;
    }
    heard[head] = byte;
    heard_at[head] = TCNT1;
    heard_head = behind;
}

bool uart_heard_nothing(void) { return heard_head == heard_tail; }

bool uart_read(uint8_t *byte, uint16_t *came) {
    uint8_t tail = heard_tail;
    if (tail == heard_head) return false;
    *byte = heard[tail];
    *came = heard_at[tail];
    heard_tail = (tail + 1) % HEARD;
    return true;
}

uint8_t uart_lost(void) {
    uint8_t count;
    if (!lost) return 0;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        count = lost;
        lost = 0;
    }
    return count;
}

void uart_send(struct frame *frame) {
    uint8_t head = queue_head;
    frame->on_its_way = 1;
    queue[head] = frame;
    queue_head = (head + 1) % FRAMES_MOST;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { UCSR0B |= _BV(UDRIE0); }
}

// What uart_transmit.S does not do: the CRC behind a frame, and the next frame. Called by it, like an interrupt.
ISR(UART_FRAME_vect) {
    if (UART_LEFT == 2) {
        uart_next[0] = UART_CRC_LOW;
        uart_next[1] = UART_CRC_HIGH;
    } else if (UART_LEFT == 0) {
        if (queue_tail == queue_head) {
            UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
            return;
        }
        uart_next = queue[queue_tail]->bytes;
        UART_LEFT = queue[queue_tail]->length + CRC_BYTES;
        UART_CRC_LOW = 0;
        UART_CRC_HIGH = WIRE_START;     // which the start byte, no part of the CRC, turns into 0
    }
    uint8_t byte = *uart_next++;
    UDR0 = byte;
    uint16_t crc = uart_crc((uint16_t)UART_CRC_HIGH << 8 | UART_CRC_LOW, byte);
    UART_CRC_LOW = crc;
    UART_CRC_HIGH = crc >> 8;
    if (--UART_LEFT == 0) {
        queue[queue_tail]->on_its_way = 0;
        queue_tail = (queue_tail + 1) % FRAMES_MOST;
    }
}
