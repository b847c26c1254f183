/* Records what a process does to the files of one folder, in order and with data, or makes one
 * sync fail. To be loaded with LD_PRELOAD.
 *
 * SHIM_FOLDER  the folder, as an absolute path without links
 * SHIM_RECORD  the record to append to: see `tests/system/powercut/record.py`
 * SHIM_FAIL    the number of the fsync or fdatasync in the folder, from `shim_arm` on, that is
 *              answered with EIO
 *
 * An operation and its line are one under a lock: the record's order is the true one. Children do
 * not inherit the shim.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))

struct line {
    uint32_t kind;
    uint32_t size; /* of the data that follow */
    uint64_t inode;
    uint64_t offset;
};

enum { WRITE = 1, TRUNCATE, SYNC, CREATE, LINK, RENAME, UNLINK, FOLDER, MARK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static int record = -1;
static long fail_at, syncs;

static void *real(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("SHIM_FOLDER"), *to = getenv("SHIM_RECORD");
    if (where != NULL)
        snprintf(folder, sizeof folder, "%s", where);
    if (to != NULL)
        record = REAL(open)(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (to != NULL && record < 0) {
        perror("the shim cannot record");
        abort();
    }
    unsetenv("LD_PRELOAD");
}

static void say(uint32_t kind, uint64_t inode, uint64_t offset, const void *data, size_t size) {
    struct line line = {kind, (uint32_t)size, inode, offset};
    struct iovec parts[] = {{&line, sizeof line}, {(void *)data, size}};
    if (record >= 0 && REAL(writev)(record, parts, 2) != (ssize_t)(sizeof line + size))
        abort();
}

static int inside(const char *path) {
    size_t size = strlen(folder);
    return size && strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == 0);
}

/* The inode of a descriptor if it is a file or folder of ours, else 0. */
static uint64_t ours(int fd) {
    int before = errno;
    char name[64], path[PATH_MAX];
    struct stat found;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, sizeof path - 1);
    int is = size > 0;
    if (is) {
        path[size] = 0;
        is = inside(path) && fstat(fd, &found) == 0;
    }
    errno = before;
    return is ? found.st_ino : 0;
}

