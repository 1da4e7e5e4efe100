/* SPDX-License-Identifier: Apache-2.0
 *
 * The grammar of commands: what is one plain command, what is refused, and that quoting what was
 * split gives the same words to a real shell. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rules.h"

#define CASE(in) in, sizeof(in) - 1

/* words: joined by "|"; "" is an empty word. */
static const struct {
    const char *in;
    size_t len;
    const char *words;
} accepted[] = {
    {CASE("ls"), "ls"},
    {CASE("  ls   -l  "), "ls|-l"},
    {CASE("/usr/bin/virsh -c test:///default list"), "/usr/bin/virsh|-c|test:///default|list"},
    {CASE("virsh 'list'"), "virsh|list"},
    {CASE("virsh \"list\""), "virsh|list"},
    {CASE("vir\"sh\" list"), "virsh|list"},
    {CASE("'vir'\"sh\" list"), "virsh|list"},
    {CASE("a ''"), "a|"},
    {CASE("a \"\" b"), "a||b"},
    {CASE("a 'b c'"), "a|b c"},
    {CASE("a b'  'c"), "a|b  c"},
    {CASE("a '$HOME `id` ; & > < * ? [ ] { } ( ) ~ #'"),
     "a|$HOME `id` ; & > < * ? [ ] { } ( ) ~ #"},
    {CASE("a \"; & > < * ? [ ] { } ( ) ~ # '\""), "a|; & > < * ? [ ] { } ( ) ~ # '"},
    {CASE("a '\"'"), "a|\""},
    {CASE("a '\\'"), "a|\\"},
    {CASE("a '!'"), "a|!"},
    {CASE("a b=c"), "a|b=c"},
    {CASE("a --x=y,z:1+2@h%p"), "a|--x=y,z:1+2@h%p"},
    {CASE("a 'caf\xc3\xa9'"), "a|caf\xc3\xa9"},
    {CASE("a \"\xe2\x82\xac\xf0\x9f\x98\x80\""), "a|\xe2\x82\xac\xf0\x9f\x98\x80"},
    {CASE("a - -- ."), "a|-|--|."},
    {CASE("a =b"), "a|=b"},
    {CASE("a %1"), "a|%1"},
    {CASE("if2 x"), "if2|x"},
    {CASE("'if' x"), "if|x"},
    {CASE("a if then"), "a|if|then"},
    {CASE("_x"), "_x"},
    {CASE("a ../b/./c"), "a|../b/./c"},
};

