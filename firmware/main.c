#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>

#include "commands.h"
#include "frames.h"
#include "pins.h"
#include "sensors.h"
#include "ticks.h"
#include "twi.h"
#include "uart.h"
#include "wire.h"

// The cause of the reset, and the watchdog off before it strikes again.
static uint8_t reset_cause __attribute__((section(".noinit")));

void before_main(void) __attribute__((naked, used, section(".init3")));
void before_main(void) {
    reset_cause = MCUSR;
    MCUSR = 0;
    wdt_disable();
}

// Nothing to do until an interrupt: of the line, or the ticks'.
static void rest(void) {
    cli();
    if (commands_idle()) {
        sleep_enable();
        sei();      // takes effect after the next instruction: no interrupt slips in between
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

int main(void) {
    MARK_PULL_UPS |= _BV(MARK_BIT);
    ticks_begin();
    twi_begin();
    uart_begin();
    wdt_enable(WDTO_500MS);
    sei();
    frames_report(WIRE_ERROR_RESTARTED, reset_cause);
    for (;;) {
        wdt_reset();
        commands_step();
        sensors_step();
        uint8_t lost = uart_lost();
        if (lost) frames_report(WIRE_ERROR_LINE_OVERRUN, lost);
        if (!sensors_streaming()) rest();
    }
}
