/*
 * The floor: what the kernel alone takes for one container's life, repeated, one line "CREATE_NS LIFE_NS" a life.
 *
 * Owns the least sequence of system calls that gives what an engine gives: cgroups with a memory limit, namespaces,
 * overlay, proc, /dev, pivot_root, a veth pair with addresses and a route, exec, wait, removal. Must not do anything an
 * engine could leave out, and knows nothing of warden.
 *
 *   floor -n LIVES -d DIR -l LOWER -m MEMORY_CGROUP [-g CGROUP]... [-2] [-w] [-u FIRST_HOST_ID] [-t TAG]
 *
 * DIR: scratch directory; LOWER: root file system with /bin/true, /proc and /dev; -g: further v1 parents; -2: the
 * parent is of cgroup v2; -w: with network; -u: with a user namespace. The caller removes what a killed run leaves.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_GROUPS 16

static struct {
    long lives;
    const char *dir, *lower, *memory, *groups[MAX_GROUPS];
    int group_count, v2, network;
    unsigned tag;
    long first_id; /* -1: no user namespace */
} opt = {.lives = 1, .first_id = -1};

struct life {
    unsigned number;
    char root[256], low[256], upper[256], work[256], dir[256], groups[MAX_GROUPS][256];
    int go[2], cgroup_fd;
    pid_t pid;
};

static uint64_t *ready_ns; /* shared with the child: when it was about to exec */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    int saved = errno;
    va_list list;
    va_start(list, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, list);
    fprintf(stderr, ": %s\n", strerror(saved));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) die("write %s", path);
    close(fd);
}

__attribute__((format(printf, 2, 3))) static void path_to(char out[256], const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (vsnprintf(out, 256, format, list) >= 256) errno = ENAMETOOLONG, die("path %s", format);
    va_end(list);
}

static void make_dir(const char *path) {
    if (mkdir(path, 0755)) die("mkdir %s", path);
    if (opt.first_id >= 0 && lchown(path, (uid_t)opt.first_id, (gid_t)opt.first_id)) die("chown %s", path);
}

static void do_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
    if (mount(source, target, type, flags, data)) die("mount %s on %s", type ? type : source, target);
}

#include "rtnl.h"

/* ---- network ---- */

/* 198.18.0.0/15 is set aside for benchmarks (RFC 2544); the lower half of it is used here. One /30 a life: a dropped namespace goes away later. */
static uint32_t address_of(unsigned number, unsigned host) {
    return htonl(0xC6120000u + ((number * 4u) & 0xFFFCu) + host);
}

static void host_network(const struct life *life) {
    char name[IFNAMSIZ];
    struct batch batch = {.used = 0}, second = {.used = 0};
    snprintf(name, sizeof name, "w-bench%04x%04x", opt.tag & 0xFFFF, life->number & 0xFFFF);
    nl_veth(&batch, name, life->pid);
    nl_send(&batch, "veth");
    int index = (int)if_nametoindex(name);
    nl_address(&second, index, address_of(life->number, 1));
    nl_link_up(&second, index);
    nl_send(&second, "veth address");
}

static void child_network(const struct life *life) {
    struct batch batch = {.used = 0};
    nl_link_up(&batch, 1);
    if (opt.network) {
        nl_address(&batch, PEER_INDEX, address_of(life->number, 2));
        nl_link_up(&batch, PEER_INDEX);
        nl_default_route(&batch, address_of(life->number, 1));
    }
    nl_send(&batch, "container network");
}

/* ---- cgroups ---- */

