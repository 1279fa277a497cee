#include "bus.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <avr_ioport.h>
#include <avr_twi.h>
#include <sim_interrupts.h>
#include <sim_io.h>

#define PINC 0x26   // and DDRC behind it
#define TWBR 0xB8
#define TWSR 0xB9
#define TWDR 0xBB
#define TWCR 0xBC
#define TWINT 0x80
#define TWEA 0x40
#define TWSTA 0x20
#define TWSTO 0x10
#define TWEN 0x04

// Status codes of a master, ATmega328P datasheet, tables 21-3 and 21-4.
enum {
    STARTED = 0x08, STARTED_AGAIN = 0x10, CALLED_TO_WRITE = 0x18, NOT_CALLED_TO_WRITE = 0x20, WRITTEN = 0x28,
    NOT_WRITTEN = 0x30, CALLED_TO_READ = 0x40, NOT_CALLED_TO_READ = 0x48, READ_ACK = 0x50, READ_NACK = 0x58,
    NOTHING = 0xF8,
};

enum phase { IDLE, CALLING, WRITING, READING };

#define SDA 4
#define SCL 5

struct bus {
    avr_io_t io;            // for its reset
    avr_t *avr;
    avr_twi_t *twi;         // simavr's, for its interrupt vector
    struct sensor *sensors;
    int count;
    struct sensor *called;
    enum phase phase;
    uint8_t outcome;        // status when what is under way is done
    uint64_t free_at;       // when the last stop is over
    uint64_t stuck_until;
    int clocks_to_free;     // 0: clocks do not help
};

static uint64_t bits(const struct bus *bus, int count) {
    const uint8_t *data = bus->avr->data;
    return (uint64_t)count * (16u + 2u * data[TWBR] * (1u << 2 * (data[TWSR] & 3)));
}

static avr_cycle_count_t done(avr_t *avr, avr_cycle_count_t when, void *parameter) {
    struct bus *bus = parameter;
    (void)when;
    avr->data[TWSR] = (uint8_t)((avr->data[TWSR] & 3) | bus->outcome);
    avr_raise_interrupt(avr, &bus->twi->twi);
    return 0;
}

static void work(struct bus *bus, uint8_t outcome, uint64_t cycles) {
    bus->outcome = outcome;
    avr_cycle_timer_register(bus->avr, cycles, done, bus);
}

static void start(struct bus *bus) {
    uint64_t now = bus->avr->cycle;
    if (now < bus->stuck_until) return;     // it waits for a free bus
    uint64_t wait = bus->free_at > now ? bus->free_at - now : 0;
    work(bus, bus->phase == IDLE ? STARTED : STARTED_AGAIN, wait + bits(bus, 1));
    bus->phase = CALLING;
}

static void stop(struct bus *bus) {
    bus->phase = IDLE;
    bus->called = NULL;
    bus->free_at = bus->avr->cycle + bits(bus, 1);
    bus->avr->data[TWSR] = (uint8_t)((bus->avr->data[TWSR] & 3) | NOTHING);
}

static void call(struct bus *bus, uint8_t byte, uint64_t end) {
    bool reading = byte & 1;
    bus->called = NULL;
    for (int i = 0; i < bus->count; i++)
        if (bus->sensors[i].address == byte >> 1 && sensor_called(&bus->sensors[i], reading, end))
            bus->called = &bus->sensors[i];
    if (reading) bus->outcome = bus->called ? CALLED_TO_READ : NOT_CALLED_TO_READ;
    else bus->outcome = bus->called ? CALLED_TO_WRITE : NOT_CALLED_TO_WRITE;
    bus->phase = reading ? READING : WRITING;
}

