/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Envelopes: what exactly is signed, strict Ed25519, thresholds, key files; and every statement there and back. */
#include "tests/unit/trust_world.h"
#include "common/file.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The example of the DSSE specification, protocol.md. */
#define DSSE_TYPE "http://example.com/HelloWorld"
#define DSSE_PAE  "DSSEv1 29 http://example.com/HelloWorld 11 hello world"

static struct envelope *parse(const char *text)
{
	struct envelope *envelope = NULL;
	struct err err = {0};

	if (envelope_parse(text, strlen(text), NULL, &envelope, &err) < 0)
		fail_msg("%s", err.text);
	return envelope;
}

static struct envelope *sign_hello(const struct signing_key *const *keys, size_t n)
{
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(envelope_sign(DSSE_TYPE, "hello world", 11, keys, n, &text), 0);
	return parse(text);
}

static void test_pae(void **state)
{
	struct signing_key key = make_key(1);
	const struct signing_key *keys[] = {&key};
	_cleanup_(envelope_freep) struct envelope *envelope = sign_hello(keys, 1);

	assert_int_equal(crypto_sign_verify_detached(envelope->signatures[0].signature,
						     (const uint8_t *)DSSE_PAE, strlen(DSSE_PAE),
						     key.public_key.bytes),
			 0);
	assert_string_equal(envelope->type, DSSE_TYPE);
	assert_string_equal(envelope->payload, "hello world");
	assert_int_equal(envelope->payload_length, 11);
	assert_true(envelope_signed_by(envelope, &key.public_key));
}

/* S + L is a second signature to a lax verifier. */
static void test_malleable_signature(void **state)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a,	      0x63,
					  0x12, 0x58, 0xd6, 0x9c, 0xf7,	      0xa2,
					  0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
	struct signing_key key = make_key(1);
	const struct signing_key *keys[] = {&key};
	_cleanup_(envelope_freep) struct envelope *envelope = sign_hello(keys, 1);

	sodium_add(envelope->signatures[0].signature + 32, order, sizeof(order));
	assert_false(envelope_signed_by(envelope, &key.public_key));
}

/* With a key of small order, R = the neutral element and S = 0 verify any message in a lax verifier. */
static void test_small_order_key(void **state)
{
	static const struct key small[] = {{{1}}, {{0}}, {{0xec, [1 ... 30] = 0xff, 0x7f}}};
	struct signing_key key = make_key(1);
	const struct signing_key *keys[] = {&key};
	_cleanup_(envelope_freep) struct envelope *envelope = sign_hello(keys, 1);

	for (size_t i = 0; i < ARRAY_SIZE(small); i++) {
		envelope->signatures[0] =
			(struct envelope_signature){.public_key = small[i], .signature = {1}};
		assert_false(envelope_signed_by(envelope, &small[i]));
	}
}

static void test_count_signers(void **state)
{
	struct signing_key a = make_key(1), b = make_key(2), c = make_key(3);
	const struct signing_key *keys[] = {&a, &b};
	const struct key list[] = {a.public_key, a.public_key, b.public_key, c.public_key};
	_cleanup_(envelope_freep) struct envelope *envelope = sign_hello(keys, 2);

	assert_int_equal(envelope_count_signers(envelope, list, 4), 2);
	assert_int_equal(envelope_count_signers(envelope, list, 2), 1);
	assert_int_equal(envelope_count_signers(envelope, list + 3, 1), 0);
	assert_int_equal(envelope_count_signers(envelope, list, 0), 0);
	/* The same signature in two places of the list of signatures: parsing refuses it, counting does too. */
	envelope->signatures[1] = envelope->signatures[0];
	assert_int_equal(envelope_count_signers(envelope, list, 4), 1);
	/* A good signature under another's name. */
	envelope->signatures[0].public_key = c.public_key;
	envelope->n_signatures = 1;
	assert_int_equal(envelope_count_signers(envelope, list, 4), 0);
}

