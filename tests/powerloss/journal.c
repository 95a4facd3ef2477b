/* Keeps a journal of what a process writes to files below a directory, and of what it syncs.
 *
 * LD_PRELOAD'ed into a node. After a SIGKILL the journal says, in order, what had been written, and which of it
 * a sync had covered; tests/powerloss/disk.py makes of it a disk that has lost power. A record is written after
 * the call that it tells of, under the same lock, so that their orders agree. A process that is killed between
 * the two leaves no record, as if it had been killed before the call: nothing can have been promised since.
 *
 * A sync does not reach the disk. It takes POWERLOSS_SYNC_US, as a sync of a disk would, and is recorded then,
 * so that a process is often killed while it waits for one.
 *
 *   POWERLOSS_ROOT     the directory, without links in its path
 *   POWERLOSS_JOURNAL  the file for the records, outside of it
 *   POWERLOSS_SYNC_US  what a sync takes
 *   POWERLOSS_DEAF     a call, such as fdatasync, that does nothing and says that it did (a planted fault)
 *
 * Calls that libc makes within itself (fopen, say) are not seen; neither Python nor LMDB writes by them.
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
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, SYNCED, RENAME, REMOVE, MKDIR, MAP, LINK, STRANGE };

struct header {
    uint32_t magic, kind, pid, path_bytes, other_bytes, data_bytes;
    uint64_t number, offset;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_bytes;
static char deaf[20]; /* a copy: setproctitle overwrites the environment */
static long sync_us;
static int journal = -1;
static uint64_t writes;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *where = getenv("POWERLOSS_JOURNAL"), *below = getenv("POWERLOSS_ROOT");
    const char *takes = getenv("POWERLOSS_SYNC_US");
    if (!where || !below || strlen(below) >= sizeof root)
        return;
    if (getenv("POWERLOSS_DEAF"))
        snprintf(deaf, sizeof deaf, "%s", getenv("POWERLOSS_DEAF"));
    sync_us = takes ? atol(takes) : 0;
    root_bytes = strlen(strcpy(root, below));
    int fd = open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    journal = fcntl(fd, F_DUPFD_CLOEXEC, 900);
    close(fd);
    if (journal < 0)
        _exit(71);
}

/* -- which file it is ------------------------------------------------------------------------------ */

static int is_below(const char *path)
{
    return strncmp(path, root, root_bytes) == 0 && (path[root_bytes] == '/' || path[root_bytes] == 0);
}

/* 1 and its path if the descriptor is of a file or directory below the root that still has a name. */
static int path_of(int fd, char *path)
{
    char link[40];
    if (journal < 0 || fd == journal)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    return is_below(path) && !strstr(path, " (deleted)");
}

/* 1 and the absolute path if a name, relative to a directory, is below the root. */
static int absolute(int at, const char *name, char *path)
{
    if (journal < 0 || !name)
        return 0;
    char folder[PATH_MAX];
    if (name[0] == '/')
        snprintf(path, PATH_MAX, "%s", name);
    else {
        if (at == AT_FDCWD ? !getcwd(folder, sizeof folder) : !path_of(at, folder))
            return 0;
        if (strlen(folder) + strlen(name) + 2 > PATH_MAX)
            return 0;
        strcat(strcat(strcpy(path, folder), "/"), name);
    }
    return is_below(path);
}

/* -- records --------------------------------------------------------------------------------------- */

static void record(enum kind kind, uint64_t number, uint64_t offset, const char *path, const char *other,
                   const struct iovec *data, int count, size_t bytes)
{
    struct header head = {0xF1EE70FF, kind, (uint32_t)getpid(), (uint32_t)strlen(path),
                          (uint32_t)strlen(other), (uint32_t)bytes, number, offset};
    size_t whole = sizeof head + head.path_bytes + head.other_bytes + bytes;
    char *buffer = malloc(whole), *at = buffer;
    if (!buffer)
        _exit(71);
    at = (char *)mempcpy(at, &head, sizeof head);
    at = (char *)mempcpy(at, path, head.path_bytes);
    at = (char *)mempcpy(at, other, head.other_bytes);
    for (int i = 0; i < count && bytes; i++) {
        size_t part = data[i].iov_len < bytes ? data[i].iov_len : bytes;
        at = (char *)mempcpy(at, data[i].iov_base, part);
        bytes -= part;
    }
    REAL(write);
    int before = errno;
    if (real(journal, buffer, whole) != (ssize_t)whole)
        _exit(71);
    errno = before;
    free(buffer);
}

static void lock(void) { pthread_mutex_lock(&turn); }
static void unlock(void) { pthread_mutex_unlock(&turn); }

