/* run.c: `wshd CONTROL PLAN [LISTEN|- [FD...]]`. Runs a plan from its first step to its last: the launcher, the child
 * that it clones, a job's process. Owns the hand-over at release and the way to exec; must not know what other steps
 * do. */
#include "wshd.h"

#define ALLOWED_CLONE ((uint64_t)(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
				  CLONE_NEWCGROUP | CLONE_NEWTIME))

struct run run;

#define X(number, name, function, kinds, where) [number] = step_##function,
static int (*const functions[OP_END])(const struct step *) = {OPERATIONS(X)};
#undef X

/* Tells who started this: by CONTROL, which for a job is a pipe to PID 1. */
int report(uint32_t kind, int error, int fd) {
	struct control message = {.kind = kind, .step = run.step, .error = error};
	message.pid = run.child > 0 ? run.child : getpid();
	if (fd < 0)
		return fd_write(FD_CONTROL, &message, sizeof message);
	return fd_send(FD_CONTROL, &message, sizeof message, &fd, 1);
}

static _Noreturn void fail(int error) {
	if (run.child > 0) {
		kill(run.child, SIGKILL); /* the number is its own until the next line */
		waitpid(run.child, NULL, 0);
	}
	if (run.monitored && run.child == 0) /* first: who hears of it on CONTROL kills this process */
		fd_send(FD_SYNC, "", 1, NULL, 0);
	report(CONTROL_FAILED, error, -1);
	_exit(EXIT_FAILED);
}

static int open_namespace(const char *name, int number) {
	char path[PROC_PATH];
	snprintf(path, sizeof path, "/proc/%d/ns/%s", run.child, name);
	return fd_place(open(path, O_RDONLY | O_CLOEXEC), number);
}

static int adopt_child(uint64_t flags, int new_pidfd) {
	cleanup_close int pidfd = new_pidfd;
	if (flags & CLONE_NEWNET && open_namespace("net", FD_NETNS) < 0)
		return -1;
	if (flags & CLONE_NEWUSER && open_namespace("user", FD_USERNS) < 0)
		return -1;
	return report(CONTROL_CLONED, 0, pidfd);
}

/* In the child: waits for release, or for the launcher's death, which is the end. The root that the launcher opened
 * comes with it. */
static int await_release(void) {
	char byte;
	unsigned count = 1;
	int root;
	close(FD_CGROUP);
	if (fd_receive(FD_SYNC, &byte, 1, &root, &count) != 1)
		_exit(EXIT_FAILED);
	if (!run.monitored)
		close(FD_SYNC);
	if (count == 0)
		return 0;
	run.root = fd_place(root, FD_ROOT);
	return run.root;
}

