/* plan.c: the parser of plans and the table of operations. Must not make a system call: the fuzzer runs it as it is. */
#define _GNU_SOURCE
#include "wshd.h"

#include <errno.h>
#include <string.h>

const struct operation operations[OP_END] = {
#define X(number, upper, lower, kinds) [number] = {#lower, kinds},
    OPERATIONS(X)
#undef X
};

#define HEADER (sizeof PLAN_MAGIC - 1 + sizeof(uint32_t))

static uint16_t load16(const uint8_t *from)
{
	uint16_t value;
	memcpy(&value, from, sizeof value);
	return value;
}

static uint32_t load32(const uint8_t *from)
{
	uint32_t value;
	memcpy(&value, from, sizeof value);
	return value;
}

uint64_t step_number(const struct step *step, unsigned index)
{
	uint64_t value;
	memcpy(&value, step->args[index].bytes, sizeof value);
	return value;
}

static bool kind_fits(char kind, const uint8_t *bytes, uint32_t length)
{
	if (kind == 'n')
		return length == sizeof(uint64_t);
	return kind == 'b' || memchr(bytes, 0, length) == NULL;
}

/* Reads the argument at *offset* into *step*; false when it leaves the plan or is not of its kind. */
static bool take_argument(struct plan plan, size_t *offset, char kind, struct step *step)
{
	if (plan.length - *offset < sizeof(uint32_t))
		return false;
	uint32_t length = load32(plan.bytes + *offset);
	*offset += sizeof length;
	if (length >= plan.length - *offset) /* the NUL must fit too */
		return false;
	const uint8_t *bytes = plan.bytes + *offset;
	if (bytes[length] != 0 || !kind_fits(kind, bytes, length))
		return false;
	step->args[step->count].bytes = (const char *)bytes;
	step->args[step->count].length = length;
	step->count++;
	*offset += (size_t)length + 1;
	return true;
}

/* Reads the step at the cursor; false when it is malformed. */
static bool take_step(struct plan plan, struct cursor *cursor, struct step *step)
{
	if (plan.length - cursor->offset < 4)
		return false;
	step->op = load16(plan.bytes + cursor->offset);
	step->count = 0;
	unsigned count = load16(plan.bytes + cursor->offset + 2);
	if (step->op == 0 || step->op >= OP_END || count != strlen(operations[step->op].kinds))
		return false;
	size_t offset = cursor->offset + 4;
	for (const char *kind = operations[step->op].kinds; *kind; kind++)
		if (!take_argument(plan, &offset, *kind, step))
			return false;
	cursor->offset = offset;
	cursor->index++;
	return true;
}

/* Where in the plan clone and release were seen. */
enum stage { BEFORE_CLONE, ON_BEHALF, IN_CHILD };

static bool in_place(const struct step *step, enum stage *stage, bool last, enum plan_use use)
{
	switch (step->op) {
	case OP_EXEC:
		return last && *stage != ON_BEHALF;
	case OP_SERVE:
		return last && *stage != ON_BEHALF && use == PLAN_LAUNCH;
	case OP_CLONE:
		if (*stage != BEFORE_CLONE || use != PLAN_LAUNCH)
			return false;
		*stage = ON_BEHALF;
		return true;
	case OP_RELEASE:
		if (*stage != ON_BEHALF)
			return false;
		*stage = IN_CHILD;
		return true;
	case OP_UID_MAP:
	case OP_GID_MAP:
	case OP_SETGROUPS:
		return *stage == ON_BEHALF;
	case OP_ENV:
	case OP_ARG:
	case OP_USE_FD: /* done by the launcher it would be lost */
		return *stage != ON_BEHALF;
	default:
		return true;
	}
}

int plan_check(struct plan plan, enum plan_use use, uint32_t *bad_step)
{
	*bad_step = 0;
	if (plan.length < HEADER || plan.length > PLAN_MAX || memcmp(plan.bytes, PLAN_MAGIC, sizeof PLAN_MAGIC - 1) != 0)
		return EINVAL;
	struct cursor cursor = plan_start(plan);
	if (cursor.count > PLAN_MAX_STEPS)
		return EINVAL;
	enum stage stage = BEFORE_CLONE;
	struct step step = {0};
	while (cursor.index < cursor.count) {
		*bad_step = cursor.index;
		bool last = cursor.index + 1 == cursor.count;
		if (!take_step(plan, &cursor, &step) || !in_place(&step, &stage, last, use))
			return EINVAL;
	}
	bool whole = cursor.offset == plan.length && stage != ON_BEHALF;
	return whole && (use == PLAN_LAUNCH || step.op == OP_EXEC) ? 0 : EINVAL;
}

struct cursor plan_start(struct plan plan)
{
	return (struct cursor){.offset = HEADER, .count = load32(plan.bytes + HEADER - sizeof(uint32_t))};
}

bool plan_next(struct plan plan, struct cursor *cursor, struct step *step)
{
	return cursor->index < cursor->count && take_step(plan, cursor, step);
}

unsigned plan_last_op(struct plan plan)
{
	struct step step = {0};
	for (struct cursor cursor = plan_start(plan); plan_next(plan, &cursor, &step);)
		;
	return step.op;
}
