/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent of one host: what it is, knows and does, in one struct that the files of this folder share.
 *
 *	UNENROLLED --token--> ENROLLING --answer verified--> ENROLLED --leave--> UNENROLLED
 *	                          |                             |
 *	                          +-- refused, leave -----------+--> UNENROLLED
 *
 * Everything runs in callbacks of one loop; nothing waits but for the kernel and, before the kernel is told, the disk.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "common/clock.h"
#include "common/err.h"
#include "daemon/apply.h"
#include "daemon/child.h"
#include "daemon/choice.h"
#include "daemon/desired.h"
#include "daemon/flowlog.h"
#include "daemon/seen.h"
#include "daemon/state.h"
#include "daemon/unanswered.h"
#include "daemon/uplink.h"
#include "daemon/view.h"
#include "netlink/flows.h"
#include "netlink/nflog.h"

#define AGENT_PENDING_MAX 64

enum agent_phase { AGENT_UNENROLLED, AGENT_ENROLLING, AGENT_ENROLLED };

struct agent_options {
	const char *state, *interface, *join_interface, *socket, *hosts, *group;
	const char *hosts_block; /* a file with a block of ours in it; NULL: none */
	char containers[FIREWALL_IFNAMES_MAX]
		       [IFNAMSIZ]; /* interfaces that they are behind; none: bridges */
	size_t n_containers;
	enum wg_backend backend;
	enum policy_mode mode; /* OBSERVE: not asked for */
	bool plan;	       /* print the plan and end */
	bool remove;	       /* take everything out of the kernel and end */
	bool doctor;	       /* examine and end */
	bool leave;	       /* remove everything and end */
};

/* Resolving the hub's endpoint texts, one after the other. */
struct agent_hubs {
	struct choice choice;
	struct endpoint found[CHOICE_MAX]; /* of the round that runs */
	size_t n_found;
	size_t next; /* text asked for */
	bool running;
	uint64_t question;
};

/* The echo to the hub inside the tunnel. */
struct agent_probe {
	int fd; /* raw ICMPv6, opened before privileges went */
	uint16_t sequence;
	bool waiting; /* for the answer to sequence, or to one shortly before */
	unsigned int misses;
	bool answers;
	uint32_t round_trip_us;
	unsigned int hurry; /* echoes that follow closely */
	sd_event_source *io, *timer;
};

struct agent_sync {
	uint64_t question; /* the call under way; 0: none */
	struct mono asked_at;
	unsigned int failures;
	bool answers; /* the last call succeeded */
	int64_t succeeded_at;
	char problem[256]; /* of the last call; "" */
	sd_event_source *retry, *readd;
	struct id unanswered[API_RENEW_MAX]; /* to be named in the next call */
	size_t n_unanswered;
};

/* The firewall as others may have changed it. */
struct agent_verify {
	struct nl *nl;
	uint32_t generation; /* of the ruleset, as it was when all was well; 0: not known */
	uint32_t before_own;
	struct mono not_before; /* a look at everything costs time */
	sd_event_source *timer;
};

/* What other software's rules were found to drop: beside.c. */
struct agent_beside {
	struct foreign_finding *findings; /* owned */
	size_t n;
	uint32_t generation; /* of the ruleset then; 0: not known, look again */
	const struct desired *of;
	struct mono not_before;
};

/* Peers that were just added and may have missed our first handshake. */
struct agent_contact {
	unsigned int looks; /* still to come */
	sd_event_source *timer;
	struct unanswered *unanswered;
};

struct agent_enroll {
	struct join_token token; /* secret; only while enrolling */
	char *request;		 /* body, byte for byte the same each time */
	struct desired *desired; /* the interface that asks; NULL until it stands */
	uint16_t listen_port;
	bool sent; /* a packet may have reached the hub */
	uint64_t question;
	uint64_t waiter; /* local request that gets the answer; 0: nobody */
	struct mono waiter_until;
	unsigned int failures;
	sd_event_source *timer;
};

struct agent {
	struct agent_options options;
	sd_event *event;
	struct state *state;
	struct kernel *kernel;
	struct child *child;
	uid_t net_uid; /* sortie-net's: the only user that may reach the hub's ports */

