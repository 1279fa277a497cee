#include "selftest.h"

#include <avr/io.h>
#include <util/delay.h>

#include "frames.h"
#include "sensors.h"
#include "twi.h"

#define REFERENCE_MV 1100UL
#define REFERENCE_MUX (_BV(MUX3) | _BV(MUX2) | _BV(MUX1))

uint8_t selftest_run(void) {
    uint8_t result = 0;
    if (!twi_lines_high()) result |= SELFTEST_BUS_STUCK;
    if (!sensors_survey()) result |= SELFTEST_NO_SENSOR;
    if (!sensors_as_configured()) result |= SELFTEST_READ_BACK;
    if (!frames_memory_sound()) result |= SELFTEST_MEMORY;
    return result;
}

uint16_t selftest_supply_mv(void) {
    ADMUX = _BV(REFS0) | REFERENCE_MUX;
    ADCSRA = _BV(ADEN) | _BV(ADPS2) | _BV(ADPS1) | _BV(ADPS0);
    _delay_ms(2);   // the reference settles
    ADCSRA |= _BV(ADSC);
    loop_until_bit_is_clear(ADCSRA, ADSC);  // 25 of the converter's clocks, 0.2 ms
    uint16_t counts = ADC;
    ADCSRA = 0;
    return counts ? REFERENCE_MV * 1024 / counts : 0;
}
