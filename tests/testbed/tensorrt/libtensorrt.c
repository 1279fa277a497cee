/* A far end for the Python bindings of TensorRT: the symbols they want before they can be imported, and behind three of
 * them the objects of version 10.3 that a session meets, as its C++ interface lays them out: an outer object of a table of
 * methods and a pointer to an inner one, whose table begins with two destructors. (NVIDIA/TensorRT at release/10.3,
 * include/NvInferImpl.h.) Its one network takes "x", float32 [1,3,8,8], and gives twice that as "y".
 *
 * EMULATED_TRT_FAILS   at "start", "context", "address" or "enqueue"
 * EMULATED_TRT_CORES   how many DLAs there are (default 0)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOL(name) void *name(void) { return 0; }
SYMBOL(createInferRefitter_INTERNAL)
SYMBOL(createNvOnnxParserRefitter_INTERNAL)
SYMBOL(createNvOnnxParser_INTERNAL)
SYMBOL(getBuilderPluginRegistry)
SYMBOL(getNvOnnxParserVersion)
SYMBOL(getPluginRegistry)
SYMBOL(initLibNvInferPlugins)
/* of the parsers for UFF and Caffe, in version 8 */
SYMBOL(_ZN11nvuffparser15createUffParserEv)
SYMBOL(_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi)
SYMBOL(_ZN14nvcaffeparser117createCaffeParserEv)
SYMBOL(_ZN14nvcaffeparser123shutdownProtobufLibraryEv)

enum { ELEMENTS = 3 * 8 * 8, METHODS = 64, ERROR = 1, FLOAT = 0, INPUT = 1, OUTPUT = 2 };
static const char HEAD[] = "emulated engine in ";

struct dims { int32_t rank; int64_t size[8]; };
struct logger { void (**methods)(struct logger *, int32_t severity, const char *message); };
struct inner {
    void **methods;
    struct logger *logger;
    const char *precision;
    float *x, *y;
    char information[256];
};
struct outer { void **methods; struct inner *inner; };

static int live, dla_core = -1;
int emulated_live_objects(void) { return live; }
int emulated_dla_core(void) { return dla_core; }

static int fails(const char *at) {
    const char *where = getenv("EMULATED_TRT_FAILS");
    return where && !strcmp(where, at);
}

static void destroy(struct outer *outer) { live--; free(outer->inner); free(outer); }
/* What C++ puts before a table of methods: where in the object it is, and the type, of which pybind11 reads the name. */
static struct { void *methods; const char *name; } type = {NULL, "Emulated"};
static struct { intptr_t offset; void *type; void *destructors[2]; } table = {0, &type, {destroy, destroy}};
static void unexpected(void) { fputs("a method that the far end does not have\n", stderr); abort(); }

static void *runtime[METHODS], *engine[METHODS], *context[METHODS], *inspector[METHODS], *builder[METHODS];

static struct outer *make(void **methods, const struct inner *like) {
    struct outer *outer = calloc(1, sizeof *outer);
    outer->methods = table.destructors;
    outer->inner = calloc(1, sizeof *outer->inner);
    if (like) *outer->inner = *like;
    outer->inner->methods = methods;
    live++;
    return outer;
}

void *createInferRuntime_INTERNAL(struct logger *logger) {
    struct inner like = {.logger = logger};
    return fails("start") ? NULL : make(runtime, &like);
}
void *createInferBuilder_INTERNAL(void) { return fails("start") ? NULL : make(builder, NULL); }

static int32_t cores(void) { const char *count = getenv("EMULATED_TRT_CORES"); return count ? atoi(count) : 0; }
static void set_core(struct inner *self, int32_t core) { dla_core = core; (void)self; }
static void *deserialize(struct inner *self, const char *plan, size_t size) {
    if (size < sizeof HEAD || memcmp(plan, HEAD, sizeof HEAD - 1)) {
        (*self->logger->methods)(self->logger, ERROR, "The engine plan file is not compatible with this version of TensorRT");
        return NULL;
    }
    struct outer *made = make(engine, self);
    snprintf(made->inner->information, sizeof made->inner->information,
             "{\"Layers\": [{\"Name\": \"double\", \"LayerType\": \"PointWiseV2\", \"Outputs\": [{\"Name\": \"y\", "
             "\"Format/Datatype\": \"Row major linear %.*s format\"}]}], \"Bindings\": [\"x\", \"y\"]}",
             (int)(size - sizeof HEAD + 1), plan + sizeof HEAD - 1);
    return made;
}

static void *create_context(struct inner *self, int32_t strategy) { return fails("context") || strategy ? NULL : make(context, self); }
static void *create_inspector(struct inner *self) { return make(inspector, self); }
static struct dims shape(struct inner *self, const char *name) { (void)self, (void)name; return (struct dims){4, {1, 3, 8, 8}}; }
static int32_t data_type(void) { return FLOAT; }
static int32_t mode(struct inner *self, const char *name) { (void)self; return *name == 'x' ? INPUT : OUTPUT; }
static int32_t tensors(void) { return 2; }
static const char *tensor(struct inner *self, int32_t index) { (void)self; return index ? "y" : "x"; }
static const char *information(struct inner *self) { return self->information; }

static int address(struct inner *self, const char *name, float *memory) {
    *(*name == 'x' ? &self->x : &self->y) = memory;
    return !fails("address");
}
static void twice(void *self) {
    struct inner *at = self;
    for (int i = 0; i < ELEMENTS; i++) at->y[i] = 2 * at->x[i];
}
static int enqueue(struct inner *self, void *stream) {
    static int (*launch)(void (*)(void *), void *); /* of the driver's far end */
    if (!launch) *(void **)&launch = dlsym(dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY), "emulated_launch");
    return stream && !fails("enqueue") && !launch(twice, self);
}

__attribute__((constructor)) static void fill(void) {
    for (int i = 0; i < METHODS; i++) runtime[i] = engine[i] = context[i] = inspector[i] = builder[i] = unexpected;
    runtime[3] = deserialize, runtime[5] = set_core;
    builder[5] = cores;
    engine[5] = create_context, engine[18] = create_inspector, engine[19] = shape, engine[20] = data_type;
    engine[23] = mode, engine[30] = tensors, engine[31] = tensor;
    context[24] = address, context[37] = enqueue;
    inspector[6] = information;
}
