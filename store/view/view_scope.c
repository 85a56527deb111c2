/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a view is of: who asks through it, and as whom. */
#include "view_internal.h"

const struct emlfs_subject *
view_caller(struct emlfs_view *view, const struct emlfs_subject *subject, struct emlfs_subject *ret)
{
    *ret = *subject;
    ret->read_only |= view->options.read_only;
    ret->private_names |= view->options.private_names;
    return ret;
}
