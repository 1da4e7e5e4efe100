/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives back what policy/diff.h made. */
#include "policy/diff_state.h"

static void clear_side(struct side *side)
{
    for (uint32_t i = 0; side->label_classes_of && i < side->label_class_count; i++)
        free(side->label_classes_of[i].at);
    for (size_t i = 0; i < side->selection_count; i++)
        free(side->selections[i].at.at);
    free(side->label_classes_of);
    free(side->selections);
    free(side->joint_of_target);
    free(side->label_class);
    free(side->label_sample);
    free(side->keys);
    free(side->values);
    free(side->selection_of_role);
    free(side->effect_of_role);
    free(side->target_of_joint);
    free(side->operator_of_joint);
}

static void clear_inside(struct diff_inside *in)
{
    diff_walk_clear(in);
    for (int s = 0; s < 2; s++)
        clear_side(&in->side[s]);
    for (size_t i = 0; i < in->class_count; i++)
        free(in->class_members[i].at);
    for (uint32_t i = 0; i < in->list_ids.count; i++)
        free(in->lists[i].at);
    for (uint32_t i = 0; i < in->effect_ids.count; i++) {
        free(in->effects[i].accounts.at);
        free(in->effects[i].roles[0].at);
        free(in->effects[i].roles[1].at);
    }
    for (uint32_t i = 0; i < in->operator_class_ids.count; i++) {
        free(in->operator_classes[i].effects[0].at);
        free(in->operator_classes[i].effects[1].at);
        free(in->operator_classes[i].members.at);
    }
    for (uint32_t i = 0; i < in->memo_ids.count; i++) {
        free(in->memos[i].effects[0].at);
        free(in->memos[i].effects[1].at);
    }
    for (uint32_t i = 0; i < in->change_ids.count; i++)
        diff_change_clear(&in->changes[i]);
    interner_clear(&in->list_ids);
    interner_clear(&in->effect_ids);
    interner_clear(&in->account_ids);
    interner_clear(&in->operator_class_ids);
    interner_clear(&in->operator_entry_ids);
    interner_clear(&in->memo_ids);
    interner_clear(&in->change_ids);
    free(in->role_found);
    free(in->role_names);
    free(in->class_members);
    free(in->lists);
    free(in->effects);
    free(in->operator_classes);
    free(in->memos);
    free(in->changes);
    free(in->target_names);
    free(in->operator_names);
    free(in->account_names);
    free(in);
}

static void clear_group(struct diff_group *g)
{
    for (size_t i = 0; i < g->part_count; i++) {
        free(g->parts[i].operators);
        free(g->parts[i].accounts);
    }
    free(g->parts);
    free(g->old_roles);
    free(g->new_roles);
}

void diff_clear(struct diff *d)
{
    for (size_t i = 0; i < d->group_count; i++)
        clear_group(&d->groups[i]);
    for (size_t i = 0; i < d->identity_count; i++) {
        free(d->identities[i].old);
        free(d->identities[i].new);
    }
    free(d->groups);
    free(d->identities);
    if (d->inside)
        clear_inside(d->inside);
    *d = (struct diff){0};
}
