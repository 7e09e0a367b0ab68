// One kernel, KERNEL of the file SOURCE, behind a C function that Python calls.
#include SOURCE

extern "C" const char* run_on_host(const unsigned* grid, unsigned threads, size_t shared_bytes,
                                   void** arguments, int backwards, int fill, long* slow) {
    return shim::launch(KERNEL, grid, threads, shared_bytes, arguments, backwards != 0, fill, slow);
}
