/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only file that calls GMime: decodes single field values that were bounded before. Values that
 * hold raw 8-bit bytes are made UTF-8 first, so GMime never has to guess a charset for them.
 */
#include <pthread.h>
#include <stdlib.h>

#include <gmime/gmime.h>

#include "emlfs/base/library.h"
#include "facts.h"

#define DATE_MAX_BYTES 200u
#define FILETIME_EPOCH_SEC 11644473600 /* 1601-01-01 to 1970-01-01 */

/* clang-format off */
#define GMIME_CALLS(call) \
    call(g_ascii_strcasecmp) call(g_ascii_strncasecmp) call(g_ascii_tolower) call(g_clear_error) \
    call(g_convert) call(g_date_time_to_unix) call(g_date_time_unref) call(g_free) \
    call(g_malloc) call(g_mime_content_disposition_get_disposition) \
    call(g_mime_content_disposition_get_parameter) call(g_mime_content_disposition_parse) \
    call(g_mime_content_type_get_media_subtype) call(g_mime_content_type_get_media_type) \
    call(g_mime_content_type_get_parameter) call(g_mime_content_type_parse) call(g_mime_init) \
    call(g_mime_utils_header_decode_date) call(g_mime_utils_header_decode_text) \
    call(g_object_unref) call(g_strchomp) call(g_strconcat) call(g_strdup) \
    call(g_type_check_instance_is_a) call(g_utf8_make_valid) call(g_utf8_validate) \
    call(internet_address_get_name) call(internet_address_group_get_members) \
    call(internet_address_list_get_address) call(internet_address_list_length) \
    call(internet_address_list_parse) call(internet_address_mailbox_get_addr) \
    call(internet_address_mailbox_get_type)
/* clang-format on */

struct gmime_calls {
    GMIME_CALLS(EMLFS_LIBRARY_MEMBER)
};

/* Written once, by facts_decode_init. */
static struct gmime_calls gmime;

/* In brackets, because newer headers make macros of some. */
#define GM(name) (gmime.name)

bool facts_decode_init(void)
{
    static const char *const names[] = {GMIME_CALLS(EMLFS_LIBRARY_NAME)};
    static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_GMIME, names, gmime);
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (emlfs_library_load(&library, NULL) < 0)
        return false;
    pthread_once(&once, gmime.g_mime_init);
    return true;
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] >= 0x80)
            return false;
    }
    return true;
}

/* text in the given charset as UTF-8, or NULL. */
static char *converted(const char *text, size_t len, const char *charset)
{
    GError *error = NULL;
    char *utf8 = GM(g_convert)(text, (gssize)len, "UTF-8", charset, NULL, NULL, &error);
    GM(g_clear_error)(&error);
    return utf8;
}

/* windows-1252, whose five unassigned bytes become blanks: this never fails. */
static char *converted_western(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("\x81\x8d\x8f\x90\x9d", text[i]))
            text[i] = ' ';
    }
    char *utf8 = converted(text, len, "windows-1252");
    return utf8 ? utf8 : GM(g_utf8_make_valid)(text, (gssize)len);
}

/* Takes text; returns it as UTF-8: what it is, else the given charset, else windows-1252. */
static char *utf8_of(char *text, size_t len, const char *charset)
{
    bool japanese = strstr(text, "\x1b$") != NULL || strstr(text, "\x1b(") != NULL;
    if (!japanese && (is_ascii(text, len) || GM(g_utf8_validate)(text, (gssize)len, NULL)))
        return text;
    char *utf8 = japanese ? converted(text, len, "ISO-2022-JP") : NULL;
    if (utf8 == NULL && charset[0] != '\0' && GM(g_ascii_strcasecmp)(charset, "utf-8") != 0)
        utf8 = converted(text, len, charset);
    if (utf8 == NULL)
        utf8 = converted_western(text, len);
    GM(g_free)(text);
    return utf8;
}

/* The value unfolded (RFC 5322 2.2.3), in UTF-8; other line ends and NUL bytes are blanks. */
static char *value_text(struct emlfs_span value, const char *charset)
{
    while (value.len > 0 && value.data[0] <= ' ') {
        value.data++;
        value.len--;
    }
    if (value.len > FACTS_FIELD_MAX_BYTES)
        value.len = FACTS_FIELD_MAX_BYTES;
    char *text = GM(g_malloc)(value.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        bool line_end = c == '\r' || c == '\n';
        if (line_end && i + 1 < value.len && strchr("\r\n\t ", value.data[i + 1]) != NULL)
            continue;
        text[len++] = c == '\0' || line_end ? ' ' : (char)c;
    }
    text[len] = '\0';
    return utf8_of(text, len, charset);
}

