/* sys.h: the kernel's interface where the C library has none: numbers, structures, raw system calls.
 * Debian's musl-gcc does not see the kernel's headers, so the few things needed are written down here, for x86_64 and
 * aarch64 (numbers from 424 on are the same on both). Must not hold policy. */
#ifndef WSHD_SYS_H
#define WSHD_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

#define K_CLOSE_RANGE_CLOEXEC 4u /* since 5.11 */
#define K_OPEN_TREE_CLONE 1u
#define K_OPEN_TREE_CLOEXEC ((unsigned)O_CLOEXEC)
#define K_AT_EMPTY_PATH 0x1000u
#define K_AT_RECURSIVE 0x8000u
#define K_MOVE_MOUNT_F_EMPTY_PATH 0x4u
#define K_MOVE_MOUNT_T_EMPTY_PATH 0x40u
#define K_MOUNT_ATTR_RDONLY 0x1u
#define K_MOUNT_ATTR_ATIME 0x70u
#define K_MOUNT_ATTR_IDMAP 0x100000u
#define K_RESOLVE_NO_MAGICLINKS 0x02u
#define K_RESOLVE_IN_ROOT 0x10u
#define K_TIOCGPTPEER 0x5441
#define K_DEVPTS_MAGIC 0x1cd1

#define K_CLONE_NEWTIME 0x80ull
#define K_CLONE_PIDFD 0x1000ull
#define K_CLONE_INTO_CGROUP 0x200000000ull

#define K_SECCOMP_SET_MODE_FILTER 1u
#define K_CAPABILITY_VERSION_3 0x20080522u

struct k_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

struct k_open_how {
	uint64_t flags, mode, resolve;
};

struct k_mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};

struct k_sock_fprog {
	uint16_t length;
	const void *filter;
};

struct k_cap_header {
	uint32_t version;
	int pid;
};

struct k_cap_data {
	uint32_t effective, permitted, inheritable;
};

static inline pid_t sys_clone3(struct k_clone_args *args)
{
	return (pid_t)syscall(SYS_clone3, args, sizeof *args);
}

static inline int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct k_open_how how = {.flags = flags, .resolve = resolve};
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static inline int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags | K_OPEN_TREE_CLOEXEC);
}

static inline int sys_mount_setattr(int fd, unsigned flags, struct k_mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", flags | K_AT_EMPTY_PATH, attr, sizeof *attr);
}

/* Attaches the mount that *from* is onto the file that *onto* is. */
static inline int sys_move_mount(int from, int onto)
{
	return (int)syscall(SYS_move_mount, from, "", onto, "", K_MOVE_MOUNT_F_EMPTY_PATH | K_MOVE_MOUNT_T_EMPTY_PATH);
}

static inline int sys_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return first > last ? 0 : (int)syscall(SYS_close_range, first, last, flags);
}

static inline void cleanup_close_fd(const int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))

#endif
