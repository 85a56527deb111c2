/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who writes: organisations with their mail servers, people with their mail programs. */
#include <stdio.h>
#include <stdlib.h>

#include "mkmail.h"

static const char *const given_names[MK_TONGUES][12] = {
    {"Alan", "Beth", "Carol", "David", "Emma", "Frank", "Grace", "Henry", "Iris", "Jack", "Kate",
     "Liam"},
    {"Anja", "Björn", "Christa", "Dieter", "Erika", "Friedrich", "Gisela", "Jörg", "Jürgen",
     "Käthe", "Lukas", "Sören"},
    {"明子", "健太", "直美", "大輔", "由美", "翔太", "恵子", "拓也", "裕子", "和也", "美咲", "隆"}};

static const char *const japanese_families[] = {"田中", "鈴木", "高橋", "渡辺", "山本", "中村",
                                                "小林", "加藤", "吉田", "山田", "松本", "井上"};

static void capitalise(char *text)
{
    if (text[0] >= 'a' && text[0] <= 'z')
        text[0] = (char)(text[0] - 'a' + 'A');
}

static void ascii_only(char *text)
{
    char *to = text;
    for (; *text; text++)
        if (!(*text & 0x80))
            *to++ = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
    *to = 0;
}

/* A word that could be a name: long enough to look like one. */
static void name_word(const struct mk_language *language, struct mk_rng *rng, char ret[32])
{
    const struct mk_word *word;
    do
        word = &language->words[1000 + mk_below(rng, MK_WORDS - 1000)];
    while (word->len < 5 || word->len > 12);
    memcpy(ret, word->text, word->len);
    ret[word->len] = 0;
}

static void domain_make(struct mk_domain *domain, const struct mk_world *world, struct mk_rng *rng)
{
    char word[32];
    name_word(world->languages[mk_below(rng, 2)], rng, word);
    ascii_only(word);
    snprintf(domain->name, sizeof domain->name, "%s%u.example", word, mk_below(rng, 100));
    domain->network = 0xc6120000u + (mk_below(rng, 0x200) << 8);
    domain->hops = (uint8_t)(1 + mk_below(rng, 4));
    domain->signs = mk_chance(rng, 35);
    domain->filtered = mk_chance(rng, 35);
    domain->disclaims = mk_chance(rng, 15);
    domain->disclaimer_seed = (uint32_t)mk_random(rng);
}

static enum mk_tongue tongue_pick(struct mk_rng *rng)
{
    unsigned dice = mk_below(rng, 100);
    return dice < 70 ? MK_ENGLISH : dice < 95 ? MK_GERMAN : MK_JAPANESE;
}

static void person_make(struct mk_person *person, const struct mk_world *world, struct mk_rng *rng,
                        unsigned number)
{
    char family[32], account[32];
    person->tongue = tongue_pick(rng);
    person->client = (uint8_t)mk_below(rng, MK_CLIENTS);
    person->domain = (uint16_t)(mk_below(rng, MK_DOMAINS) * mk_below(rng, MK_DOMAINS) / MK_DOMAINS);
    person->signature_seed = (uint32_t)mk_random(rng);
    const char *given = given_names[person->tongue][mk_below(rng, 12)];
    name_word(world->languages[person->tongue == MK_JAPANESE ? MK_ENGLISH : person->tongue], rng,
              account);
    memcpy(family, account, sizeof family);
    ascii_only(account);
    capitalise(family);
    if (person->tongue == MK_JAPANESE)
        snprintf(person->name, sizeof person->name, "%s %s", japanese_families[mk_below(rng, 12)],
                 given);
    else
        snprintf(person->name, sizeof person->name, "%s %s", given, family);
    snprintf(person->address, sizeof person->address, "%s%u@%s", account, number,
             world->domains[person->domain].name);
}

struct mk_world *mk_world_new(uint64_t seed)
{
    struct mk_world *world = mk_calloc(1, sizeof *world);
    struct mk_rng rng = {seed ^ 0x776f726c64u};
    for (int i = 0; i < MK_TONGUES; i++)
        world->languages[i] = mk_language_new((enum mk_tongue)i);
    for (unsigned i = 0; i < MK_DOMAINS; i++)
        domain_make(&world->domains[i], world, &rng);
    for (unsigned i = 0; i < MK_PEOPLE; i++)
        person_make(&world->people[i], world, &rng, i);
    const uint32_t slots = sizeof world->people_table / sizeof *world->people_table;
    for (uint32_t i = 0; i < slots; i++) { /* cubing a uniform number: few write much */
        double u = (i + 0.5) / slots;
        world->people_table[i] = (uint16_t)(u * u * u * MK_PEOPLE);
    }
    return world;
}

void mk_world_free(struct mk_world *world)
{
    for (int i = 0; i < MK_TONGUES; i++)
        free(world->languages[i]);
    free(world);
}

const struct mk_person *mk_world_person(const struct mk_world *world, struct mk_rng *rng)
{
    return &world->people[world->people_table[mk_random(rng) >> 51]];
}

const struct mk_domain *mk_world_domain(const struct mk_world *world,
                                        const struct mk_person *person)
{
    return &world->domains[person->domain];
}

static void disclaimer_put(struct mk_out *out, const struct mk_world *world,
                           const struct mk_domain *domain, enum mk_tongue tongue)
{
    const struct mk_language *language = world->languages[tongue];
    struct mk_rng rng = {domain->disclaimer_seed};
    struct mk_topic topic;
    mk_topic_pick(language, &rng, &topic);
    mk_putc(out, '\n');
    mk_paragraph(out, language, &rng, &topic, 4 + mk_below(&rng, 4));
}

void mk_signature(struct mk_out *out, const struct mk_world *world, const struct mk_person *person)
{
    const struct mk_domain *domain = mk_world_domain(world, person);
    struct mk_rng rng = {person->signature_seed};
    struct mk_topic topic;
    const struct mk_language *language = world->languages[person->tongue];
    if (mk_chance(&rng, 30)) {
        mk_format(out, "\n%s\n", person->name);
    } else {
        mk_topic_pick(language, &rng, &topic);
        mk_format(out, "\n-- \n%s\n", person->name);
        if (mk_chance(&rng, 50)) {
            mk_title(out, language, &rng, &topic);
            mk_format(out, ", %s\nTel +49 %u %u\n", domain->name, 100 + mk_below(&rng, 900),
                      mk_below(&rng, 10000000));
        }
        mk_format(out, "https://www.%s/\n", domain->name);
    }
    if (domain->disclaims)
        disclaimer_put(out, world, domain, person->tongue);
}
