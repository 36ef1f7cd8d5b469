/*
 * A library that lets chosen calls of the C library fail, loaded before it with LD_PRELOAD. Linux only.
 *
 * It is C because `open` takes a variable number of arguments, which stable Rust cannot define, because nothing of
 * a runtime may run inside a call that any thread of any program makes at any time, and because Cargo gives tests no
 * way to find a shared library built for them, whereas Rust needs a C compiler for linking anyway.
 *
 * Helpers inherit the environment, and with it this library. What is to happen comes from variables:
 *
 *   FAULT_UNDER    only files below this folder are looked at (and pipes, in helpers)
 *   FAULT_MAIN     name of the program under test; any other program is a helper of it
 *   FAULT_LOG      file to which each such call is written: `main` or `helper`, operation, path, with tabs between
 *   FAULT_COUNTER  file of 8 bytes in which the matching calls of all processes together are counted
 *   FAULT_IN       `main` or `helper`: whose calls match
 *   FAULT_OP       which operation matches, or `any`
 *   FAULT_NTH      the fault strikes the n-th matching call, from 1
 *   FAULT_TIMES    `once`, or `on` for each call from the n-th on
 *   FAULT_KIND     what happens: the number of an error, `short` (half of what was asked), `bus` (the mapping cannot be
 *                  read), `kill` (SIGKILL) or `exit` (the program ends with code 0)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING = 0, SHORT = -1, BUS = -2, KILL = -3, EXIT = -4 };

static const char *under, *op_wanted, *log_name;
static size_t under_length;
static int is_main, matches_here, kind, goes_on;
static unsigned long nth;
static _Atomic unsigned long *counter;
static int log_file = -1;
static atomic_int state; /* 0: nobody began, 1: being read, 2: ready */

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int kind_of(const char *name) {
    if (!name) return NOTHING;
    if (!strcmp(name, "short")) return SHORT;
    if (!strcmp(name, "bus")) return BUS;
    if (!strcmp(name, "kill")) return KILL;
    if (!strcmp(name, "exit")) return EXIT;
    return atoi(name);
}

