// The three operators for whatever has no faster path: any strides, sizes and window, one result
// a thread. Neighbouring threads take neighbouring channels of a channels-last image, neighbouring
// columns of any other. Threads along x count two axes in memory, blocks along y a third, and along
// z the images; a grid that is too short goes on from where it ends.
#include "plain.h"

typedef STORAGE Storage;

// Calls `result(image, channel, row, column)` for this thread's pixels.
template <class F>
DEVICE void each_pixel(const Problem& p, int rows, int columns, F result) {
    const int channels = int(p.channels);
    int fast = int(blockIdx.x * blockDim.x + threadIdx.x);
    const int first = digit(fast, p.native ? channels : columns);
    if (fast >= (p.native ? columns : rows)) return;
    for (int64 image = blockIdx.z; image < p.batch; image += gridDim.z) {
        if (p.native) {
            for (int row = blockIdx.y; row < rows; row += gridDim.y)
                result(image, first, row, fast);
        } else {
            for (int channel = blockIdx.y; channel < channels; channel += gridDim.y)
                result(image, channel, fast, first);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
    aggregate_any(const Problem p, const Storage* __restrict__ x,
                  const Storage* __restrict__ kernel, Storage* __restrict__ y) {
    each_pixel(p, int(p.rows), int(p.columns),
               [&](int64 image, int channel, int i, int j) {
                   narrow(plain_output(p, x, kernel, image, channel, i, j),
                          y[offset(p.y, image, channel, i, j)]);
               });
}

extern "C" __global__ void __launch_bounds__(256)
    grad_input_any(const Problem p, const Storage* __restrict__ grad_output,
                   const Storage* __restrict__ kernel, Storage* __restrict__ grad_x) {
    each_pixel(p, int(p.height), int(p.width),
               [&](int64 image, int channel, int row, int column) {
                   narrow(plain_grad_input(p, grad_output, kernel, image, channel, row, column),
                          grad_x[offset(p.x, image, channel, row, column)]);
               });
}

// The entries of a pixel in the place of the channels.
extern "C" __global__ void __launch_bounds__(256)
    grad_kernel_any(const Problem p, const Storage* __restrict__ grad_output,
                    const Storage* __restrict__ x, Storage* __restrict__ grad_kernel) {
    const int size = int(p.kernel_size), columns = int(p.columns), rows = int(p.rows);
    const int entries = int(p.groups) * size * size;
    const bool native = p.native;
    int fast = int(blockIdx.x * blockDim.x + threadIdx.x);
    const int first = digit(fast, native ? entries : columns);
    if (fast >= (native ? columns : rows)) return;
    for (int64 image = blockIdx.z; image < p.batch; image += gridDim.z) {
        for (int slow = blockIdx.y; slow < (native ? rows : entries); slow += gridDim.y) {
            int group = native ? first : slow;
            const int j = native ? fast : first, i = native ? slow : fast;
            const int v = digit(group, size), u = digit(group, size);
            narrow(plain_grad_kernel(p, grad_output, x, image, group, u, v, i, j),
                   grad_kernel[image * p.kernel[0] + group * p.kernel[1] + u * p.kernel[2] +
                               v * p.kernel[3] + i * p.kernel[4] + j * p.kernel[5]]);
        }
    }
}