	enum agent_phase phase;
	struct signing_key k3; /* secret */
	struct key k4;	       /* secret */
	struct key k4_public;
	struct id id;
	char name[NAME_MAX_TEXT]; /* from our own token statement; "" until enrolled */
	struct join_token pins;	  /* no seed */
	struct trust *trust;
	struct seen *seen;
	struct state_floor floor;
	struct state_local local;
	char *own_ipv4; /* our signed statement; NULL: the network has none */
	struct addr ipv6, ipv4;
	struct view *view;	  /* last good answer, verified; NULL before the first */
	uint8_t cached_hash[32];  /* SHA-256 of its bytes */
	uint16_t listen_port;	  /* WireGuard's, as read back; 0: not known yet */
	struct desired *desired;  /* what the kernel was last told */
	char *guard;		  /* what sortie-guard was last told */
	struct wg_device *device; /* what it last held; NULL: never read */
	bool down;		  /* by `sortie down`, on disk */
	bool converged;		  /* since the interface was made or adopted, once */
	uint64_t applied;	  /* revision that the kernel holds */
	uint64_t repaired;
	char names_problem[256]; /* why the hosts block is not as it should be; "" */
	char trouble[256];	 /* why the kernel does not hold what it should; "" */

	struct agent_hubs hubs;
	struct agent_probe probe;
	struct agent_sync sync;
	struct agent_enroll enroll;
	struct agent_contact contact;
	struct doctor *doctor; /* the examination that runs; NULL: none */
	int doctor_fd;	       /* raw ICMPv6, opened before privileges went */
	struct agent_verify verify;
	struct agent_beside beside;
	struct uplinks uplinks;	 /* as of the last look */
	struct addr path_source; /* what this host sends to the hub from; unset: nothing yet */
	struct flowlog *flowlog;
	struct nflog *nflog;
	struct link_events *link_events;
	sd_event_source *nflog_source, *link_source, *tick, *soon;

	sd_event_source *confirm_timer; /* daemon/mode.c */
	bool enforce_pending;
	char pending[AGENT_PENDING_MAX][128];
	size_t n_pending;
	unsigned int ticks;   /* seconds, about */
	int64_t clock_offset; /* wall minus boottime, s: a step shows */
	int64_t sleep_offset; /* boottime minus monotonic, us: a suspend shows */
};

/* ---- agent.c: life ---- */
int agent_init(struct agent *agent, const struct agent_options *options, sd_event *event,
	       struct err *err);
void agent_done(struct agent *agent);
/* Reads the state folder and goes on from there; the child and the kernel are open. */
int agent_start(struct agent *agent, struct err *err);
void agent_on_ready(void *agent); /* the child takes messages */
/* Enrolment is on disk: bring the interface up and begin to sync. */
int agent_begin(struct agent *agent, struct err *err);
/*
 * Removes everything of ours, also what a state folder that is half there still names. -EEXIST, and nothing is done,
 * where a table or interface stands that the folder does not know: forced, it goes too.
 */
int agent_leave(struct agent *agent, bool forced, struct err *err);
/* Lowers or raises the interface, for good: on disk first. -ENOENT where this host is not enrolled. */
int agent_set_down(struct agent *agent, bool down, struct err *err);
/* What leave takes out of the kernel, by an agent that does not run: keys and state stay. */
int agent_remove(struct agent *agent, struct err *err);

/* ---- memory.c: what the disk knows of the network, through the same verification as news ---- */
int agent_load_network(struct agent *agent, struct err *err);
/* A sync answer: verified, on disk, then current. -ESTALE and the like leave what was. */
int agent_accept(struct agent *agent, const char *answer, size_t length, struct err *err);
/* Our own tombstone, by itself: verified, and held also where it cannot be written. */
int agent_accept_tombstone(struct agent *agent, const char *text, size_t length, struct err *err);
/* For ever: nobody is reachable, and the hub does not speak with us. */
bool agent_revoked(const struct agent *agent);
void agent_forget_network(struct agent *agent);

/* ---- converge.c: desired, actual, plan, apply ---- */
int agent_converge(struct agent *agent, struct err *err);
void agent_converge_soon(struct agent *agent); /* coalesces */
int agent_print_plan(struct agent *agent, struct err *err);
/* The same for a program: how many steps there would be, the first one's text; agent->desired is what they lead to. */
int agent_look(struct agent *agent, size_t *ret_steps, char first[160], struct err *err);
bool agent_clock_sane(const struct agent *agent);
enum policy_mode agent_mode(const struct agent *agent);
int agent_watch(struct agent *agent, struct err *err); /* kernel events, denies, the slow clock */

