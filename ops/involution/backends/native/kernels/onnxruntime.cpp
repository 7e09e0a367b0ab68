// Custom operators of ONNX Runtime: the domain ops.involution, out of the same library. Its C
// interface is a table of functions in an order that never changes ("Size of version 1 API cannot
// change"), so the few entries that are needed are declared here: wheels of ONNX Runtime bring no
// headers.
#include <stdlib.h>

#include "plan.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// of dispatch.cpp
EXPORT int involution_variants();
EXPORT int involution_variant_runs(int variant);
EXPORT int involution_aggregate(int variant, const Plan* plan, const void* x, const void* kernel,
                                void* y, int64_t threads);
EXPORT int involution_bottleneck(int variant, const Plan* plan, const void* x, const void* reduce,
                                 const void* mean, const void* variance, const void* gain,
                                 const void* offset, const void* weight, const void* bias, void* y,
                                 double epsilon, int64_t threads);

namespace {

typedef void Opaque;   // OrtStatus, OrtValue, ... are passed on and never looked into
typedef Opaque* Status;  // null: no error

// OrtApi of version 1 by the places of its entries.
class Api {
  public:
    explicit Api(const void* table) : entries((void* const*)table) {}

    Status error(const char* message) const {
        return ((Status(*)(int, const char*))entries[0])(FAIL, message);
    }
    Status domain(const char* name, Opaque** out) const {
        return ((Status(*)(const char*, Opaque**))entries[26])(name, out);
    }
    Status add(Opaque* domain, const void* op) const {
        return ((Status(*)(Opaque*, const void*))entries[27])(domain, op);
    }
    Status add_to(Opaque* options, Opaque* domain) const {
        return ((Status(*)(Opaque*, Opaque*))entries[28])(options, domain);
    }
    Status data(Opaque* value, void** out) const {
        return ((Status(*)(Opaque*, void**))entries[51])(value, out);
    }
    Status rank(const Opaque* info, size_t* out) const {
        return ((Status(*)(const Opaque*, size_t*))entries[61])(info, out);
    }
    Status sizes(const Opaque* info, int64_t* out, size_t count) const {
        return ((Status(*)(const Opaque*, int64_t*, size_t))entries[62])(info, out, count);
    }
    Status info(const Opaque* value, Opaque** out) const {
        return ((Status(*)(const Opaque*, Opaque**))entries[65])(value, out);
    }
    Status attribute(const Opaque* info, const char* name, float* out) const {
        return ((Status(*)(const Opaque*, const char*, float*))entries[85])(info, name, out);
    }
    Status attribute(const Opaque* info, const char* name, int64_t* out) const {
        return ((Status(*)(const Opaque*, const char*, int64_t*))entries[86])(info, name, out);
    }
    Status input(const Opaque* context, size_t index, Opaque** out) const {
        return ((Status(*)(const Opaque*, size_t, Opaque**))entries[90])(context, index, out);
    }
    Status output(Opaque* context, const int64_t* sizes, size_t rank, Opaque** out) const {
        return ((Status(*)(Opaque*, size_t, const int64_t*, size_t, Opaque**))entries[91])(
            context, 0, sizes, rank, out);
    }
    void release_info(Opaque* info) const { ((void (*)(Opaque*))entries[99])(info); }

