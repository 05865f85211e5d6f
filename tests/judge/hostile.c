/* hostile.c: what a judge must expect of strangers' programs, one function each; `hostile NAME` runs it. cases.py says how
 * each is held and what verdict it must get. Made for containers with limits: do not run it outside of one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024L * 1024)

static volatile unsigned long work;

static void burn(void) {
	for (;;)
		work++;
}

static void rest(void) {
	for (;;)
		pause();
}

static void say(const char *text) {
	if (write(1, text, strlen(text)) < 0)
		_exit(90);
}

/* --- ends ---------------------------------------------------------------------------------------------------------- */

static void exit_0(void) {}
static void exit_42(void) { exit(42); }
static void raise_abort(void) { abort(); }

static void divide_by_zero(void) {
	volatile int zero = 0;
	zero = 7 / zero;
}

static void null_pointer(void) {
	volatile int *volatile nowhere = NULL;
	*nowhere = 1;
}

static long deep(long level) {
	volatile char frame[4096];
	if (level < 0)
		return 0;
	frame[0] = (char)level;
	return deep(level + 1) + frame[0];
}

static void stack_overflow(void) { exit((int)deep(0)); }

static void close_all(void) {
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	exit(3);
}

static void read_stdin(void) {
	char buffer[4096];
	long total = 0;
	ssize_t got;
	while ((got = read(0, buffer, sizeof buffer)) > 0)
		total += got;
	printf("%ld\n", total);
}

/* --- time ---------------------------------------------------------------------------------------------------------- */

static void ignore_signals(void) {
	for (int number = 1; number < 65; number++)
		signal(number, SIG_IGN);
	rest();
}

static void stop_itself(void) {
	raise(SIGSTOP);
	rest();
}

static void *burn_thread(void *nothing) {
	burn();
	return nothing;
}

static void many_threads(void) {
	pthread_attr_t small;
	pthread_t thread;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	for (int number = 0; number < 50; number++)
		if (pthread_create(&thread, &small, burn_thread, NULL) != 0)
			exit(91);
	rest();
}

/* The first process does nothing at all; a great-grandchild that left session and parent computes. */
static void daemon_burns(void) {
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			setsid();
			if (fork() == 0)
				burn();
			_exit(0);
		}
		_exit(0);
	}
	rest();
}

/* No process lives longer than some milliseconds. */
static void relay(void) {
	if (fork() != 0)
		rest();
	for (;;) {
		for (unsigned long turn = 0; turn < 300000; turn++)
			work++;
		if (fork() != 0)
			_exit(0);
	}
}

/* --- processes ----------------------------------------------------------------------------------------------------- */

static void fork_bomb(void) {
	for (;;)
		if (fork() < 0)
			sched_yield();
}

static void orphan_holds_pipe(void) {
	say("first\n");
	if (fork() == 0) {
		setsid();
		for (;;) {
			sleep(2); /* by then the job has been judged, however busy the machine is */
			if (write(1, "late\n", 5) < 0)
				_exit(0);
		}
	}
	exit(8);
}

static void kill_everybody(void) {
	kill(-1, SIGKILL); /* spares the caller (kill(2)) */
	exit(7);
}

static void kill_own_group(void) {
	if (fork() == 0)
		rest();
	kill(0, SIGKILL);
	rest();
}

static void kill_parent(void) {
	kill(getppid(), SIGKILL);
	kill(1, SIGKILL);
	kill(1, SIGSEGV);
	usleep(50000);
	exit(getppid() == 1 ? 5 : 92);
}

static void trace_init(void) {
	if (ptrace(PTRACE_ATTACH, 1, NULL, NULL) == 0 || ptrace(PTRACE_SEIZE, 1, NULL, NULL) == 0)
		exit(93);
	exit(6);
}

/* --- memory -------------------------------------------------------------------------------------------------------- */

static void malloc_hog(void) {
	for (;;) {
		char *piece = malloc(MIB);
		if (!piece)
			exit(94);
		memset(piece, 1, MIB);
	}
}

static void mmap_hog(void) {
	for (;;) {
		char *piece = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (piece == MAP_FAILED)
			exit(95);
		memset(piece, 1, MIB);
	}
}

static int fill_more(int fd, long bytes) {
	static char block[65536];
	memset(block, 'x', sizeof block);
	for (long done = 0; bytes < 0 || done < bytes; done += (long)sizeof block)
		for (size_t part = 0; part < sizeof block;) {
			ssize_t wrote = write(fd, block + part, sizeof block - part);
			if (wrote < 0)
				return -1;
			part += (size_t)wrote;
		}
	return 0;
}

