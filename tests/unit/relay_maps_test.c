// SPDX-License-Identifier: GPL-2.0-or-later
/* The life of the pins (loading, adopting, refusing, unloading) and what relay.c writes into the maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include "relay/mac1.h"
#include "tests/unit/relay_bed.h"

#define NOBODY 65534

static bool permitted;

static int each_start(void **unused)
{
	if (permitted)
		assert_true(bed_start_again());
	return 0;
}

static int each_stop(void **unused)
{
	if (permitted)
		bed_stop();
	return 0;
}

static void set_layout(uint32_t version)
{
	uint32_t zero = 0;
	struct relay_layout layout = {.version = version};
	int fd = bpf_obj_get(BED_DIR "/layout");
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, &layout, BPF_ANY), 0);
	close(fd);
}

static void site_up(uint32_t site)
{
	struct key key = bed_key(site);
	struct endpoint endpoint = bed_endpoint(false, site);
	assert_int_equal(relay_site_set(relay, site, &key, NULL, BED_ALWAYS), 0);
	assert_int_equal(relay_site_endpoint(relay, site, &endpoint), 0);
}

static uint32_t owner_of(const struct endpoint *endpoint)
{
	struct relay_endpoint key = {.port = htons(endpoint->port), .family = RELAY_IPV4};
	struct relay_owner owner = {0};
	memcpy(key.address, endpoint->addr.bytes, 4);
	int fd = bpf_obj_get(BED_DIR "/endpoints");
	assert_true(fd >= 0);
	bpf_map_lookup_elem(fd, &key, &owner);
	close(fd);
	return owner.site;
}

static void test_second_load_adopts(void **unused)
{
	struct err err;
	bool adopted = false;
	if (!permitted)
		skip();
	site_up(1);
	assert_int_equal(bed_load(0, &adopted, &err), 0);
	assert_true(adopted);
	struct endpoint endpoint = bed_endpoint(false, 1);
	assert_int_equal(owner_of(&endpoint), 1);
	assert_string_equal(relay_attachment(relay), "tc");
}

static struct relay_path path_of(uint32_t site)
{
	_cleanup_(closep) int fd = bpf_obj_get(BED_DIR "/paths");
	struct relay_path path;
	assert_int_equal(bpf_map_lookup_elem(fd, &site, &path), 0);
	return path;
}

/* Who came by an interface that is not named any more is shown another way; the others keep theirs. */
static void test_interface_gone(void **unused)
{
	struct err err;
	bool adopted;
	if (!permitted)
		skip();
	_cleanup_(closep) int fd = bpf_obj_get(BED_DIR "/paths");
	for (uint32_t site = 1; site <= 2; site++) {
		struct relay_path path = {.local = {.port = htons(BED_PORT), .family = RELAY_IPV6},
					  .interface = site == 1 ? bed_interface : 7777,
					  .confirmed_ns = 1,
					  .hop = {.learnt_ns = 1},
					  .tests_ns = 1,
					  .target_ns = 2};
		site_up(site);
		assert_int_equal(bpf_map_update_elem(fd, &site, &path, BPF_ANY), 0);
	}
	assert_int_equal(bed_load(0, &adopted, &err), 0);
	assert_true(adopted);
	assert_int_equal(path_of(1).interface, bed_interface);
	assert_int_equal(path_of(1).local.family, RELAY_IPV6);
	assert_int_equal(path_of(2).interface, 0);
	assert_int_equal(path_of(2).local.family, RELAY_NO_FAMILY);
	assert_int_equal(path_of(2).confirmed_ns, 0);
	assert_int_equal(path_of(2).hop.learnt_ns, 0);
	assert_int_equal(path_of(2).target_ns, 2);
}

