/* Acts on the kernel itself. */
#include "attacker.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>

extern char **environ;

/* Outside, a user without rights needs a namespace to be allowed to try. Whoever is root needs one
 * as well, for else the act would change the host: without one it is not even tried. */
static int try_to_gain_rights(void) {
    if (geteuid() == 0)
        return outcome(unshare(CLONE_NEWNS));
    unshare(CLONE_NEWUSER | CLONE_NEWNS);
    return 0;
}

static int mount_something(char **it) {
    (void)it;
    int error = try_to_gain_rights();
    if (error)
        return error;
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return outcome(mount("none", "/proc", "tmpfs", 0, NULL));
}

static int open_file_system(char **it) {
    (void)it;
    try_to_gain_rights();
    return outcome(syscall(SYS_fsopen, "tmpfs", 0));
}

static int clone_mounts(char **it) {
    (void)it;
    try_to_gain_rights();
    return outcome(syscall(SYS_open_tree, AT_FDCWD, "/", 1 | AT_RECURSIVE));
}

static int change_root(char **it) {
    (void)it;
    try_to_gain_rights();
    return outcome(chroot("/usr"));
}

static int ring(char **it) {
    char parameters[120] = {0};
    (void)it;
    return outcome(syscall(SYS_io_uring_setup, 4, parameters));
}

static int x32(char **it) { return (void)it, outcome(syscall(0x40000000 | SYS_getpid)); }

static int int80(char **it) {
    (void)it;
#ifdef __x86_64__
    long result = 20; /* getpid, as a program of 32 bits counts */
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result > 0 ? 0 : (int)-result;
#else
    return ENOSYS;
#endif
}

static int page_faults(char **it) { return (void)it, outcome(syscall(SYS_userfaultfd, 1)); }

static int keyring(char **it) { return (void)it, outcome(syscall(SYS_keyctl, 0, -3, 1)); }

static int add_key(char **it) {
    return (void)it, outcome(syscall(SYS_add_key, "user", "attack", "x", 1, -2));
}

static int load_program(char **it) {
    char attributes[72] = {0};
    (void)it;
    return outcome(syscall(SYS_bpf, 0, attributes, sizeof attributes));
}

static int kernel_log(char **it) { return (void)it, outcome(klogctl(10, NULL, 0)); }

static int push_input(char **it) {
    int pipe_ends[2];
    (void)it;
    if (pipe(pipe_ends) < 0)
        return errno;
    return outcome(ioctl(pipe_ends[0], TIOCSTI, "x"));
}

static int terminal(char **it) {
    (void)it;
    return outcome(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
}

static int open_to_write(char **it) { return outcome(open(it[0], O_WRONLY | O_CLOEXEC)); }

/* A filter of the own that asks a friendly process must not outrank the one that refuses. */
static int own_filter(char **it) {
    struct sock_filter ask[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_LOG),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof ask / sizeof *ask, ask};
    (void)it;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0)
        return errno;
    return outcome(personality(ADDR_NO_RANDOMIZE));
}

static void *nothing(void *it) { return it; }

/* No attack: programs must still be able to do this. */
static int threads_and_spawn(char **it) {
    pthread_t thread;
    pid_t pid;
    char *arguments[] = {"true", NULL};
    int status;
    (void)it;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    if (error == 0)
        error = pthread_join(thread, NULL);
    if (error == 0)
        error = posix_spawn(&pid, "/usr/bin/true", NULL, NULL, arguments, environ);
    if (error == 0 && waitpid(pid, &status, 0) == pid)
        error = status == 0 ? 0 : ECHILD;
    return error;
}

const struct act kernel_acts[] = {
    {"mount", mount_something},
    {"fsopen", open_file_system},
    {"open-tree", clone_mounts},
    {"chroot", change_root},
    {"io-uring", ring},
    {"x32", x32},
    {"int80", int80},
    {"userfaultfd", page_faults},
    {"keyctl", keyring},
    {"add-key", add_key},
    {"bpf", load_program},
    {"syslog", kernel_log},
    {"tiocsti", push_input},
    {"terminal", terminal},
    {"open-to-write", open_to_write},
    {"own-filter", own_filter},
    {"threads", threads_and_spawn},
    {NULL, NULL},
};
