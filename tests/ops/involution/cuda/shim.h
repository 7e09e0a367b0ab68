// A GPU for a C++ compiler: platform.h's names, on one CPU thread. Every CUDA thread is a fiber;
// a barrier, a shuffle or an mma lets the others run until they too have come to it. Shared memory
// is exactly as long as the launch says, on the heap, and full of one byte: 0xff makes NaN of all it
// holds, so that a sanitizer sees a step outside it and a result shows what was never written.
#ifndef INVOLUTION_SHIM_H
#define INVOLUTION_SHIM_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define DEVICE inline
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct Index {
    unsigned x = 0, y = 0, z = 0;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

enum class State { READY, AT_BLOCK, AT_WARP, DONE };
constexpr int WARP = 32;
constexpr size_t STACK = 256 << 10, EXCHANGED = 64;

struct Fiber {
    ucontext_t context;  // to begin in
    void* place[5];      // to go on at, when it has begun
    bool begun = false;
    char* stack = nullptr;
    void* fake_stack = nullptr;
    State state = State::DONE;
};

// What the lanes of a warp show each other, twice: a fast lane may be one collective ahead.
struct Warp {
    unsigned char lanes[2][WARP][EXCHANGED];
    int arrived = 0, turn = 0;
};

static std::vector<Fiber> fibers;
static std::vector<Warp> warps;
static void* scheduler_place[5];
static void* scheduler_fake_stack;
static const void* scheduler_stack;
static size_t scheduler_stack_size;
static unsigned char* shared;
static int current, waiting_in_block;
static const char* trouble;
static long slow_calls;  // of slow_path, a thread each
static void (*body)(void*);
static void* body_argument;

// Not swapcontext, which asks the system each time for the signals that a thread blocks.
[[noreturn]] __attribute__((noinline)) inline void jump(void** place) {
    __builtin_longjmp(place, 1);
}

__attribute__((noinline)) inline void to_scheduler(bool forever = false) {
    Fiber& self = fibers[current];
    (void)self, (void)forever;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(forever ? nullptr : &self.fake_stack, scheduler_stack,
                                   scheduler_stack_size);
#endif
    if (!__builtin_setjmp(self.place)) jump(scheduler_place);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#endif
}

__attribute__((noinline)) inline void to_fiber(int index) {
    current = index;
    threadIdx.x = unsigned(index);
    Fiber& next = fibers[index];
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&scheduler_fake_stack, next.stack, STACK);
#endif
    if (!__builtin_setjmp(scheduler_place)) {
        if (next.begun) jump(next.place);
        next.begun = true;
        setcontext(&next.context);
    }
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
}

inline void start() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
#endif
    body(body_argument);
    fibers[current].state = State::DONE;
    to_scheduler(true);
}

// Waits until all threads of the block have come here.
inline void block_barrier() {
    if (++waiting_in_block == int(fibers.size())) {
        waiting_in_block = 0;
        for (Fiber& fiber : fibers) fiber.state = State::READY;
        return;
    }
    fibers[current].state = State::AT_BLOCK;
    to_scheduler();
}

// Waits until all lanes of the warp have come here; returns what they showed.
inline unsigned char (*exchange(const void* mine, size_t size))[EXCHANGED] {
    Warp& warp = warps[current / WARP];
    const int turn = warp.turn, first = current / WARP * WARP;
    std::memcpy(warp.lanes[turn][current - first], mine, size);
    if (++warp.arrived == WARP) {
        warp.arrived = 0;
        warp.turn ^= 1;
        for (int lane = first; lane < first + WARP; ++lane) fibers[lane].state = State::READY;
    } else {
        fibers[current].state = State::AT_WARP;
        to_scheduler();
    }
    return warp.lanes[turn];
}

template <class T>
T shuffled(T value, int source) {
    static_assert(sizeof(T) <= EXCHANGED, "a shuffle of too much");
    auto* lanes = exchange(&value, sizeof value);
    T result;
    std::memcpy(&result, lanes[source], sizeof result);
    return result;
}