static int fill(const char *path, long bytes) {
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	return fd < 0 || fill_more(fd, bytes) < 0 ? -1 : fd;
}

static void tmpfs_hog(void) {
	fill("/dev/shm/hog", -1);
	exit(errno == ENOSPC ? 96 : 97);
}

static void read_through(int fd) {
	static char block[65536];
	while (read(fd, block, sizeof block) > 0)
		;
}

/* More page cache than memory is allowed; all of it can be given back. It is written back piece by piece: where all of a
 * v1 group's memory is dirty and the disk is busy, the kernel may rather kill (v1 does not slow writers down by group). */
static void cache_by_writing(void) {
	int fd = fill("/tmp/cache", 8 * MIB);
	if (fd < 0)
		exit(98);
	for (int piece = 1; piece < 20; piece++) {
		if (fdatasync(fd) < 0 || fill_more(fd, 8 * MIB) < 0)
			exit(98);
	}
	lseek(fd, 0, SEEK_SET);
	read_through(fd);
	unlink("/tmp/cache");
}

static void cache_by_reading(void) {
	char name[512];
	FILE *list = popen("find /usr/bin /usr/lib -xdev -type f -size +64k 2>/dev/null | head -n 150", "r");
	while (list && fgets(name, sizeof name, list)) {
		name[strcspn(name, "\n")] = 0;
		int fd = open(name, O_RDONLY);
		if (fd >= 0) {
			read_through(fd);
			close(fd);
		}
	}
}

static void grandchild_hog(void) {
	pid_t child = fork();
	if (child == 0) {
		setsid();
		pid_t grandchild = fork();
		if (grandchild == 0)
			malloc_hog();
		waitpid(grandchild, NULL, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	exit(0); /* as if nothing had been */
}

/* --- output -------------------------------------------------------------------------------------------------------- */

static void flood(int first, int last) {
	static char block[8192];
	memset(block, 'y', sizeof block);
	for (;;)
		for (int fd = first; fd <= last; fd++)
			if (write(fd, block, sizeof block) < 0)
				exit(99);
}

static void flood_stdout(void) { flood(1, 1); }
static void flood_stderr(void) { flood(2, 2); }
static void flood_both(void) { flood(1, 2); }

static void flood_from_children(void) {
	for (int child = 0; child < 8; child++)
		if (fork() == 0)
			flood(1, 2);
	rest();
}

static void exact_output(void) {
	for (int number = 0; number < 1000; number++)
		say("0123456789");
}

/* --- disk ---------------------------------------------------------------------------------------------------------- */

static void disk_filler(void) {
	fill("/home/vcap/filler", -1);
	exit(errno == ENOSPC || errno == EDQUOT ? 1 : 80);
}

static void disk_filler_content(void) { fill("/home/vcap/filler", -1); }

static void inode_filler(void) {
	char name[64];
	for (int number = 0;; number++) {
		snprintf(name, sizeof name, "/home/vcap/i%d", number);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			exit(errno == ENOSPC || errno == EDQUOT ? 1 : 81);
		close(fd);
	}
}

/* Looks like a terabyte, takes two blocks. */
static void sparse_file(void) {
	int fd = open("/tmp/sparse", O_CREAT | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, 1024L * 1024 * MIB) < 0 || pwrite(fd, "x", 1, 0) != 1)
		exit(82);
	if (pwrite(fd, "x", 1, 1024L * 1024 * MIB - 1) != 1)
		exit(83);
}

static void file_too_large(void) {
	fill("/tmp/large", 64 * MIB);
	exit(84);
}

/* ------------------------------------------------------------------------------------------------------------------- */

#define ALL(X) \
	X(exit_0) X(exit_42) X(raise_abort) X(divide_by_zero) X(null_pointer) X(stack_overflow) X(close_all) X(read_stdin) \
	X(burn) X(rest) X(ignore_signals) X(stop_itself) X(many_threads) X(daemon_burns) X(relay) \
	X(fork_bomb) X(orphan_holds_pipe) X(kill_everybody) X(kill_own_group) X(kill_parent) X(trace_init) \
	X(malloc_hog) X(mmap_hog) X(tmpfs_hog) X(cache_by_writing) X(cache_by_reading) X(grandchild_hog) \
	X(flood_stdout) X(flood_stderr) X(flood_both) X(flood_from_children) X(exact_output) \
	X(disk_filler) X(disk_filler_content) X(inode_filler) X(sparse_file) X(file_too_large)

int main(int argc, char **argv) {
	const char *wanted = argc > 1 ? argv[1] : "";
#define TRY(name) \
	if (strcmp(wanted, #name) == 0) { \
		name(); \
		return 0; \
	}
	ALL(TRY)
	return 100;
}
