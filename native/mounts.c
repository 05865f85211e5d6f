/* mounts.c: the steps that work on a path or a mount below the root.
 * Owns the resolution of targets: below `root` by openat2(2), so that no link of an image leads out of it, and acted on
 * by descriptor, so that no rename in between matters. Must not know namespaces or identities. */
#include "wshd.h"
#include <libgen.h>
#include <sys/sysmacros.h>

static int open_target(const char *path, int flags) {
	uint64_t how[3] = {(unsigned)flags | O_CLOEXEC, 0, run.resolve | K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS};
	int fd, tries = 64;
	if (run.root < 0)
		return open(path, flags | O_CLOEXEC);
	do /* openat2(2): EAGAIN when a rename anywhere made ".." ambiguous during the walk */
		fd = (int)syscall(SYS_openat2, FD_ROOT, path, how, sizeof how);
	while (fd < 0 && errno == EAGAIN && --tries > 0);
	return fd;
}

/* The name of a descriptor for mount(2) and umount2(2), which take only paths. */
static const char *proc_path(int fd, char path[PROC_PATH]) {
	snprintf(path, PROC_PATH, "/proc/self/fd/%d", fd);
	return path;
}

/* Opens the directory that holds the last component of *path*, and copies that component to *last*. */
static int open_parent(const char *path, char last[PATH_MAX]) {
	char copy[PATH_MAX];
	if (strlen(path) >= sizeof copy)
		return refuse(ENAMETOOLONG);
	strcpy(last, basename(strcpy(copy, path)));
	return open_target(dirname(strcpy(copy, path)), O_PATH | O_DIRECTORY);
}

/* Makes the directory *path* and what is missing above it. An id of 2^64-1 becomes -1: as it comes. */
static int make_directories(const char *path, mode_t mode, uint64_t uid, uint64_t gid) {
	char prefix[PATH_MAX] = "", last[PATH_MAX];
	if (strlen(path) >= sizeof prefix)
		return refuse(ENAMETOOLONG);
	for (const char *end = path; *end;) {
		end = strchrnul(end + 1, '/');
		memcpy(prefix, path, (size_t)(end - path));
		cleanup_close int there = open_target(prefix, O_PATH | O_DIRECTORY);
		if (there >= 0)
			continue;
		cleanup_close int parent = errno == ENOENT ? open_parent(prefix, last) : -1;
		if (parent < 0 || mkdirat(parent, last, 0700) < 0)
			return -1;
		cleanup_close int made = openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* fchmod after fchown, which may clear bits; and free of the umask */
		if (made < 0 || fchown(made, (uid_t)uid, (gid_t)gid) < 0 || fchmod(made, mode) < 0)
			return -1;
	}
	return 0;
}

int step_mkdir(const struct step *step) {
	return make_directories(step->text[0], (mode_t)step->number[1] & 07777, step->number[2], step->number[3]);
}

int step_symlink(const struct step *step) {
	char last[PATH_MAX];
	cleanup_close int parent = open_parent(step->text[1], last);
	if (parent < 0)
		return -1;
	return symlinkat(step->text[0], parent, last) == 0 || errno == EEXIST ? 0 : -1;
}

int step_mknod(const struct step *step) {
	uint64_t uid = step->number[3], gid = step->number[4];
	char last[PATH_MAX], above[PATH_MAX];
	snprintf(above, sizeof above, "%s", step->text[0]); /* what is too long fails in open_parent */
	if (make_directories(dirname(above), 0755, uid, gid) < 0)
		return -1;
	cleanup_close int parent = open_parent(step->text[0], last);
	if (parent < 0)
		return -1;
	mode_t mask = umask(0); /* exact mode without a chmod, which would follow a link */
	int made = mknodat(parent, last, (mode_t)step->number[1], step->number[2]);
	umask(mask);
	if (made < 0)
		return errno == EEXIST ? 0 : -1;
	return fchownat(parent, last, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW);
}

int step_mount(const struct step *step) {
	char path[PROC_PATH];
	const char *source = step->text[0];
	const char *type = step->length[2] > 0 ? step->text[2] : NULL, *data = step->length[4] > 0 ? step->text[4] : NULL;
	if (run.root < 0)
		return mount(source, step->text[1], type, step->number[3], data);
	cleanup_close int fd = open_target(step->text[1], O_PATH);
	return fd < 0 ? -1 : mount(source, proc_path(fd, path), type, step->number[3], data);
}

