// The entry points of one compiled variant. Each returns 0, or 1 if memory ran out.
#pragma once

#include "plan.h"

struct Table {
    int (*aggregate)(const Plan*, const void* x, const void* kernel, void* y, int64_t threads);
    int (*grad_input)(const Plan*, const void* grad_output, const void* kernel, void* grad_x,
                      int64_t threads);
    int (*grad_kernel)(const Plan*, const void* grad_output, const void* x, void* grad_kernel,
                       int64_t threads);
    int (*fused)(const Plan*, const void* x, const void* features, const void* weight,
                 const void* bias, void* y, int64_t threads);
    int (*fused_backward)(const Plan*, const void* grad_output, const void* x,
                          const void* features, const void* weight, const void* bias, void* grad_x,
                          void* grad_features, void* grad_weight, void* grad_bias,
                          int64_t threads);
    int (*bottleneck)(const Plan*, const void* x, const void* reduce, const void* mean,
                      const void* variance, const void* gain, const void* offset,
                      const void* weight, const void* bias, void* y, double epsilon,
                      int64_t threads);
    int (*normalise)(const Rows*, const void* x, const void* shortcut, const void* mean,
                     const void* variance, const void* gain, const void* offset, void* y,
                     double epsilon, int64_t threads);
};

#if defined(__x86_64__)
extern const Table involution_v2_table, involution_v3_table, involution_v4_table;
#else
extern const Table involution_baseline_table;
#endif