static void assert_keys(uint32_t site, uint32_t key, uint32_t previous)
{
	_cleanup_(closep) int fd = bpf_obj_get(BED_DIR "/sites");
	struct relay_site entry;
	struct relay_mac1 mac1;
	struct key public_key = bed_key(key), previous_key = bed_key(previous);
	assert_int_equal(bpf_map_lookup_elem(fd, &site, &entry), 0);
	assert_int_equal(entry.states, previous ? 2 : 1);
	mac1_state(&public_key, &mac1);
	assert_memory_equal(&entry.mac1[0], &mac1, sizeof(mac1));
	mac1_state(&previous_key, &mac1);
	if (previous)
		assert_memory_equal(&entry.mac1[1], &mac1, sizeof(mac1));
}

/* Whoever begins does not know the previous keys: the maps do. */
static void test_adopted_sites(void **unused)
{
	struct key old = bed_key(1), next = bed_key(11), later = bed_key(21);
	struct endpoint endpoint = bed_endpoint(false, 1);
	if (!permitted)
		skip();
	assert_int_equal(relay_site_adopt(relay, 1, &old, BED_ALWAYS), 0);
	assert_keys(1, 1, 0);
	assert_int_equal(relay_site_endpoint(relay, 1, &endpoint), 0);
	assert_int_equal(relay_site_adopt(relay, 1, &old, BED_ALWAYS), 0);
	assert_keys(1, 1, 0);
	assert_int_equal(relay_site_adopt(relay, 1, &next, BED_ALWAYS), 0);
	assert_keys(1, 11, 1);
	assert_int_equal(relay_site_adopt(relay, 1, &next, BED_ALWAYS), 0);
	assert_keys(1, 11, 1);
	assert_int_equal(relay_site_adopt(relay, 1, &later, BED_ALWAYS), 0);
	assert_keys(1, 21, 11);
	assert_int_equal(owner_of(&endpoint), 1);
	assert_int_equal(relay_site_set(relay, 1, &later, NULL, BED_ALWAYS), 0);
	assert_keys(1, 21, 0);
	assert_int_equal(relay_site_remove(relay, 1), 0);
	assert_int_equal(relay_site_adopt(relay, 1, &next, BED_ALWAYS), 0);
	assert_keys(1, 11, 0);
}

/* The layout of a later version may be longer, and an earlier one may lack maps: neither is read as ours. */
static void test_open_reads_the_version_first(void **unused)
{
	char entry[sizeof(struct relay_layout) * 2] = {RELAY_LAYOUT + 1};
	struct relay *other = NULL;
	uint32_t zero = 0;
	if (!permitted)
		skip();
	_cleanup_(closep) int longer =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "layout", 4, sizeof(entry), 1, NULL);
	assert_true(longer >= 0);
	assert_int_equal(bpf_map_update_elem(longer, &zero, entry, BPF_ANY), 0);
	assert_int_equal(unlink(BED_DIR "/layout"), 0);
	assert_int_equal(bpf_obj_pin(longer, BED_DIR "/layout"), 0);
	assert_int_equal(relay_open(BED_DIR, &other), -EPROTONOSUPPORT);
	assert_int_equal(unlink(BED_DIR "/answers"), 0);
	assert_int_equal(relay_open(BED_DIR, &other), -EPROTONOSUPPORT);
	assert_null(other);
}

/* What stands is said whoever took it off; the interface itself is the namespace tests' affair. */
static void test_check(void **unused)
{
	const char *stands = NULL;
	struct err err = {0};
	if (!permitted)
		skip();
	assert_int_equal(relay_check(relay, &stands, &err), 0);
	assert_string_equal(stands, "tc");
	assert_int_equal(system("tc filter del dev " BED_IF " egress"), 0);
	assert_int_equal(relay_check(relay, &stands, &err), -ENOENT);
	assert_string_equal(stands, "none");
	assert_non_null(strstr(err.text, BED_IF));
	assert_string_equal(relay_attachment(relay), "tc");
}

