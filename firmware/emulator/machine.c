#include "machine.h"

#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sim_avr.h>
#include <sim_elf.h>

#include "bus.h"
#include "draw.h"
#include "events.h"
#include "line.h"

#define PINB 0x23
#define MCUSR 0x54
#define POWER_ON 0x01
#define EXTERNAL 0x02
#define CHUNK_CYCLES 8000   // 0.5 ms
#define RAM_BEGINS 0x100
#define UNTOUCHED 0x5A
#define HEARD_BYTES 65536

static const uint8_t jump_to_itself[] = {0xFF, 0xCF};

struct machine {
    avr_io_t io;    // for its reset
    const struct options *options;
    int64_t began_ns;
    struct world world;
    struct supply *supply;
    struct sensor sensors[16];
    avr_t *avr;
    struct bus *bus;
    struct line *line;
    struct port port;
    int faults_done, marks_done;
    bool mark;
    struct {
        uint8_t byte;
        uint64_t at;
    } heard[HEARD_BYTES];   // a ring
    size_t heard_from, heard_count;
    uint64_t heard_until;
    bool hangs;
    uint32_t hangs_at;
    uint8_t overwritten[2];
};

struct port *machine_port(struct machine *machine) { return &machine->port; }

const struct sensor *machine_sensors(const struct machine *machine) { return machine->sensors; }

static void sent(uint8_t byte, void *parameter) { port_put(&((struct machine *)parameter)->port, byte); }

static void no_sleep(avr_t *avr, avr_cycle_count_t cycles) {
    (void)avr;
    (void)cycles;
}

static uint8_t mark_read(avr_t *avr, avr_io_addr_t address, void *parameter) {
    return (uint8_t)((avr->data[address] & ~1) | ((struct machine *)parameter)->mark);
}

static void after_reset(avr_io_t *io) {
    struct machine *machine = (struct machine *)io;
    if (machine->hangs) memcpy(machine->avr->flash + machine->hangs_at, machine->overwritten, 2);
    machine->hangs = false;
    event(machine->avr->cycle, "reset");
}

static int by_time(const void *one, const void *other) {
    int64_t a = ((const struct fault *)one)->after_ns, b = ((const struct fault *)other)->after_ns;
    return (a > b) - (a < b);
}

struct machine *machine_build(const struct options *asked, int64_t begins_ns) {
    struct machine *machine = calloc(1, sizeof *machine);
    struct options *options = malloc(sizeof *options);
    elf_firmware_t *firmware = calloc(1, sizeof *firmware);
    if (!machine || !options || !firmware) err(1, "the machine");
    *options = *asked;
    qsort(options->faults, (size_t)options->fault_count, sizeof options->faults[0], by_time);
    machine->options = options;
    machine->began_ns = machine->world.begins_ns = begins_ns;
    world_drift(&machine->world, 0, options->drift_ppm);
    if (options->events) events_open(options->events, &machine->world);
    machine->supply = supply_open(options->supply);
    for (int i = 0; i < options->sensor_count; i++) {
        struct sensor *sensor = &machine->sensors[i];
        *sensor = options->sensors[i];
        sensor->wiring = options->wiring;
        sensor->seed = draw_bits(options->seed, sensor->address);
        double drawn = fmax(-0.1, fmin(0.1, 0.03 * draw_normal(options->seed, sensor->address)));
        sensor->conversion_error = isnan(options->conversion_error) ? drawn : options->conversion_error;
        sensor->supply = machine->supply;
        sensor->world = &machine->world;
        sensor->silent_until_ns = begins_ns;
        sensor_power_on(sensor, 0);
    }
    port_open(&machine->port, options->drop ? DROP : KEEP, options->seed);

    if (elf_read_firmware(options->firmware, firmware)) errx(1, "%s is no firmware to run", options->firmware);
    machine->avr = avr_make_mcu_by_name("atmega328p");
    if (!machine->avr) errx(1, "this simavr has no ATmega328P");
    avr_init(machine->avr);
    firmware->frequency = (uint32_t)CYCLES_PER_SECOND;
    firmware->vcc = firmware->avcc = firmware->aref = 5000;
    avr_load_firmware(machine->avr, firmware);
    machine->avr->sleep = no_sleep;
    machine->avr->log = LOG_ERROR;
    memset(machine->avr->data + RAM_BEGINS, UNTOUCHED, (size_t)machine->avr->ramend - RAM_BEGINS + 1);
    machine->line = line_attach(machine->avr, sent, machine);
    machine->bus = bus_attach(machine->avr, machine->sensors, options->sensor_count);
    machine->mark = true;
    machine->avr->io[AVR_DATA_TO_IO(PINB)].r.c = mark_read;
    machine->avr->io[AVR_DATA_TO_IO(PINB)].r.param = machine;
    machine->io.kind = "machine";
    machine->io.reset = after_reset;
    avr_register_io(machine->avr, &machine->io);
    avr_reset(machine->avr);
    machine->avr->data[MCUSR] = POWER_ON;
    return machine;
}

