/* main.c: `wshd CONTROL PLAN [LISTEN [FD...]]`. Puts the descriptors in place and maps the plan; run.c does the rest. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static _Noreturn void usage(void)
{
	static const char words[] = "usage: wshd CONTROL PLAN [LISTEN|- [FD...]]: started by warden, not by hand\n";
	(void)!write(2, words, sizeof words - 1);
	_exit(2);
}

static int parse_fd(const char *word)
{
	long number = 0;
	if (!*word)
		usage();
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || number > INT_MAX / 16)
			usage();
		number = number * 10 + (*word - '0');
	}
	return (int)number;
}

/* A duplicate above the numbers that belong to the plan. The original is closed later: a number may be given twice. */
static int take_fd(const char *word)
{
	int fd = fcntl(parse_fd(word), F_DUPFD_CLOEXEC, FD_FLOOR);
	if (fd < 0)
		usage();
	return fd;
}

static struct plan map_plan(int fd)
{
	struct stat info;
	struct plan plan = {NULL, 0};
	if (fstat(fd, &info) < 0 || info.st_size <= 0 || info.st_size > PLAN_MAX)
		return plan; /* which is refused as malformed */
	void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return plan;
	return (struct plan){.bytes = bytes, .length = (size_t)info.st_size};
}

int main(int argc, char **argv)
{
	struct run run = {.listen = -1, .root = -1, .cgroup = -1, .sync = -1, .pidfd = -1, .child = -1};
	int keep[PASSED_MAX + 2];
	unsigned kept = 0;
	for (int number = 1; number <= 64; number++)
		signal(number, SIG_DFL); /* an ignored SIGCHLD would lose exit statuses; nothing here catches signals */
	if (argc < 3 || argc > 4 + PASSED_MAX)
		usage();
	run.control = keep[kept++] = take_fd(argv[1]);
	if (argc > 3 && strcmp(argv[3], "-") != 0)
		run.listen = keep[kept++] = take_fd(argv[3]);
	for (int i = 4; i < argc; i++)
		run.passed[run.passed_count++] = keep[kept++] = take_fd(argv[i]);
	run.plan = map_plan(parse_fd(argv[2]));
	if (fd_close_except(keep, kept, 0) < 0)
		usage();
	run_plan(&run);
}