static void test_other_layout_is_refused(void **unused)
{
	struct err err;
	struct relay *other = NULL;
	bool adopted;
	if (!permitted)
		skip();
	set_layout(RELAY_LAYOUT + 1);
	assert_int_equal(bed_load(0, &adopted, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.text, "--unload"));
	assert_int_equal(relay_open(BED_DIR, &other), -EPROTONOSUPPORT);
	assert_null(other);
	assert_int_equal(access(BED_DIR "/sessions", F_OK), 0); /* untouched */
	assert_int_equal(relay_unload(BED_DIR, &err), 0);
	assert_int_equal(relay_open(BED_DIR, &other), -ENOENT);
	assert_int_equal(bed_load(0, &adopted, &err), 0);
	assert_false(adopted);
}

/* Layout 1 had its interfaces elsewhere. */
static void test_pins_of_layout_1(void **unused)
{
	struct err err;
	bool adopted;
	uint32_t zero = 0, words[sizeof(struct relay_layout) / 4] = {1, 1, bed_interface};
	if (!permitted)
		skip();
	_cleanup_(closep) int fd = bpf_obj_get(BED_DIR "/layout");
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, words, BPF_ANY), 0);
	assert_int_equal(bed_load(0, &adopted, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.text, "layout 1"));
	assert_int_equal(system("tc filter show dev " BED_IF " ingress | grep -q relay_tc"), 0);
	assert_int_equal(relay_unload(BED_DIR, &err), 0);
	assert_int_not_equal(system("tc filter show dev " BED_IF " ingress | grep -q relay_tc"), 0);
	assert_int_equal(bed_load(0, &adopted, &err), 0);
	assert_false(adopted);
}

/* A load that ended before its last step left maps without "layout". */
static void test_leftovers_are_not_adopted(void **unused)
{
	struct err err;
	bool adopted = true;
	if (!permitted)
		skip();
	site_up(1);
	assert_int_equal(unlink(BED_DIR "/layout"), 0);
	assert_int_equal(bed_load(0, &adopted, &err), 0);
	assert_false(adopted);
	struct endpoint endpoint = bed_endpoint(false, 1);
	assert_int_equal(owner_of(&endpoint), 0);
}

static void test_errors_leave_nothing(void **unused)
{
	struct err err = {0};
	struct relay_loaded loaded;
	if (!permitted)
		skip();
	struct relay_load load = {
		.bpffs_dir = BED_BPFFS "/other", .interfaces = {"nosuch0"}, .interface_count = 1};
	assert_int_equal(relay_load(&load, &loaded, &err), -ENODEV);
	assert_non_null(strstr(err.text, "nosuch0"));
	assert_int_equal(access(load.bpffs_dir, F_OK), -1);
	load = (struct relay_load){.bpffs_dir = "/dev/shm/relay-test"};
	assert_int_equal(relay_load(&load, &loaded, &err), -EINVAL);
	assert_non_null(strstr(err.text, "bpf filesystem"));
	assert_int_equal(access(load.bpffs_dir, F_OK), -1);
	load.bpffs_dir = BED_BPFFS "/no/such/folder";
	assert_int_equal(relay_load(&load, &loaded, &err), -ENOENT);
	assert_int_equal(relay_unload(BED_BPFFS "/other", &err), 0);
}

/* The owner writes maps without a capability; nobody else does, and the owner cannot put other maps in their place. */
static int as_user(uid_t uid)
{
	struct relay *mine = NULL;
	struct key key = bed_key(7);
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return 99;
	int r = relay_open(BED_DIR, &mine);
	if (r == 0)
		r = relay_site_set(mine, 7, &key, NULL, BED_ALWAYS);
	if (r == 0)
		r = relay_pair_set(mine, 7, 8, BED_ALWAYS);
	if (r == 0)
		r = relay_site_remove(mine, 7);
	if (r == 0 && unlink(BED_DIR "/pairs") == 0)
		r = -EEXIST;
	relay_close(mine);
	return -r;
}

