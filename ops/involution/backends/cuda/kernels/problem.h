// Sizes and strides of one bare involution; cuda/plans.BareProblem mirrors it. Strides are in numbers.
#ifndef INVOLUTION_PROBLEM_H
#define INVOLUTION_PROBLEM_H

#include "platform.h"

struct Problem {
    int64 batch, channels, groups, kernel_size;
    int64 height, width, rows, columns;  // of the input, of the output
    int64 stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int64 x[4];       // (B, C, H, W), of the input or its gradient
    int64 y[4];       // (B, C, H_out, W_out), of the output or its gradient
    int64 kernel[6];  // (B, G, K, K, H_out, W_out), of the kernel or its gradient
    int64 strip;      // rows that a warp goes down; see tasks.h
    int64 native;     // 1 if channels, or the entries of a pixel, are innermost; else columns are
};

// Takes the remainder by `size` off `index`, the fastest of the axes that `index` still counts.
DEVICE int digit(int& index, int size) {
    const int quotient = index / size, rest = index - quotient * size;
    index = quotient;
    return rest;
}

#endif
