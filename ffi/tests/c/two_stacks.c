/*
 * Two manual stacks in a C program with a libc: they connect, and a megabyte goes from one to the other. Exit status 0
 * if it arrived unchanged.
 */
#include <mnet.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "solo5_on_linux.h"

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);             \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static uint8_t arenas[2][1 << 20];
static uint8_t data[1 << 20], arrived[1 << 20];

static mnet_stack open_stack(int host)
{
    struct mnet_config config;
    char text[] = "10.0.0.0";
    text[7] = (char)('0' + host);
    CHECK(mnet_config_default(&config, sizeof config) == 0);
    config.arena = arenas[host - 1];
    config.arena_size = sizeof arenas[0];
    config.flags = MNET_CONFIG_MANUAL;
    memcpy(config.hardware_address, "\x02\0\0\0\0", 5);
    config.hardware_address[5] = (uint8_t)host;
    CHECK(mnet_addr_parse(text, strlen(text), &config.address) == 0);
    mnet_stack stack = mnet_open(&config);
    if (stack == MNET_ENTROPY) {
        /* A processor without RDRAND: the rest can still be tested. */
        static const uint8_t seed[32] = { 1 };
        config.seed = seed;
        config.seed_len = sizeof seed;
        stack = mnet_open(&config);
    }
    CHECK(stack > 0);
    return stack;
}

static void carry(mnet_stack from, mnet_stack to, uint64_t now)
{
    uint8_t frame[1514];
    int64_t len;
    while ((len = mnet_frame_out(from, now, frame, sizeof frame)) > 0)
        CHECK(mnet_frame_in(to, now, frame, (size_t)len) == 0);
    CHECK(len == 0);
}

int main(void)
{
    CHECK(mnet_abi_version() == MNET_ABI_VERSION);
    CHECK(mnet_version_number() == MNET_VERSION_NUMBER);
    CHECK(strcmp(mnet_version(), MNET_VERSION) == 0);
    CHECK(strcmp(mnet_error_name(MNET_EPIPE), "MNET_EPIPE") == 0);

    mnet_stack server = open_stack(1), client = open_stack(2);
    struct mnet_addr local;
    CHECK(mnet_addr_parse("10.0.0.1:80", 11, &local) == 0);
    mnet_fd listener = mnet_listen(server, &local, 1);
    mnet_fd out = mnet_connect(client, &local, NULL, 0);
    mnet_fd in = MNET_EAGAIN;
    CHECK(listener > 0 && out > 0);

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(fmod(sqrt((double)i) * 1000.0, 251.0) + 0.5);
    size_t written = 0, read = 0;
    int ended = 0;
    for (uint64_t now = 1000000; !ended && now < 100000000000; now += 1000000) {
        carry(client, server, now);
        carry(server, client, now);
        CHECK(mnet_step(client, now, NULL) == 0 && mnet_step(server, now, NULL) == 0);
        if (in < 0)
            in = mnet_accept(listener, NULL);
        int64_t n = mnet_write(out, data + written, sizeof data - written);
        if (written < sizeof data) {
            CHECK(n >= 0 || n == MNET_EAGAIN);
            written += n > 0 ? (size_t)n : 0;
            if (written == sizeof data)
                CHECK(mnet_shutdown(out, MNET_SHUT_WR) == 0);
        }
        while (in > 0 && (n = mnet_read(in, arrived + read, sizeof arrived - read)) >= 0) {
            if (n == 0) {
                ended = 1;
                break;
            }
            read += (size_t)n;
        }
    }
    CHECK(ended && read == sizeof data && memcmp(data, arrived, sizeof data) == 0);
    CHECK(mnet_close_stack(client) == 0 && mnet_close_stack(server) == 0);
    puts("a megabyte arrived");
    return 0;
}
