/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy classify`: its exit statuses, its two outputs, what it keeps to itself. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/cli_classify.h"

static char output[65536];

/* Runs it with these words, parted by "|"; what it prints is in output. */
static int run(const char *words)
{
    char text[1024], *argv[64];
    int argc = 0;

    snprintf(text, sizeof text, "classify|%s", words);
    for (char *at = text; at; argc++) {
        argv[argc] = at;
        at = strchr(at, '|');
        if (at)
            *at++ = 0;
    }
    argv[argc] = NULL;
    FILE *file = tmpfile();
    cr_assert(file);
    fflush(stdout);
    const int saved = dup(1);
    dup2(fileno(file), 1);
    const int status = cli_policy_classify(argc, argv);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    rewind(file);
    output[fread(output, 1, sizeof output - 1, file)] = 0;
    fclose(file);
    return status;
}

Test(cli_classify, statuses)
{
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|virsh|setmem|vm1|2G"), 0);
    cr_expect(strstr(output, "memory") && strstr(output, "2147483648 bytes"), "%s", output);
    cr_expect_eq(run("--packs|" PACKS_DIR "|virsh|setmem|vm1|2G"), 0);
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|virsh|list"), 1);
    cr_expect_str_eq(output, "no class\n");
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|virsh list"), 1);
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|virsh snapshot-create vm7"), 0);
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|virsh|list; snapshot-create vm7"), 0);
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|virsh list; id"), 2, "a text that does not split");
    cr_expect_eq(run("--packs|" PACKS_DIR), 2, "no command");
    cr_expect_eq(run("--packs|" PACKS_DIR "|--frob|x"), 2);
    cr_expect_eq(run("--packs|/nonexistent|--|virsh|list"), 2);
    cr_expect_eq(run("--packs|" PACKS_DIR "/..|--|virsh|list"), 2, "a directory of other files");
    cr_expect_eq(run("--help"), 0);
    cr_expect(strstr(output, "usage: sallyport policy classify"));
}

Test(cli_classify, json)
{
    cr_expect_eq(run("--json|--packs|" PACKS_DIR "|--|qm|set|100|-memory|4096|-cores|lots"), 0);
    json_t *root = json_loads(output, 0, NULL);
    cr_assert(root, "%s", output);
    json_t *found = json_object_get(root, "found");
    cr_assert_eq(json_array_size(found), 2u);
    json_t *memory = json_array_get(found, 0), *cpu = json_array_get(found, 1);
    cr_expect_str_eq(json_string_value(json_object_get(memory, "family")), "proxmox");
    cr_expect_str_eq(json_string_value(json_object_get(memory, "vm")), "100");
    cr_expect(json_is_null(json_object_get(memory, "old")));
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(memory, "new"), "value")),
                 4294967296);
    cr_expect(json_is_null(json_object_get(json_object_get(cpu, "new"), "value")));
    cr_expect_str_eq(json_string_value(json_object_get(json_object_get(cpu, "new"), "text")),
                     "lots");
    cr_expect_eq(json_array_size(json_object_get(root, "classes")), 2u);
    cr_expect(json_is_false(json_object_get(root, "opaque")));
    json_decref(root);
    cr_expect_eq(run("--json|--packs|" PACKS_DIR "|--|ls"), 1);
    root = json_loads(output, 0, NULL);
    cr_expect_eq(json_array_size(json_object_get(root, "found")), 0u);
    json_decref(root);
}

Test(cli_classify, no_password)
{
    cr_expect_eq(run("--packs|" PACKS_DIR "|--|hdparm|--security-erase|PASSWORD|/dev/sdb"), 0);
    cr_expect(!strstr(output, "PASSWORD") && strstr(output, "/dev/sdb"), "%s", output);
    cr_expect_eq(run("--json|--packs|" PACKS_DIR "|--|hdparm|--security-erase|PASSWORD|/dev/sdb"),
                 0);
    cr_expect(!strstr(output, "PASSWORD") && strstr(output, "\"secret\":true"), "%s", output);
}
