/* program.c: the step `run`: one program beside the plan, from its start to its certain end. Owns its standard
 * descriptors, its time, and that nothing of it is left; what it may do is a plan of its own, which comes with it. */
#include "wshd.h"

#include <poll.h>

#define SAID_MAX 4096 /* what is told of its output: the last of it */
#define READS_MAX 257 /* after its end: more than a pipe holds */

struct program {
	pid_t pid;
	int pidfd, output, progress; /* progress: what its process reports until exec */
	struct { struct control head; char text[2 * SAID_MAX]; } said;
	size_t length; /* of the text; up to SAID_MAX is kept */
};

/* Its standard input: *input*, the child's number if that is to be told, and *rest*. */
static int fill(int fd, const struct step *step) {
	if (fd < 0 || fd_write(fd, step->text[1], step->length[1]) < 0)
		return -1;
	if (step->length[3] > 0 && dprintf(fd, "%d", run.child) < 0)
		return -1;
	return fd_write(fd, step->text[2], step->length[2]) < 0 ? -1 : (int)lseek(fd, 0, SEEK_SET);
}

/* The new process. Of ours it keeps what the plan passes on, close-on-exec, and the pipe in the place of CONTROL. */
static _Noreturn void become_program(const struct step *step, int input, int output, int progress) {
	static char told[128];
	struct plan plan = {.bytes = (const uint8_t *)step->text[0], .length = step->length[0]};
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || fd_place(progress, FD_CONTROL) < 0)
		_exit(EXIT_FAILED);
	if (sys_close_range(3, FD_CONTROL - 1) < 0 || sys_close_range(FD_LISTEN, FD_LISTEN) < 0)
		_exit(EXIT_FAILED);
	run.argc = run.envc = run.monitored = run.terminal = 0;
	if (step->length[3] > 0) {
		snprintf(told, sizeof told, "%s=%d", step->text[3], run.child);
		run.envp[run.envc++] = told;
	}
	run_plan(plan, IN_JOB);
}

static int begin(struct program *program, const struct step *step) {
	int output[2], progress[2];
	cleanup_close int input = (int)syscall(SYS_memfd_create, "input", K_MFD_CLOEXEC);
	if (fill(input, step) < 0 || pipe2(output, O_CLOEXEC) < 0)
		return -1;
	cleanup_close int written = output[1];
	program->output = output[0];
	if (fcntl(program->output, F_SETFL, O_NONBLOCK) < 0 || pipe2(progress, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	cleanup_close int reported = progress[1];
	program->progress = progress[0];
	struct k_clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&program->pidfd, .exit_signal = SIGCHLD};
	program->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (program->pid == 0)
		become_program(step, input, written, reported);
	return program->pid;
}

/* Takes some of what it wrote and keeps the last of it; false when there is nothing. */
static bool hear(struct program *program) {
	char *text = program->said.text;
	ssize_t got = read(program->output, text + program->length, SAID_MAX);
	if (got <= 0)
		return false;
	program->length += (size_t)got;
	if (program->length > SAID_MAX) {
		memmove(text, text + program->length - SAID_MAX, SAID_MAX);
		program->length = SAID_MAX;
	}
	return true;
}

/* Until it ends; ETIMEDOUT when it does not in time, however much it writes. */
static int follow(struct program *program, uint64_t milliseconds) {
	struct pollfd watched[] = {
		{.fd = program->pidfd, .events = POLLIN}, {.fd = program->output, .events = POLLIN}, {.fd = FD_CONTROL}};
	uint64_t start = now_ns(), spent;
	while ((spent = (now_ns() - start) / 1000000u) < milliseconds) {
		uint64_t left = milliseconds - spent;
		if (poll(watched, 3, left < INT_MAX ? (int)left : INT_MAX) < 0)
			return -1;
		if (watched[0].revents)
			return 0;
		if (watched[1].revents && !hear(program))
			watched[1].fd = -1; /* it closed it */
		if (watched[2].revents & POLLHUP)
			return refuse(ECANCELED); /* whoever wanted this container is gone */
	}
	return refuse(ETIMEDOUT);
}

/* Kills what is left of it and takes its status. The number stays its own, and its group's, until it is waited for.
 * The child is PID 1 of its namespace (or has none): there whatever left the group goes too. */
static int finish(struct program *program) {
	int status = 0;
	bool init = run.child == 0 && getpid() == 1;
	if (init) /* first: one of them may trace it, and then it cannot be waited for */
		kill(-1, SIGKILL);
	if (program->pid > 0) {
		kill(program->pid, SIGKILL);
		kill(-program->pid, SIGKILL);
		waitpid(program->pid, &status, 0);
	}
	while (init && waitpid(-1, NULL, 0) > 0)
		;
	for (int reads = 0; reads < READS_MAX && hear(program); reads++)
		;
	return status;
}

/* The errno with which it could not become itself; else *error*. Its own code never had this pipe. */
static int reason(const struct program *program, int error) {
	struct control message;
	while (read(program->progress, &message, sizeof message) == (ssize_t)sizeof message)
		if (message.kind == CONTROL_FAILED)
			error = message.error;
	return error;
}

int step_run(const struct step *step) {
	struct program program = {.pidfd = -1, .output = -1, .progress = -1};
	if (run.child == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) /* it may be the container's, and look at us */
		return -1;
	int error = begin(&program, step) < 0 || follow(&program, step->number[4]) < 0 ? errno : 0;
	int status = finish(&program);
	error = reason(&program, error);
	fd_close_all((int[]){program.pidfd, program.output, program.progress}, 3);
	program.said.head = (struct control){.kind = CONTROL_RAN, .step = run.step, .error = error, .pid = status};
	if (fd_send(FD_CONTROL, &program.said, sizeof program.said.head + program.length, NULL, 0) < 0)
		return -1;
	bool failed = error != 0 || status != 0;
	return failed && step->number[5] & RUN_MUST_SUCCEED ? refuse(ECANCELED) : 0;
}