int facts_decode_text(struct emlfs_span value, const char *charset, struct emlfs_buf *out)
{
    char *text = value_text(value, charset);
    char *decoded = GM(g_mime_utils_header_decode_text)(NULL, text);
    size_t len = strlen(decoded);
    while (len > 0 && decoded[len - 1] == ' ')
        len--;
    int rc = emlfs_buf_append(out, decoded, len);
    GM(g_free)(decoded);
    GM(g_free)(text);
    return rc;
}

/* Append name, as a quoted string where message.h's list form would else be ambiguous. */
static int name_append(struct emlfs_buf *out, const char *name)
{
    size_t len = strlen(name);
    if (strpbrk(name, ",<>\"\\") == NULL)
        return emlfs_buf_append(out, name, len);
    int rc = emlfs_buf_append_u8(out, '"');
    for (size_t i = 0; rc == 0 && i < len; i++) {
        if (name[i] == '"' || name[i] == '\\')
            rc = emlfs_buf_append_u8(out, '\\');
        if (rc == 0)
            rc = emlfs_buf_append_u8(out, (uint8_t)name[i]);
    }
    return rc == 0 ? emlfs_buf_append_u8(out, '"') : rc;
}

static int mailbox_append(struct emlfs_buf *out, const char *name, const char *address)
{
    bool named = name != NULL && name[0] != '\0';
    bool addressed = address != NULL && address[0] != '\0';
    int rc = 0;
    if (!named && !addressed)
        return 0;
    if (out->len > 0)
        rc = emlfs_buf_append(out, ", ", 2);
    if (rc == 0 && named)
        rc = name_append(out, name);
    if (rc < 0 || !addressed)
        return rc;
    rc = named ? emlfs_buf_append(out, " <", 2) : emlfs_buf_append_u8(out, '<');
    if (rc == 0)
        rc = emlfs_buf_append(out, address, strlen(address));
    return rc == 0 ? emlfs_buf_append_u8(out, '>') : rc;
}

static bool is_mailbox(InternetAddress *address)
{
    return GM(g_type_check_instance_is_a)((GTypeInstance *)address,
                                          GM(internet_address_mailbox_get_type)());
}

/* A group is its members; an empty one is its name. Depth of groups is bounded by FACTS_COLONS_MAX.
 */
static int addresses_append(struct emlfs_buf *out, InternetAddressList *list)
{
    int rc = 0;
    int count = list ? GM(internet_address_list_length)(list) : 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        InternetAddress *address = GM(internet_address_list_get_address)(list, i);
        const char *name = GM(internet_address_get_name)(address);
        if (is_mailbox(address)) {
            rc = mailbox_append(
                out, name,
                GM(internet_address_mailbox_get_addr)((InternetAddressMailbox *)address));
            continue;
        }
        InternetAddressList *members =
            GM(internet_address_group_get_members)((InternetAddressGroup *)address);
        if (members && GM(internet_address_list_length)(members) > 0)
            rc = addresses_append(out, members);
        else
            rc = mailbox_append(out, name, NULL);
    }
    return rc;
}

int facts_decode_addresses(struct emlfs_span value, const char *charset, struct emlfs_buf *out)
{
    size_t before = out->len;
    char *text = value_text(value, charset);
    InternetAddressList *list = GM(internet_address_list_parse)(NULL, text);
    int rc = addresses_append(out, list);
    /* nothing recognised: the text as it stands says more than nothing */
    if (rc == 0 && out->len == before && before == 0)
        rc = facts_decode_text(value, charset, out);
    if (list)
        GM(g_object_unref)(list);
    GM(g_free)(text);
    return rc;
}

/* "... FILETIME=[89ABCDEF:01C59839]": low and high half of 100 ns since 1601. */
static bool filetime_read(const char *text, int64_t *ret_sec)
{
    unsigned low, high;
    const char *filetime = strstr(text, "FILETIME=[");
    if (filetime == NULL || sscanf(filetime, "FILETIME=[%8x:%8x]", &low, &high) != 2)
        return false;
    uint64_t ticks = (uint64_t)high << 32 | low;
    *ret_sec = (int64_t)(ticks / 10000000) - FILETIME_EPOCH_SEC;
    return true;
}

