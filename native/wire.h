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

enum op {
	OP_JOIN_CGROUP = 1,
	OP_INTO_CGROUP = 2,
	OP_UNSHARE = 3,
	OP_SETNS = 4,
	OP_SETNS_PID = 5,
	OP_CLONE = 6,
	OP_UID_MAP = 7,
	OP_GID_MAP = 8,
	OP_SETGROUPS = 9,
	OP_RELEASE = 10,
	OP_NETLINK = 11,
	OP_ROOT = 12,
	OP_PROPAGATION = 13,
	OP_MOUNT = 14,
	OP_BIND = 15,
	OP_MKDIR = 16,
	OP_SYMLINK = 17,
	OP_MKNOD = 18,
	OP_WRITE = 19,
	OP_MASK = 20,
	OP_READONLY = 21,
	OP_PIVOT_ROOT = 22,
	OP_HOSTNAME = 23,
	OP_RLIMIT = 24,
	OP_CAPABILITIES = 25,
	OP_NO_NEW_PRIVS = 26,
	OP_SECCOMP = 27,
	OP_GROUPS = 28,
	OP_SETGID = 29,
	OP_SETUID = 30,
	OP_CHDIR = 31,
	OP_UMASK = 32,
	OP_ENV = 33,
	OP_ARG = 34,
	OP_EXEC = 35,
	OP_SERVE = 36,
	OP_SETSID = 37,
	OP_JOIN_CGROUP_FD = 38,
	OP_USE_FD = 39,
	OP_UMOUNT = 40,
	OP_SECUREBITS = 41,
	OP_NAME = 42,
	OP_DOMAINNAME = 43,
	OP_PDEATHSIG = 44,
	OP_END /* one more than the last */
};

#define BIND_RECURSIVE 1u
#define BIND_IDMAP 2u

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