static void make_groups(struct life *life) {
    char path[256];
    for (int i = 0; i < opt.group_count; i++) {
        path_to(life->groups[i], "%s/w-bench-%u", opt.groups[i], life->number);
        if (mkdir(life->groups[i], 0755)) die("mkdir %s", life->groups[i]);
    }
    path_to(path, opt.v2 ? "%s/memory.max" : "%s/memory.limit_in_bytes", life->groups[0]);
    write_text(path, "67108864");
    life->cgroup_fd = opt.v2 ? open(life->groups[0], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* v1: moving only oneself through "tasks" takes no global lock (since 5.5). v2: the clone did it. */
static void join_groups(const struct life *life) {
    char path[256];
    for (int i = 0; i < opt.group_count && !opt.v2; i++) {
        path_to(path, "%s/tasks", life->groups[i]);
        write_text(path, "0");
    }
}

static void remove_groups(const struct life *life) {
    if (life->cgroup_fd >= 0) close(life->cgroup_fd);
    for (int i = 0; i < opt.group_count; i++) {
        int tries = 200; /* an emptied cgroup may stay EBUSY for a moment */
        while (rmdir(life->groups[i]) && --tries && errno == EBUSY) usleep(500);
        if (!tries) die("rmdir %s", life->groups[i]);
    }
}

/* ---- file system ---- */

static void make_dirs(struct life *life) {
    path_to(life->dir, "%s/w-bench-%u", opt.dir, life->number);
    path_to(life->root, "%s/w-bench-%u/root", opt.dir, life->number);
    path_to(life->low, "%s/w-bench-%u/low", opt.dir, life->number);
    path_to(life->upper, "%s/w-bench-%u/upper", opt.dir, life->number);
    path_to(life->work, "%s/w-bench-%u/work", opt.dir, life->number);
    make_dir(life->dir);
    make_dir(life->root);
    make_dir(life->upper);
    make_dir(life->work);
    if (opt.first_id >= 0) make_dir(life->low);
}

static void remove_dirs(const struct life *life) {
    char inner[256];
    path_to(inner, "%s/w-bench-%u/work/work", opt.dir, life->number);
    if (rmdir(inner) && errno != ENOENT) die("rmdir %s", inner);
    if (opt.first_id >= 0 && rmdir(life->low)) die("rmdir %s", life->low);
    if (rmdir(life->work) || rmdir(life->upper) || rmdir(life->root) || rmdir(life->dir)) die("rmdir %s", life->dir);
}

static void mount_overlay(const struct life *life, const char *lower) {
    char data[1024];
    snprintf(data, sizeof data, "lowerdir=%s,upperdir=%s,workdir=%s", lower, life->upper, life->work);
    do_mount("overlay", life->root, "overlay", 0, data);
}

static void mount_dev(const struct life *life) {
    static const struct { const char *name; unsigned minor; } nodes[] = {
        {"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    char path[256];
    path_to(path, "%s/dev", life->root);
    do_mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        path_to(path, "%s/dev/%s", life->root, nodes[i].name);
        if (mknod(path, S_IFCHR | 0666, makedev(1, nodes[i].minor))) die("mknod %s", path);
    }
}

/* mount_setattr(2) with MOUNT_ATTR_IDMAP since 5.12, overlay over such a layer since 5.19. */
static void mount_id_mapped_lower(const struct life *life) {
    char path[256];
    path_to(path, "/proc/%d/ns/user", life->pid);
    int user_fd = open(path, O_RDONLY | O_CLOEXEC);
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, opt.lower, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_fd};
    if (user_fd < 0 || tree < 0) die("open_tree %s", opt.lower);
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr)) die("mount_setattr %s", opt.lower);
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, life->low, MOVE_MOUNT_F_EMPTY_PATH)) die("move_mount");
    close(user_fd);
    close(tree);
}

/* With a user namespace the host mounts on the child's behalf: device nodes and id maps need its rights. */
static void host_mounts(const struct life *life) {
    mount_id_mapped_lower(life);
    mount_overlay(life, life->low);
    mount_dev(life);
}

static void enter_root(const struct life *life) {
    do_mount(life->root, life->root, NULL, MS_BIND | MS_REC, NULL); /* an unlocked mount, as pivot_root(2) wants */
    if (chdir(life->root) || syscall(SYS_pivot_root, ".", ".")) die("pivot_root %s", life->root);
    if (umount2(".", MNT_DETACH) || chdir("/")) die("umount2 of the old root");
}

/* ---- one life ---- */

static void child_mounts(const struct life *life) {
    char path[256];
    if (opt.first_id < 0) {
        mount_overlay(life, opt.lower);
        mount_dev(life);
    } else if (unshare(CLONE_NEWNS)) {
        die("unshare mnt");
    }
    path_to(path, "%s/proc", life->root);
    do_mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    enter_root(life);
}