/* Returns in both processes; in the child after release. */
int step_clone(const struct step *step) {
	uint64_t flags = step->number[0];
	int pair[2], pidfd = -1;
	if (flags & ~ALLOWED_CLONE)
		return refuse(EINVAL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	struct k_clone_args args = {.flags = flags | CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
	if (run.cgroup >= 0) {
		args.flags |= K_CLONE_INTO_CGROUP;
		args.cgroup = FD_CGROUP;
	}
	run.child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (run.child < 0)
		return -1;
	int side = run.child == 0;
	close(pair[!side]);
	if (fd_place(pair[side], FD_SYNC) < 0)
		return -1;
	return run.child == 0 ? await_release() : adopt_child(flags, pidfd);
}

/* The launcher's last step. */
int step_release(const struct step *step) {
	(void)step;
	int status;
	if (fd_send(FD_SYNC, "", 1, &run.root, run.root >= 0) < 0)
		return -1;
	if (run.plan.last != OP_EXEC)
		_exit(0);
	if (run.monitored)
		monitor();
	sys_close_range(3, ~0u); /* CONTROL's end is the sign that exec worked; no namespace is held */
	if (waitpid(run.child, &status, 0) < 0)
		_exit(EXIT_FAILED);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* uid_map, gid_map, setgroups: the launcher has the rights for it, the child has not. */
int step_write_map(const struct step *step) {
	const char *name = step->op == OP_UID_MAP ? "uid_map" : step->op == OP_GID_MAP ? "gid_map" : "setgroups";
	char path[PROC_PATH];
	snprintf(path, sizeof path, "/proc/%d/%s", run.child, name);
	return fd_write_file(path, step->text[0], step->length[0]);
}

/* Whoever started this does his part beside a container that is all made; his death is the end of it. */
int step_await(const struct step *step) {
	char byte = (char)step->op; /* whatever it is */
	return report(CONTROL_MADE, 0, -1) < 0 || recv(FD_CONTROL, &byte, 1, 0) != 1 ? refuse(ECANCELED) : 0;
}

/* Without a slash it is searched along PATH of the program's environment, not of ours. */
int step_exec(const struct step *step) {
	static char *standard[] = {"PATH=/usr/bin:/bin", NULL};
	run.argv[run.argc] = NULL;
	run.envp[run.envc] = NULL;
	if (report(CONTROL_READY, 0, -1) < 0)
		return -1;
	if (run.monitored && fd_send(FD_SYNC, &(char){SYNC_EXEC}, 1, NULL, 0) < 0)
		return -1;
	if (strchr(step->text[0], '/'))
		return execve(step->text[0], run.argv, run.envp);
	environ = run.envp;
	if (!getenv("PATH"))
		environ = standard;
	return execvpe(step->text[0], run.argv, run.envp);
}

/* Runs every step. In the launcher it ends at release, in the child and in a job with the program or with PID 1. */
_Noreturn void run_plan(struct plan plan, enum stage stage) {
	struct step step = {0};
	bool behalf = false;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	run.root = run.cgroup = run.child = -1;
	run.plan = plan;
	if (!plan_check(&run.plan, stage, &run.step))
		fail(EINVAL);
	while (plan_next(&run.plan, &step)) {
		run.step = run.plan.index - 1;
		if (behalf) { /* the launcher did these for the child */
			behalf = step.op != OP_RELEASE;
			continue;
		}
		if (functions[step.op](&step) < 0)
			fail(errno);
		behalf = step.op == OP_CLONE && run.child == 0;
	}
	_exit(report(CONTROL_READY, 0, -1) < 0 ? EXIT_FAILED : 0);
}

/* An empty plan, which is refused as malformed, when it cannot be mapped. */
struct plan plan_map(int fd) {
	struct stat info;
	struct plan plan = {0};
	if (fstat(fd, &info) < 0 || info.st_size <= 0 || info.st_size > PLAN_MAX)
		return plan;
	void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes != MAP_FAILED)
		plan = (struct plan){.bytes = bytes, .length = (size_t)info.st_size};
	return plan;
}

static _Noreturn void usage(void) {
	fputs("usage: wshd CONTROL PLAN [LISTEN|- [FD...]]: started by warden, not by hand\n", stderr);
	_exit(2);
}

static int parse_fd(const char *word) {
	char *end;
	unsigned long number = strtoul(word, &end, 10);
	if (*word < '0' || *word > '9' || *end || number > INT_MAX)
		usage();
	return (int)number;
}

int main(int argc, char **argv) {
	int fds[2 + PASSED_MAX] = {-1, -1};
	unsigned count = 2;
	for (int number = 1; number <= 64; number++)
		signal(number, SIG_DFL); /* an ignored SIGCHLD would lose exit statuses; nothing here catches signals */
	if (argc < 3 || argc > 4 + PASSED_MAX)
		usage();
	fds[0] = parse_fd(argv[1]);
	if (argc > 3 && strcmp(argv[3], "-") != 0)
		fds[1] = parse_fd(argv[3]);
	for (int i = 4; i < argc; i++)
		fds[count++] = parse_fd(argv[i]);
	struct plan plan = plan_map(parse_fd(argv[2]));
	if (fd_settle(fds, count) < 0)
		usage();
	run_plan(plan, BEFORE_CLONE);
}
