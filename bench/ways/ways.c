/*
 * What the ways to wait cost: an echo server in C with mnet_events(), mnet_poll() or fibers, and clients that send 64 bytes
 * and wait for them, all in one process, for callgrind to count. bench/README.md says how to run it.
 *
 *     ways events|poll|fibers CLIENTS ROUNDS
 *
 * The clients are sockets of a stack that is driven from outside, inside solo5_yield(): what callgrind has for that function
 * is theirs, the rest is the server's. In each round every client sends once, and the server finds all that at once.
 */
#include <mnet.h>
#include <solo5.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1024
#define SIZE 64
#define FRAMES 8192
#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);             \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static uint8_t arenas[2][64 << 20];
static mnet_stack server, others;
static mnet_fd clients[MOST];
static size_t client_count, rounds, done, answered;

struct wire {
    size_t first, last;
    struct {
        size_t size;
        uint8_t bytes[1514];
    } frames[FRAMES];
};
static struct wire to_server, to_others;

static solo5_time_t now = 1000000000;

solo5_time_t solo5_clock_monotonic(void) { return now; }
solo5_time_t solo5_clock_wall(void) { return now; }
void solo5_console_write(const char *text, size_t size) { fwrite(text, 1, size, stderr); }
void solo5_abort(void) { abort(); }

solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle, struct solo5_net_info *info)
{
    (void)name;
    *handle = 1;
    memcpy(info->mac_address, "\2\0\0\0\0\1", 6);
    info->mtu = 1500;
    return SOLO5_R_OK;
}

solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size)
{
    size_t place = to_others.last++ % FRAMES;
    (void)handle;
    CHECK(to_others.last - to_others.first <= FRAMES);
    to_others.frames[place].size = size;
    memcpy(to_others.frames[place].bytes, buf, size);
    return SOLO5_R_OK;
}

solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size, size_t *read_size)
{
    (void)handle;
    (void)size;
    if (to_server.first == to_server.last)
        return SOLO5_R_AGAIN;
    size_t place = to_server.first++ % FRAMES;
    *read_size = to_server.frames[place].size;
    memcpy(buf, to_server.frames[place].bytes, *read_size);
    return SOLO5_R_OK;
}

/* Reads the answers; when all are there, a new round. */
static void ask(void)
{
    static uint8_t bytes[SIZE];
    struct mnet_event events[64];
    int64_t count;
    while ((count = mnet_events(others, events, 64, 0)) > 0)
        for (int64_t i = 0; i < count; i++)
            while (mnet_read(events[i].fd, bytes, SIZE) == SIZE)
                answered++;
    if (answered < client_count)
        return;
    answered = 0;
    if (done++ == rounds)
        return;
    for (size_t i = 0; i < client_count; i++)
        CHECK(mnet_write(clients[i], bytes, SIZE) == SIZE);
}

void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready)
{
    for (;;) {
        uint64_t next;
        for (; to_others.first != to_others.last; to_others.first++) {
            size_t place = to_others.first % FRAMES;
            CHECK(mnet_frame_in(others, now, to_others.frames[place].bytes, to_others.frames[place].size) == 0);
        }
        CHECK(mnet_step(others, now, &next) == 0);
        if (client_count > 0)
            ask();
        for (int64_t size;; to_server.last++) {
            size_t place = to_server.last % FRAMES;
            size = mnet_frame_out(others, now, to_server.frames[place].bytes, 1514);
            CHECK(size >= 0);
            if (size == 0)
                break;
            to_server.frames[place].size = (size_t)size;
        }
        *ready = (to_server.first != to_server.last) << 1;
        if (*ready || now >= deadline)
            return;
        next = next < deadline ? next : deadline;
        if (done > rounds)
            exit(0);
        CHECK(next != MNET_NEVER);
        now = next > now ? next : now;
    }
}

static mnet_stack open_stack(int host, uint32_t flags)
{
    static const uint8_t seed[32] = { 1 };
    struct mnet_config config;
    char text[] = "10.0.0.0";
    text[7] = (char)('0' + host);
    mnet_config_default(&config, sizeof config);
    config.arena = arenas[host - 1];
    config.arena_size = sizeof arenas[0];
    config.fiber_memory = 24 << 20;
    config.max_connections_per_peer = 0;
    config.flags = flags | MNET_CONFIG_NODELAY;
    config.seed = seed;
    config.seed_len = sizeof seed;
    memcpy(config.hardware_address, "\2\0\0\0\0\2", 6);
    mnet_addr_parse(text, strlen(text), &config.address);
    mnet_stack stack = mnet_open(&config);
    CHECK(stack > 0);
    return stack;
}

/* As c-examples/echo/echo.c and echo-poll.c do it. */
static uint32_t echo(mnet_fd connection)
{
    for (;;) {
        const void *data;
        int64_t got = mnet_peek(connection, &data);
        if (got == MNET_EAGAIN)
            return MNET_READABLE;
        CHECK(got > 0);
        int64_t taken = mnet_write(connection, data, (size_t)got);
        CHECK(taken > 0);
        mnet_consume(connection, (size_t)taken);
    }
}

static void serve_by_events(void)
{
    struct mnet_event events[64];
    for (;;) {
        int64_t count = mnet_events(server, events, 64, -1);
        for (int64_t i = 0; i < count; i++)
            echo(events[i].fd);
    }
}

static void serve_by_poll(const mnet_fd *accepted)
{
    static struct mnet_pollfd sockets[MOST];
    for (size_t i = 0; i < client_count; i++) {
        sockets[i].fd = accepted[i];
        sockets[i].events = MNET_READABLE;
    }
    for (;;) {
        CHECK(mnet_poll(server, sockets, client_count, -1) > 0);
        for (size_t i = 0; i < client_count; i++)
            if (sockets[i].revents)
                sockets[i].events = echo(sockets[i].fd);
    }
}

/* As c-examples/echo/echo-fibers.c does it. */
static void *serve(void *client)
{
    char buffer[1024];
    int64_t length;
    while ((length = mnet_read((mnet_fd)(intptr_t)client, buffer, sizeof buffer)) > 0)
        CHECK(mnet_write((mnet_fd)(intptr_t)client, buffer, (size_t)length) == length);
    return NULL;
}

int main(int count, char **arguments)
{
    static mnet_fd accepted[MOST];
    CHECK(count == 4);
    int fibers = strcmp(arguments[1], "fibers") == 0;
    size_t wanted = (size_t)atoi(arguments[2]);
    rounds = (size_t)atoi(arguments[3]);
    CHECK(wanted > 0 && wanted <= MOST);
    server = open_stack(1, 0);
    others = open_stack(2, MNET_CONFIG_MANUAL);
    struct mnet_addr local;
    mnet_addr_parse("10.0.0.1:7", 10, &local);
    mnet_fd listener = mnet_listen(server, &local, MOST);
    for (size_t i = 0; i < wanted; i++) {
        clients[i] = mnet_connect(others, &local, NULL, 0);
        accepted[i] = mnet_accept(listener, NULL);
        CHECK(clients[i] > 0 && accepted[i] > 0);
    }
    client_count = wanted;
    answered = wanted;
    if (fibers) {
        for (size_t i = 0; i < wanted; i++)
            CHECK(mnet_spawn(server, serve, (void *)(intptr_t)accepted[i], NULL, MNET_FIBER_SIZE_MIN) > 0);
        mnet_sleep(server, UINT64_MAX);
    }
    for (size_t i = 0; i < wanted; i++)
        mnet_set_nonblocking(accepted[i], 1);
    if (strcmp(arguments[1], "events") == 0)
        serve_by_events();
    serve_by_poll(accepted);
}
