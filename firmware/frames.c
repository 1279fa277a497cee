#include "frames.h"

#include <stddef.h>
#include <string.h>

#include "wire.h"

#define POOL_BYTES 900
#define REPORTS 2
#define CRC_BYTES 2
#define TAKEN 2     // of a frame that is neither free nor on its way
#define LEAST_SPARE 2

#define ROOM(payload) (WIRE_HEAD_BYTES + (payload) + CRC_BYTES)

static union {
    struct frame frame;
    uint8_t room[sizeof(struct frame) + ROOM(WIRE_IDENTITY_BYTES)];
} reply;

static union {
    struct frame frame;
    uint8_t room[sizeof(struct frame) + ROOM(2)];
} reports[REPORTS];

static uint8_t pool[POOL_BYTES];
static uint8_t slots, slot_bytes;
static uint8_t counter;

static void send(struct frame *frame, uint8_t type, uint8_t sequence, uint8_t length) {
    frame->bytes[0] = WIRE_START;
    frame->bytes[1] = type;
    frame->bytes[2] = sequence;
    frame->bytes[3] = length;
    frame->length = WIRE_HEAD_BYTES + length;
    uart_send(frame);
}

bool frames_can_reply(void) { return !reply.frame.on_its_way; }

uint8_t *frames_reply_payload(void) { return &reply.frame.bytes[WIRE_HEAD_BYTES]; }

void frames_reply(uint8_t type, uint8_t sequence, uint8_t length) { send(&reply.frame, type, sequence, length); }

bool frames_report(uint8_t code, uint8_t detail) {
    for (uint8_t i = 0; i < REPORTS; i++) {
        struct frame *frame = &reports[i].frame;
        if (frame->on_its_way) continue;
        frame->bytes[WIRE_HEAD_BYTES] = code;
        frame->bytes[WIRE_HEAD_BYTES + 1] = detail;
        send(frame, WIRE_ERROR, counter++, 2);
        return true;
    }
    return false;
}

void frames_divide(uint8_t streams) {
    // Streams are read in rounds, so all their frames are sent at once, and all begin new ones meanwhile.
    uint16_t share = POOL_BYTES / (streams + (streams > LEAST_SPARE ? streams : LEAST_SPARE));
    uint16_t most = sizeof(struct frame) + ROOM(WIRE_MOST_PAYLOAD);
    slot_bytes = share < most ? share : most;
    slots = POOL_BYTES / slot_bytes;
    memset(pool, 0, sizeof pool);
}

uint8_t frames_payload_room(void) { return slot_bytes - sizeof(struct frame) - ROOM(0); }

struct frame *frames_take(void) {
    uint8_t *at = pool;
    for (uint8_t i = 0; i < slots; i++, at += slot_bytes) {
        struct frame *frame = (struct frame *)at;
        if (!frame->on_its_way) {
            frame->on_its_way = TAKEN;
            return frame;
        }
    }
    return NULL;
}

void frames_post(struct frame *slot, uint8_t type, uint8_t length) { send(slot, type, counter++, length); }

void frames_count_anew(void) { counter = 0; }

bool frames_memory_sound(void) {
    bool sound = true;
    for (volatile uint8_t *at = pool; at < pool + POOL_BYTES; at++) {
        *at = 0x55;
        if (*at != 0x55) sound = false;
        *at = 0xAA;
        if (*at != 0xAA) sound = false;
        *at = 0;
    }
    return sound;
}
