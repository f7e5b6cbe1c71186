/* attacker ACT [ARGUMENT...]: prints `did`, or `blocked NAME` with the name of the error. */
#include "attacker.h"

static const struct act *const all[] = {file_acts, process_acts, kernel_acts, network_acts,
                                        resource_acts};

int main(int argc, char **argv) {
    for (size_t group = 0; argc > 1 && group < sizeof all / sizeof *all; group++)
        for (const struct act *it = all[group]; it->name; it++)
            if (strcmp(it->name, argv[1]) == 0) {
                int error = it->act(argv + 2);
                if (error == 0)
                    puts("did");
                else
                    printf("blocked %s\n", strerrorname_np(error));
                return 0;
            }
    fprintf(stderr, "no such act\n");
    return 2;
}
