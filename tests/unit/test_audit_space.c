/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk ahead of the trail's writer: what is allocated, kept, and given back. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/segments.h"
#include "audit/trail_space.h"
#include "tests/unit/audit_lab.h"

/* The last segment's size and blocks. */
static size_t last_segment(struct audit_lab *lab, struct stat *st)
{
    struct segments list;
    struct err e = ERR_INIT;
    char name[SEGMENT_NAME_MAX];
    size_t count;

    cr_assert_eq(segments_list(&list, lab->dir, &e), 0);
    count = list.count;
    segment_name(list.first[count - 1], name);
    cr_assert_eq(fstatat(lab->dir, name, st, 0), 0);
    segments_clear(&list);
    return count;
}

Test(space, a_reserve_is_allocated_behind_what_is_written_and_given_back)
{
    struct audit_lab lab;
    struct trail *t;
    struct stat st;
    struct verify_result v;
    struct err e = ERR_INIT;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 10, true);
    cr_assert_eq(trail_sync_now(t, &e), 0);
    last_segment(&lab, &st);
    cr_expect_geq((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size + SPACE_ENDS + SPACE_SMALL);
    cr_expect(trail_has_room(t, SPACE_SESSION, RECORD_PAYLOAD_MAX));
    lab_shut_down(t);
    last_segment(&lab, &st);
    cr_expect_lt((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size + 65536);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    lab_remove(&lab);
}

Test(space, a_segment_without_a_next_one_goes_on_into_its_reserve)
{
    struct audit_lab lab;
    struct trail *t;
    struct stat st;
    struct verify_result v;
    struct err e = ERR_INIT;

    lab_make(&lab);
    /* In the place of the next segment's file stands something else. */
    cr_assert_eq(mkdirat(lab.dir, SPACE_NEXT_FILE, 0700), 0);
    t = lab_trail(&lab, 4096);
    lab_session(t, 1, 200, true);
    cr_assert_eq(trail_sync_now(t, &e), 0);
    cr_expect_eq(last_segment(&lab, &st), 1);
    cr_expect_gt(st.st_size, 200 * 176);
    cr_expect_not(trail_has_room(t, SPACE_SESSION, 100), "the reserve is no session's");
    cr_expect(trail_has_room(t, SPACE_GATEWAY, 100));
    cr_assert_eq(unlinkat(lab.dir, SPACE_NEXT_FILE, AT_REMOVEDIR), 0);
    usleep(600000); /* it is not asked all the time */
    cr_expect(trail_has_room(t, SPACE_SESSION, 100));
    lab_session(t, 2, 20, true);
    cr_expect_gt(last_segment(&lab, &st), 1);
    lab_shut_down(t);
    cr_expect_eq(faccessat(lab.dir, SPACE_NEXT_FILE, F_OK, 0), -1, "it is still there");
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    lab_remove(&lab);
}

Test(space, rooms)
{
    const struct trail_space s = {.allocated = 64 << 20};
    static const uint64_t bytes[] = {0, 50 << 20, 54 << 20, 57 << 20, 60 << 20};

    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        uint64_t left = s.allocated - bytes[i], all = SPACE_ENDS + SPACE_SMALL;

        cr_expect_eq(space_room(&s, SPACE_SESSION, bytes[i]), left > all ? left - all : 0);
        cr_expect_eq(space_room(&s, SPACE_GATEWAY, bytes[i]),
                     left > SPACE_ENDS ? left - SPACE_ENDS : 0);
    }
}
