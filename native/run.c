/* run.c: runs a plan from its first step to its last: the launcher, the child it clones, and a job's process.
 * Owns the hand-over at release and the way to exec. Must not know what the single steps do. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ALLOWED_CLONE                                                                                                  \
	((uint64_t)(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) |        \
	 K_CLONE_NEWTIME)

/* Pages of these are only ever touched by a process that is about to exec. */
static char *argument_space[PLAN_MAX_STEPS + 1], *environment_space[PLAN_MAX_STEPS + 1];

/* Reports to who started this: a message on CONTROL, or two integers on a job's pipe to PID 1. */
int send_control(const struct run *run, uint32_t kind, int error, int fd)
{
	struct control message = {.kind = kind, .step = run->step, .error = error, .pid = run->child > 0 ? run->child : getpid()};
	if (run->job)
		return fd_write_text(run->control, (const char *)&message, sizeof message);
	return fd_send(run->control, &message, sizeof message, &fd, fd >= 0 ? 1 : 0, 0);
}

static _Noreturn void fail(struct run *run, int error)
{
	if (run->child > 0) {
		syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
		waitpid(run->child, NULL, 0);
	}
	send_control(run, CONTROL_FAILED, error, -1);
	_exit(EXIT_FAILED);
}

/* "/proc/PID/NAME" in *path*. */
static void proc_of(pid_t pid, const char *name, char path[64])
{
	char digits[12];
	size_t count = 0, at = 6;
	memcpy(path, "/proc/", at);
	do
		digits[count++] = (char)('0' + pid % 10);
	while ((pid /= 10) > 0);
	while (count > 0)
		path[at++] = digits[--count];
	path[at++] = '/';
	strcpy(path + at, name);
}

static int open_namespace(pid_t pid, const char *name, int number)
{
	char path[64];
	proc_of(pid, name, path);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || dup3(fd, number, O_CLOEXEC) < 0 ? -1 : 0;
}

/* In the child: waits for release, or for the launcher's death, which is the end. The root that the launcher opened
 * comes with it. */
static int await_release(struct run *run, int sync)
{
	char byte;
	unsigned count = 1;
	int root = -1;
	run->child = -1;
	if (run->pidfd >= 0)
		close(run->pidfd);
	if (run->cgroup >= 0)
		close(run->cgroup);
	run->pidfd = run->cgroup = run->sync = -1;
	if (fd_receive(sync, &byte, 1, &root, &count, 0) != 1)
		_exit(EXIT_FAILED);
	close(sync);
	if (count == 0)
		return 0;
	if (run->root >= 0)
		close(run->root);
	run->root = fd_high(root);
	return run->root < 0 ? -1 : 0;
}

static int adopt_child(struct run *run, uint64_t flags)
{
	if (flags & CLONE_NEWNET && open_namespace(run->child, "ns/net", FD_NETNS) < 0)
		return -1;
	if (flags & CLONE_NEWUSER && open_namespace(run->child, "ns/user", FD_USERNS) < 0)
		return -1;
	return send_control(run, CONTROL_CLONED, 0, run->pidfd);
}

