/* A disk that fails or is slow, for one process and the files below one directory: LD_PRELOAD it, and name the file with the dose in
   DISK_FAULTS_FILE and the directory in DISK_FAULTS_BELOW.

   The dose is five signed 64-bit numbers, read at every call, so that it can be set while the process runs:

       fsync_ns     how long every fsync takes more
       fsync_error  what every fsync fails with (EIO is 5), 0 for none
       write_error  the same for every write; with EROFS the file system says of itself that it is read-only
       read_error   the same for every read
       met          counts the calls that were slowed or refused

   A call that goes round the C library (a raw system call) is not met; SQLite, Python and Rust's standard library go through it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL

struct dose {
    volatile int64_t fsync_ns, fsync_error, write_error, read_error;
    int64_t met;
};

static struct dose none;
static struct dose *dose = &none;
static char below[4096];
static size_t below_length;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_FAULTS_FILE"), *folder = getenv("DISK_FAULTS_BELOW");
    int file = path && folder ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof(struct dose), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page != MAP_FAILED && strlen(folder) < sizeof below) {
        strcpy(below, folder);
        below_length = strlen(folder);
        dose = page;
    }
    close(file);
}

/* Whether an open file is below the directory. */
static int is_met(int descriptor) {
    char link[32], target[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, target, sizeof target);
    return length > (ssize_t)below_length && !memcmp(target, below, below_length) && target[below_length] == '/';
}

/* The error of this call, or 0. */
static int refuse(int64_t error, int descriptor) {
    if (!error || !is_met(descriptor))
        return 0;
    __atomic_fetch_add(&dose->met, 1, __ATOMIC_RELAXED);
    errno = (int)error;
    return 1;
}

static int sync_with(int (*real)(int), int descriptor) {
    if (dose->fsync_ns && is_met(descriptor)) {
        struct timespec wait = {dose->fsync_ns / NS, dose->fsync_ns % NS};
        __atomic_fetch_add(&dose->met, 1, __ATOMIC_RELAXED);
        while (nanosleep(&wait, &wait) && errno == EINTR)
            ;
    }
    return refuse(dose->fsync_error, descriptor) ? -1 : real(descriptor);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ONCE(name)                     \
    static __typeof__(&name) real;     \
    if (!real)                         \
    real = REAL(name)

int fsync(int descriptor) {
    ONCE(fsync);
    return sync_with(real, descriptor);
}

int fdatasync(int descriptor) {
    ONCE(fdatasync);
    return sync_with(real, descriptor);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    ONCE(write);
    return refuse(dose->write_error, descriptor) ? -1 : real(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    ONCE(writev);
    return refuse(dose->write_error, descriptor) ? -1 : real(descriptor, parts, count);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at) {
    ONCE(pwrite);
    return refuse(dose->write_error, descriptor) ? -1 : real(descriptor, data, size, at);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t at) {
    ONCE(pwrite64);
    return refuse(dose->write_error, descriptor) ? -1 : real(descriptor, data, size, at);
}

ssize_t read(int descriptor, void *data, size_t size) {
    ONCE(read);
    return refuse(dose->read_error, descriptor) ? -1 : real(descriptor, data, size);
}

ssize_t pread(int descriptor, void *data, size_t size, off_t at) {
    ONCE(pread);
    return refuse(dose->read_error, descriptor) ? -1 : real(descriptor, data, size, at);
}

ssize_t pread64(int descriptor, void *data, size_t size, off64_t at) {
    ONCE(pread64);
    return refuse(dose->read_error, descriptor) ? -1 : real(descriptor, data, size, at);
}

/* Whether the state of this path's disk is to be that of one that turned read-only. */
static int is_read_only(const char *path) {
    return dose->write_error == EROFS && !strncmp(path, below, below_length) && (!path[below_length] || path[below_length] == '/');
}

int statvfs(const char *path, struct statvfs *found) {
    ONCE(statvfs);
    int outcome = real(path, found);
    if (!outcome && is_read_only(path))
        found->f_flag |= ST_RDONLY;
    return outcome;
}

int statvfs64(const char *path, struct statvfs64 *found) {
    ONCE(statvfs64);
    int outcome = real(path, found);
    if (!outcome && is_read_only(path))
        found->f_flag |= ST_RDONLY;
    return outcome;
}
