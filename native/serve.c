/* serve.c: PID 1 of the container. Owns the loop and the connections; job.c owns the jobs and what is asked of them.
 * Must never block on anything that a process of the container, or a slow client, can hold up. */
#include "wshd.h"

#include <sys/sysmacros.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

enum { WATCH_CONNECTION = JOBS_MAX, WATCH_LISTEN = WATCH_CONNECTION + CONNECTIONS_MAX, WATCH_SIGNAL };

static int poll_fd, signal_fd, spare_fd;
static int connections[CONNECTIONS_MAX];
static uint8_t packet[sizeof(struct request) + BODY_MAX_INLINE + 1];

int serve_watch(int fd, uint32_t watcher) {
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = watcher};
	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Closing alone is not enough: a child that has not come to its exec holds the same open file, and epoll would report
 * its end for ever (epoll(7), "Will closing a file descriptor cause it to be removed"). */
void serve_close(int *fd) {
	epoll_ctl(poll_fd, EPOLL_CTL_DEL, *fd, NULL);
	fd_close_all(fd, 1);
}

/* A packet that does not go out at once means a client that does not read: it is dropped, and finds all by LIST. */
static void answer(int *connection, const struct reply *reply, const int *fds, unsigned count) {
	size_t length = sizeof *reply + reply->count * sizeof(struct record); /* the records follow in memory */
	if (*connection >= 0 && fd_send(*connection, reply, length, fds, count) < 0)
		serve_close(connection);
}

void serve_event(uint16_t kind, const struct record *record) {
	struct { struct reply reply; struct record record; } event = {{.magic = REPLY_MAGIC, .kind = kind, .job = record->job, .count = 1}, *record};
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		answer(&connections[i], &event.reply, NULL, 0);
}

/* Only from outside: a process of an outer pid namespace has pid 0 here (unix(7), SO_PEERCRED). Without a pid namespace
 * of our own that says nothing, and the caller must be root. */
static bool from_outside(int fd) {
	struct ucred peer;
	socklen_t length = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	return getpid() == 1 ? peer.pid == 0 : peer.uid == 0;
}

static void accept_one(void) {
	cleanup_close int fd = accept4(FD_LISTEN, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int room = 1 << 20;
	uint32_t place = 0;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		/* give up the spare descriptor to take the caller off the queue, or poll would never rest */
		close(spare_fd);
		close(accept4(FD_LISTEN, NULL, NULL, SOCK_CLOEXEC));
		spare_fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
	}
	while (place < CONNECTIONS_MAX && connections[place] >= 0)
		place++;
	if (fd < 0 || place == CONNECTIONS_MAX || !from_outside(fd) || serve_watch(fd, WATCH_CONNECTION + place) < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room); /* events of some hundred jobs */
	connections[place] = fd;
	fd = -1;
}

static void hear(int *connection) {
	struct call call;
	struct reply *reply = &call.answer.reply;
	if (*connection < 0)
		return;
	call.fd_count = FDS_MAX + 1;
	ssize_t length = fd_receive(*connection, packet, sizeof packet, call.fds, &call.fd_count);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length > 0 && request_valid(packet, (size_t)length, call.fd_count, &call.request)) {
		call.body = packet + sizeof call.request;
		call.given_count = 0;
		call.pidfd = -1;
		*reply = (struct reply){.magic = REPLY_MAGIC, .kind = call.request.kind, .job = call.request.job};
		if (jobs_request(&call) < 0)
			reply->error = errno;
		fd_close_all(call.fds, call.fd_count);
		answer(connection, reply, call.given, call.given_count);
		fd_close_all(&call.pidfd, 1);
	} else {
		fd_close_all(call.fds, call.fd_count);
		serve_close(connection);
	}
}

static _Noreturn void loop(void) {
	struct epoll_event events[16];
	struct signalfd_siginfo info;
	for (;;) {
		int count = epoll_wait(poll_fd, events, 16, -1);
		for (int i = 0; i < count; i++) {
			uint32_t watcher = events[i].data.u32;
			if (watcher < WATCH_CONNECTION)
				jobs_progress(watcher);
			else if (watcher < WATCH_LISTEN)
				hear(&connections[watcher - WATCH_CONNECTION]);
			else if (watcher == WATCH_LISTEN)
				accept_one();
			else if (read(signal_fd, &info, sizeof info) > 0) /* one SIGCHLD stands for many */
				jobs_reap();
		}
	}
}

static int open_poll(void) {
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &child, NULL) < 0)
		return -1;
	memset(connections, -1, sizeof connections);
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	spare_fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
	if (poll_fd < 0 || signal_fd < 0 || spare_fd < 0 || fcntl(FD_LISTEN, F_SETFL, O_NONBLOCK) < 0)
		return -1;
	return serve_watch(FD_LISTEN, WATCH_LISTEN) < 0 ? -1 : serve_watch(signal_fd, WATCH_SIGNAL);
}

/* Becomes presentable: nothing of the outside stays open, nothing inside may trace or read this process. */
int step_serve(const struct step *step) {
	(void)step;
	struct stat info;
	/* A program of the image may have run before, and may have put anything there. */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
	if (null < 0 || fstat(null, &info) < 0)
		return -1;
	if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))
		return refuse(ENODEV);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	setsid(); /* fails only when this is a session's leader already */
	if (sys_close_range(3, FD_CONTROL - 1) < 0 || sys_close_range(FD_LISTEN + 1, ~0u) < 0 || open_poll() < 0)
		return -1;
	jobs_start();
	if (report(CONTROL_READY, 0, -1) < 0)
		return -1;
	close(FD_CONTROL);
	munmap((void *)(uintptr_t)run.plan.bytes, run.plan.length);
	loop();
}
