/*
 * The echo service (RFC 862) on TCP and UDP, with mnet_poll(): sockets do not wait, and one call says which can go on.
 *
 * This is how poll() of POSIX is used. Each turn looks at every client, so it suits dozens of them; echo.c, with
 * mnet_events(), costs the same for thousands.
 */
#include <mnet_program.h>

/* Clients at a time. More wait until one has left. */
#define CLIENTS 256

/*
 * Moves data from the receive side of a connection to its send side until one of them has to wait for the client.
 * Returns what to wait for; 0: the client has finished, or is gone, and the connection is closed.
 */
static uint32_t echo(mnet_fd connection)
{
    for (;;) {
        const void *data;
        int64_t got = mnet_peek(connection, &data);
        if (got == MNET_EAGAIN)
            return MNET_READABLE;
        if (got <= 0)
            break;
        int64_t taken = mnet_write(connection, data, (size_t)got);
        if (taken == MNET_EAGAIN)
            return MNET_WRITABLE;
        if (taken < 0)
            break;
        mnet_consume(connection, (size_t)taken);
    }
    mnet_close(connection);
    return 0;
}

/* Answers come from the address that was asked. */
static void echo_datagrams(mnet_fd socket)
{
    static uint8_t datagram[65536];
    struct mnet_datagram info;
    int64_t length;
    info.size = sizeof info;
    while ((length = mnet_recvmsg(socket, datagram, sizeof datagram, &info)) != MNET_EAGAIN) {
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
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uint64_t port = 7;
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port to listen on; default 7" },
    };
    struct mnet_args args;
    struct mnet_config config;
    /* The listener, the UDP socket, and the clients. */
    static struct mnet_pollfd sockets[2 + CLIENTS];
    size_t count = 2;

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "echo-poll",
                                    "The echo service (RFC 862) on TCP and UDP, with mnet_poll.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;

    config.flags |= MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);

    /* The address that was given, or all that the stack finds. */
    struct mnet_addr local[2];
    mnet_local_addresses(&args, port, local);
    sockets[0].fd = mnet_listen(stack, &local[0], CLIENTS);
    if (sockets[0].fd < 0)
        return mnet_fail(&args, "cannot listen on TCP", sockets[0].fd);
    sockets[1].fd = mnet_udp_bind(stack, &local[0]);
    if (sockets[1].fd < 0)
        return mnet_fail(&args, "cannot open the UDP socket", sockets[1].fd);
    sockets[1].events = MNET_READABLE;
    mnet_print("echo: one poll for all clients\n");

    for (;;) {
        /* While the table is full, nobody is accepted. */
        sockets[0].events = count < 2 + CLIENTS ? MNET_READABLE : 0;
        int64_t ready = mnet_poll(stack, sockets, count, -1);
        if (ready < 0)
            return mnet_fail(&args, "the network failed", ready);
        if (sockets[1].revents)
            echo_datagrams(sockets[1].fd);
        for (size_t i = 2; i < count;) {
            if (sockets[i].revents)
                sockets[i].events = echo(sockets[i].fd);
            /* The last one takes the place of a client that has left, and is looked at next. */
            if (sockets[i].events == 0)
                sockets[i] = sockets[--count];
            else
                i++;
        }
        while (count < 2 + CLIENTS) {
            mnet_fd client = mnet_accept(sockets[0].fd, NULL);
            if (client < 0)
                break;
            sockets[count].fd = client;
            sockets[count].revents = 0;
            sockets[count].events = echo(client);
            if (sockets[count].events != 0)
                count++;
        }
    }
}
