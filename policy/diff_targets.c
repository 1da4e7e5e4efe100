/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets of two sets that nothing tells apart (policy/diff.h). Of a target only the labels count
 * that some role of its set asks for, and the roles that name it. So 100,000 targets are some
 * hundred classes, and what a role selects is a list of those. */
#include "policy/diff_state.h"

/* ---- joint numbers ---- */

static void join_names(struct diff_inside *in)
{
    const struct policy *old = in->side[0].p, *new = in->side[1].p;

    in->target_names = tool_alloc(old->target_count + new->target_count, sizeof(char *));
    for (int s = 0; s < 2; s++) {
        struct side *side = &in->side[s];
        side->target_of_joint = tool_alloc(old->target_count + new->target_count, sizeof(uint32_t));
        memset(side->target_of_joint, 0xff,
               (old->target_count + new->target_count) * sizeof(uint32_t));
        side->joint_of_target = tool_alloc(side->p->target_count, sizeof(uint32_t));
    }
    for (uint32_t i = 0; i < old->target_count; i++) {
        in->target_names[i] = old->targets[i].pub.name;
        in->side[0].joint_of_target[i] = in->side[0].target_of_joint[i] = i;
    }
    in->target_count = old->target_count;
    for (uint32_t i = 0; i < new->target_count; i++) {
        const char *name = new->targets[i].pub.name;
        uint32_t joint;
        /* An alias of the old set is not that target. */
        if (!table_get(&old->target_by_name, name, strlen(name), &joint) ||
            strcmp(old->targets[joint].pub.name, name) != 0) {
            joint = (uint32_t)in->target_count++;
            in->target_names[joint] = name;
        }
        in->side[1].joint_of_target[i] = joint;
        in->side[1].target_of_joint[joint] = i;
    }
}

/* ---- label classes of one side ---- */

static int by_address(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t) * (const void *const *)a,
                    y = (uintptr_t) * (const void *const *)b;

    return x < y ? -1 : x > y;
}

/* The labels that roles ask for (interned), ascending by address. */
static const char **asked_labels(const struct policy *p, size_t *count)
{
    const char **keys = NULL;
    size_t cap = 0, n = 0, kept = 0;

    for (size_t r = 0; r < p->role_count; r++) {
        for (size_t i = 0; i < p->roles[r].selector_count; i++) {
            if (!p->roles[r].selectors[i].key)
                continue;
            keys = tool_grow(keys, &cap, n, sizeof *keys);
            keys[n++] = p->roles[r].selectors[i].key;
        }
    }
    if (n)
        qsort(keys, n, sizeof *keys, by_address);
    for (size_t i = 0; i < n; i++) {
        if (!i || keys[i] != keys[kept - 1])
            keys[kept++] = keys[i];
    }
    *count = kept;
    return keys;
}

/* Interned texts: equal ones are equal pointers. */
struct pair {
    const char *key, *value;
};

/* Interned, so equal ones are equal pointers; NULL: the target has no such label. */
static void values_of(const struct side *side, const struct target_entry *t, const char **out)
{
    memset(out, 0, side->key_count * sizeof *out);
    for (size_t i = 0; i < t->label_count; i++) {
        const char **key = side->key_count ? bsearch(&t->labels[i].key, side->keys, side->key_count,
                                                     sizeof *side->keys, by_address)
                                           : NULL;
        if (key)
            out[key - side->keys] = t->labels[i].value;
    }
}

static void find_label_classes(struct side *side)
{
    const struct policy *p = side->p;
    struct interner ids = {0};
    size_t sample_cap = 0, value_cap = 0;

    side->keys = asked_labels(p, &side->key_count);
    side->label_class = tool_alloc(p->target_count, sizeof *side->label_class);
    const char **values = tool_alloc(side->key_count, sizeof *values);
    for (uint32_t t = 0; t < p->target_count; t++) {
        bool is_new;
        values_of(side, &p->targets[t], values);
        const uint32_t id = interner_id(&ids, values, side->key_count * sizeof *values, &is_new);
        side->label_class[t] = id;
        if (!is_new)
            continue;
        side->label_sample = tool_grow(side->label_sample, &sample_cap, id, sizeof(uint32_t));
        side->label_sample[id] = t;
        for (size_t k = 0; k < side->key_count; k++) {
            const size_t at = id * side->key_count + k;
            side->values = tool_grow(side->values, &value_cap, at, sizeof *side->values);
            side->values[at] = values[k];
        }
    }
    side->label_class_count = ids.count;
    interner_clear(&ids);
    free(values);
}

/* ---- selections ---- */

/* The target has a label that the selector asks for; names are looked at elsewhere. */
static bool label_fits(const struct selector *s, const struct target_entry *t)
{
    for (size_t i = 0; i < t->label_count; i++) {
        if (t->labels[i].key != s->key)
            continue;
        for (size_t k = 0; k < s->count; k++) {
            if (s->values[k] == t->labels[i].value)
                return true;
        }
        return false;
    }
    return false;
}