static void test_add_signature(void **state)
{
	struct signing_key keys[ENVELOPE_SIGNATURES_MAX + 1];
	const struct signing_key *first[] = {&keys[0]};
	struct err err = {0};
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		keys[i] = make_key((uint8_t)(i + 1));
	assert_int_equal(envelope_sign(DSSE_TYPE, "hello world", 11, first, 1, &text), 0);
	for (size_t i = 1; i < ARRAY_SIZE(keys); i++) {
		char *more = NULL;

		assert_int_equal(
			envelope_add_signature(text, strlen(text), &keys[i - 1], &more, &err),
			-EEXIST);
		assert_null(more);
		if (i == ENVELOPE_SIGNATURES_MAX) {
			assert_int_equal(
				envelope_add_signature(text, strlen(text), &keys[i], &more, &err),
				-EINVAL);
			break;
		}
		assert_int_equal(envelope_add_signature(text, strlen(text), &keys[i], &more, &err),
				 0);
		free(text);
		text = more;
	}
	_cleanup_(envelope_freep) struct envelope *envelope = parse(text);
	for (size_t i = 0; i < ENVELOPE_SIGNATURES_MAX; i++)
		assert_true(envelope_signed_by(envelope, &keys[i].public_key));
	free(text);
}

static void test_limits(void **state)
{
	struct signing_key key = make_key(1);
	const struct signing_key *keys[] = {&key, &key, &key, &key, &key, &key, &key, &key, &key};
	_cleanup_(freep) char *big = calloc(1, ENVELOPE_TEXT_MAX + 2);
	struct envelope *envelope = NULL;
	char *text = NULL;
	char type[65];

	memset(type, 't', sizeof(type) - 1);
	type[64] = '\0';
	assert_int_equal(envelope_sign(DSSE_TYPE, big, ENVELOPE_TEXT_MAX, keys, 1, &text), -EFBIG);
	assert_int_equal(envelope_sign(DSSE_TYPE, "", 0, keys, 0, &text), -EINVAL);
	assert_int_equal(envelope_sign(DSSE_TYPE, "", 0, keys, 9, &text), -EINVAL);
	assert_int_equal(envelope_sign("", "", 0, keys, 1, &text), -EINVAL);
	assert_int_equal(envelope_sign(type, "", 0, keys, 1, &text), -EINVAL);
	memset(big, '[', ENVELOPE_TEXT_MAX + 1);
	assert_int_equal(envelope_parse(big, ENVELOPE_TEXT_MAX + 1, NULL, &envelope, NULL),
			 -EINVAL);
	assert_int_equal(envelope_parse(big, ENVELOPE_TEXT_MAX, NULL, &envelope, NULL), -EINVAL);
	/* White space around a text is what editors and shells add. */
	assert_int_equal(envelope_sign(DSSE_TYPE, "", 0, keys, 1, &text), 0);
	(void)snprintf(big, ENVELOPE_TEXT_MAX, "\n %s\r\n", text);
	free(text);
	envelope_free(parse(big));
	assert_null(envelope);
}

static void write_file(const char *path, const char *content, mode_t mode)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0 && fchmod(fd, mode) == 0);
	assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
}

static void test_key_file(void **state)
{
	static const char *const wrong[] = {
		"",
		"sortie-ed25519-seed1 \n",
		"sortie-ed25519-seed1 0101010101010101010101010101010101010101010101010101010101010101",
		"sortie-ed25519-seed2 0101010101010101010101010101010101010101010101010101010101010101\n",
		"sortie-ed25519-seed1 010101010101010101010101010101010101010101010101010101010101010g\n",
		"sortie-ed25519-seed1 0101010101010101010101010101010101010101010101010101010101010101\n\n",
	};
	char path[] = "/tmp/trust-key-XXXXXX", name[64];
	struct signing_key key, read = {0};
	struct err err = {0};
	struct stat st;

	assert_non_null(mkdtemp(path));
	(void)snprintf(name, sizeof(name), "%s/key", path);
	signing_key_generate(&key);
	assert_int_equal(signing_key_save(name, &key), 0);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(signing_key_load(name, &read, &err), 0);
	assert_true(key_equal(&key.seed, &read.seed));
	assert_true(key_equal(&key.public_key, &read.public_key));
	assert_int_equal(chmod(name, 0640), 0);
	assert_int_equal(signing_key_load(name, &read, &err), -EPERM);
	assert_non_null(strstr(err.text, "chmod 600"));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		write_file(name, wrong[i], 0600);
		assert_int_equal(signing_key_load(name, &read, &err), -EINVAL);
	}
	assert_int_equal(unlink(name), 0);
	assert_int_equal(signing_key_load(name, &read, &err), -ENOENT);
	assert_int_equal(rmdir(path), 0);
	signing_key_wipe(&key);
	assert_true(key_is_zero(&key.seed));
}

