/*
 * Fibers in a C program: a server with a device and a fiber for each client, and clients that are fibers of a stack which
 * is driven from outside. Their memory is painted, and at the end the program prints how deep the deepest stack was. With
 * an argument it does what must not be done, and is stopped.
 */
#include <mnet.h>
#include <solo5.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);             \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

#define CLIENTS 8
#define PAINT 0x77

static uint8_t arenas[2][4 << 20];
static _Alignas(16) uint8_t memories[2 * CLIENTS + 2][2 * MNET_FIBER_SIZE_DEFAULT];
static mnet_stack server, clients;
static mnet_channel finished;
static int handlers;

/* ------------------------------------------------------------------------------------------------ Solo5 on Linux --- */

static solo5_time_t now = 1000000000;
static struct {
    size_t first, last;
    struct {
        size_t size;
        uint8_t bytes[1514];
    } frames[4096];
} to_server, to_clients;

solo5_time_t solo5_clock_monotonic(void) { return now; }
solo5_time_t solo5_clock_wall(void) { return now + 1700000000000000000; }
void solo5_console_write(const char *text, size_t size) { fwrite(text, 1, size, stderr); }

void solo5_abort(void)
{
    fprintf(stderr, "aborted\n");
    exit(255);
}

solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle, struct solo5_net_info *info)
{
    static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
    (void)name;
    *handle = 1;
    memcpy(info->mac_address, mac, sizeof mac);
    info->mtu = 1500;
    return SOLO5_R_OK;
}

solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size)
{
    (void)handle;
    size_t place = to_clients.last++ % 4096;
    CHECK(to_clients.last - to_clients.first <= 4096);
    to_clients.frames[place].size = size;
    memcpy(to_clients.frames[place].bytes, buf, size);
    return SOLO5_R_OK;
}

solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size, size_t *read_size)
{
    (void)handle;
    (void)size;
    if (to_server.first == to_server.last)
        return SOLO5_R_AGAIN;
    size_t place = to_server.first++ % 4096;
    *read_size = to_server.frames[place].size;
    memcpy(buf, to_server.frames[place].bytes, *read_size);
    return SOLO5_R_OK;
}

/* The clients do what they can while the server sleeps. */
void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready)
{
    for (;;) {
        uint64_t next;
        while (to_clients.first != to_clients.last) {
            size_t place = to_clients.first++ % 4096;
            CHECK(mnet_frame_in(clients, now, to_clients.frames[place].bytes, to_clients.frames[place].size) == 0);
        }
        CHECK(mnet_step(clients, now, &next) == 0);
        for (;;) {
            size_t place = to_server.last % 4096;
            int64_t size = mnet_frame_out(clients, now, to_server.frames[place].bytes, 1514);
            CHECK(size >= 0);
            if (size == 0)
                break;
            to_server.frames[place].size = (size_t)size;
            to_server.last++;
        }
        *ready = (to_server.first != to_server.last) << 1;
        if (*ready || now >= deadline)
            return;
        next = next < deadline ? next : deadline;
        CHECK(next != MNET_NEVER);
        now = next > now ? next : now;
    }
}

/* ------------------------------------------------------------------------------------------------------- fibers --- */

static mnet_stack open_stack(int host, uint32_t flags)
{
    static const uint8_t seed[32] = { 1 };
    struct mnet_config config;
    char text[] = "10.0.0.0";
    text[7] = (char)('0' + host);
    CHECK(mnet_config_default(&config, sizeof config) == 0);
    config.arena = arenas[host - 1];
    config.arena_size = sizeof arenas[0];
    config.flags = flags;
    config.seed = seed;
    config.seed_len = sizeof seed;
    memcpy(config.hardware_address, "\x02\0\0\0\0\x02", 6);
    CHECK(mnet_addr_parse(text, strlen(text), &config.address) == 0);
    mnet_stack stack = mnet_open(&config);
    CHECK(stack > 0);
    return stack;
}

static mnet_fiber start(mnet_stack stack, mnet_fiber_main function, intptr_t arg)
{
    static size_t next;
    uint8_t *memory = memories[next++];
    memset(memory, PAINT, sizeof memories[0]);
    mnet_fiber fiber = mnet_spawn(stack, function, (void *)arg, memory, sizeof memories[0]);
    CHECK(fiber > 0);
    return fiber;
}

