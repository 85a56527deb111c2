/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ledger_test.h"

#include <stdatomic.h>
#include <time.h>

#include "emlfs/base/timestamp.h"

static void test_append_and_read(void **state)
{
    struct scene *scene = *state;
    uint64_t size = 0;
    for (size_t count = 1; size < 3000; size += count, count = count * 2 % 700 + 1)
        assert_int_equal(records_append(scene->ledger, size, count), 0);
    assert_int_equal(emlfs_ledger_size(scene->ledger), size);
    assert_records(scene->ledger, size);
    scene_reopen(scene);
    assert_records(scene->ledger, size);
    assert_int_equal(records_append(scene->ledger, size, 10), 0);
    scene_reopen(scene);
    assert_records(scene->ledger, size + 10);
    assert_int_equal(findings_count(scene, true), 0);
}

static int record_count(void *arg, const struct emlfs_ledger_record *record)
{
    (void)record;
    ++*(uint64_t *)arg;
    return 0;
}

static uint64_t filtered(struct scene *scene, const struct emlfs_ledger_filter *filter)
{
    uint64_t count = 0;
    assert_int_equal(emlfs_ledger_each(scene->ledger, filter, record_count, &count, NULL), 0);
    return count;
}

static int record_stop(void *arg, const struct emlfs_ledger_record *record)
{
    (void)arg;
    return record->sequence == 5 ? 42 : 0;
}

static void test_filters(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(records_append(scene->ledger, 0, 1000), 0);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){0}), 1000);
    assert_int_equal(
        filtered(scene, &(struct emlfs_ledger_filter){.kind = EMLFS_LEDGER_MESSAGE_MOVED}), 250);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.failed_only = true}), 100);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.message = {77}}), 1);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.first = 990}), 10);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.first = 10, .last = 19}), 10);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.user = {5}}), 200);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.to_ns = 1}), 0);
    assert_int_equal(filtered(scene, &(struct emlfs_ledger_filter){.from_ns = 1}), 1000);
    assert_int_equal(
        emlfs_ledger_each(scene->ledger, &(struct emlfs_ledger_filter){0}, record_stop, NULL, NULL),
        42);
}

static void test_refused(void **state)
{
    struct scene *scene = *state;
    struct emlfs_ledger_record records[3] = {record_make(0), record_make(1), record_make(2)};
    struct emlfs_err err = {0};
    records[2].name = emlfs_span_str("line\nbreak");
    assert_int_equal(emlfs_ledger_append(scene->ledger, records, 3, NULL, &err), -EINVAL);
    assert_int_equal(err.code, EINVAL);
    assert_int_equal(emlfs_ledger_append(scene->ledger, records, 0, NULL, NULL), -EINVAL);
    assert_int_equal(emlfs_ledger_size(scene->ledger), 0);
    assert_int_equal(records_append(scene->ledger, 0, 5), 0); /* nothing of it was left over */
    assert_records(scene->ledger, 5);
    assert_int_equal(emlfs_ledger_create(&scene->config, NULL), -EEXIST);
    scene_close(scene);
    scene->config.flags = EMLFS_LEDGER_READ_ONLY;
    scene_reopen(scene);
    assert_records(scene->ledger, 5);
    assert_int_equal(records_append(scene->ledger, 5, 1), -EROFS);
    scene_close(scene);
    scene->config.flags = 0;
    scene->config.master.v[0] ^= 1;
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
}