/* What is read back encodes to the same bytes; a failure leaves the struct as it was. */
static void test_statements(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	for (size_t kind = 0; trust_objects[kind]; kind++) {
		const struct object *object = trust_objects[kind];
		_cleanup_(freep) char *text = world_encode(w, (enum kind)kind, &w->a);
		_cleanup_(freep) char *statement = malloc(object->size);
		_cleanup_(freep) char *again = NULL;
		struct err err = {0};

		memset(statement, 0x55, object->size);
		assert_int_equal(object_decode(object, text, strlen(text) - 1, statement, &err),
				 -EINVAL);
		for (size_t i = 0; i < object->size; i++)
			assert_int_equal(statement[i], 0x55);
		if (object_decode(object, text, strlen(text), statement, &err) < 0)
			fail_msg("%s: %s", object->name, err.text);
		again = object_encode(object, statement);
		assert_string_equal(text, again);
		object_done(object, statement);
	}
}

/* Bytes of the signed texts that exist out there: a change of any of them is a new version of the type. */
static void test_pinned_text(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	_cleanup_(freep) char *lease = lease_encode(&w->a.lease);
	_cleanup_(freep) char *call = call_encode(&w->a.call);

	assert_string_equal(lease,
			    "{\"network\":\"09090909090909090909090909090909\",\"identity\":\""
			    "0ae90e360e0ade84eaf8937fefe729d2d81e21c707f80c55001495421c3dac78\","
			    "\"issued_at\":1799999940,\"not_after\":1800086340}");
	assert_non_null(strstr(call, "\"method\":\"POST\",\"path\":\"/v1/sync\",\"at\":1800000000,"
				     "\"nonce\":\"01020300000000000000000000000000\","
				     "\"payload\":\"{}\"}"));
}

/* docs/objects.md lists each object with each member, in the order of the tables. */
static void test_documented(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;

	assert_int_equal(file_read("docs/objects.md", 1 << 20, &text, &length), 0);
	for (size_t i = 0; trust_objects[i]; i++) {
		char line[128];
		const char *at;

		(void)snprintf(line, sizeof(line), "\n**%s** `%s`\n", trust_objects[i]->name,
			       trust_objects[i]->type);
		at = strstr(text, line);
		if (!at)
			fail_msg("no section%s", line);
		at += strlen(line) + strlen("\n| member | meaning |\n|---|---|");
		for (size_t j = 0; j < trust_objects[i]->n_fields; j++) {
			(void)snprintf(line, sizeof(line), "\n| `%s` | ",
				       trust_objects[i]->fields[j].name);
			if (strncmp(at, line, strlen(line)) != 0)
				fail_msg("%s: expected%s", trust_objects[i]->name, line);
			at = strchr(at + 1, '\n');
		}
		assert_int_equal(at[1], '\n'); /* no member more */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_malleable_signature),
		cmocka_unit_test(test_small_order_key),
		cmocka_unit_test(test_count_signers),
		cmocka_unit_test(test_add_signature),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_key_file),
		cmocka_unit_test(test_statements),
		cmocka_unit_test(test_pinned_text),
		cmocka_unit_test(test_documented),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
