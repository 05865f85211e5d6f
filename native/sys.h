/* sys.h: the kernel's interface where the C library has none: headers, constants, raw system calls.
 * Debian's musl-gcc does not see the kernel's headers, so the few things needed are written down here. No policy. */
#ifndef WSHD_SYS_H
#define WSHD_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_mount_setattr /* musl before 1.2.3 */
#define SYS_mount_setattr 442
#endif

#define K_OPEN_TREE_CLONE 1u
#define K_MOVE_MOUNT_BY_FD 0x44u /* F_EMPTY_PATH, T_EMPTY_PATH */
#define K_MOUNT_ATTR_RDONLY 0x1u
#define K_MOUNT_ATTR_ATIME 0x70u
#define K_MOUNT_ATTR_IDMAP 0x100000u
#define K_RESOLVE_NO_MAGICLINKS 0x02u
#define K_RESOLVE_IN_ROOT 0x10u
#define K_TIOCGPTPEER 0x5441
#define K_DEVPTS_MAGIC 0x1cd1
#define K_CLONE_INTO_CGROUP 0x200000000u
#define K_SECCOMP_SET_MODE_FILTER 1u
#define K_CAPABILITY_VERSION_3 0x20080522u
#define K_MFD_CLOEXEC 1u
#define K_KEYCTL_JOIN_SESSION_KEYRING 1
#define K_NLM_F_ACK 4u
#define K_NLMSG_ERROR 2u

struct k_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

struct k_mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };

struct k_nlmsghdr { uint32_t length; uint16_t type, flags; uint32_t sequence, port; };

static inline int sys_open_tree(int dir, const char *path, unsigned flags) {
	return (int)syscall(SYS_open_tree, dir, path, flags | O_CLOEXEC | AT_EMPTY_PATH);
}

/* Attaches the mount that *tree* is onto the file that *target* is. */
static inline int sys_move_mount(int tree, int target) {
	return (int)syscall(SYS_move_mount, tree, "", target, "", K_MOVE_MOUNT_BY_FD);
}

static inline int sys_close_range(unsigned first, unsigned last) {
	return (int)syscall(SYS_close_range, first, last, 0);
}

static inline int refuse(int error) {
	errno = error;
	return -1;
}

static inline void cleanup_close_fd(const int *fd) {
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))

#endif
