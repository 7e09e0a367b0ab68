// For comparison only: the algorithm that the paper's authors released, forward, in fp32 and NCHW.
// A thread has one output and reads its window and its kernel entries from global memory; sizes are
// macros, so that every new shape of the input is a compilation. Indices are 32-bit, as released.
#include "problem.h"

extern "C" __global__ void __launch_bounds__(1024)
    released(const Problem problem, const float* __restrict__ x, const float* __restrict__ kernel,
             float* __restrict__ y) {
    const int total = BATCH * CHANNELS * ROWS * COLUMNS;
    for (int index = blockIdx.x * blockDim.x + threadIdx.x; index < total;
         index += blockDim.x * gridDim.x) {
        const int image = index / CHANNELS / ROWS / COLUMNS;
        const int channel = index / ROWS / COLUMNS % CHANNELS;
        const int i = index / COLUMNS % ROWS, j = index % COLUMNS;
        const int group = channel / (CHANNELS / GROUPS);
        float sum = 0;
#pragma unroll
        for (int u = 0; u < KERNEL_SIZE; ++u) {
#pragma unroll
            for (int v = 0; v < KERNEL_SIZE; ++v) {
                const int row = i * STRIDE_Y + u * DILATION_Y - PADDING_Y;
                const int column = j * STRIDE_X + v * DILATION_X - PADDING_X;
                if (row < 0 || row >= HEIGHT || column < 0 || column >= WIDTH) continue;
                const int tap = ((image * GROUPS + group) * KERNEL_SIZE + u) * KERNEL_SIZE + v;
                sum += kernel[(tap * ROWS + i) * COLUMNS + j] *
                       x[((image * CHANNELS + channel) * HEIGHT + row) * WIDTH + column];
            }
        }
        y[index] = sum;
    }
}
