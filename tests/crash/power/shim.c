/* Records what a process does to the files below a directory, and what it writes to its standard output, in one order.
 *
 * It is preloaded. One lock is held during each call below, so that the calls are recorded in the order in which they
 * happened. A call is made as a system call, and recorded once it has succeeded. With a limit set, the process kills
 * itself instead of making the call with that number, so that the record and the disk never differ by a call.
 *
 * A record with a gap would prove nothing. So a call that cannot be recorded ends the process or fails, and the test
 * compares the state to which the record leads with the files on disk.
 *
 * DATELINE_POWER_ROOT   the directory: an absolute path without links
 * DATELINE_POWER_TRACE  the file to append to
 * DATELINE_POWER_LIMIT  the number of the call before which the process kills itself; no limit if unset
 *
 * A record is a struct head in the machine's byte order, then its two texts. tests/crash/power/trace.rs reads it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, RESIZE, SYNC, DATA_SYNC, RANGE_SYNC, RENAME, LINK, UNLINK, MKDIR, RMDIR, SAID };

struct head {
    uint32_t kind;
    uint32_t first_bytes;
    uint32_t second_bytes;
    uint32_t zero;
    uint64_t inode;
    uint64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int trace = -1;
static long limit = -1;
static long calls;

static void give_up(const char *why) {
    syscall(SYS_write, 2, why, strlen(why));
    syscall(SYS_write, 2, "\n", 1);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    const char *directory = getenv("DATELINE_POWER_ROOT");
    const char *path = getenv("DATELINE_POWER_TRACE");
    const char *number = getenv("DATELINE_POWER_LIMIT");
    if (directory == NULL || path == NULL || strlen(directory) >= sizeof root) return;
    int opened = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (opened < 0) give_up("shim: the trace cannot be opened");
    trace = opened;
    if (number != NULL) limit = atol(number);
    strcpy(root, directory);
    root_length = strlen(root);
}

static void put(const void *bytes, size_t length) {
    const char *next = bytes;
    while (length > 0) {
        ssize_t written = syscall(SYS_write, trace, next, length);
        if (written <= 0) give_up("shim: the trace cannot be written");
        next += written;
        length -= (size_t)written;
    }
}

static void record(enum kind kind, uint64_t inode, uint64_t offset, const void *first, size_t first_bytes,
                   const char *second) {
    size_t second_bytes = second == NULL ? 0 : strlen(second);
    struct head head = {kind, (uint32_t)first_bytes, (uint32_t)second_bytes, 0, inode, offset};
    int before = errno;
    put(&head, sizeof head);
    put(first, first_bytes);
    put(second, second_bytes);
    errno = before;
}

/* Counts a call that is about to be made. */
static void count(void) {
    if (limit >= 0 && calls++ >= limit) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
}