  private:
    static constexpr int FAIL = 1;
    void* const* entries;
};

// OrtCustomOp as it is since version 18; the entries of version 1 that those of version 16 replace
// are null, and so are those that tell what may be left out.
struct CustomOp {
    uint32_t version;
    void* (*create_v1)(const CustomOp*, const void*, const Opaque*);
    const char* (*name)(const CustomOp*);
    const char* (*provider)(const CustomOp*);
    int (*input_type)(const CustomOp*, size_t);
    size_t (*inputs)(const CustomOp*);
    int (*output_type)(const CustomOp*, size_t);
    size_t (*outputs)(const CustomOp*);
    void (*compute_v1)(void*, Opaque*);
    void (*destroy)(void* kernel);
    int (*input_characteristic)(const CustomOp*, size_t);
    int (*output_characteristic)(const CustomOp*, size_t);
    int (*input_memory)(const CustomOp*, size_t);
    int (*variadic[4])(const CustomOp*);
    Status (*create)(const CustomOp*, const void* api, const Opaque* info, void** kernel);
    Status (*compute)(void* kernel, Opaque* context);
    Status (*infer_shape)(const CustomOp*, Opaque*);
    int (*version_range[2])(const CustomOp*);
    void* in_place[4];
};

constexpr uint32_t VERSION = 18;  // ONNX Runtime 1.18 and later
constexpr int FLOAT = 1;          // ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
int64_t threads = 1;

int variant() {
    for (int one = 0; one < involution_variants(); ++one)
        if (involution_variant_runs(one)) return one;
    return -1;
}

struct Kernel {
    Api api;
    int64_t steps[6];  // stride, padding, dilation, of rows and columns
    float epsilon;
};

struct Input {
    int64_t sizes[6];
    size_t rank;
    const void* data;
};

bool read(const Api& api, const Opaque* context, size_t index, Input* to) {
    Opaque *value = nullptr, *info = nullptr;
    if (api.input(context, index, &value) != nullptr || api.info(value, &info) != nullptr)
        return false;
    bool good = api.rank(info, &to->rank) == nullptr && to->rank <= 6 &&
                api.sizes(info, to->sizes, to->rank) == nullptr;
    api.release_info(info);
    void* data = nullptr;
    good = good && api.data(value, &data) == nullptr;
    to->data = data;
    return good;
}

void rows_first(ImageStrides* s, int64_t channels, int64_t height, int64_t width) {
    *s = {channels * height * width, height * width, width, 1};
}

// All of a plan but the strides of the kernel tensor; y's sizes with it.
Plan plan_of(const Kernel& k, const Input& x, int64_t groups, int64_t size) {
    Plan p = {};
    p.images = x.sizes[0], p.channels = x.sizes[1], p.groups = groups, p.size = size;
    p.height = x.sizes[2], p.width = x.sizes[3];
    p.stride_rows = k.steps[0], p.stride_columns = k.steps[1];
    p.pad_rows = k.steps[2], p.pad_columns = k.steps[3];
    p.dilation_rows = k.steps[4], p.dilation_columns = k.steps[5];
    p.out_height = (p.height + 2 * p.pad_rows - p.dilation_rows * (size - 1) - 1) / p.stride_rows + 1;
    p.out_width =
        (p.width + 2 * p.pad_columns - p.dilation_columns * (size - 1) - 1) / p.stride_columns + 1;
    rows_first(&p.x, p.channels, p.height, p.width);
    rows_first(&p.y, p.channels, p.out_height, p.out_width);
    return p;
}

void* output(const Api& api, Opaque* context, const Plan& p) {
    const int64_t sizes[4] = {p.images, p.channels, p.out_height, p.out_width};
    Opaque* value = nullptr;
    void* data = nullptr;
    if (api.output(context, sizes, 4, &value) != nullptr || api.data(value, &data) != nullptr)
        return nullptr;
    return data;
}

Status misfit(const Kernel& k) {
    return k.api.error("ops.involution: the inputs' shapes do not fit each other");
}

// A kernel's exit status as ONNX Runtime's.
Status done(const Kernel& k, int status) {
    return status == 0 ? nullptr : k.api.error("ops.involution: no memory for scratch space");
}

Status aggregate(void* kernel, Opaque* context) {
    const Kernel& k = *(Kernel*)kernel;
    Input x, h;
    if (!read(k.api, context, 0, &x) || !read(k.api, context, 1, &h)) return misfit(k);
    if (x.rank != 4 || h.rank != 6 || h.sizes[1] < 1 || x.sizes[1] % h.sizes[1]) return misfit(k);
    Plan p = plan_of(k, x, h.sizes[1], h.sizes[2]);
    if (h.sizes[3] != p.size || h.sizes[4] != p.out_height || h.sizes[5] != p.out_width ||
        h.sizes[0] != p.images)
        return misfit(k);
    const int64_t plane = p.out_height * p.out_width, entries = p.size * p.size * plane;
    p.kernel = {p.groups * entries, entries, p.size * plane, plane, p.out_width, 1};
    void* y = output(k.api, context, p);
    if (y == nullptr) return misfit(k);
    return done(k, involution_aggregate(variant(), &p, x.data, h.data, y, threads));
}

Status bottleneck(void* kernel, Opaque* context) {
    const Kernel& k = *(Kernel*)kernel;
    Input in[8];  // x, reduce, mean, variance, gain, offset, weight (G, K, K, I), bias
    for (size_t i = 0; i < 8; ++i)
        if (!read(k.api, context, i, in + i)) return misfit(k);
    const int64_t *x = in[0].sizes, *first = in[1].sizes, *span = in[6].sizes;
    if (in[0].rank != 4 || in[1].rank != 4 || in[6].rank != 4 || span[0] < 1) return misfit(k);
    Plan p = plan_of(k, in[0], span[0], span[1]);
    p.hidden = first[0];
    bool fits = x[1] % span[0] == 0 && first[1] == x[1] && span[2] == p.size &&
                span[3] == p.hidden && in[7].rank == 3 && in[7].sizes[0] == span[0];
    for (int i = 2; i < 6; ++i) fits = fits && in[i].rank == 1 && in[i].sizes[0] == p.hidden;
    void* y = fits ? output(k.api, context, p) : nullptr;
    if (y == nullptr) return misfit(k);
    return done(k, involution_bottleneck(variant(), &p, in[0].data, in[1].data, in[2].data,
                                         in[3].data, in[4].data, in[5].data, in[6].data,
                                         in[7].data, y, k.epsilon, threads));
}

Status create(const CustomOp*, const void* table, const Opaque* info, void** out) {
    const char* names[6] = {"stride_rows",     "stride_columns", "padding_rows",
                            "padding_columns", "dilation_rows",  "dilation_columns"};
    const Api api(table);
    Kernel* kernel = (Kernel*)malloc(sizeof(Kernel));
    if (kernel == nullptr) return api.error("ops.involution: no memory");
    *kernel = {api, {}, 0.0f};
    Status status = nullptr;
    for (int i = 0; i < 6 && status == nullptr; ++i)
        status = api.attribute(info, names[i], kernel->steps + i);
    if (status == nullptr) status = api.attribute(info, "epsilon", &kernel->epsilon);
    if (status != nullptr) free(kernel);
    else *out = kernel;
    return status;
}

void destroy(void* kernel) { free(kernel); }
const char* provider(const CustomOp*) { return nullptr; }
int a_float(const CustomOp*, size_t) { return FLOAT; }
size_t one(const CustomOp*) { return 1; }
size_t two(const CustomOp*) { return 2; }
size_t eight(const CustomOp*) { return 8; }
const char* aggregate_name(const CustomOp*) { return "Aggregate"; }
const char* bottleneck_name(const CustomOp*) { return "Bottleneck"; }

int zero(const CustomOp*, size_t) { return 0; }  // required; memory of the device itself

constexpr CustomOp described(const char* (*name)(const CustomOp*), size_t (*inputs)(const CustomOp*),
                             Status (*compute)(void*, Opaque*)) {
    return {VERSION, nullptr, name, provider, a_float, inputs,  a_float, one, nullptr, destroy,
            zero,    zero,    zero, {},       create,  compute, nullptr, {},  {}};
}

const CustomOp operators[] = {described(aggregate_name, two, aggregate),
                              described(bottleneck_name, eight, bottleneck)};

}  // namespace

// Threads of each call, where a session has more than one.
EXPORT void involution_onnxruntime_threads(int64_t count) { threads = count < 1 ? 1 : count; }

struct ApiBase {
    const void* (*api)(uint32_t version);
    const char* (*version)();
};

// What SessionOptions.register_custom_ops_library calls.
EXPORT Status RegisterCustomOps(Opaque* options, const ApiBase* base) {
    const void* table = base->api(VERSION);
    if (table == nullptr) return nullptr;  // too old: it says that it does not know the operators
    const Api api(table);
    if (variant() < 0)
        return api.error("ops.involution: this CPU has none of the instruction sets compiled for");
    Opaque* domain = nullptr;  // lives as long as the process: sessions may be made of it any time
    Status status = api.domain("ops.involution", &domain);
    for (const CustomOp& op : operators)
        if (status == nullptr) status = api.add(domain, &op);
    return status == nullptr ? api.add_to(options, domain) : status;
}