static int in_child(uid_t uid)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		_exit(as_user(uid));
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_owner(void **unused)
{
	struct err err;
	bool adopted;
	if (!permitted)
		skip();
	assert_int_equal(in_child(NOBODY), EACCES);
	assert_int_equal(relay_unload(BED_DIR, &err), 0);
	assert_int_equal(bed_load(NOBODY, &adopted, &err), 0);
	assert_int_equal(in_child(NOBODY), 0);
	assert_int_equal(in_child(NOBODY - 1), EACCES);
}

static void test_endpoints(void **unused)
{
	if (!permitted)
		skip();
	struct endpoint first = bed_endpoint(false, 1), second = bed_endpoint(false, 2),
			third = bed_endpoint(false, 3);
	struct key key = bed_key(2);
	assert_int_equal(relay_site_endpoint(relay, 1, &first), -ENOENT);
	site_up(1);
	site_up(2);
	assert_int_equal(relay_site_endpoint(relay, 2, &first), -EADDRINUSE);
	assert_int_equal(owner_of(&first), 1);
	assert_int_equal(owner_of(&second), 2);
	/* 1 moves: its old endpoint is free, and 2 may have it */
	assert_int_equal(relay_site_endpoint(relay, 1, &third), 0);
	assert_int_equal(owner_of(&first), 0);
	assert_int_equal(relay_site_endpoint(relay, 2, &first), 0);
	assert_int_equal(owner_of(&first), 2);
	assert_int_equal(owner_of(&second), 0);
	/* an expired site holds nothing; when it moves, the new owner's key stays */
	assert_int_equal(relay_site_set(relay, 2, &key, NULL, (struct mono){.us = 1}), 0);
	assert_int_equal(relay_site_endpoint(relay, 1, &first), 0);
	assert_int_equal(owner_of(&first), 1);
	assert_int_equal(relay_site_endpoint(relay, 2, &second), 0);
	assert_int_equal(owner_of(&first), 1);
	assert_int_equal(relay_site_remove(relay, 2), 0);
	assert_int_equal(owner_of(&first), 1);
	assert_int_equal(owner_of(&second), 0);
}

/* Both forget, then both set: an exchange of endpoints. */
static void test_swap(void **unused)
{
	if (!permitted)
		skip();
	struct endpoint first = bed_endpoint(false, 1), second = bed_endpoint(false, 2);
	site_up(1);
	site_up(2);
	assert_int_equal(relay_site_endpoint(relay, 1, NULL), 0);
	assert_int_equal(relay_site_endpoint(relay, 2, NULL), 0);
	assert_int_equal(relay_site_endpoint(relay, 1, &second), 0);
	assert_int_equal(relay_site_endpoint(relay, 2, &first), 0);
	assert_int_equal(owner_of(&first), 2);
	assert_int_equal(owner_of(&second), 1);
}

static void assert_pairs(uint32_t site, const uint16_t *expected, size_t n_expected)
{
	uint16_t sites[RELAY_CANDIDATES_MAX];
	size_t n = 999;
	assert_int_equal(relay_site_pairs(relay, site, sites, &n), 0);
	assert_int_equal(n, n_expected);
	for (size_t i = 0; i < n_expected; i++) {
		bool found = false;
		for (size_t j = 0; j < n; j++)
			found = found || sites[j] == expected[i];
		assert_true(found);
	}
}

