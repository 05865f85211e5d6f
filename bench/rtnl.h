/*
 * rtnetlink(7) batches for floor.c: messages with one acknowledgement each, sent and checked together.
 *
 * Owns the encoding of the messages that the floor needs. Must not know what a life is. The including file defines
 * die() before.
 */
#pragma once
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_INDEX 2 /* the first index after lo in a fresh network namespace */

struct batch {
    _Alignas(struct nlmsghdr) char bytes[2048];
    size_t used;
    unsigned count;
};

static struct nlmsghdr *nl_begin(struct batch *batch, int type, int flags, const void *body, size_t size) {
    struct nlmsghdr *head = (struct nlmsghdr *)(batch->bytes + batch->used);
    memset(head, 0, NLMSG_SPACE(size));
    head->nlmsg_type = (uint16_t)type;
    head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    head->nlmsg_seq = ++batch->count;
    head->nlmsg_len = NLMSG_LENGTH(size);
    memcpy(NLMSG_DATA(head), body, size);
    return head;
}

static struct rtattr *nl_put(struct nlmsghdr *head, int type, const void *data, size_t size) {
    struct rtattr *attr = (struct rtattr *)((char *)head + NLMSG_ALIGN(head->nlmsg_len));
    attr->rta_type = (uint16_t)type;
    attr->rta_len = (uint16_t)RTA_LENGTH(size);
    if (size) memcpy(RTA_DATA(attr), data, size);
    head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + RTA_ALIGN(attr->rta_len);
    return attr;
}

static void nl_close_nest(struct nlmsghdr *head, struct rtattr *attr) {
    attr->rta_len = (uint16_t)((char *)head + head->nlmsg_len - (char *)attr);
}

static void nl_end(struct batch *batch, struct nlmsghdr *head) { batch->used += NLMSG_ALIGN(head->nlmsg_len); }

static void nl_link_up(struct batch *batch, int index) {
    struct ifinfomsg link = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    nl_end(batch, nl_begin(batch, RTM_NEWLINK, 0, &link, sizeof link));
}

static void nl_address(struct batch *batch, int index, uint32_t address) {
    struct ifaddrmsg body = {.ifa_family = AF_INET, .ifa_prefixlen = 30, .ifa_index = (unsigned)index};
    struct nlmsghdr *head = nl_begin(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
    nl_put(head, IFA_LOCAL, &address, sizeof address);
    nl_put(head, IFA_ADDRESS, &address, sizeof address);
    nl_end(batch, head);
}

static void nl_default_route(struct batch *batch, uint32_t gateway) {
    struct rtmsg body = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
                         .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
    struct nlmsghdr *head = nl_begin(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
    nl_put(head, RTA_GATEWAY, &gateway, sizeof gateway);
    nl_end(batch, head);
}

/* The peer is created in the child's namespace and is not up in this message: that gives ENOTCONN. */
static void nl_veth(struct batch *batch, const char *name, pid_t peer) {
    struct ifinfomsg link = {0}, peer_link = {.ifi_index = PEER_INDEX};
    uint32_t pid = (uint32_t)peer;
    struct nlmsghdr *head = nl_begin(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    nl_put(head, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = nl_put(head, IFLA_LINKINFO, NULL, 0);
    nl_put(head, IFLA_INFO_KIND, "veth", 5);
    struct rtattr *data = nl_put(head, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *nest = nl_put(head, VETH_INFO_PEER, &peer_link, sizeof peer_link);
    nl_put(head, IFLA_IFNAME, "eth0", 5);
    nl_put(head, IFLA_NET_NS_PID, &pid, sizeof pid);
    nl_close_nest(head, nest);
    nl_close_nest(head, data);
    nl_close_nest(head, info);
    nl_end(batch, head);
}

static unsigned nl_read_acks(int fd, const char *what) {
    _Alignas(struct nlmsghdr) char bytes[8192];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got < 0) die("%s: recv", what);
    unsigned acks = 0;
    for (struct nlmsghdr *head = (void *)bytes; NLMSG_OK(head, got); head = NLMSG_NEXT(head, got)) {
        const struct nlmsgerr *error = NLMSG_DATA(head);
        if (head->nlmsg_type != NLMSG_ERROR) continue;
        if (error->error) errno = -error->error, die("%s: message %u", what, head->nlmsg_seq);
        acks++;
    }
    return acks;
}

static void nl_send(const struct batch *batch, const char *what) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || send(fd, batch->bytes, batch->used, 0) < 0) die("%s: send", what);
    for (unsigned acks = 0; acks < batch->count;) acks += nl_read_acks(fd, what);
    close(fd);
}
