// A batch norm in eval mode put into the 1x1 convolution before it: with
// scale[i] = gain[i] / sqrt(variance[i] + epsilon),
//
//     matrix[i][c] = scale[i] reduce[i][c]
//     shift[i] = offset[i] - scale[i] mean[i]
//
// One launch in place of the eight of torch's operators. Compiled for STORAGE, the type of all.
#include "platform.h"

struct Problem {
    int64 features, channels;
};

extern "C" __global__ void fold(const Problem p, const STORAGE* reduce, const STORAGE* mean,
                                const STORAGE* variance, const STORAGE* gain,
                                const STORAGE* offset, STORAGE* matrix, STORAGE* shift,
                                const double epsilon) {
    const int64 at = int64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= p.features * p.channels) return;
    const int64 feature = at / p.channels;
    const float deviation = sqrtf(widen(variance[feature]) + float(epsilon));
    const float scale = widen(gain[feature]) / deviation;
    matrix[at] = narrowed<STORAGE>(scale * widen(reduce[at]));
    if (at % p.channels == 0)
        shift[feature] = narrowed<STORAGE>(widen(offset[feature]) - scale * widen(mean[feature]));
}
