/* fuzz_request.c: the parser of requests must accept only what the rest of PID 1 may rely on. */
#define FUZZ_SEEDS 3
#include "fuzz_driver.h"
#include "wshd.h"

#include <stdlib.h>
#include <string.h>

/* The first byte is the number of descriptors that came with the packet. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
	struct request request;
	if (length == 0)
		return 0;
	unsigned fds = bytes[0] % (FDS_MAX + 2);
	size_t packet = length - 1;
	if (!request_valid(bytes + 1, packet, fds, &request))
		return 0;
	unsigned needed = (request.flags & BODY_IN_FD ? 1u : 0) + (request.flags & JOB_GIVEN_STDIN ? 1u : 0);
	if (fds < needed || (request.kind != REQ_SPAWN && fds > 0))
		abort();
	if (!(request.flags & BODY_IN_FD) && request.length != packet - sizeof request)
		abort();
	return 0;
}

#ifndef LIBFUZZER
static size_t fuzz_seed(unsigned index, uint8_t *bytes) {
	struct request request = {.magic = REQUEST_MAGIC, .kind = REQ_SPAWN, .job = 1, .length = index == 0 ? 64 : 0};
	if (index == 1) {
		request.flags = BODY_IN_FD | JOB_GIVEN_STDIN;
		request.length = 70000;
	}
	if (index == 2)
		request.kind = REQ_LIST;
	bytes[0] = index == 1 ? 3 : 0;
	memcpy(bytes + 1, &request, sizeof request);
	memset(bytes + 1 + sizeof request, 'x', 64);
	return 1 + sizeof request + (index == 0 ? 64 : 0);
}
#endif
