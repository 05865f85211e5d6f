/* wire.h: what crosses a process boundary. The plan's operations, the messages on CONTROL, requests and replies.
 * docs/plan-format.md is the prose of it; tests/unit/test_wshd_contract.py compares it with src/warden/plan/steps.py.
 * Must not hold anything that only one process sees. All integers are in the machine's order (little-endian). */
#ifndef WSHD_WIRE_H
#define WSHD_WIRE_H

#include <stdint.h>

#define PLAN_MAGIC "WARDPLN1"
#define PLAN_MAX (16u << 20)
#define PLAN_MAX_STEPS 65535u
#define KEEP UINT64_MAX /* an id that means "leave as it is" */

/* X(NUMBER, NAME, name, kinds of arguments: t text, n number, b bytes). step_NAME() does it. */
#define OPERATIONS(X) \
	X(1, JOIN_CGROUP, join_cgroup, "t") \
	X(2, INTO_CGROUP, into_cgroup, "t") \
	X(3, UNSHARE, unshare, "n") \
	X(4, SETNS, setns, "tn") \
	X(5, SETNS_PID, setns_pid, "nn") \
	X(6, CLONE, clone, "n") \
	X(7, UID_MAP, uid_map, "t") \
	X(8, GID_MAP, gid_map, "t") \
	X(9, SETGROUPS, setgroups, "t") \
	X(10, RELEASE, release, "") \
	X(11, NETLINK, netlink, "b") \
	X(12, ROOT, root, "t") \
	X(13, PROPAGATION, propagation, "n") \
	X(14, MOUNT, mount, "tttnt") \
	X(15, BIND, bind, "ttnnn") \
	X(16, MKDIR, mkdir, "tnnn") \
	X(17, SYMLINK, symlink, "tt") \
	X(18, MKNOD, mknod, "tnnnn") \
	X(19, WRITE, write, "tb") \
	X(20, MASK, mask, "t") \
	X(21, READONLY, readonly, "t") \
	X(22, PIVOT_ROOT, pivot_root, "") \
	X(23, HOSTNAME, hostname, "t") \
	X(24, RLIMIT, rlimit, "nnn") \
	X(25, CAPABILITIES, capabilities, "nnnnn") \
	X(26, NO_NEW_PRIVS, no_new_privs, "") \
	X(27, SECCOMP, seccomp, "b") \
	X(28, GROUPS, groups, "b") \
	X(29, SETGID, setgid, "n") \
	X(30, SETUID, setuid, "n") \
	X(31, CHDIR, chdir, "t") \
	X(32, UMASK, umask, "n") \
	X(33, ENV, env, "t") \
	X(34, ARG, arg, "t") \
	X(35, EXEC, exec, "t") \
	X(36, SERVE, serve, "") \
	X(37, SETSID, setsid, "") \
	X(38, JOIN_CGROUP_FD, join_cgroup_fd, "n") \
	X(39, USE_FD, use_fd, "nn") \
	X(40, UMOUNT, umount, "tn") \
	X(41, SECUREBITS, securebits, "n") \
	X(42, NAME, name, "t") \
	X(43, DOMAINNAME, domainname, "t") \
	X(44, PDEATHSIG, pdeathsig, "n")

enum op {
#define X(number, upper, lower, kinds) OP_##upper = number,
	OPERATIONS(X)
#undef X
	OP_END /* one more than the last */
};

#define BIND_RECURSIVE 1u
#define BIND_IDMAP 2u
#define BIND_TRY_IDMAP 4u

/* On CONTROL, from launcher and child. */
enum { CONTROL_CLONED = 1, CONTROL_FAILED = 2, CONTROL_READY = 3 };
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
	REQ_SPAWN = 1,
	REQ_SIGNAL = 2,
	REQ_LIST = 3,
	REQ_ATTACH = 4,
	REQ_RELEASE = 5,
	REQ_CLOSE_STDIN = 6,
	REQ_PING = 7,
	EVENT_STARTED = 100,
	EVENT_ENDED = 101
};

enum {
	JOB_STDIN = 1,	 /* also: the descriptor that follows a reply, and the one kept */
	JOB_STDOUT = 2,
	JOB_STDERR = 4,
	JOB_TERMINAL = 8,
	JOB_GIVEN_STDIN = 16,
	REPLY_PIDFD = 16,
	BODY_IN_FD = 0x8000
};

enum { STATE_STARTING = 1, STATE_RUNNING = 2, STATE_ENDED = 3, STATE_FAILED = 4 };

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
