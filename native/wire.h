/* wire.h: what crosses a process boundary. The plan's operations, the messages on CONTROL, requests and replies.
 * docs/plan-format.md is the prose of it; tests/unit/test_wshd_contract.py compares it with src/warden/plan/steps.py.
 * Must not hold anything that only one process sees. All integers are in the machine's order (little-endian). */
#ifndef WSHD_WIRE_H
#define WSHD_WIRE_H

#include <stdint.h>

#define PLAN_MAGIC "WARDPLN1"
#define PLAN_MAX (16u << 20)
#define PLAN_MAX_STEPS 65535u

/* Where in a plan a step may stand, which is also who would run it there. */
enum stage { BEFORE_CLONE = 1, ON_BEHALF = 2, IN_CHILD = 4, IN_JOB = 8 };
#define ANYWHERE 15u
#define NOT_BEHALF (BEFORE_CLONE | IN_CHILD | IN_JOB) /* what the launcher did would be lost */
#define NOT_IN_JOB (BEFORE_CLONE | IN_CHILD)
#define OF_CONTAINER (BEFORE_CLONE | ON_BEHALF | IN_CHILD)

/* X(NUMBER, NAME, function, kinds of arguments: t text, n number, b bytes; where). step_FUNCTION() does it. */
#define OPERATIONS(X) \
	X(1, JOIN_CGROUP, call, "t", ANYWHERE) \
	X(2, INTO_CGROUP, call, "t", ANYWHERE) \
	X(3, UNSHARE, unshare, "n", ANYWHERE) \
	X(4, SETNS, setns, "tn", ANYWHERE) \
	X(5, SETNS_PID, setns, "nn", ANYWHERE) \
	X(6, CLONE, clone, "n", BEFORE_CLONE) \
	X(7, UID_MAP, write_map, "t", ON_BEHALF) \
	X(8, GID_MAP, write_map, "t", ON_BEHALF) \
	X(9, SETGROUPS, write_map, "t", ON_BEHALF) \
	X(10, RELEASE, release, "", ON_BEHALF) \
	X(11, NETLINK, netlink, "b", ANYWHERE) \
	X(12, ROOT, call, "tn", ANYWHERE) \
	X(13, PROPAGATION, call, "n", ANYWHERE) \
	X(14, MOUNT, mount, "tttnt", ANYWHERE) \
	X(15, BIND, bind, "ttnnn", ANYWHERE) \
	X(16, MKDIR, mkdir, "tnnn", ANYWHERE) \
	X(17, SYMLINK, symlink, "tt", ANYWHERE) \
	X(18, MKNOD, mknod, "tnnnn", ANYWHERE) \
	X(19, WRITE, call, "tb", ANYWHERE) \
	X(20, MASK, mask, "t", ANYWHERE) \
	X(21, READONLY, readonly, "t", ANYWHERE) \
	X(22, PIVOT_ROOT, pivot_root, "", ANYWHERE) \
	X(23, HOSTNAME, call, "t", ANYWHERE) \
	X(24, RLIMIT, rlimit, "nnn", ANYWHERE) \
	X(25, CAPABILITIES, capabilities, "nnnnn", ANYWHERE) \
	X(26, NO_NEW_PRIVS, call, "", ANYWHERE) \
	X(27, SECCOMP, seccomp, "b", ANYWHERE) \
	X(28, GROUPS, call, "b", ANYWHERE) \
	X(29, SETGID, call, "n", ANYWHERE) \
	X(30, SETUID, setuid, "n", ANYWHERE) \
	X(31, CHDIR, chdir, "t", ANYWHERE) \
	X(32, UMASK, call, "n", ANYWHERE) \
	X(33, ENV, call, "t", NOT_BEHALF) \
	X(34, ARG, call, "t", NOT_BEHALF) \
	X(35, EXEC, exec, "t", NOT_BEHALF) \
	X(36, SERVE, serve, "", NOT_IN_JOB) \
	X(37, SETSID, setsid, "", ANYWHERE) \
	X(38, JOIN_CGROUP_FD, call, "n", ANYWHERE) \
	X(39, USE_FD, use_fd, "nn", NOT_BEHALF) \
	X(40, UMOUNT, umount, "tn", ANYWHERE) \
	X(41, SECUREBITS, call, "n", ANYWHERE) \
	X(42, NAME, call, "t", ANYWHERE) \
	X(43, DOMAINNAME, call, "t", ANYWHERE) \
	X(44, PDEATHSIG, call, "n", ANYWHERE) \
	X(45, RUN, run, "bbbtnn", OF_CONTAINER) \
	X(46, MONITOR, monitor, "bnntntn", BEFORE_CLONE) \
	X(47, PERSONALITY, call, "n", ANYWHERE) \
	X(48, KEYRING, call, "", ANYWHERE) \
	X(49, AWAIT, await, "", IN_CHILD)

