// The C interface: each call names the variant, a number below involution_variants().
#include "table.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

#if defined(__x86_64__)
const Table* const tables[] = {&involution_v4_table, &involution_v3_table, &involution_v2_table};
const char* const names[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2"};

bool runs(int variant) {
    __builtin_cpu_init();
    if (variant == 2) return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (variant == 1) return v3;
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512cd");
}
#else
const Table* const tables[] = {&involution_baseline_table};
const char* const names[] = {"baseline"};

bool runs(int) { return true; }
#endif

const Table& table(int variant) { return *tables[variant]; }

}  // namespace

EXPORT int involution_variants() { return sizeof tables / sizeof *tables; }

EXPORT const char* involution_variant_name(int variant) { return names[variant]; }

EXPORT int involution_variant_runs(int variant) { return runs(variant); }

EXPORT int involution_aggregate(int variant, const Plan* plan, const void* x, const void* kernel,
                                void* y, int64_t threads) {
    return table(variant).aggregate(plan, x, kernel, y, threads);
}

EXPORT int involution_grad_input(int variant, const Plan* plan, const void* grad_output,
                                 const void* kernel, void* grad_x, int64_t threads) {
    return table(variant).grad_input(plan, grad_output, kernel, grad_x, threads);
}

EXPORT int involution_grad_kernel(int variant, const Plan* plan, const void* grad_output,
                                  const void* x, void* grad_kernel, int64_t threads) {
    return table(variant).grad_kernel(plan, grad_output, x, grad_kernel, threads);
}

EXPORT int involution_fused(int variant, const Plan* plan, const void* x, const void* features,
                            const void* weight, const void* bias, void* y, int64_t threads) {
    return table(variant).fused(plan, x, features, weight, bias, y, threads);
}

EXPORT int involution_fused_backward(int variant, const Plan* plan, const void* grad_output,
                                     const void* x, const void* features, const void* weight,
                                     const void* bias, void* grad_x, void* grad_features,
                                     void* grad_weight, void* grad_bias, int64_t threads) {
    return table(variant).fused_backward(plan, grad_output, x, features, weight, bias, grad_x,
                                         grad_features, grad_weight, grad_bias, threads);
}

EXPORT int involution_bottleneck(int variant, const Plan* plan, const void* x, const void* reduce,
                                 const void* mean, const void* variance, const void* gain,
                                 const void* offset, const void* weight, const void* bias, void* y,
                                 double epsilon, int64_t threads) {
    return table(variant).bottleneck(plan, x, reduce, mean, variance, gain, offset, weight, bias, y,
                                     epsilon, threads);
}

EXPORT int involution_normalise(int variant, const Rows* rows, const void* x, const void* shortcut,
                                const void* mean, const void* variance, const void* gain,
                                const void* offset, void* y, double epsilon, int64_t threads) {
    return table(variant).normalise(rows, x, shortcut, mean, variance, gain, offset, y, epsilon,
                                    threads);
}
