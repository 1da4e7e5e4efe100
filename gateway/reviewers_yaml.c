/* SPDX-License-Identifier: Apache-2.0
 *
 * reviewers.yaml to the list of reviewers:
 *
 *     reviewers:
 *       - {name: carol, recipient: age1..., keystrokes: true}
 *
 * Run by the supervisor and by administrators' commands. */
#include "gateway/reviewers_yaml.h"

#include <stdio.h>
#include <string.h>

#include "base/yaml_tree.h"
#include "gateway/config.h"

/* 32 entries, and comments around them. */
#define REVIEWERS_YAML_MAX 65536u

static int parse_one(const struct yaml_doc *doc, const struct yaml_node *n, struct reviewers *out,
                     struct err *e)
{
    static const char *const known[] = {"name", "recipient", "keystrokes", NULL};
    const struct yaml_node *name_node, *recipient_node, *keystrokes_node;
    const char *name, *recipient;
    struct err why = ERR_INIT;
    bool keystrokes = true;
    int rc = yaml_is(doc, n, YAML_MAP, "a reviewer: {name: ..., recipient: age1...}", e);

    if (rc == 0)
        rc = yaml_only_keys(doc, n, known, e);
    if (rc == 0)
        rc = yaml_require(doc, n, "name", &name_node, e);
    if (rc == 0)
        rc = yaml_require(doc, n, "recipient", &recipient_node, e);
    if (rc == 0)
        rc = yaml_text(doc, name_node, REVIEWER_NAME_MAX, "a reviewer's name", &name, e);
    if (rc == 0)
        rc =
            yaml_text(doc, recipient_node, 4096, "a recipient of age (\"age1\"...)", &recipient, e);
    keystrokes_node = rc == 0 ? yaml_get(n, "keystrokes") : NULL;
    if (keystrokes_node)
        rc = yaml_bool(doc, keystrokes_node, &keystrokes, e);
    if (rc < 0)
        return rc;
    if (strncmp(recipient, "AGE-SECRET-KEY-", 15) == 0)
        return yaml_error(doc, recipient_node, e,
                          "found a secret identity, expected the recipient that belongs to it "
                          "(age-keygen -y prints it); make a new identity, this one was written "
                          "where others may read it");
    if (reviewers_add(out, name, recipient, keystrokes, &why) == 0)
        return 0;
    return yaml_error(doc, reviewer_name_is_good(name) ? recipient_node : name_node, e, "%s",
                      why.text);
}

int reviewers_parse(const char *name, const void *bytes, size_t len, struct reviewers *out,
                    struct err *e)
{
    static const char *const known[] = {"reviewers", NULL};
    struct yaml_doc *doc = yaml_parse(name, bytes, len, e);
    const struct yaml_node *root, *list = NULL;
    struct err why = ERR_INIT;
    int rc = 0;

    out->count = 0;
    if (!doc)
        return e->code;
    root = yaml_root(doc);
    rc = yaml_is(doc, root, YAML_MAP, "a map with the key reviewers", e);
    if (rc == 0)
        rc = yaml_only_keys(doc, root, known, e);
    if (rc == 0)
        rc = yaml_require(doc, root, "reviewers", &list, e);
    if (rc == 0)
        rc = yaml_is(doc, list, YAML_LIST, "a list of reviewers", e);
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        rc = parse_one(doc, list->items[i], out, e);
    if (rc == 0 && reviewers_check(out, &why) < 0)
        rc = yaml_error(doc, list, e, "%s", why.text);
    yaml_doc_free(doc);
    return rc;
}

int reviewers_load(const char *confdir, struct reviewers *out, struct err *e)
{
    char path[512];
    struct buf text;
    int rc;

    snprintf(path, sizeof path, "%s/" REVIEWERS_FILE, confdir);
    buf_init(&text, REVIEWERS_YAML_MAX);
    rc = config_read_file(path, &text, e);
    if (rc == 0)
        rc = reviewers_parse(path, buf_head(&text), buf_len(&text), out, e);
    buf_clear(&text);
    return rc;
}

const char *reviewers_warning(const struct reviewers *list)
{
    unsigned keystrokes = 0;

    for (size_t i = 0; i < list->count; i++)
        keystrokes += list->at[i].keystrokes;
    if (list->count == 1)
        return "there is one reviewer: if that identity is lost, no recording can be read; add a "
               "second to " REVIEWERS_FILE;
    if (keystrokes == 1)
        return "one reviewer may read keystrokes: if that identity is lost, nobody can; give it to "
               "a second in " REVIEWERS_FILE;
    return NULL;
}