/* Whatever a text is, a record takes what becomes of it. */
static void test_detail(void **state)
{
    static const struct {
        const char *from, *to;
    } texts[] = {
        {"", ""},
        {"subject:caf\xc3\xa9", "subject:caf\xc3\xa9"},
        {"a\nb\x7f", "a\\x0ab\\x7f"},
        {"\xc2\x85", "\\xc2\\x85"},
        {"a\xff\xc3", "a\\xff\\xc3"},
    };
    uint8_t detail[EMLFS_LEDGER_DETAIL_MAX_BYTES];
    char text[2048];

    (void)state;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(emlfs_span_equal(emlfs_ledger_detail(emlfs_span_str(texts[i].from), detail),
                                     emlfs_span_str(texts[i].to)));
    /* Cut between characters, and between what stands for a byte. */
    memset(text, 'a', sizeof(text));
    memcpy(text + 1023, "\xc3\xa9", 2);
    assert_int_equal(emlfs_ledger_detail(emlfs_span_of(text, sizeof(text)), detail).len, 1023);
    memset(text, '\n', sizeof(text));
    text[0] = 'a';
    assert_int_equal(emlfs_ledger_detail(emlfs_span_of(text, sizeof(text)), detail).len, 1021);
}

static void test_too_much_at_once(void **state)
{
    struct scene *scene = *state;
    static uint8_t data[EMLFS_LEDGER_DATA_MAX_BYTES];
    enum { COUNT = 1100 };
    struct emlfs_ledger_record *records = calloc(COUNT, sizeof(*records));
    assert_non_null(records);
    for (size_t i = 0; i < COUNT; i++) {
        records[i] = record_make(i);
        records[i].data = emlfs_span_of(data, sizeof(data));
    }
    assert_int_equal(emlfs_ledger_append(scene->ledger, records, COUNT, NULL, NULL), -E2BIG);
    assert_int_equal(emlfs_ledger_append(scene->ledger, records, 1000, NULL, NULL), 0);
    assert_records(scene->ledger, 1000);
    free(records);
}

/* More than two segments, and proofs across them. */
static void test_segments(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    uint64_t size = 0;
    while (size < 2 * SEGMENT_RECORDS + 5000) {
        assert_int_equal(records_append(scene->ledger, size, 20000), 0);
        size += 20000;
    }
    assert_records(scene->ledger, size);
    scene_reopen(scene);
    for (uint64_t n = 0; n < size; n += 9973)
        assert_int_equal(emlfs_ledger_prove(scene->ledger, n, &text, NULL), 0);
    for (uint64_t n = 1; n < size; n += 9973)
        assert_int_equal(emlfs_ledger_prove_consistency(scene->ledger, n, &text, NULL), 0);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
}

struct writer {
    struct emlfs_ledger *ledger;
    pthread_t thread;
    unsigned count;
    unsigned failed;
};

static void *writer_run(void *arg)
{
    struct writer *writer = arg;
    for (unsigned i = 0; i < writer->count; i++) {
        struct emlfs_ledger_record record = record_make(i);
        uint64_t sequence = UINT64_MAX;
        if (emlfs_ledger_append(writer->ledger, &record, 1, &sequence, NULL) < 0 ||
            sequence >= emlfs_ledger_size(writer->ledger))
            writer->failed++;
        if (i % 50 == 0) {
            struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
            if (emlfs_ledger_prove(writer->ledger, sequence, &text, NULL) < 0)
                writer->failed++;
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct scene *scene = *state;
    struct writer writers[6];
    for (unsigned i = 0; i < 6; i++) {
        writers[i] = (struct writer){.ledger = scene->ledger, .count = 150};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].failed, 0);
    }
    assert_int_equal(emlfs_ledger_size(scene->ledger), 900);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
}

static struct emlfs_sign_key *public_key(struct scene *scene)
{
    struct emlfs_buf pem EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_sign_key *key = NULL;
    assert_int_equal(emlfs_ledger_checkpoint_pem(scene->ledger, &pem), 0);
    assert_int_equal(emlfs_sign_key_from_pem(emlfs_buf_view(&pem), &key), 0);
    return key;
}