static int absolute(int at, const char *path, char *out) {
    if (path[0] == '/')
        return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    char name[64], base[PATH_MAX];
    if (at == AT_FDCWD)
        snprintf(name, sizeof name, "/proc/self/cwd");
    else
        snprintf(name, sizeof name, "/proc/self/fd/%d", at);
    ssize_t size = readlink(name, base, sizeof base - 1);
    if (size <= 0)
        return 0;
    base[size] = 0;
    return snprintf(out, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

static uint64_t inode_of(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0 ? found.st_ino : 0;
}

static void say_names(uint32_t kind, uint64_t inode, const char *one, const char *other) {
    char both[2 * PATH_MAX];
    size_t first = strlen(one) + 1, second = other == NULL ? 0 : strlen(other) + 1;
    memcpy(both, one, first);
    if (second)
        memcpy(both + first, other, second);
    say(kind, inode, 0, both, first + second);
}

/* -- data ------------------------------------------------------------------------------------- */

static ssize_t written(int fd, const void *data, size_t size, off_t offset, int positioned) {
    uint64_t inode = ours(fd);
    pthread_mutex_lock(&lock);
    if (inode && !positioned)
        offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t done =
        positioned ? REAL(pwrite)(fd, data, size, offset) : REAL(write)(fd, data, size);
    int before = errno;
    if (inode && done > 0)
        say(WRITE, inode, (uint64_t)offset, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = before;
    return done;
}

ssize_t write(int fd, const void *data, size_t size) {
    return fd == record ? REAL(write)(fd, data, size) : written(fd, data, size, 0, 0);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return written(fd, data, size, offset, 1);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    return written(fd, data, size, offset, 1);
}

static int truncated(int fd, off_t size) {
    uint64_t inode = ours(fd);
    pthread_mutex_lock(&lock);
    int done = REAL(ftruncate)(fd, size);
    int before = errno;
    if (inode && done == 0)
        say(TRUNCATE, inode, (uint64_t)size, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = before;
    return done;
}

int ftruncate(int fd, off_t size) {
    return truncated(fd, size);
}
int ftruncate64(int fd, off_t size) {
    return truncated(fd, size);
}

static int synced(int fd, int data_only) {
    uint64_t inode = ours(fd);
    pthread_mutex_lock(&lock);
    int done, before;
    if (inode && fail_at && ++syncs == fail_at) {
        done = -1;
        before = EIO;
    } else {
        done = data_only ? REAL(fdatasync)(fd) : REAL(fsync)(fd);
        before = errno;
        if (inode && done == 0)
            say(SYNC, inode, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = before;
    return done;
}

int fsync(int fd) {
    return synced(fd, 0);
}
int fdatasync(int fd) {
    return synced(fd, 1);
}

/* -- names ------------------------------------------------------------------------------------ */

static int opened(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    pthread_mutex_lock(&lock);
    int makes = (flags & O_CREAT) && absolute(at, path, whole) && inside(whole);
    uint64_t there = makes ? inode_of(whole) : 0;
    int fd = REAL(openat)(at, path, flags, mode);
    int before = errno;
    if (fd >= 0 && makes && !there)
        say_names(CREATE, inode_of(whole), whole, NULL);
    uint64_t emptied = fd >= 0 && (flags & O_TRUNC) ? ours(fd) : 0;
    if (emptied)
        say(TRUNCATE, emptied, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = before;
    return fd;
}

#define OPENER(name)                                                                              \
    int name(const char *path, int flags, ...) {                                                  \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                   \
        va_end(rest);                                                                             \
        return opened(AT_FDCWD, path, flags, mode);                                               \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                                                           \
    int name(int at, const char *path, int flags, ...) {                                          \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                   \
        va_end(rest);                                                                             \
        return opened(at, path, flags, mode);                                                     \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

static int named(uint32_t kind, const char *one, const char *other, int flags) {
    char from[PATH_MAX], to[PATH_MAX];
    pthread_mutex_lock(&lock);
    int is = absolute(AT_FDCWD, one, from) && inside(from);
    if (other != NULL)
        is = absolute(AT_FDCWD, other, to) && (is || inside(to));
    uint64_t inode = is ? inode_of(from) : 0;
    int done;
    switch (kind) {
    case LINK:
        done = REAL(link)(one, other);
        break;
    case RENAME:
        done = REAL(rename)(one, other);
        break;
    case FOLDER:
        done = REAL(mkdir)(one, (mode_t)flags);
        inode = is ? inode_of(from) : 0;
        break;
    default:
        done = REAL(unlink)(one);
    }
    int before = errno;
    if (is && done == 0)
        say_names(kind, inode, from, other == NULL ? NULL : to);
    pthread_mutex_unlock(&lock);
    errno = before;
    return done;
}

int link(const char *from, const char *to) {
    return named(LINK, from, to, 0);
}
int rename(const char *from, const char *to) {
    return named(RENAME, from, to, 0);
}
int unlink(const char *path) {
    return named(UNLINK, path, NULL, 0);
}
int mkdir(const char *path, mode_t mode) {
    return named(FOLDER, path, NULL, (int)mode);
}

/* -- for the program under test --------------------------------------------------------------- */

void shim_mark(const char *data, size_t size) {
    pthread_mutex_lock(&lock);
    say(MARK, 0, 0, data, size);
    pthread_mutex_unlock(&lock);
}

void shim_arm(void) {
    const char *number = getenv("SHIM_FAIL");
    pthread_mutex_lock(&lock);
    fail_at = number == NULL ? 0 : atol(number);
    syncs = 0;
    pthread_mutex_unlock(&lock);
}
