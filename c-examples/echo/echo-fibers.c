/*
 * The echo service (RFC 862) on TCP and UDP, with a fiber for each client.
 *
 * Each client is served by straight-line code: read, write, until there is no more. A call that waits lets the other
 * fibers run. docs/echo.md explains it line by line.
 */
#include <mnet_program.h>

/* Connections that may wait to be accepted. */
#define BACKLOG 512
/* What a client needs here beside the library: a buffer of a kibibyte. */
#define CLIENT_SIZE MNET_FIBER_SIZE_MIN

/* A place for each client that has left, if somebody counts them. */
static mnet_channel ended;

/* Runs when the fiber of a client ends, however that is. */
static void part(void *client)
{
    mnet_close((mnet_fd)(intptr_t)client);
    if (ended > 0)
        mnet_channel_send(ended, NULL, -1);
}

static void *serve(void *client)
{
    mnet_fd connection = (mnet_fd)(intptr_t)client;
    char buffer[1024];
    int64_t length;
    mnet_cleanup_push(part, client);
    while ((length = mnet_read(connection, buffer, sizeof buffer)) > 0)
        if (mnet_write(connection, buffer, (size_t)length) < 0)
            break;
    return NULL;
}

/* Datagrams have one fiber: each is answered at once, from the address that was asked. */
static void *serve_datagrams(void *arg)
{
    static uint8_t datagram[65536];
    mnet_fd socket = (mnet_fd)(intptr_t)arg;
    struct mnet_datagram info;
    int64_t length;
    info.size = sizeof info;
    while ((length = mnet_recvmsg(socket, datagram, sizeof datagram, &info)) != MNET_ECANCELED) {
        /*
         * Anything else that is negative is an ICMP error about an earlier answer: nobody's concern. And another
         * service's datagram is not answered: if that echoes too, one forged question would never end.
         */
        if (length < 0 || info.remote.port < 1024)
            continue;
        info.interface = 0;
        info.hop_limit = info.traffic_class = 0;
        mnet_sendmsg(socket, datagram, (size_t)length, &info);
    }
    return NULL;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uint64_t port = 7, limit = 0;
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port to listen on; default 7" },
        { .name = "limit", .value_name = "CLIENTS", .kind = MNET_OPTION_NUMBER, .value = &limit, .max = 1000000,
          .help = "end when so many clients have come and gone; default: never" },
    };
    struct mnet_args args;
    struct mnet_config config;

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "echo-fibers",
                                    "The echo service (RFC 862) on TCP and UDP, with a fiber for each client.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;

    config.fiber_memory = config.arena_size / 3;
    config.flags |= MNET_CONFIG_NODELAY;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);

    /* The address that was given, or all that the stack finds. */
    struct mnet_addr local[2];
    mnet_local_addresses(&args, port, local);
    mnet_fd listener = mnet_listen(stack, &local[0], BACKLOG);
    if (listener < 0)
        return mnet_fail(&args, "cannot listen on TCP", listener);
    mnet_fd udp = mnet_udp_bind(stack, &local[0]);
    if (udp < 0)
        return mnet_fail(&args, "cannot open the UDP socket", udp);
    mnet_fiber datagrams = mnet_spawn(stack, serve_datagrams, (void *)(intptr_t)udp, NULL, 0);
    if (datagrams < 0)
        return mnet_fail(&args, "cannot start a fiber", datagrams);
    if (limit > 0) {
        ended = mnet_channel_open(stack, 0, (size_t)limit, NULL, 0);
        if (ended < 0)
            return mnet_fail(&args, "cannot open a channel", ended);
    }
    mnet_print("echo: a fiber for each client\n");

    for (uint64_t clients = 0; limit == 0 || clients < limit;) {
        mnet_fd client = mnet_accept(listener, NULL);
        if (client < 0)
            return mnet_fail(&args, "cannot accept", client);
        mnet_fiber fiber = mnet_spawn(stack, serve, (void *)(intptr_t)client, NULL, CLIENT_SIZE);
        if (fiber < 0) {
            /* No memory for one more: the client hears at once. */
            mnet_abort(client);
            continue;
        }
        /* Nobody waits for it, and its memory is free when it ends. */
        mnet_detach(fiber);
        clients++;
    }

    /* The end: no new clients, those that are there finish, and the fiber for datagrams is asked to. */
    mnet_close(listener);
    for (uint64_t clients = 0; clients < limit; clients++)
        mnet_channel_receive(ended, NULL, -1);
    mnet_cancel_all(stack, -1);
    mnet_close(udp);
    /* The stack delivers what was written, and says goodbye. */
    struct mnet_usage usage;
    while (mnet_usage(stack, &usage, sizeof usage) == 0 && usage.connections > 0)
        mnet_sleep(stack, 10000000);
    mnet_close_stack(stack);
    mnet_print("echo: all clients have left\n");
    return SOLO5_EXIT_SUCCESS;
}