/* A proof of today holds after 10,000 further records, and not for another record. */
static void test_proof_lasts(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    struct emlfs_buf later EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    struct emlfs_proof proof = EMLFS_PROOF_INIT;
    struct emlfs_proof link = EMLFS_PROOF_INIT;
    struct emlfs_ledger_record record;
    assert_int_equal(records_append(scene->ledger, 0, 500), 0);
    assert_int_equal(emlfs_ledger_prove(scene->ledger, 123, &text, NULL), 0);
    assert_int_equal(records_append(scene->ledger, 500, 10000), 0);
    assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &later, NULL), 0);
    struct emlfs_sign_key *key = public_key(scene);
    assert_int_equal(emlfs_proof_parse(emlfs_buf_view(&text), &proof), 0);
    assert_int_equal(emlfs_proof_check(&proof, key, &record, NULL), 0);
    assert_int_equal(record.message.v, 124);
    assert_int_equal(emlfs_ledger_prove_consistency(scene->ledger, 500, &later, NULL), 0);
    assert_int_equal(emlfs_proof_parse(emlfs_buf_view(&later), &link), 0);
    assert_int_equal(emlfs_proof_check(&link, key, NULL, NULL), 0);
    assert_int_equal(link.checkpoint.head.size, 10500);
    assert_memory_equal(&link.older.root, &proof.checkpoint.head.root, EMLFS_HASH_BYTES);
    proof.record.data[proof.record.len - 40] ^= 1;
    assert_int_equal(emlfs_proof_check(&proof, key, &record, NULL), -EBADMSG);
    emlfs_proof_free(&proof);
    emlfs_proof_free(&link);
    emlfs_sign_key_free(key);
}

/* No byte of a proof can be changed. */
static void test_proof_every_byte(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    assert_int_equal(records_append(scene->ledger, 0, 300), 0);
    struct emlfs_sign_key *key = public_key(scene);
    for (unsigned type = 0; type < 2; type++) {
        assert_int_equal(type ? emlfs_ledger_prove_consistency(scene->ledger, 77, &text, NULL)
                              : emlfs_ledger_prove(scene->ledger, 200, &text, NULL),
                         0);
        for (size_t i = 0; i < text.len; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                struct emlfs_proof proof = EMLFS_PROOF_INIT;
                text.data[i] ^= (uint8_t)(1u << bit);
                if (emlfs_proof_parse(emlfs_buf_view(&text), &proof) == 0)
                    assert_true(emlfs_proof_check(&proof, key, NULL, NULL) < 0);
                emlfs_proof_free(&proof);
                text.data[i] ^= (uint8_t)(1u << bit);
            }
    }
    emlfs_sign_key_free(key);
}

static void test_checkpoints(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint checkpoint;
    struct emlfs_hash root;
    assert_int_equal(emlfs_ledger_checkpoint_text(scene->ledger, 0, &text, NULL), -ENOENT);
    for (uint64_t n = 1; n <= 5; n++) {
        assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
        assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &again, NULL), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&text), emlfs_buf_view(&again)));
        assert_int_equal(emlfs_checkpoint_parse(emlfs_buf_view(&text), &checkpoint), 0);
        assert_int_equal(checkpoint.number, n);
        assert_int_equal(emlfs_ledger_root(scene->ledger, (n - 1) * 100, &root, NULL), 0);
        assert_memory_equal(&root, &checkpoint.head.root, sizeof(root));
        assert_int_equal(records_append(scene->ledger, (n - 1) * 100, 100), 0);
        if (n % 2)
            scene_reopen(scene);
    }
    assert_int_equal(emlfs_ledger_checkpoint_text(scene->ledger, 3, &text, NULL), 0);
    assert_int_equal(emlfs_checkpoint_parse(emlfs_buf_view(&text), &checkpoint), 0);
    assert_int_equal(checkpoint.head.size, 200);
    scene_close(scene);
    struct emlfs_ledger_findings findings = {.finding = finding_print, .arg = &findings};
    assert_int_equal(emlfs_ledger_verify(&scene->config, &findings, NULL, NULL), 0);
    assert_int_equal(findings.count, 0);
    assert_int_equal(findings.checkpoints, 5);
    assert_int_equal(findings.records, 500);
}

