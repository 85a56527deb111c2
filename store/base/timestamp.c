/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/timestamp.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <time.h>

#define MODULE "timestamp"
#define NONCE_BYTES 8u

static bool imprint_set(TS_REQ *query, const struct emlfs_hash *hash)
{
    TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
    X509_ALGOR *algorithm = X509_ALGOR_new();
    unsigned char bytes[EMLFS_HASH_BYTES];
    memcpy(bytes, hash->v, sizeof(bytes)); /* TS takes it without const and copies it */
    bool ok = imprint && algorithm &&
              X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1 &&
              TS_MSG_IMPRINT_set_algo(imprint, algorithm) == 1 &&
              TS_MSG_IMPRINT_set_msg(imprint, bytes, (int)sizeof(bytes)) == 1 &&
              TS_REQ_set_msg_imprint(query, imprint) == 1;
    X509_ALGOR_free(algorithm);
    TS_MSG_IMPRINT_free(imprint);
    return ok;
}

static bool nonce_set(TS_REQ *query)
{
    uint8_t random[NONCE_BYTES];
    if (emlfs_random(random, sizeof(random)) < 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(random); i++)
        value = value << 8 | random[i];
    ASN1_INTEGER *nonce = ASN1_INTEGER_new();
    bool ok = nonce && ASN1_INTEGER_set_uint64(nonce, value | 1) == 1 &&
              TS_REQ_set_nonce(query, nonce) == 1;
    ASN1_INTEGER_free(nonce);
    return ok;
}

int emlfs_timestamp_query(const struct emlfs_hash *hash, struct emlfs_buf *out,
                          struct emlfs_err *err)
{
    TS_REQ *query = TS_REQ_new();
    uint8_t *der = NULL;
    int len = -1;
    emlfs_buf_clear(out);
    if (query && TS_REQ_set_version(query, 1) == 1 && imprint_set(query, hash) &&
        nonce_set(query) && TS_REQ_set_cert_req(query, 1) == 1)
        len = i2d_TS_REQ(query, &der);
    int r = len > 0 ? emlfs_buf_append(out, der, (size_t)len) : -ENOMEM;
    OPENSSL_free(der);
    TS_REQ_free(query);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "a query cannot be made") : 0;
}

/* Every certificate of a PEM text. NULL: none, or no memory. */
static X509_STORE *store_make(struct emlfs_span pem)
{
    X509_STORE *store = X509_STORE_new();
    BIO *bio =
        pem.len <= EMLFS_TIMESTAMP_MAX_BYTES ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    unsigned count = 0;
    for (X509 *cert = NULL; store && bio; count++) {
        cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        int ok = cert ? X509_STORE_add_cert(store, cert) : 0;
        X509_free(cert);
        if (ok != 1)
            break;
    }
    BIO_free(bio);
    if (count > 0)
        return store;
    X509_STORE_free(store);
    return NULL;
}

static int token_time(TS_RESP *response, int64_t *ret_time_sec)
{
    TS_TST_INFO *info = TS_RESP_get_tst_info(response);
    const ASN1_GENERALIZEDTIME *when = info ? TS_TST_INFO_get_time(info) : NULL;
    struct tm tm;
    if (!when || ASN1_TIME_to_tm(when, &tm) != 1)
        return -EBADMSG;
    *ret_time_sec = timegm(&tm);
    return 0;
}

/* Takes store over in any case. */
static TS_VERIFY_CTX *context_make(const struct emlfs_timestamp_check *check, X509_STORE *store)
{
    const uint8_t *pos = check->query.data;
    TS_REQ *query = NULL;
    TS_VERIFY_CTX *ctx = TS_VERIFY_CTX_new();
    uint8_t *imprint = OPENSSL_memdup(check->hash.v, EMLFS_HASH_BYTES);
    if (check->query.len > 0 && check->query.len <= EMLFS_TIMESTAMP_MAX_BYTES)
        query = d2i_TS_REQ(NULL, &pos, (long)check->query.len);
    bool ok = ctx && imprint && (query || check->query.len == 0);
    if (ok && query)
        ok = TS_REQ_to_TS_VERIFY_CTX(query, ctx) != NULL;
    TS_REQ_free(query);
    if (!ok) {
        OPENSSL_free(imprint);
        X509_STORE_free(store);
        TS_VERIFY_CTX_free(ctx);
        return NULL;
    }
    unsigned flags = TS_VFY_VERSION | TS_VFY_IMPRINT;
    flags |= check->query.len ? TS_VFY_NONCE : 0;
    flags |= store ? TS_VFY_SIGNATURE : 0;
    TS_VERIFY_CTX_set_flags(ctx, (int)flags);
    (void)TS_VERIFY_CTX_set_imprint(ctx, imprint, (long)EMLFS_HASH_BYTES);
    if (store)
        (void)TS_VERIFY_CTX_set_store(ctx, store);
    return ctx;
}

/* Without a signature to check, OpenSSL does not look at the status either: this does. */
static bool granted(TS_RESP *response)
{
    const ASN1_INTEGER *status = TS_STATUS_INFO_get0_status(TS_RESP_get_status_info(response));
    long value = ASN1_INTEGER_get(status);
    return value == TS_STATUS_GRANTED || value == TS_STATUS_GRANTED_WITH_MODS;
}

static int response_verify(TS_RESP *response, const struct emlfs_timestamp_check *check,
                           int64_t *ret_time_sec, struct emlfs_err *err)
{
    X509_STORE *store = NULL;
    if (!granted(response) || token_time(response, ret_time_sec) < 0)
        return emlfs_err_set(err, EBADMSG, MODULE, "the authority granted no time stamp");
    if (check->ca_pem.len > 0) {
        store = store_make(check->ca_pem);
        if (!store)
            return emlfs_err_set(err, EILSEQ, MODULE, "no trusted certificate can be read");
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)*ret_time_sec);
    }
    TS_VERIFY_CTX *ctx = context_make(check, store);
    if (!ctx)
        return emlfs_err_set(err, ENOMEM, MODULE, "a time stamp cannot be checked");
    int ok = TS_RESP_verify_response(ctx, response);
    TS_VERIFY_CTX_free(ctx);
    return ok == 1 ? 0
                   : emlfs_err_set(err, EBADMSG, MODULE,
                                   "the time stamp is not of this text, or not by a trusted "
                                   "authority");
}

int emlfs_timestamp_verify(struct emlfs_span response, const struct emlfs_timestamp_check *check,
                           int64_t *ret_time_sec, struct emlfs_err *err)
{
    const uint8_t *pos = response.data;
    if (response.len > EMLFS_TIMESTAMP_MAX_BYTES)
        return emlfs_err_set(err, E2BIG, MODULE, "the response is too long");
    TS_RESP *parsed = response.len ? d2i_TS_RESP(NULL, &pos, (long)response.len) : NULL;
    int r = !parsed || pos != response.data + response.len
                ? emlfs_err_set(err, EILSEQ, MODULE, "not a response of a time-stamp authority")
                : response_verify(parsed, check, ret_time_sec, err);
    TS_RESP_free(parsed);
    return r;
}
