/* fuzz_plan.c: the parser of plans must refuse or read any bytes, never leave them. */
#define FUZZ_SEEDS 3
#include "fuzz_driver.h"
#include "wshd.h"

#include <stdlib.h>
#include <string.h>

static void check(struct plan plan, enum stage stage) {
	uint32_t bad = 0, seen = 0, count;
	struct step step = {0};
	if (!plan_check(&plan, stage, &bad))
		return;
	for (; plan_next(&plan, &step); seen++) {
		if (step.op == OP_RUN) /* the plan in it is read by the program's own process */
			check((struct plan){.bytes = (const uint8_t *)step.text[0], .length = step.length[0]}, IN_JOB);
		for (unsigned i = 0; operation_kinds[step.op][i]; i++) {
			char kind = operation_kinds[step.op][i];
			if (kind == 't' && strlen(step.text[i]) != step.length[i])
				abort();
			if (kind == 'n' && memcmp(step.text[i], &step.number[i], step.length[i]) != 0)
				abort();
		}
	}
	memcpy(&count, plan.bytes + 8, sizeof count);
	if (seen != count || plan.last != step.op)
		abort(); /* what was passed is not read to its end */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
	struct plan plan = {.bytes = bytes, .length = length};
	check(plan, BEFORE_CLONE);
	check(plan, IN_JOB);
	return 0;
}

#ifndef LIBFUZZER
static size_t put(uint8_t *bytes, size_t at, const void *from, size_t length) {
	memcpy(bytes + at, from, length);
	return at + length;
}

static size_t put_step(uint8_t *bytes, size_t at, uint16_t op) {
	const char *kinds = operation_kinds[op];
	uint16_t count = (uint16_t)strlen(kinds);
	at = put(bytes, at, &op, 2);
	at = put(bytes, at, &count, 2);
	for (; *kinds; kinds++) {
		uint32_t length = *kinds == 'n' ? 8 : 5;
		at = put(bytes, at, &length, 4);
		at = put(bytes, at, "words and more", length);
		bytes[at++] = 0;
	}
	return at;
}

/* A plan of one step that runs the program whose plan is there already. */
static size_t put_run(uint8_t *bytes, size_t length) {
	uint8_t program[FUZZ_MAX];
	uint32_t one = 1, length32 = (uint32_t)length;
	uint16_t head[] = {OP_RUN, 6};
	memcpy(program, bytes, length);
	size_t at = put(bytes, 8, &one, 4);
	at = put(bytes, at, head, 4);
	at = put(bytes, at, &length32, 4);
	at = put(bytes, at, program, length);
	bytes[at++] = 0;
	for (const char *kind = operation_kinds[OP_RUN] + 1; *kind; kind++) {
		uint32_t size = *kind == 'n' ? 8 : 4;
		at = put(bytes, at, &size, 4);
		at = put(bytes, at, "word of it", size);
		bytes[at++] = 0;
	}
	return at;
}

/* Seed 0 holds every operation in its place and ends in serve, seed 1 is a job, seed 2 runs it beside a plan. */
static size_t fuzz_seed(unsigned index, uint8_t *bytes) {
	static const uint16_t job[] = {OP_USE_FD, OP_SETSID, OP_ENV, OP_ARG, OP_ARG, OP_EXEC};
	uint32_t count = 0;
	size_t at = put(bytes, 0, PLAN_MAGIC, 8) + 4;
	if (index > 0) {
		for (; count < sizeof job / sizeof *job; count++)
			at = put_step(bytes, at, job[count]);
	} else {
		for (uint16_t op = 1; op < OP_END; op++)
			if (op != OP_EXEC && op != OP_SERVE) {
				at = put_step(bytes, at, op);
				count++;
			}
		at = put_step(bytes, at, OP_SERVE);
		count++;
	}
	put(bytes, 8, &count, 4);
	return index == 2 ? put_run(bytes, at) : at;
}
#endif
