#include "samples.h"

#include <stddef.h>

#include "frames.h"
#include "ticks.h"
#include "wire.h"

#define MARK_BIT_OF_STEP 0x8000

// Where things are in the frame.
#define AT_TICK (WIRE_HEAD_BYTES + 0)
#define AT_INDEX (WIRE_HEAD_BYTES + 4)
#define AT_ADDRESS (WIRE_HEAD_BYTES + 8)
#define AT_FLAGS (WIRE_HEAD_BYTES + 9)
#define AT_BUS (WIRE_HEAD_BYTES + 10)
#define AT_COUNT (WIRE_HEAD_BYTES + 14)
#define AT_SAMPLES (WIRE_HEAD_BYTES + WIRE_SAMPLES_HEAD_BYTES)

void samples_begin(struct samples *samples, uint8_t address, bool wide, bool with_bus) {
    *samples = (struct samples){.address = address, .wide = wide, .with_bus = with_bus};
}

static uint8_t *put(uint8_t *place, uint32_t value, uint8_t bytes) {
    while (bytes--) {
        *place++ = value;
        value >>= 8;
    }
    return place;
}

static uint8_t *put_register(uint8_t *place, uint32_t value, bool wide) {
    *place++ = value;
    *place++ = value >> 8;
    if (wide) *place++ = value >> 16;
    return place;
}

static uint8_t sample_bytes(const struct samples *samples) {
    uint8_t width = samples->wide ? 3 : 2;
    return 2 + (samples->with_bus ? 2 * width : width);
}

static bool open_frame(struct samples *samples, const struct reading *reading) {
    if (samples->lost && !frames_report(WIRE_ERROR_OVERRUN, samples->lost)) return false;
    struct frame *frame = frames_take();
    if (!frame) return false;
    uint8_t *bytes = frame->bytes;
    put(bytes + AT_TICK, reading->tick, 4);
    put(bytes + AT_INDEX, samples->index, 4);
    bytes[AT_ADDRESS] = samples->address;
    bytes[AT_FLAGS] = samples->lost ? WIRE_LOST_BEFORE : 0;
    put(bytes + AT_BUS, reading->bus, 4);
    samples->open = frame;
    samples->place = bytes + AT_SAMPLES;
    samples->first = reading->tick;
    samples->last = reading->tick;
    samples->count = 0;
    samples->lost = 0;
    return true;
}

void samples_add(struct samples *samples, const struct reading *reading) {
    if (!samples->open && !open_frame(samples, reading)) {
        samples->index++;
        if (samples->lost != 255) samples->lost++;
        return;
    }
    uint16_t tick = reading->tick, step = tick - samples->last;
    samples->last = tick;
    uint8_t *place = put_register(samples->place, reading->shunt, samples->wide);
    *place++ = step;
    *place++ = (step | (reading->mark ? MARK_BIT_OF_STEP : 0)) >> 8;
    if (samples->with_bus) place = put_register(place, reading->bus, samples->wide);
    samples->place = place;
    samples->index++;
    samples->count++;
    if (reading->overflowed) samples->open->bytes[AT_FLAGS] |= WIRE_OVERFLOWED;
    uint8_t used = place - (samples->open->bytes + WIRE_HEAD_BYTES);
    if (frames_payload_room() - used < sample_bytes(samples)) samples_flush(samples);
}

void samples_hurry(struct samples *samples, uint32_t now) {
    if (samples->open && now - samples->first >= FLUSH_TICKS) samples_flush(samples);
}

void samples_flush(struct samples *samples) {
    if (!samples->open) return;
    samples->open->bytes[AT_COUNT] = samples->count;
    uint8_t kind = WIRE_SAMPLES + (samples->wide ? WIRE_WIDE_SAMPLES - WIRE_SAMPLES : 0) + samples->with_bus;
    frames_post(samples->open, kind, samples->place - (samples->open->bytes + WIRE_HEAD_BYTES));
    samples->open = NULL;
}