bool facts_decode_date(struct emlfs_span value, int64_t *ret_sec)
{
    bool found = false;
    if (value.len > DATE_MAX_BYTES)
        value.len = DATE_MAX_BYTES;
    char *text = value_text(value, "");
    if (!filetime_read(text, ret_sec)) {
        GDateTime *date = GM(g_mime_utils_header_decode_date)(text);
        if (date) {
            *ret_sec = GM(g_date_time_to_unix)(date);
            found = true;
            GM(g_date_time_unref)(date);
        }
    } else {
        found = true;
    }
    GM(g_free)(text);
    return found;
}

static void text_copy(char *ret, size_t size, const char *text)
{
    size_t len = text ? strnlen(text, size - 1) : 0;
    for (size_t i = 0; i < len; i++)
        ret[i] = GM(g_ascii_tolower)(text[i]);
    ret[len] = '\0';
}

static struct emlfs_span field_first(const struct facts_header *header, enum facts_field kind)
{
    return header->counts[kind] > 0 ? header->values[kind][0] : emlfs_span_of(NULL, 0);
}

static char *name_copy(const char *name)
{
    return name && name[0] != '\0' ? GM(g_mime_utils_header_decode_text)(NULL, name) : NULL;
}

/* "text" alone is no type (RFC 2045 5.1), but written often enough; its parameters count. */
static char *type_complete(char *text)
{
    size_t blank = strspn(text, " \t"), word = strcspn(text + blank, " \t;");
    char *whole;

    if (word != 4 || GM(g_ascii_strncasecmp)(text + blank, "text", 4) != 0)
        return text;
    whole = GM(g_strconcat)("text/plain", text + blank + word, NULL);
    GM(g_free)(text);
    return whole;
}

static void type_decode(struct emlfs_span value, struct facts_content *ret)
{
    char *text = type_complete(value_text(value, ""));
    GMimeContentType *type = GM(g_mime_content_type_parse)(NULL, text);
    const char *boundary = type ? GM(g_mime_content_type_get_parameter)(type, "boundary") : NULL;
    if (type) {
        snprintf(ret->type, sizeof ret->type, "%s/%s", GM(g_mime_content_type_get_media_type)(type),
                 GM(g_mime_content_type_get_media_subtype)(type));
        text_copy(ret->type, sizeof ret->type, ret->type);
        text_copy(ret->charset, sizeof ret->charset,
                  GM(g_mime_content_type_get_parameter)(type, "charset"));
        ret->name = name_copy(GM(g_mime_content_type_get_parameter)(type, "name"));
        if (boundary && boundary[0] != '\0')
            ret->boundary = GM(g_strchomp)(GM(g_strdup)(boundary));
        GM(g_object_unref)(type);
    }
    GM(g_free)(text);
}

static void disposition_decode(struct emlfs_span value, struct facts_content *ret)
{
    char *text = value_text(value, "");
    GMimeContentDisposition *disposition = GM(g_mime_content_disposition_parse)(NULL, text);
    if (disposition) {
        const char *kind = GM(g_mime_content_disposition_get_disposition)(disposition);
        const char *name = GM(g_mime_content_disposition_get_parameter)(disposition, "filename");
        ret->attached = kind && GM(g_ascii_strcasecmp)(kind, "attachment") == 0;
        if (name && name[0] != '\0') {
            GM(g_free)(ret->name);
            ret->name = name_copy(name);
        }
        GM(g_object_unref)(disposition);
    }
    GM(g_free)(text);
}

void facts_decode_content(const struct facts_header *header, struct facts_content *ret,
                          struct facts_note *note)
{
    struct emlfs_span type =
        facts_header_bound_parameters(field_first(header, FIELD_CONTENT_TYPE), note);
    struct emlfs_span disposition =
        facts_header_bound_parameters(field_first(header, FIELD_DISPOSITION), note);
    *ret = (struct facts_content){0};
    if (type.len > 0)
        type_decode(type, ret);
    if (disposition.len > 0)
        disposition_decode(disposition, ret);
    if (ret->boundary && ret->boundary[0] == '\0') {
        GM(g_free)(ret->boundary);
        ret->boundary = NULL;
    }
}

void facts_content_free(struct facts_content *content)
{
    GM(g_free)(content->boundary);
    GM(g_free)(content->name);
    content->boundary = NULL;
    content->name = NULL;
}