/* Returns in both processes; in the child after release. */
int step_clone(struct run *run, const struct step *step)
{
	uint64_t flags = step_number(step, 0);
	int pair[2], pidfd = -1;
	if (flags & ~ALLOWED_CLONE) {
		errno = EINVAL;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	cleanup_close int ours = fd_high(pair[0]), theirs = fd_high(pair[1]);
	struct k_clone_args args = {
	    .flags = flags | K_CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	if (run->cgroup >= 0) {
		args.flags |= K_CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)run->cgroup;
	}
	pid_t child = ours < 0 || theirs < 0 ? -1 : sys_clone3(&args);
	if (child < 0)
		return -1;
	if (child == 0) {
		int sync = theirs;
		close(ours);
		ours = theirs = -1;
		return await_release(run, sync);
	}
	run->child = child;
	run->pidfd = fd_high(pidfd);
	run->sync = ours;
	ours = -1;
	return adopt_child(run, flags);
}

/* The launcher's last step. */
int step_release(struct run *run, const struct step *step)
{
	(void)step;
	int status;
	if (fd_send(run->sync, "", 1, &run->root, run->root >= 0 ? 1 : 0, 0) < 0)
		return -1;
	if (plan_last_op(run->plan) != OP_EXEC)
		_exit(0);
	fd_close_except(NULL, 0, 0); /* CONTROL's end is the sign that exec worked; no namespace is held */
	while (waitpid(run->child, &status, 0) < 0)
		if (errno != EINTR)
			_exit(EXIT_FAILED);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* uid_map, gid_map, setgroups: the file is named as the step. */
static int write_map(const struct run *run, const struct step *step)
{
	char path[64];
	proc_of(run->child, operations[step->op].name, path);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : fd_write_text(fd, step->args[0].bytes, step->args[0].length);
}

int step_uid_map(struct run *run, const struct step *step)
{
	return write_map(run, step);
}

int step_gid_map(struct run *run, const struct step *step)
{
	return write_map(run, step);
}

int step_setgroups(struct run *run, const struct step *step)
{
	return write_map(run, step);
}

/* Descriptors and the signal mask as the program shall find them (dispositions: main.c). Runs once, before a filter that may forbid it. */
int prepare_exec(struct run *run)
{
	int keep[USE_FD_MAX + 1];
	unsigned count = 0;
	sigset_t none;
	if (run->prepared)
		return 0;
	for (int fd = 3; fd <= USE_FD_MAX; fd++)
		if (run->kept[fd / 64] >> fd % 64 & 1)
			keep[count++] = fd;
	if (fd_close_except(keep, count, K_CLOSE_RANGE_CLOEXEC) < 0)
		return -1;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	run->prepared = true;
	return 0;
}

static const char *search_path(const struct run *run)
{
	for (unsigned i = 0; i < run->envc; i++)
		if (strncmp(run->envp[i], "PATH=", 5) == 0)
			return run->envp[i] + 5;
	return "/usr/bin:/bin";
}

/* execvp(3) on the plan's environment. EACCES of one place is remembered, the search goes on. */
static int search_and_exec(const struct run *run, const char *name)
{
	char path[4096];
	int error = ENOENT;
	size_t length = strlen(name);
	for (const char *from = search_path(run), *end; from; from = *end ? end + 1 : NULL) {
		end = strchrnul(from, ':');
		size_t dir = (size_t)(end - from);
		if (dir + 1 + length >= sizeof path)
			continue;
		memcpy(path, from, dir);
		path[dir] = '/';
		memcpy(path + dir + (dir > 0), name, length + 1);
		execve(path, run->argv, run->envp);
		if (errno == EACCES)
			error = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return -1;
	}
	errno = error;
	return -1;
}

int step_exec(struct run *run, const struct step *step)
{
	const char *path = step->args[0].bytes;
	if (prepare_exec(run) < 0 || send_control(run, CONTROL_READY, 0, -1) < 0)
		return -1;
	return strchr(path, '/') ? execve(path, run->argv, run->envp) : search_and_exec(run, path);
}

/* Runs every step. In the launcher it ends at release, in the child and in a job with the program or with PID 1. */
_Noreturn void run_plan(struct run *run)
{
	struct step step;
	bool behalf = false;
	run->argv = argument_space;
	run->envp = environment_space;
	int error = plan_check(run->plan, run->job ? PLAN_JOB : PLAN_LAUNCH, &run->step);
	if (error)
		fail(run, error);
	for (struct cursor cursor = plan_start(run->plan); plan_next(run->plan, &cursor, &step);) {
		run->step = cursor.index - 1;
		if (behalf) { /* the launcher did these for the child */
			behalf = step.op != OP_RELEASE;
			continue;
		}
		if (step_run(run, &step) < 0)
			fail(run, errno);
		behalf = step.op == OP_CLONE && run->child <= 0;
	}
	if (send_control(run, CONTROL_READY, 0, -1) < 0)
		_exit(EXIT_FAILED);
	_exit(0);
}
