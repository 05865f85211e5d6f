/* net.c: sends rtnetlink messages that Python wrote, and reads their acknowledgements. Knows no message's meaning. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define K_NETLINK_ROUTE 0
#define K_SOL_NETLINK 270
#define K_NETLINK_CAP_ACK 10 /* acknowledge without the message itself, since 4.3 */
#define K_NLM_F_ACK 4u
#define K_NLMSG_ERROR 2u

struct k_nlmsghdr {
	uint32_t length;
	uint16_t type, flags;
	uint32_t sequence, port;
};

struct k_sockaddr_nl {
	uint16_t family, pad;
	uint32_t port, groups;
};

static size_t align4(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

/* The number of messages, or -1: each must fit and ask for an acknowledgement, or waiting for it would never end. */
static int count_messages(const char *bytes, size_t length)
{
	int count = 0;
	for (size_t offset = 0; offset < length; count++) {
		struct k_nlmsghdr header;
		if (length - offset < sizeof header)
			return -1;
		memcpy(&header, bytes + offset, sizeof header);
		if (header.length < sizeof header || header.length > length - offset || !(header.flags & K_NLM_F_ACK))
			return -1;
		offset += align4(header.length);
	}
	return count;
}

/* Takes the acknowledgements of one datagram off *left*; -1 with the errno that the kernel gave for a message. */
static int take_acknowledgements(const char *bytes, size_t length, int *left)
{
	for (size_t offset = 0; offset + sizeof(struct k_nlmsghdr) <= length;) {
		struct k_nlmsghdr header;
		int32_t error;
		memcpy(&header, bytes + offset, sizeof header);
		if (header.length < sizeof header || header.length > length - offset)
			break;
		if (header.type == K_NLMSG_ERROR && header.length >= sizeof header + sizeof error) {
			memcpy(&error, bytes + offset + sizeof header, sizeof error);
			if (error != 0) {
				errno = -error;
				return -1;
			}
			--*left;
		}
		offset += align4(header.length);
	}
	return 0;
}

static int open_route_socket(void)
{
	int on = 1;
	struct timeval limit = {.tv_sec = 10}; /* the kernel answers within sendmsg(2); this is for a message that is never answered */
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, K_NETLINK_ROUTE);
	if (fd < 0)
		return -1;
	setsockopt(fd, K_SOL_NETLINK, K_NETLINK_CAP_ACK, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

int step_netlink(struct run *run, const struct step *step)
{
	(void)run;
	char buffer[8192];
	struct k_sockaddr_nl kernel = {.family = AF_NETLINK};
	int left = count_messages(step->args[0].bytes, step->args[0].length);
	if (left < 0) {
		errno = EINVAL;
		return -1;
	}
	cleanup_close int fd = open_route_socket();
	if (fd < 0)
		return -1;
	if (left > 0 && sendto(fd, step->args[0].bytes, step->args[0].length, 0, (void *)&kernel, sizeof kernel) < 0)
		return -1;
	while (left > 0) {
		ssize_t received = recv(fd, buffer, sizeof buffer, 0);
		if (received < 0 && errno == EINTR)
			continue;
		if (received < 0 || take_acknowledgements(buffer, (size_t)received, &left) < 0)
			return -1;
	}
	return 0;
}
