/* SPDX-License-Identifier: MIT */
/* A fuzzer without libFuzzer: each file named is one input, or standard input is. What AFL++ runs. */
#include "fuzz.h"

#define INPUT_MAX (1u << 20)

static int run(FILE *f)
{
    uint8_t *whole = malloc(INPUT_MAX), *data;
    size_t size;

    if (!whole)
        return 1;
    size = fread(whole, 1, INPUT_MAX, f);
    data = malloc(size ? size : 1); /* of that size, so that the sanitizer sees a read beyond it */
    if (data) {
        memcpy(data, whole, size);
        LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    free(whole);
    return !data;
}

int main(int argc, char **argv)
{
    int status = 0;

    if (argc < 2)
        return run(stdin);
    for (int i = 1; i < argc && !status; i++) {
        FILE *f = fopen(argv[i], "rb");

        if (!f) {
            perror(argv[i]);
            return 1;
        }
        status = run(f);
        fclose(f);
    }
    return status;
}
