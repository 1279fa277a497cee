#include "line.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <avr_uart.h>
#include <sim_interrupts.h>
#include <sim_io.h>

#include "events.h"

#define UCSRA 0xC0
#define UCSRB 0xC1
#define UBRRL 0xC4
#define UBRRH 0xC5
#define UDR 0xC6
#define RXC 0x80
#define TXC 0x40
#define UDRE 0x20
#define DOR 0x08
#define U2X 0x02
#define RXCIE 0x80
#define RXEN 0x10
#define UDRIE 0x20
#define BITS 10
#define HELD 3      // two in the buffer, one in the shift register

struct line {
    avr_io_t io;    // for its reset
    avr_t *avr;
    avr_uart_t *uart;   // simavr's, for its interrupt vectors
    void (*sent)(uint8_t, void *);
    void *parameter;
    uint8_t shifting, waiting;
    bool busy, full;
    uint8_t held[HELD];
    int held_bytes;
};

uint64_t line_byte_cycles(const struct line *line) {
    const uint8_t *data = line->avr->data;
    return BITS * (data[UCSRA] & U2X ? 8u : 16u) * (1u + data[UBRRL] + 256u * (data[UBRRH] & 15));
}

static void raise_as_level(struct line *line) {
    avr_t *avr = line->avr;
    if (avr->data[UCSRA] & UDRE && avr->data[UCSRB] & UDRIE) avr_raise_interrupt(avr, &line->uart->udrc);
    if (avr->data[UCSRA] & RXC && avr->data[UCSRB] & RXCIE) avr_raise_interrupt(avr, &line->uart->rxc);
}

static avr_cycle_count_t shifted(avr_t *avr, avr_cycle_count_t when, void *parameter) {
    struct line *line = parameter;
    line->sent(line->shifting, line->parameter);
    line->busy = line->full;
    if (!line->full) return 0;
    line->shifting = line->waiting;
    line->full = false;
    avr->data[UCSRA] |= UDRE;
    raise_as_level(line);
    return when + line_byte_cycles(line);
}

static void data_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *parameter) {
    struct line *line = parameter;
    (void)address;
    if (!line->busy) {
        line->busy = true;
        line->shifting = value;
        avr_cycle_timer_register(avr, line_byte_cycles(line), shifted, line);
    } else {
        line->waiting = value;
        line->full = true;
        avr->data[UCSRA] &= (uint8_t)~UDRE;
        avr_clear_interrupt(avr, &line->uart->udrc);
    }
    raise_as_level(line);
}

static uint8_t data_read(avr_t *avr, avr_io_addr_t address, void *parameter) {
    struct line *line = parameter;
    (void)address;
    uint8_t byte = line->held[0];
    if (line->held_bytes) memmove(line->held, line->held + 1, (size_t)--line->held_bytes);
    avr->data[UCSRA] &= (uint8_t)~DOR;
    if (!line->held_bytes) {
        avr->data[UCSRA] &= (uint8_t)~RXC;
        avr_clear_interrupt(avr, &line->uart->rxc);
    }
    raise_as_level(line);
    return byte;
}

void line_arrived(struct line *line, uint8_t byte) {
    avr_t *avr = line->avr;
    if (!(avr->data[UCSRB] & RXEN)) return;
    if (line->held_bytes == HELD) {
        line->held_bytes--;     // the one in the shift register is overwritten
        avr->data[UCSRA] |= DOR;
        event(avr->cycle, "overrun");
    }
    line->held[line->held_bytes++] = byte;
    avr->data[UCSRA] |= RXC;
    raise_as_level(line);
}

static void status_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *parameter) {
    (void)parameter;
    avr->data[address] = (uint8_t)((avr->data[address] & ~U2X) | (value & U2X));
}

static void control_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *parameter) {
    avr->data[address] = value;
    raise_as_level(parameter);
}

static void reset(avr_io_t *io) {
    struct line *line = (struct line *)io;
    line->busy = line->full = false;
    line->held_bytes = 0;
    line->avr->data[UCSRA] = UDRE;
}

struct line *line_attach(avr_t *avr, void (*sent)(uint8_t, void *), void *parameter) {
    struct line *line = calloc(1, sizeof *line);
    if (!line) err(1, "line");
    line->io.kind = "line";
    line->io.reset = reset;
    line->avr = avr;
    line->sent = sent;
    line->parameter = parameter;
    for (avr_io_t *io = avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, "uart")) line->uart = (avr_uart_t *)io;
    if (!line->uart) errx(1, "this simavr's microcontroller has no UART");
    line->uart->rxc.raise_sticky = line->uart->udrc.raise_sticky = 1;
    struct {
        int address;
        avr_io_read_t read;
        avr_io_write_t write;
    } registers[] = {
        {UDR, data_read, data_written},
        {UCSRA, NULL, status_written},
        {UCSRB, NULL, control_written},
        {UBRRL, NULL, NULL},
        {UBRRH, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++) {
        int at = AVR_DATA_TO_IO(registers[i].address);
        avr->io[at].r.c = registers[i].read;
        avr->io[at].w.c = registers[i].write;
        avr->io[at].r.param = avr->io[at].w.param = line;
    }
    avr_register_io(avr, &line->io);
    return line;
}
