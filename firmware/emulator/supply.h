// The power a virtual board draws, followed in its append-only file: the format is told in testbed/virtual/supply.py.
#pragma once

#include <stdint.h>

struct supply;

// Ends the program with a message where there is no such file.
struct supply *supply_open(const char *path);

// Take in what was appended since the last call.
void supply_refresh(struct supply *supply);

// Mean power in W between two moments, the second one later.
double supply_mean_w(const struct supply *supply, int64_t start_ns, int64_t end_ns);
