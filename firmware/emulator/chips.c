#include "chips.h"

#define US 1000.0

static void ina219_adc(unsigned code, double *ns, int *bits) {
    static const double one[] = {84, 148, 276, 532};
    static const double averaged[] = {532, 1060, 2130, 4260, 8510, 17020, 34050, 68100};
    *ns = US * (code & 8 ? averaged[code & 7] : one[code & 3]);
    *bits = code & 8 ? 12 : 9 + (code & 3);
}

static void ina219(uint16_t configuration, uint16_t range, struct conversion *conversion) {
    (void)range;
    unsigned mode = configuration & 7, gain = configuration >> 11 & 3;
    double shunt_ns, bus_ns;
    int shunt_bits, bus_bits;
    ina219_adc(configuration >> 3 & 15, &shunt_ns, &shunt_bits);
    ina219_adc(configuration >> 7 & 15, &bus_ns, &bus_bits);
    *conversion = (struct conversion){
        .shunt_ns = mode == 5 || mode == 7 ? shunt_ns : 0,
        .bus_ns = mode == 6 || mode == 7 ? bus_ns : 0,
        .shunt_lsb_v = 10e-6,
        .bus_lsb_v = 4e-3,
        // 12 bits span the range: 10 uV at +-40 mV, and twice as much with each wider range (unconfirmed)
        .shunt_step = 1 << gain << (12 - shunt_bits),
        .shunt_limit = 4000 << gain,
        .bus_step = 1 << (12 - bus_bits),
        .bus_limit = configuration & 1 << 13 ? 8000 : 4000,
    };
}

static void ina226(uint16_t configuration, uint16_t range, struct conversion *conversion) {
    (void)range;
    static const double lengths[] = {140, 204, 332, 588, 1100, 2116, 4156, 8244};
    static const int averages[] = {1, 4, 16, 64, 128, 256, 512, 1024};
    unsigned mode = configuration & 7;
    double ns = US * averages[configuration >> 9 & 7];
    *conversion = (struct conversion){
        .shunt_ns = mode == 5 || mode == 7 ? ns * lengths[configuration >> 3 & 7] : 0,
        .bus_ns = mode == 6 || mode == 7 ? ns * lengths[configuration >> 6 & 7] : 0,
        .shunt_lsb_v = 2.5e-6,
        .bus_lsb_v = 1.25e-3,
        .shunt_step = 1,
        .shunt_limit = 0x7FFF,
        .bus_step = 1,
        .bus_limit = 28800,     // 36 V
    };
}

static void ina228(uint16_t configuration, uint16_t range, struct conversion *conversion) {
    static const double lengths[] = {50, 84, 150, 280, 540, 1052, 2074, 4120};
    static const int averages[] = {1, 4, 16, 64, 128, 256, 512, 1024};
    unsigned mode = configuration >> 12;
    double ns = US * averages[configuration & 7];
    *conversion = (struct conversion){
        .shunt_ns = mode & 8 && mode & 2 ? ns * lengths[configuration >> 6 & 7] : 0,
        .bus_ns = mode & 8 && mode & 1 ? ns * lengths[configuration >> 9 & 7] : 0,
        .temperature_ns = mode & 8 && mode & 4 ? ns * lengths[configuration >> 3 & 7] : 0,
        .shunt_lsb_v = range & 0x10 ? 78.125e-9 : 312.5e-9,
        .bus_lsb_v = 195.3125e-6,
        .shunt_step = 1,
        .shunt_limit = 0x7FFFF,
        .bus_step = 1,
        .bus_limit = 0x7FFFF,   // 102.4 V; its pin bears 85 V
    };
}

const struct chip chip_table[3] = {
    {
        .name = "ina219", .configuration = 0, .range = 0, .shunt = 1, .bus = 2, .flags = 2, .power = 3,
        .power_on = 0x399F, .ready = 0x0002, .bus_holds_flags = true, .converts = ina219,
    },
    {
        .name = "ina226", .configuration = 0, .range = 0, .shunt = 1, .bus = 2, .flags = 6, .power = 3,
        .power_on = 0x4127, .fixed_zeros = 0x7000, .fixed_ones = 0x4000, .ready = 0x0008, .converts = ina226,
        .identity_register = {0xFE, 0xFF}, .identity = {0x5449, 0x2260},
    },
    {
        .name = "ina228", .configuration = 1, .range = 0, .shunt = 4, .bus = 5, .flags = 11, .power = 8,
        .power_on = 0xFB68, .ready = 0x0002, .wide = true, .converts = ina228,
        .identity_register = {0x3E, 0x3F}, .identity = {0x5449, 0x2281},
    },
};
