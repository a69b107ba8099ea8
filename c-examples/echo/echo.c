/*
 * The echo service (RFC 862) on TCP and UDP, for many clients at once.
 *
 * One loop serves everybody, and no client has a buffer here: what a client sent stays in the stack until the stack has
 * taken it for sending. A client that does not read its answers is therefore not read from either, and TCP tells it to
 * wait. See README.md for what to type.
 */
#include <mnet.h>
#include <solo5.h>

/* The stack lives at the end of the heap and grows down; this much is left to it. */
#define STACK_RESERVE ((size_t)256 << 10)
/* Thousands of connections, windows of a mebibyte for dozens of fast ones; more would only delay the start. */
#define ARENA_MAX ((size_t)32 << 20)
/* Connections that may wait to be accepted. */
#define BACKLOG 512
/* Events taken at a time. */
#define EVENTS 64

/* ------------------------------------------------------------------------------------------------------- text --- */

/* Text is put together here before it goes to the console or into a datagram, in one piece. */
static struct {
    size_t length;
    char bytes[1400];
} text;

static size_t length_of(const char *string)
{
    size_t length = 0;
    while (string[length] != '\0')
        length++;
    return length;
}

/* Appends; what does not fit is cut off. */
static void add_bytes(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length && text.length < sizeof text.bytes; i++)
        text.bytes[text.length++] = bytes[i];
}

static void add(const char *string)
{
    add_bytes(string, length_of(string));
}

static void add_number(uint64_t number)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add_bytes(digits + first, sizeof digits - first);
}

static void print(void)
{
    solo5_console_write(text.bytes, text.length);
    text.length = 0;
}

/* --------------------------------------------------------------------------------------------------- arguments --- */

static const char USAGE[] =
    "usage: echo --ipv4=ADDRESS/PREFIX [--ipv4-gateway=ADDRESS] [--ipv6=random|eui64|ADDRESS/PREFIX] "
    "[--ipv6-gateway=ADDRESS] [--port=1..65535] [--stats-port=1..65535] [--busy-poll=MICROSECONDS]\n";

struct options {
    struct mnet_addr address;
    uint32_t prefix_len;
    struct mnet_addr gateway;
    int has_ipv6;
    struct mnet_ipv6 ipv6;
    uint16_t port;
    uint16_t stats_port; /* 0: none */
    uint64_t busy_poll_ns;
};

/* A decimal number from min to max, and nothing after it. */
static int parse_number(const char *word, size_t length, uint64_t min, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;
    if (length == 0 || length > 9)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (word[i] < '0' || word[i] > '9')
            return -1;
        value = value * 10 + (uint64_t)(word[i] - '0');
    }
    if (value < min || value > max)
        return -1;
    *number = value;
    return 0;
}

/* If the word starts with the option's name: where its value starts. */
static int is_option(const char *word, size_t length, const char *name, const char **value, size_t *value_length)
{
    size_t name_length = length_of(name);
    if (length < name_length)
        return 0;
    for (size_t i = 0; i < name_length; i++)
        if (word[i] != name[i])
            return 0;
    *value = word + name_length;
    *value_length = length - name_length;
    return 1;
}

static int is_word(const char *word, size_t length, const char *expected)
{
    const char *rest;
    size_t rest_length;
    return is_option(word, length, expected, &rest, &rest_length) && rest_length == 0;
}

/* How to speak IPv6, in the spelling of OCaml mnet's users: addresses with random ends, with the Ethernet address at
 * their ends, or a given one. */
static int parse_ipv6(const char *value, size_t size, struct options *options)
{
    options->has_ipv6 = 1;
    if (is_word(value, size, "random"))
        return 0;
    if (is_word(value, size, "eui64")) {
        options->ipv6.flags |= MNET_IPV6_EUI64;
        return 0;
    }
    return mnet_cidr_parse(value, size, &options->ipv6.address, &options->ipv6.prefix_len);
}

