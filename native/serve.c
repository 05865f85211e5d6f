/* serve.c: PID 1 of the container. Owns the loop, the connections and their requests; job.c owns the jobs.
 * Must never block on anything that a process of the container, or a slow client, can hold up. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

static int poll_fd = -1, listen_fd = -1, signal_fd = -1, spare_fd = -1;
static int connections[CONNECTIONS_MAX];
static uint8_t packet[sizeof(struct request) + BODY_MAX_INLINE + 1];

int serve_watch(int fd, unsigned kind, unsigned index)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | index};
	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void drop(unsigned index)
{
	close(connections[index]);
	connections[index] = -1;
}

/* A packet that does not go out at once means a client that does not read: it is dropped, and finds all by LIST. */
static void answer(unsigned index, const void *bytes, size_t length, const int *fds, unsigned count)
{
	if (connections[index] >= 0 && fd_send(connections[index], bytes, length, fds, count, MSG_DONTWAIT) < 0)
		drop(index);
}

void serve_event(unsigned kind, const struct record *record)
{
	struct {
		struct reply reply;
		struct record record;
	} message = {.reply = {.magic = REPLY_MAGIC, .kind = (uint16_t)kind, .job = record->job, .count = 1}, .record = *record};
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		answer(i, &message, sizeof message, NULL, 0);
}

/* Only from outside: a process of an outer pid namespace has pid 0 here (unix(7), SO_PEERCRED). Without a pid namespace
 * of our own that says nothing, and the caller must be root. */
static bool from_outside(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	return getpid() == 1 ? peer.pid == 0 : peer.uid == 0;
}

static void admit(int fd)
{
	int room = 1 << 20;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (connections[i] >= 0)
			continue;
		if (!from_outside(fd) || serve_watch(fd, WATCH_CONNECTION, i) < 0)
			break;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room); /* events of some hundred jobs */
		connections[i] = fd;
		return;
	}
	close(fd);
}

static void accept_one(void)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		admit(fd);
		return;
	}
	if (errno != EMFILE && errno != ENFILE)
		return;
	/* no descriptor left: give up the spare one to take the caller off the queue, or poll would never rest */
	close(spare_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	spare_fd = fcntl(0, F_DUPFD_CLOEXEC, FD_FLOOR);
}

struct response {
	struct reply reply;
	struct record records[LIST_BATCH];
};

/* Carries out *request*; returns the number of descriptors put in *kept*. */
static unsigned dispatch(const struct job_request *wish, struct response *response, int *kept)
{
	const struct request *request = wish->request;
	struct reply *reply = &response->reply;
	int count = 0;
	switch (request->kind) {
	case REQ_SPAWN:
		count = job_spawn(wish, reply, kept);
		break;
	case REQ_SIGNAL:
		count = job_signal(request->job, (int)request->a, request->b);
		break;
	case REQ_LIST:
		reply->count = job_list(request->a, response->records, &reply->b);
		break;
	case REQ_ATTACH:
		count = job_attach(request->job, reply, kept, response->records);
		break;
	case REQ_RELEASE:
		count = job_release(request->job);
		break;
	case REQ_CLOSE_STDIN:
		count = job_close_stdin(request->job);
		break;
	default: /* REQ_PING: a pidfd of ourselves means the same process to whoever gets it, whatever its number there */
		reply->a = PROTOCOL_VERSION;
		reply->b = job_count();
		kept[0] = sys_pidfd_open(getpid());
		if (kept[0] < 0)
			count = -1;
		else {
			reply->flags = REPLY_PIDFD;
			count = 1;
		}
	}
	if (count < 0)
		reply->error = errno;
	return count < 0 ? 0 : (unsigned)count;
}

static void hear(unsigned index)
{
	struct request request;
	struct response response;
	int fds[FDS_MAX + 1], kept[3];
	unsigned count = FDS_MAX + 1;
	if (connections[index] < 0)
		return;
	ssize_t length = fd_receive(connections[index], packet, sizeof packet, fds, &count, MSG_DONTWAIT);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length <= 0 || !request_valid(packet, (size_t)length, count, &request)) {
		fd_close_all(fds, length < 0 ? 0 : count);
		drop(index);
		return;
	}
	memset(&response.reply, 0, sizeof response.reply);
	response.reply.magic = REPLY_MAGIC;
	response.reply.kind = request.kind;
	response.reply.job = request.job;
	struct job_request wish = {&request, packet + sizeof request, fds, count};
	unsigned given = dispatch(&wish, &response, kept);
	fd_close_all(fds, count);
	answer(index, &response, sizeof response.reply + response.reply.count * sizeof(struct record), kept, given);
	if (request.kind == REQ_PING && given) /* what jobs keep stays open, this was made for the answer */
		close(kept[0]);
}

static void take_signals(void)
{
	struct signalfd_siginfo info;
	while (read(signal_fd, &info, sizeof info) > 0)
		;
	jobs_reap();
}

static _Noreturn void loop(void)
{
	struct epoll_event events[16];
	for (;;) {
		int count = epoll_wait(poll_fd, events, 16, -1);
		for (int i = 0; i < count; i++) {
			unsigned index = (unsigned)events[i].data.u64;
			switch (events[i].data.u64 >> 32) {
			case WATCH_LISTEN:
				accept_one();
				break;
			case WATCH_SIGNAL:
				take_signals();
				break;
			case WATCH_CONNECTION:
				hear(index);
				break;
			default:
				job_progress(index);
			}
		}
	}
}

static int open_poll(void)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &child, NULL) < 0)
		return -1;
	poll_fd = fd_high(epoll_create1(EPOLL_CLOEXEC));
	signal_fd = fd_high(signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC));
	spare_fd = fcntl(0, F_DUPFD_CLOEXEC, FD_FLOOR);
	if (poll_fd < 0 || signal_fd < 0 || spare_fd < 0)
		return -1;
	if (fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0 || serve_watch(listen_fd, WATCH_LISTEN, 0) < 0)
		return -1;
	return serve_watch(signal_fd, WATCH_SIGNAL, 0);
}

/* Becomes presentable: nothing of the outside stays open, nothing inside may trace or read this process. */
static int settle(const struct run *run)
{
	const int keep[] = {run->control, run->listen};
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (null < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	if (null < 3)
		null = -1;
	setsid(); /* fails only when this is a session's leader already */
	return fd_close_except(keep, 2, 0);
}

int step_serve(struct run *run, const struct step *step)
{
	(void)step;
	if (run->listen < 0) {
		errno = EBADF;
		return -1;
	}
	memset(connections, -1, sizeof connections);
	listen_fd = run->listen;
	if (settle(run) < 0 || open_poll() < 0)
		return -1;
	jobs_start();
	if (send_control(run, CONTROL_READY, 0, -1) < 0)
		return -1;
	close(run->control);
	munmap((void *)(uintptr_t)run->plan.bytes, run->plan.length);
	loop();
}