static int is_below(const char *path) {
    return trace >= 0 && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

/* Finds the path of an open file, and whether it is below the root. */
static int is_recorded(int file) {
    char link[64], path[PATH_MAX];
    if (trace < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* Makes the path argument of a call absolute. */
static int resolve(int directory, const char *path, char *absolute) {
    char link[64];
    if (path[0] == '/') return snprintf(absolute, PATH_MAX, "%s", path) < PATH_MAX;
    snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, absolute, PATH_MAX - 1);
    if (length <= 0) return 0;
    return length + snprintf(absolute + length, PATH_MAX - (size_t)length, "/%s", path) < PATH_MAX;
}

static uint64_t inode_of(int file) {
    struct stat found;
    return fstat(file, &found) == 0 ? found.st_ino : 0;
}

static int is_there(const char *path) {
    struct stat found;
    return fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    char absolute[PATH_MAX];
    int changes = flags & (O_CREAT | O_TRUNC);
    if (trace < 0 || !changes || !resolve(directory, path, absolute) || !is_below(absolute)) {
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    }
    pthread_mutex_lock(&lock);
    count();
    int was_there = is_there(absolute);
    int file = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (file >= 0 && !was_there) record(CREATE, inode_of(file), 0, absolute, strlen(absolute), NULL);
    if (file >= 0 && was_there && (flags & O_TRUNC)) record(RESIZE, inode_of(file), 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* Writes at offset `at`, or at the file's current offset if `at` is negative. */
static ssize_t write_at(int file, const void *bytes, size_t length, off_t at) {
    int says = file == STDOUT_FILENO && trace >= 0;
    if (!says && !is_recorded(file)) {
        return at < 0 ? syscall(SYS_write, file, bytes, length) : syscall(SYS_pwrite64, file, bytes, length, at);
    }
    pthread_mutex_lock(&lock);
    count();
    ssize_t written = at < 0 ? syscall(SYS_write, file, bytes, length) : syscall(SYS_pwrite64, file, bytes, length, at);
    if (written > 0 && says) record(SAID, 0, 0, bytes, (size_t)written, NULL);
    if (written > 0 && !says) {
        int before = errno;
        if (at < 0) at = lseek(file, 0, SEEK_CUR) - written;
        errno = before;
        record(WRITE, inode_of(file), (uint64_t)at, bytes, (size_t)written, NULL);
    }
    pthread_mutex_unlock(&lock);
    return written;
}

/* Writes only the first of several pieces: a short write, which callers have to expect. */
static ssize_t write_first_at(int file, const struct iovec *pieces, int pieces_count, off_t at) {
    for (int piece = 0; piece < pieces_count; piece++) {
        if (pieces[piece].iov_len > 0) return write_at(file, pieces[piece].iov_base, pieces[piece].iov_len, at);
    }
    return 0;
}

ssize_t write(int file, const void *bytes, size_t length) { return write_at(file, bytes, length, -1); }
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return write_at(file, bytes, length, at); }
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) { return write_at(file, bytes, length, at); }
ssize_t writev(int file, const struct iovec *from, int pieces) { return write_first_at(file, from, pieces, -1); }
ssize_t pwritev(int file, const struct iovec *from, int pieces, off_t at) {
    return write_first_at(file, from, pieces, at);
}
ssize_t pwritev64(int file, const struct iovec *from, int pieces, off64_t at) {
    return write_first_at(file, from, pieces, at);
}
ssize_t pwritev2(int file, const struct iovec *from, int pieces, off_t at, int flags) {
    return flags == 0 ? write_first_at(file, from, pieces, at) : (errno = EOPNOTSUPP, -1);
}
ssize_t pwritev64v2(int file, const struct iovec *from, int pieces, off64_t at, int flags) {
    return pwritev2(file, from, pieces, at, flags);
}

int ftruncate(int file, off_t length) {
    if (!is_recorded(file)) return (int)syscall(SYS_ftruncate, file, length);
    pthread_mutex_lock(&lock);
    count();
    int done = (int)syscall(SYS_ftruncate, file, length);
    if (done == 0) record(RESIZE, inode_of(file), (uint64_t)length, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate64(int file, off64_t length) { return ftruncate(file, length); }

/* A write during a sync counts as written after it, because the sync holds the lock. */
static int synced(int file, enum kind kind, long number) {
    if (!is_recorded(file)) return (int)syscall(number, file);
    pthread_mutex_lock(&lock);
    count();
    /* The real disk does not have to be synced for the test, so the call is skipped. */
    record(kind, inode_of(file), 0, NULL, 0, NULL);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int file) { return synced(file, SYNC, SYS_fsync); }
int fdatasync(int file) { return synced(file, DATA_SYNC, SYS_fdatasync); }
int sync_file_range(int file, off64_t offset, off64_t length, unsigned flags) {
    (void)length;
    (void)flags;
    if (is_recorded(file)) {
        pthread_mutex_lock(&lock);
        count();
        record(RANGE_SYNC, inode_of(file), (uint64_t)offset, NULL, 0, NULL);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char source[PATH_MAX], target[PATH_MAX];
    if (trace < 0 || !resolve(from_at, from, source) || !resolve(to_at, to, target) ||
        (!is_below(source) && !is_below(target))) {
        return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    }
    if (flags != 0 || !is_below(source) || !is_below(target)) give_up("shim: a renaming that is not recorded");
    pthread_mutex_lock(&lock);
    count();
    int done = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (done == 0) record(RENAME, 0, 0, source, strlen(source), target);
    pthread_mutex_unlock(&lock);
    return done;
}
int renameat(int from_at, const char *from, int to_at, const char *to) {
    return renameat2(from_at, from, to_at, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char source[PATH_MAX], target[PATH_MAX];
    if (trace < 0 || !resolve(from_at, from, source) || !resolve(to_at, to, target) || !is_below(target)) {
        return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    }
    if (!is_below(source)) give_up("shim: a link that is not recorded");
    pthread_mutex_lock(&lock);
    count();
    int done = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    if (done == 0) record(LINK, 0, 0, source, strlen(source), target);
    pthread_mutex_unlock(&lock);
    return done;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int at, const char *path, int flags) {
    char absolute[PATH_MAX];
    if (trace < 0 || !resolve(at, path, absolute) || !is_below(absolute)) {
        return (int)syscall(SYS_unlinkat, at, path, flags);
    }
    pthread_mutex_lock(&lock);
    count();
    int done = (int)syscall(SYS_unlinkat, at, path, flags);
    if (done == 0) record(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, absolute, strlen(absolute), NULL);
    pthread_mutex_unlock(&lock);
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
    char absolute[PATH_MAX];
    if (trace < 0 || !resolve(at, path, absolute) || !is_below(absolute)) {
        return (int)syscall(SYS_mkdirat, at, path, mode);
    }
    pthread_mutex_lock(&lock);
    count();
    int done = (int)syscall(SYS_mkdirat, at, path, mode);
    if (done == 0) {
        struct stat made;
        uint64_t inode = fstatat(AT_FDCWD, absolute, &made, 0) == 0 ? made.st_ino : 0;
        record(MKDIR, inode, 0, absolute, strlen(absolute), NULL);
    }
    pthread_mutex_unlock(&lock);
    return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* A copy made by the kernel could not be recorded, so the call fails and callers copy the bytes themselves. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    if (!is_recorded(to)) return syscall(SYS_copy_file_range, from, from_at, to, to_at, length, flags);
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile(int to, int from, off_t *at, size_t length) {
    if (!is_recorded(to)) return syscall(SYS_sendfile, to, from, at, length);
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) { return sendfile(to, from, at, length); }
int fallocate(int file, int mode, off_t offset, off_t length) {
    if (!is_recorded(file)) return (int)syscall(SYS_fallocate, file, mode, offset, length);
    errno = EOPNOTSUPP;
    return -1;
}
int fallocate64(int file, int mode, off64_t offset, off64_t length) { return fallocate(file, mode, offset, length); }
