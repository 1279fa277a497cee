// Commands of the controller: found in the bytes that came, carried out, answered.
#pragma once

#include <stdbool.h>

// Take what came and carry out at most one command; returns soon while streaming.
void commands_step(void);

// Whether nothing of a command has come.
bool commands_idle(void);
