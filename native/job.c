/* job.c: the jobs of PID 1: starting them, following them to their end, keeping what a daemon has not fetched; and the
 * requests, which are all about them. A job's plan is read only by the job's own process, so it cannot hurt PID 1. */
#include "wshd.h"

#include <sys/vfs.h>

struct job {
	struct record record;
	int kept[3]; /* our ends: stdin (or the terminal's master), stdout, stderr */
	int report;  /* read end of the pipe that closes when exec works */
	bool begun;  /* the plan was done, execve(2) was next */
};

static struct job jobs[JOBS_MAX]; /* pages beyond *used* are never touched */
static unsigned used, held;
static int terminals = -1; /* the container's devpts */
static struct rlimit first_files;

/* The file system is opened before anything of the container runs, so that no terminal is ever opened by a path that
 * a job could have replaced by something that blocks. */
void jobs_start(void) {
	struct statfs info;
	terminals = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (terminals >= 0 && (fstatfs(terminals, &info) < 0 || info.f_type != K_DEVPTS_MAGIC))
		fd_close_all(&terminals, 1);
	getrlimit(RLIMIT_NOFILE, &first_files);
	struct rlimit files = {.rlim_cur = first_files.rlim_max, .rlim_max = first_files.rlim_max};
	setrlimit(RLIMIT_NOFILE, &files);
}

static bool is_alive(const struct job *job) {
	return job->record.state == STATE_STARTING || job->record.state == STATE_RUNNING;
}

static struct job *find(uint32_t number) {
	for (unsigned i = 0; i < used; i++)
		if (jobs[i].record.state != STATE_FREE && jobs[i].record.job == number)
			return &jobs[i];
	return NULL;
}

/* An empty job, in the first slot that is free; NULL when there is none. */
static struct job *reserve(const struct request *request) {
	unsigned slot = 0;
	while (slot < used && jobs[slot].record.state != STATE_FREE)
		slot++;
	if (slot == JOBS_MAX)
		return NULL;
	if (slot == used)
		used++;
	held++;
	jobs[slot] = (struct job){.kept = {-1, -1, -1}, .report = -1};
	jobs[slot].record.job = request->job;
	jobs[slot].record.state = STATE_STARTING;
	jobs[slot].record.flags = request->flags & (JOB_STDIN | JOB_STDOUT | JOB_STDERR | JOB_TERMINAL);
	return &jobs[slot];
}

static void forget(struct job *job) {
	fd_close_all(job->kept, 3);
	serve_close(&job->report);
	job->record.state = STATE_FREE;
	held--;
	while (used > 0 && jobs[used - 1].record.state == STATE_FREE)
		used--;
}

