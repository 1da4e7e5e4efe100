/* SPDX-License-Identifier: Apache-2.0
 *
 * site.yaml: what holds for every role that does not say otherwise. The file may be missing. Its
 * keys, all optional:
 *
 *     contact  text, "your policy administrators"  whom a refused operator is told to ask;
 * printable, at most 120 bytes from, when, factors                          as in a role
 * (policy/conditions.c)
 *
 * Used by authd's loader, before everything else. Pure. */
#include "policy/set.h"

#include <string.h>

#include "base/log.h"

static int load_contact(struct loading *l, const struct yaml_node *n)
{
    char shown[CONTACT_MAX * 4 + 1];
    const char *text;
    int rc =
        yaml_text(l->doc, n, CONTACT_MAX, "whom to ask, as in group:policy-admins", &text, l->e);

    if (rc < 0)
        return rc;
    /* It ends up on terminals and in records as it is. */
    if (strcmp(escape_text(shown, sizeof shown, text, strlen(text)), text) != 0)
        return yaml_error(l->doc, n, l->e,
                          "found \"%s\", expected printable text without quotes and backslash",
                          shown);
    l->p->site.contact = pool_text(&l->p->pool, text);
    return l->p->site.contact ? 0 : policy_no_memory(l);
}

int policy_load_site(struct loading *l)
{
    static const char *const known[] = {"contact", "from", "when", "factors", NULL};
    const struct yaml_node *root = yaml_root(l->doc), *n;
    struct site *site = &l->p->site;
    const char *file = pool_text(&l->p->pool, yaml_name(l->doc));
    int rc = policy_check_keys(l, root, known);

    if (!file)
        return policy_no_memory(l);
    if (rc == 0 && (n = yaml_get(root, "contact")))
        rc = load_contact(l, n);
    if (rc == 0 && (n = yaml_get(root, "from"))) {
        site->from_place = policy_place(file, n);
        rc = policy_load_from(l, n, &site->from, &site->from_count);
    }
    if (rc == 0 && (n = yaml_get(root, "when"))) {
        site->when_place = policy_place(file, n);
        rc = policy_load_when(l, n, &site->when);
    }
    if (rc == 0 && (n = yaml_get(root, "factors"))) {
        site->factors_place = policy_place(file, n);
        rc = policy_load_factors(l, n, &site->factors);
    }
    return rc;
}