static void read_settings(void) {
    char exe[PATH_MAX];
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", exe, sizeof exe - 1);
    exe[n < 0 ? 0 : n] = 0;
    const char *slash = strrchr(exe, '/'), *main_name = variable("FAULT_MAIN"), *in = variable("FAULT_IN");
    is_main = main_name && !strcmp(slash ? slash + 1 : exe, main_name);
    matches_here = in && !strcmp(in, is_main ? "main" : "helper");
    under = variable("FAULT_UNDER");
    under_length = under ? strlen(under) : 0;
    op_wanted = variable("FAULT_OP");
    kind = kind_of(variable("FAULT_KIND"));
    const char *n_wanted = variable("FAULT_NTH"), *times = variable("FAULT_TIMES"), *shared = variable("FAULT_COUNTER");
    nth = n_wanted ? strtoul(n_wanted, NULL, 10) : 0;
    goes_on = times && !strcmp(times, "on");
    if (shared) {
        int file = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC);
        void *page = (void *)syscall(SYS_mmap, NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (page != MAP_FAILED) counter = page;
        if (file >= 0) syscall(SYS_close, file);
    }
    log_name = variable("FAULT_LOG");
    if (log_name) log_file = syscall(SYS_openat, AT_FDCWD, log_name, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* Whether the settings are there. Calls of other threads in the meantime are let through. */
static int ready(void) {
    int none = 0;
    if (atomic_load(&state) == 2) return 1;
    if (!atomic_compare_exchange_strong(&state, &none, 1)) return 0;
    read_settings();
    atomic_store(&state, 2);
    return 1;
}

static void note(const char *op, const char *path) {
    char line[PATH_MAX + 32];
    int n = snprintf(line, sizeof line, "%s\t%s\t%s\n", is_main ? "main" : "helper", op, path);
    if (n > 0 && (size_t)n < sizeof line) syscall(SYS_write, log_file, line, (size_t)n);
}

/* What is to happen to a call about a file: NOTHING, an error number, SHORT or BUS. */
static int fault(const char *op, const char *path) {
    if (!ready() || !under) return NOTHING;
    if (strncmp(path, under, under_length) && (is_main || strncmp(path, "pipe:", 5))) return NOTHING;
    if (log_file >= 0) note(op, path);
    if (!matches_here || !counter || !kind || !op_wanted) return NOTHING;
    if (strcmp(op_wanted, "any") && strcmp(op_wanted, op)) return NOTHING;
    unsigned long now = atomic_fetch_add(counter, 1) + 1;
    if (goes_on ? now < nth : now != nth) return NOTHING;
    if (kind == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (kind == EXIT) syscall(SYS_exit_group, 0);
    return kind;
}

static int fault_of_file(const char *op, int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (n < 0) return NOTHING;
    path[n] = 0;
    return fault(op, path);
}

static int fault_of_path(const char *op, int folder, const char *name) {
    char path[2 * PATH_MAX];
    size_t n = 0;
    if (name[0] != '/') {
        char link[64] = "/proc/self/cwd";
        if (folder != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
        if (length < 0) return NOTHING;
        n = length;
        path[n++] = '/';
    }
    snprintf(path + n, sizeof path - n, "%s", name);
    return fault(op, path);
}

/* The function that this one stands before, fetched once. */
#define NEXT(name)                                          \
    static __typeof__(&name) next;                          \
    if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, #name)

#define FAIL(happens, result)     \
    if ((happens) > 0) {          \
        errno = (happens);        \
        return (result);          \
    }

#define HALF(happens, n) ((happens) == SHORT && (n) > 1 ? (n) / 2 : (n))

#define OPEN(name, signature, folder, path, flags, ...)         \
    int name signature {                                        \
        NEXT(name);                                             \
        mode_t mode = 0;                                        \
        if (flags & (O_CREAT | __O_TMPFILE)) {                  \
            va_list rest;                                       \
            va_start(rest, flags);                              \
            mode = va_arg(rest, mode_t);                        \
            va_end(rest);                                       \
        }                                                       \
        int happens = fault_of_path("open", folder, path);      \
        FAIL(happens, -1);                                      \
        return next(__VA_ARGS__, mode);                         \
    }

OPEN(open, (const char *path, int flags, ...), AT_FDCWD, path, flags, path, flags)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, path, flags, path, flags)
OPEN(openat, (int folder, const char *path, int flags, ...), folder, path, flags, folder, path, flags)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path, flags, folder, path, flags)

int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    int happens = fault_of_path("open", AT_FDCWD, path);
    FAIL(happens, -1);
    return next(path, mode);
}

/* Calls that begin with a file: the operation, then the arguments as declared and as passed on. */
#define ON_FILE(result, name, op, file, declared, ...)   \
    result name declared {                               \
        NEXT(name);                                      \
        int happens = fault_of_file(op, file);           \
        FAIL(happens, -1);                               \
        return next(__VA_ARGS__);                        \
    }

ON_FILE(ssize_t, read, "read", f, (int f, void *to, size_t n), f, to, HALF(happens, n))
ON_FILE(ssize_t, pread, "read", f, (int f, void *to, size_t n, off_t at), f, to, HALF(happens, n), at)
ON_FILE(ssize_t, pread64, "read", f, (int f, void *to, size_t n, off64_t at), f, to, HALF(happens, n), at)
ON_FILE(ssize_t, readv, "read", f, (int f, const struct iovec *to, int n), f, to, HALF(happens, n))
ON_FILE(ssize_t, write, "write", f, (int f, const void *from, size_t n), f, from, HALF(happens, n))
ON_FILE(ssize_t, pwrite, "write", f, (int f, const void *from, size_t n, off_t at), f, from, HALF(happens, n), at)
ON_FILE(ssize_t, pwrite64, "write", f, (int f, const void *from, size_t n, off64_t at), f, from, HALF(happens, n), at)
ON_FILE(ssize_t, writev, "write", f, (int f, const struct iovec *from, int n), f, from, HALF(happens, n))
ON_FILE(ssize_t, copy_file_range, "write", to, (int from, off64_t *a, int to, off64_t *b, size_t n, unsigned flags),
        from, a, to, b, HALF(happens, n), flags)
ON_FILE(ssize_t, sendfile, "write", to, (int to, int from, off_t *at, size_t n), to, from, at, HALF(happens, n))
ON_FILE(ssize_t, sendfile64, "write", to, (int to, int from, off64_t *at, size_t n), to, from, at, HALF(happens, n))
ON_FILE(int, fallocate, "write", f, (int f, int mode, off_t at, off_t n), f, mode, at, n)
ON_FILE(int, fallocate64, "write", f, (int f, int mode, off64_t at, off64_t n), f, mode, at, n)
ON_FILE(int, ftruncate, "write", f, (int f, off_t n), f, n)
ON_FILE(int, ftruncate64, "write", f, (int f, off64_t n), f, n)
ON_FILE(int, fsync, "sync", f, (int f), f)
ON_FILE(int, fdatasync, "sync", f, (int f), f)
ON_FILE(int, flock, "lock", f, (int f, int operation), f, operation)

/* Calls that begin with a path, or a folder and a path in it. */
#define ON_PATH(name, op, folder, path, declared, ...)       \
    int name declared {                                      \
        NEXT(name);                                          \
        int happens = fault_of_path(op, folder, path);       \
        FAIL(happens, -1);                                   \
        return next(__VA_ARGS__);                            \
    }

ON_PATH(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_PATH(renameat, "rename", b, to, (int a, const char *from, int b, const char *to), a, from, b, to)
ON_PATH(renameat2, "rename", b, to, (int a, const char *from, int b, const char *to, unsigned flags), a, from, b, to,
        flags)
ON_PATH(link, "rename", AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_PATH(linkat, "rename", b, to, (int a, const char *from, int b, const char *to, int flags), a, from, b, to, flags)
ON_PATH(symlink, "rename", AT_FDCWD, to, (const char *from, const char *to), from, to)
ON_PATH(unlink, "remove", AT_FDCWD, path, (const char *path), path)
ON_PATH(unlinkat, "remove", folder, path, (int folder, const char *path, int flags), folder, path, flags)
ON_PATH(rmdir, "remove", AT_FDCWD, path, (const char *path), path)

int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict to) {
    NEXT(statx);
    /* Rust asks without a path whether the kernel knows the call; the header promises the compiler that nobody does. */
    const char *volatile given = path;
    if (!given) return syscall(SYS_statx, folder, NULL, flags, mask, to);
    int happens = *path ? fault_of_path("stat", folder, path) : fault_of_file("stat", folder);
    FAIL(happens, -1);
    return next(folder, path, flags, mask, to);
}

DIR *opendir(const char *path) {
    NEXT(opendir);
    int happens = fault_of_path("list", AT_FDCWD, path);
    FAIL(happens, NULL);
    return next(path);
}

struct dirent64 *readdir64(DIR *folder) {
    NEXT(readdir64);
    int happens = fault_of_file("list", dirfd(folder));
    FAIL(happens, NULL);
    return next(folder);
}

/* A mapping of an empty file: reading it raises SIGBUS, as reading one does whose disk fails. */
static void *unreadable(size_t n) {
    int empty = memfd_create("unreadable", MFD_CLOEXEC);
    void *at = (void *)syscall(SYS_mmap, NULL, n, PROT_READ, MAP_PRIVATE, empty, 0);
    close(empty);
    return at;
}

#define MAP(name, offset)                                                        \
    void *name(void *at, size_t n, int protection, int flags, int f, offset o) { \
        NEXT(name);                                                              \
        int happens = f < 0 ? NOTHING : fault_of_file("map", f);                 \
        FAIL(happens, MAP_FAILED);                                               \
        return happens == BUS ? unreadable(n) : next(at, n, protection, flags, f, o); \
    }

MAP(mmap, off_t)
MAP(mmap64, off64_t)

/* The program to be started need not lie in the folder, so the call counts whatever its path is. */
#define SPAWN(name)                                                                                            \
    int name(pid_t *id, const char *path, const posix_spawn_file_actions_t *actions,                           \
             const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]) {        \
        NEXT(name);                                                                                            \
        int happens = ready() && under ? fault("spawn", under) : NOTHING;                                      \
        if (happens > 0) return happens;                                                                       \
        return next(id, path, actions, attributes, arguments, environment);                                    \
    }

SPAWN(posix_spawn)
SPAWN(posix_spawnp)

pid_t fork(void) {
    NEXT(fork);
    int happens = ready() && under ? fault("spawn", under) : NOTHING;
    FAIL(happens, -1);
    return next();
}
