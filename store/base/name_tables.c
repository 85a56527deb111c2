/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fnmatch.h>
#include <strings.h>

#include "emlfs/name.h"

#define FOLDED_MAX_BYTES 1024u

/* Names of the folder for sent mail, as mail programs translate it: case-folded, NFC. */
static const char *const sent_names[] = {
    /* English */
    "sent", "sent items", "sent mail", "sent messages", "sent-mail", "sentmail", "sent objects",
    /* German */
    "gesendet", "gesendete", "gesendete elemente", "gesendete objekte", "gesendete nachrichten",
    "gesendete mails", "gesendete e-mails", "gesendete mail",
    /* French */
    "envoyés", "envoyé", "éléments envoyés", "messages envoyés", "courrier envoyé",
    "objets envoyés",
    /* Spanish, Portuguese, Catalan, Galician */
    "enviado", "enviados", "enviadas", "elementos enviados", "mensajes enviados", "correo enviado",
    "correos enviados", "itens enviados", "mensagens enviadas", "e-mails enviados",
    "correio enviado", "elements enviats", "enviats", "elementos enviadas",
    /* Italian */
    "inviati", "inviata", "posta inviata", "messaggi inviati", "elementi inviati",
    /* Dutch */
    "verzonden", "verzonden items", "verzonden berichten", "verstuurd",
    /* Polish, Czech, Slovak, Hungarian, Romanian, Croatian */
    "wysłane", "elementy wysłane", "wysłane wiadomości", "odeslaná", "odeslané", "odeslaná pošta",
    "odeslané zprávy", "odoslané", "odoslaná pošta", "elküldött", "elküldött elemek",
    "elküldött üzenetek", "trimise", "mesaje trimise", "poslano", "poslana pošta",
    /* Swedish, Danish, Norwegian, Finnish */
    "skickat", "skickade", "skickade objekt", "skickade meddelanden", "sendt", "sendt post",
    "sendte elementer", "sendte meddelelser", "sendte", "lähetetyt", "lähetetyt viestit",
    /* Turkish, Greek, Russian, Ukrainian */
    "gönderilmiş", "gönderilmiş öğeler", "gönderilmiş postalar", "gönderilenler", "απεσταλμένα",
    "отправленные", "надіслані", "отправленные элементы",
    /* Japanese, Chinese, Korean */
    "送信済み", "送信済みアイテム", "送信済みメール", "送信済みトレイ", "送信済みメッセージ",
    "送信ボックス", "已发送", "已发送邮件", "已发邮件", "已傳送郵件", "寄件備份", "寄件匣",
    "보낸편지함", "보낸 편지함", "보낸 메일함", NULL};

/* What desktops, file servers and indexers look for or drop (case ignored). */
static const char *const litter_names[] = {"Thumbs.db",
                                           "ehthumbs.db",
                                           "ehthumbs_vista.db",
                                           "desktop.ini",
                                           "autorun.inf",
                                           "autorun",
                                           ".autorun",
                                           "autorun.sh",
                                           "$RECYCLE.BIN",
                                           "RECYCLER",
                                           "System Volume Information",
                                           ".Trash",
                                           ".Trashes",
                                           ".Spotlight-V100",
                                           ".fseventsd",
                                           ".TemporaryItems",
                                           ".apdisk",
                                           ".VolumeIcon.icns",
                                           ".DocumentRevisions-V100",
                                           ".metadata_never_index",
                                           ".metadata_never_index_unless_rootfs",
                                           ".com.apple.timemachine.donotpresent",
                                           ".AppleDouble",
                                           ".localized",
                                           ".hidden",
                                           ".directory",
                                           ".sh_thumbnails",
                                           ".xdg-volume-info",
                                           ".nomedia",
                                           ".trackerignore",
                                           ".DS_Store",
                                           "lost+found",
                                           NULL};

bool emlfs_name_is_sent(const char *folder_path)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    const char *slash = strrchr(folder_path, '/');
    if (emlfs_name_fold(slash ? slash + 1 : folder_path, &folded) < 0)
        return false;
    for (const char *const *name = sent_names; *name; name++) {
        if (emlfs_span_equal(emlfs_buf_view(&folded), emlfs_span_str(*name)))
            return true;
    }
    return false;
}

bool emlfs_name_is_litter(const char *name)
{
    /* message names begin with a digit and most folders with a letter: decide those at once */
    if (strchr(".~$aAdDeElLrRsStT", name[0]) == NULL || name[0] == '\0')
        return false;
    for (const char *const *litter = litter_names; *litter; litter++) {
        if (strcasecmp(name, *litter) == 0)
            return true;
    }
    return strncasecmp(name, ".Trash-", 7) == 0 || strncmp(name, "._", 2) == 0 ||
           strncmp(name, "~$", 2) == 0 || fnmatch(".~lock.*#", name, 0) == 0;
}

bool emlfs_name_is_discarded(const char *name)
{
    return strcasecmp(name, ".DS_Store") == 0 || strncmp(name, "._", 2) == 0;
}