static void transfer(struct bus *bus, bool acknowledge) {
    uint8_t *data = bus->avr->data;
    uint64_t length = bits(bus, 9), end = bus->avr->cycle + length;
    switch (bus->phase) {
    case CALLING:
        call(bus, data[TWDR], end);
        break;
    case WRITING:
        if (bus->called) sensor_write(bus->called, data[TWDR], end);
        bus->outcome = bus->called ? WRITTEN : NOT_WRITTEN;
        break;
    case READING:
        data[TWDR] = bus->called ? sensor_read(bus->called) : 0xFF;
        bus->outcome = acknowledge ? READ_ACK : READ_NACK;
        break;
    case IDLE:
        return;
    }
    work(bus, bus->outcome, length);
}

static void control_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *parameter) {
    struct bus *bus = parameter;
    bool go = value & TWINT, enabled = value & TWEN;
    uint8_t flag = go ? 0 : avr->data[address] & TWINT;
    avr->data[address] = (uint8_t)((value & ~(TWINT | TWSTO)) | flag);
    if (!enabled) {
        avr_cycle_timer_cancel(avr, done, bus);
        bus->phase = IDLE;
        return;
    }
    if (!go) return;
    avr_clear_interrupt(avr, &bus->twi->twi);
    avr_regbit_clear(avr, bus->twi->twi.raised);
    if (value & TWSTO) stop(bus);
    if (value & TWSTA) start(bus);
    else if (!(value & TWSTO)) transfer(bus, value & TWEA);
}

// SDA and SCL as the port's pins show them: pulled up, unless somebody holds them low.
static uint8_t pins_read(avr_t *avr, avr_io_addr_t address, void *parameter) {
    struct bus *bus = parameter;
    bool stuck = avr->cycle < bus->stuck_until;
    uint8_t pulled_up = (uint8_t)(1 << SCL | (stuck ? 0 : 1 << SDA)), driven = avr->data[address + 1];
    return (uint8_t)((avr->data[address] & ~(1 << SCL | 1 << SDA)) | (pulled_up & ~driven));
}

// The firmware frees the bus by driving SCL itself: each time it lets go counts.
static void clock_direction(struct avr_irq_t *irq, uint32_t value, void *parameter) {
    struct bus *bus = parameter;
    bool let_go = irq->value & 1 << SCL && !(value & 1 << SCL);
    if (!let_go || !bus->clocks_to_free) return;
    if (--bus->clocks_to_free == 0) bus->stuck_until = 0;
}

void bus_stick(struct bus *bus, uint64_t until_cycle, int freed_by_clocks) {
    bus->stuck_until = until_cycle;
    bus->clocks_to_free = freed_by_clocks;
    avr_cycle_timer_cancel(bus->avr, done, bus);    // what is under way never ends
}

static void reset(avr_io_t *io) {
    struct bus *bus = (struct bus *)io;
    bus->phase = IDLE;
    bus->called = NULL;
}

struct bus *bus_attach(avr_t *avr, struct sensor *sensors, int count) {
    struct bus *bus = calloc(1, sizeof *bus);
    if (!bus) err(1, "bus");
    bus->io.kind = "bus";
    bus->io.reset = reset;
    bus->avr = avr;
    bus->sensors = sensors;
    bus->count = count;
    for (avr_io_t *io = avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, "twi")) bus->twi = (avr_twi_t *)io;
    if (!bus->twi) errx(1, "this simavr's microcontroller has no TWI");
    bus->twi->twi.raise_sticky = 1;
    avr->io[AVR_DATA_TO_IO(TWCR)].w.c = control_written;
    avr->io[AVR_DATA_TO_IO(TWCR)].w.param = bus;
    avr->io[AVR_DATA_TO_IO(PINC)].r.c = pins_read;
    avr->io[AVR_DATA_TO_IO(PINC)].r.param = bus;
    // The data register is memory: its reads and writes need nobody.
    memset(&avr->io[AVR_DATA_TO_IO(TWDR)].r, 0, sizeof avr->io[0].r);
    memset(&avr->io[AVR_DATA_TO_IO(TWDR)].w, 0, sizeof avr->io[0].w);
    avr_register_io(avr, &bus->io);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('C'), IOPORT_IRQ_DIRECTION_ALL), clock_direction,
                            bus);
    return bus;
}
