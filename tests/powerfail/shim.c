/* A power failure, for one process: loaded with LD_PRELOAD it notes what each write to a file under
 * POWERFAIL_FOLDER replaces, forgets it once the file is synced, and when somebody opens the FIFO POWERFAIL_FIFO for
 * writing it takes back all that was not synced and ends the process at once.
 *
 * What is taken back: written bytes, lengths, and files that were created and whose folder was not synced. Shared-memory
 * files (-shm) and locks hold nothing that must outlive a process. Removals and renames are
 * taken as done. */
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* One write that is not on disk yet: what stood there before. */
struct undo {
    struct undo *older;
    dev_t dev;
    ino_t ino;
    int fd; /* ours, so that it outlives the program's */
    off_t size;
    off_t at;
    size_t length;
    unsigned long number;
    unsigned char bytes[];
};

/* A file that was created and whose folder is not synced yet. */
struct created {
    struct created *older;
    unsigned long number;
    char path[PATH_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo *undos;
static struct created *creations;
static unsigned long numbers, syncs;
static char folder[PATH_MAX];

static void die(const char *what) {
    dprintf(2, "powerfail: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static int ends(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0;
}

static int matters(const char *path) {
    size_t length = strlen(folder);
    return length > 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0) &&
           !ends(path, "-shm") && !ends(path, "/lock");
}

/* Whether what is behind a descriptor is watched; says where it is. */
static int watched(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return matters(path);
}

/* Notes what `length` bytes at `at` (or all from `at` on, when a file is cut) are now. */
static void note(int fd, off_t at, size_t length) {
    char path[PATH_MAX];
    struct stat stat;
    int saved = errno;
    if (!watched(fd, path) || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        errno = saved;
        return;
    }
    if (at > stat.st_size)
        length = 0;
    else if (at + (off_t)length > stat.st_size)
        length = stat.st_size - at;
    struct undo *undo = malloc(sizeof *undo + length);
    if (undo == NULL)
        die("no memory");
    undo->dev = stat.st_dev;
    undo->ino = stat.st_ino;
    undo->size = stat.st_size;
    undo->at = at;
    undo->length = length;
    undo->number = ++numbers;
    undo->fd = -1;
    for (struct undo *other = undos; other != NULL && undo->fd < 0; other = other->older)
        if (other->dev == undo->dev && other->ino == undo->ino)
            undo->fd = other->fd;
    if (undo->fd < 0 && (undo->fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC)) < 0)
        die(path);
    if (syscall(SYS_pread64, undo->fd, undo->bytes, length, at) != (long)length)
        die("what is replaced can't be read");
    undo->older = undos;
    undos = undo;
    errno = saved;
}

/* Forgets what is on disk now: a file's writes, or a folder's creations, up to a number. */
static void forget(dev_t dev, ino_t ino, unsigned long upto) {
    int fd = -1, left = 0;
    for (struct undo **at = &undos; *at != NULL;) {
        struct undo *undo = *at;
        if (undo->dev != dev || undo->ino != ino) {
            at = &undo->older;
        } else if (undo->number > upto) {
            left = 1;
            at = &undo->older;
        } else {
            fd = undo->fd;
            *at = undo->older;
            free(undo);
        }
    }
    if (fd >= 0 && !left)
        syscall(SYS_close, fd);
}

static void forget_created(const char *parent, unsigned long upto) {
    for (struct created **at = &creations; *at != NULL;) {
        struct created *created = *at;
        char *slash = strrchr(created->path, '/');
        size_t length = slash - created->path;
        if (created->number <= upto && strlen(parent) == length && strncmp(parent, created->path, length) == 0) {
            *at = created->older;
            free(created);
        } else {
            at = &created->older;
        }
    }
}

static int synced(int fd, long call) {
    char path[PATH_MAX];
    struct stat stat;
    pthread_mutex_lock(&lock);
    unsigned long upto = numbers;
    pthread_mutex_unlock(&lock);
    int done = syscall(call, fd);
    int saved = errno;
    if (done == 0 && watched(fd, path) && fstat(fd, &stat) == 0) {
        pthread_mutex_lock(&lock);
        syncs++;
        if (S_ISDIR(stat.st_mode))
            forget_created(path, upto);
        else
            forget(stat.st_dev, stat.st_ino, upto);
        pthread_mutex_unlock(&lock);
    }
    errno = saved;
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
    pthread_mutex_lock(&lock);
    note(fd, at, length);
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, length, at);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

/* Sockets and pipes, which this must not hold up, are told from files by their type. */
static int is_file(int fd) {
    struct stat stat;
    int saved = errno, file = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    errno = saved;
    return file;
}

static off_t where(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return syscall(SYS_lseek, fd, 0, (flags & O_APPEND) ? SEEK_END : SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!is_file(fd))
        return syscall(SYS_write, fd, bytes, length);
    pthread_mutex_lock(&lock);
    note(fd, where(fd), length);
    ssize_t done = syscall(SYS_write, fd, bytes, length);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    if (!is_file(fd))
        return syscall(SYS_writev, fd, pieces, count);
    size_t length = 0;
    for (int at = 0; at < count; at++)
        length += pieces[at].iov_len;
    pthread_mutex_lock(&lock);
    note(fd, where(fd), length);
    ssize_t done = syscall(SYS_writev, fd, pieces, count);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off_t length) {
    pthread_mutex_lock(&lock);
    note(fd, length, SIZE_MAX >> 2);
    int done = syscall(SYS_ftruncate, fd, length);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int opened(int at, const char *path, int flags, mode_t mode) {
    int fresh = (flags & O_CREAT) && syscall(SYS_faccessat, at, path, F_OK) != 0;
    int fd = syscall(SYS_openat, at, path, flags, mode);
    int saved = errno;
    struct created *created;
    if (fd >= 0 && fresh && (created = malloc(sizeof *created)) != NULL) {
        if (watched(fd, created->path)) {
            pthread_mutex_lock(&lock);
            created->number = ++numbers;
            created->older = creations;
            creations = created;
            pthread_mutex_unlock(&lock);
        } else {
            free(created);
        }
    }
    errno = saved;
    return fd;
}

#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return opened(at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    return opened(at, path, flags, mode);
}

/* Waits for the failure. The lock is never let go again, so that nobody writes while and after things are taken back. */
static void *failure(void *fifo) {
    int fd = syscall(SYS_openat, AT_FDCWD, fifo, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(fifo);
    pthread_mutex_lock(&lock);
    unsigned long writes = 0, bytes = 0, files = 0;
    for (struct undo *undo = undos; undo != NULL; undo = undo->older) {
        if (undo->length > 0 &&
            syscall(SYS_pwrite64, undo->fd, undo->bytes, undo->length, undo->at) != (long)undo->length)
            die("a write can't be taken back");
        if (syscall(SYS_ftruncate, undo->fd, undo->size) != 0)
            die("a length can't be taken back");
        writes++;
        bytes += undo->length;
    }
    for (struct created *created = creations; created != NULL; created = created->older, files++)
        if (syscall(SYS_unlinkat, AT_FDCWD, created->path, 0) != 0 && errno != ENOENT)
            die(created->path);
    dprintf(2, "powerfail: took back writes=%lu bytes=%lu files=%lu after syncs=%lu\n", writes, bytes, files, syncs);
    _exit(137);
}

__attribute__((constructor)) static void begin(void) {
    const char *under = getenv("POWERFAIL_FOLDER"), *fifo = getenv("POWERFAIL_FIFO");
    pthread_t thread;
    if (under == NULL || fifo == NULL)
        return;
    if (realpath(under, folder) == NULL)
        die(under);
    if (pthread_create(&thread, NULL, failure, (void *)fifo) != 0)
        die("no thread");
    pthread_detach(thread);
}