static int open_terminal(struct job *job, const struct request *request, int *child) {
	int unlocked = 0;
	struct winsize size = {.ws_row = (unsigned short)request->a, .ws_col = (unsigned short)request->b};
	if (terminals < 0)
		return refuse(ENODEV);
	int master = job->kept[0] = openat(terminals, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
		return -1;
	/* the other side without a path, since 4.13 */
	*child = ioctl(master, K_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return *child;
}

/* Makes the standard descriptors: our ends in *job*, the others in *child*. What stays -1 is /dev/null. */
static int open_stdio(struct job *job, const struct request *request, int child[3]) {
	unsigned all = JOB_STDIN | JOB_STDOUT | JOB_STDERR | JOB_TERMINAL | JOB_GIVEN_STDIN;
	unsigned flags = request->flags & all, both = JOB_STDIN | JOB_GIVEN_STDIN;
	if (flags == JOB_TERMINAL)
		return open_terminal(job, request, child);
	if (flags & JOB_TERMINAL || (flags & both) == both)
		return refuse(EINVAL);
	for (unsigned i = 0; i < 3; i++) {
		int ends[2];
		if (!(flags & 1u << i))
			continue;
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		child[i] = ends[i > 0];
		job->kept[i] = ends[i == 0];
	}
	return 0;
}

/* The job's process. Everything of PID 1 is closed first: a plan that hangs must not hold other jobs' pipes open. */
static _Noreturn void become_job(const struct call *call, const int child[3], int progress) {
	const struct request *request = &call->request;
	struct plan plan = {.bytes = call->body, .length = request->length};
	int fds[2 + FDS_MAX] = {progress, -1}, stdio[3];
	unsigned first = 0, count = 2;
	run.argc = run.envc = 0; /* PID 1's are not the job's */
	run.terminal = request->flags & JOB_TERMINAL;
	for (unsigned i = 0; i < 3; i++)
		stdio[i] = run.terminal ? child[0] : child[i];
	if (request->flags & BODY_IN_FD) {
		plan = plan_map(call->fds[first++]);
		plan.length = plan.length < request->length ? 0 : request->length; /* too short is malformed */
	}
	if (request->flags & JOB_GIVEN_STDIN)
		stdio[0] = call->fds[first++];
	while (first < call->fd_count)
		fds[count++] = call->fds[first++];
	for (int fd = 0; fd < 3; fd++)
		if (stdio[fd] >= 0 && dup2(stdio[fd], fd) < 0)
			_exit(EXIT_FAILED);
	if (fd_settle(fds, count) < 0 || setrlimit(RLIMIT_NOFILE, &first_files) < 0)
		_exit(EXIT_FAILED);
	run_plan(plan, IN_JOB);
}

/* Starts the process of *job*. Its ends of the standard descriptors are put in *child*. */
static int begin(struct job *job, const struct call *call, int child[3]) {
	int ends[2];
	if (open_stdio(job, &call->request, child) < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	cleanup_close int theirs = ends[1];
	job->report = ends[0];
	if (serve_watch(job->report, (uint32_t)(job - jobs)) < 0)
		return -1;
	struct k_clone_args args = {.exit_signal = SIGCHLD};
	job->record.pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (job->record.pid == 0)
		become_job(call, child, theirs);
	job->record.started_ns = now_ns();
	return job->record.pid;
}

/* Gives the kept descriptors along with the answer, which says which they are. */
static int give_kept(const struct job *job, struct call *call) {
	call->answer.reply.flags = (uint16_t)job->record.flags;
	for (unsigned i = 0; i < 3; i++)
		if (job->kept[i] >= 0)
			call->given[call->given_count++] = job->kept[i];
	return 0;
}

static int spawn(struct call *call) {
	int child[3] = {-1, -1, -1};
	if (call->request.job == 0 || find(call->request.job))
		return refuse(call->request.job == 0 ? EINVAL : EEXIST);
	struct job *job = reserve(&call->request);
	if (!job)
		return refuse(EAGAIN);
	int begun = begin(job, call, child), error = errno;
	fd_close_all(child, 3);
	if (begun >= 0)
		return give_kept(job, call);
	forget(job);
	return refuse(error);
}

/* Reads what the job's process reported. The end of the pipe after "exec is next" means that exec worked; the end
 * without it, that the process was killed before, which its status will tell. */
static void read_report(struct job *job) {
	struct control message;
	ssize_t length;
	while (job->report >= 0 && (length = read(job->report, &message, sizeof message)) != -1) {
		if (length != (ssize_t)sizeof message) {
			serve_close(&job->report);
		} else if (message.kind == CONTROL_READY) {
			job->begun = true;
		} else {
			job->record.step = message.step;
			job->record.error = message.error;
		}
	}
	if (job->report < 0 && job->begun && job->record.error == 0 && job->record.state == STATE_STARTING) {
		job->record.state = STATE_RUNNING;
		serve_event(EVENT_STARTED, &job->record);
	}
}

void jobs_progress(uint32_t slot) {
	if (slot < used && jobs[slot].record.state == STATE_STARTING)
		read_report(&jobs[slot]);
}

static void end(struct job *job, int status, const struct rusage *usage) {
	read_report(job); /* all of it is there: the process that wrote is gone */
	job->record.state = job->record.error != 0 ? STATE_FAILED : STATE_ENDED;
	job->record.status = status;
	job->record.ended_ns = now_ns();
	job->record.user_us = (uint64_t)usage->ru_utime.tv_sec * 1000000u + (uint64_t)usage->ru_utime.tv_usec;
	job->record.system_us = (uint64_t)usage->ru_stime.tv_sec * 1000000u + (uint64_t)usage->ru_stime.tv_usec;
	job->record.maxrss_kib = (uint64_t)usage->ru_maxrss;
	serve_event(EVENT_ENDED, &job->record);
}

/* Jobs end here, and orphans of the container vanish. */
void jobs_reap(void) {
	struct rusage usage;
	int status;
	pid_t pid;
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
		for (unsigned i = 0; i < used; i++)
			if (is_alive(&jobs[i]) && jobs[i].record.pid == pid)
				end(&jobs[i], status, &usage);
}

static int signal_job(const struct job *job, int signal, uint32_t scope) {
	if (scope > 1)
		return refuse(EINVAL);
	if (!is_alive(job))
		return refuse(ESRCH);
	int result = kill(scope == 1 ? -job->record.pid : job->record.pid, signal);
	/* a job that leads no group (yet) is one process */
	return result < 0 && scope == 1 && errno == ESRCH ? kill(job->record.pid, signal) : result;
}

static int list(struct call *call) {
	struct reply *reply = &call->answer.reply;
	uint32_t slot = call->request.a;
	for (; slot < used && reply->count < LIST_BATCH; slot++)
		if (jobs[slot].record.state != STATE_FREE)
			call->answer.records[reply->count++] = jobs[slot].record;
	reply->b = slot < used ? slot : 0;
	return 0;
}

/* A pidfd of ourselves means the same process to whoever gets it, whatever its number there. */
static int ping(struct call *call) {
	call->pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (call->pidfd < 0)
		return -1;
	call->given[call->given_count++] = call->pidfd;
	call->answer.reply.flags = REPLY_PIDFD;
	call->answer.reply.a = PROTOCOL_VERSION;
	call->answer.reply.b = held;
	return 0;
}

int jobs_request(struct call *call) {
	const struct request *request = &call->request;
	struct job *job = find(request->job);
	switch (request->kind) {
	case REQ_SPAWN:
		return spawn(call);
	case REQ_LIST:
		return list(call);
	case REQ_PING:
		return ping(call);
	}
	if (request->kind == REQ_SIGNAL && request->job == 0) /* without a pid namespace it would be the whole machine */
		return getpid() == 1 ? kill(-1, (int)request->a) : refuse(EPERM);
	if (!job)
		return refuse(ESRCH);
	switch (request->kind) {
	case REQ_SIGNAL:
		return signal_job(job, (int)request->a, request->b);
	case REQ_ATTACH:
		call->answer.reply.count = 1;
		call->answer.records[0] = job->record;
		return give_kept(job, call);
	case REQ_RELEASE:
		if (is_alive(job))
			return refuse(EBUSY);
		forget(job);
		return 0;
	default: /* REQ_CLOSE_STDIN */
		if (!(job->record.flags & JOB_STDIN))
			return refuse(EBADF);
		fd_close_all(job->kept, 1);
		job->record.flags &= ~(uint32_t)JOB_STDIN;
		return 0;
	}
}
