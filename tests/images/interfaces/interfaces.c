/*
 * For the tests of images with several interfaces: an echo service on TCP and UDP port 7, on every address.
 *
 * The command line is a list of words NAME=VALUE, done in order: an interface is "1" (the device `service`), "2" (the
 * device `backend`) or "3", a VLAN.
 *
 *   vlan=PARENT,VLAN,PRIORITY,MTU   the interface 3; MTU 0: the parent's
 *   address=NUMBER,ADDRESS/PREFIX   an address; for IPv6 the interface speaks it from then on, without routers
 *   gateway=NUMBER,ADDRESS          a default gateway
 */
#include <mnet_program.h>

#define STACK_RESERVE ((size_t)256 << 10)
#define EVENTS 64

static uint8_t datagram[65536];

static size_t length_of(const char *string)
{
    size_t length = 0;
    while (string[length] != '\0')
        length++;
    return length;
}

static int fail(const char *what, int64_t error)
{
    mnet_print("interfaces: %s: %s\n", what, mnet_error_name((int)error));
    return SOLO5_EXIT_FAILURE;
}

/* A word that is taken apart: what is left of it. */
struct rest {
    const char *at;
    size_t length;
};

static int starts_with(struct rest *rest, const char *name)
{
    size_t length = length_of(name);
    for (size_t i = 0; i < length; i++)
        if (i >= rest->length || rest->at[i] != name[i])
            return 0;
    rest->at += length;
    rest->length -= length;
    return 1;
}

/* A decimal number and the comma behind it, if there is one. */
static uint32_t take_number(struct rest *rest)
{
    uint32_t number = 0;
    while (rest->length > 0 && rest->at[0] != ',') {
        number = number * 10 + (uint32_t)(rest->at[0] - '0');
        rest->at++;
        rest->length--;
    }
    if (rest->length > 0) {
        rest->at++;
        rest->length--;
    }
    return number;
}

static int add_vlan(mnet_stack stack, struct rest rest)
{
    uint32_t parent = take_number(&rest), vlan = take_number(&rest), priority = take_number(&rest);
    return mnet_add_vlan(stack, parent, vlan, priority, take_number(&rest));
}

static int add_address(mnet_stack stack, struct rest rest)
{
    uint32_t interface = take_number(&rest), prefix_len;
    struct mnet_addr address;
    int status = mnet_cidr_parse(rest.at, rest.length, &address, &prefix_len);
    if (status < 0)
        return status;
    if (address.family == MNET_AF_INET)
        return mnet_add_address(stack, interface, &address, prefix_len, 0);
    struct mnet_ipv6 ipv6;
    mnet_ipv6_default(&ipv6, sizeof ipv6);
    ipv6.interface = interface;
    ipv6.address = address;
    ipv6.prefix_len = prefix_len;
    ipv6.flags = MNET_IPV6_NO_ROUTERS;
    return mnet_enable_ipv6(stack, &ipv6);
}

static int add_gateway(mnet_stack stack, struct rest rest)
{
    struct mnet_route route = { .size = sizeof route, .interface = take_number(&rest) };
    int status = mnet_addr_parse(rest.at, rest.length, &route.gateway);
    route.destination.family = route.gateway.family;
    return status < 0 ? status : mnet_add_route(stack, &route);
}

static int configure(mnet_stack stack, const char *cmdline)
{
    while (*cmdline != '\0') {
        struct rest rest = { cmdline, 0 };
        int status = MNET_EINVAL;
        while (cmdline[0] != '\0' && cmdline[0] != ' ') {
            cmdline++;
            rest.length++;
        }
        while (*cmdline == ' ')
            cmdline++;
        if (starts_with(&rest, "vlan="))
            status = add_vlan(stack, rest);
        else if (starts_with(&rest, "address="))
            status = add_address(stack, rest);
        else if (starts_with(&rest, "gateway="))
            status = add_gateway(stack, rest);
        if (status < 0)
            return status;
    }
    return 0;
}

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

/* From the address that was asked: the route alone might choose one of another interface. */
static void echo_datagrams(mnet_fd socket)
{
    for (;;) {
        struct mnet_datagram info = { .size = sizeof info };
        int64_t length = mnet_recvmsg(socket, datagram, sizeof datagram, &info);
        if (length == MNET_EAGAIN)
            return;
        if (length < 0)
            continue;
        struct mnet_datagram answer = { .size = sizeof answer, .remote = info.remote, .local = info.local };
        mnet_sendmsg(socket, datagram, (size_t)length, &answer);
    }
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static const char *const EVERYTHING[2] = { "0.0.0.0:7", "[::]:7" };
    struct mnet_config config;
    mnet_fd listeners[2], udp[2];
    int status;

    mnet_config_default(&config, sizeof config);
    config.arena = (void *)info->heap_start;
    config.arena_size = info->heap_size - STACK_RESERVE;
    config.max_mtu = 9000;
    config.flags = MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY;
    mnet_stack stack = mnet_open(&config);
    if (stack < 0)
        return fail("open", stack);
    status = mnet_add_interface(stack, "backend");
    if (status < 0)
        return fail("backend", status);
    status = configure(stack, info->cmdline);
    if (status < 0)
        return fail("command line", status);
    for (int i = 0; i < 2; i++) {
        struct mnet_addr local;
        mnet_addr_parse(EVERYTHING[i], length_of(EVERYTHING[i]), &local);
        listeners[i] = mnet_listen(stack, &local, 64);
        udp[i] = mnet_udp_bind(stack, &local);
        if (listeners[i] < 0 || udp[i] < 0)
            return fail("listen", listeners[i] < 0 ? listeners[i] : udp[i]);
    }
    mnet_print("interfaces: listening\n");

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t count = mnet_events(stack, events, EVENTS, -1);
        if (count < 0)
            return fail("events", count);
        for (int64_t i = 0; i < count; i++) {
            mnet_fd socket = events[i].fd, client;
            if (socket == listeners[0] || socket == listeners[1])
                while ((client = mnet_accept(socket, NULL)) > 0)
                    echo(client);
            else if (socket == udp[0] || socket == udp[1])
                echo_datagrams(socket);
            else
                echo(socket);
        }
    }
}
