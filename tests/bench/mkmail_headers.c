/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The header of a message: trace fields first, as a mail server leaves them. */
#include <stdio.h>

#include "mkmail.h"

static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Civil date from days since 1970 (proleptic Gregorian, valid for all int32 days). */
static void civil(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = day + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = (int)(yoe + era * 400 + (*ret_month <= 2));
}

void mk_date(char ret[48], int64_t sec, int zone_hours)
{
    int year, month, day;
    int64_t local = sec + zone_hours * 3600, days_since = local / 86400, rest = local % 86400;
    civil(days_since, &year, &month, &day);
    snprintf(ret, 48, "%s, %d %s %d %02d:%02d:%02d %c%02d00", days[days_since % 7], day,
             months[month - 1], year, (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60),
             zone_hours < 0 ? '-' : '+', zone_hours < 0 ? -zone_hours : zone_hours);
}

static void address_put(struct mk_out *out, const struct mk_person *person)
{
    mk_header_text(out, person->name, strlen(person->name), person->tongue == MK_GERMAN);
    mk_format(out, " <%s>", person->address);
}

static void address_list(struct mk_out *out, const char *field, const struct mk_draft *draft,
                         unsigned first, unsigned last)
{
    const struct mk_conversation *c = draft->conversation;
    bool any = false;
    for (unsigned i = first; i < last && i < c->n_members; i++) {
        if (c->members[i] == draft->from)
            continue;
        mk_format(out, "%s", any ? ",\n\t" : field);
        address_put(out, c->members[i]);
        any = true;
    }
    if (any)
        mk_putc(out, '\n');
}

static void host_put(struct mk_out *out, const struct mk_domain *domain, unsigned hop)
{
    static const char *const hosts[] = {"mx1", "mail", "smtp-out", "relay2", "gateway"};
    uint32_t ip = domain->network + 10 + hop;
    mk_format(out, "%s.%s (%s.%s [%u.%u.%u.%u])", hosts[hop % 5], domain->name, hosts[hop % 5],
              domain->name, ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static void received_put(struct mk_out *out, const struct mk_draft *draft,
                         const struct mk_domain *from, const struct mk_domain *by, unsigned hop)
{
    char date[48];
    mk_date(date, draft->date_sec + 9 - hop * 2, 0);
    mk_puts(out, "Received: from ");
    host_put(out, from, hop);
    mk_format(out, "\n\tby mx%u.%s (Postfix) with ESMTPS id ", hop, by->name);
    mk_hex_noise(out, draft->rng, 10);
    if (hop == 0)
        mk_format(out, "\n\tfor <%s>", draft->conversation->members[0]->address);
    mk_format(out, "; %s\n", date);
}

static void trace_put(struct mk_out *out, const struct mk_draft *draft)
{
    const struct mk_domain *from = mk_world_domain(draft->world, draft->from);
    const struct mk_domain *to = mk_world_domain(draft->world, draft->conversation->members[0]);
    mk_format(out, "Return-Path: <%s>\n", draft->from->address);
    if (to->filtered)
        mk_format(out, "Delivered-To: %s\n", draft->conversation->members[0]->address);
    for (unsigned hop = 0; hop < from->hops; hop++)
        received_put(out, draft, from, hop ? from : to, hop);
}

static void signature_put(struct mk_out *out, const struct mk_draft *draft)
{
    const struct mk_domain *from = mk_world_domain(draft->world, draft->from);
    if (!from->signs)
        return;
    mk_format(out,
              "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=mail;\n"
              "\tt=%lld; h=from:to:subject:date:message-id:mime-version:content-type;\n\tbh=",
              from->name, (long long)draft->date_sec);
    mk_base64_noise(out, draft->rng, 43);
    mk_puts(out, "=;\n\tb=");
    for (unsigned i = 0; i < 2; i++) {
        mk_base64_noise(out, draft->rng, 64);
        mk_puts(out, "\n\t ");
    }
    mk_base64_noise(out, draft->rng, 43);
    mk_puts(out, "=\n");
}

static void filter_put(struct mk_out *out, const struct mk_draft *draft)
{
    const struct mk_domain *to = mk_world_domain(draft->world, draft->conversation->members[0]);
    if (!to->filtered)
        return;
    mk_format(out,
              "X-Spam-Checker-Version: SpamAssassin 3.4.2 (2018-09-13) on mx.%s\nX-Spam-Level: \n"
              "X-Spam-Status: No, score=-%u.%u required=5.0 tests=BAYES_00,RCVD_IN_DNSWL_MED,\n"
              "\tSPF_PASS,URIBL_BLOCKED autolearn=ham autolearn_force=no version=3.4.2\n"
              "Authentication-Results: mx.%s; spf=pass smtp.mailfrom=%s\n",
              to->name, mk_below(draft->rng, 5), mk_below(draft->rng, 10), to->name,
              mk_world_domain(draft->world, draft->from)->name);
}

static void list_put(struct mk_out *out, const struct mk_draft *draft)
{
    unsigned list = draft->conversation->folder;
    if (list % 3 != 1)
        return;
    mk_format(out,
              "List-Id: <list-%u.lists.example>\n"
              "List-Unsubscribe: <https://lists.example/mailman/options/list-%u>,\n"
              "\t<mailto:list-%u-request@lists.example?subject=unsubscribe>\n"
              "List-Archive: <https://lists.example/pipermail/list-%u/>\n"
              "List-Post: <mailto:list-%u@lists.example>\nPrecedence: list\n",
              list, list, list, list, list);
}

static void client_put(struct mk_out *out, unsigned client)
{
    static const char *const fields[MK_CLIENTS] = {
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Thunderbird/102.6\n",
        "X-Mailer: Apple Mail (2.3654.120.0.1.13)\n",
        "",
        "X-Mailer: Microsoft Outlook 16.0\nThread-Index: AdmX\nContent-Language: en-us\n",
        "X-Mailer: MIME-tools 5.509 (Entity 5.509)\n",
        "User-Agent: Mutt/1.10.1 (2018-07-13)\n"};
    mk_puts(out, fields[client]);
}

static void references_put(struct mk_out *out, const struct mk_draft *draft)
{
    const struct mk_conversation *c = draft->conversation;
    if (!draft->reply)
        return;
    mk_format(out, "In-Reply-To: %s\nReferences:", c->ids[c->n_ids - 1]);
    for (unsigned i = 0; i < c->n_ids; i++)
        mk_format(out, " %s%s", c->ids[i], i + 1 < c->n_ids ? "\n" : "");
    mk_putc(out, '\n');
}

void mk_headers(struct mk_out *out, const struct mk_draft *draft)
{
    char date[48];
    const struct mk_conversation *c = draft->conversation;
    trace_put(out, draft);
    signature_put(out, draft);
    filter_put(out, draft);
    mk_puts(out, "From: ");
    address_put(out, draft->from);
    mk_putc(out, '\n');
    address_list(out, "To: ", draft, 0, 2);
    address_list(out, "Cc: ", draft, 2, 6);
    mk_puts(out, "Subject: ");
    mk_puts(out, draft->reply
                     ? (c->tongue == MK_GERMAN && draft->from->client >= 3 ? "AW: " : "Re: ")
                     : "");
    mk_header_text(out, c->subject, strlen(c->subject), c->tongue == MK_GERMAN);
    mk_date(date, draft->date_sec, (int)(draft->from->signature_seed % 12) - 4);
    mk_format(out, "\nDate: %s\nMessage-ID: %s\n", date, draft->id);
    references_put(out, draft);
    client_put(out, draft->from->client);
    list_put(out, draft);
    mk_puts(out, "MIME-Version: 1.0\n");
}
