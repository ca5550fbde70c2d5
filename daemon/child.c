/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting sortie-net and keeping account of what was asked of it.
 *
 * The program is opened by us and executed by descriptor after the change of user, so that it need not be reachable
 * by path for that user. Descriptors in the child: 3 the channel, 4 the local socket, nothing else of ours.
 */
#include "daemon/child.h"
#include "daemon/channel.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define QUESTIONS_MAX 16 /* asked and not answered yet */
#define CHANNEL_FD    3
#define LOCAL_FD      4

struct question {
	uint64_t id; /* 0: free */
	child_resolved on_resolved;
	child_called on_called;
	void *data;
};

struct child {
	struct channel *channel;
	struct child_handlers handlers;
	struct sandbox_user user;
	pid_t pid;
	bool ready;
	uint64_t last_id;
	struct question questions[QUESTIONS_MAX];
};

static struct question *find_question(struct child *child, uint64_t id)
{
	for (size_t i = 0; i < QUESTIONS_MAX; i++)
		if (child->questions[i].id == id)
			return &child->questions[i];
	return NULL;
}

/* Takes the question out, so that its callback may ask the next one. */
static bool take_question(struct child *child, uint64_t id, struct question *ret)
{
	struct question *question = id ? find_question(child, id) : NULL;

	if (!question)
		return false;
	*ret = *question;
	question->id = 0;
	return true;
}

static void on_message(const struct ipc_message *message, void *data)
{
	struct child *child = data;
	struct question question;

	switch (message->type) {
	case IPC_READY:
		child->ready = true;
		child->handlers.on_ready(child->handlers.data);
		return;
	case IPC_RESOLVED:
		if (take_question(child, message->id, &question) && question.on_resolved)
			question.on_resolved(&message->resolved, question.data);
		return;
	case IPC_CALL_DONE:
		if (take_question(child, message->id, &question) && question.on_called)
			question.on_called(&message->call_done, question.data);
		return;
	case IPC_LOCAL_REQUEST:
		child->handlers.on_local_request(message, child->handlers.data);
		return;
	case IPC_LOCAL_GONE:
		child->handlers.on_local_gone(message->id, child->handlers.data);
		return;
	case IPC_RESOLVE:
	case IPC_CALL:
	case IPC_CALL_CANCEL:
	case IPC_LOCAL_ANSWER:
	case IPC_TYPES:
		break; /* not the child's to say: ipc_frame_length() has refused them */
	}
}

static void on_close(int error, void *data)
{
	struct child *child = data;

	child->ready = false;
	child->handlers.on_gone(error, child->handlers.data);
}

static int open_program(int *ret_fd, struct err *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("sortie-net"));
	char *slash;
	int fd;

	if (n < 0)
		return err_code(err, -errno, "find our own executable: %s", strerror(errno));
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return err_code(err, -ENOENT, "our own executable has no folder");
	memcpy(slash + 1, "sortie-net", sizeof("sortie-net"));
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_code(err, -errno, "%s: %s", path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

/* In the forked child: both descriptors move to their places, and only they survive the exec. */
static _Noreturn void become_net(int program_fd, int channel_fd, int local_fd,
				 const struct sandbox_user *user)
{
	char name[] = "sortie-net";
	char *const argv[] = {name, NULL};
	sigset_t none;
	/* Out of the way first: either may sit on the other's place. */
	int program = fcntl(program_fd, F_DUPFD_CLOEXEC, 10);
	int channel = fcntl(channel_fd, F_DUPFD_CLOEXEC, 10);
	int local = fcntl(local_fd, F_DUPFD_CLOEXEC, 10);

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (program < 0 || channel < 0 || local < 0 || dup2(channel, CHANNEL_FD) < 0 ||
	    dup2(local, LOCAL_FD) < 0 || sandbox_become(user) < 0)
		_exit(126);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
	_exit(127);
}

static int start(struct child *child, int local_fd, int *ret_fd, struct err *err)
{
	_cleanup_(closep) int program = -1, ours = -1, theirs = -1;
	int pair[2];
	int r = open_program(&program, err);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_code(err, -errno, "socketpair: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	child->pid = fork();
	if (child->pid < 0)
		return err_code(err, -errno, "start sortie-net: %s", strerror(errno));
	if (child->pid == 0)
		become_net(program, theirs, local_fd, &child->user);
	*ret_fd = take_fd(&ours);
	return 0;
}

int child_new(sd_event *event, int local_fd, const struct sandbox_user *user,
	      const struct child_handlers *handlers, struct child **ret, struct err *err)
{
	_cleanup_(child_freep) struct child *child = calloc(1, sizeof(*child));
	const struct channel_handlers channel = {
		.on_message = on_message, .on_close = on_close, .data = child};
	_cleanup_(closep) int fd = -1;
	int r;

	if (!child)
		return -ENOMEM;
	child->handlers = *handlers;
	child->user = *user;
	r = start(child, local_fd, &fd, err);
	if (r == 0)
		r = channel_new(event, fd, IPC_FROM_NET, &channel, &child->channel);
	if (r < 0)
		return r;
	(void)take_fd(&fd);
	*ret = take_pointer(child);
	return 0;
}

void child_free(struct child *child)
{
	if (!child)
		return;
	/* It ends when the channel does. */
	channel_free(child->channel);
	if (child->pid > 0)
		(void)waitpid(child->pid, NULL, 0);
	free(child);
}

bool child_is_ready(const struct child *child)
{
	return child->ready;
}

static int ask(struct child *child, struct ipc_message *message, const struct question *template,
	       uint64_t *ret_id)
{
	struct question *question = find_question(child, 0);
	int r;

	if (!question)
		return -EBUSY;
	message->id = ++child->last_id;
	r = channel_send(child->channel, message);
	if (r < 0)
		return r;
	*question = *template;
	question->id = message->id;
	*ret_id = message->id;
	return 0;
}

int child_resolve(struct child *child, const char *host, uint16_t port, child_resolved on_done,
		  void *data, uint64_t *ret_id)
{
	struct ipc_message message = {.type = IPC_RESOLVE, .resolve = {host, port}};
	const struct question question = {.on_resolved = on_done, .data = data};

	return ask(child, &message, &question, ret_id);
}

int child_resolve_text(struct child *child, const char *text, child_resolved on_done, void *data,
		       uint64_t *ret_id)
{
	char host[IPC_HOST_MAX];
	const char *colon = strrchr(text, ':');
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

	if (port == 0 || port > UINT16_MAX || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	return child_resolve(child, host, (uint16_t)port, on_done, data, ret_id);
}

int child_call(struct child *child, const struct ipc_call *call, child_called on_done, void *data,
	       uint64_t *ret_id)
{
	struct ipc_message message = {.type = IPC_CALL, .call = *call};
	const struct question question = {.on_called = on_done, .data = data};

	return ask(child, &message, &question, ret_id);
}

void child_cancel(struct child *child, uint64_t id)
{
	const struct ipc_message message = {.type = IPC_CALL_CANCEL, .id = id};
	struct question question;

	if (take_question(child, id, &question) && question.on_called)
		(void)channel_send(child->channel, &message);
}

int child_answer(struct child *child, uint64_t id, uint32_t status, const char *body, size_t length)
{
	const struct ipc_message message = {
		.type = IPC_LOCAL_ANSWER, .id = id, .local_answer = {status, body, length}};

	return channel_send(child->channel, &message);
}
