/*
 * One TCP stream from one network namespace to another, as fast as it goes: prints "BYTES NANOSECONDS" of what arrived.
 *
 * Owns the two ends and what is counted: from the first read after the warm-up to the last one of the time, so that
 * neither the handshake nor a bucket that was full at first is in it. Must not know what lies between the ends.
 *
 *   stream RECEIVER SENDER LISTEN PORT CONNECT PORT WARM_MS MS poll|sleep
 *
 * RECEIVER, SENDER: files of network namespaces; LISTEN, CONNECT: IPv4 addresses, which differ where one is translated.
 * poll: the receiver asks again and again, else it sleeps until there is something. To wake another processor costs a
 * virtual machine as much as half a packet of 64 KiB, and how often that happens depends on how the ends keep step.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (128 * 1024)

static char block[BLOCK];
static int receive_flags;

__attribute__((noreturn)) static void die(const char *what) {
    fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void enter(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) die(path);
    close(fd);
}

/* Each end has a processor of its own: who shares one with whom is no property of the network. */
static void pin(int place) {
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all)) die("sched_getaffinity");
    int wanted = place % CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && wanted-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (sched_setaffinity(0, sizeof one, &one)) die("sched_setaffinity");
        }
}

static struct sockaddr_in place(const char *address, const char *port) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &name.sin_addr) != 1) errno = EINVAL, die(address);
    return name;
}

static int listening(const char *address, const char *port) {
    struct sockaddr_in name = place(address, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) die("socket");
    if (bind(fd, (struct sockaddr *)&name, sizeof name) || listen(fd, 1)) die("listen");
    return fd;
}

__attribute__((noreturn)) static void send_on(const char *address, const char *port) {
    struct sockaddr_in name = place(address, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name)) die("connect");
    while (send(fd, block, BLOCK, MSG_NOSIGNAL) > 0) continue;
    _exit(0); /* the receiver has closed it */
}

static void sender_gone(int number) {
    static const char text[] = "stream: the sender could not connect or send\n";
    (void)number;
    _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 2 : 1);
}

static void receive(int fd, uint64_t warm_ns, uint64_t for_ns) {
    uint64_t begun = now_ns(), from = 0, upto = 0, bytes = 0;
    for (;;) {
        ssize_t got = recv(fd, block, BLOCK, receive_flags);
        uint64_t now = now_ns();
        if (got < 0 && errno == EAGAIN) continue;
        if (got <= 0) die("recv");
        if (from) bytes += (uint64_t)got, upto = now;
        else if (now - begun >= warm_ns) from = now;
        if (from && now - from >= for_ns) break;
    }
    printf("%llu %llu\n", (unsigned long long)bytes, (unsigned long long)(upto - from));
}

int main(int argc, char **argv) {
    if (argc != 10)
        return fputs("usage: stream RECEIVER SENDER LISTEN PORT CONNECT PORT WARM_MS MS poll|sleep\n", stderr), 2;
    pid_t parent = getpid();
    /* Before others: what else runs here is not what is measured. musl's own function refuses it. */
    struct sched_param first = {.sched_priority = 1};
    if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first)) fputs("stream: others run as well\n", stderr);
    receive_flags = strcmp(argv[9], "poll") ? 0 : MSG_DONTWAIT;
    signal(SIGCHLD, sender_gone);
    enter(argv[1]);
    int listener = listening(argv[3], argv[4]);
    pid_t sender = fork();
    if (sender < 0) die("fork");
    if (sender == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent) die("prctl");
        enter(argv[2]);
        pin(0);
        send_on(argv[5], argv[6]);
    }
    pin(1);
    alarm((unsigned)(10 + (atol(argv[7]) + atol(argv[8])) / 1000)); /* of a path that leads nowhere */
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) die("accept");
    receive(fd, (uint64_t)atol(argv[7]) * 1000000u, (uint64_t)atol(argv[8]) * 1000000u);
    signal(SIGCHLD, SIG_DFL);
    kill(sender, SIGKILL);
    return waitpid(sender, NULL, 0) < 0;
}
