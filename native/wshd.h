/* wshd.h: what the files of the program share: the parsed step, the run of a plan, a request, and who does what.
 *
 *   parse.c    plans and requests, no system call   fd.c       descriptors
 *   run.c      command line, launcher, clone, exec  serve.c    PID 1: the loop and its connections
 *   steps.c    identity, limits, names              job.c      PID 1: jobs, and the requests about them
 *   mounts.c   everything on paths and mounts       net.c      rtnetlink
 *   program.c  a program beside the plan            monitor.c  the launcher, after release, of a system
 *
 * A function that can fail returns -1 with errno set, unless said otherwise. Every descriptor is close-on-exec, and
 * what comes in from outside is moved to a fixed number or closed: so exec closes all but what `use_fd` placed. */
#ifndef WSHD_H
#define WSHD_H

#include "sys.h"
#include "wire.h"

#define ARGS_MAX 7
#define PASSED_MAX 64
#define EXIT_FAILED 125 /* a step failed, as env(1) and docker have it */
#define PROC_PATH 64
#define SYNC_EXEC 'x' /* from the child of a monitor: exec is next; and anything else: it failed */

/* Numbers below 100 belong to the plan; the two namespaces are part of its contract, the rest is ours. */
enum {
	FD_NETNS = 100, FD_USERNS, FD_ROOT, FD_CGROUP, FD_SYNC,
	FD_CONTROL, FD_LISTEN, FD_PASSED, FD_END = FD_PASSED + PASSED_MAX
};

extern const char *const operation_kinds[OP_END];

struct step {
	uint16_t op;
	char *text[ARGS_MAX]; /* a NUL follows */
	uint32_t length[ARGS_MAX];
	uint64_t number[ARGS_MAX];
};

struct plan {
	const uint8_t *bytes;
	size_t length, offset;
	uint32_t index, count; /* steps read, steps in all */
	uint16_t last;	       /* operation of the last step */
};

/* parse.c: whether the plan can be run from its first step by who begins in *stage*; if not, *bad_step* is wrong. */
bool plan_check(struct plan *plan, enum stage stage, uint32_t *bad_step);
bool plan_next(struct plan *plan, struct step *step);
/* True when the packet is a request whose body and descriptors fit it. */
bool request_valid(const void *packet, size_t length, unsigned fds, struct request *request);

/* The plan that this process runs. One of PID 1 has ended when its fork runs a job's. */
struct run {
	struct plan plan;
	uint32_t step;	  /* the one that is running */
	int root, cgroup; /* -1, or their fixed number */
	uint64_t resolve; /* how targets are looked up below root, beside the usual */
	pid_t child;	  /* in the launcher, after clone */
	bool terminal, monitored;
	unsigned argc, envc;
	char *argv[PLAN_MAX_STEPS + 1], *envp[PLAN_MAX_STEPS + 1]; /* touched only by who is about to exec */
};
extern struct run run;

/* run.c */
_Noreturn void run_plan(struct plan plan, enum stage stage);
_Noreturn void monitor(void); /* monitor.c */
struct plan plan_map(int fd);
int report(uint32_t kind, int error, int fd);

/* steps.c, mounts.c, net.c, program.c, run.c, serve.c, monitor.c */
#define X(number, name, function, kinds, where) int step_##function(const struct step *step);
OPERATIONS(X)
#undef X

/* fd.c */
int fd_place(int fd, int number);
int fd_settle(int *fds, unsigned count);
void fd_close_all(int *fds, unsigned count);
int fd_write(int fd, const void *bytes, size_t length);
int fd_write_file(const char *path, const void *bytes, size_t length);
int fd_send(int socket, const void *message, size_t length, const int *fds, unsigned count);
ssize_t fd_receive(int socket, void *message, size_t length, int *fds, unsigned *count);
uint64_t now_ns(void);

/* A request on its way through PID 1: what came, and what goes back. */
struct call {
	struct request request;
	const uint8_t *body;
	int fds[FDS_MAX + 1]; /* that came with it: closed before the answer */
	int given[3];	      /* that go back: not closed */
	int pidfd;	      /* made for the answer: closed after it */
	unsigned fd_count, given_count;
	struct { struct reply reply; struct record records[LIST_BATCH]; } answer;
};

/* serve.c: below JOBS_MAX *watcher* is a job's slot. */
int serve_watch(int fd, uint32_t watcher);
void serve_close(int *fd);
void serve_event(uint16_t kind, const struct record *record);

/* job.c */
void jobs_start(void);
int jobs_request(struct call *call);
void jobs_progress(uint32_t slot);
void jobs_reap(void);

#endif