static void take_time(void)
{
    struct timespec left = {sync_us / 1000000, sync_us % 1000000 * 1000};
    while (sync_us && nanosleep(&left, &left) && errno == EINTR)
        ;
}

static void strange(const char *call, const char *path)
{
    lock();
    record(STRANGE, 0, 0, path, call, NULL, 0, 0);
    unlock();
}

/* -- writes ---------------------------------------------------------------------------------------- */

/* `offset` -1: at the position that the descriptor had. */
static ssize_t wrote(int fd, const char *path, const struct iovec *data, int count, off_t offset, ssize_t n)
{
    uint64_t number = ++writes;
    int flags = fcntl(fd, F_GETFL);
    if (n > 0) {
        if (offset < 0)
            offset = lseek(fd, 0, SEEK_CUR) - n;
        record(WRITE, number, (uint64_t)offset, path, "", data, count, (size_t)n);
    }
    unlock();
    if (n > 0 && flags & O_DSYNC) { /* also of O_SYNC */
        take_time();
        lock();
        record(SYNCED, number, 0, path, "", NULL, 0, 0);
        unlock();
    }
    return n;
}

#define WRITES(name, parameters, arguments, iovector, count, offset) \
    ssize_t name parameters \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (!path_of(fd, path)) \
            return real arguments; \
        struct iovec one = {0}; \
        (void)one; \
        lock(); \
        ssize_t n = real arguments; \
        return wrote(fd, path, iovector, count, offset, n); \
    }

#define ONE (one.iov_base = (void *)data, one.iov_len = bytes, &one)

WRITES(write, (int fd, const void *data, size_t bytes), (fd, data, bytes), ONE, 1, -1)
WRITES(pwrite, (int fd, const void *data, size_t bytes, off_t at), (fd, data, bytes, at), ONE, 1, at)
WRITES(pwrite64, (int fd, const void *data, size_t bytes, off64_t at), (fd, data, bytes, at), ONE, 1, at)
WRITES(writev, (int fd, const struct iovec *data, int count), (fd, data, count), data, count, -1)
WRITES(pwritev, (int fd, const struct iovec *data, int count, off_t at), (fd, data, count, at), data, count, at)
WRITES(pwritev64, (int fd, const struct iovec *data, int count, off64_t at), (fd, data, count, at), data, count, at)

#define CUTS(name, type) \
    int name(int fd, type size) \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (!path_of(fd, path)) \
            return real(fd, size); \
        lock(); \
        int done = real(fd, size); \
        if (done == 0) \
            record(TRUNCATE, 0, (uint64_t)size, path, "", NULL, 0, 0); \
        unlock(); \
        return done; \
    }

CUTS(ftruncate, off_t)
CUTS(ftruncate64, off64_t)

/* Python's os.pwritev. With flags it may be a sync of its own, which is not modelled. */
#define WRITES_WITH_FLAGS(name, type) \
    ssize_t name(int fd, const struct iovec *data, int count, type at, int flags) \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (!path_of(fd, path)) \
            return real(fd, data, count, at, flags); \
        if (flags) \
            strange(#name, path); \
        lock(); \
        ssize_t n = real(fd, data, count, at, flags); \
        return wrote(fd, path, data, count, at, n); \
    }

WRITES_WITH_FLAGS(pwritev2, off_t)
WRITES_WITH_FLAGS(pwritev64v2, off64_t)

/* -- syncs ----------------------------------------------------------------------------------------- */

#define SYNCS(name) \
    int name(int fd) \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (!path_of(fd, path)) \
            return real(fd); \
        take_time(); \
        if (strcmp(deaf, #name) == 0) \
            return 0; \
        lock(); \
        record(SYNC, 0, 0, path, "", NULL, 0, 0); \
        unlock(); \
        return 0; \
    }

SYNCS(fsync)
SYNCS(fdatasync)

/* -- names ----------------------------------------------------------------------------------------- */

static int opened(int at, const char *name, int flags, mode_t mode,
                  int (*real)(int, const char *, int, ...))
{
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !absolute(at, name, path))
        return real(at, name, flags, mode);
    lock();
    int was = faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = real(at, name, flags, mode);
    if (fd >= 0 && !was)
        record(CREATE, 0, 0, path, "", NULL, 0, 0);
    else if (fd >= 0 && flags & O_TRUNC)
        record(TRUNCATE, 0, 0, path, "", NULL, 0, 0);
    unlock();
    return fd;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int openat(int at, const char *name, int flags, ...)
{
    MODE;
    REAL(openat);
    return opened(at, name, flags, mode, real);
}

int openat64(int at, const char *name, int flags, ...)
{
    MODE;
    REAL(openat64);
    return opened(at, name, flags, mode, real);
}

int open(const char *name, int flags, ...)
{
    MODE;
    REAL(openat);
    return opened(AT_FDCWD, name, flags, mode, real);
}

int open64(const char *name, int flags, ...)
{
    MODE;
    REAL(openat64);
    return opened(AT_FDCWD, name, flags | O_LARGEFILE, mode, real);
}

#define NAMES(kind, name, parameters, arguments, at, what) \
    int name parameters \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (!absolute(at, what, path)) \
            return real arguments; \
        lock(); \
        int done = real arguments; \
        if (done == 0) \
            record(kind, 0, 0, path, "", NULL, 0, 0); \
        unlock(); \
        return done; \
    }

