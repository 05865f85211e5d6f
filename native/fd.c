/* fd.c: moving, closing, writing, sending descriptors; and the clock. Must not know plans or jobs.
 * Nothing here repeats a call after EINTR: no signal is ever caught (signal(7)). */
#include "wshd.h"

#include <time.h>

/* Moves *fd* to *number*, in the place of what was there. Returns *number*; a negative *fd* is an error passed on. */
int fd_place(int fd, int number) {
	cleanup_close int old = fd;
	return fd < 0 ? -1 : dup3(fd, number, O_CLOEXEC);
}

/* Moves *fds* (-1: none) to FD_CONTROL and the numbers after it, and closes everything else above standard error. */
int fd_settle(int *fds, unsigned count) {
	for (unsigned i = 0; i < count; i++)
		if (fds[i] >= 0 && (fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_END)) < 0)
			return -1;
	if (sys_close_range(3, FD_END - 1) < 0)
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (fds[i] >= 0 && dup3(fds[i], FD_CONTROL + (int)i, O_CLOEXEC) < 0)
			return -1;
	return sys_close_range(FD_END, ~0u);
}

void fd_close_all(int *fds, unsigned count) {
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* One write(2): files of /proc and of cgroups take their text in one call or not at all. */
int fd_write(int fd, const void *bytes, size_t length) {
	ssize_t written = write(fd, bytes, length);
	return written < 0 || (size_t)written == length ? (int)written : refuse(EIO);
}

int fd_write_file(const char *path, const void *bytes, size_t length) {
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -1 : fd_write(fd, bytes, length);
}

union fd_space { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int) * (FDS_MAX + 1))]; };

/* Never waits on a socket that is set so. */
int fd_send(int socket, const void *message, size_t length, const int *fds, unsigned count) {
	union fd_space space = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = length};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count > 0) {
		space.header.cmsg_level = SOL_SOCKET;
		space.header.cmsg_type = SCM_RIGHTS;
		space.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&space.header), fds, sizeof(int) * count);
		head.msg_control = &space;
		head.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	}
	return sendmsg(socket, &head, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Receives a packet and up to *count* descriptors (FDS_MAX + 1 at most; CMSG_SPACE would let one more in). What does
 * not fit is EMSGSIZE; the descriptors that came are in *fds* even so. */
ssize_t fd_receive(int socket, void *message, size_t length, int *fds, unsigned *count) {
	union fd_space space = {0};
	struct iovec iov = {.iov_base = message, .iov_len = length};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space};
	head.msg_controllen = CMSG_LEN(sizeof(int) * *count);
	*count = 0;
	ssize_t received = recvmsg(socket, &head, MSG_CMSG_CLOEXEC);
	if (received < 0)
		return -1;
	if (space.header.cmsg_level == SOL_SOCKET && space.header.cmsg_type == SCM_RIGHTS) {
		*count = (unsigned)((space.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(&space.header), sizeof(int) * *count);
	}
	return head.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? refuse(EMSGSIZE) : received;
}

uint64_t now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
