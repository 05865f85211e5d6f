/* steps.c: the steps on the process itself: namespaces, cgroups, names, limits, rights, identity.
 * Each does what its name's manual page says, literally and in the plan's order. */
#include "wshd.h"

/* The descriptor passed with *index*; what was not passed is EBADF to whoever uses it. */
static int passed(uint64_t index) {
	return index < PASSED_MAX ? FD_PASSED + (int)index : -1;
}

/* The steps that are one call each. The C library's setgroups and set*id want to tell its threads; a child of a raw
 * clone has none and must not ask. */
int step_call(const struct step *step) {
	char *text = step->text[0];
	uint64_t number = step->number[0];
	switch (step->op) {
	case OP_JOIN_CGROUP:
		return fd_write_file(text, "0", 1);
	case OP_JOIN_CGROUP_FD:
		return fd_write(passed(number), "0", 1);
	case OP_INTO_CGROUP:
		run.cgroup = fd_place(open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC), FD_CGROUP);
		return run.cgroup;
	case OP_ROOT:
		run.resolve = step->number[1];
		run.root = fd_place(open(text, O_PATH | O_DIRECTORY | O_CLOEXEC), FD_ROOT);
		return run.root;
	case OP_PROPAGATION:
		return mount(NULL, "/", NULL, number, NULL);
	case OP_WRITE:
		return fd_write_file(text, step->text[1], step->length[1]);
	case OP_HOSTNAME:
		return sethostname(text, step->length[0]);
	case OP_DOMAINNAME:
		return setdomainname(text, step->length[0]);
	case OP_NAME:
		return prctl(PR_SET_NAME, text, 0, 0, 0);
	case OP_PDEATHSIG:
		return prctl(PR_SET_PDEATHSIG, (unsigned long)number, 0, 0, 0);
	case OP_SECUREBITS:
		return prctl(PR_SET_SECUREBITS, (unsigned long)number, 0, 0, 0);
	case OP_NO_NEW_PRIVS:
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	case OP_GROUPS:
		if (step->length[0] % sizeof(uint32_t) != 0)
			return refuse(EINVAL);
		return (int)syscall(SYS_setgroups, step->length[0] / sizeof(uint32_t), text);
	case OP_SETGID:
		return (int)syscall(SYS_setresgid, number, number, number);
	case OP_PERSONALITY:
		return (int)syscall(SYS_personality, number);
	case OP_KEYRING: /* keyctl(2), without a name: one that nobody else has */
		return (int)syscall(SYS_keyctl, K_KEYCTL_JOIN_SESSION_KEYRING, NULL);
	case OP_UMASK:
		return umask((mode_t)number), 0;
	case OP_ENV:
		return run.envp[run.envc++] = text, 0;
	case OP_ARG:
		return run.argv[run.argc++] = text, 0;
	default:
		return refuse(ENOSYS); /* a step of the table that has no case */
	}
}

/* A new mount namespace is a copy: the descriptor of the root still leads into the old one, where nothing may be
 * mounted. The kernel moves only the working directory over to the copy, so the root travels in it. */
int step_unshare(const struct step *step) {
	int flags = (int)step->number[0];
	bool carry = run.root >= 0 && flags & CLONE_NEWNS;
	if (carry && fchdir(FD_ROOT) < 0)
		return -1;
	if (unshare(flags) < 0)
		return -1;
	return carry ? fd_place(sys_open_tree(AT_FDCWD, "", 0), FD_ROOT) : 0;
}

/* Before a process can be seen from inside a container it must not be traceable there: until exec it holds memory and
 * descriptors of the host (CVE-2016-9962). A pidfd stands for all namespaces of its process since 5.8. */
int step_setns(const struct step *step) {
	cleanup_close int fd = step->op == OP_SETNS ? open(step->text[0], O_RDONLY | O_CLOEXEC)
						    : (int)syscall(SYS_pidfd_open, step->number[0], 0);
	if (fd < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -1;
	return setns(fd, (int)step->number[1]);
}

int step_rlimit(const struct step *step) {
	int resource = (int)step->number[0];
	struct rlimit wish = {.rlim_cur = step->number[1], .rlim_max = step->number[2]}, present;
	if (setrlimit(resource, &wish) == 0)
		return 0;
	if (errno != EPERM || getrlimit(resource, &present) < 0)
		return -1;
	wish.rlim_max = present.rlim_max;
	if (wish.rlim_cur > wish.rlim_max)
		wish.rlim_cur = wish.rlim_max;
	return setrlimit(resource, &wish);
}

int step_capabilities(const struct step *step) {
	uint64_t bounding = step->number[0], ambient = step->number[4];
	uint32_t header[2] = {K_CAPABILITY_VERSION_3, 0}, data[6];
	for (unsigned i = 0; i < 3; i++) { /* effective, permitted, inheritable: low halves, then high ones */
		data[i] = (uint32_t)step->number[1 + i];
		data[i + 3] = (uint32_t)(step->number[1 + i] >> 32);
	}
	for (unsigned long cap = 0; cap < 64; cap++) { /* what the kernel does not know cannot be read */
		bool drop = !(bounding >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0;
		if (drop && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	}
	if (syscall(SYS_capset, header, data) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (unsigned long cap = 0; cap < 64; cap++)
		if (ambient >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	return 0;
}

int step_seccomp(const struct step *step) {
	uint32_t length = step->length[0];
	struct { uint16_t length; const void *filter; } program = {(uint16_t)(length / 8), step->text[0]};
	if (length == 0 || length % 8 != 0 || length / 8 > UINT16_MAX)
		return refuse(EINVAL);
	return (int)syscall(SYS_seccomp, K_SECCOMP_SET_MODE_FILTER, 0, &program);
}

int step_setuid(const struct step *step) {
	uid_t id = (uid_t)step->number[0];
	if (run.terminal && fchown(0, id, (gid_t)-1) < 0 && errno != EPERM)
		return -1; /* a user owns the terminal he is on, as after login(1) */
	return (int)syscall(SYS_setresuid, id, id, id);
}

/* getcwd(2) answers "(unreachable)…" for a directory outside the root, since 2.6.36: CVE-2024-21626. */
int step_chdir(const struct step *step) {
	char where[PATH_MAX];
	if (chdir(step->text[0]) < 0 || syscall(SYS_getcwd, where, sizeof where) < 0)
		return -1;
	return where[0] == '/' ? 0 : refuse(EXDEV);
}

int step_setsid(const struct step *step) {
	(void)step;
	if (setsid() < 0)
		return -1;
	return ioctl(0, TIOCSCTTY, 0) < 0 && run.terminal ? -1 : 0; /* one that is nobody's becomes its own */
}

int step_use_fd(const struct step *step) {
	return step->number[1] < FD_NETNS ? dup2(passed(step->number[0]), (int)step->number[1]) : refuse(EBADF);
}
