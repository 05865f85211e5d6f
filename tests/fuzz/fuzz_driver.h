/* fuzz_driver.h: runs a fuzz target without libFuzzer. `PROGRAM [COUNT | SECONDSs]`: mutates the target's seeds with a
 * fixed random sequence, so that a failure repeats; the sanitizers end the program when the target does wrong. */
#ifndef WSHD_FUZZ_DRIVER_H
#define WSHD_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#ifndef LIBFUZZER
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUZZ_MAX 4096

/* Writes valid input number *index* of FUZZ_SEEDS; returns its length. */
static size_t fuzz_seed(unsigned index, uint8_t *bytes);

static uint64_t fuzz_state = 0x9e3779b97f4a7c15u;

static uint32_t fuzz_random(uint32_t below) {
	fuzz_state ^= fuzz_state << 13;
	fuzz_state ^= fuzz_state >> 7;
	fuzz_state ^= fuzz_state << 17;
	return (uint32_t)(fuzz_state >> 32) % below;
}

static size_t fuzz_mutate(uint8_t *bytes, size_t length) {
	static const uint32_t edges[] = {0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 4096, 65535};
	uint32_t at = fuzz_random((uint32_t)length + 1);
	switch (fuzz_random(5)) {
	case 0:
		if (at < length)
			bytes[at] ^= (uint8_t)(1u << fuzz_random(8));
		return length;
	case 1:
		if (length - at >= 4)
			memcpy(bytes + at, &edges[fuzz_random(sizeof edges / sizeof *edges)], 4);
		return length;
	case 2:
		return at;
	case 3:
		if (at < length)
			bytes[at] = (uint8_t)fuzz_random(256);
		return length;
	default:
		if (length + 8 > FUZZ_MAX)
			return length;
		memmove(bytes + at + 8, bytes + at, length - at);
		for (int i = 0; i < 8; i++)
			bytes[at + (size_t)i] = (uint8_t)fuzz_random(256);
		return length + 8;
	}
}

/* The input is a block of exactly its length, so that one byte too far is seen. */
static void fuzz_one(const uint8_t *bytes, size_t length) {
	uint8_t *exact = malloc(length ? length : 1);
	memcpy(exact, bytes, length);
	LLVMFuzzerTestOneInput(exact, length);
	free(exact);
}

int main(int argc, char **argv) {
	uint8_t bytes[FUZZ_MAX + 64];
	char *rest = argc > 1 ? argv[1] : "10s";
	unsigned long limit = strtoul(rest, &rest, 10), count = 0;
	time_t end = *rest == 's' ? time(NULL) + (time_t)limit : 0;
	for (; end ? time(NULL) < end : count < limit; count++) {
		size_t length = fuzz_seed((unsigned)(count % FUZZ_SEEDS), bytes);
		for (uint32_t changes = fuzz_random(6); changes > 0; changes--)
			length = fuzz_mutate(bytes, length);
		fuzz_one(bytes, length);
	}
	printf("%lu inputs\n", count);
	return 0;
}
#endif
#endif