/* What stands is listed on both sides, whether the sites themselves do or not; another process sees the same. */
static void test_site_pairs(void **unused)
{
	static const uint16_t of_1[] = {2, 4096}, of_2[] = {1}, of_4096[] = {1};
	uint16_t sites[RELAY_CANDIDATES_MAX];
	size_t n = 999;
	if (!permitted)
		skip();
	assert_pairs(1, NULL, 0);
	site_up(1);
	assert_int_equal(relay_pair_set(relay, 1, 3, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, RELAY_SITES_MAX, 1, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0); /* renewed, not doubled */
	assert_int_equal(relay_pair_remove(relay, 3, 1), 0);
	relay_close(relay);
	assert_int_equal(relay_open(BED_DIR, &relay), 0);
	assert_pairs(1, of_1, 2);
	assert_pairs(2, of_2, 1);
	assert_pairs(3, NULL, 0);
	assert_pairs(RELAY_SITES_MAX, of_4096, 1);
	assert_int_equal(relay_site_remove(relay, 1), 0);
	assert_pairs(1, NULL, 0);
	assert_pairs(2, NULL, 0);
	assert_int_equal(relay_site_pairs(relay, 0, sites, &n), -EINVAL);
	assert_int_equal(relay_site_pairs(relay, RELAY_SITES_MAX + 1, sites, &n), -EINVAL);
	assert_int_equal(n, 999);
}

static void test_limits(void **unused)
{
	if (!permitted)
		skip();
	struct key key = bed_key(1);
	struct endpoint unset = {0};
	uint64_t packets, bytes;
	assert_int_equal(relay_site_set(relay, 0, &key, NULL, BED_ALWAYS), -EINVAL);
	assert_int_equal(relay_site_set(relay, RELAY_SITES_MAX + 1, &key, NULL, BED_ALWAYS),
			 -EINVAL);
	assert_int_equal(relay_site_set(relay, RELAY_SITES_MAX, &key, NULL, BED_ALWAYS), 0);
	assert_int_equal(relay_site_endpoint(relay, RELAY_SITES_MAX, &unset), -EINVAL);
	assert_int_equal(relay_site_endpoint(relay, 0, &unset), -EINVAL);
	assert_int_equal(relay_site_remove(relay, 0), -EINVAL);
	assert_int_equal(relay_pair_set(relay, 1, 1, BED_ALWAYS), -EINVAL);
	assert_int_equal(relay_pair_set(relay, 0, 1, BED_ALWAYS), -EINVAL);
	assert_int_equal(relay_pair_remove(relay, 1, 2), 0);
	assert_int_equal(relay_set_hub(relay, &key, 0), -EINVAL);
	assert_int_equal(relay_pair_traffic(relay, 1, 2, &packets, &bytes), -ENOENT);
	for (uint32_t i = 0; i < RELAY_CANDIDATES_MAX; i++)
		assert_int_equal(relay_pair_set(relay, 1, 2 + i, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 1, 2000, BED_ALWAYS), -ENOSPC);
	assert_int_equal(relay_pair_traffic(relay, 2000, 1, &packets, &bytes), -ENOENT);
	assert_int_equal(relay_pair_remove(relay, 1, 500), 0);
	assert_int_equal(relay_pair_set(relay, 1, 2000, BED_ALWAYS), 0);
	assert_int_equal(relay_site_remove(relay, 1), 0);
	assert_int_equal(relay_pair_traffic(relay, 2000, 1, &packets, &bytes), -ENOENT);
	assert_int_equal(relay_pair_traffic(relay, 1, 2, &packets, &bytes), -ENOENT);
}

static int group_start(void **unused)
{
	permitted = bed_start();
	if (permitted)
		bed_stop();
	return 0;
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, each_start, each_stop)
	const struct CMUnitTest tests[] = {
		EACH(test_second_load_adopts),
		EACH(test_adopted_sites),
		EACH(test_interface_gone),
		EACH(test_open_reads_the_version_first),
		EACH(test_check),
		EACH(test_other_layout_is_refused),
		EACH(test_pins_of_layout_1),
		EACH(test_leftovers_are_not_adopted),
		EACH(test_errors_leave_nothing),
		EACH(test_owner),
		EACH(test_endpoints),
		EACH(test_swap),
		EACH(test_site_pairs),
		EACH(test_limits),
	};
	return cmocka_run_group_tests(tests, group_start, NULL);
}
