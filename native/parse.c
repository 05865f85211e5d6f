/* parse.c: the parsers of plans and requests. Must not make a system call: the fuzzers run it as it is. */
#include "wshd.h"

#define X(number, name, function, kinds, where) [number] = kinds,
const char *const operation_kinds[OP_END] = {OPERATIONS(X)};
#undef X
#define X(number, name, function, kinds, where) [number] = where,
static const uint8_t places[OP_END] = {OPERATIONS(X)};
#undef X

/* Copies the next *size* bytes; false when there are not so many. */
static bool take(struct plan *plan, void *to, size_t size) {
	if (plan->length - plan->offset < size)
		return false;
	memcpy(to, plan->bytes + plan->offset, size);
	plan->offset += size;
	return true;
}

/* Reads argument *index* of *step*; false when it leaves the plan or is not of its kind. */
static bool take_argument(struct plan *plan, struct step *step, unsigned index) {
	char kind = operation_kinds[step->op][index];
	uint32_t length;
	if (!take(plan, &length, sizeof length) || length >= plan->length - plan->offset) /* the NUL must fit too */
		return false;
	const uint8_t *bytes = plan->bytes + plan->offset;
	plan->offset += (size_t)length + 1;
	step->text[index] = (char *)(uintptr_t)bytes;
	step->length[index] = length;
	if (bytes[length] != 0 || (kind == 'n' && length != sizeof(uint64_t)))
		return false;
	if (kind == 'n')
		memcpy(&step->number[index], bytes, sizeof(uint64_t));
	return kind != 't' || strlen(step->text[index]) == length;
}

bool plan_next(struct plan *plan, struct step *step) {
	uint16_t count;
	if (plan->index == plan->count || !take(plan, &step->op, sizeof step->op) || !take(plan, &count, sizeof count))
		return false;
	if (step->op == 0 || step->op >= OP_END || count != strlen(operation_kinds[step->op]))
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!take_argument(plan, step, i))
			return false;
	plan->index++;
	return true;
}

static bool in_place(unsigned op, enum stage *stage, bool last) {
	if (!(places[op] & *stage))
		return false;
	if (op == OP_CLONE)
		*stage = ON_BEHALF;
	if (op == OP_RELEASE)
		*stage = IN_CHILD;
	return last || (op != OP_EXEC && op != OP_SERVE);
}

bool plan_check(struct plan *plan, enum stage stage, uint32_t *bad_step) {
	char magic[sizeof PLAN_MAGIC - 1];
	struct step step = {0};
	*bad_step = 0;
	if (plan->length > PLAN_MAX || !take(plan, magic, sizeof magic) || memcmp(magic, PLAN_MAGIC, sizeof magic) != 0)
		return false;
	if (!take(plan, &plan->count, sizeof plan->count) || plan->count > PLAN_MAX_STEPS)
		return false;
	struct plan ahead = *plan;
	while (ahead.index < ahead.count) {
		*bad_step = ahead.index;
		if (!plan_next(&ahead, &step) || !in_place(step.op, &stage, ahead.index == ahead.count))
			return false;
	}
	plan->last = step.op;
	return ahead.offset == ahead.length && stage != ON_BEHALF && (stage != IN_JOB || step.op == OP_EXEC);
}

bool request_valid(const void *packet, size_t length, unsigned fds, struct request *request) {
	const unsigned known = BODY_IN_FD | JOB_STDIN | JOB_STDOUT | JOB_STDERR | JOB_TERMINAL | JOB_GIVEN_STDIN;
	if (length < sizeof *request)
		return false;
	memcpy(request, packet, sizeof *request);
	unsigned carrier = request->flags & BODY_IN_FD ? 1 : 0, given = request->flags & JOB_GIVEN_STDIN ? 1 : 0;
	size_t body = length - sizeof *request;
	if (request->magic != REQUEST_MAGIC || request->kind < REQ_SPAWN || request->kind > REQ_PING)
		return false;
	if (request->kind != REQ_SPAWN)
		return body == 0 && request->length == 0 && request->flags == 0 && fds == 0;
	if (request->flags & ~known || fds < carrier + given || fds - carrier > FDS_MAX)
		return false;
	if (carrier)
		return body == 0 && request->length > 0 && request->length <= PLAN_MAX;
	return request->length == body && body <= BODY_MAX_INLINE;
}
