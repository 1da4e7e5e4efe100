/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser of audit/http.h: one pass over the head once its empty line is there, then lengths
 * alone. Everything it reads is hostile. */
#include "audit/http.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

struct line {
    const char *p;
    size_t len;
};

/* RFC 9110 5.6.2 */
static bool is_token(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)p[i]) && !strchr("!#$%&'*+-.^_`|~", p[i]))
            return false;
        else if (!p[i])
            return false;
    return len > 0;
}

/* The next line of the head without its CRLF. A CR or LF of its own is refused. */
static int next_line(const char **at, const char *end, struct line *out)
{
    const char *lf = memchr(*at, '\n', (size_t)(end - *at));

    if (!lf || lf == *at || lf[-1] != '\r')
        return ERR_SYNTAX;
    *out = (struct line){*at, (size_t)(lf - 1 - *at)};
    *at = lf + 1;
    return memchr(out->p, '\r', out->len) ? ERR_SYNTAX : 0;
}

static bool starts(const struct line *l, const char *word)
{
    const size_t len = strlen(word);

    return l->len >= len && memcmp(l->p, word, len) == 0;
}

static int parse_request_line(struct http_message *m, const struct line *l, struct err *e)
{
    const char *blank = memchr(l->p, ' ', l->len), *end = l->p + l->len, *second;
    size_t n = blank ? (size_t)(blank - l->p) : 0;

    if (!is_token(l->p, n) || n >= sizeof m->method)
        return err_set(e, ERR_SYNTAX, "a request's line has no method");
    memcpy(m->method, l->p, n);
    m->method[n] = '\0';
    second = memchr(blank + 1, ' ', (size_t)(end - blank - 1));
    n = second ? (size_t)(second - blank - 1) : 0;
    if (n == 0 || n > HTTP_PATH_MAX || blank[1] != '/')
        return err_set(e, ERR_SYNTAX, "a request's line has no path");
    for (size_t i = 0; i < n; i++)
        if (blank[1 + i] <= ' ' || blank[1 + i] > '~' || strchr("?#%\\", blank[1 + i]))
            return err_set(e, ERR_SYNTAX, "a path with more than plain characters");
    memcpy(m->path, blank + 1, n);
    m->path[n] = '\0';
    if (end - second != 9 || memcmp(second, " HTTP/1.", 8) != 0 ||
        (second[8] != '1' && second[8] != '0'))
        return err_set(e, ERR_SYNTAX, "a request of another version");
    m->close = second[8] == '0';
    return 0;
}

static int parse_status_line(struct http_message *m, const struct line *l, struct err *e)
{
    /* "HTTP/1.1 200 OK"; the words may be none, the blank before them is always there, but for
     * senders that forget it. */
    if (!(starts(l, "HTTP/1.1 ") || starts(l, "HTTP/1.0 ")) || l->len < 12 ||
        (l->len > 12 && l->p[12] != ' '))
        return err_set(e, ERR_SYNTAX, "not a response of HTTP/1");
    for (size_t i = 9; i < 12; i++)
        if (!isdigit((unsigned char)l->p[i]))
            return err_set(e, ERR_SYNTAX, "a status that is no number");
    m->status = (unsigned)(l->p[9] - '0') * 100 + (unsigned)(l->p[10] - '0') * 10 +
                (unsigned)(l->p[11] - '0');
    if (m->status < 200 || m->status > 599)
        return err_set(e, ERR_SYNTAX, "status %u", m->status);
    m->close = l->p[7] == '0';
    return 0;
}

static int parse_length(const struct line *value, size_t *out, struct err *e)
{
    size_t n = 0;

    if (value->len == 0 || value->len > 10)
        return err_set(e, ERR_SYNTAX, "a Content-Length that is no number");
    for (size_t i = 0; i < value->len; i++) {
        if (!isdigit((unsigned char)value->p[i]))
            return err_set(e, ERR_SYNTAX, "a Content-Length that is no number");
        n = n * 10 + (size_t)(value->p[i] - '0');
    }
    if (n > HTTP_BODY_MAX)
        return err_set(e, ERR_FULL, "a body of %zu bytes, of %u at most", n, HTTP_BODY_MAX);
    *out = n;
    return 0;
}

static bool is(const struct line *l, const char *word)
{
    return l->len == strlen(word) && strncasecmp(l->p, word, l->len) == 0;
}

static int parse_header(struct http_message *m, const struct line *l, bool *has_length,
                        struct err *e)
{
    const char *colon = memchr(l->p, ':', l->len);
    struct line name, value;

    if (!colon || !is_token(l->p, (size_t)(colon - l->p)))
        return err_set(e, ERR_SYNTAX, "a header without a name");
    name = (struct line){l->p, (size_t)(colon - l->p)};
    value = (struct line){colon + 1, l->len - name.len - 1};
    while (value.len > 0 && (*value.p == ' ' || *value.p == '\t'))
        value.p++, value.len--;
    while (value.len > 0 && (value.p[value.len - 1] == ' ' || value.p[value.len - 1] == '\t'))
        value.len--;
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
            return err_set(e, ERR_SYNTAX, "a header with a control character");
    if (is(&name, "Transfer-Encoding") || is(&name, "Trailer") || is(&name, "Upgrade"))
        return err_set(e, ERR_SYNTAX, "a transfer coding, which is not spoken here");
    if (is(&name, "Content-Length")) {
        if (*has_length)
            return err_set(e, ERR_SYNTAX, "two lengths");
        *has_length = true;
        return parse_length(&value, &m->body_len, e);
    }
    if (is(&name, "Connection") && is(&value, "close"))
        m->close = true;
    if (is(&name, "Content-Type") && value.len <= HTTP_TYPE_MAX) {
        memcpy(m->content_type, value.p, value.len);
        m->content_type[value.len] = '\0';
    }
    return 0;
}

static int parse(struct http_message *m, const char *in, size_t len, bool request, struct err *e)
{
    const char *end = memmem(in, len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX, "\r\n\r\n", 4);
    const char *at = in;
    bool has_length = false;
    unsigned headers = 0;
    struct line l;
    int r;

    if (!end && len >= HTTP_HEAD_MAX)
        return err_set(e, ERR_FULL, "a head of more than %u bytes", HTTP_HEAD_MAX);
    if (!end)
        return 0;
    memset(m, 0, sizeof *m);
    end += 2; /* behind the last header's CRLF */
    m->head_len = (size_t)(end + 2 - in);
    if (next_line(&at, end, &l) < 0)
        return err_set(e, ERR_SYNTAX, "a line that does not end in CRLF");
    r = request ? parse_request_line(m, &l, e) : parse_status_line(m, &l, e);
    while (r == 0 && at < end) {
        if (next_line(&at, end, &l) < 0)
            return err_set(e, ERR_SYNTAX, "a line that does not end in CRLF");
        if (++headers > HTTP_HEADERS_MAX)
            return err_set(e, ERR_FULL, "more than %u headers", HTTP_HEADERS_MAX);
        r = parse_header(m, &l, &has_length, e);
    }
    if (r < 0)
        return r;
    if (!has_length && (request ? strcmp(m->method, "GET") != 0 : m->status != 204))
        return err_set(e, ERR_SYNTAX, "no Content-Length");
    return len - m->head_len >= m->body_len;
}

int http_request_parse(struct http_message *m, const char *in, size_t len, struct err *e)
{
    return parse(m, in, len, true, e);
}

int http_response_parse(struct http_message *m, const char *in, size_t len, struct err *e)
{
    return parse(m, in, len, false, e);
}

const char *http_reason(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 422:
        return "Unprocessable Entity";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}