static void close_it(void *arg)
{
    handlers++;
    CHECK(mnet_close((mnet_fd)(intptr_t)arg) == 0);
}

static void *serve(void *arg)
{
    mnet_fd client = (mnet_fd)(intptr_t)arg;
    char buffer[64];
    int64_t length;
    CHECK(mnet_cleanup_push(close_it, arg) == 0);
    CHECK(mnet_set_linger(client, 1000000000) == 0);
    while ((length = mnet_read(client, buffer, sizeof buffer)) > 0)
        CHECK(mnet_write(client, buffer, (size_t)length) == length);
    CHECK(length == 0 || length == MNET_ECANCELED);
    if (length == 0)
        CHECK(mnet_channel_send(finished, &client, -1) == 0);
    return NULL;
}

static void *answer_datagrams(void *arg)
{
    static uint8_t data[65536];
    struct mnet_datagram info;
    int64_t length;
    info.size = sizeof info;
    while ((length = mnet_recvmsg((mnet_fd)(intptr_t)arg, data, sizeof data, &info)) >= 0) {
        info.interface = 0;
        info.hop_limit = info.traffic_class = 0;
        CHECK(mnet_sendmsg((mnet_fd)(intptr_t)arg, data, (size_t)length, &info) == length);
    }
    CHECK(length == MNET_ECANCELED);
    return NULL;
}

static void *client(void *arg)
{
    static uint8_t large[CLIENTS][60000];
    struct mnet_addr remote, local;
    uint8_t out[3000], in[3000];
    intptr_t number = (intptr_t)arg;
    CHECK(mnet_addr_parse("10.0.0.1:7", 10, &remote) == 0);
    mnet_fd fd = mnet_connect(clients, &remote, NULL, 0);
    CHECK(fd > 0 && mnet_set_nonblocking(fd, 0) == 0);
    for (int round = 0; round < 20; round++) {
        memset(out, (int)(number + round), sizeof out);
        CHECK(mnet_write(fd, out, sizeof out) == (int64_t)sizeof out);
        for (size_t have = 0; have < sizeof in;) {
            int64_t length = mnet_read(fd, in + have, sizeof in - have);
            CHECK(length > 0);
            have += (size_t)length;
        }
        CHECK(memcmp(in, out, sizeof in) == 0);
        struct mnet_pollfd entry = { fd, MNET_READABLE, 0 };
        CHECK(mnet_poll(clients, &entry, 1, 1000) == 0);
    }
    CHECK(mnet_addr_parse("10.0.0.2:0", 10, &local) == 0);
    mnet_fd udp = mnet_udp_bind(clients, &local);
    CHECK(udp > 0 && mnet_set_nonblocking(udp, 0) == 0);
    memset(large[number], (int)number, sizeof large[0]);
    CHECK(mnet_sendto(udp, large[number], sizeof large[0], &remote) == (int64_t)sizeof large[0]);
    memset(large[number], 0, sizeof large[0]);
    CHECK(mnet_recvfrom(udp, large[number], sizeof large[0], &local) == (int64_t)sizeof large[0]);
    CHECK(large[number][59999] == number);
    CHECK(mnet_close(udp) == 0);
    if (number % 2 == 0)
        CHECK(mnet_close(fd) == 0);
    return arg;
}