static void become_root(void) {
    if (syscall(SYS_setresgid, 0, 0, 0) || syscall(SYS_setresuid, 0, 0, 0)) die("setresuid");
}

__attribute__((noreturn)) static void child(const struct life *life) {
    char byte;
    close(life->go[1]);
    join_groups(life);
    if (read(life->go[0], &byte, 1) != 1) _exit(1); /* end of file: the parent gave up */
    if (opt.first_id >= 0) become_root();
    child_mounts(life);
    child_network(life);
    *ready_ns = now_ns();
    execl("/bin/true", "true", (char *)NULL);
    die("execve /bin/true");
}

static void clone_child(struct life *life) {
    uint64_t flags = CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
    flags |= opt.first_id >= 0 ? CLONE_NEWUSER : CLONE_NEWNS;
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    if (opt.v2) args.flags |= CLONE_INTO_CGROUP, args.cgroup = (uint64_t)life->cgroup_fd;
    life->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (life->pid < 0) die("clone3");
    if (life->pid == 0) child(life);
}

static void write_id_maps(const struct life *life) {
    char path[256], map[64];
    snprintf(map, sizeof map, "0 %ld 65536", opt.first_id);
    path_to(path, "/proc/%d/uid_map", life->pid);
    write_text(path, map);
    path_to(path, "/proc/%d/gid_map", life->pid);
    write_text(path, map);
}

static void start(struct life *life) {
    if (pipe2(life->go, O_CLOEXEC)) die("pipe2");
    make_groups(life);
    make_dirs(life);
    clone_child(life);
    close(life->go[0]);
    if (opt.first_id >= 0) {
        write_id_maps(life);
        host_mounts(life);
    }
    if (opt.network) host_network(life);
    if (write(life->go[1], "g", 1) != 1) die("write to the child");
    close(life->go[1]);
}

static void end(const struct life *life) {
    int status;
    if (waitpid(life->pid, &status, 0) < 0) die("waitpid");
    if (status) errno = EPROTO, die("the child ended with status 0x%x", status);
    if (opt.first_id >= 0 && (umount2(life->root, MNT_DETACH) || umount2(life->low, MNT_DETACH))) die("umount2");
    remove_groups(life);
    remove_dirs(life);
}

static void live(unsigned number) {
    struct life life = {.number = number};
    uint64_t begun = now_ns();
    start(&life);
    end(&life);
    uint64_t ended = now_ns();
    printf("%llu %llu\n", (unsigned long long)(*ready_ns - begun), (unsigned long long)(ended - begun));
    fflush(stdout);
}

static void add_group(const char *path, int first) {
    if (opt.group_count == MAX_GROUPS) errno = E2BIG, die("-g %s", path);
    if (first) memmove(opt.groups + 1, opt.groups, (size_t)opt.group_count * sizeof *opt.groups);
    opt.groups[first ? 0 : opt.group_count] = path;
    opt.group_count++;
}

static void parse(int argc, char **argv) {
    for (int letter; (letter = getopt(argc, argv, "n:d:l:m:g:2wu:t:")) != -1;) switch (letter) {
        case 'n': opt.lives = atol(optarg); break;
        case 'd': opt.dir = optarg; break;
        case 'l': opt.lower = optarg; break;
        case 'm': opt.memory = optarg, add_group(optarg, 1); break;
        case 'g': add_group(optarg, 0); break;
        case '2': opt.v2 = 1; break;
        case 'w': opt.network = 1; break;
        case 'u': opt.first_id = atol(optarg); break;
        case 't': opt.tag = (unsigned)atol(optarg); break;
        default: exit(2);
    }
    if (!opt.dir || !opt.lower || !opt.memory) errno = EINVAL, die("-d, -l and -m");
}

int main(int argc, char **argv) {
    parse(argc, argv);
    ready_ns = mmap(NULL, sizeof *ready_ns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ready_ns == MAP_FAILED) die("mmap");
    /* A mount namespace of our own: whatever happens, no mount of ours outlives this process. */
    if (unshare(CLONE_NEWNS)) die("unshare");
    do_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    for (long i = 0; i < opt.lives; i++) live((unsigned)(opt.tag * 64 + i));
    return 0;
}
