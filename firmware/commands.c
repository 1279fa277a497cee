#include "commands.h"

#include <string.h>

#include "frames.h"
#include "selftest.h"
#include "sensors.h"
#include "ticks.h"
#include "uart.h"
#include "wire.h"

#define FIRMWARE_MAJOR 1
#define FIRMWARE_MINOR 0
#define CRC_BYTES 2
#define AT_ONCE 8
#define QUIET_TICKS (10 * TICKS_PER_MS)     // an unfinished frame is none after so long

enum { TYPE = 1, SEQUENCE, LENGTH, PAYLOAD };

static uint8_t held[WIRE_HEAD_BYTES + WIRE_MOST_COMMAND_PAYLOAD + CRC_BYTES];
static uint8_t held_bytes;
static uint32_t heard;      // when the last byte came

static uint8_t *put32(uint8_t *place, uint32_t value) {
    memcpy(place, &value, sizeof value);    // little-endian, as the wire
    return place + sizeof value;
}

static void identify(uint8_t *payload) {
    *payload++ = WIRE_VERSION;
    *payload++ = FIRMWARE_MAJOR;
    *payload++ = FIRMWARE_MINOR;
    payload = put32(payload, TICKS_PER_SECOND);
    uint16_t present = sensors_survey();
    *payload++ = present;
    *payload++ = present >> 8;
    strncpy((char *)payload, SERIAL, WIRE_IDENTITY_BYTES - 9);
}

// The error code, or 0 with the reply's payload written and its length.
static uint8_t carry_out(uint8_t type, const uint8_t *payload, uint8_t *reply, uint8_t *length) {
    *length = 0;
    switch (type) {
    case WIRE_IDENTIFY:
        identify(reply);
        *length = WIRE_IDENTITY_BYTES;
        return 0;
    case WIRE_CONFIGURE:
        if (sensors_streaming()) return WIRE_ERROR_REFUSED_WHILE_STREAMING;
        memcpy(reply, payload, WIRE_CONFIGURATION_BYTES);
        *length = WIRE_CONFIGURATION_BYTES;
        return sensors_configure(reply);
    case WIRE_BEGIN:
        if (sensors_streaming()) return WIRE_ERROR_REFUSED_WHILE_STREAMING;
        frames_count_anew();
        sensors_start();
        return 0;
    case WIRE_STOP:
        sensors_stop();
        return 0;
    case WIRE_SYNC:
        put32(reply, heard);
        *length = 4;
        return 0;
    case WIRE_SELF_TEST:
        if (sensors_streaming()) return WIRE_ERROR_REFUSED_WHILE_STREAMING;
        reply[0] = selftest_run();
        {
            uint16_t supply_mv = selftest_supply_mv();
            reply[1] = supply_mv;
            reply[2] = supply_mv >> 8;
        }
        *length = 3;
        return 0;
    default:
        return WIRE_ERROR_UNKNOWN_COMMAND;
    }
}

static void obey(void) {
    uint8_t type = held[TYPE], length, *reply = frames_reply_payload();
    uint8_t address = held[PAYLOAD];
    uint8_t expected = type == WIRE_CONFIGURE ? WIRE_CONFIGURATION_BYTES : 0;
    bool known = type >= WIRE_IDENTIFY && type <= WIRE_SELF_TEST;
    uint8_t error = known && held[LENGTH] != expected ? WIRE_ERROR_MALFORMED
                                                      : carry_out(type, &held[PAYLOAD], reply, &length);
    if (!error) {
        frames_reply(type | WIRE_REPLY, held[SEQUENCE], length);
        return;
    }
    reply[0] = error;
    reply[1] = error == WIRE_ERROR_SENSOR_SILENT || error == WIRE_ERROR_I2C_STUCK ? address : type;
    frames_reply(WIRE_ERROR, held[SEQUENCE], 2);
}

static void drop(uint8_t bytes) {
    held_bytes -= bytes;
    memmove(held, held + bytes, held_bytes);
}

// Carry out the command at the front, if it is all there. What is none is dropped.
static bool consider(void) {
    while (held_bytes) {
        if (held[0] != WIRE_START) {
            drop(1);
            continue;
        }
        if (held_bytes < WIRE_HEAD_BYTES) return false;
        uint8_t end = WIRE_HEAD_BYTES + held[LENGTH];
        if (held[LENGTH] > WIRE_MOST_COMMAND_PAYLOAD) {
            drop(1);
            continue;
        }
        if (held_bytes < end + CRC_BYTES) return false;
        uint16_t crc = 0;
        for (uint8_t i = TYPE; i < end; i++) crc = uart_crc(crc, held[i]);
        if (held[end] != (uint8_t)crc || held[end + 1] != crc >> 8) {
            drop(1);
            continue;
        }
        // When a sync came is known only if nothing came behind it.
        if (held[TYPE] != WIRE_SYNC || held_bytes == end + CRC_BYTES) obey();
        drop(end + CRC_BYTES);
        return true;
    }
    return false;
}

void commands_step(void) {
    uint8_t byte;
    uint16_t came;
    if (!frames_can_reply() || (held_bytes && consider())) return;
    for (uint8_t i = 0; i < AT_ONCE; i++) {
        if (!uart_read(&byte, &came)) {
            if (held_bytes && ticks_now() - heard > QUIET_TICKS) drop(1);
            return;
        }
        held[held_bytes++] = byte;
        heard = ticks_at(ticks_now(), came);
        if (consider()) return;
    }
}

bool commands_idle(void) { return !held_bytes && uart_heard_nothing(); }