// Runs a block; false if some threads wait for others that never come.
inline bool run_block(bool backwards) {
    const int count = int(fibers.size());
    waiting_in_block = 0;
    for (Warp& warp : warps) warp.arrived = warp.turn = 0;
    for (Fiber& fiber : fibers) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, start, 0);
        fiber.state = State::READY;
        fiber.begun = false;
    }
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < count; ++i) {
            const int index = backwards ? count - 1 - i : i;
            if (fibers[index].state != State::READY) continue;
            moved = true;
            to_fiber(index);
        }
    }
    for (const Fiber& fiber : fibers) {
        if (fiber.state == State::DONE) continue;
        trouble = fiber.state == State::AT_BLOCK
                      ? "a thread waits at __syncthreads for one that has returned"
                      : "a lane waits at a warp's collective for one that is not there";
        return false;
    }
    return true;
}

template <class... A>
struct Call {
    void (*kernel)(A...);
    void** arguments;

    static void make(void* self) {
        static_cast<Call*>(self)->unpack(std::index_sequence_for<A...>());
    }
    template <size_t... I>
    void unpack(std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
    }
};

// Runs a grid, one block after the other, with arguments as the CUDA driver takes them.
// `backwards` runs the threads of a block from the last to the first, `fill` is what shared memory is
// full of, `slow` gets how many threads took the slow path. Returns what went wrong.
template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* grid, unsigned threads, size_t bytes,
                   void** arguments, bool backwards, int fill, long* slow) {
    if (threads == 0 || threads % WARP) return "the block is not a multiple of 32 threads";
    Call<A...> call{kernel, arguments};
    body = Call<A...>::make;
    body_argument = &call;
    trouble = nullptr;
    slow_calls = 0;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads, 1, 1};
    fibers.resize(threads);
    warps.resize(threads / WARP);
    static std::vector<char> stacks;
    if (stacks.size() < STACK * threads) stacks.resize(STACK * threads);
    for (unsigned i = 0; i < threads; ++i) fibers[i].stack = stacks.data() + STACK * i;
    for (unsigned z = 0; z < grid[2]; ++z) {
        for (unsigned y = 0; y < grid[1]; ++y) {
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                shared = static_cast<unsigned char*>(std::malloc(bytes));
                std::memset(shared, fill, bytes);
                const bool done = run_block(backwards);
                std::free(shared);
                if (!done) return trouble;
            }
        }
    }
    *slow = slow_calls;
    return nullptr;
}

}  // namespace shim

inline void __syncthreads() { shim::block_barrier(); }
inline void __syncwarp(unsigned = 0xffffffffu) { shim::exchange("", 0); }

template <class T>
T __shfl_sync(unsigned, T value, int lane, int width = 32) {
    const int self = shim::current % 32;
    return shim::shuffled(value, self / width * width + lane % width);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask, int = 32) {
    return shim::shuffled(value, (shim::current % 32) ^ mask);
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta, int width = 32) {
    const int self = shim::current % 32, last = self / width * width + width - 1;
    const int source = self + int(delta);
    return shim::shuffled(value, source > last ? self : source);
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned delta, int width = 32) {
    const int self = shim::current % 32, first = self / width * width;
    const int source = self - int(delta);
    return shim::shuffled(value, source < first ? self : source);
}

inline int __any_sync(unsigned, int predicate) {
    predicate = predicate != 0;
    auto* lanes = shim::exchange(&predicate, sizeof predicate);
    bool any = false;
    for (int lane = 0; lane < 32; ++lane) any |= lanes[lane][0] != 0;
    return any;
}

