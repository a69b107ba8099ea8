/*
 * The echo service (RFC 862) on TCP and UDP, for many clients at once.
 *
 * One loop serves everybody, and no client has a buffer here: what a client sent stays in the stack until the stack has
 * taken it for sending. A client that does not read its answers is therefore not read from either, and TCP tells it to
 * wait. See README.md for what to type, and for the same service written in two other ways.
 */
#include <mnet_program.h>

/* Connections that may wait to be accepted. */
#define BACKLOG 512
/* Events taken at a time. */
#define EVENTS 64

/* --------------------------------------------------------------------------------------------------------- TCP --- */

/*
 * Moves data from the receive side of a connection to its send side until one of them has to wait for the client. At
 * the end of the client's data the connection is closed; the stack still delivers what was written.
 */
static void echo(mnet_fd connection)
{
    for (;;) {
        const void *data;
        int64_t got = mnet_peek(connection, &data);
        if (got == MNET_EAGAIN)
            return;
        if (got <= 0)
            break;
        int64_t taken = mnet_write(connection, data, (size_t)got);
        if (taken == MNET_EAGAIN)
            return;
        if (taken < 0)
            break;
        mnet_consume(connection, (size_t)taken);
    }
    mnet_close(connection);
}

static void accept_all(mnet_fd listener)
{
    mnet_fd connection;
    while ((connection = mnet_accept(listener, NULL)) > 0)
        echo(connection);
}

/* --------------------------------------------------------------------------------------------------------- UDP --- */

static uint8_t datagram[65536];

