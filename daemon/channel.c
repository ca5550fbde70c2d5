/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes between the two processes. The receive buffer grows to the announced frame and no further (ipc_frame_length()
 * has checked the announcement against the table); the send queue is one buffer with a limit, so a child that stops
 * reading costs bounded memory and is then treated as gone.
 */
#include "daemon/channel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CHUNK	  (16 * 1024)
#define QUEUE_MAX (2 * (IPC_ANSWER_MAX + CHUNK))
#define KEEP_MAX  (64 * 1024) /* buffers larger than this are given back when they are empty */

struct buffer {
	uint8_t *bytes;
	size_t length, size;
};

struct channel {
	sd_event_source *source;
	int fd;
	enum ipc_sender peer;
	struct channel_handlers handlers;
	struct buffer in, out;
	bool closed;
};

static int buffer_reserve(struct buffer *b, size_t more)
{
	size_t size = b->size;
	uint8_t *bytes;

	if (b->length + more <= b->size)
		return 0;
	while (size < b->length + more)
		size = size ? size * 2 : CHUNK;
	bytes = realloc(b->bytes, size);
	if (!bytes)
		return -ENOMEM;
	b->bytes = bytes;
	b->size = size;
	return 0;
}

static void buffer_consume(struct buffer *b, size_t length)
{
	memmove(b->bytes, b->bytes + length, b->length - length);
	b->length -= length;
	if (b->length == 0 && b->size > KEEP_MAX) {
		free(b->bytes);
		*b = (struct buffer){0};
	}
}

static void close_channel(struct channel *channel, int error)
{
	if (channel->closed)
		return;
	channel->closed = true;
	(void)sd_event_source_set_enabled(channel->source, SD_EVENT_OFF);
	channel->handlers.on_close(error, channel->handlers.data);
}

static void want_write(struct channel *channel, bool on)
{
	(void)sd_event_source_set_io_events(channel->source, EPOLLIN | (on ? EPOLLOUT : 0u));
}

static int flush_queue(struct channel *channel)
{
	size_t done = 0;
	int r = 0;

	while (done < channel->out.length) {
		ssize_t n = send(channel->fd, channel->out.bytes + done, channel->out.length - done,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = errno == EAGAIN ? 0 : -errno;
			break;
		}
		done += (size_t)n;
	}
	if (done)
		buffer_consume(&channel->out, done);
	want_write(channel, channel->out.length > 0);
	return r;
}

/* Hands out the whole frames in the buffer; one memmove for all of them. */
static int deliver(struct channel *channel)
{
	size_t at = 0;
	int r = 0;

	while (!channel->closed) {
		struct ipc_message message;
		size_t length = 0;

		r = ipc_frame_length(channel->in.bytes + at, channel->in.length - at, channel->peer,
				     &length);
		if (r < 0 || length == 0)
			break;
		if (channel->in.length - at < length) {
			r = buffer_reserve(&channel->in, length);
			break;
		}
		r = ipc_decode(channel->in.bytes + at, length, &message);
		if (r < 0)
			break;
		channel->handlers.on_message(&message, channel->handlers.data);
		at += length;
	}
	if (at)
		buffer_consume(&channel->in, at);
	return r;
}

static int receive(struct channel *channel)
{
	for (;;) {
		int r = buffer_reserve(&channel->in, CHUNK);
		if (r < 0)
			return r;
		ssize_t n = recv(channel->fd, channel->in.bytes + channel->in.length,
				 channel->in.size - channel->in.length, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -EPIPE;
		channel->in.length += (size_t)n;
		r = deliver(channel);
		if (r < 0)
			return r;
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct channel *channel = data;
	int r = 0;

	if (events & EPOLLOUT)
		r = flush_queue(channel);
	if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = receive(channel);
	if (r < 0)
		close_channel(channel, r == -EPIPE || r == -ECONNRESET ? 0 : r);
	return 0;
}

int channel_send(struct channel *channel, const struct ipc_message *message)
{
	_cleanup_(freep) uint8_t *frame = NULL;
	size_t length;
	int r;

	if (channel->closed)
		return -EPIPE;
	r = ipc_encode(message, &frame, &length);
	if (r < 0)
		return r;
	if (channel->out.length + length > QUEUE_MAX) {
		close_channel(channel, -ENOBUFS);
		return -ENOBUFS;
	}
	r = buffer_reserve(&channel->out, length);
	if (r < 0)
		return r;
	memcpy(channel->out.bytes + channel->out.length, frame, length);
	channel->out.length += length;
	/* A broken pipe is told by on_io(), never from inside a caller's own call. */
	(void)flush_queue(channel);
	want_write(channel, channel->out.length > 0);
	return 0;
}

int channel_new(sd_event *event, int fd, enum ipc_sender peer,
		const struct channel_handlers *handlers, struct channel **ret)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel)
		return -ENOMEM;
	channel->fd = fd;
	channel->peer = peer;
	channel->handlers = *handlers;
	r = sd_event_add_io(event, &channel->source, fd, EPOLLIN, on_io, channel);
	if (r < 0) {
		free(channel);
		return r;
	}
	*ret = channel;
	return 0;
}

void channel_free(struct channel *channel)
{
	if (!channel)
		return;
	sd_event_source_disable_unref(channel->source);
	close(channel->fd);
	free(channel->in.bytes);
	free(channel->out.bytes);
	free(channel);
}
