#include "twi.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/delay.h>
#include <util/twi.h>

#include "pins.h"
#include "ticks.h"

#define BIT_RATE 400000UL
#define LIMIT_TICKS (2 * TICKS_PER_MS)
#define FREEING_CLOCKS 9    // a device that was cut off in a byte lets go after the rest of it

uint8_t twi_out[TWI_MOST_OUT];
uint8_t twi_in[TWI_MOST_IN];
volatile uint16_t twi_asked;
volatile bool twi_mark;

static volatile uint8_t state = TWI_DONE;
static uint8_t call;    // the device's address, shifted
static uint8_t out_left, in_left;
static uint8_t *place;
static uint16_t begun;

#define GO (_BV(TWINT) | _BV(TWEN) | _BV(TWIE))

void twi_begin(void) {
    TWBR = (F_CPU / BIT_RATE - 16) / 2;     // with prescaler 1, whose bits in TWSR are 0
    TWCR = _BV(TWEN);
}

void twi_transfer(uint8_t address, uint8_t out, uint8_t in) {
    call = address << 1;
    out_left = out;
    in_left = in;
    place = twi_out;
    if (!out && in) call |= TW_READ;
    begun = ticks_count();
    state = TWI_BUSY;
    TWCR = GO | _BV(TWSTA);
}

static inline void end(enum twi_state how) {
    state = how;
    TWCR = _BV(TWINT) | _BV(TWEN) | _BV(TWSTO);
}

// While it runs the bus stands still: what a reading takes comes first.
ISR(TWI_vect) {
    uint8_t status = TWSR;
    if (status == TW_MR_DATA_ACK) {
        *place++ = TWDR;
        TWCR = --in_left > 1 ? GO | _BV(TWEA) : GO;
    } else if (status == TW_MR_DATA_NACK) {
        *place = TWDR;
        end(TWI_DONE);
    } else if (status == TW_MR_SLA_ACK) {
        TWCR = in_left > 1 ? GO | _BV(TWEA) : GO;
        twi_asked = TCNT1;
        twi_mark = MARK_PINS & _BV(MARK_BIT);
        place = twi_in;
    } else if (status == TW_START || status == TW_REP_START) {
        TWDR = call;
        TWCR = GO;
    } else if (status == TW_MT_SLA_ACK || status == TW_MT_DATA_ACK) {
        if (out_left) {
            out_left--;
            TWDR = *place++;
            TWCR = GO;
        } else if (in_left) {
            call |= TW_READ;
            TWCR = GO | _BV(TWSTA);
        } else {
            end(TWI_DONE);
        }
    } else if (status == TW_MT_SLA_NACK || status == TW_MT_DATA_NACK || status == TW_MR_SLA_NACK) {
        end(TWI_NACK);
    } else {    // bus error or lost arbitration: there is no other master
        end(TWI_STUCK);
    }
}

static void free_bus(void) {
    TWCR = 0;
    for (uint8_t i = 0; i < FREEING_CLOCKS; i++) {
        SCL_SDA_DIRECTIONS |= _BV(SCL_BIT);
        _delay_us(2);
        SCL_SDA_DIRECTIONS &= ~_BV(SCL_BIT);
        _delay_us(2);
    }
    TWCR = _BV(TWEN);
}

enum twi_state twi_state(void) {
    if (state == TWI_BUSY && (uint16_t)(ticks_count() - begun) > LIMIT_TICKS) {
        free_bus();
        state = TWI_STUCK;
    }
    return state;
}

enum twi_state twi_finish(void) {
    while (twi_state() == TWI_BUSY) {}
    return state;
}

bool twi_lines_high(void) { return (SCL_SDA_PINS & (_BV(SCL_BIT) | _BV(SDA_BIT))) == (_BV(SCL_BIT) | _BV(SDA_BIT)); }
