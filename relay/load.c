// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Order: maps are pinned, then the programs are attached, then the "layout" map is written and pinned. A folder with
 * that pin is complete; without it, what lies there was left by a load that ended early, and nothing of it is kept.
 */
#include "relay/load.h"
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/magic.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "common/cleanup.h"
#include "relay/layout.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* generated code */
#include "relay/relay.skel.h"
#pragma GCC diagnostic pop

static const char *const map_names[] = {RELAY_MAP_NAMES};
static const char *const program_names[] = {RELAY_PROGRAM_NAMES};

DEFINE_CLEANUP(relay_bpf__destroy, struct relay_bpf *);

/* libbpf explains itself by printing; the first line is the cause. */
static char libbpf_said[160];

static int on_libbpf_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN && !libbpf_said[0]) {
		vsnprintf(libbpf_said, sizeof(libbpf_said), format, arguments);
		libbpf_said[strcspn(libbpf_said, "\n")] = '\0';
	}
	return 0;
}

static int pin_path(const char *dir, const char *name, char path[4096])
{
	return snprintf(path, 4096, "%s/%s", dir, name) < 4096 ? 0 : -ENAMETOOLONG;
}

static int pin_open(const char *dir, const char *name)
{
	char path[4096];
	int r = pin_path(dir, name, path);
	if (r < 0)
		return r;
	int fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static int pin_remove(const char *dir, const char *name)
{
	char path[4096];
	int r = pin_path(dir, name, path);
	if (r < 0)
		return r;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int pin_make(int fd, const char *dir, const char *name, uid_t owner)
{
	char path[4096];
	int r = pin_path(dir, name, path);
	if (r < 0)
		return r;
	if (bpf_obj_pin(fd, path) < 0 || chmod(path, 0600) < 0 || chown(path, owner, (gid_t)-1) < 0)
		return -errno;
	return 0;
}

static void pins_remove(const char *dir)
{
	/* "layout" is the last name: it goes first, so that an interruption leaves a folder that counts as incomplete */
	for (size_t i = ARRAY_SIZE(map_names); i-- > 0;)
		pin_remove(dir, map_names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(program_names); i++)
		pin_remove(dir, program_names[i]);
	hook_links_remove(dir);
}

/* The folder belongs to root: the owner of the maps may write them, not put others in their place. */
static int folder_prepare(const char *dir, struct err *err)
{
	struct statfs fs;
	bool made = mkdir(dir, 0755) == 0;
	if (!made && errno != EEXIST)
		return err_code(err, -errno, "making %s: %s; is a bpf filesystem mounted there?",
				dir, strerror(errno));
	if (statfs(dir, &fs) < 0)
		return err_code(err, -errno, "looking at %s: %s", dir, strerror(errno));
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (made)
		rmdir(dir);
	return err_code(err, -EINVAL, "%s is not on a bpf filesystem: mount -t bpf bpf FOLDER",
			dir);
}

static int interface_find(const char *name, struct relay_interface *ret, struct err *err)
{
	struct ifreq request = {0};
	if (strlen(name) >= sizeof(request.ifr_name))
		return err_set(err, "interface %s: the name is too long", name);
	memcpy(request.ifr_name, name, strlen(name));
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return err_code(err, -errno, "interface %s: %s", name, strerror(errno));
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return err_code(err, -EOPNOTSUPP,
				"interface %s is not Ethernet: the relay needs link headers", name);
	memcpy(ret->address, request.ifr_hwaddr.sa_data, sizeof(ret->address));
	ret->index = if_nametoindex(name);
	return ret->index ? 0 : err_code(err, -errno, "interface %s: %s", name, strerror(errno));
}

static int interfaces_find(const struct relay_load *load, struct relay_layout *ret, struct err *err)
{
	if (load->interface_count > RELAY_INTERFACES)
		return err_set(err, "at most %d interfaces", RELAY_INTERFACES);
	for (size_t i = 0; i < load->interface_count; i++) {
		int r = interface_find(load->interfaces[i], &ret->interfaces[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* How the interface stands in the layout. */
static struct relay_interface interface_in(const struct relay_layout *layout, uint32_t index)
{
	for (size_t i = 0; i < RELAY_INTERFACES; i++)
		if (layout->interfaces[i].index == index)
			return layout->interfaces[i];
	return (struct relay_interface){0};
}

/* Detaches from the interfaces of before that are not in now. */
static void detach_others(const char *dir, const struct relay_layout *before,
			  const struct relay_layout *now)
{
	for (size_t i = 0; i < RELAY_INTERFACES; i++) {
		uint32_t index = before->interfaces[i].index;
		if (index && interface_in(now, index).index == 0)
			hook_detach(dir, index);
	}
}

static int adopt(struct relay_bpf *bpf, const char *dir, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(map_names); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(bpf->obj, map_names[i]);
		_cleanup_(closep) int fd = pin_open(dir, map_names[i]);
		int r = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (r < 0)
			return err_code(err, r, "adopting %s/%s: %s; unload first", dir,
					map_names[i], strerror(-r));
	}
	return 0;
}

static int load_program(struct relay_bpf *bpf, const char *dir, bool adopted, struct err *err)
{
	int r = adopted ? adopt(bpf, dir, err) : 0;
	if (r < 0)
		return r;
	libbpf_said[0] = '\0';
	r = relay_bpf__load(bpf);
	if (r == -EPERM)
		return err_code(
			err, r,
			"loading the relay: %s; CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed",
			strerror(-r));
	return r < 0 ? err_code(err, r, "loading the relay: %s (%s)", strerror(-r), libbpf_said)
		     : 0;
}

static int port_set(struct relay_bpf *bpf, uint16_t port, struct err *err)
{
	uint32_t zero = 0;
	struct relay_config config = {0};
	int fd = bpf_map__fd(bpf->maps.config);
	int r = bpf_map_lookup_elem(fd, &zero, &config);
	config.port = htons(port);
	if (r == 0)
		r = bpf_map_update_elem(fd, &zero, &config, BPF_ANY);
	return r < 0 ? err_code(err, -errno, "setting the port: %s", strerror(errno)) : 0;
}

static int pin_maps(struct relay_bpf *bpf, const struct relay_load *load, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(map_names); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(bpf->obj, map_names[i]);
		if (map == bpf->maps.layout)
			continue;
		int r = pin_make(bpf_map__fd(map), load->bpffs_dir, map_names[i], load->owner);
		if (r < 0)
			return err_code(err, r, "pinning %s/%s: %s", load->bpffs_dir, map_names[i],
					strerror(-r));
	}
	return 0;
}

static int pin_programs(const struct hook_programs *programs, const char *dir, struct err *err)
{
	const int descriptors[] = {programs->ingress, programs->egress, programs->xdp};
	for (size_t i = 0; i < ARRAY_SIZE(program_names); i++) {
		int r = pin_remove(dir, program_names[i]);
		if (r == 0)
			r = pin_make(descriptors[i], dir, program_names[i], 0);
		if (r < 0)
			return err_code(err, r, "pinning %s/%s: %s", dir, program_names[i],
					strerror(-r));
	}
	return 0;
}

static int attach_all(struct relay_bpf *bpf, const struct relay_load *load,
		      const struct relay_layout *before, struct relay_layout *now,
		      struct relay_loaded *ret, struct err *err)
{
	const struct hook_programs programs = {
		.ingress = bpf_program__fd(bpf->progs.relay_tc),
		.egress = bpf_program__fd(bpf->progs.relay_egress),
		.xdp = bpf_program__fd(bpf->progs.relay_xdp),
	};
	for (size_t i = 0; i < load->interface_count; i++) {
		struct relay_interface stood = interface_in(before, now->interfaces[i].index);
		int r = hook_attach(load->bpffs_dir, load->interfaces[i], &stood,
				    &now->interfaces[i], &programs, load->hook, &ret->interfaces[i],
				    err);
		if (r < 0)
			return r;
		now->interfaces[i].hook = (uint16_t)ret->interfaces[i].hook;
	}
	return pin_programs(&programs, load->bpffs_dir, err);
}

/*
 * A site that only listens teaches no other way than the one it had, and what is sent by an interface that is gone is lost. So
 * who came by one that is not named any more is unknown until the next packet; budgets stay.
 */
static void paths_forget(struct relay_bpf *bpf, const struct relay_layout *now)
{
	int fd = bpf_map__fd(bpf->maps.paths);
	for (uint32_t site = 1; site < RELAY_SITE_SLOTS; site++) {
		struct relay_path path;
		if (bpf_map_lookup_elem(fd, &site, &path) < 0 || path.interface == 0 ||
		    interface_in(now, path.interface).index)
			continue;
		path.local = path.peer = (struct relay_endpoint){0};
		path.interface = 0;
		path.confirmed_ns = 0;
		path.hop = (struct relay_hop){0};
		bpf_map_update_elem(fd, &site, &path, BPF_ANY);
	}
}

static int layout_write(struct relay_bpf *bpf, const struct relay_load *load,
			const struct relay_layout *now, bool adopted, struct err *err)
{
	uint32_t zero = 0;
	int fd = bpf_map__fd(bpf->maps.layout);
	int r = bpf_map_update_elem(fd, &zero, now, BPF_ANY) < 0 ? -errno : 0;
	if (r == 0 && !adopted)
		r = pin_make(fd, load->bpffs_dir, "layout", load->owner);
	return r < 0 ? err_code(err, r, "pinning %s/layout: %s", load->bpffs_dir, strerror(-r)) : 0;
}

static int load_steps(const struct relay_load *load, const struct relay_layout *before,
		      struct relay_layout *now, struct relay_loaded *ret, struct err *err)
{
	_cleanup_(relay_bpf__destroyp) struct relay_bpf *bpf = relay_bpf__open();
	if (!bpf)
		return err_code(err, -errno, "opening the relay's object: %s", strerror(errno));
	int r = load_program(bpf, load->bpffs_dir, ret->adopted, err);
	if (r == 0)
		r = port_set(bpf, load->port, err);
	if (r == 0 && !ret->adopted)
		r = pin_maps(bpf, load, err);
	if (r == 0)
		r = attach_all(bpf, load, before, now, ret, err);
	if (r == 0 && ret->adopted)
		paths_forget(bpf, now);
	return r < 0 ? r : layout_write(bpf, load, now, ret->adopted, err);
}

/* What stood before: nothing (not adopted), or pins that this program can go on with. */
static int standing_read(const char *dir, struct relay_layout *ret, bool *ret_adopted,
			 struct err *err)
{
	int r = layout_read(dir, ret);
	if (r < 0 && r != -ENOENT)
		return err_code(err, r, "reading %s/layout: %s", dir, strerror(-r));
	*ret_adopted = r == 0;
	if (r == 0 && ret->version != RELAY_LAYOUT)
		return err_code(
			err, -EPROTONOSUPPORT,
			"%s holds maps of layout %u, this program has layout %d: run --unload first "
			"(sessions between sites start anew)",
			dir, ret->version, RELAY_LAYOUT);
	return 0;
}

/* Asked first: where there is no BPF there is no bpf filesystem either, and its absence would be the complaint. */
static int check_bpf(const char *dir, struct err *err)
{
	_cleanup_(closep) int fd = bpf_obj_get(dir);
	if (fd >= 0 || errno != ENOSYS)
		return 0;
	return err_code(err, -ENOSYS,
			"this kernel has no BPF (%s): sites reach the control plane but not each "
			"other until the hub runs on a kernel that has (CONFIG_BPF_SYSCALL)",
			strerror(ENOSYS));
}

int relay_load(const struct relay_load *load, struct relay_loaded *ret, struct err *err)
{
	struct relay_layout before = {0}, now = {.version = RELAY_LAYOUT};
	struct relay_loaded loaded = {0};
	const char *dir = load->bpffs_dir;
	libbpf_set_print(on_libbpf_print);
	now.alt_port = htons(load->alt_port == load->port ? 0 : load->alt_port);
	int r = check_bpf(dir, err);
	if (r == 0)
		r = interfaces_find(load, &now, err);
	if (r == 0)
		r = folder_prepare(dir, err);
	if (r == 0)
		r = standing_read(dir, &before, &loaded.adopted, err);
	if (r < 0)
		return r;
	if (!loaded.adopted)
		pins_remove(dir);
	r = load_steps(load, &before, &now, &loaded, err);
	if (r < 0 && !loaded.adopted) {
		detach_others(dir, &now, &before);
		pins_remove(dir);
		rmdir(dir);
	}
	if (r < 0)
		return r;
	detach_others(dir, &before, &now);
	*ret = loaded;
	return 0;
}

int relay_unload(const char *bpffs_dir, struct err *err)
{
	static const struct relay_layout nothing;
	struct relay_layout before = {0};
	libbpf_set_print(on_libbpf_print);
	int r = check_bpf(bpffs_dir, err);
	if (r < 0)
		return r;
	r = layout_read(bpffs_dir, &before);
	if (r < 0 && r != -ENOENT)
		return err_code(err, r, "reading %s/layout: %s", bpffs_dir, strerror(-r));
	if (r == 0)
		detach_others(bpffs_dir, &before, &nothing);
	pins_remove(bpffs_dir);
	/* a mount point, or the home of other pins too, stays */
	if (rmdir(bpffs_dir) < 0 && errno != ENOENT && errno != EBUSY && errno != ENOTEMPTY)
		return err_code(err, -errno, "removing %s: %s", bpffs_dir, strerror(errno));
	return 0;
}
