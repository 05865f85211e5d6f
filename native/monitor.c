/* monitor.c: what the launcher of a container with an init of its own becomes: it waits for the end, and then becomes
 * the program that cleans up. Owns the console, which it reads so that nobody inside blocks, the terminals, and who has
 * them. Must not know what a state means or what an end needs. docs/plan-format.md, "The monitor". */
#include "wshd.h"

#include <poll.h>
#include <sys/signalfd.h>

enum { FD_JOURNAL = FD_PASSED, FD_LOG, FD_BUFFER, FD_CONSOLE }; /* the other terminals follow */
enum { AT_SYNC, AT_LISTEN, AT_CONSOLE, AT_SIGNAL, AT_CLIENTS, AT_END = AT_CLIENTS + CONNECTIONS_MAX };
enum { DRAINS_MAX = 64, PAUSE_MS = 50, NO_TERMINAL = 0x7fffffff };

static struct plan ending;
static uint32_t terminals;		/* the console, number 0, among them */
static uint32_t held[CONNECTIONS_MAX];	/* by each client: its terminal, or NO_TERMINAL */
static struct pollfd watched[] = {[0 ... AT_END - 1] = {.fd = -1, .events = POLLIN}};
static struct log { const char *path; uint64_t bound; } logs[2]; /* of FD_LOG and FD_BUFFER */
static bool became; /* whether the first process came to its exec */

int step_monitor(const struct step *step) {
	ending = (struct plan){.bytes = (const uint8_t *)step->text[0], .length = step->length[0]};
	terminals = (uint32_t)step->number[2];
	for (unsigned i = 0; i < 2; i++)
		logs[i] = (struct log){step->text[3 + 2 * i], step->number[4 + 2 * i]};
	run.monitored = true;
	run.terminal = step->number[1] != 0;
	return terminals > 0 && terminals <= PASSED_MAX - 3 ? 0 : refuse(EINVAL);
}

static struct pollfd *holder(uint32_t terminal) {
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (watched[AT_CLIENTS + i].fd >= 0 && held[i] == terminal)
			return &watched[AT_CLIENTS + i];
	return NULL;
}

/* A log that is full begins anew: what was in it is PATH.1, or gone where no path is given. */
static int renew(int fd, const char *path) {
	char old[PATH_MAX];
	if (!*path)
		return ftruncate(fd, 0);
	if (snprintf(old, sizeof old, "%s.1", path) < (int)sizeof old)
		rename(path, old);
	return fd_place(open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), fd);
}

static void keep(unsigned log, const char *bytes, size_t length) {
	off_t there = lseek(FD_LOG + (int)log, 0, SEEK_END); /* it may be neither of a size nor ours alone */
	bool full = logs[log].bound && there > 0 && (uint64_t)there + length > logs[log].bound;
	if (!full || renew(FD_LOG + (int)log, logs[log].path) >= 0)
		fd_write(FD_LOG + (int)log, bytes, length);
}

/* What the console says goes into the logs and to its holder; without one it is lost. A slow holder is waited for, and so
 * is, after a hang-up, whoever opens the other side again: looked at every PAUSE_MS meanwhile. */
static void hear_console(void) {
	char bytes[4096];
	struct pollfd *to = holder(0), ready = {.fd = to ? to->fd : -1, .events = POLLOUT};
	ssize_t got = to && poll(&ready, 1, 0) == 0 ? 0 : read(FD_CONSOLE, bytes, sizeof bytes);
	if (got <= 0)
		watched[AT_CONSOLE].fd = -1;
	else if (keep(0, bytes, (size_t)got), keep(1, bytes, (size_t)got), to)
		fd_send(to->fd, bytes, (size_t)got, NULL, 0);
}