static void *accept_clients(void *arg)
{
    struct mnet_addr peer;
    for (int i = 0; i < CLIENTS; i++) {
        mnet_fd fd = mnet_accept((mnet_fd)(intptr_t)arg, &peer);
        CHECK(fd > 0);
        CHECK(mnet_detach(start(server, serve, (intptr_t)fd)) == 0);
    }
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- overflows --- */

static volatile int depth;

static int recurse(int left)
{
    volatile char room[200];
    room[0] = (char)left;
    depth++;
    return left == 0 ? room[0] : recurse(left - 1) + room[0];
}

/* Writes every frame below the stack, and is back before it waits. */
static void *too_deep(void *arg)
{
    (void)arg;
    recurse(2 * MNET_FIBER_SIZE_DEFAULT / 200);
    mnet_yield(server);
    return NULL;
}

/* Writes nothing but what the frames of its calls have, and waits with the array below the stack. */
static void *too_large(void *arg)
{
    volatile char room[MNET_FIBER_SIZE_DEFAULT + 2000];
    (void)arg;
    room[sizeof room - 1] = 0;
    mnet_yield(server);
    return (void *)(intptr_t)room[sizeof room - 1];
}

static void *innocent(void *arg)
{
    while (mnet_yield(server) == 0) { }
    return arg;
}

static int overflow(const char *how)
{
    static _Alignas(16) uint8_t memory[5 * MNET_FIBER_SIZE_DEFAULT];
    server = open_stack(1, 0);
    if (strcmp(how, "neighbour") == 0) {
        /* What is kept of a fiber is overwritten by the program. */
        mnet_spawn(server, innocent, NULL, memory, MNET_FIBER_SIZE_DEFAULT);
        mnet_yield(server);
        memset(memory + MNET_FIBER_SIZE_DEFAULT - 64, 0, 64);
    } else {
        mnet_spawn(server, strcmp(how, "deep") == 0 ? too_deep : too_large, NULL, memory + 3 * MNET_FIBER_SIZE_DEFAULT,
                   MNET_FIBER_SIZE_DEFAULT);
    }
    mnet_yield(server);
    fprintf(stderr, "nobody has noticed\n");
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return overflow(arguments[1]);
    server = open_stack(1, 0);
    clients = open_stack(2, MNET_CONFIG_MANUAL);
    static uint8_t queue[MNET_CHANNEL_OVERHEAD + 2 * sizeof(mnet_fd)];
    finished = mnet_channel_open(server, sizeof(mnet_fd), 2, queue, sizeof queue);
    CHECK(finished > 0);

    struct mnet_addr local;
    CHECK(mnet_addr_parse("10.0.0.1:7", 10, &local) == 0);
    mnet_fd listener = mnet_listen(server, &local, CLIENTS);
    mnet_fd udp = mnet_udp_bind(server, &local);
    CHECK(listener > 0 && udp > 0);
    mnet_fiber accepting = start(server, accept_clients, (intptr_t)listener);
    mnet_fiber answering = start(server, answer_datagrams, (intptr_t)udp);
    mnet_fiber each[CLIENTS];
    for (intptr_t i = 0; i < CLIENTS; i++)
        each[i] = start(clients, client, i);

    CHECK(mnet_join(accepting, NULL, -1) == 0);
    for (int i = 0; i < CLIENTS / 2; i++) {
        mnet_fd closed;
        CHECK(mnet_channel_receive(finished, &closed, -1) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        void *result;
        /* The clients run while the server sleeps. */
        while (mnet_join(each[i], &result, 0) == MNET_EAGAIN)
            CHECK(mnet_sleep(server, 10000000) == 0);
        CHECK((intptr_t)result == i);
    }
    /* The other clients have not closed: their fibers wait, and are asked to end. */
    struct mnet_usage usage;
    for (int i = 0; i < 1000; i++) {
        CHECK(mnet_usage(server, &usage, sizeof usage) == 0 && usage.fibers >= CLIENTS / 2 + 1);
        if (usage.fibers == CLIENTS / 2 + 1)
            break;
        CHECK(mnet_sleep(server, 1000000) == 0);
    }
    CHECK(usage.fibers == CLIENTS / 2 + 1);
    CHECK(mnet_close_stack(server) == MNET_EBUSY);
    CHECK(handlers == CLIENTS / 2);
    CHECK(mnet_cancel_all(server, -1) == 0);
    CHECK(handlers == CLIENTS);
    CHECK(mnet_join(answering, NULL, 0) == 0);
    CHECK(mnet_close_stack(server) == 0 && mnet_close_stack(clients) == 0);

    size_t deepest = 0;
    for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++) {
        size_t place = 256;
        while (place < sizeof memories[0] && memories[i][place] == PAINT)
            place++;
        CHECK(place < sizeof memories[0]);
        if (sizeof memories[0] - place > deepest)
            deepest = sizeof memories[0] - place;
    }
    printf("%zu\n", deepest);
    return 0;
}
