// Random numbers that depend on nothing but what is named.
#pragma once

#include <stdint.h>

uint64_t draw_bits(uint64_t seed, uint64_t which);

// Normal, mean 0, standard deviation 1.
double draw_normal(uint64_t seed, uint64_t which);