/* An address without a port. */
static int parse_gateway(const char *value, size_t size, struct mnet_addr *gateway)
{
    return mnet_addr_parse(value, size, gateway) == 0 && gateway->port == 0 ? 0 : -1;
}

static int parse_word(const char *word, size_t length, struct options *options)
{
    const char *value;
    size_t size;
    uint64_t number;
    if (is_option(word, length, "--ipv4=", &value, &size))
        return mnet_cidr_parse(value, size, &options->address, &options->prefix_len);
    if (is_option(word, length, "--ipv4-gateway=", &value, &size))
        return parse_gateway(value, size, &options->gateway);
    if (is_option(word, length, "--ipv6=", &value, &size))
        return parse_ipv6(value, size, options);
    if (is_option(word, length, "--ipv6-gateway=", &value, &size))
        return parse_gateway(value, size, &options->ipv6.gateway);
    if (is_option(word, length, "--port=", &value, &size)) {
        if (parse_number(value, size, 1, 65535, &number) != 0)
            return -1;
        options->port = (uint16_t)number;
        return 0;
    }
    if (is_option(word, length, "--stats-port=", &value, &size)) {
        if (parse_number(value, size, 1, 65535, &number) != 0)
            return -1;
        options->stats_port = (uint16_t)number;
        return 0;
    }
    if (is_option(word, length, "--busy-poll=", &value, &size)) {
        if (parse_number(value, size, 0, 1000000, &number) != 0)
            return -1;
        options->busy_poll_ns = number * 1000;
        return 0;
    }
    return -1;
}

/* Takes the command line apart. Anything unknown or wrong is reported, with the usage. */
static int parse(const char *cmdline, struct options *options)
{
    while (*cmdline != '\0') {
        size_t length = 0;
        if (*cmdline == ' ') {
            cmdline++;
            continue;
        }
        while (cmdline[length] != '\0' && cmdline[length] != ' ')
            length++;
        if (parse_word(cmdline, length, options) != 0) {
            add("echo: cannot make sense of ");
            add_bytes(cmdline, length < 200 ? length : 200);
            add("\n");
            add(USAGE);
            print();
            return -1;
        }
        cmdline += length;
    }
    if (options->address.family == MNET_AF_NONE) {
        add("echo: --ipv4 is missing\n");
        add(USAGE);
        print();
        return -1;
    }
    return 0;
}

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

static void echo_datagrams(mnet_fd socket)
{
    for (;;) {
        struct mnet_addr client;
        int64_t length = mnet_recvfrom(socket, datagram, sizeof datagram, &client);
        if (length == MNET_EAGAIN)
            return;
        /* Anything else that is negative is an ICMP error about an earlier answer: nobody's concern. */
        if (length >= 0)
            mnet_sendto(socket, datagram, (size_t)length, &client);
    }
}

/* Sends the text if another line might not fit, or at the end. */
static void send_text(mnet_fd socket, const struct mnet_addr *client, int last)
{
    if (last || text.length > sizeof text.bytes - 350) {
        mnet_sendto(socket, text.bytes, text.length, client);
        text.length = 0;
    }
}

static uint64_t values_told;

static void add_value(const char *name, uint64_t value)
{
    values_told++;
    add(name);
    add(" ");
    add_number(value);
    add("\n");
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
        add_value("frames_total", usage.frames);
        add_value("frames_free", usage.frames_free);
        add_value("frames_lowest", usage.frames_lowest);
        add_value("max_connections", usage.max_connections);
        add_value("connections", usage.connections);
        add_value("orphaned", usage.orphaned);
        add_value("half_open", usage.half_open);
        add_value("time_wait", usage.time_wait);
        add_value("udp_sockets", usage.udp_sockets);
        send_text(socket, &client, 0);
        for (size_t i = 0; mnet_dns_server(stack, 0, i, &server, NULL, &lifetime) == 1; i++) {
            mnet_addr_format(&server, name, sizeof name);
            add("dns_server_");
            add_value(name, lifetime / 1000000000);
        }
        for (size_t i = 0; mnet_search_domain(stack, 0, i, name, sizeof name, NULL, &lifetime) > 0; i++) {
            add("search_domain_");
            add_value(name, lifetime / 1000000000);
            send_text(socket, &client, 0);
        }
        for (size_t i = 0; i < mnet_counter_count(); i++) {
            uint64_t value;
            if (mnet_counter_value(stack, i, &value) == 0)
                add_value(mnet_counter_name(i), value);
            send_text(socket, &client, 0);
        }
        add_value("end", values_told);
        send_text(socket, &client, 1);
    }
}

