/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/play_terminal.h. Modes are put back from signal handlers too: tcsetattr(3) may be
 * called there. */
#include "audit/play_terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t keys, taken, interrupted, changed; /* taken: modes are ours */
static unsigned char typed[64];
static size_t typed_len;

/* What a replay may have left behind, as term_filter_reset does; for ends that reach no other code.
 */
static const char reset[] = "\033[0m\033[?25h\033[?7h\033[r\033[?1049l\r\n";

enum play_key play_key_parse(const unsigned char *p, size_t len, size_t *used)
{
    static const struct {
        unsigned char byte;
        enum play_key key;
    } plain[] = {{' ', KEY_PAUSE},  {'.', KEY_STEP}, {'+', KEY_FASTER}, {'=', KEY_FASTER},
                 {'-', KEY_SLOWER}, {'q', KEY_QUIT}, {'Q', KEY_QUIT},   {4, KEY_QUIT}};

    *used = 0;
    while (*used < len) {
        const unsigned char *at = p + *used;
        const size_t left = len - *used;

        if (at[0] == 0x1b) {
            if (left < 3 && (left == 1 || at[1] == '[' || at[1] == 'O'))
                return KEY_NONE; /* the rest is on its way */
            *used += left >= 3 && (at[1] == '[' || at[1] == 'O') ? 3 : 1;
            if (left >= 3 && (at[1] == '[' || at[1] == 'O') && (at[2] == 'C' || at[2] == 'D'))
                return at[2] == 'C' ? KEY_FORWARD : KEY_BACK;
            continue;
        }
        ++*used;
        for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
            if (at[0] == plain[i].byte)
                return plain[i].key;
    }
    return KEY_NONE;
}

static void on_end(int number)
{
    (void)number;
    interrupted = 1;
}

static void on_change(int number)
{
    (void)number;
    changed = 1;
}

static void put_back(void)
{
    if (taken)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void take(void)
{
    struct termios raw = before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static void write_reset(void)
{
    if (taken && write(STDOUT_FILENO, reset, sizeof reset - 1) < 0)
        return;
}

/* A fault of ours: the terminal first, then the signal's own way. */
static void on_fault(int number)
{
    put_back();
    write_reset();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_stop(int number)
{
    int saved = errno;
    sigset_t set;

    put_back();
    write_reset();
    signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stops, and goes on with SIGCONT */
    signal(number, on_stop);
    if (taken)
        take();
    changed = 1;
    errno = saved;
}

void play_terminal_open(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_end};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaction(ends[i], &action, NULL);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
        return;
    keys = taken = 1;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        signal(faults[i], on_fault);
    action.sa_handler = on_change;
    sigaction(SIGWINCH, &action, NULL);
    signal(SIGTSTP, on_stop);
    take();
}

void play_terminal_close(void)
{
    put_back();
    keys = taken = 0;
}

bool play_terminal_draws(void)
{
    return isatty(STDOUT_FILENO);
}

bool play_terminal_has_keys(void)
{
    return keys;
}

bool play_terminal_interrupted(void)
{
    return interrupted;
}

static enum play_key next_typed(void)
{
    size_t used;
    enum play_key key = play_key_parse(typed, typed_len, &used);

    memmove(typed, typed + used, typed_len - used);
    typed_len -= used;
    if (typed_len == sizeof typed)
        typed_len = 0;
    return key;
}

enum play_key play_terminal_wait(int fd, int timeout_ms)
{
    struct pollfd p[2] = {{.fd = keys ? STDIN_FILENO : -1, .events = POLLIN},
                          {.fd = fd, .events = POLLIN}};
    enum play_key key = next_typed();
    ssize_t n;

    if (key != KEY_NONE)
        return key;
    if (interrupted || poll(p, 2, timeout_ms) <= 0 || !p[0].revents)
        return KEY_NONE;
    n = read(STDIN_FILENO, typed + typed_len, sizeof typed - typed_len);
    if (n <= 0) {
        if (n == 0 || errno != EINTR)
            keys = 0; /* the terminal is gone */
        return KEY_NONE;
    }
    typed_len += (size_t)n;
    return next_typed();
}

bool play_terminal_changed(void)
{
    bool was = changed;

    changed = 0;
    return was;
}

void play_terminal_size(unsigned *columns, unsigned *rows)
{
    struct winsize size;

    *columns = *rows = 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

int play_terminal_write(const void *bytes, size_t len, struct err *e)
{
    const char *p = bytes;

    while (len > 0 && !interrupted) {
        ssize_t n = write(STDOUT_FILENO, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE || errno == EIO ? ERR_CLOSED : err_errno(e, "cannot write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}
