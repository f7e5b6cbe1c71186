/* Acts on processes, their rights and namespaces. */
#include "attacker.h"
#include <dirent.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

/* Runs an act against a child of the own, which waits. */
static int against_child(int (*act)(pid_t child)) {
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0) {
        pause();
        _exit(0);
    }
    int error = act(child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return error;
}

static int seize(char **it) {
    pid_t victim = atoi(it[0]);
    if (ptrace(PTRACE_SEIZE, victim, 0, 0) < 0)
        return errno;
    ptrace(PTRACE_INTERRUPT, victim, 0, 0);
    waitpid(victim, NULL, __WALL);
    return outcome(ptrace(PTRACE_DETACH, victim, 0, 0));
}

static char secret[16] = "secret";

static int read_memory_of(pid_t child) {
    char found[16] = "";
    struct iovec here = {found, sizeof found}, there = {secret, sizeof secret};
    if (process_vm_readv(child, &here, 1, &there, 1, 0) < 0)
        return errno;
    return strcmp(found, "secret") == 0 ? 0 : ENODATA;
}

static int read_memory(char **it) { return (void)it, against_child(read_memory_of); }

static int take_descriptor_of(pid_t child) {
    int process = syscall(SYS_pidfd_open, child, 0);
    if (process < 0)
        return errno;
    return outcome(syscall(SYS_pidfd_getfd, process, 1, 0));
}

static int take_descriptor(char **it) { return (void)it, against_child(take_descriptor_of); }

static int compare_with(pid_t child) {
    return outcome(syscall(SYS_kcmp, getpid(), child, KCMP_FILES, 0, 0));
}

static int compare(char **it) { return (void)it, against_child(compare_with); }

static int signal_it(char **it) { return outcome(kill(atoi(it[0]), 0)); }

static int signal_by_pidfd(char **it) {
    int process = syscall(SYS_pidfd_open, atoi(it[0]), 0);
    if (process < 0)
        return errno;
    return outcome(syscall(SYS_pidfd_send_signal, process, 0, NULL, 0));
}

static int signal_with_value(char **it) {
    union sigval value = {0};
    return outcome(sigqueue(atoi(it[0]), 0, value));
}

/* Kills, and looks whether it helped. */
static int end_it(char **it) {
    pid_t victim = atoi(it[0]);
    if (kill(victim, SIGKILL) < 0)
        return errno;
    for (int round = 0; round < 100; round++) {
        char path[64], state[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", victim);
        int file = open(path, O_RDONLY);
        ssize_t length = file < 0 ? 0 : read(file, state, sizeof state - 1);
        close(file);
        char *end = strrchr(state, ')');
        if (victim != 1 && (length <= 0 || (end && end[2] == 'Z')))
            return 0;
        usleep(1000);
    }
    return EPERM;
}

static int see_argument(char **it) {
    DIR *all = opendir("/proc");
    struct dirent *entry;
    while (all && (entry = readdir(all))) {
        char path[512], line[4096];
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid())
            continue;
        int file = open(path, O_RDONLY);
        ssize_t length = read(file, line, sizeof line);
        close(file);
        if (length > 0 && memmem(line, length, it[0], strlen(it[0])))
            return 0;
    }
    return ENOENT;
}

static int unshare_user(char **it) { return (void)it, outcome(unshare(CLONE_NEWUSER)); }

static int clone_user(char **it) {
    (void)it;
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return outcome(pid);
}

static int clone3_user(char **it) {
    uint64_t arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    (void)it;
    long pid = syscall(SYS_clone3, arguments, sizeof arguments);
    if (pid == 0)
        _exit(0);
    return outcome(pid);
}

static int join(char **it) {
    int space = open(it[0], O_RDONLY | O_CLOEXEC);
    return space < 0 ? errno : outcome(setns(space, 0));
}

static int become_root(char **it) { return (void)it, geteuid() == 0 ? 0 : EPERM; }

static int capability_left(char **it) {
    (void)it;
    for (int capability = 0; capability < 41; capability++)
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1)
            return 0;
    return EPERM;
}

static int change_personality(char **it) {
    return (void)it, outcome(personality(ADDR_NO_RANDOMIZE));
}

static int raise_limit(char **it) {
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    return outcome(setrlimit(atoi(it[0]), &none));
}

const struct act process_acts[] = {
    {"seize", seize},
    {"read-memory", read_memory},
    {"take-descriptor", take_descriptor},
    {"compare", compare},
    {"signal", signal_it},
    {"signal-pidfd", signal_by_pidfd},
    {"signal-value", signal_with_value},
    {"end", end_it},
    {"see-argument", see_argument},
    {"unshare-user", unshare_user},
    {"clone-user", clone_user},
    {"clone3-user", clone3_user},
    {"join", join},
    {"root", become_root},
    {"capability", capability_left},
    {"personality", change_personality},
    {"raise-limit", raise_limit},
    {NULL, NULL},
};