NAMES(REMOVE, unlink, (const char *name), (name), AT_FDCWD, name)
NAMES(REMOVE, rmdir, (const char *name), (name), AT_FDCWD, name)
NAMES(REMOVE, unlinkat, (int at, const char *name, int flags), (at, name, flags), at, name)
NAMES(MKDIR, mkdir, (const char *name, mode_t mode), (name, mode), AT_FDCWD, name)
NAMES(MKDIR, mkdirat, (int at, const char *name, mode_t mode), (at, name, mode), at, name)

#define MOVES(kind, name, parameters, arguments, at, from, to_at, to) \
    int name parameters \
    { \
        REAL(name); \
        char path[PATH_MAX], other[PATH_MAX]; \
        int is_from = absolute(at, from, path), is_to = absolute(to_at, to, other); \
        if (!is_from && !is_to) \
            return real arguments; \
        if (!is_from || !is_to) \
            strange(#name, is_from ? path : other); \
        lock(); \
        int done = real arguments; \
        if (done == 0) \
            record(kind, 0, 0, path, other, NULL, 0, 0); \
        unlock(); \
        return done; \
    }

MOVES(RENAME, rename, (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
MOVES(RENAME, renameat, (int at, const char *old, int to, const char *new), (at, old, to, new), at, old, to, new)
MOVES(LINK, link, (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
MOVES(LINK, linkat, (int at, const char *old, int to, const char *new, int flags), (at, old, to, new, flags), at,
      old, to, new)

/* -- what is written without a call, or by calls that no one here makes ------------------------------ */

static void *mapped(void *there, int protection, int flags, int fd)
{
    char path[PATH_MAX];
    if (there != MAP_FAILED && fd >= 0 && protection & PROT_WRITE && (flags & MAP_TYPE) != MAP_PRIVATE
        && path_of(fd, path)) {
        lock();
        record(MAP, 0, 0, path, "", NULL, 0, 0);
        unlock();
    }
    return there;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    return mapped(real(at, bytes, protection, flags, fd, offset), protection, flags, fd);
}

void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
    REAL(mmap64);
    return mapped(real(at, bytes, protection, flags, fd, offset), protection, flags, fd);
}

#define REFUSES(result, name, parameters, arguments, fd) \
    result name parameters \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (path_of(fd, path)) \
            strange(#name, path); \
        return real arguments; \
    }

REFUSES(ssize_t, copy_file_range, (int in, off64_t *a, int out, off64_t *b, size_t n, unsigned f),
        (in, a, out, b, n, f), out)
REFUSES(ssize_t, sendfile, (int out, int in, off_t *at, size_t n), (out, in, at, n), out)
REFUSES(ssize_t, sendfile64, (int out, int in, off64_t *at, size_t n), (out, in, at, n), out)
REFUSES(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), fd)
REFUSES(int, fallocate64, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n), fd)
REFUSES(int, posix_fallocate, (int fd, off_t at, off_t n), (fd, at, n), fd)
REFUSES(int, posix_fallocate64, (int fd, off64_t at, off64_t n), (fd, at, n), fd)
REFUSES(int, sync_file_range, (int fd, off64_t at, off64_t n, unsigned f), (fd, at, n, f), fd)

#define REFUSES_NAME(name, parameters, arguments, at, what) \
    int name parameters \
    { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (absolute(at, what, path)) \
            strange(#name, path); \
        return real arguments; \
    }

REFUSES_NAME(creat, (const char *name, mode_t mode), (name, mode), AT_FDCWD, name)
REFUSES_NAME(creat64, (const char *name, mode_t mode), (name, mode), AT_FDCWD, name)
REFUSES_NAME(truncate, (const char *name, off_t size), (name, size), AT_FDCWD, name)
REFUSES_NAME(truncate64, (const char *name, off64_t size), (name, size), AT_FDCWD, name)
REFUSES_NAME(symlink, (const char *old, const char *name), (old, name), AT_FDCWD, name)
REFUSES_NAME(symlinkat, (const char *old, int at, const char *name), (old, at, name), at, name)
REFUSES_NAME(renameat2, (int at, const char *old, int to, const char *new, unsigned f), (at, old, to, new, f), to, new)
