/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk of policy/diff.h: for every class of operators whose effects differ, the targets that a
 * differing effect selects are parted by which of the operators' effects meet there, and each part
 * is decided once for each account. The parting is a refinement: each effect splits the parts that
 * it cuts, at the cost of its list of target classes and no more. */
#include <sys/random.h>

#include "policy/diff_state.h"

struct walk {
    struct standing {
        uint32_t round, part; /* of the target class: when it was touched, and its part then */
    } * places;               /* by target class */
    uint32_t round;
    uint32_t *touched; /* has room for all classes */
    size_t touched_count;
    struct part {
        uint32_t up, effect, side; /* the part that this one was split from, and by what */
        uint32_t pass, split;      /* in this pass, what it cuts goes to split */
        size_t classes;
        struct mark mark;
    } * parts;
    size_t part_count, part_cap;
    struct spot {
        uint32_t account, change, part, memo;
    } * spots;
    size_t spot_count, spot_cap;
    struct numbers scratch[3]; /* two lists of effects, and accounts */
    struct numbers effects[2];
};

/* More decisions than this are not made (a few seconds), nor more target classes visited, unless
 * somebody asks for it. */
#define DECISIONS_MAX UINT64_C(120000)
#define VISITS_MAX    UINT64_C(300000000)

static void touch(struct diff_inside *in, struct walk *w, uint32_t list)
{
    const struct numbers *classes = &in->lists[list];

    in->visits += classes->count;
    for (size_t i = 0; i < classes->count; i++) {
        const uint32_t c = classes->at[i];
        struct standing *place = &w->places[c];
        if (place->round == w->round)
            continue;
        *place = (struct standing){w->round, 0};
        w->touched[w->touched_count++] = c;
    }
}

/* The lists of effects that only one side has, or of all when something else about the operator
 * differs. */
static void touch_differing(struct diff_inside *in, struct walk *w,
                            const struct operator_class *class)
{
    const struct numbers *a = &class->effects[0], *b = &class->effects[1];
    const bool all = class->from[0] != class->from[1];
    size_t i = 0, k = 0;

    w->round++;
    w->touched_count = 0;
    while (i < a->count || k < b->count) {
        const uint32_t x = i < a->count ? a->at[i] : NOWHERE, y = k < b->count ? b->at[k] : NOWHERE;
        if (all || x != y)
            touch(in, w, in->effects[x < y ? x : y].list);
        i += x <= y;
        k += y <= x;
    }
}

static uint32_t new_part(struct walk *w, uint32_t up, uint32_t side, uint32_t effect)
{
    w->parts = tool_grow(w->parts, &w->part_cap, w->part_count, sizeof *w->parts);
    w->parts[w->part_count] = (struct part){.up = up, .effect = effect, .side = side};
    return (uint32_t)w->part_count++;
}

/* Part 0 is what no effect cuts. */
static void refine(struct diff_inside *in, struct walk *w, const struct operator_class *class)
{
    uint32_t pass = 0;

    w->part_count = 0;
    new_part(w, NOWHERE, 0, NOWHERE);
    w->parts[0].classes = w->touched_count;
    for (uint32_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < class->effects[s].count; i++) {
            const uint32_t effect = class->effects[s].at[i];
            const struct numbers *classes = &in->lists[in->effects[effect].list];
            pass++;
            in->visits += classes->count;
            for (size_t c = 0; c < classes->count; c++) {
                struct standing *place = &w->places[classes->at[c]];
                const uint32_t part = place->part;
                if (place->round != w->round)
                    continue;
                if (w->parts[part].pass != pass) {
                    const uint32_t split = new_part(w, part, s, effect);
                    w->parts[part].pass = pass;
                    w->parts[part].split = split;
                }
                place->part = w->parts[part].split;
                w->parts[part].classes--;
                w->parts[w->parts[part].split].classes++;
            }
        }
    }
}

static void add_mark(struct mark *to, const struct mark *more)
{
    to->sum[0] += more->sum[0];
    to->sum[1] += more->sum[1];
    to->targets += more->targets;
}

static void reverse(struct numbers *n)
{
    for (size_t i = 0; i < n->count / 2; i++) {
        const uint32_t swap = n->at[i];
        n->at[i] = n->at[n->count - 1 - i];
        n->at[n->count - 1 - i] = swap;
    }
}

