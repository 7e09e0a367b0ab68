// The geometry of one call, as the loader passes it: an array of 64-bit integers.
#pragma once

#include <stdint.h>

struct ImageStrides {
    int64_t image, channel, row, column;
};

struct KernelStrides {
    int64_t image, group, u, v, row, column;
};

struct Plan {
    int64_t storage;  // 0 float32, 1 bfloat16, 2 float64
    int64_t images, channels, groups, size;
    int64_t height, width, out_height, out_width;
    int64_t stride_rows, stride_columns, pad_rows, pad_columns, dilation_rows, dilation_columns;
    int64_t hidden;          // channels of the generator's features
    ImageStrides x, y;       // of the input (or its gradient) and of the output
    KernelStrides kernel;    // of the kernel tensor (or its gradient)
    ImageStrides features;   // of the generator's features (or of their gradient)
};

// Of a call that knows no more than pixels, one row of channels after the other.
struct Rows {
    int64_t storage, rows, channels, relu;
};
