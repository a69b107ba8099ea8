/* Sockets that change while a fiber waits for them. The argument is a port of 10.0.0.1 that accepts; four
   clients come one after the other, and what the last two hear is looked at. */

#include <errno.h>
#include <mnet.h>
#include <mnet/posix.h>
#include <mnet_program.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <solo5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static mnet_stack stack;
static char memory[32768];
static int listener, port;

static void say(const char *what, long result)
{
    if (result < 0)
        mnet_print("%s: %ld, errno %d\n", what, result, errno);
    else
        mnet_print("%s: %ld\n", what, result);
}

static int number(void *fd)
{
    return *(int *)fd;
}

static void *polls(void *fd)
{
    struct pollfd entry = { .fd = number(fd), .events = POLLIN };
    say("poll", poll(&entry, 1, -1));
    say("what there is", entry.revents);
    return NULL;
}

static void *selects(void *fd)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(number(fd), &set);
    say("select", select(number(fd) + 1, &set, NULL, NULL, NULL));
    return NULL;
}

static void *receives(void *fd)
{
    char byte;
    say("recv", recv(number(fd), &byte, 1, 0));
    return NULL;
}

static void *receives_all(void *fd)
{
    char bytes[2];
    say("recv of all", recv(number(fd), bytes, 2, MSG_WAITALL));
    return NULL;
}

static void *spins(void *fd)
{
    char byte;
    long got;
    uint64_t end = mnet_now() + 5000000000;
    do
        got = recv(number(fd), &byte, 1, MSG_DONTWAIT);
    while (got < 0 && errno == EAGAIN && mnet_now() < end);
    say("recv without waiting", got);
    return NULL;
}

static void *accepts(void *fd)
{
    *(int *)fd = accept(listener, NULL, NULL);
    return NULL;
}

static void *connects(void *fd)
{
    struct sockaddr_in peer;
    memset(&peer, 0, sizeof peer);
    peer.sin_family = AF_INET;
    peer.sin_port = htons((uint16_t)port);
    peer.sin_addr.s_addr = htonl(0x0a000001);
    say("connect", connect(number(fd), (struct sockaddr *)&peer, sizeof peer));
    return NULL;
}

/* A fiber that waits by now. */
static mnet_fiber waits(mnet_fiber_main function, int *fd)
{
    mnet_fiber fiber = mnet_spawn(stack, function, fd, memory, sizeof memory);
    if (fiber < 0 || mnet_yield(stack) < 0)
        exit(9);
    return fiber;
}

static void ends(mnet_fiber fiber)
{
    if (mnet_join(fiber, NULL, 10000000000) != 0)
        exit(8);
}

static void user_timeout(int fd, int milliseconds)
{
    struct mnet_tcp_settings settings;
    say("set", setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds));
    mnet_tcp_settings(mnet_posix_handle(fd), &settings, sizeof settings);
    say("user timeout", (long)(settings.user_timeout_ns / 1000000));
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct mnet_config config;
    struct sockaddr_in any;
    mnet_config_default(&config, sizeof config);
    config.arena = (void *)info->heap_start;
    config.arena_size = (size_t)2 << 20;
    config.flags = MNET_CONFIG_NODELAY;
    mnet_cidr_parse("10.0.0.2/24", 11, &config.address, &config.prefix_len);
    stack = mnet_open(&config);
    if (stack < 0)
        return 2;
    mnet_posix_init(stack);
    port = atoi(info->cmdline);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    memset(&any, 0, sizeof any);
    any.sin_family = AF_INET;
    any.sin_port = htons(7);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0 || listen(listener, 4) < 0)
        return 3;

    /* What is set of a listener, and of the stack, holds for its connections. */
    int number = 7000;
    struct mnet_tcp_settings settings;
    setsockopt(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &number, sizeof number);
    int client = accept(listener, NULL, NULL);
    mnet_tcp_settings(mnet_posix_handle(client), &settings, sizeof settings);
    say("user timeout of a listener", (long)(settings.user_timeout_ns / 1000000));
    say("without delay, as the stack", settings.nodelay);
    number = 0;
    setsockopt(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &number, sizeof number);

    mnet_fiber fiber = waits(polls, &client);
    say("close", close(client));
    ends(fiber);

    client = accept(listener, NULL, NULL);
    fiber = waits(selects, &client);
    say("close", close(client));
    ends(fiber);

    /* The descriptor is another socket by the time that the fiber goes on. */
    client = accept(listener, NULL, NULL);
    struct pollfd next = { .fd = listener, .events = POLLIN };
    if (poll(&next, 1, 10000) != 1)
        return 4;
    fiber = waits(receives, &client);
    say("close", close(client));
    int other = accept(listener, NULL, NULL);
    say("the same descriptor", other == client);
    ends(fiber);
    say("send", send(other, "it ", 3, 0));

    /* A call that was given up has not failed the connection. */
    fiber = waits(receives, &other);
    mnet_cancel(fiber);
    ends(fiber);
    say("send", send(other, "still ", 6, 0));
    fiber = waits(spins, &other);
    say("send", send(other, "works", 5, 0));
    ends(fiber);
    user_timeout(other, 30000);
    user_timeout(other, 0);
    user_timeout(other, 1);

    /* A descriptor is nobody's before accept() has returned. */
    int expected = other + 1, accepted = -1;
    fiber = waits(accepts, &accepted);
    say("close what is not there", close(expected));
    say("send", send(other, "\n", 1, 0));
    ends(fiber);
    say("what was accepted", accepted == expected);
    say("send", send(accepted, "welcome\n", 8, 0));

    /* Neither is a connection another socket's. */
    int mine = socket(AF_INET, SOCK_STREAM, 0), before = mine;
    fiber = waits(connects, &before);
    close(mine);
    mine = socket(AF_INET, SOCK_STREAM, 0);
    say("the same descriptor", mine == before);
    ends(fiber);
    say("it has a handle", mnet_posix_handle(mine) >= 0);

    /* All of a message, whose socket goes when half of it is there. */
    fiber = waits(receives_all, &accepted);
    struct mnet_tcp_info half;
    uint64_t end = mnet_now() + 10000000000;
    do
        mnet_sleep(stack, 1000000);
    while (mnet_tcp_info(mnet_posix_handle(accepted), &half, sizeof half) == 0
           && (half.bytes_received == 0 || half.unread > 0) && mnet_now() < end);
    say("close", close(accepted));
    ends(fiber);
    close(other);
    close(listener);
    exit(0);
}