static bool labels_fit(const struct role *role, const struct target_entry *t)
{
    for (size_t i = 0; i < role->selector_count; i++) {
        if (role->selectors[i].key && !label_fits(&role->selectors[i], t))
            return false;
    }
    return true;
}

/* Label classes by one label: "which have env: prod". */
struct postings {
    struct interner ids; /* of struct pair */
    struct numbers *classes;
    size_t cap;
};

static void fill_postings(const struct side *side, struct postings *out)
{
    for (uint32_t c = 0; c < side->label_class_count; c++) {
        for (size_t k = 0; k < side->key_count; k++) {
            const struct pair pair = {side->keys[k], side->values[c * side->key_count + k]};
            bool is_new;
            if (!pair.value)
                continue;
            const uint32_t id = interner_id(&out->ids, &pair, sizeof pair, &is_new);
            if (is_new) {
                out->classes = tool_grow(out->classes, &out->cap, id, sizeof *out->classes);
                out->classes[id] = (struct numbers){0};
            }
            tool_add(&out->classes[id], c);
        }
    }
}

static void clear_postings(struct postings *p)
{
    for (uint32_t i = 0; i < p->ids.count; i++)
        free(p->classes[i].at);
    free(p->classes);
    interner_clear(&p->ids);
}

/* How many label classes have one of the selector's values. */
static size_t candidates(const struct postings *postings, const struct selector *s)
{
    size_t count = 0;

    for (size_t v = 0; v < s->count; v++) {
        const struct pair wanted = {s->key, s->values[v]};
        uint32_t id;
        if (table_get(&postings->ids.table, &wanted, sizeof wanted, &id))
            count += postings->classes[id].count;
    }
    return count;
}

static bool has_value(const struct selector *s, const char *value)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->values[i] == value)
            return true;
    }
    return false;
}

/* All of the role's labels fit the class. key: of each selector, among side->keys. */
static bool class_fits(const struct side *side, const struct role *role, const size_t *key,
                       uint32_t class)
{
    for (size_t i = 0; i < role->selector_count; i++) {
        const char *value = side->values[class * side->key_count + key[i]];
        if (!value || !has_value(&role->selectors[i], value))
            return false;
    }
    return true;
}

static void select_by_label(const struct side *side, const struct postings *postings,
                            const struct role *role, struct selection *out)
{
    const struct selector *rarest = NULL;
    size_t fewest = 0, key[LABELS_MAX];

    for (size_t i = 0; i < role->selector_count; i++) {
        const size_t count = candidates(postings, &role->selectors[i]);
        const char **at = bsearch(&role->selectors[i].key, side->keys, side->key_count,
                                  sizeof *side->keys, by_address);
        INVARIANT(at);
        key[i] = (size_t)(at - side->keys);
        if (rarest && count >= fewest)
            continue;
        rarest = &role->selectors[i];
        fewest = count;
    }
    for (uint32_t c = 0; !rarest && c < side->label_class_count; c++)
        tool_add(&out->at, c);
    for (size_t v = 0; rarest && v < rarest->count; v++) {
        const struct pair wanted = {rarest->key, rarest->values[v]};
        uint32_t id;
        if (!table_get(&postings->ids.table, &wanted, sizeof wanted, &id))
            continue;
        for (size_t i = 0; i < postings->classes[id].count; i++) {
            const uint32_t c = postings->classes[id].at[i];
            if (class_fits(side, role, key, c))
                tool_add(&out->at, c);
        }
    }
    tool_sort_unique(&out->at);
}

static void select_by_name(const struct side *side, const struct role *role,
                           const struct selector *names, struct selection *out)
{
    out->named = true;
    for (size_t i = 0; i < names->count; i++) {
        if (labels_fit(role, &side->p->targets[names->targets[i]]))
            tool_add(&out->at, names->targets[i]);
    }
    tool_sort_unique(&out->at);
}

