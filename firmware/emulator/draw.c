#include "draw.h"

#include <math.h>

// SplitMix64 (Steele, Lea, Flood 2014) of a counter.
uint64_t draw_bits(uint64_t seed, uint64_t which) {
    uint64_t bits = seed * 0xD1342543DE82EF95u + (which + 1) * 0x9E3779B97F4A7C15u;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
    return bits ^ bits >> 31;
}

static double uniform(uint64_t seed, uint64_t which) {
    return ((double)(draw_bits(seed, which) >> 11) + 0.5) * 0x1p-53;
}

double draw_normal(uint64_t seed, uint64_t which) {
    return sqrt(-2 * log(uniform(seed, 2 * which))) * cos(2 * M_PI * uniform(seed, 2 * which + 1));
}
