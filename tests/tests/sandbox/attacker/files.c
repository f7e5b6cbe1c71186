/* Acts on files. */
#include "attacker.h"

static int write_to(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0600);
    if (file < 0)
        return errno;
    int error = write(file, "x", 1) == 1 ? 0 : errno;
    close(file);
    return error;
}

static int file_write(char **it) { return write_to(it[0], O_WRONLY | O_CREAT | O_APPEND); }

static int file_truncate(char **it) { return outcome(truncate(it[0], 0)); }

static int file_rename(char **it) { return outcome(rename(it[0], it[1])); }

static int file_unlink(char **it) { return outcome(unlink(it[0])); }

static int file_read(char **it) {
    char byte;
    int file = open(it[0], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno;
    int error = read(file, &byte, 1) == 1 ? 0 : errno ? errno : ENODATA;
    close(file);
    return error;
}

static int file_chmod(char **it) { return outcome(chmod(it[0], 0640)); }

static int file_times(char **it) { return outcome(utimensat(AT_FDCWD, it[0], NULL, 0)); }

static int file_by_symlink(char **it) {
    unlink("link");
    if (symlink(it[0], "link") < 0)
        return errno;
    return write_to("link", O_WRONLY | O_APPEND);
}

static int file_by_hardlink(char **it) {
    unlink("hard");
    if (link(it[0], "hard") < 0)
        return errno;
    return write_to("hard", O_WRONLY | O_APPEND);
}

/* Every way round to the same file; the first that works counts. */
static int file_by_detour(char **it) {
    const char *ways[] = {"/proc/self/root%s", "/proc/self/cwd/../../../../../../../../..%s",
                          "/proc/1/root%s", "/proc/thread-self/root%s", "/dev/fd/../root%s",
                          "../../../../../../../../../../..%s", "//%s"};
    char path[8192];
    int error = ENOENT;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        snprintf(path, sizeof path, ways[way], it[0]);
        char *arguments[] = {path};
        error = file_read(arguments);
        if (error == 0)
            return 0;
    }
    return error;
}

static int file_handle(char **it) {
    struct file_handle *handle = calloc(1, sizeof *handle + 128);
    int mount;
    (void)it;
    handle->handle_bytes = 128;
    return outcome(name_to_handle_at(AT_FDCWD, "/usr", handle, &mount, 0));
}

/* Ways to a file in the own directory that gives its owner's rights. */
static int file_setuid(char **it) {
    int error = EPERM, file;
    (void)it;
    unlink("suid");
    file = open("suid", O_CREAT | O_WRONLY | O_CLOEXEC, 04755);
    if (file >= 0) {
        struct stat status;
        fstat(file, &status);
        if (status.st_mode & S_ISUID)
            return 0;
    } else {
        error = errno;
        file = open("suid", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    }
    if (fchmod(file, 04755) == 0 || chmod("suid", 04755) == 0 ||
        fchmodat(AT_FDCWD, "suid", 02755, 0) == 0 ||
        syscall(452 /* fchmodat2 */, AT_FDCWD, "suid", 04755, 0) == 0)
        return 0;
    unlink("suid");
    if (creat("suid", 04755) >= 0 || mknod("suid", S_IFREG | 04755, 0) == 0)
        return 0;
    return error;
}

static int file_device(char **it) {
    (void)it;
    unlink("device");
    return outcome(mknod("device", S_IFCHR | 0600, 0x103));
}

static int file_descriptors(char **it) {
    (void)it;
    for (int number = 3; number < 1024; number++)
        if (fcntl(number, F_GETFD) >= 0)
            return 0;
    return EBADF;
}

const struct act file_acts[] = {
    {"write", file_write},           {"truncate", file_truncate},
    {"rename", file_rename},         {"unlink", file_unlink},
    {"read", file_read},             {"chmod", file_chmod},
    {"times", file_times},           {"symlink", file_by_symlink},
    {"hardlink", file_by_hardlink},  {"detour", file_by_detour},
    {"handle", file_handle},         {"setuid-bit", file_setuid},
    {"device", file_device},         {"descriptors", file_descriptors},
    {NULL, NULL},
};
