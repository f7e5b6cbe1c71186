/* What a hostile program tries, one act a call.
 *
 * An act returns 0 when it succeeded and the error's number when it did not. Acts are harmless
 * where they succeed, for each is also done outside of the sandbox, as its own control. */
#ifndef ATTACKER_H
#define ATTACKER_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct act {
    const char *name;
    int (*act)(char **arguments);
};

extern const struct act file_acts[], process_acts[], kernel_acts[], network_acts[], resource_acts[];

/* The error of the last call, or 0 when it succeeded. */
static inline int outcome(long result) { return result < 0 ? errno : 0; }

#endif