/* Roles with the same words share a selection. */
static void find_selections(struct side *side)
{
    const struct policy *p = side->p;
    struct postings postings = {0};
    struct interner ids = {0};
    struct buf key;

    fill_postings(side, &postings);
    buf_init(&key, SIZE_MAX / 2);
    side->selection_of_role = tool_alloc(p->role_count, sizeof(uint32_t));
    for (size_t r = 0; r < p->role_count; r++) {
        const struct role *role = &p->roles[r];
        const struct selector *names = NULL;
        bool is_new;
        for (size_t i = 0; i < role->selector_count; i++) {
            const struct selector *s = &role->selectors[i];
            names = s->key ? names : s;
            INVARIANT(buf_put(&key, &s->key, sizeof s->key) == 0 &&
                      buf_put(&key, &s->count, sizeof s->count) == 0 &&
                      buf_put(&key, s->key ? (const void *)s->values : s->targets,
                              s->count * (s->key ? sizeof *s->values : sizeof *s->targets)) == 0);
        }
        const uint32_t id = interner_id(&ids, buf_head(&key), buf_len(&key), &is_new);
        buf_clear(&key);
        side->selection_of_role[r] = id;
        if (!is_new)
            continue;
        side->selections =
            tool_grow(side->selections, &side->selection_cap, id, sizeof *side->selections);
        side->selections[id] = (struct selection){.list = NOWHERE};
        side->selection_count++;
        if (names)
            select_by_name(side, role, names, &side->selections[id]);
        else
            select_by_label(side, &postings, role, &side->selections[id]);
    }
    interner_clear(&ids);
    clear_postings(&postings);
}

/* ---- target classes ---- */

static void find_classes(struct diff_inside *in)
{
    struct numbers *named_by = tool_alloc(in->target_count, sizeof *named_by);
    struct interner ids = {0};
    size_t cap = 0;

    for (uint32_t s = 0; s < 2; s++) {
        const struct side *side = &in->side[s];
        for (uint32_t k = 0; k < side->selection_count; k++) {
            const struct selection *sel = &side->selections[k];
            for (size_t i = 0; sel->named && i < sel->at.count; i++)
                tool_add(&named_by[side->joint_of_target[sel->at.at[i]]], 2 * k + s);
        }
    }
    for (uint32_t t = 0; t < in->target_count; t++) {
        struct numbers key = {0};
        bool is_new;
        for (int s = 0; s < 2; s++) {
            const uint32_t here = in->side[s].target_of_joint[t];
            tool_add(&key, here == NOWHERE ? NOWHERE : in->side[s].label_class[here]);
        }
        for (size_t i = 0; i < named_by[t].count; i++)
            tool_add(&key, named_by[t].at[i]);
        const uint32_t class = interner_id(&ids, key.at, key.count * sizeof *key.at, &is_new);
        if (is_new) {
            in->class_members =
                tool_grow(in->class_members, &cap, class, sizeof *in->class_members);
            in->class_members[class] = (struct numbers){0};
        }
        tool_add(&in->class_members[class], t);
        free(key.at);
        free(named_by[t].at);
    }
    in->class_count = ids.count;
    interner_clear(&ids);
    free(named_by);
}

static void classes_of_labels(struct diff_inside *in)
{
    for (int s = 0; s < 2; s++) {
        struct side *side = &in->side[s];
        side->label_classes_of = tool_alloc(side->label_class_count, sizeof(struct numbers));
        for (uint32_t c = 0; c < in->class_count; c++) {
            const uint32_t here = side->target_of_joint[in->class_members[c].at[0]];
            if (here != NOWHERE)
                tool_add(&side->label_classes_of[side->label_class[here]], c);
        }
    }
}

uint32_t diff_list_id(struct diff_inside *in, const struct numbers *classes)
{
    bool is_new;
    const uint32_t id =
        interner_id(&in->list_ids, classes->at, classes->count * sizeof *classes->at, &is_new);

    if (!is_new)
        return id;
    in->lists = tool_grow(in->lists, &in->list_cap, id, sizeof *in->lists);
    in->lists[id] = (struct numbers){0};
    for (size_t i = 0; i < classes->count; i++)
        tool_add(&in->lists[id], classes->at[i]);
    return id;
}

static void lists_of_selections(struct diff_inside *in, struct side *side)
{
    uint32_t *class_of = tool_alloc(in->target_count, sizeof *class_of);

    for (uint32_t c = 0; c < in->class_count; c++) {
        for (size_t i = 0; i < in->class_members[c].count; i++)
            class_of[in->class_members[c].at[i]] = c;
    }
    for (size_t k = 0; k < side->selection_count; k++) {
        struct selection *sel = &side->selections[k];
        struct numbers classes = {0};
        for (size_t i = 0; i < sel->at.count; i++) {
            if (sel->named) {
                tool_add(&classes, class_of[side->joint_of_target[sel->at.at[i]]]);
                continue;
            }
            const struct numbers *of = &side->label_classes_of[sel->at.at[i]];
            for (size_t c = 0; c < of->count; c++)
                tool_add(&classes, of->at[c]);
        }
        tool_sort_unique(&classes);
        sel->list = diff_list_id(in, &classes);
        free(classes.at);
    }
    free(class_of);
}

void diff_join_targets(struct diff_inside *in)
{
    join_names(in);
    for (int s = 0; s < 2; s++) {
        find_label_classes(&in->side[s]);
        find_selections(&in->side[s]);
    }
    find_classes(in);
    classes_of_labels(in);
    for (int s = 0; s < 2; s++)
        lists_of_selections(in, &in->side[s]);
}
