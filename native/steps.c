/* steps.c: the steps on the process itself: namespaces, cgroups, names, limits, rights, identity; and the table that
 * finds every step's function. Each does what its name's manual page says, literally and in the plan's order. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *text(const struct step *step, unsigned index)
{
	return step->args[index].bytes;
}

/* Finds passed descriptor number *index*. */
static int passed_fd(const struct run *run, uint64_t index, int *fd)
{
	if (index >= run->passed_count) {
		errno = EBADF;
		return -1;
	}
	*fd = run->passed[index];
	return 0;
}

static int write_file(const char *path, const char *bytes, size_t length)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -1 : fd_write_text(fd, bytes, length);
}

int step_join_cgroup(struct run *run, const struct step *step)
{
	(void)run;
	return write_file(text(step, 0), "0", 1);
}

int step_join_cgroup_fd(struct run *run, const struct step *step)
{
	int fd;
	return passed_fd(run, step_number(step, 0), &fd) < 0 ? -1 : fd_write_text(fd, "0", 1);
}

int step_into_cgroup(struct run *run, const struct step *step)
{
	int fd = fd_high(open(text(step, 0), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (fd < 0)
		return -1;
	if (run->cgroup >= 0)
		close(run->cgroup);
	run->cgroup = fd;
	return 0;
}

/* Before a process can be seen from inside a container it must not be traceable there: until exec it holds memory and
 * descriptors of the host (CVE-2016-9962). */
static int enter(int fd, uint64_t flags)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -1 : setns(fd, (int)flags);
}

int step_setns(struct run *run, const struct step *step)
{
	(void)run;
	cleanup_close int fd = open(text(step, 0), O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : enter(fd, step_number(step, 1));
}

int step_setns_pid(struct run *run, const struct step *step)
{
	(void)run;
	cleanup_close int fd = sys_pidfd_open((pid_t)step_number(step, 0));
	return fd < 0 ? -1 : enter(fd, step_number(step, 1)); /* a pidfd since 5.8 */
}

int step_write(struct run *run, const struct step *step)
{
	(void)run;
	return write_file(text(step, 0), text(step, 1), step->args[1].length);
}

int step_hostname(struct run *run, const struct step *step)
{
	(void)run;
	return sethostname(text(step, 0), step->args[0].length);
}

int step_domainname(struct run *run, const struct step *step)
{
	(void)run;
	return setdomainname(text(step, 0), step->args[0].length);
}

int step_rlimit(struct run *run, const struct step *step)
{
	(void)run;
	int resource = (int)step_number(step, 0);
	struct rlimit wish = {.rlim_cur = step_number(step, 1), .rlim_max = step_number(step, 2)}, present;
	if (prlimit(0, resource, &wish, NULL) == 0)
		return 0;
	if (errno != EPERM || prlimit(0, resource, NULL, &present) < 0)
		return -1;
	wish.rlim_max = present.rlim_max;
	if (wish.rlim_cur > wish.rlim_max)
		wish.rlim_cur = wish.rlim_max;
	return prlimit(0, resource, &wish, NULL);
}

static int drop_bounding(uint64_t keep)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (keep >> cap & 1)
			continue;
		int present = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (present < 0)
			return errno == EINVAL ? 0 : -1; /* one more than the kernel knows */
		if (present > 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	}
	return 0;
}

static int raise_ambient(uint64_t wanted)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (unsigned long cap = 0; cap < 64; cap++)
		if (wanted >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	return 0;
}

int step_capabilities(struct run *run, const struct step *step)
{
	(void)run;
	struct k_cap_header header = {.version = K_CAPABILITY_VERSION_3};
	uint64_t effective = step_number(step, 1), permitted = step_number(step, 2), inheritable = step_number(step, 3);
	struct k_cap_data data[2] = {
	    {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
	    {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)}};
	if (drop_bounding(step_number(step, 0)) < 0 || syscall(SYS_capset, &header, data) < 0)
		return -1;
	return raise_ambient(step_number(step, 4));
}

int step_securebits(struct run *run, const struct step *step)
{
	(void)run;
	return prctl(PR_SET_SECUREBITS, (unsigned long)step_number(step, 0), 0, 0, 0);
}

int step_no_new_privs(struct run *run, const struct step *step)
{
	(void)run, (void)step;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* What exec does to descriptors and signals is done before the filter, which may not allow it. */
int step_seccomp(struct run *run, const struct step *step)
{
	uint32_t length = step->args[0].length;
	struct k_sock_fprog program = {.length = (uint16_t)(length / 8), .filter = step->args[0].bytes};
	if (length == 0 || length % 8 != 0 || length / 8 > UINT16_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (prepare_exec(run) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, K_SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* The C library's setgroups and set*id want to tell its threads; a child of a raw clone has none and must not ask. */
int step_groups(struct run *run, const struct step *step)
{
	(void)run;
	if (step->args[0].length % sizeof(uint32_t) != 0) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_setgroups, step->args[0].length / sizeof(uint32_t), step->args[0].bytes);
}

int step_setgid(struct run *run, const struct step *step)
{
	(void)run;
	gid_t id = (gid_t)step_number(step, 0);
	return (int)syscall(SYS_setresgid, id, id, id);
}

int step_setuid(struct run *run, const struct step *step)
{
	uid_t id = (uid_t)step_number(step, 0);
	if (run->terminal && fchown(0, id, (gid_t)-1) < 0 && errno != EPERM)
		return -1; /* a user owns the terminal he is on, as after login(1) */
	return (int)syscall(SYS_setresuid, id, id, id);
}

/* getcwd(2) answers "(unreachable)…" for a directory outside the root, since 2.6.36: CVE-2024-21626. */
int step_chdir(struct run *run, const struct step *step)
{
	(void)run;
	char where[PATH_MAX];
	if (chdir(text(step, 0)) < 0 || syscall(SYS_getcwd, where, sizeof where) < 0)
		return -1;
	if (where[0] == '/')
		return 0;
	errno = EXDEV;
	return -1;
}

int step_umask(struct run *run, const struct step *step)
{
	(void)run;
	umask((mode_t)step_number(step, 0));
	return 0;
}

static char *mutable_text(const struct step *step)
{
	return (char *)(uintptr_t)text(step, 0);
}

int step_env(struct run *run, const struct step *step)
{
	run->envp[run->envc++] = mutable_text(step);
	return 0;
}

int step_arg(struct run *run, const struct step *step)
{
	run->argv[run->argc++] = mutable_text(step);
	return 0;
}

int step_setsid(struct run *run, const struct step *step)
{
	(void)step;
	if (setsid() < 0)
		return -1;
	return run->terminal ? ioctl(0, TIOCSCTTY, 0) : 0;
}

int step_use_fd(struct run *run, const struct step *step)
{
	int fd;
	uint64_t number = step_number(step, 1);
	if (passed_fd(run, step_number(step, 0), &fd) < 0)
		return -1;
	if (number > USE_FD_MAX) {
		errno = EBADF;
		return -1;
	}
	if (dup2(fd, (int)number) < 0)
		return -1;
	run->kept[number / 64] |= 1ull << number % 64;
	return 0;
}

int step_name(struct run *run, const struct step *step)
{
	(void)run;
	return prctl(PR_SET_NAME, text(step, 0), 0, 0, 0);
}

int step_pdeathsig(struct run *run, const struct step *step)
{
	(void)run;
	return prctl(PR_SET_PDEATHSIG, (unsigned long)step_number(step, 0), 0, 0, 0);
}

static int (*const functions[OP_END])(struct run *, const struct step *) = {
#define X(number, upper, lower, kinds) [number] = step_##lower,
    OPERATIONS(X)
#undef X
};

int step_run(struct run *run, const struct step *step)
{
	return functions[step->op](run, step);
}
