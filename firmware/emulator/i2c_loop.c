// The emulator's self-test: an ATmega328P that does nothing but read an INA219's shunt and bus voltage at 0x40 over
// 400 kHz I2C, waiting in a loop, the pointer written each time. On a timing model that is right a pair takes about
// 4080 cycles.

#include <avr/io.h>
#include <util/twi.h>

static void act(uint8_t control) {
    TWCR = _BV(TWINT) | _BV(TWEN) | control;
    loop_until_bit_is_set(TWCR, TWINT);
}

static void put(uint8_t byte) {
    TWDR = byte;
    act(0);
}

static void read(uint8_t which) {
    act(_BV(TWSTA));
    put(0x40 << 1);
    put(which);
    act(_BV(TWSTA));
    put(0x40 << 1 | TW_READ);
    act(_BV(TWEA));
    act(0);
    TWCR = _BV(TWINT) | _BV(TWEN) | _BV(TWSTO);
}

int main(void) {
    TWBR = 12;
    TWCR = _BV(TWEN);
    for (;;) {
        read(1);
        read(2);
    }
}