int step_umount(const struct step *step) {
	char path[PROC_PATH];
	if (run.root < 0)
		return umount2(step->text[0], (int)step->number[1]);
	cleanup_close int fd = open_target(step->text[0], O_PATH);
	/* the descriptor itself would make it busy for anything but a lazy umount: the caller gives MNT_DETACH */
	return fd < 0 ? -1 : umount2(proc_path(fd, path), (int)step->number[1]);
}

/* Attaches a copy of the mount at *path* of *dir* onto *target*. *recursive* is 0 or AT_RECURSIVE. */
static int cover(int target, int dir, const char *path, unsigned recursive, struct k_mount_attr attr) {
	cleanup_close int tree = sys_open_tree(dir, path, K_OPEN_TREE_CLONE | recursive);
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) < 0)
		return -1;
	return sys_move_mount(tree, target);
}

int step_bind(const struct step *step) {
	const char *source = step->text[0];
	uint64_t flags = step->number[3];
	unsigned recursive = flags & BIND_RECURSIVE ? AT_RECURSIVE : 0;
	struct k_mount_attr plain = {.attr_set = step->number[2], .propagation = step->number[4]};
	if (plain.attr_set & K_MOUNT_ATTR_ATIME) /* an enumeration, not bits: it must be cleared to be set */
		plain.attr_clr = K_MOUNT_ATTR_ATIME;
	struct k_mount_attr mapped = plain;
	mapped.attr_set |= K_MOUNT_ATTR_IDMAP; /* since 5.12; only on a mount that was never attached */
	mapped.userns_fd = FD_USERNS;
	cleanup_close int from = flags & BIND_IN_ROOT ? open_target(source, O_PATH) : AT_FDCWD;
	cleanup_close int target = from == -1 ? -1 : open_target(step->text[1], O_PATH);
	if (target < 0)
		return -1;
	source = from >= 0 ? "" : source;
	int covered = flags & BIND_MAPPED ? cover(target, from, source, recursive, mapped) : refuse(EINVAL);
	if (covered < 0 && errno == EINVAL && !(flags & BIND_IDMAP)) /* also a file system without FS_ALLOW_IDMAP */
		return cover(target, from, source, recursive, plain);
	return covered;
}

/* What covers a file must be the null device: an image may hold anything of that name. */
int step_mask(const struct step *step) {
	char path[PROC_PATH];
	struct stat info;
	cleanup_close int target = open_target(step->text[0], O_PATH);
	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if (fstat(target, &info) < 0)
		return -1;
	if (S_ISDIR(info.st_mode))
		return mount("tmpfs", proc_path(target, path), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			     "nr_inodes=1,mode=0555");
	cleanup_close int null = open_target("/dev/null", O_PATH);
	if (null < 0 || fstat(null, &info) < 0)
		return -1;
	if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))
		return refuse(ENODEV);
	return cover(target, null, "", 0, (struct k_mount_attr){0});
}

int step_readonly(const struct step *step) {
	cleanup_close int target = open_target(step->text[0], O_PATH);
	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	return cover(target, target, "", AT_RECURSIVE, (struct k_mount_attr){.attr_set = K_MOUNT_ATTR_RDONLY});
}

/* The root was mounted in a namespace of another user namespace, so here it is locked, and pivot_root(2) refuses a
 * locked mount. A recursive bind over itself is not locked, only what lies below it stays so (since 3.8). */
int step_pivot_root(const struct step *step) {
	(void)step;
	if (run.root < 0)
		return refuse(EINVAL);
	cleanup_close int tree = sys_open_tree(FD_ROOT, "", K_OPEN_TREE_CLONE | AT_RECURSIVE);
	if (tree < 0 || sys_move_mount(tree, FD_ROOT) < 0 || fchdir(tree) < 0)
		return -1;
	/* pivot_root(2), Notes: with "." twice the old root lies over the new one, and is the one that "." then means */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -1;
	run.root = -1;
	return close(FD_ROOT);
}
