/* Shifts the wall clock of one process, and nothing else: LD_PRELOAD it, and name the file with the offset in CLOCK_OFFSET_FILE.

   The file holds one signed 64-bit number of nanoseconds, read at every look at the clock, so that the clock can be set while the process
   runs. libfaketime does the same and more; Debian's (0.9.10) also breaks waits on the monotonic clock (clock_nanosleep gives EINVAL, and
   threads wait seconds for Python's lock), which no wrong clock does. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL

static volatile int64_t none;
static volatile int64_t *offset_ns = &none;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        offset_ns = page;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!real)
        begin();
    int failed = real(clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = at->tv_sec * NS + at->tv_nsec + *offset_ns;
        at->tv_sec = ns / NS;
        at->tv_nsec = ns % NS;
    }
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
