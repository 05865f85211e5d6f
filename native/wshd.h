/* wshd.h: what the files of the program share: the parsed step, the run of a plan, and who does what.
 *
 *   main.c     command line, descriptors            plan.c     parser of plans, the table of operations
 *   run.c      launcher, clone, release, exec       request.c  parser of requests
 *   steps.c    identity, limits, names              serve.c    PID 1: connections, requests, events
 *   mounts.c   everything on paths and mounts       job.c      PID 1: jobs
 *   net.c      rtnetlink                            fd.c       descriptors
 *
 * A function that can fail returns -1 with errno set, unless said otherwise. Descriptors are close-on-exec and start
 * at -1. Numbers below FD_FLOOR belong to the plan (`use_fd`, and the two fixed ones); the program's own lie above. */
#ifndef WSHD_H
#define WSHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define FD_NETNS 100
#define FD_USERNS 101
#define FD_FLOOR 102
#define USE_FD_MAX 99
#define ARGS_MAX 5
#define PASSED_MAX 64
#define EXIT_FAILED 125 /* a step failed, as env(1) and docker have it */

struct operation {
	const char *name;
	const char *kinds;
};
extern const struct operation operations[OP_END];

struct step {
	unsigned op, count;
	struct {
		const char *bytes; /* a NUL follows */
		uint32_t length;
	} args[ARGS_MAX];
};

struct plan {
	const uint8_t *bytes;
	size_t length;
};

struct cursor {
	size_t offset;
	uint32_t index, count;
};

/* Who runs a plan decides which steps it may hold. */
enum plan_use { PLAN_LAUNCH, PLAN_JOB };

/* Returns 0, or an errno and the step that is wrong. Touches nothing outside the plan. */
int plan_check(struct plan plan, enum plan_use use, uint32_t *bad_step);
/* The two below are for plans that plan_check passed. */
struct cursor plan_start(struct plan plan);
bool plan_next(struct plan plan, struct cursor *cursor, struct step *step);
unsigned plan_last_op(struct plan plan);
uint64_t step_number(const struct step *step, unsigned index);

struct run {
	struct plan plan;
	uint32_t step;		/* the one that is running */
	int control;		/* CONTROL, or the pipe to PID 1 when job is set */
	int listen;
	int root;		/* targets are resolved below it */
	int cgroup;		/* of into_cgroup */
	int sync;		/* launcher to child, until release */
	int pidfd;
	pid_t child;		/* in the launcher, after clone */
	int passed[PASSED_MAX];
	unsigned passed_count;
	uint64_t kept[2];	/* bit set: placed by use_fd, survives exec */
	bool job, terminal, prepared;
	char **argv, **envp;
	unsigned argc, envc;
};

/* run.c */
_Noreturn void run_plan(struct run *run);
int prepare_exec(struct run *run);
int send_control(const struct run *run, uint32_t kind, int error, int fd);

/* steps.c, mounts.c, net.c, run.c, serve.c: one function an operation */
int step_run(struct run *run, const struct step *step);
#define X(number, upper, lower, kinds) int step_##lower(struct run *run, const struct step *step);
OPERATIONS(X)
#undef X

/* fd.c */
int fd_high(int fd);
int fd_close_except(const int *keep, unsigned count, unsigned flags);
int fd_write_text(int fd, const char *text, size_t length);
int fd_send(int socket, const void *message, size_t length, const int *fds, unsigned count, int flags);
ssize_t fd_receive(int socket, void *message, size_t length, int *fds, unsigned *count, int flags);
void fd_close_all(int *fds, unsigned count);

/* request.c: true when the packet is a request whose body and descriptors fit it. */
bool request_valid(const void *packet, size_t length, unsigned fds, struct request *request);

/* serve.c */
int serve_watch(int fd, unsigned kind, unsigned index);
enum { WATCH_LISTEN, WATCH_SIGNAL, WATCH_CONNECTION, WATCH_JOB };
void serve_event(unsigned kind, const struct record *record);

/* job.c */
struct job_request {
	const struct request *request;
	const uint8_t *body;
	int *fds;
	unsigned fd_count;
};
void jobs_start(void);
int job_spawn(const struct job_request *wish, struct reply *reply, int *kept);
int job_signal(uint32_t number, int signal, uint32_t scope);
unsigned job_list(uint32_t first, struct record *records, uint32_t *next);
int job_attach(uint32_t number, struct reply *reply, int *kept, struct record *record);
int job_release(uint32_t number);
int job_close_stdin(uint32_t number);
unsigned job_count(void);
void job_progress(unsigned index);
void jobs_reap(void);

#endif
