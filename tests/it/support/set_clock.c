/* A wall clock that says what the file $CLOCK_FILE holds, in seconds since 1970; preloaded by tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int (*system)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = system(id, now);
    FILE *file = id == CLOCK_REALTIME ? fopen(getenv("CLOCK_FILE"), "r") : NULL;
    if (file) {
        long long seconds;
        if (fscanf(file, "%lld", &seconds) == 1)
            now->tv_sec = seconds;
        fclose(file);
    }
    return result;
}