void machine_hear(struct machine *machine, const uint8_t *bytes, size_t count, int64_t time_ns) {
    uint64_t at = world_cycle(&machine->world, time_ns);
    if (at < machine->avr->cycle) at = machine->avr->cycle;
    for (size_t i = 0; i < count; i++) {
        if (machine->heard_count == HEARD_BYTES) errx(1, "the controller writes more than any bridge could take");
        if (at < machine->heard_until) at = machine->heard_until;
        at += line_byte_cycles(machine->line);
        machine->heard_until = at;
        size_t place = (machine->heard_from + machine->heard_count++) % HEARD_BYTES;
        machine->heard[place].byte = bytes[i];
        machine->heard[place].at = at;
    }
}

static double amount(const struct fault *fault, double otherwise) {
    return isnan(fault->amount) ? otherwise : fault->amount;
}

static void hang(struct machine *machine) {
    machine->hangs = true;
    machine->hangs_at = machine->avr->pc;
    machine->avr->state = cpu_Running;
    memcpy(machine->overwritten, machine->avr->flash + machine->hangs_at, 2);
    memcpy(machine->avr->flash + machine->hangs_at, jump_to_itself, 2);
}

static void happen(struct machine *machine, const struct fault *fault) {
    avr_t *avr = machine->avr;
    event(avr->cycle, "fault %d", fault->kind);
    int64_t ends_ns = world_ns(&machine->world, avr->cycle) + llround(amount(fault, 1e9) * 1e9);
    switch (fault->kind) {
    case NACK: machine->sensors[0].silent_until_ns = ends_ns; break;
    case STUCK: bus_stick(machine->bus, UINT64_MAX, 9); break;
    case SHORT: bus_stick(machine->bus, world_cycle(&machine->world, ends_ns), 0); break;
    case LOSE: machine->port.to_lose += (unsigned)amount(fault, 1); break;
    case CORRUPT: machine->port.to_corrupt += (unsigned)amount(fault, 1); break;
    case UNPLUG: port_unplug(&machine->port); break;
    case RESET:
        avr_reset(avr);
        avr->data[MCUSR] = EXTERNAL;
        break;
    case HANG: hang(machine); break;
    case DRIFT: world_drift(&machine->world, avr->cycle, amount(fault, 0)); break;
    }
}

static uint64_t next_fault(const struct machine *machine) {
    const struct options *options = machine->options;
    if (machine->faults_done == options->fault_count) return UINT64_MAX;
    return world_cycle(&machine->world, options->faults[machine->faults_done].after_ns + machine->began_ns);
}

static uint64_t next_mark(const struct machine *machine) {
    const struct options *options = machine->options;
    if (machine->marks_done == options->mark_count) return UINT64_MAX;
    return world_cycle(&machine->world, options->marks_ns[machine->marks_done] + machine->began_ns);
}

static uint64_t next_byte(const struct machine *machine) {
    return machine->heard_count ? machine->heard[machine->heard_from].at : UINT64_MAX;
}

static uint64_t least(uint64_t one, uint64_t other) { return one < other ? one : other; }

// Wakes simavr, which else runs or sleeps until its own next timer.
static avr_cycle_count_t horizon(avr_t *avr, avr_cycle_count_t when, void *parameter) {
    (void)avr;
    (void)when;
    (void)parameter;
    return 0;
}

static void run_until(struct machine *machine, uint64_t cycle) {
    avr_t *avr = machine->avr;
    while (avr->cycle < cycle) {
        avr_cycle_timer_register(avr, cycle - avr->cycle, horizon, NULL);
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) errx(1, "the firmware ended: it slept for good, or ran astray");
    }
}

void machine_live(struct machine *machine, int64_t time_ns) {
    avr_t *avr = machine->avr;
    supply_refresh(machine->supply);
    uint64_t end = world_cycle(&machine->world, time_ns);
    while (avr->cycle < end) {
        uint64_t next = least(least(next_fault(machine), next_mark(machine)), next_byte(machine));
        run_until(machine, least(least(next, end), avr->cycle + CHUNK_CYCLES));
        if (next_byte(machine) <= avr->cycle) {
            line_arrived(machine->line, machine->heard[machine->heard_from].byte);
            machine->heard_from = (machine->heard_from + 1) % HEARD_BYTES;
            machine->heard_count--;
        }
        if (next_mark(machine) <= avr->cycle) {
            machine->mark = !machine->mark;
            machine->marks_done++;
            event(avr->cycle, "mark %d", machine->mark);
        }
        if (next_fault(machine) <= avr->cycle) {
            happen(machine, &machine->options->faults[machine->faults_done++]);
            end = world_cycle(&machine->world, time_ns);
        }
        port_flush(&machine->port, avr->cycle);
    }
    for (int i = 0; i < machine->options->sensor_count; i++) sensor_live(&machine->sensors[i], avr->cycle);
    events_flush();
}

// The longest run of memory that still holds what it held at power-on lies between the variables and the stack.
static size_t stack_left(const avr_t *avr) {
    size_t longest = 0, run = 0;
    for (size_t at = RAM_BEGINS; at <= avr->ramend; at++) {
        run = avr->data[at] == UNTOUCHED ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

void machine_end(struct machine *machine) {
    event(machine->avr->cycle, "end stack-left %zu", stack_left(machine->avr));
    events_flush();
}
