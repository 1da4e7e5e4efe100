/* SPDX-License-Identifier: Apache-2.0
 *
 * Others' opinion of the grammar of commands: whatever words_split accepts, shfmt parses as exactly
 * one simple command with the same literal words, in three dialects; and what words_quote makes of
 * it is read as the same words by each shell that Debian has and that an account may have. Over
 * commands that people write and over random ones from fixed seeds. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/rules.h"

#define RANDOM_COMMANDS 12000
#define ACCEPTED_MAX    8000

static const char *const written[] = {
    "ls",
    "/usr/bin/virsh -c test:///default list",
    "virsh 'list; snapshot-create vm7'",
    "vir\"sh\" list",
    "a ''",
    "a \"\" b",
    "a b'  'c",
    "a '$HOME `id` ; & > < * ? [ ] { } ( ) ~ #'",
    "a \"; & > < * ? [ ] { } ( ) ~ # '\"",
    "a '\"'",
    "a '\\'",
    "a '!'",
    "a b=c --x=y,z:1+2@h%p",
    "a 'caf\xc3\xa9'",
    "a =b %1 - -- . ..",
    "a if then fi",
    "'if' x",
    "a '{' '}' '!' '[['",
    "echo -n -e x",
    "test '(' x ')'",
    "a 1 '2>' 3",
    "a x'='y",
    "env 'A=b' c",
};

static struct words *accepted;
static size_t accepted_count;
static struct buf lines; /* as they were sent, one a line */

static void take(const char *text, size_t len)
{
    if (accepted_count == ACCEPTED_MAX ||
        words_split(text, len, &accepted[accepted_count], NULL) < 0)
        return;
    cr_assert_eq(buf_put(&lines, text, len), 0);
    cr_assert_eq(buf_put(&lines, "\n", 1), 0);
    accepted_count++;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Half of it is plain, so that some thousand of it are accepted. */
static void take_random(uint64_t *state)
{
    static const char *const pieces[] = {"a",        "b",
                                         "-",        "/",
                                         "=",        "%",
                                         ":",        ".",
                                         "1",        "x",
                                         " ",        " ",
                                         "'",        "'",
                                         "\"",       "\"",
                                         "'$x'",     "\" \"",
                                         "if",       "do",
                                         "{",        "}",
                                         "(",        ")",
                                         "!",        "*",
                                         "?",        "[",
                                         "]",        "~",
                                         "#",        "^",
                                         "$",        "`",
                                         "\\",       ";",
                                         "&",        "|",
                                         "<",        ">",
                                         "\t",       "\n",
                                         "\r",       "\xc3\xa9",
                                         "\xc2\xa0", "\xe2\x80\x8b",
                                         "\xff",     "\x1b",
                                         "+",        ",",
                                         "@",        "_"};
    char text[200];
    size_t at = 0;

    for (size_t n = 1 + next_random(state) % 14; n > 0; n--) {
        const uint64_t r = next_random(state);
        const size_t of = (r >> 32) % 4 ? 18 : sizeof pieces / sizeof *pieces;
        at = (size_t)(stpcpy(text + at, pieces[r % of]) - text);
    }
    take(text, at);
}

static void gather(void)
{
    uint64_t state = 88172645463325252u;

    accepted = malloc(ACCEPTED_MAX * sizeof *accepted);
    cr_assert_not_null(accepted);
    buf_init(&lines, 16 << 20);
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        take(written[i], strlen(written[i]));
    cr_assert_eq(accepted_count, sizeof written / sizeof *written);
    for (int i = 0; i < RANDOM_COMMANDS; i++)
        take_random(&state);
    cr_assert_gt(accepted_count, 1000, "%zu", accepted_count);
    cr_assert_lt(accepted_count, ACCEPTED_MAX);
}

static void drop(void)
{
    for (size_t i = 0; i < accepted_count; i++)
        words_clear(&accepted[i]);
    free(accepted);
    buf_clear(&lines);
}

static void write_file(char *path, const struct buf *b)
{
    const int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    FILE *f = fdopen(fd, "w");
    cr_assert_eq(fwrite(buf_head(b), 1, buf_len(b), f), buf_len(b));
    cr_assert_eq(fclose(f), 0);
}

/* The parts of one word: literal text, quotes of literal text. False at anything else. */
static bool add_parts(const json_t *parts, char *out, size_t cap)
{
    size_t i;
    json_t *part;

    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "Type"));
        const char *value = json_string_value(json_object_get(part, "Value"));
        if (type && strcmp(type, "DblQuoted") == 0) {
            if (json_is_true(json_object_get(part, "Dollar")) ||
                !add_parts(json_object_get(part, "Parts"), out, cap))
                return false;
        } else if (type && value &&
                   (strcmp(type, "Lit") == 0 || (strcmp(type, "SglQuoted") == 0 &&
                                                 !json_is_true(json_object_get(part, "Dollar"))))) {
            if (strlen(out) + strlen(value) >= cap)
                return false;
            strcat(out, value);
        } else if (!(type && strcmp(type, "SglQuoted") == 0 && !value)) { /* '' has no value */
            return false;
        }
    }
    return true;
}