DEVICE float float_of(uint32 bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
DEVICE uint32 bits_of(float value) {
    uint32 bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

template <class T>
DEVICE T* shared_memory() {
    return reinterpret_cast<T*>(shim::shared);
}

DEVICE float widen(float16 value) {
    const uint32 sign = uint32(value.bits & 0x8000) << 16, rest = value.bits & 0x7fff;
    if (rest >= 0x7c00) return float_of(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    const float size = float_of(rest << 13) * 0x1p112f;
    return float_of(sign | bits_of(size));
}

DEVICE void narrow(float value, float16& to) {
    const uint16 sign = uint16(bits_of(value) >> 16 & 0x8000);
    const float size = std::fabs(value);
    uint16 rest;
    if (std::isnan(value)) {
        rest = 0x7fff;
    } else if (size >= 65520.0f) {
        rest = 0x7c00;
    } else if (size < 0x1p-14f) {
        rest = uint16(std::nearbyintf(size * 0x1p24f));
    } else {
        const uint32 bits = bits_of(size);
        rest = uint16((bits - (112u << 23) + 0xfff + (bits >> 13 & 1)) >> 13);
    }
    to.bits = sign | rest;
}

DEVICE void narrow(float value, bfloat16& to) {
    const uint32 bits = bits_of(value);
    to.bits = std::isnan(value) ? 0x7fff : uint16((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <class S>
DEVICE uint32 pack(float first, float second) {
    S low, high;
    narrow(first, low);
    narrow(second, high);
    return uint32(low.bits) | uint32(high.bits) << 16;
}

DEVICE Words load_words(const void* from) { return *static_cast<const Words*>(from); }
DEVICE Words load_words_once(const void* from) { return *static_cast<const Words*>(from); }
DEVICE void store_words(void* to, const Words& words) { *static_cast<Words*>(to) = words; }

// At once: that a kernel waits for its copies is not checked here.
DEVICE void copy_async(void* shared, const void* from, bool valid = true) {
    *static_cast<Words*>(shared) = valid ? *static_cast<const Words*>(from) : Words{};
}
DEVICE void copy_async_part(void* shared, const void* from, int bytes) {
    Words words{};
    std::memcpy(&words, from, size_t(bytes));
    *static_cast<Words*>(shared) = words;
}
DEVICE void slow_path() { ++shim::slow_calls; }
DEVICE void copy_async_commit() {}
template <int N>
DEVICE void copy_async_wait() {}

namespace shim {

template <class S>
float number(const unsigned char* word, int second) {
    S value;
    std::memcpy(&value, word + 2 * second, 2);
    return widen(value);
}

template <int N>
void matrices(uint32 (&to)[N], const void* row, bool transposed) {
    Words mine{};
    const int self = current % WARP;
    if (self < 8 * N) mine = *static_cast<const Words*>(row);
    auto* lanes = exchange(&mine, sizeof mine);
    for (int i = 0; i < N; ++i) {
        uint16 pair[2];
        for (int j = 0; j < 2; ++j) {
            const int line = transposed ? self % 4 * 2 + j : self / 4;
            const int column = transposed ? self / 4 : self % 4 * 2 + j;
            std::memcpy(&pair[j], lanes[8 * i + line] + 2 * column, 2);
        }
        to[i] = uint32(pair[0]) | uint32(pair[1]) << 16;
    }
}

}  // namespace shim

template <class S>
DEVICE void mma_m16n8k16(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
    uint32 mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    auto* lanes = shim::exchange(mine, sizeof mine);
    const int self = shim::current % 32;
    for (int i = 0; i < 4; ++i) {
        const int row = self / 4 + i / 2 * 8, column = self % 4 * 2 + i % 2;
        double total = d[i];
        for (int k = 0; k < 16; ++k) {
            const int pair = k % 8 / 2, upper = k / 8;
            const unsigned char* of_a = lanes[row % 8 * 4 + pair] + 4 * (row / 8 + 2 * upper);
            const unsigned char* of_b = lanes[column * 4 + pair] + 4 * (4 + upper);
            total += double(shim::number<S>(of_a, k % 2)) * shim::number<S>(of_b, k % 2);
        }
        d[i] = float(total);
    }
}

DEVICE uint32 transposed_matrix(uint32 mine) {
    auto* lanes = shim::exchange(&mine, sizeof mine);
    const int row = shim::current % 32 / 4, column = shim::current % 4 * 2;
    uint16 pair[2];
    for (int j = 0; j < 2; ++j)
        std::memcpy(&pair[j], lanes[(column + j) * 4 + row / 2] + row % 2 * 2, 2);
    return uint32(pair[0]) | uint32(pair[1]) << 16;
}

template <int N>
DEVICE void load_matrices(uint32 (&to)[N], const void* row) {
    shim::matrices(to, row, false);
}
template <int N>
DEVICE void load_matrices_transposed(uint32 (&to)[N], const void* row) {
    shim::matrices(to, row, true);
}

#endif
