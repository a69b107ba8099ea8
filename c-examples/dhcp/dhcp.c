/*
 * Has an address from a DHCP server, decides which leases it takes, and tells what it got: on the console, and to
 * everybody who connects.
 *
 * A program that just wants an address says --ipv4=dhcp, as all examples can. Here the calls are made by the program
 * itself. See README.md for what to type.
 */
#include <mnet_program.h>

#define BACKLOG 16
#define EVENTS 16
#define SECOND UINT64_C(1000000000)

/* An option that is not asked for by itself: the name of a file to start from (RFC 2132 section 9.5). */
#define BOOT_FILE_OPTION 67

/* ------------------------------------------------------------------------------------------------------ leases --- */

/* What leases have to be like. */
static struct wishes {
    uint64_t shortest;
    struct mnet_addr server;
} wishes;

static void say_lease(const char *what, const struct mnet_dhcp_lease *lease)
{
    char address[64], server[64];
    mnet_addr_format(&lease->address, address, sizeof address);
    mnet_addr_format(&lease->server, server, sizeof server);
    mnet_print("dhcp: %s %s/%u of %s for %lu s\n", what, address, lease->prefix_len, server,
               lease->duration_ns / SECOND);
}

static int is_same(const struct mnet_addr *left, const struct mnet_addr *right)
{
    for (int i = 0; i < 16; i++)
        if (left->ip[i] != right->ip[i])
            return 0;
    return left->family == right->family;
}

/*
 * Asked about each lease, by the library while this program waits in a call: so it must not make calls on the stack.
 * 0: not this one, and another one is looked for.
 */
static int accept_lease(void *context, const struct mnet_dhcp_lease *offered, const struct mnet_dhcp_lease *previous)
{
    const struct wishes *wanted = context;
    int good = offered->duration_ns >= wanted->shortest
        && (wanted->server.family == MNET_AF_NONE || is_same(&wanted->server, &offered->server));
    if (previous != NULL)
        say_lease("before this,", previous);
    say_lease(good ? "takes" : "does not take", offered);
    return good;
}

/* ----------------------------------------------------------------------------------------------------- telling --- */

/* What there is to tell, as text. */
static struct {
    char bytes[2048];
    size_t length;
} report;

static void MNET_FORMAT(1, 2) add(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof report.bytes - report.length;
    size_t length = mnet_vformat(report.bytes + report.length, room, format, arguments);
    report.length += length < room ? length : room - 1;
    va_end(arguments);
}

static void add_address(const char *name, const struct mnet_addr *value)
{
    char address[64];
    if (value->family == MNET_AF_NONE)
        return;
    mnet_addr_format(value, address, sizeof address);
    add("%s %s\n", name, address);
}

/* Writes anew what is to be told. Whether there is a lease. */
static int make_report(mnet_stack stack)
{
    struct mnet_dhcp_lease lease;
    struct mnet_addr server;
    char domain[254];
    uint8_t option[255];
    size_t length;
    report.length = 0;
    if (mnet_dhcp_lease(stack, 0, &lease, sizeof lease) != 1) {
        add("no lease\n");
        return 0;
    }
    add_address("address", &lease.address);
    add("prefix %u\n", lease.prefix_len);
    add_address("gateway", &lease.gateway);
    add_address("server", &lease.server);
    if (lease.mtu != 0)
        add("mtu %u\n", lease.mtu);
    for (size_t i = 0; mnet_dns_server(stack, 0, i, &server, NULL, NULL) == 1; i++)
        add_address("dns", &server);
    for (size_t i = 0; mnet_search_domain(stack, 0, i, domain, sizeof domain, NULL, NULL) > 0; i++)
        add("domain %s\n", domain);
    if (mnet_dhcp_option(stack, 0, BOOT_FILE_OPTION, option, sizeof option, &length) == 1) {
        /* Some servers send a NUL with it (RFC 2132 section 2). */
        while (length > 0 && option[length - 1] == '\0')
            length--;
        /* It is the server's text: nothing that would move a cursor about. */
        for (size_t i = 0; i < length; i++)
            if (option[i] < ' ' || option[i] > '~')
                option[i] = '?';
        add("boot-file %.*s\n", (int)length, (const char *)option);
    }
    add("seconds-left %lu\n", lease.valid_ns / SECOND);
    return 1;
}