static void expect_words(const json_t *statement, const struct words *w, const char *language)
{
    const json_t *command = json_object_get(statement, "Cmd");
    const json_t *args = json_object_get(command, "Args");
    char word[400];

    cr_assert_str_eq(json_string_value(json_object_get(command, "Type")), "CallExpr", "%s: %s",
                     language, w->word[0]);
    cr_assert_eq(json_array_size(json_object_get(command, "Assigns")), 0);
    cr_assert_eq(json_array_size(json_object_get(statement, "Redirs")), 0);
    cr_assert(!json_is_true(json_object_get(statement, "Background")) &&
              !json_is_true(json_object_get(statement, "Negated")) &&
              !json_is_true(json_object_get(statement, "Coprocess")));
    cr_assert_eq(json_array_size(args), w->count, "%s: %s", language, w->word[0]);
    for (size_t i = 0; i < w->count; i++) {
        word[0] = 0;
        cr_assert(add_parts(json_object_get(json_array_get(args, i), "Parts"), word, sizeof word),
                  "%s: %s", language, w->word[i]);
        cr_assert_str_eq(word, w->word[i], "%s", language);
    }
}

Test(policy_oracle, shfmt_parses_the_same_words)
{
    static const char *const languages[] = {"posix", "bash", "mksh"};
    char path[] = "/tmp/sallyport-words-XXXXXX", line[200];

    gather();
    write_file(path, &lines);
    for (size_t k = 0; k < sizeof languages / sizeof *languages; k++) {
        json_error_t why;
        snprintf(line, sizeof line, "shfmt -ln=%s -tojson < %s", languages[k], path);
        FILE *f = popen(line, "r");
        cr_assert_not_null(f);
        json_t *file = json_loadf(f, 0, &why);
        cr_assert_not_null(file, "%s", why.text);
        cr_assert_eq(pclose(f), 0);
        const json_t *statements = json_object_get(file, "Stmts");
        cr_assert_eq(json_array_size(statements), accepted_count);
        for (size_t i = 0; i < accepted_count; i++)
            expect_words(json_array_get(statements, i), &accepted[i], languages[k]);
        json_decref(file);
    }
    unlink(path);
    drop();
}

/* Each command's words as arguments of a function that prints them. */
static void put_calls(struct buf *script, struct buf *want)
{
    static char function[] = "show";

    cr_assert_eq(
        buf_printf(script, "show() { for a in \"$@\"; do printf '<%%s>' \"$a\"; done; echo; }\n"),
        0);
    for (size_t i = 0; i < accepted_count; i++) {
        struct words call = accepted[i];
        if (call.count == WORDS_MAX)
            continue;
        memmove(call.word + 1, call.word, call.count++ * sizeof *call.word);
        call.word[0] = function;
        struct buf line;
        buf_init(&line, 10000);
        if (words_quote(&call, &line, NULL) == 0) {
            cr_assert_eq(
                buf_printf(script, "%.*s\n", (int)buf_len(&line), (const char *)buf_head(&line)),
                0);
            for (size_t n = 1; n < call.count; n++)
                cr_assert_eq(buf_printf(want, "<%s>", call.word[n]), 0);
            cr_assert_eq(buf_put(want, "\n", 1), 0);
        }
        buf_clear(&line);
    }
}

Test(policy_oracle, shells_read_the_same_words)
{
    static const char *const shells[] = {"dash", "bash",  "bash --posix", "zsh -f",
                                         "mksh", "ksh93", "busybox sh"};
    char path[] = "/tmp/sallyport-words-XXXXXX", line[200];
    struct buf script, want;

    gather();
    buf_init(&script, 16 << 20);
    buf_init(&want, 16 << 20);
    put_calls(&script, &want);
    write_file(path, &script);
    char *got = malloc(buf_len(&want) + 2);
    for (size_t k = 0; k < sizeof shells / sizeof *shells; k++) {
        snprintf(line, sizeof line, "%s %s", shells[k], path);
        FILE *f = popen(line, "r");
        cr_assert_not_null(f);
        const size_t len = fread(got, 1, buf_len(&want) + 1, f);
        cr_expect_eq(pclose(f), 0, "%s", shells[k]);
        cr_expect_eq(len, buf_len(&want), "%s: %zu of %zu bytes", shells[k], len, buf_len(&want));
        cr_expect(len == buf_len(&want) && memcmp(got, buf_head(&want), len) == 0, "%s", shells[k]);
    }
    free(got);
    unlink(path);
    buf_clear(&script);
    buf_clear(&want);
    drop();
}

/* A first word of the shell's own language is a command's name only in quotes, and stays one. */
Test(policy_oracle, a_command_named_as_a_word_of_the_shell)
{
    static const char *const shells[] = {"dash", "bash", "zsh", "mksh", "ksh93", "busybox"};

    for (size_t k = 0; k < sizeof shells / sizeof *shells; k++) {
        struct words w;
        struct buf line;
        char command[300];
        buf_init(&line, 100);
        cr_assert_eq(words_split("'if' x", 6, &w, NULL), 0);
        cr_assert_eq(words_quote(&w, &line, NULL), 0);
        snprintf(command, sizeof command, "%s%s -c \"%.*s\" 2>/dev/null", shells[k],
                 strcmp(shells[k], "busybox") == 0 ? " sh" : "", (int)buf_len(&line),
                 (const char *)buf_head(&line));
        const int status = system(command);
        cr_expect_eq(WEXITSTATUS(status), 127, "%s: %d", shells[k], status);
        buf_clear(&line);
        words_clear(&w);
    }
}