/* A checkpoint of everything stands at the end, and another close adds none. */
static void test_signed_close(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_ledger_opened opened;
    struct emlfs_checkpoint checkpoint;
    assert_int_equal(records_append(scene->ledger, 0, 10), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(emlfs_ledger_close_signed(scene->ledger, NULL), 0);
        scene->ledger = NULL;
        assert_int_equal(emlfs_ledger_closed(&scene->config), 0);
        assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, &opened, NULL), 0);
        assert_true(opened.in_order);
        assert_int_equal(emlfs_ledger_checkpoint_text(scene->ledger, 0, &text, NULL), 0);
        assert_int_equal(emlfs_checkpoint_parse(emlfs_buf_view(&text), &checkpoint), 0);
        assert_int_equal(checkpoint.number, 1);
        assert_int_equal(checkpoint.head.size, 10);
    }
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
}

struct prover {
    pthread_t thread;
    struct emlfs_ledger *ledger;
    atomic_bool stop;
    uint64_t made;
};

static void *prover_run(void *arg)
{
    struct prover *prover = arg;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    for (uint64_t n = 0; !atomic_load(&prover->stop); n++) {
        if (records_append(prover->ledger, n, 1) < 0 ||
            emlfs_ledger_prove(prover->ledger, n, &text, NULL) < 0)
            break;
        prover->made++;
    }
    return NULL;
}

/* Paused beside a thread that appends and proves, the files are whole, and can be asked. */
static void test_pause(void **state)
{
    struct scene *scene = *state;
    struct prover prover = {.ledger = scene->ledger};
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    assert_int_equal(pthread_create(&prover.thread, NULL, prover_run, &prover), 0);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(emlfs_ledger_pause(scene->ledger), 0);
        uint64_t size = emlfs_ledger_size(scene->ledger);
        int shown = emlfs_ledger_checkpoint_text(scene->ledger, 0, &text, NULL);
        assert_true(shown == 0 || shown == -ENOENT);
        assert_int_equal(findings_count(scene, true), 0);
        assert_records(scene->ledger, size);
        emlfs_ledger_resume(scene->ledger);
        usleep(i % 4 * 500);
    }
    atomic_store(&prover.stop, true);
    pthread_join(prover.thread, NULL);
    assert_true(prover.made > 0);
    assert_int_equal(emlfs_ledger_size(scene->ledger), prover.made);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
}

/* A checkpoint's body and signature, taken apart as FORMAT.md says, satisfy openssl. */
static void test_checkpoint_with_openssl(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_buf pem EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_buf line EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    assert_int_equal(records_append(scene->ledger, 0, 10), 0);
    assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    assert_int_equal(emlfs_ledger_checkpoint_pem(scene->ledger, &pem), 0);
    const uint8_t *blank = memmem(text.data, text.len, "\n\n", 2);
    const uint8_t *last = memrchr(text.data, ' ', text.len);
    assert_int_equal(ledger_text64_decode(
                         emlfs_span_of(last + 1, (size_t)(text.data + text.len - last - 2)), &line),
                     0);
    assert_int_equal(chdir(scene->root), 0);
    file_write("body", emlfs_span_of(text.data, (size_t)(blank + 1 - text.data)));
    file_write("sig", emlfs_span_of(line.data + 4, line.len - 4));
    file_write("key.pem", emlfs_buf_view(&pem));
    assert_int_equal(RUN("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin",
                         "-in", "body", "-sigfile", "sig"),
                     0);
    text.data[0] ^= 1;
    file_write("body", emlfs_span_of(text.data, (size_t)(blank + 1 - text.data)));
    assert_int_not_equal(RUN("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem",
                             "-rawin", "-in", "body", "-sigfile", "sig"),
                         0);
}