/* -------------------------------------------------------------------------------------------------------- main --- */

static int fail(const char *what, int64_t error)
{
    add("echo: ");
    add(what);
    add(": ");
    add(mnet_strerror((int)error));
    add("\n");
    print();
    return SOLO5_EXIT_FAILURE;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static struct options options = { .port = 7 };
    struct mnet_config config;
    struct mnet_addr any6;
    char address[64];
    mnet_stack stack;
    mnet_fd listener, udp, listener6 = 0, udp6 = 0, stats = 0;

    if (mnet_abi_version() != MNET_ABI_VERSION) {
        add("echo: header and library of mnet do not belong together\n");
        print();
        return SOLO5_EXIT_FAILURE;
    }
    mnet_ipv6_default(&options.ipv6, sizeof options.ipv6);
    if (parse(info->cmdline, &options) != 0)
        return SOLO5_EXIT_FAILURE;

    mnet_config_default(&config, sizeof config);
    config.arena = (void *)info->heap_start;
    config.arena_size = info->heap_size > STACK_RESERVE ? info->heap_size - STACK_RESERVE : 0;
    if (config.arena_size > ARENA_MAX)
        config.arena_size = ARENA_MAX;
    config.address = options.address;
    config.prefix_len = options.prefix_len;
    config.gateway = options.gateway;
    config.busy_poll_ns = options.busy_poll_ns;
    config.flags = MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY | MNET_CONFIG_ARENA_ZERO;
    stack = mnet_open(&config);
    if (stack < 0)
        return fail("cannot open the network", stack);

    options.address.port = options.port;
    listener = mnet_listen(stack, &options.address, BACKLOG);
    if (listener < 0)
        return fail("cannot listen on TCP", listener);
    udp = mnet_udp_bind(stack, &options.address);
    if (udp < 0)
        return fail("cannot open the UDP socket", udp);
    mnet_addr_format(&options.address, address, sizeof address);
    add("echo: listening on ");
    add(address);
    add(", TCP and UDP\n");
    if (options.has_ipv6) {
        int status = mnet_enable_ipv6(stack, &options.ipv6);
        if (status < 0)
            return fail("cannot speak IPv6", status);
        mnet_addr_parse("::", 2, &any6);
        any6.port = options.port;
        listener6 = mnet_listen(stack, &any6, BACKLOG);
        udp6 = mnet_udp_bind(stack, &any6);
        if (listener6 < 0 || udp6 < 0)
            return fail("cannot listen on IPv6", listener6 < 0 ? listener6 : udp6);
        mnet_addr_format(&any6, address, sizeof address);
        add("echo: listening on ");
        add(address);
        add(", TCP and UDP\n");
    }
    if (options.stats_port != 0) {
        options.address.port = options.stats_port;
        stats = mnet_udp_bind(stack, &options.address);
        if (stats < 0)
            return fail("cannot open the socket for statistics", stats);
    }
    print();

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t count = mnet_events(stack, events, EVENTS, -1);
        if (count < 0)
            return fail("the network failed", count);
        for (int64_t i = 0; i < count; i++) {
            mnet_fd socket = events[i].fd;
            if (socket == listener || socket == listener6)
                accept_all(socket);
            else if (socket == udp || socket == udp6)
                echo_datagrams(socket);
            else if (socket == stats)
                tell_statistics(stack, stats);
            else
                echo(socket);
        }
    }
}
