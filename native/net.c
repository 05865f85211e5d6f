/* net.c: sends rtnetlink messages that Python wrote, and reads their acknowledgements. Knows no message's meaning. */
#include "wshd.h"

#include <sys/time.h>

/* Sends one message, and waits for the datagram that acknowledges it or brings the errno. */
static int transact(int fd, const char *message, size_t length) {
	char buffer[8192];
	struct k_nlmsghdr header = {0};
	int32_t error = 0;
	if (send(fd, message, length, 0) < 0)
		return -1;
	while (header.type != K_NLMSG_ERROR) {
		ssize_t received = recv(fd, buffer, sizeof buffer, 0);
		if (received < 0)
			return -1;
		if ((size_t)received < sizeof header + sizeof error)
			continue;
		memcpy(&header, buffer, sizeof header);
		memcpy(&error, buffer + sizeof header, sizeof error);
	}
	return error == 0 ? 0 : refuse(-error);
}

int step_netlink(const struct step *step) {
	struct timeval limit = {.tv_sec = 10}; /* the kernel answers within send(2); this is for what it never answers */
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0 /* NETLINK_ROUTE */);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return -1;
	for (size_t offset = 0, length = step->length[0]; offset < length;) {
		struct k_nlmsghdr header;
		if (length - offset < sizeof header)
			return refuse(EINVAL);
		memcpy(&header, step->text[0] + offset, sizeof header);
		bool fits = header.length >= sizeof header && header.length <= length - offset;
		if (!fits || !(header.flags & K_NLM_F_ACK)) /* without it there is nothing to wait for */
			return refuse(EINVAL);
		if (transact(fd, step->text[0] + offset, header.length) < 0)
			return -1;
		offset += (header.length + (size_t)3) & ~(size_t)3;
	}
	return 0;
}