/* The effects of each side that meet in this part, ascending. */
static void effects_of(struct walk *w, uint32_t part)
{
    w->effects[0].count = w->effects[1].count = 0;
    for (; part; part = w->parts[part].up)
        tool_add(&w->effects[w->parts[part].side], w->parts[part].effect);
    reverse(&w->effects[0]);
    reverse(&w->effects[1]);
}

static bool has_account(const struct effect *effect, uint32_t account)
{
    for (size_t i = 0; i < effect->accounts.count; i++) {
        if (effect->accounts.at[i] == account)
            return true;
    }
    return false;
}

static void with_account(const struct diff_inside *in, const struct numbers *effects,
                         uint32_t account, struct numbers *out)
{
    out->count = 0;
    for (size_t i = 0; i < effects->count; i++) {
        if (has_account(&in->effects[effects->at[i]], account))
            tool_add(out, effects->at[i]);
    }
}

/* Decides for the effects in scratch, if nobody has yet. *memo: which. */
static int decide_once(struct diff_inside *in, struct walk *w, const struct operator_class *class,
                       uint32_t target, uint32_t account, uint32_t *memo, struct err *e)
{
    struct numbers key = {0};
    bool is_new;

    tool_add(&key, class->from[0]);
    tool_add(&key, class->from[1]);
    for (int s = 0; s < 2; s++) {
        tool_add(&key, (uint32_t)w->scratch[s].count);
        for (size_t i = 0; i < w->scratch[s].count; i++)
            tool_add(&key, w->scratch[s].at[i]);
    }
    *memo = interner_id(&in->memo_ids, key.at, key.count * sizeof *key.at, &is_new);
    free(key.at);
    if (!is_new)
        return 0;
    in->memos = tool_grow(in->memos, &in->memo_cap, *memo, sizeof *in->memos);
    in->memos[*memo] = (struct memo){.change = NOWHERE};
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < w->scratch[s].count; i++)
            tool_add(&in->memos[*memo].effects[s], w->scratch[s].at[i]);
    }
    if (in->bounded && (in->decisions > DECISIONS_MAX || in->visits > VISITS_MAX))
        return ERR_FULL;
    return diff_compare(in, w->scratch, class->members.at[0], target, account,
                        &in->memos[*memo].change, e);
}

static int compare_part(struct diff_inside *in, struct walk *w, const struct operator_class *class,
                        uint32_t part, uint32_t target, struct err *e)
{
    const bool from_differs = class->from[0] != class->from[1];
    struct numbers *accounts = &w->scratch[2];
    int rc = 0;

    effects_of(w, part);
    accounts->count = 0;
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < w->effects[s].count; i++) {
            const struct numbers *of = &in->effects[w->effects[s].at[i]].accounts;
            for (size_t k = 0; k < of->count; k++)
                tool_add(accounts, of->at[k]);
        }
    }
    tool_sort_unique(accounts);
    for (size_t i = 0; i < accounts->count && rc == 0; i++) {
        const uint32_t account = accounts->at[i];
        uint32_t memo;
        with_account(in, &w->effects[0], account, &w->scratch[0]);
        with_account(in, &w->effects[1], account, &w->scratch[1]);
        if (!from_differs && tool_equal(&w->scratch[0], &w->scratch[1]))
            continue;
        rc = decide_once(in, w, class, target, account, &memo, e);
        if (rc == 0 && in->memos[memo].change != NOWHERE) {
            w->spots = tool_grow(w->spots, &w->spot_cap, w->spot_count, sizeof *w->spots);
            w->spots[w->spot_count++] = (struct spot){account, in->memos[memo].change, part, memo};
        }
    }
    return rc;
}

static int by_spot(const void *left, const void *right)
{
    const struct spot *a = left, *b = right;

    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    if (a->change != b->change)
        return a->change < b->change ? -1 : 1;
    return a->part < b->part ? -1 : a->part > b->part;
}

/* Fills spots. */
static int compare_operators(struct diff_inside *in, struct walk *w,
                             const struct operator_class *class, struct err *e)
{
    int rc = 0;

    w->spot_count = 0;
    touch_differing(in, w, class);
    if (!w->touched_count)
        return 0;
    refine(in, w, class);
    for (size_t i = 0; i < w->touched_count && rc == 0; i++) {
        const uint32_t c = w->touched[i];
        struct part *part = &w->parts[w->places[c].part];
        const bool first = !part->mark.targets;
        add_mark(&part->mark, &in->class_marks[c]);
        if (first)
            rc = compare_part(in, w, class, w->places[c].part, in->class_members[c].at[0], e);
    }
    if (w->spot_count)
        qsort(w->spots, w->spot_count, sizeof *w->spots, by_spot);
    return rc;
}

