// The memory that frames are made in, and their sending: replies, reports, and slots for samples.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "uart.h"

#define FRAMES_MOST 32      // under way at once, a power of two

// A reply to a command. Only while frames_can_reply(); its payload may be written to what frames_reply_payload() gives.
bool frames_can_reply(void);
uint8_t *frames_reply_payload(void);
void frames_reply(uint8_t type, uint8_t sequence, uint8_t length);

// An error frame nobody asked for; false when it must wait.
bool frames_report(uint8_t code, uint8_t detail);

// Divide the slots among so many streams of samples; what they held is gone. Only while none is on its way.
void frames_divide(uint8_t streams);

// A free slot, taken; NULL when there is none. It has room for frames_payload_room() bytes behind its head.
struct frame *frames_take(void);
uint8_t frames_payload_room(void);

// Send a slot with the bridge's own counter; it is free again when that is done.
void frames_post(struct frame *slot, uint8_t type, uint8_t length);

// From which number on frames are counted: 0 when a stream begins.
void frames_count_anew(void);

// Whether the slots' memory keeps what is written to it. Destroys what they hold; only while none is in use.
bool frames_memory_sound(void);
