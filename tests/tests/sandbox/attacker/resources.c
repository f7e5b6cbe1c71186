/* Acts that use up what a machine has, up to a bound that harms no machine. */
#include "attacker.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

/* So many processes at the same time. */
static int fork_bomb(char **it) {
    int wanted = atoi(it[0]), error = 0, started = 0;
    pid_t group = getpid();
    setpgid(0, 0);
    for (; started < wanted; started++) {
        pid_t child = fork();
        if (child < 0) {
            error = errno;
            break;
        }
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            pause();
            _exit(0);
        }
    }
    signal(SIGTERM, SIG_IGN);
    kill(-group, SIGTERM);
    while (started-- > 0)
        wait(NULL);
    return error;
}

/* So many MiB, all of it written to. */
static int memory_bomb(char **it) {
    size_t bytes = (size_t)atoi(it[0]) << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    for (size_t at = 0; at < bytes; at += 4096)
        memory[at] = 1;
    return 0;
}

/* So many MiB into each of the named files, together. */
static int disk_fill(char **it) {
    static char block[1 << 20];
    memset(block, 1, sizeof block);
    int error = 0;
    for (char **path = it + 1; *path; path++) {
        int file = open(*path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
        for (int count = atoi(it[0]); file >= 0 && error == 0 && count > 0; count--)
            if (write(file, block, sizeof block) != sizeof block)
                error = errno ? errno : ENOSPC;
        error = file < 0 ? errno : error;
        close(file);
    }
    for (char **path = it + 1; *path; path++)
        unlink(*path);
    return error;
}

/* So many empty files in the own directory. */
static int file_bomb(char **it) {
    int wanted = atoi(it[0]), error = 0, made = 0;
    char name[32];
    for (; error == 0 && made < wanted; made++) {
        snprintf(name, sizeof name, "f%d", made);
        int file = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        error = file < 0 ? errno : 0;
        close(file);
    }
    while (made-- > 0) {
        snprintf(name, sizeof name, "f%d", made);
        unlink(name);
    }
    return error;
}

/* So many milliseconds of processor time, deaf to signals. */
static int spin(char **it) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    clock_t until = (clock_t)atoi(it[0]) * (CLOCKS_PER_SEC / 1000);
    while (clock() < until)
        ;
    return 0;
}

/* So many open files. */
static int open_files(char **it) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int count = atoi(it[0]); count > 0; count--)
        if (dup(0) < 0)
            return errno;
    return 0;
}

const struct act resource_acts[] = {
    {"fork-bomb", fork_bomb}, {"memory-bomb", memory_bomb}, {"disk-fill", disk_fill},
    {"file-bomb", file_bomb}, {"spin", spin},               {"open-files", open_files},
    {NULL, NULL},
};
