/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signer's two sides of one SOCK_SEQPACKET pair.
 *
 *	control plane  -- request {type, identity, reason} -->  signer (K2, own uid, no other descriptor)
 *	               <-- answer {error, length, envelope} --
 *
 * The child never returns into the program: it serves until the socket closes.
 */
#include "control-plane/signer.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/file.h"
#include "control-plane/state_path.h"
#include "trust/envelope.h"
#include "trust/statement.h"

enum request_type { REQUEST_LEASE = 1, REQUEST_TOMBSTONE = 2 };

struct request {
	uint32_t type;
	uint8_t identity[32];
	char reason[SIGNER_REASON_MAX];
};

struct answer {
	int32_t error;
	uint32_t length;
	char envelope[SIGNER_ANSWER_MAX];
};

struct signer {
	int fd;
	pid_t pid;
};

/* ---- the signer's process ---- */

struct held {
	struct signing_key key; /* K2 */
	struct network_id network;
};

static char *lease_payload(const struct held *held, const struct request *request)
{
	struct lease_statement lease = {.network = held->network, .issued_at = clock_wall()};

	lease.not_after = lease.issued_at + LEASE_SECONDS;
	memcpy(lease.identity.bytes, request->identity, sizeof(lease.identity.bytes));
	return lease_encode(&lease);
}

static char *tombstone_payload(const struct held *held, const struct request *request)
{
	struct tombstone_statement tombstone = {.network = held->network, .at = clock_wall()};

	memcpy(tombstone.identity.bytes, request->identity, sizeof(tombstone.identity.bytes));
	snprintf(tombstone.reason, sizeof(tombstone.reason), "%.*s", SIGNER_REASON_MAX - 1,
		 request->reason);
	return tombstone_encode(&tombstone);
}

static int sign(const struct held *held, const struct request *request, struct answer *answer)
{
	const struct signing_key *keys[] = {&held->key};
	_cleanup_(freep) char *payload = NULL;
	_cleanup_(freep) char *text = NULL;
	const char *type;
	int r;

	switch ((enum request_type)request->type) {
	case REQUEST_LEASE:
		type = TYPE_LEASE;
		payload = lease_payload(held, request);
		break;
	case REQUEST_TOMBSTONE:
		type = TYPE_TOMBSTONE;
		payload = tombstone_payload(held, request);
		break;
	default:
		return -EINVAL;
	}
	if (!payload)
		return -ENOMEM;
	r = envelope_sign(type, payload, strlen(payload), keys, 1, &text);
	if (r < 0)
		return r;
	if (strlen(text) >= sizeof(answer->envelope))
		return -EMSGSIZE;
	answer->length = (uint32_t)strlen(text);
	memcpy(answer->envelope, text, answer->length);
	return 0;
}

static void serve(int fd, const struct held *held)
{
	struct request request;

	for (;;) {
		struct answer answer = {0};
		ssize_t n = recv(fd, &request, sizeof(request), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the control plane ended */
		if (n != sizeof(request) ||
		    memchr(request.reason, 0, sizeof(request.reason)) == NULL)
			answer.error = -EINVAL;
		else
			answer.error = sign(held, &request, &answer);
		if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
			return;
	}
}

static int read_network(const char *state_dir, struct network_id *ret)
{
	char path[PATH_MAX];
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = state_path(state_dir, SIGNER_NETWORK_FILE, path);

	if (r == 0)
		r = file_read(path, 64, &text, &length);
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return network_id_parse(text, ret);
}

static int load(const char *state_dir, struct held *held, struct err *err)
{
	char path[PATH_MAX];
	int r = read_network(state_dir, &held->network);

	if (r < 0)
		return err_code(err, r, "cannot read %.150s/%s: %s", state_dir, SIGNER_NETWORK_FILE,
				strerror(-r));
	r = state_path(state_dir, SIGNER_KEY_FILE, path);
	return r < 0 ? r : signing_key_load(path, &held->key, err);
}

/* Root gives itself up where the host has a user for it; the key is in memory by then. */
static int drop_privileges(void)
{
	const struct passwd *user;

	if (geteuid() != 0)
		return 0;
	user = getpwnam(SIGNER_USER);
	if (!user)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return -errno;
	return 0;
}

static int harden(int fd)
{
	const struct rlimit none = {0};
	int r;

	/* everything but the socket and stderr, which is where an abort would speak */
	if (dup2(fd, 3) < 0 || close_range(4, ~0U, 0) < 0)
		return -errno;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	r = drop_privileges();
	if (r < 0)
		return r;
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* The first answer says whether the key could be loaded; its text is the error. */
static _Noreturn void child(const char *state_dir, int fd)
{
	struct held held = {0};
	struct answer hello = {0};
	struct err err = {0};

	prctl(PR_SET_NAME, "sortie-sign");
	hello.error = load(state_dir, &held, &err);
	if (hello.error == 0) {
		hello.error = harden(fd);
		fd = 3;
	}
	hello.length = (uint32_t)snprintf(hello.envelope, sizeof(hello.envelope), "%s", err.text);
	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello) && hello.error == 0)
		serve(fd, &held);
	signing_key_wipe(&held.key);
	_exit(hello.error == 0 ? 0 : 1);
}

