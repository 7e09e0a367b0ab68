// Everything, for the instruction set this file is compiled for; VARIANT names it.
#include "backward.h"
#include "bottleneck.h"
#include "normalise.h"
#include "table.h"

namespace VARIANT {

// function(S()) with the storage type S of that number; its result as an exit status.
template <class Function>
int by_storage(int64_t storage, const Function& function) {
    const bool done = storage == 0   ? function(float())
                      : storage == 1 ? function(bfloat16())
                                           : function(double());
    return done ? 0 : 1;
}

int aggregate_any(const Plan* p, const void* x, const void* kernel, void* y, int64_t threads) {
    return by_storage(p->storage, [&](auto s) {
        typedef decltype(s) S;
        return aggregate<S>(*p, (const S*)x, (const S*)kernel, (S*)y, threads);
    });
}

int grad_input_any(const Plan* p, const void* grad_output, const void* kernel, void* grad_x,
                   int64_t threads) {
    return by_storage(p->storage, [&](auto s) {
        typedef decltype(s) S;
        return grad_input<S>(*p, (const S*)grad_output, (const S*)kernel, (S*)grad_x, threads);
    });
}

int grad_kernel_any(const Plan* p, const void* grad_output, const void* x, void* to,
                    int64_t threads) {
    return by_storage(p->storage, [&](auto s) {
        typedef decltype(s) S;
        return grad_kernel<S>(*p, (const S*)grad_output, (const S*)x, (S*)to, threads);
    });
}

int fused_any(const Plan* p, const void* x, const void* features, const void* weight,
              const void* bias, void* y, int64_t threads) {
    return by_storage(p->storage, [&](auto s) {
        typedef decltype(s) S;
        return fused<S>(*p, (const S*)x, (const S*)features, (const S*)weight, (const S*)bias,
                        (S*)y, threads);
    });
}

int fused_backward_any(const Plan* p, const void* grad_output, const void* x, const void* features,
                       const void* weight, const void* bias, void* grad_x, void* grad_features,
                       void* grad_weight, void* grad_bias, int64_t threads) {
    return by_storage(p->storage, [&](auto s) {
        typedef decltype(s) S;
        const Backward<S> backward(*p, (const S*)grad_output, (const S*)x, (const S*)features,
                                   (const S*)weight, (const S*)bias);
        return backward.run((S*)grad_x, (S*)grad_features, (S*)grad_weight, (S*)grad_bias,
                            threads);
    });
}

int bottleneck_any(const Plan* p, const void* x, const void* reduce, const void* mean,
                   const void* variance, const void* gain, const void* offset, const void* weight,
                   const void* bias, void* y, double epsilon, int64_t threads) {
    return by_storage(p->storage, [&](auto s) {
        typedef decltype(s) S;
        const Reduction<S> reduction = {(const S*)reduce, (const S*)mean, (const S*)variance,
                                        (const S*)gain, (const S*)offset, epsilon};
        return bottleneck<S>(*p, (const S*)x, reduction, (const S*)weight, (const S*)bias, (S*)y,
                             threads);
    });
}

int normalise_any(const Rows* rows, const void* x, const void* shortcut, const void* mean,
                  const void* variance, const void* gain, const void* offset, void* y,
                  double epsilon, int64_t threads) {
    return by_storage(rows->storage, [&](auto s) {
        typedef decltype(s) S;
        const Statistics<S> statistics = {(const S*)mean, (const S*)variance, (const S*)gain,
                                          (const S*)offset, epsilon};
        return normalise<S>(*rows, (const S*)x, (const S*)shortcut, statistics, (S*)y, threads);
    });
}

}  // namespace VARIANT

#define JOIN(A, B) A##B
#define NAMED(A) JOIN(A, _table)
extern const Table NAMED(VARIANT);
const Table NAMED(VARIANT) = {VARIANT::aggregate_any, VARIANT::grad_input_any,
                              VARIANT::grad_kernel_any, VARIANT::fused_any,
                              VARIANT::fused_backward_any, VARIANT::bottleneck_any,
                              VARIANT::normalise_any};
