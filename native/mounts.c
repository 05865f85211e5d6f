/* mounts.c: every step that works on a path or a mount.
 * Owns the resolution of targets: below `root` by openat2(2), so that no link of an image leads out of it, and acted on
 * by descriptor, so that no rename in between matters. Must not know namespaces or identities. */
#define _GNU_SOURCE
#include "sys.h"
#include "wshd.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define TRIES 64

static int open_target(const struct run *run, const char *path, int flags)
{
	if (run->root < 0)
		return open(path, flags | O_CLOEXEC);
	int fd = -1;
	/* openat2(2): EAGAIN when a rename anywhere made ".." ambiguous during the walk */
	for (int tries = 0; tries < TRIES && fd < 0; tries++) {
		fd = sys_openat2(run->root, path, (unsigned)flags | O_CLOEXEC, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd;
}

struct proc_path {
	char text[32];
};

/* "/proc/self/fd/N", for mount(2), which takes only paths. */
static struct proc_path proc_path(int fd)
{
	struct proc_path path = {"/proc/self/fd/"};
	char digits[12];
	size_t count = 0, at = strlen(path.text);
	do
		digits[count++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	while (count > 0)
		path.text[at++] = digits[--count];
	return path;
}

/* Opens the directory that holds the last component of *path*, and names that component in *last*. */
static int open_parent(const struct run *run, const char *path, char last[NAME_MAX + 1])
{
	char parent[PATH_MAX];
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	size_t length = end - start;
	if (start >= sizeof parent || length > NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(last, path + start, length);
	last[length] = 0;
	if (length == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		errno = EINVAL;
		return -1;
	}
	memcpy(parent, path, start);
	parent[start] = 0;
	return open_target(run, start > 0 ? parent : ".", O_PATH | O_DIRECTORY);
}

static uid_t id_or_keep(uint64_t id)
{
	return id == KEEP ? (uid_t)-1 : (uid_t)id;
}

static int make_directory(const struct run *run, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	char last[NAME_MAX + 1];
	cleanup_close int parent = open_parent(run, path, last);
	if (parent < 0)
		return -1;
	if (mkdirat(parent, last, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	cleanup_close int made = openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0 || fchown(made, uid, gid) < 0)
		return -1;
	return fchmod(made, mode); /* after fchown, which may clear bits; and free of the umask */
}

/* Makes the directory *path* of *length* bytes and what is missing above it. */
static int make_directories(const struct run *run, const char *path, size_t length, mode_t mode, uid_t uid, gid_t gid)
{
	char prefix[PATH_MAX];
	if (length >= sizeof prefix) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t end = 1; end <= length; end++) {
		if (end < length && path[end] != '/')
			continue;
		memcpy(prefix, path, end);
		prefix[end] = 0;
		cleanup_close int there = open_target(run, prefix, O_PATH | O_DIRECTORY);
		if (there >= 0)
			continue;
		if (errno != ENOENT || make_directory(run, prefix, mode, uid, gid) < 0)
			return -1;
	}
	return 0;
}

int step_root(struct run *run, const struct step *step)
{
	int fd = fd_high(open(step->args[0].bytes, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (fd < 0)
		return -1;
	if (run->root >= 0)
		close(run->root);
	run->root = fd;
	return 0;
}

/* A new mount namespace is a copy: the descriptor of the root still leads into the old one, where nothing may be
 * mounted. The kernel moves only the working directory over to the copy, so the root travels in it. */
int step_unshare(struct run *run, const struct step *step)
{
	int flags = (int)step_number(step, 0);
	bool carry = run->root >= 0 && (flags & 0x00020000 /* CLONE_NEWNS */);
	if (carry && fchdir(run->root) < 0)
		return -1;
	if (syscall(SYS_unshare, flags) < 0)
		return -1;
	if (!carry)
		return 0;
	int fd = fd_high(sys_open_tree(AT_FDCWD, "", K_AT_EMPTY_PATH));
	if (fd < 0)
		return -1;
	close(run->root);
	run->root = fd;
	return 0;
}

int step_propagation(struct run *run, const struct step *step)
{
	(void)run;
	return mount(NULL, "/", NULL, step_number(step, 0), NULL);
}

static const char *text_or_null(const struct step *step, unsigned index)
{
	return step->args[index].length > 0 ? step->args[index].bytes : NULL;
}

int step_mount(struct run *run, const struct step *step)
{
	const char *source = step->args[0].bytes, *target = step->args[1].bytes;
	const char *type = text_or_null(step, 2), *data = text_or_null(step, 4);
	unsigned long flags = step_number(step, 3);
	if (run->root < 0)
		return mount(source, target, type, flags, data);
	cleanup_close int fd = open_target(run, target, O_PATH);
	return fd < 0 ? -1 : mount(source, proc_path(fd).text, type, flags, data);
}

int step_umount(struct run *run, const struct step *step)
{
	int flags = (int)step_number(step, 1);
	if (run->root < 0)
		return umount2(step->args[0].bytes, flags);
	cleanup_close int fd = open_target(run, step->args[0].bytes, O_PATH);
	/* the descriptor itself would make it busy for anything but a lazy umount: the caller gives MNT_DETACH */
	return fd < 0 ? -1 : umount2(proc_path(fd).text, flags);
}

static int set_attributes(int tree, unsigned recursive, uint64_t attributes, bool idmap, uint64_t propagation)
{
	struct k_mount_attr attr = {.attr_set = attributes, .propagation = propagation};
	if (attributes & K_MOUNT_ATTR_ATIME) /* an enumeration, not bits: it must be cleared to be set */
		attr.attr_clr = K_MOUNT_ATTR_ATIME;
	if (idmap) {
		attr.attr_set |= K_MOUNT_ATTR_IDMAP; /* since 5.12; only on a mount that was never attached */
		attr.userns_fd = FD_USERNS;
	}
	if (attr.attr_set == 0 && propagation == 0)
		return 0;
	return sys_mount_setattr(tree, recursive, &attr);
}

int step_bind(struct run *run, const struct step *step)
{
	uint64_t flags = step_number(step, 3);
	unsigned recursive = flags & BIND_RECURSIVE ? K_AT_RECURSIVE : 0;
	cleanup_close int tree = sys_open_tree(AT_FDCWD, step->args[0].bytes, K_OPEN_TREE_CLONE | recursive);
	if (tree < 0)
		return -1;
	bool idmap = flags & (BIND_IDMAP | BIND_TRY_IDMAP);
	int set = set_attributes(tree, recursive, step_number(step, 2), idmap, step_number(step, 4));
	if (set < 0 && errno == EINVAL && flags & BIND_TRY_IDMAP) /* a file system without FS_ALLOW_IDMAP */
		set = set_attributes(tree, recursive, step_number(step, 2), false, step_number(step, 4));
	if (set < 0)
		return -1;
	cleanup_close int target = open_target(run, step->args[1].bytes, O_PATH);
	return target < 0 ? -1 : sys_move_mount(tree, target);
}

int step_mkdir(struct run *run, const struct step *step)
{
	return make_directories(run, step->args[0].bytes, step->args[0].length, (mode_t)step_number(step, 1) & 07777,
				id_or_keep(step_number(step, 2)), id_or_keep(step_number(step, 3)));
}

int step_symlink(struct run *run, const struct step *step)
{
	char last[NAME_MAX + 1];
	cleanup_close int parent = open_parent(run, step->args[1].bytes, last);
	if (parent < 0)
		return -1;
	return symlinkat(step->args[0].bytes, parent, last) == 0 || errno == EEXIST ? 0 : -1;
}

int step_mknod(struct run *run, const struct step *step)
{
	const char *path = step->args[0].bytes;
	uid_t uid = id_or_keep(step_number(step, 3));
	gid_t gid = id_or_keep(step_number(step, 4));
	char last[NAME_MAX + 1];
	const char *slash = strrchr(path, '/');
	if (slash && make_directories(run, path, (size_t)(slash - path), 0755, uid, gid) < 0)
		return -1;
	cleanup_close int parent = open_parent(run, path, last);
	if (parent < 0)
		return -1;
	mode_t mask = umask(0); /* exact mode without a chmod, which would follow a link */
	int made = mknodat(parent, last, (mode_t)step_number(step, 1), step_number(step, 2));
	umask(mask);
	if (made < 0)
		return errno == EEXIST ? 0 : -1;
	return fchownat(parent, last, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Covers *target* with the container's /dev/null. It must be the device: an image may hold anything of that name. */
static int cover_with_null(const struct run *run, int target)
{
	struct stat info;
	cleanup_close int null = open_target(run, "/dev/null", O_PATH);
	if (null < 0 || fstat(null, &info) < 0)
		return -1;
	if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) {
		errno = ENODEV;
		return -1;
	}
	cleanup_close int tree = sys_open_tree(null, "", K_OPEN_TREE_CLONE | K_AT_EMPTY_PATH);
	return tree < 0 ? -1 : sys_move_mount(tree, target);
}

int step_mask(struct run *run, const struct step *step)
{
	struct stat info;
	cleanup_close int target = open_target(run, step->args[0].bytes, O_PATH);
	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if (fstat(target, &info) < 0)
		return -1;
	if (!S_ISDIR(info.st_mode))
		return cover_with_null(run, target);
	return mount("tmpfs", proc_path(target).text, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		     "nr_inodes=1,mode=0555");
}

int step_readonly(struct run *run, const struct step *step)
{
	cleanup_close int target = open_target(run, step->args[0].bytes, O_PATH);
	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	cleanup_close int tree = sys_open_tree(target, "", K_OPEN_TREE_CLONE | K_AT_EMPTY_PATH | K_AT_RECURSIVE);
	if (tree < 0 || set_attributes(tree, K_AT_RECURSIVE, K_MOUNT_ATTR_RDONLY, false, 0) < 0)
		return -1;
	return sys_move_mount(tree, target);
}

/* The root was mounted in a namespace of another user namespace, so here it is locked, and pivot_root(2) refuses a
 * locked mount. A recursive bind over itself is not locked, only what lies below it stays so (since 3.8). */
int step_pivot_root(struct run *run, const struct step *step)
{
	(void)step;
	if (run->root < 0) {
		errno = EINVAL;
		return -1;
	}
	cleanup_close int tree = sys_open_tree(run->root, "", K_OPEN_TREE_CLONE | K_AT_EMPTY_PATH | K_AT_RECURSIVE);
	if (tree < 0 || sys_move_mount(tree, run->root) < 0 || fchdir(tree) < 0)
		return -1;
	/* pivot_root(2), Notes: with "." twice the old root lies over the new one, and is the one that "." then means */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -1;
	close(run->root);
	run->root = -1;
	return 0;
}
