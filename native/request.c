/* request.c: the parser of requests. Must not make a system call: the fuzzer runs it as it is. */
#define _GNU_SOURCE
#include "wshd.h"

#include <string.h>

static bool body_fits(const struct request *request, size_t body, unsigned fds)
{
	if (!(request->flags & BODY_IN_FD))
		return request->length == body && body <= BODY_MAX_INLINE;
	return body == 0 && fds > 0 && request->length > 0 && request->length <= PLAN_MAX;
}

bool request_valid(const void *packet, size_t length, unsigned fds, struct request *request)
{
	if (length < sizeof *request)
		return false;
	memcpy(request, packet, sizeof *request);
	if (request->magic != REQUEST_MAGIC || request->kind < REQ_SPAWN || request->kind > REQ_PING)
		return false;
	if (!body_fits(request, length - sizeof *request, fds))
		return false;
	if (request->kind != REQ_SPAWN)
		return request->length == 0 && request->flags == 0 && fds == 0;
	unsigned known = BODY_IN_FD | JOB_STDIN | JOB_STDOUT | JOB_STDERR | JOB_TERMINAL | JOB_GIVEN_STDIN;
	unsigned carrier = request->flags & BODY_IN_FD ? 1 : 0;
	unsigned given = request->flags & JOB_GIVEN_STDIN ? 1 : 0;
	return !(request->flags & ~known) && fds >= carrier + given && fds - carrier <= FDS_MAX;
}