/* Answers come from the address that was asked, whatever address the route would choose. */
static void echo_datagrams(mnet_fd socket)
{
    for (;;) {
        struct mnet_datagram info;
        info.size = sizeof info;
        int64_t length = mnet_recvmsg(socket, datagram, sizeof datagram, &info);
        if (length == MNET_EAGAIN)
            return;
        /*
         * Anything else that is negative is an ICMP error about an earlier answer: nobody's concern. And another
         * service's datagram is not answered: if that echoes too, one forged question would never end.
         */
        if (length < 0 || info.remote.port < 1024)
            continue;
        info.interface = 0;
        info.hop_limit = info.traffic_class = 0;
        if (mnet_sendmsg(socket, datagram, (size_t)length, &info) == MNET_EADDRNOTAVAIL) {
            /* Everybody was asked, or a group: nobody can answer from there. */
            info.local.family = MNET_AF_NONE;
            mnet_sendmsg(socket, datagram, (size_t)length, &info);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------- statistics --- */

/* Lines that are gathered for a datagram. */
static struct {
    size_t length;
    char bytes[1400];
} text;

static uint64_t values_told;

/* Adds a line; there is room for it. */
static void add_value(const char *front, const char *name, uint64_t value)
{
    values_told++;
    text.length += mnet_format(text.bytes + text.length, sizeof text.bytes - text.length, "%s%s %lu\n", front, name,
                               value);
}

/* Sends the lines if another one might not fit, or at the end. */
static void send_text(mnet_fd socket, const struct mnet_addr *client, int last)
{
    if (last || text.length > sizeof text.bytes - 350) {
        mnet_sendto(socket, text.bytes, text.length, client);
        text.length = 0;
    }
}

/*
 * Answers every datagram with what the stack has in use and has counted: lines of "name value" in as many datagrams as
 * they need. The last line is "end" and how many lines were before it, so that one that got lost is noticed.
 */
static void tell_statistics(mnet_stack stack, mnet_fd socket)
{
    struct mnet_addr client, server;
    char name[256];
    uint64_t lifetime;
    while (mnet_recvfrom(socket, NULL, 0, &client) != MNET_EAGAIN) {
        struct mnet_usage usage;
        if (mnet_usage(stack, &usage, sizeof usage) != 0)
            return;
        values_told = 0;
        add_value("", "frames_total", usage.frames);
        add_value("", "frames_free", usage.frames_free);
        add_value("", "frames_lowest", usage.frames_lowest);
        add_value("", "max_connections", usage.max_connections);
        add_value("", "connections", usage.connections);
        add_value("", "orphaned", usage.orphaned);
        add_value("", "half_open", usage.half_open);
        add_value("", "time_wait", usage.time_wait);
        add_value("", "udp_sockets", usage.udp_sockets);
        send_text(socket, &client, 0);
        for (size_t i = 0; mnet_dns_server(stack, 0, i, &server, NULL, &lifetime) == 1; i++) {
            mnet_addr_format(&server, name, sizeof name);
            add_value("dns_server_", name, lifetime / 1000000000);
            send_text(socket, &client, 0);
        }
        for (size_t i = 0; mnet_search_domain(stack, 0, i, name, sizeof name, NULL, &lifetime) > 0; i++) {
            add_value("search_domain_", name, lifetime / 1000000000);
            send_text(socket, &client, 0);
        }
        for (size_t i = 0; i < mnet_counter_count(); i++) {
            uint64_t value;
            if (mnet_counter_value(stack, i, &value) == 0)
                add_value("", mnet_counter_name(i), value);
            send_text(socket, &client, 0);
        }
        add_value("", "end", values_told);
        send_text(socket, &client, 1);
    }
}

/* --------------------------------------------------------------------------------------------------- addresses --- */

/* Says which addresses there are now that nobody gave: from a DHCP server, from a router, or of our own choice. */
static void tell_addresses(mnet_stack stack)
{
    struct mnet_network_event event;
    struct mnet_address_info info;
    char address[64];
    uint32_t changes = 0;
    int usable = 0;
    while (mnet_network_events(stack, &event, 1, 0) == 1)
        changes |= event.changes;
    for (size_t i = 0; mnet_address(stack, 0, i, &info, sizeof info) == 1; i++) {
        if (info.state != MNET_ADDRESS_USABLE || info.origin == MNET_ORIGIN_STATIC)
            continue;
        usable = 1;
        if (changes & MNET_CHANGE_ADDRESS_USABLE) {
            mnet_addr_format(&info.address, address, sizeof address);
            mnet_print("echo: the address is %s/%u\n", address, info.prefix_len);
        }
    }
    if (changes & MNET_CHANGE_ADDRESS_GONE && !usable)
        mnet_print("echo: the address is gone\n");
}

/* -------------------------------------------------------------------------------------------------------- main --- */

int solo5_app_main(const struct solo5_start_info *info)
{
    uint64_t port = 7, stats_port = 0, busy_poll = 0;
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port to listen on; default 7" },
        { .name = "stats-port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &stats_port, .min = 1,
          .max = 65535, .help = "answer datagrams to this UDP port with statistics" },
        { .name = "busy-poll", .value_name = "MICROSECONDS", .kind = MNET_OPTION_NUMBER, .value = &busy_poll,
          .max = 1000000, .help = "look for frames so long before going to sleep; default 0" },
    };
    struct mnet_args args;
    struct mnet_config config;
    struct mnet_addr local[2];
    mnet_fd listeners[2] = { 0, 0 }, sockets[2] = { 0, 0 }, stats = 0;

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "echo", "The echo service (RFC 862) on TCP and UDP.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;

    config.busy_poll_ns = busy_poll * 1000;
    config.flags |= MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY | MNET_CONFIG_NETWORK_EVENTS;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);

    /* On TCP and UDP, at the address that was given, or at all that the stack finds. */
    size_t count = mnet_local_addresses(&args, port, local);
    for (size_t i = 0; i < count; i++) {
        listeners[i] = mnet_listen(stack, &local[i], BACKLOG);
        if (listeners[i] < 0)
            return mnet_fail(&args, "cannot listen on TCP", listeners[i]);
        sockets[i] = mnet_udp_bind(stack, &local[i]);
        if (sockets[i] < 0)
            return mnet_fail(&args, "cannot open the UDP socket", sockets[i]);
    }
    if (stats_port != 0) {
        struct mnet_addr first = local[0];
        first.port = (uint16_t)stats_port;
        stats = mnet_udp_bind(stack, &first);
        if (stats < 0)
            return mnet_fail(&args, "cannot open the socket for statistics", stats);
    }
    for (size_t i = 0; i < count; i++) {
        char address[64];
        mnet_addr_format(&local[i], address, sizeof address);
        mnet_print("echo: listening on %s, TCP and UDP\n", address);
    }

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t ready = mnet_events(stack, events, EVENTS, -1);
        if (ready < 0)
            return mnet_fail(&args, "the network failed", ready);
        for (int64_t i = 0; i < ready; i++) {
            mnet_fd socket = events[i].fd;
            if (events[i].ready & MNET_NETWORK)
                tell_addresses(stack);
            else if (socket == listeners[0] || socket == listeners[1])
                accept_all(socket);
            else if (socket == sockets[0] || socket == sockets[1])
                echo_datagrams(socket);
            else if (socket == stats)
                tell_statistics(stack, stats);
            else
                echo(socket);
        }
    }
}
