/* Preloaded into a Python: counts the calls that write below one folder, and has the one of a given number fail.

   cc -shared -fPIC -O1 -o shim.so shim.c -ldl
   fault_arm("/folder/", number, errno, stays): from the call of this number on (counted from 0), once or for good.
   fault_count(): how many calls there were since. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static long failing = -1;
static int error_number, stays;
static atomic_long count;

void fault_arm(const char *below, long number, int error, int for_good) {
    strncpy(folder, below, sizeof folder - 1);
    failing = number;
    error_number = error;
    stays = for_good;
    atomic_store(&count, 0);
}

long fault_count(void) { return atomic_load(&count); }

static int fails(void) {
    long number = atomic_fetch_add(&count, 1);
    if (failing < 0 || !(number == failing || (stays && number > failing))) return 0;
    errno = error_number;
    return 1;
}

static int below(const char *path) {
    if (!folder[0] || !path) return 0;
    if (path[0] == '/') return strncmp(path, folder, strlen(folder)) == 0;
    char here[4096];
    size_t length;
    if (!getcwd(here, sizeof here - 1)) return 0;
    length = strlen(here);
    here[length] = '/';
    here[length + 1] = 0;
    return strncmp(here, folder, strlen(folder)) == 0;
}

static int of(int descriptor) {
    char link[64], path[4096];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define DESCRIPTOR(type, name, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        if (of(fd) && fails()) return -1; \
        return real arguments; \
    }
#define PATH(type, name, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        if (below(path) && fails()) return -1; \
        return real arguments; \
    }
#define OPEN(name, before, first, parameters_before) \
    int name(parameters_before const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && below(path) && fails()) return -1; \
        return real(before path, flags, mode); \
    }
#define NOTHING
#define COMMA ,

OPEN(open, NOTHING, , )
OPEN(open64, NOTHING, , )
OPEN(openat, at COMMA, , int at COMMA)
OPEN(openat64, at COMMA, , int at COMMA)
DESCRIPTOR(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
DESCRIPTOR(ssize_t, writev, (int fd, const struct iovec *parts, int number), (fd, parts, number))
DESCRIPTOR(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
DESCRIPTOR(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
DESCRIPTOR(int, fsync, (int fd), (fd))
DESCRIPTOR(int, fdatasync, (int fd), (fd))
DESCRIPTOR(int, ftruncate, (int fd, off_t size), (fd, size))
DESCRIPTOR(int, ftruncate64, (int fd, off64_t size), (fd, size))
DESCRIPTOR(int, fchmod, (int fd, mode_t mode), (fd, mode))
PATH(int, mkdir, (const char *path, mode_t mode), (path, mode))
PATH(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode))
PATH(int, chmod, (const char *path, mode_t mode), (path, mode))
PATH(int, fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags))
PATH(int, rename, (const char *path, const char *to), (path, to))
PATH(int, renameat, (int at, const char *path, int at_to, const char *to), (at, path, at_to, to))
PATH(int, renameat2, (int at, const char *path, int at_to, const char *to, unsigned flags), (at, path, at_to, to, flags))