static void test_export_with_openssl(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf signature EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_MAX_BYTES);
    struct emlfs_buf pem EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_span mail = emlfs_span_str("Subject: signed\r\n\r\nText\r\n");
    struct emlfs_hash hash;
    scene_reopen(scene); /* the key is the same after opening */
    assert_int_equal(emlfs_sha256(mail, &hash), 0);
    assert_int_equal(emlfs_ledger_export_sign(scene->ledger, &hash, &signature, NULL), 0);
    assert_int_equal(emlfs_ledger_export_pem(scene->ledger, &pem), 0);
    assert_int_equal(chdir(scene->root), 0);
    file_write("NAME.eml", mail);
    file_write("NAME.eml.sig", emlfs_buf_view(&signature));
    file_write("publickey.pem", emlfs_buf_view(&pem));
    assert_int_equal(RUN("openssl", "dgst", "-sha256", "-verify", "publickey.pem", "-signature",
                         "NAME.eml.sig", "NAME.eml"),
                     0);
    file_write("NAME.eml", emlfs_span_str("Subject: signed\r\n\r\nTexT\r\n"));
    assert_int_not_equal(RUN("openssl", "dgst", "-sha256", "-verify", "publickey.pem", "-signature",
                             "NAME.eml.sig", "NAME.eml"),
                         0);
}

static const char authority_config[] = "[ca]\n"
                                       "basicConstraints = critical,CA:true\n"
                                       "[tsa]\n"
                                       "extendedKeyUsage = critical,timeStamping\n"
                                       "[req]\n"
                                       "distinguished_name = dn\n"
                                       "[dn]\n"
                                       "[tsa_config]\n"
                                       "serial = serial\n"
                                       "signer_cert = tsa.pem\n"
                                       "signer_key = tsa.key\n"
                                       "signer_digest = sha256\n"
                                       "default_policy = 1.2.3.4.1\n"
                                       "digests = sha256\n"
                                       "ess_cert_id_alg = sha256\n";

/* A test authority: a root and a certificate that may stamp. */
static void authority_make(void)
{
    file_write("ts.cnf", emlfs_span_str(authority_config));
    file_write("serial", emlfs_span_str("01\n"));
    assert_int_equal(RUN("openssl", "req", "-new", "-x509", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                         "-subj", "/CN=Test root", "-days", "30", "-config", "ts.cnf",
                         "-extensions", "ca"),
                     0);
    assert_int_equal(RUN("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.key", "-out",
                         "tsa.csr", "-subj", "/CN=Test TSA", "-config", "ts.cnf"),
                     0);
    assert_int_equal(RUN("openssl", "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey",
                         "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ts.cnf",
                         "-extensions", "tsa", "-out", "tsa.pem"),
                     0);
}

static void file_take(const char *path, struct emlfs_buf *out)
{
    *out = EMLFS_BUF_INIT(EMLFS_TIMESTAMP_MAX_BYTES);
    assert_int_equal(emlfs_os_read_file(path, out), 0);
}

static void stamp_make(struct scene *scene, uint64_t number, const char *out)
{
    struct emlfs_buf query EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_TIMESTAMP_MAX_BYTES);
    assert_int_equal(emlfs_ledger_timestamp_query(scene->ledger, number, &query, NULL), 0);
    file_write("query.tsq", emlfs_buf_view(&query));
    assert_int_equal(RUN("openssl", "ts", "-reply", "-config", "ts.cnf", "-section", "tsa_config",
                         "-queryfile", "query.tsq", "-out", (char *)(uintptr_t)out),
                     0);
}

