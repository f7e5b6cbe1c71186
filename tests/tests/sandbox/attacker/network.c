/* Acts on sockets and other ways between processes. */
#include "attacker.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static int reach(int family, int kind, const void *address, socklen_t length) {
    int end = socket(family, kind | SOCK_CLOEXEC, 0);
    if (end < 0)
        return errno;
    int error = kind == SOCK_DGRAM ? outcome(sendto(end, "x", 1, 0, address, length))
                                   : outcome(connect(end, address, length));
    close(end);
    return error;
}

/* A name that begins with @ is abstract. */
static int reach_unix(const char *name, int kind) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = 0;
    return reach(AF_UNIX, kind, &address, offsetof(struct sockaddr_un, sun_path) + length +
                                              (name[0] != '@'));
}

static int unix_stream(char **it) { return reach_unix(it[0], SOCK_STREAM); }

static int unix_datagram(char **it) { return reach_unix(it[0], SOCK_DGRAM); }

static struct sockaddr_in local(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int tcp(char **it) {
    struct sockaddr_in address = local(it[0]);
    return reach(AF_INET, SOCK_STREAM, &address, sizeof address);
}

static int udp(char **it) {
    struct sockaddr_in address = local(it[0]);
    return reach(AF_INET, SOCK_DGRAM, &address, sizeof address);
}

static int tcp6(char **it) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(it[0]))};
    address.sin6_addr = in6addr_loopback;
    return reach(AF_INET6, SOCK_STREAM, &address, sizeof address);
}

static int bind_port(char **it) {
    struct sockaddr_in address = local("0");
    (void)it;
    int end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return end < 0 ? errno : outcome(bind(end, (void *)&address, sizeof address));
}

static int listen_unbound(char **it) {
    (void)it;
    int end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return end < 0 ? errno : outcome(listen(end, 1));
}

/* family, kind, protocol */
static int any_socket(char **it) {
    return outcome(socket(atoi(it[0]), atoi(it[1]) | SOCK_CLOEXEC, atoi(it[2])));
}

static int shared_memory(char **it) {
    return outcome(shmget((key_t)strtol(it[0], NULL, 0), 0, 0));
}

static int make_shared_memory(char **it) {
    return outcome(shmget((key_t)strtol(it[0], NULL, 0), 4096, IPC_CREAT | IPC_EXCL | 0666));
}

static int remove_shared_memory(char **it) {
    int segment = shmget((key_t)strtol(it[0], NULL, 0), 0, 0);
    return segment < 0 ? errno : outcome(shmctl(segment, IPC_RMID, NULL));
}

const struct act network_acts[] = {
    {"unix-stream", unix_stream},
    {"unix-datagram", unix_datagram},
    {"tcp", tcp},
    {"tcp6", tcp6},
    {"udp", udp},
    {"bind", bind_port},
    {"listen", listen_unbound},
    {"socket", any_socket},
    {"shared-memory", shared_memory},
    {"make-shared-memory", make_shared_memory},
    {"remove-shared-memory", remove_shared_memory},
    {NULL, NULL},
};
