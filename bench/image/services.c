/*
 * services.c: the bench's three services as a unikernel on mnet.
 *
 * Ports: 5001 discards, 5002 sends without end, 5003 echoes. bench/linux/services.c is the same on
 * the Linux kernel. Like that one it copies what it reads into a buffer of its own.
 *
 *   solo5-spt --net:service=tap0 -- services.spt --ipv4=10.0.0.2/24 [--busy-poll-us=N]
 */
#include <mnet.h>
#include <solo5.h>

enum { DISCARD = 5001, SOURCE = 5002, ECHO = 5003, MAX_EVENTS = 64, MAX_CONNECTIONS = 1 << 17 };

static char buffer[256 << 10];
static uint16_t service_of[MAX_CONNECTIONS]; /* by mnet_index() */

static size_t length(const char *text)
{
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

static void fail(const char *what, int64_t code)
{
    const char *name = mnet_error_name((int)code);
    solo5_console_write(what, length(what));
    solo5_console_write(": ", 2);
    solo5_console_write(name, length(name));
    solo5_console_write("\n", 1);
    solo5_exit(SOLO5_EXIT_FAILURE);
}

/* The value of "--NAME=VALUE" if the word is that option, else NULL. */
static const char *value_of(const char *word, size_t len, const char *option)
{
    size_t n = length(option);
    if (len < n) return NULL;
    for (size_t i = 0; i < n; i++)
        if (word[i] != option[i]) return NULL;
    return word + n;
}

static void options(const char *line, struct mnet_config *config)
{
    while (*line) {
        size_t len = 0;
        const char *value;
        while (line[len] && line[len] != ' ') len++;
        if ((value = value_of(line, len, "--ipv4="))) {
            int error = mnet_cidr_parse(value, (size_t)(line + len - value), &config->address, &config->prefix_len);
            if (error) fail("--ipv4", error);
        } else if ((value = value_of(line, len, "--busy-poll-us="))) {
            uint64_t us = 0;
            for (; value < line + len; value++) {
                if (*value < '0' || *value > '9' || us > 1000000) fail("--busy-poll-us", MNET_EINVAL);
                us = us * 10 + (uint64_t)(*value - '0');
            }
            config->busy_poll_ns = us * 1000;
        } else if (len > 0) {
            fail("unknown option", MNET_EINVAL);
        }
        line += len;
        while (*line == ' ') line++;
    }
}

static void accept_all(mnet_fd listener)
{
    mnet_fd fd;
    while ((fd = mnet_accept(listener, NULL)) > 0) {
        struct mnet_addr local;
        int64_t index = mnet_index(fd);
        if (index >= MAX_CONNECTIONS || mnet_sockname(fd, &local)) {
            mnet_abort(fd);
            continue;
        }
        service_of[index] = local.port;
        mnet_set_nodelay(fd, 1);
    }
}

/* Each returns the last result: MNET_EAGAIN when the connection goes on. */
static int64_t discard(mnet_fd fd)
{
    int64_t n;
    while ((n = mnet_read(fd, buffer, sizeof buffer)) > 0) {}
    return n;
}

static int64_t source(mnet_fd fd)
{
    int64_t n;
    while ((n = mnet_write(fd, buffer, sizeof buffer)) > 0) {}
    return n;
}

static int64_t echo(mnet_fd fd)
{
    const void *data;
    int64_t n;
    while ((n = mnet_peek(fd, &data)) > 0) {
        n = mnet_write(fd, data, (size_t)n);
        if (n <= 0) break;
        mnet_consume(fd, (size_t)n);
    }
    return n;
}

static void serve(mnet_fd fd, uint16_t service)
{
    int64_t result = service == DISCARD ? discard(fd) : service == SOURCE ? source(fd) : echo(fd);
    if (result != MNET_EAGAIN) mnet_close(fd);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static const uint16_t ports[] = { DISCARD, SOURCE, ECHO };
    struct mnet_config config;
    struct mnet_event events[MAX_EVENTS];
    mnet_fd listeners[3];
    mnet_stack stack;

    mnet_config_default(&config, sizeof config);
    config.flags = MNET_CONFIG_NONBLOCKING;
    config.arena = (void *)info->heap_start;
    config.arena_size = info->heap_size - (1 << 20); /* the rest is for the stack of this program */
    options(info->cmdline, &config);
    if ((stack = mnet_open(&config)) < 0) fail("mnet_open", stack);
    for (int i = 0; i < 3; i++) {
        struct mnet_addr any = { .family = MNET_AF_INET, .port = ports[i] };
        if ((listeners[i] = mnet_listen(stack, &any, 1024)) < 0) fail("mnet_listen", listeners[i]);
    }
    for (;;) {
        int64_t n = mnet_events(stack, events, MAX_EVENTS, -1);
        if (n < 0) fail("mnet_events", n);
        for (int64_t i = 0; i < n; i++) {
            mnet_fd fd = events[i].fd;
            int64_t index = mnet_index(fd);
            if (fd == listeners[0] || fd == listeners[1] || fd == listeners[2]) accept_all(fd);
            else if (index >= 0) serve(fd, service_of[index]);
        }
    }
}