/* Says on the console what has changed. */
static void tell_changes(mnet_stack stack)
{
    static int had_lease;
    struct mnet_network_event event;
    uint32_t changes = 0;
    while (mnet_network_events(stack, &event, 1, 0) == 1)
        changes |= event.changes;
    if (changes & MNET_CHANGE_ADDRESS_CONFLICT)
        mnet_print("dhcp: somebody else has the address\n");
    if (!(changes & (MNET_CHANGE_ADDRESS_USABLE | MNET_CHANGE_ADDRESS_GONE | MNET_CHANGE_LEASE)))
        return;
    int has_lease = make_report(stack);
    if (changes & MNET_CHANGE_ADDRESS_USABLE && has_lease) {
        mnet_print("dhcp: the address can be used\n");
        solo5_console_write(report.bytes, report.length);
    } else if (had_lease && !has_lease) {
        mnet_print("dhcp: the lease is over\n");
    } else if (had_lease && changes & MNET_CHANGE_LEASE) {
        /* Renewals that change nothing are not told. */
        mnet_print("dhcp: the lease says something else\n");
    }
    had_lease = has_lease;
}

/* Tells each client that connects, and closes. */
static void tell_clients(mnet_stack stack, mnet_fd listener)
{
    mnet_fd client;
    while ((client = mnet_accept(listener, NULL)) > 0) {
        make_report(stack);
        /* There is room for it: nothing was sent on this connection before. */
        mnet_write(client, report.bytes, report.length);
        mnet_close(client);
    }
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static const uint8_t REQUESTS[] = { BOOT_FILE_OPTION };
    uint64_t port = 7;
    char hostname[64] = "";
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port on which it tells; default 7" },
        { .name = "hostname", .kind = MNET_OPTION_TEXT, .value = hostname, .value_size = sizeof hostname,
          .help = "what the server hears as our name" },
        { .name = "shortest", .kind = MNET_OPTION_TIME, .value = &wishes.shortest,
          .help = "do not take leases of less than this" },
        { .name = "server", .kind = MNET_OPTION_ADDRESS, .value = &wishes.server,
          .help = "take leases of this server only" },
    };
    struct mnet_args args;
    struct mnet_config config;
    struct mnet_dhcp dhcp;
    struct mnet_addr local;

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    /* The options of the network would say where the address is from: here that is what the program is about. */
    args.flags = MNET_ARGS_NO_NETWORK;
    int status = mnet_program_parse(&args, info, "dhcp", "Has an address from a DHCP server, and tells what it got.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;

    config.flags |= MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NETWORK_EVENTS;
    mnet_stack stack = mnet_open(&config);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);
    mnet_dhcp_default(&dhcp, sizeof dhcp);
    dhcp.accept = accept_lease;
    dhcp.context = &wishes;
    dhcp.requests = REQUESTS;
    dhcp.requests_len = sizeof REQUESTS;
    while (hostname[dhcp.hostname_len] != '\0')
        dhcp.hostname_len++;
    if (dhcp.hostname_len > 0)
        dhcp.hostname = hostname;
    status = mnet_dhcp_start(stack, 0, &dhcp);
    if (status < 0)
        return mnet_fail(&args, "cannot ask for an address", status);
    /* Before there is an address, and for all that come. */
    mnet_addr_parse("0.0.0.0", 7, &local);
    local.port = (uint16_t)port;
    mnet_fd listener = mnet_listen(stack, &local, BACKLOG);
    if (listener < 0)
        return mnet_fail(&args, "cannot listen", listener);
    mnet_print("dhcp: asks for an address\n");

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t ready = mnet_events(stack, events, EVENTS, -1);
        if (ready < 0)
            return mnet_fail(&args, "the network failed", ready);
        for (int64_t i = 0; i < ready; i++)
            if (events[i].ready & MNET_NETWORK)
                tell_changes(stack);
            else if (events[i].fd == listener)
                tell_clients(stack, listener);
    }
}