/* ---- verify.c: is the firewall still what was applied? ---- */
int verify_start(struct agent *agent, struct err *err);
void verify_now_and_then(struct agent *agent); /* each tick */
uint32_t verify_generation(
	struct agent *agent); /* how often anybody changed the ruleset; 0: not known */
/* Around a change of our own. */
void verify_before_own(struct agent *agent);
void verify_after_own(struct agent *agent);
void verify_done(struct agent *agent);

/* ---- hubs.c ---- */
void hubs_resolve(struct agent *agent); /* asks for all; agent_on_hubs() when done */
/* Until that is done: this one first, then those that a former run has left in guard.txt. */
void hubs_adopt(struct agent *agent, const struct endpoint *first);
void hubs_load(struct agent *agent);	 /* where the hub answered before this start */
void hubs_next(struct agent *agent);	 /* it does not: choice.at is the next to be tried */
void hubs_answered(struct agent *agent); /* it does: everybody moves there, and the disk knows */
void hubs_done(struct agent *agent);
/* "HOST:PORT" as signed or as the token says; NULL behind the last. */
const char *hubs_text(const struct agent *agent, size_t index);
void agent_on_hubs(struct agent *agent, bool found);

/* ---- probe.c ---- */
int probe_open(struct agent *agent, struct err *err); /* needs CAP_NET_RAW */
void probe_start(struct agent *agent);
void probe_stop(struct agent *agent);
/*
 * Some echoes in quick succession, now: the hub takes a new place for ours after a second look at data from there, and
 * looks four times a second while it doubts.
 */
void probe_hurry(struct agent *agent);
/* The session with the hub is as good as lost: a new one, now. */
void probe_renew(struct agent *agent);
void probe_done(struct agent *agent);

/* ---- contact.c: first handshakes with new peers ---- */
void contact_watch(struct agent *agent); /* peers were added */
void contact_stop(struct agent *agent);
/* Begins sessions anew, from here, with the peers (the hub aside) that device had one with. */
void contact_renew(struct agent *agent, const struct wg_device *device);
void contact_look(struct agent *agent); /* every ten seconds: whom to ask for help with */
/* Those who ask us for a new session. */
void contact_renew_asked(struct agent *agent, const struct id *ids, size_t n);
/* Pure: desired peers, the hub aside, that were sent something and have no session yet; at most max. */
size_t contact_unanswered(const struct wg_device *desired, const struct wg_device *actual,
			  const struct key *hub, const struct wg_peer **ret, size_t max);

/* ---- path.c: has this host moved? ---- */
void path_check(struct agent *agent);
bool path_exists(const struct endpoint *hub); /* something could be sent there */

/* ---- sync.c ---- */
void sync_start(struct agent *agent); /* asks now; what is under way is dropped */
void sync_stop(struct agent *agent);

/* ---- enroll.c ---- */
/* A token from the local socket: 0 and an answer later, or -errno with problem code and sentence at once. */
int enroll_begin(struct agent *agent, const char *token, uint64_t waiter, const char **ret_code,
		 struct err *err);
int enroll_resume(struct agent *agent, struct err *err);
void enroll_on_hubs(struct agent *agent, bool found);
void enroll_forget_waiter(struct agent *agent, uint64_t id);
void enroll_done(struct agent *agent);

/* ---- enroll_check.c ---- */
/* Without a packet and without a change; *ret_code is the problem's. */
int enroll_check(struct agent *agent, const struct join_token *token, const char **ret_code,
		 struct err *err);

/* ---- enroll_request.c ---- */
/* Makes keys and request in memory; -errno leaves nothing on disk. */
int enroll_make_request(struct agent *agent, const struct join_token *token, struct err *err);
/* Writes both, the token last: it is what says that the rest is complete. */
int enroll_store_request(struct agent *agent, const struct join_token *token, struct err *err);

/* ---- underlay.c: may the underlay be locked? ---- */
bool underlay_examine(struct agent *agent, const struct desired *desired);
/* A lock forbids conntrack to pick up connections: before the first one, what stood there, and back when there is none. */
void underlay_remember_pickup(struct agent *agent);
void underlay_restore_pickup(struct agent *agent);

/* ---- local.c: the local socket ---- */
void local_request(const struct ipc_message *message, void *agent);
void local_gone(uint64_t id, void *agent);
void local_answer_problem(struct agent *agent, uint64_t id, const char *code, const char *detail);
void local_answer_enrolled(struct agent *agent, uint64_t id);
void local_on_flow(struct agent *agent); /* a new record: long polls */
void local_done(struct agent *agent);