static uint32_t mark_id(struct diff_inside *in, const struct mark *mark)
{
    bool is_new;
    const uint32_t id = interner_id(&in->mark_ids, mark, sizeof *mark, &is_new);

    if (is_new) {
        in->marks = tool_grow(in->marks, &in->mark_cap, id, sizeof *in->marks);
        in->marks[id] = *mark;
    }
    return id;
}

static uint32_t memo_list_id(struct diff_inside *in, struct numbers *memos)
{
    bool is_new;

    tool_sort_unique(memos);
    const uint32_t id =
        interner_id(&in->memo_list_ids, memos->at, memos->count * sizeof *memos->at, &is_new);
    if (is_new) {
        in->memo_lists = tool_grow(in->memo_lists, &in->memo_list_cap, id, sizeof *in->memo_lists);
        in->memo_lists[id] = (struct numbers){0};
        for (size_t i = 0; i < memos->count; i++)
            tool_add(&in->memo_lists[id], memos->at[i]);
    }
    return id;
}

/* The operator class's differences, by account and change. */
static void take_spots(struct diff_inside *in, struct walk *w, uint32_t operators)
{
    struct numbers memos = {0};

    for (size_t i = 0; i < w->spot_count;) {
        const struct spot first = w->spots[i];
        struct mark mark = {0};
        memos.count = 0;
        for (; i < w->spot_count && w->spots[i].account == first.account &&
               w->spots[i].change == first.change;
             i++) {
            add_mark(&mark, &w->parts[w->spots[i].part].mark);
            tool_add(&memos, w->spots[i].memo);
        }
        in->found = tool_grow(in->found, &in->found_cap, in->found_count, sizeof *in->found);
        in->found[in->found_count++] = (struct found){
            first.change, first.account, mark_id(in, &mark), operators, memo_list_id(in, &memos)};
    }
    free(memos.at);
}

static int draw_marks(struct diff_inside *in, struct err *e)
{
    in->class_marks = tool_alloc(in->class_count, sizeof *in->class_marks);
    for (uint32_t c = 0; c < in->class_count; c++) {
        struct mark *m = &in->class_marks[c];
        if (getrandom(m->sum, sizeof m->sum, 0) != sizeof m->sum)
            return err_errno(e, "random numbers");
        m->targets = in->class_members[c].count;
    }
    return 0;
}

int diff_walk(struct diff_inside *in, bool bounded, struct err *e)
{
    struct walk *w = in->walk = tool_alloc(1, sizeof *w);
    in->bounded = bounded;
    int rc = draw_marks(in, e);

    w->places = tool_alloc(in->class_count, sizeof *w->places);
    w->touched = tool_alloc(in->class_count, sizeof *w->touched);
    for (uint32_t i = 0; i < in->operator_class_ids.count && rc == 0; i++) {
        rc = compare_operators(in, w, &in->operator_classes[i], e);
        if (rc == 0)
            take_spots(in, w, i);
    }
    return rc;
}

void diff_walk_classes(struct diff_inside *in, uint32_t operator_class, uint32_t account,
                       uint32_t change, struct numbers *classes)
{
    struct walk *w = in->walk;
    struct err e = ERR_INIT;
    bool *taken;

    /* Every decision was made before: nothing can fail. */
    INVARIANT(compare_operators(in, w, &in->operator_classes[operator_class], &e) == 0);
    taken = tool_alloc(w->part_count, sizeof *taken);
    for (size_t i = 0; i < w->spot_count; i++) {
        if (w->spots[i].account == account && w->spots[i].change == change)
            taken[w->spots[i].part] = true;
    }
    for (size_t i = 0; i < w->touched_count; i++) {
        if (taken[w->places[w->touched[i]].part])
            tool_add(classes, w->touched[i]);
    }
    free(taken);
}

void diff_walk_clear(struct diff_inside *in)
{
    struct walk *w = in->walk;

    if (!w)
        return;
    for (int i = 0; i < 3; i++)
        free(w->scratch[i].at);
    free(w->effects[0].at);
    free(w->effects[1].at);
    free(w->places);
    free(w->touched);
    free(w->parts);
    free(w->spots);
    free(w);
    for (uint32_t i = 0; i < in->memo_list_ids.count; i++)
        free(in->memo_lists[i].at);
    interner_clear(&in->memo_list_ids);
    interner_clear(&in->mark_ids);
    free(in->class_marks);
    free(in->memo_lists);
    free(in->marks);
    free(in->found);
}
