#include "ticks.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#define PRESCALER 64

_Static_assert(F_CPU / PRESCALER == TICKS_PER_SECOND, "timer 1 makes the ticks");

static volatile uint16_t wraps;

ISR(TIMER1_OVF_vect) { wraps++; }

void ticks_begin(void) {
    TCCR1B = _BV(CS11) | _BV(CS10);
    TIMSK1 = _BV(TOIE1);
}

uint32_t ticks_now(void) {
    union {
        struct {
            uint16_t low, high;
        };
        uint32_t whole;
    } now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        now.low = TCNT1;
        now.high = wraps;
        // A wrap whose interrupt has not run yet; it was before `low` was read only where that is small.
        if ((TIFR1 & _BV(TOV1)) && now.low < 0x8000) now.high++;
    }
    return now.whole;
}

uint16_t ticks_count(void) {
    uint16_t count;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { count = TCNT1; }
    return count;
}

uint32_t ticks_at(uint32_t now, uint16_t count) { return now - (uint16_t)((uint16_t)now - count); }