#define X(number, name, function, kinds, where) OP_##name = number,
enum op { OPERATIONS(X) OP_END /* one more than the last */ };
#undef X

#define BIND_RECURSIVE 1u
#define BIND_IDMAP 2u
#define BIND_TRY_IDMAP 4u
#define BIND_MAPPED (BIND_IDMAP | BIND_TRY_IDMAP)
#define BIND_IN_ROOT 8u
#define RUN_MUST_SUCCEED 1u
#define TERMINAL_ANY 0xffffffffu /* the first that nobody has */

/* On CONTROL, from launcher and child. After RAN the end of what the program wrote follows in the packet. */
enum { CONTROL_CLONED = 1, CONTROL_FAILED = 2, CONTROL_READY = 3, CONTROL_RAN = 4, CONTROL_MADE = 5 };
struct control {
	uint32_t kind, step;
	int32_t error, pid;
};

#define REQUEST_MAGIC 0x31515257u /* WRQ1 */
#define REPLY_MAGIC 0x31505257u	  /* WRP1 */
#define PROTOCOL_VERSION 1u
#define BODY_MAX_INLINE 32768u
#define FDS_MAX 16u /* that a plan may refer to; one more may carry the body */
#define JOBS_MAX 4096u
#define CONNECTIONS_MAX 16u
#define LIST_BATCH 64u

enum {
	REQ_SPAWN = 1, REQ_SIGNAL, REQ_LIST, REQ_ATTACH, REQ_RELEASE, REQ_CLOSE_STDIN, REQ_PING,
	EVENT_STARTED = 100, EVENT_ENDED
};

/* Flags of SPAWN; the first four also of replies and records: which descriptors follow, which are kept. */
enum { JOB_STDIN = 1, JOB_STDOUT = 2, JOB_STDERR = 4, JOB_TERMINAL = 8, JOB_GIVEN_STDIN = 16, BODY_IN_FD = 0x8000 };
#define REPLY_PIDFD 16

enum { STATE_FREE, STATE_STARTING, STATE_RUNNING, STATE_ENDED, STATE_FAILED };

struct request {
	uint32_t magic;
	uint16_t kind, flags;
	uint32_t job, a, b, length;
};

struct reply {
	uint32_t magic;
	uint16_t kind, flags;
	uint32_t job;
	int32_t error;
	uint32_t a, b, count, zero;
};

struct record {
	uint32_t job;
	int32_t pid;
	uint32_t state;
	int32_t status;
	uint32_t step;
	int32_t error;
	uint32_t flags, zero;
	uint64_t started_ns, ended_ns, user_us, system_us, maxrss_kib;
};

_Static_assert(sizeof(struct control) == 16, "control message");
_Static_assert(sizeof(struct request) == 24, "request");
_Static_assert(sizeof(struct reply) == 32, "reply");
_Static_assert(sizeof(struct record) == 72, "record");

#endif