/* ---- the control plane's side ---- */

static int receive(struct signer *signer, struct answer *answer)
{
	struct pollfd ready = {.fd = signer->fd, .events = POLLIN};
	ssize_t n;
	int r;

	do {
		r = poll(&ready, 1, SIGNER_TIMEOUT_MS);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return -EPIPE; /* it hangs: as good as gone, and a late answer must not be taken for the next */
	n = recv(signer->fd, answer, sizeof(*answer), MSG_DONTWAIT);
	if (n != sizeof(*answer) || answer->length >= sizeof(answer->envelope))
		return -EPIPE;
	answer->envelope[answer->length] = '\0';
	return 0;
}

int signer_start(const char *state_dir, struct signer **ret, struct err *err)
{
	struct signer *signer = calloc(1, sizeof(*signer));
	struct answer hello;
	int pair[2];
	int r;

	if (!signer)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		free(signer);
		return err_code(err, r, "cannot make the signer's socket: %s", strerror(-r));
	}
	signer->fd = pair[0];
	signer->pid = fork();
	if (signer->pid == 0)
		child(state_dir, pair[1]);
	close(pair[1]);
	r = signer->pid < 0 ? -errno : receive(signer, &hello);
	if (r == 0 && hello.error < 0)
		r = err_code(err, hello.error, "%s",
			     hello.length ? hello.envelope : strerror(-hello.error));
	else if (r < 0)
		err_code(err, r, "cannot start the signer: %s", strerror(-r));
	if (r < 0)
		signer_stop(signer);
	else
		*ret = signer;
	return r;
}

void signer_stop(struct signer *signer)
{
	if (!signer)
		return;
	close(signer->fd);
	if (signer->pid > 0)
		while (waitpid(signer->pid, NULL, 0) < 0 && errno == EINTR)
			;
	free(signer);
}

static int call(struct signer *signer, const struct request *request, char **ret_envelope)
{
	struct answer answer;
	char *text;
	int r;

	if (send(signer->fd, request, sizeof(*request), MSG_NOSIGNAL) != sizeof(*request))
		return -EPIPE;
	r = receive(signer, &answer);
	if (r < 0)
		return r;
	if (answer.error < 0)
		return answer.error;
	text = strdup(answer.envelope);
	if (!text)
		return -ENOMEM;
	*ret_envelope = text;
	return 0;
}

int signer_lease(struct signer *signer, const struct id *identity, char **ret_envelope)
{
	struct request request = {.type = REQUEST_LEASE};

	memcpy(request.identity, identity->bytes, sizeof(request.identity));
	return call(signer, &request, ret_envelope);
}

int signer_tombstone(struct signer *signer, const struct id *identity, const char *reason,
		     char **ret_envelope)
{
	struct request request = {.type = REQUEST_TOMBSTONE};

	memcpy(request.identity, identity->bytes, sizeof(request.identity));
	snprintf(request.reason, sizeof(request.reason), "%s", reason);
	return call(signer, &request, ret_envelope);
}