/* The first packet of a client names the terminal it wants; it holds that until it closes. */
static int give_terminal(unsigned client, uint32_t wanted) {
	uint32_t number = wanted == TERMINAL_ANY ? 1 : wanted;
	while (wanted == TERMINAL_ANY && number < terminals && holder(number))
		number++;
	if (number >= terminals || holder(number) || (number == 0 && !run.terminal))
		return -1;
	held[client] = number;
	return fd_send(watched[AT_CLIENTS + client].fd, &number, sizeof number, (int[]){FD_CONSOLE + (int)number}, 1);
}

/* Later packets are typed on the console; what does not fit there is lost. */
static void hear_client(unsigned client) {
	uint32_t bytes[1024] = {0};
	struct pollfd *from = &watched[AT_CLIENTS + client];
	ssize_t got = recv(from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (got > 0 && held[client] == 0)
		fd_write(FD_CONSOLE, bytes, (size_t)got);
	else if (got != (ssize_t)sizeof *bytes || held[client] != NO_TERMINAL || give_terminal(client, *bytes) < 0)
		fd_close_all(&from->fd, 1);
}

static void accept_client(void) {
	cleanup_close int fd = accept4(FD_LISTEN, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	for (unsigned i = 0; i < CONNECTIONS_MAX && fd >= 0; i++)
		if (watched[AT_CLIENTS + i].fd < 0) {
			watched[AT_CLIENTS + i] = (struct pollfd){.fd = fd, .events = POLLIN};
			held[i] = NO_TERMINAL;
			fd = -1;
		}
}

/* The child says what it does before it does it; its end of the socket is gone when exec worked. CONTROL is closed after
 * the state is written: whoever waits for its end finds it. */
static void hear_child(void) {
	char last = 0;
	while (recv(FD_SYNC, &last, 1, 0) == 1)
		became = last == SYNC_EXEC;
	if (became)
		fd_write(FD_JOURNAL, "RUNNING\n", 8);
	watched[AT_SYNC].fd = -1;
	close(FD_SYNC);
	close(FD_CONTROL);
}

static void hear_signal(void) {
	struct signalfd_siginfo info;
	int status;
	(void)!read(watched[AT_SIGNAL].fd, &info, sizeof info);
	if (waitpid(run.child, &status, WNOHANG) != run.child)
		return;
	if (watched[AT_SYNC].fd >= 0)
		hear_child();
	if (!became)
		_exit(EXIT_FAILED); /* who started it has heard why, and cleans up */
	for (int i = 0; i < DRAINS_MAX && watched[AT_CONSOLE].fd >= 0; i++)
		hear_console();
	dprintf(FD_JOURNAL, "EXITED %d\nSTOPPING\n", status);
	run.argc = run.envc = run.monitored = run.terminal = 0; /* the first process's are not the end's */
	fd_place(open("/dev/null", O_WRONLY | O_CLOEXEC), FD_CONTROL);
	run_plan(ending, IN_JOB);
}

/* Namespaces and mounts of the container are let go: nothing here may keep them. */
_Noreturn void monitor(void) {
	void (*const hear[])(void) = {hear_child, accept_client, hear_console, hear_signal};
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	setsid();
	sys_close_range(3, FD_SYNC - 1);
	watched[AT_SIGNAL].fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	watched[AT_SYNC].fd = FD_SYNC;
	watched[AT_LISTEN].fd = FD_LISTEN;
	watched[AT_CONSOLE].fd = run.terminal ? FD_CONSOLE : -1;
	hear_signal(); /* it may have ended before the signal was blocked */
	for (;;) {
		bool paused = run.terminal && watched[AT_CONSOLE].fd < 0;
		if (poll(watched, AT_END, paused ? PAUSE_MS : -1) < 0)
			_exit(EXIT_FAILED);
		watched[AT_CONSOLE].fd = run.terminal ? FD_CONSOLE : -1;
		for (unsigned i = 0; i < AT_END; i++)
			if (watched[i].revents)
				i < AT_CLIENTS ? hear[i]() : hear_client(i - AT_CLIENTS);
	}
}
