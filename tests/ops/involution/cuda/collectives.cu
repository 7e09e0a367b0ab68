// Collectives of platform.h on their own, to check the shim against plain matrix products.
#include "platform.h"

struct Problem {
    int64 unused;
};

// d = a b + c, one warp; every matrix by rows.
extern "C" __global__ void product(const Problem problem, const STORAGE* a, const STORAGE* b,
                                   float* d) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    STORAGE* tile = shared_memory<STORAGE>();
    for (int i = lane; i < 256; i += 32) tile[i] = a[i];
    for (int i = lane; i < 128; i += 32) tile[256 + i] = b[i];
    __syncthreads();
    uint32 left[4], right[2];
    load_matrices(left, tile + lane % 16 * 16 + lane / 16 * 8);
    load_matrices_transposed(right, tile + 256 + lane % 16 * 8);
    float sum[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t],
                    d[(g + 8) * 8 + 2 * t + 1]};
    mma_m16n8k16<STORAGE>(sum, left, right);
    for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// Each lane's number plus that of the lane beside it, across two warps.
extern "C" __global__ void neighbours(const Problem problem, const float* from, float* to) {
    const int i = threadIdx.x;
    float* row = shared_memory<float>();
    row[i] = from[i] + __shfl_xor_sync(0xffffffffu, from[i], 1);
    __syncthreads();
    to[i] = row[blockDim.x - 1 - i];
}

// As a kernel must not: some threads leave before a barrier.
extern "C" __global__ void stuck(const Problem problem) {
    if (threadIdx.x == 3) return;
    __syncthreads();
}

// Rounds from float and back.
extern "C" __global__ void rounded(const Problem problem, const float* from, float* to,
                                   STORAGE* stored) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    stored[i] = narrowed<STORAGE>(from[i]);
    to[i] = widen(stored[i]);
}