static const struct {
    const char *in;
    size_t len;
    const char *says;
} refused[] = {
    {CASE(""), "nothing"},
    {CASE("   "), "nothing"},
    {CASE("''"), "empty word"},
    {CASE("\"\" ls"), "empty word"},
    {CASE("ls;id"), "column 3: found ;"},
    {CASE("ls ; id"), "column 4: found ;"},
    {CASE("ls;"), "column 3: found ;"},
    {CASE(";ls"), "column 1: found ;"},
    {CASE("ls & id"), "column 4: found &"},
    {CASE("ls && id"), "column 4: found &"},
    {CASE("ls &"), "column 4: found &"},
    {CASE("ls | sh"), "column 4: found |"},
    {CASE("ls || sh"), "column 4: found |"},
    {CASE("ls |& sh"), "column 4: found |"},
    {CASE("ls\nid"), "column 3: found the control"},
    {CASE("ls\r\nid"), "U+000D"},
    {CASE("ls\n"), "U+000A"},
    {CASE("ls 'a\nb'"), "column 6"},
    {CASE("ls \"a\nb\""), "column 6"},
    {CASE("ls\tid"), "U+0009"},
    {CASE("ls\0id"), "U+0000"},
    {CASE("ls '\0'"), "U+0000"},
    {CASE("\0"), "U+0000"},
    {CASE("ls \x1b[31m"), "U+001B"},
    {CASE("ls \x7f"), "U+007F"},
    {CASE("ls '\x7f'"), "U+007F"},
    {CASE("ls '\xc2\x9b'"), "U+009B"},
    {CASE("ls '\xe2\x80\xae'"), "U+202E"},
    {CASE("ls '\xe2\x80\x8b'"), "U+200B"},
    {CASE("ls \xff"), "0xff"},
    {CASE("ls '\xff'"), "0xff"},
    {CASE("ls '\xc0\xaf'"), "0xc0"},
    {CASE("ls '\xe0\x80\xaf'"), "0xe0"},
    {CASE("ls '\xed\xa0\x80'"), "0xed"},
    {CASE("ls '\xf4\x90\x80\x80'"), "0xf4"},
    {CASE("ls '\xe2\x82'"), "0xe2"},
    {CASE("ls caf\xc3\xa9"), "not ASCII"},
    {CASE("l\xd1\x95"), "not ASCII"},
    {CASE("ls\xc2\xa0-l"), "not ASCII"},
    {CASE("ls\xe3\x80\x80-l"), "not ASCII"},
    {CASE("$SHELL"), "column 1: found $"},
    {CASE("ls $HOME"), "column 4: found $"},
    {CASE("ls ${IFS}x"), "found $"},
    {CASE("ls $(id)"), "found $"},
    {CASE("ls $((1))"), "found $"},
    {CASE("ls $'\\n'"), "found $"},
    {CASE("ls $\"x\""), "found $"},
    {CASE("ls `id`"), "found `"},
    {CASE("ls \"$(id)\""), "found $ in double quotes"},
    {CASE("ls \"`id`\""), "found ` in double quotes"},
    {CASE("ls \"$x\""), "found $ in double quotes"},
    {CASE("ls \"a\\\"b\""), "found \\ in double quotes"},
    {CASE("ls \"!!\""), "found ! in double quotes"},
    {CASE("ls \\; id"), "found \\"},
    {CASE("l\\s"), "found \\"},
    {CASE("ls a\\ b"), "found \\"},
    {CASE("ls \\"), "found \\"},
    {CASE("ls !$"), "found !"},
    {CASE("! ls"), "found !"},
    {CASE("^a^b"), "found ^"},
    {CASE("ls > /etc/passwd"), "column 4: found >"},
    {CASE("ls >/etc/passwd"), "found >"},
    {CASE("ls 2>&1"), "found >"},
    {CASE("ls >> x"), "found >"},
    {CASE("ls < x"), "found <"},
    {CASE("cat << EOF"), "found <"},
    {CASE("cat <<< x"), "found <"},
    {CASE("cat <(id)"), "found <"},
    {CASE("ls >| x"), "found >"},
    {CASE("ls *"), "found *"},
    {CASE("ls a?"), "found ?"},
    {CASE("ls [a]"), "found ["},
    {CASE("ls a]"), "found ]"},
    {CASE("[ x"), "found ["},
    {CASE("ls {a,b}"), "found {"},
    {CASE("{ ls; }"), "found {"},
    {CASE("ls }"), "found }"},
    {CASE("(ls)"), "found ("},
    {CASE("ls )"), "found )"},
    {CASE("f() ls"), "found ("},
    {CASE("ls ~"), "found ~"},
    {CASE("ls ~root/.ssh"), "found ~"},
    {CASE("ls # x"), "found #"},
    {CASE("ls#"), "found #"},
    {CASE("# ls"), "found #"},
    {CASE("LD_PRELOAD=/tmp/x ls"), "\"=\" in the first word"},
    {CASE("A= ls"), "\"=\" in the first word"},
    {CASE("A='x' ls"), "\"=\" in the first word"},
    {CASE("A=x"), "\"=\" in the first word"},
    {CASE("A+=x ls"), "\"=\" in the first word"},
    {CASE("=ls"), "\"=\" in the first word"},
    {CASE("if x"), "shell's language"},
    {CASE("time ls"), "shell's language"},
    {CASE("while x"), "shell's language"},
    {CASE("ls 'a"), "column 4: found ' without its end"},
    {CASE("ls \"a"), "column 4: found \" without its end"},
    {CASE("ls '"), "without its end"},
    {CASE("ls 'a' \"b' c"), "column 8"},
};

static void join(const struct words *w, char *out, size_t cap)
{
    out[0] = 0;
    for (size_t i = 0; i < w->count; i++) {
        const size_t at = strlen(out);
        snprintf(out + at, cap - at, "%s%s", i ? "|" : "", w->word[i]);
    }
}

