/* job.c: the jobs of PID 1: starting them, following them to their end, keeping what a daemon has not fetched.
 * A job's plan is read only by the job's own process, so nothing in it can hurt PID 1. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

struct job {
	struct record record;	/* state 0: the slot is free */
	int kept[3];		/* our ends: stdin (or the terminal's master), stdout, stderr */
	int report;		/* read end of the pipe that closes when exec works */
	bool begun;		/* the plan was done, execve(2) was next */
};

static struct job jobs[JOBS_MAX]; /* pages beyond *used* are never touched */
static unsigned used, held;
static int terminals = -1; /* the container's devpts */
static struct rlimit first_files;

/* The file system is opened before anything of the container runs, so that no terminal is ever opened by a path that
 * a job could have replaced by something that blocks. */
void jobs_start(void)
{
	struct statfs info;
	struct rlimit files;
	terminals = fd_high(open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (terminals >= 0 && (fstatfs(terminals, &info) < 0 || info.f_type != K_DEVPTS_MAGIC)) {
		close(terminals);
		terminals = -1;
	}
	getrlimit(RLIMIT_NOFILE, &first_files);
	files = first_files;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_alive(const struct job *job)
{
	return job->record.state == STATE_STARTING || job->record.state == STATE_RUNNING;
}

static struct job *find(uint32_t number)
{
	for (unsigned i = 0; i < used; i++)
		if (jobs[i].record.state != 0 && jobs[i].record.job == number)
			return &jobs[i];
	errno = ESRCH;
	return NULL;
}

static struct job *free_slot(void)
{
	for (unsigned i = 0; i < used; i++)
		if (jobs[i].record.state == 0)
			return &jobs[i];
	if (used < JOBS_MAX)
		return &jobs[used++];
	errno = EAGAIN;
	return NULL;
}

static void forget(struct job *job)
{
	fd_close_all(job->kept, 3);
	fd_close_all(&job->report, 1);
	memset(&job->record, 0, sizeof job->record);
	while (used > 0 && jobs[used - 1].record.state == 0)
		used--;
}

/* Standard descriptors of a job while it is made: the child's side, and what PID 1 keeps. -1 is /dev/null. */
struct stdio {
	int child[3], kept[3];
};

static void cleanup_stdio_ends(struct stdio *stdio)
{
	int saved = errno;
	fd_close_all(stdio->child, 3);
	fd_close_all(stdio->kept, 3);
	errno = saved;
}
#define cleanup_stdio __attribute__((cleanup(cleanup_stdio_ends)))

static int open_terminal(struct stdio *stdio, const struct request *request)
{
	int unlocked = 0;
	struct winsize size = {.ws_row = (unsigned short)request->a, .ws_col = (unsigned short)request->b};
	if (terminals < 0) {
		errno = ENODEV;
		return -1;
	}
	stdio->kept[0] = openat(terminals, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (stdio->kept[0] < 0 || ioctl(stdio->kept[0], TIOCSPTLCK, &unlocked) < 0)
		return -1;
	if (ioctl(stdio->kept[0], TIOCSWINSZ, &size) < 0)
		return -1;
	/* the other side without a path, since 4.13 */
	stdio->child[0] = ioctl(stdio->kept[0], K_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (stdio->child[0] < 0)
		return -1;
	stdio->child[1] = fcntl(stdio->child[0], F_DUPFD_CLOEXEC, 0);
	stdio->child[2] = fcntl(stdio->child[0], F_DUPFD_CLOEXEC, 0);
	return stdio->child[1] < 0 || stdio->child[2] < 0 ? -1 : 0;
}

static int open_pipes(struct stdio *stdio, unsigned flags)
{
	for (unsigned i = 0; i < 3; i++) {
		int ends[2];
		if (!(flags & 1u << i))
			continue;
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		stdio->child[i] = ends[i > 0];
		stdio->kept[i] = ends[i == 0];
	}
	return 0;
}

static int open_stdio(struct stdio *stdio, const struct request *request)
{
	unsigned flags = request->flags;
	bool several = flags & JOB_TERMINAL ? flags & (JOB_STDIN | JOB_STDOUT | JOB_STDERR | JOB_GIVEN_STDIN)
					    : (flags & JOB_STDIN) && (flags & JOB_GIVEN_STDIN);
	if (several) {
		errno = EINVAL;
		return -1;
	}
	return flags & JOB_TERMINAL ? open_terminal(stdio, request) : open_pipes(stdio, flags);
}

/* The body, inline or mapped. A descriptor that is too short gives an empty plan, which is refused as malformed. */
static struct plan job_plan(const struct job_request *wish)
{
	const struct request *request = wish->request;
	struct plan plan = {wish->body, request->length};
	struct stat info;
	if (!(request->flags & BODY_IN_FD))
		return plan;
	plan.length = 0;
	if (fstat(wish->fds[0], &info) < 0 || info.st_size < (off_t)request->length)
		return plan;
	plan.bytes = mmap(NULL, request->length, PROT_READ, MAP_PRIVATE, wish->fds[0], 0);
	if (plan.bytes != MAP_FAILED)
		plan.length = request->length;
	return plan;
}

/* The job's process. Everything of PID 1 is closed first: a plan that hangs must not hold other jobs' pipes open. */
static _Noreturn void become_job(const struct job_request *wish, const struct stdio *stdio, int report)
{
	struct run run = {.listen = -1, .root = -1, .cgroup = -1, .sync = -1, .pidfd = -1, .child = -1, .job = true};
	int keep[FDS_MAX + 2];
	unsigned first = 0, count = 0;
	run.terminal = wish->request->flags & JOB_TERMINAL;
	run.plan = job_plan(wish);
	first += wish->request->flags & BODY_IN_FD ? 1 : 0;
	for (int fd = 0; fd < 3; fd++)
		if (stdio->child[fd] >= 0 && dup2(stdio->child[fd], fd) < 0)
			_exit(EXIT_FAILED);
	if (wish->request->flags & JOB_GIVEN_STDIN && dup2(wish->fds[first++], 0) < 0)
		_exit(EXIT_FAILED);
	run.control = keep[count++] = fd_high(report);
	for (unsigned i = first; i < wish->fd_count; i++)
		run.passed[run.passed_count++] = keep[count++] = fd_high(wish->fds[i]);
	if (fd_close_except(keep, count, 0) < 0 || setrlimit(RLIMIT_NOFILE, &first_files) < 0)
		_exit(EXIT_FAILED);
	run_plan(&run);
}

static pid_t fork_job(const struct job_request *wish, const struct stdio *stdio, int report)
{
	struct k_clone_args args = {.exit_signal = SIGCHLD};
	pid_t pid = sys_clone3(&args);
	if (pid == 0)
		become_job(wish, stdio, report);
	return pid;
}

static unsigned kept_flags(const struct job *job)
{
	unsigned flags = 0;
	if (job->record.flags & JOB_TERMINAL)
		return JOB_TERMINAL;
	for (unsigned i = 0; i < 3; i++)
		flags |= job->kept[i] >= 0 ? 1u << i : 0;
	return flags;
}

/* Copies the kept descriptors for a reply, and says in it which they are; returns how many. */
static int show_kept(const struct job *job, struct reply *reply, int *kept)
{
	int count = 0;
	reply->flags = (uint16_t)job->record.flags;
	for (unsigned i = 0; i < 3; i++)
		if (job->kept[i] >= 0)
			kept[count++] = job->kept[i];
	return count;
}

static int check_new(uint32_t number)
{
	if (number == 0 || find(number)) {
		errno = number == 0 ? EINVAL : EEXIST;
		return -1;
	}
	return 0;
}

int job_spawn(const struct job_request *wish, struct reply *reply, int *kept)
{
	cleanup_stdio struct stdio stdio = {{-1, -1, -1}, {-1, -1, -1}};
	int ends[2];
	if (check_new(wish->request->job) < 0 || open_stdio(&stdio, wish->request) < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	cleanup_close int report = ends[0], theirs = ends[1];
	struct job *job = free_slot();
	if (!job || serve_watch(report, WATCH_JOB, (unsigned)(job - jobs)) < 0)
		return -1;
	pid_t pid = fork_job(wish, &stdio, theirs);
	if (pid < 0)
		return -1;
	job->record = (struct record){.job = wish->request->job,
				      .pid = pid,
				      .state = STATE_STARTING,
				      .flags = wish->request->flags & JOB_TERMINAL,
				      .started_ns = now_ns()};
	memcpy(job->kept, stdio.kept, sizeof job->kept);
	memset(stdio.kept, -1, sizeof stdio.kept);
	job->report = report;
	report = -1;
	job->begun = false;
	job->record.flags = kept_flags(job);
	held++;
	return show_kept(job, reply, kept);
}

/* Reads what the job's process reported. The end of the pipe after "exec is next" means that exec worked; the end
 * without it, that the process was killed before, which its status will tell. */
static void read_report(struct job *job)
{
	struct control message;
	ssize_t length;
	while (job->report >= 0 && (length = read(job->report, &message, sizeof message)) != -1) {
		if (length == (ssize_t)sizeof message && message.kind == CONTROL_READY) {
			job->begun = true;
		} else if (length == (ssize_t)sizeof message) {
			job->record.step = message.step;
			job->record.error = message.error;
		} else {
			fd_close_all(&job->report, 1);
		}
	}
	if (job->report < 0 && job->begun && job->record.error == 0 && job->record.state == STATE_STARTING) {
		job->record.state = STATE_RUNNING;
		serve_event(EVENT_STARTED, &job->record);
	}
}

void job_progress(unsigned index)
{
	if (index < used && jobs[index].record.state == STATE_STARTING)
		read_report(&jobs[index]);
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void end(struct job *job, int status, const struct rusage *usage)
{
	read_report(job); /* all of it is there: the process that wrote is gone */
	job->record.state = job->record.error != 0 ? STATE_FAILED : STATE_ENDED;
	job->record.status = status;
	job->record.ended_ns = now_ns();
	job->record.user_us = microseconds(usage->ru_utime);
	job->record.system_us = microseconds(usage->ru_stime);
	job->record.maxrss_kib = (uint64_t)usage->ru_maxrss;
	serve_event(EVENT_ENDED, &job->record);
}

/* Jobs end here, and orphans of the container vanish. */
void jobs_reap(void)
{
	struct rusage usage;
	int status;
	pid_t pid;
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
		for (unsigned i = 0; i < used; i++)
			if (is_alive(&jobs[i]) && jobs[i].record.pid == pid) {
				end(&jobs[i], status, &usage);
				break;
			}
}

int job_signal(uint32_t number, int signal, uint32_t scope)
{
	if (number == 0) {
		if (getpid() == 1)
			return kill(-1, signal);
		errno = EPERM; /* without a pid namespace of our own it would be every process of the machine */
		return -1;
	}
	struct job *job = find(number);
	if (job && is_alive(job) && scope <= 1) {
		int result = kill(scope == 1 ? -job->record.pid : job->record.pid, signal);
		/* a job that leads no group (yet) is one process */
		return result < 0 && scope == 1 && errno == ESRCH ? kill(job->record.pid, signal) : result;
	}
	errno = scope > 1 ? EINVAL : ESRCH;
	return -1;
}

unsigned job_list(uint32_t first, struct record *records, uint32_t *next)
{
	unsigned count = 0, i = first;
	for (; i < used && count < LIST_BATCH; i++)
		if (jobs[i].record.state != 0)
			records[count++] = jobs[i].record;
	*next = i < used ? i : 0;
	return count;
}

int job_attach(uint32_t number, struct reply *reply, int *kept, struct record *record)
{
	struct job *job = find(number);
	if (!job)
		return -1;
	reply->count = 1;
	*record = job->record;
	return show_kept(job, reply, kept);
}

int job_release(uint32_t number)
{
	struct job *job = find(number);
	if (!job)
		return -1;
	if (is_alive(job)) {
		errno = EBUSY;
		return -1;
	}
	forget(job);
	held--;
	return 0;
}

int job_close_stdin(uint32_t number)
{
	struct job *job = find(number);
	if (!job)
		return -1;
	if (!(job->record.flags & JOB_STDIN)) {
		errno = EBADF;
		return -1;
	}
	fd_close_all(&job->kept[0], 1);
	job->record.flags = kept_flags(job);
	return 0;
}

unsigned job_count(void)
{
	return held;
}
