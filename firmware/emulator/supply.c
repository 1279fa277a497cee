#include "supply.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_BYTES 24

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file's numbers are taken as they lie");

struct record {
    int64_t time_ns;
    double power_w, slope_w_per_s;
    double energy_j;    // since the first record, at this one's time
};

struct supply {
    int file;
    struct record *records;
    size_t count, room;
    unsigned char rest[RECORD_BYTES];   // of a record that was not whole yet
    size_t rest_bytes;
};

struct supply *supply_open(const char *path) {
    struct supply *supply = calloc(1, sizeof *supply);
    if (!supply) err(1, "supply");
    supply->file = open(path, O_RDONLY | O_CLOEXEC);
    if (supply->file < 0) err(1, "the supply file %s", path);
    supply_refresh(supply);
    return supply;
}

static double energy_since(const struct record *record, int64_t time_ns) {
    double seconds = (double)(time_ns - record->time_ns) * 1e-9;
    return (record->power_w + 0.5 * record->slope_w_per_s * seconds) * seconds;
}

static void append(struct supply *supply, const unsigned char *bytes) {
    if (supply->count == supply->room) {
        supply->room = supply->room ? 2 * supply->room : 1024;
        supply->records = realloc(supply->records, supply->room * sizeof *supply->records);
        if (!supply->records) err(1, "supply");
    }
    struct record *record = &supply->records[supply->count];
    memcpy(&record->time_ns, bytes, 8);
    memcpy(&record->power_w, bytes + 8, 8);
    memcpy(&record->slope_w_per_s, bytes + 16, 8);
    record->energy_j = supply->count ? record[-1].energy_j + energy_since(record - 1, record->time_ns) : 0;
    supply->count++;
}

void supply_refresh(struct supply *supply) {
    unsigned char chunk[1024 * RECORD_BYTES];
    for (;;) {
        memcpy(chunk, supply->rest, supply->rest_bytes);
        ssize_t got = read(supply->file, chunk + supply->rest_bytes, sizeof chunk - supply->rest_bytes);
        if (got < 0) err(1, "reading the supply file");
        size_t have = supply->rest_bytes + (size_t)got, whole = have - have % RECORD_BYTES;
        for (size_t at = 0; at < whole; at += RECORD_BYTES) append(supply, chunk + at);
        supply->rest_bytes = have - whole;
        memcpy(supply->rest, chunk + whole, supply->rest_bytes);
        if (got == 0) return;
    }
}

static double energy_until(const struct supply *supply, int64_t time_ns) {
    size_t low = 0, high = supply->count;   // the first record after that time lies in [low, high]
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (supply->records[middle].time_ns <= time_ns) low = middle + 1;
        else high = middle;
    }
    if (!low) return 0;
    const struct record *record = &supply->records[low - 1];
    return record->energy_j + energy_since(record, time_ns);
}

double supply_mean_w(const struct supply *supply, int64_t start_ns, int64_t end_ns) {
    double joules = energy_until(supply, end_ns) - energy_until(supply, start_ns);
    return joules / ((double)(end_ns - start_ns) * 1e-9);
}