Test(policy_words, accepted)
{
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        struct words w;
        struct err e = ERR_INIT;
        char got[500], want[500];
        cr_assert_eq(words_split(accepted[i].in, accepted[i].len, &w, &e), 0, "%s: %s",
                     accepted[i].in, e.text);
        join(&w, got, sizeof got);
        snprintf(want, sizeof want, "%s", accepted[i].words);
        cr_expect_str_eq(got, want);
        words_clear(&w);
    }
}

Test(policy_words, refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct words w;
        struct err e = ERR_INIT;
        cr_expect_eq(words_split(refused[i].in, refused[i].len, &w, &e), ERR_SYNTAX, "%s",
                     refused[i].in);
        cr_expect(strstr(e.text, refused[i].says), "%s: %s", refused[i].in, e.text);
        cr_expect(strstr(e.text, "expected "), "%s: %s", refused[i].in, e.text);
        cr_expect_null(w.text);
    }
}

Test(policy_words, bounds)
{
    static char long_text[WORDS_TEXT_MAX + 2];
    struct words w;
    struct err e = ERR_INIT;

    memset(long_text, 'a', sizeof long_text);
    cr_assert_eq(words_split(long_text, WORDS_TEXT_MAX, &w, &e), 0, "%s", e.text);
    cr_expect_eq(strlen(w.word[0]), WORDS_TEXT_MAX);
    words_clear(&w);
    cr_expect_eq(words_split(long_text, WORDS_TEXT_MAX + 1, &w, &e), ERR_SYNTAX);
    for (size_t i = 1; i < sizeof long_text; i += 2)
        long_text[i] = ' ';
    cr_assert_eq(words_split(long_text, 2 * WORDS_MAX, &w, &e), 0, "%s", e.text);
    cr_expect_eq(w.count, WORDS_MAX);
    words_clear(&w);
    cr_expect_eq(words_split(long_text, 2 * WORDS_MAX + 1, &w, &e), ERR_SYNTAX);
    cr_expect(strstr(e.text, "more than 256 words"), "%s", e.text);
    words_clear(NULL);
}

Test(policy_words, quoting)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        {"ls -l", "ls -l"},
        {"  ls    '-l' ", "ls -l"},
        {"a ''", "a ''"},
        {"a 'b c'", "a 'b c'"},
        {"a \"b c\"", "a 'b c'"},
        {"a '$(id)' ';'", "a '$(id)' ';'"},
        {"a =ls %self", "a '=ls' '%self'"},
        {"a x=ls y%z", "a x=ls y%z"},
        {"a 'caf\xc3\xa9'", "a 'caf\xc3\xa9'"},
        {"a '~' '#x' '*'", "a '~' '#x' '*'"},
        {"a \"'\"", NULL},
        {"a '\\'", NULL},
        {"a 'x!'", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct words w;
        struct err e = ERR_INIT;
        struct buf out;
        buf_init(&out, 1000);
        cr_assert_eq(words_split(cases[i].in, strlen(cases[i].in), &w, &e), 0, "%s", e.text);
        int rc = words_quote(&w, &out, &e);
        if (cases[i].out) {
            char *text = buf_string(&out);
            cr_expect_eq(rc, 0);
            cr_expect_str_eq(text, cases[i].out);
            free(text);
        } else {
            cr_expect_eq(rc, ERR_INPUT, "%s", cases[i].in);
        }
        buf_clear(&out);
        words_clear(&w);
    }
}

/* A real shell reads the quoted words as exactly the words that were split. */
Test(policy_words, round_trip_through_sh)
{
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        struct words w;
        struct err e = ERR_INIT;
        struct buf line;
        char want[600], got[600], command[1200];
        cr_assert_eq(words_split(accepted[i].in, accepted[i].len, &w, &e), 0);
        buf_init(&line, 1000);
        if (words_quote(&w, &line, &e) == 0) {
            char *text = buf_string(&line);
            snprintf(command, sizeof command, "printf '%%s|' %s", text);
            FILE *shell = popen(command, "r");
            cr_assert_not_null(shell);
            got[fread(got, 1, sizeof got - 1, shell)] = 0;
            cr_expect_eq(pclose(shell), 0);
            join(&w, want, sizeof want - 1);
            strcat(want, "|");
            cr_expect_str_eq(got, want);
            free(text);
        }
        buf_clear(&line);
        words_clear(&w);
    }
}
