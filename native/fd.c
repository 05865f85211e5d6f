/* fd.c: moving, closing, writing, sending descriptors. Must not know plans or jobs. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <string.h>
#include <sys/socket.h>

/* Moves *fd* out of the numbers that belong to the plan. The old number is closed, also on failure. */
int fd_high(int fd)
{
	if (fd < 0 || fd >= FD_FLOOR)
		return fd;
	cleanup_close int old = fd;
	return fcntl(old, F_DUPFD_CLOEXEC, FD_FLOOR);
}

/* close_range(2) over everything above standard error but *keep*, in whatever order that is. */
int fd_close_except(const int *keep, unsigned count, unsigned flags)
{
	unsigned first = 3;
	for (;;) {
		unsigned next = ~0u;
		for (unsigned i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next == ~0u)
			return sys_close_range(first, ~0u, flags);
		if (sys_close_range(first, next - 1, flags) < 0)
			return -1;
		first = next + 1;
	}
}

void fd_close_all(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* One write(2): files of /proc and of cgroups take their text in one call or not at all. */
int fd_write_text(int fd, const char *text, size_t length)
{
	ssize_t written = write(fd, text, length);
	if (written < 0)
		return -1;
	if ((size_t)written == length)
		return 0;
	errno = EIO;
	return -1;
}

union fd_space {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * (FDS_MAX + 1))];
};

int fd_send(int socket, const void *message, size_t length, const int *fds, unsigned count, int flags)
{
	union fd_space space;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = length};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	if (count > 0) {
		memset(&space, 0, sizeof space);
		head.msg_control = &space;
		head.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&head);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * count);
	}
	ssize_t sent;
	do
		sent = sendmsg(socket, &head, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

/* Receives a packet and up to *count* descriptors (FDS_MAX + 1 at most; CMSG_SPACE would let one more in). A packet or descriptor list that does not fit
 * is EMSGSIZE, and what came with it is closed. */
ssize_t fd_receive(int socket, void *message, size_t length, int *fds, unsigned *count, int flags)
{
	union fd_space space;
	struct iovec iov = {.iov_base = message, .iov_len = length};
	struct msghdr head = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = CMSG_LEN(sizeof(int) * *count)};
	*count = 0;
	ssize_t received;
	do
		received = recvmsg(socket, &head, flags | MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -1;
	struct cmsghdr *cmsg = head.msg_controllen >= sizeof *cmsg ? CMSG_FIRSTHDR(&head) : NULL;
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
		*count = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cmsg), sizeof(int) * *count);
	}
	if (!(head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return received;
	fd_close_all(fds, *count);
	*count = 0;
	errno = EMSGSIZE;
	return -1;
}
