/* System calls that fail, or end the process, on purpose: preloaded into the processes of tests.

   Counts the calls of each kind on the files of one folder (paths below it, and relative paths).
   The n-th call of the chosen kinds fails with an errno (once, or from then on), or the process is
   killed before or after it, or gets a signal before it. Until `cog_arm` is called, everything is as without this library. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, MKDIR, RENAME, UNLINK, LIST, SEND, KINDS };
enum action { FAIL, FAIL_ON, KILL_BEFORE, KILL_AFTER, SIGNAL };
enum { FILES = 65536 };

static atomic_int armed, total, counts[KINDS], fired;
static int chosen, number, action, error, report = -1;
static char root[4096];
static atomic_uchar watched[FILES];

void cog_arm(const char *folder, int kinds, int n, int what, int number_of_error, int log) {
    snprintf(root, sizeof root, "%s/", folder);
    chosen = kinds, number = n, action = what, error = number_of_error, report = log;
    atomic_store(&armed, 1);
}

int cog_count(int kind) { return atomic_load(&counts[kind]); }

static int is_watched(int folder, const char *path) {
    if (!atomic_load(&armed) || !path) return 0;
    if (path[0] == '/') return !strncmp(path, root, strlen(root));
    return folder == AT_FDCWD || (folder >= 0 && folder < FILES && watched[folder]);
}

static int is_open(int file) {
    return atomic_load(&armed) && file >= 0 && file < FILES && watched[file];
}

static int opened(int file, int yes) {
    if (file >= 0 && file < FILES) watched[file] = yes;
    return file;
}

/* Whether this call is to fail. The process ends here where it is to end before the call. */
static int strikes(enum kind kind, const char *path) {
    atomic_fetch_add(&counts[kind], 1);
    if (!(chosen >> kind & 1)) return 0;
    int now = atomic_fetch_add(&total, 1) + 1;
    if (now != number && !(action == FAIL_ON && now > number && number)) return 0;
    if (!atomic_exchange(&fired, 1) && report >= 0)
        dprintf(report, "%d %s\n", kind, path ? path : "an open file");
    if (action == KILL_BEFORE) kill(getpid(), SIGKILL);
    if (action == SIGNAL) kill(getpid(), error);
    if (action == KILL_AFTER || action == SIGNAL) return 0;
    errno = error;
    return 1;
}

static void end_after(enum kind kind) {
    if (action == KILL_AFTER && atomic_load(&fired) && chosen >> kind & 1)
        kill(getpid(), SIGKILL);
}

#define NEXT(name) ((__typeof__(&name))next(&next_##name, #name))
#define SLOT(name) static void *next_##name;

static void *next(void **slot, const char *name) {
    if (!*slot) *slot = dlsym(RTLD_NEXT, name);
    return *slot;
}

/* A call of `kind` on what is watched: fails, or is done and followed by the end. */
#define CALL(type, failed, kind, is, path, call)                                                   \
    if (is && strikes(kind, path)) return failed;                                                  \
    type result = call;                                                                            \
    if (is) end_after(kind);                                                                       \
    return result;

#define OPENS(name, folder, declared, passed)                                                      \
    SLOT(name) int name declared {                                                                 \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;                        \
        va_end(rest);                                                                              \
        int is = is_watched(folder, path);                                                         \
        if (is && strikes(OPEN, path)) return -1;                                                  \
        int file = opened(NEXT(name) passed, is);                                                  \
        if (is) end_after(OPEN);                                                                   \
        return file;                                                                               \
    }
OPENS(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPENS(openat64, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

#define FOPENS(name)                                                                               \
    SLOT(name) FILE *name(const char *path, const char *mode) {                                    \
        int is = is_watched(AT_FDCWD, path);                                                       \
        if (is && strikes(OPEN, path)) return NULL;                                                \
        FILE *file = NEXT(name)(path, mode);                                                       \
        if (file) opened(fileno(file), is);                                                        \
        if (is) end_after(OPEN);                                                                   \
        return file;                                                                               \
    }
FOPENS(fopen)
FOPENS(fopen64)

SLOT(close) int close(int file) { return NEXT(close)(file) + 0 * opened(file, 0); }
SLOT(fclose) int fclose(FILE *file) {
    opened(fileno(file), 0);
    return NEXT(fclose)(file);
}
SLOT(closedir) int closedir(DIR *folder) {
    opened(dirfd(folder), 0);
    return NEXT(closedir)(folder);
}

#define MOVES(kind, name, declared, passed)                                                        \
    SLOT(name) ssize_t name declared {                                                             \
        CALL(ssize_t, -1, kind, is_open(file), NULL, NEXT(name) passed)                            \
    }
MOVES(READ, read, (int file, void *data, size_t size), (file, data, size))
MOVES(READ, pread, (int file, void *data, size_t size, off_t at), (file, data, size, at))
MOVES(READ, pread64, (int file, void *data, size_t size, off64_t at), (file, data, size, at))
MOVES(WRITE, write, (int file, const void *data, size_t size), (file, data, size))
MOVES(WRITE, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
MOVES(WRITE, pwrite64, (int file, const void *data, size_t size, off64_t at),
      (file, data, size, at))
MOVES(WRITE, writev, (int file, const struct iovec *parts, int count), (file, parts, count))

#define CHANGES(kind, name, folder, path, declared, passed)                                        \
    SLOT(name) int name declared {                                                                 \
        CALL(int, -1, kind, is_watched(folder, path), path, NEXT(name) passed)                     \
    }
CHANGES(RENAME, rename, AT_FDCWD, to, (const char *from, const char *to), (from, to))
CHANGES(RENAME, renameat, folder, to, (int from_folder, const char *from, int folder, const char *to),
        (from_folder, from, folder, to))
CHANGES(MKDIR, mkdir, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
CHANGES(MKDIR, mkdirat, folder, path, (int folder, const char *path, mode_t mode),
        (folder, path, mode))
CHANGES(UNLINK, unlink, AT_FDCWD, path, (const char *path), (path))
CHANGES(UNLINK, unlinkat, folder, path, (int folder, const char *path, int flags),
        (folder, path, flags))
CHANGES(UNLINK, rmdir, AT_FDCWD, path, (const char *path), (path))

SLOT(opendir) DIR *opendir(const char *path) {
    CALL(DIR *, NULL, LIST, is_watched(AT_FDCWD, path), path, NEXT(opendir)(path))
}
SLOT(fdopendir) DIR *fdopendir(int file) {
    CALL(DIR *, NULL, LIST, is_open(file), NULL, NEXT(fdopendir)(file))
}

/* Requests to a server: what is sent over the network counts, whatever the folder. */
static int is_server(int file) {
    struct sockaddr_storage other;
    socklen_t size = sizeof other;
    if (!atomic_load(&armed) || getpeername(file, (struct sockaddr *)&other, &size)) return 0;
    return other.ss_family == AF_INET || other.ss_family == AF_INET6;
}
SLOT(send) ssize_t send(int file, const void *data, size_t size, int flags) {
    CALL(ssize_t, -1, SEND, is_server(file), "a server", NEXT(send)(file, data, size, flags))
}
SLOT(sendmsg) ssize_t sendmsg(int file, const struct msghdr *message, int flags) {
    CALL(ssize_t, -1, SEND, is_server(file), "a server", NEXT(sendmsg)(file, message, flags))
}