static void test_timestamp(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_buf reply EMLFS_BUF_CLEANUP;
    struct emlfs_buf query EMLFS_BUF_CLEANUP;
    struct emlfs_buf ca EMLFS_BUF_CLEANUP;
    struct emlfs_buf tsa EMLFS_BUF_CLEANUP;
    struct emlfs_timestamp_check check = {0};
    int64_t when = 0;
    assert_int_equal(chdir(scene->root), 0);
    authority_make();
    assert_int_equal(records_append(scene->ledger, 0, 10), 0);
    assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    stamp_make(scene, 0, "reply.tsr");
    file_take("reply.tsr", &reply);
    file_take("query.tsq", &query);
    file_take("ca.pem", &ca);
    file_take("tsa.key", &tsa);
    /* checked here, against its query */
    assert_int_equal(emlfs_sha256(emlfs_buf_view(&text), &check.hash), 0);
    check.query = emlfs_buf_view(&query);
    check.ca_pem = emlfs_buf_view(&ca);
    assert_int_equal(emlfs_timestamp_verify(emlfs_buf_view(&reply), &check, &when, NULL), 0);
    assert_in_range(when, time(NULL) - 100, time(NULL) + 100);
    /* by openssl itself, from the text alone */
    file_write("note", emlfs_buf_view(&text));
    assert_int_equal(
        RUN("openssl", "ts", "-verify", "-data", "note", "-in", "reply.tsr", "-CAfile", "ca.pem"),
        0);
    check.hash.v[0] ^= 1;
    assert_int_equal(emlfs_timestamp_verify(emlfs_buf_view(&reply), &check, &when, NULL), -EBADMSG);
    check.hash.v[0] ^= 1;
    check.ca_pem = emlfs_buf_view(&tsa); /* no certificate at all */
    assert_int_equal(emlfs_timestamp_verify(emlfs_buf_view(&reply), &check, &when, NULL), -EILSEQ);
    check.ca_pem = emlfs_buf_view(&ca);
    stamp_make(scene, 0, "other.tsr"); /* another nonce */
    emlfs_buf_free(&tsa);
    file_take("other.tsr", &tsa);
    assert_int_equal(emlfs_timestamp_verify(emlfs_buf_view(&tsa), &check, &when, NULL), -EBADMSG);
    /* kept */
    struct emlfs_span root = emlfs_buf_view(&ca);
    assert_int_equal(
        emlfs_ledger_timestamp_add(scene->ledger, 0, emlfs_buf_view(&reply), root, NULL), 0);
    assert_int_equal(emlfs_ledger_timestamp_add(scene->ledger, 1, emlfs_buf_view(&tsa), root, NULL),
                     -EEXIST);
    reply.data[reply.len - 1] ^= 1;
    assert_int_equal(emlfs_timestamp_verify(emlfs_buf_view(&reply), &check, &when, NULL), -EBADMSG);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
    file_write("ledger/timestamps/00000001.tsr", emlfs_buf_view(&reply));
    assert_int_equal(findings_count(scene, false), 1);
}

/* Nothing of a record's words lies on the disk, and no digest. */
static void test_sealed_at_rest(void **state)
{
    struct scene *scene = *state;
    char path[LEDGER_PATH_MAX_BYTES];
    assert_int_equal(records_append(scene->ledger, 0, 200), 0);
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    static const char *const names[] = {"records/00000001.log", "tiles/0", "mark", "keys",
                                        "checkpoints"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1 << 20);
        assert_int_equal(ledger_path(scene->dir, names[i], path), 0);
        assert_int_equal(emlfs_os_read_file(path, &file), 0);
        assert_true(file.len > 0);
        assert_null(memmem(file.data, file.len, SECRET_WORD, strlen(SECRET_WORD)));
        assert_null(memmem(file.data, file.len, "PRIVATE", 7));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(test_append_and_read),
        IN_SCENE(test_filters),
        IN_SCENE(test_refused),
        cmocka_unit_test(test_detail),
        IN_SCENE(test_too_much_at_once),
        IN_SCENE(test_segments),
        IN_SCENE(test_threads),
        IN_SCENE(test_proof_lasts),
        IN_SCENE(test_proof_every_byte),
        IN_SCENE(test_checkpoints),
        IN_SCENE(test_signed_close),
        IN_SCENE(test_pause),
        IN_SCENE(test_checkpoint_with_openssl),
        IN_SCENE(test_export_with_openssl),
        IN_SCENE(test_timestamp),
        IN_SCENE(test_sealed_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
