/* A far end for what talks to NVIDIA's driver: libcuda.so.1 without a GPU. Device memory is the host's, a stream does its
 * work at once, events read the clock. Names, codes and types are those of the CUDA driver API's cuda.h.
 *
 * EMULATED_CUDA_ERROR   what cuInit answers
 * EMULATED_CUDA_BYTES   the device's memory (default 1 MiB)
 * EMULATED_CUDA_NO_DEVICE   set: there is none
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201 };
enum { CAPTURED = 64 };

typedef void (*kernel)(void *);
struct node { kernel kernel; void *to; const void *from; size_t size; }; /* a kernel on `to`, or a copy */
struct graph { int nodes; struct node node[CAPTURED]; };
struct block { size_t size; double padding; };

static int live, retained, current;
static size_t used;
static struct graph *capturing;

int emulated_live(void) { return live; }         /* objects and blocks not given back */
int emulated_retained(void) { return retained; } /* of the primary context */

static size_t total(void) {
    const char *bytes = getenv("EMULATED_CUDA_BYTES");
    return bytes ? strtoull(bytes, NULL, 10) : 1 << 20;
}

#define WANT_CONTEXT \
    if (current <= 0) return INVALID_CONTEXT

static void *make(size_t size) { live++; return calloc(1, size); }
static int unmake(void *made) { live--; free(made); return SUCCESS; }

int cuInit(unsigned flags) {
    const char *code = getenv("EMULATED_CUDA_ERROR");
    return code ? atoi(code) : (int)flags;
}
int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
    char newest[128];
    snprintf(newest, sizeof newest, "%s_v2", symbol);
    *function = dlsym(RTLD_DEFAULT, newest);
    if (!*function) *function = dlsym(RTLD_DEFAULT, symbol);
    if (status) *status = !*function;
    return version && !flags ? SUCCESS : INVALID_VALUE;
}
int cuDriverGetVersion(int *version) { *version = 12060; return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = getenv("EMULATED_CUDA_NO_DEVICE") ? 0 : 1; return SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal ? NO_DEVICE : SUCCESS; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin (emulated)", size); return device; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : 0;
    return device;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &current; retained++; return device; }
int cuDevicePrimaryCtxRelease_v2(int device) { retained--; return device; }
int cuCtxPushCurrent_v2(void *context) { current += context == &current; return SUCCESS; }
int cuCtxPopCurrent_v2(void **context) { WANT_CONTEXT; *context = &current; current--; return SUCCESS; }

int cuMemGetInfo_v2(size_t *left, size_t *all) { WANT_CONTEXT; *left = total() - used; *all = total(); return SUCCESS; }
int cuMemAlloc_v2(uintptr_t *address, size_t size) {
    WANT_CONTEXT;
    if (!size) return INVALID_VALUE;
    if (used + size > total()) return OUT_OF_MEMORY;
    struct block *block = make(sizeof *block + size);
    block->size = size;
    used += size;
    *address = (uintptr_t)(block + 1);
    return SUCCESS;
}
int cuMemFree_v2(uintptr_t address) {
    WANT_CONTEXT;
    struct block *block = (struct block *)address - 1;
    used -= block->size;
    return unmake(block);
}
int cuMemHostAlloc(void **memory, size_t size, unsigned flags) { WANT_CONTEXT; *memory = make(size); return flags; }
int cuMemFreeHost(void *memory) { WANT_CONTEXT; return unmake(memory); }

static void carry_out(const struct node *node) {
    if (node->kernel) node->kernel(node->to);
    else memcpy(node->to, node->from, node->size);
}
static int queued(struct node node) {
    WANT_CONTEXT;
    if (capturing) capturing->node[capturing->nodes++] = node;
    else carry_out(&node);
    return SUCCESS;
}
int emulated_launch(kernel kernel, void *argument) { return queued((struct node){kernel, argument, NULL, 0}); }
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t size, void *stream) {
    return stream ? queued((struct node){NULL, (void *)to, from, size}) : INVALID_VALUE;
}
int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t size, void *stream) {
    return stream ? queued((struct node){NULL, to, (void *)from, size}) : INVALID_VALUE;
}

int cuStreamCreate(void **stream, unsigned flags) { WANT_CONTEXT; *stream = make(1); return flags == 1 ? SUCCESS : INVALID_VALUE; }
int cuStreamDestroy_v2(void *stream) { WANT_CONTEXT; return unmake(stream); }

int cuEventCreate(void **event, unsigned flags) { WANT_CONTEXT; *event = make(sizeof(struct timespec)); return flags == 1 ? SUCCESS : INVALID_VALUE; }
int cuEventDestroy_v2(void *event) { WANT_CONTEXT; return unmake(event); }
int cuEventRecord(void *event, void *stream) { WANT_CONTEXT; return stream ? clock_gettime(CLOCK_MONOTONIC, event) : INVALID_VALUE; }
int cuEventSynchronize(void *event) { WANT_CONTEXT; return event ? SUCCESS : INVALID_VALUE; }
int cuEventElapsedTime_v2(float *ms, struct timespec *start, struct timespec *end) {
    WANT_CONTEXT;
    *ms = (end->tv_sec - start->tv_sec) * 1e3 + (end->tv_nsec - start->tv_nsec) * 1e-6;
    return SUCCESS;
}
int cuEventElapsedTime(float *ms, struct timespec *start, struct timespec *end) { return cuEventElapsedTime_v2(ms, start, end); }

int cuStreamBeginCapture_v2(void *stream, int mode) {
    WANT_CONTEXT;
    capturing = make(sizeof *capturing);
    return stream && mode == 1 ? SUCCESS : INVALID_VALUE;
}
int cuStreamEndCapture(void *stream, void **graph) { WANT_CONTEXT; *graph = capturing; capturing = NULL; return stream ? SUCCESS : INVALID_VALUE; }
int cuGraphInstantiateWithFlags(void **executable, struct graph *graph, unsigned long long flags) {
    WANT_CONTEXT;
    *executable = memcpy(make(sizeof *graph), graph, sizeof *graph);
    return flags;
}
int cuGraphLaunch(struct graph *executable, void *stream) {
    WANT_CONTEXT;
    for (int i = 0; i < executable->nodes; i++) carry_out(&executable->node[i]);
    return stream ? SUCCESS : INVALID_VALUE;
}
int cuGraphExecDestroy(void *executable) { WANT_CONTEXT; return unmake(executable); }
int cuGraphDestroy(void *graph) { WANT_CONTEXT; return unmake(graph); }
