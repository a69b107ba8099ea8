/*
 * A TCP proxy between two networks: who connects on the device `service` is connected on to one address, which is
 * reached over the device `backend`.
 *
 * No packet goes from one network to the other; only what clients and the server say to each other does, and no other
 * address of the backend's network can be reached. There are no buffers here: what one side has sent stays in the stack
 * until the other side's connection has taken it, so a slow reader slows down its sender. See README.md for what to
 * type.
 */
#include <mnet_program.h>

/* Clients at a time. */
#define PAIRS 256
/* Clients that may wait to be accepted. */
#define BACKLOG 64
#define EVENTS 64

/* ------------------------------------------------------------------------------------------------------- pairs --- */

/* A client and its connection to the target. What one of them has said to the end is not asked for again. */
static struct pair {
    mnet_fd sides[2]; /* 0, 0: free */
    int ended[2];
} pairs[PAIRS];

static struct pair *pair_of(mnet_fd socket)
{
    for (size_t i = 0; i < PAIRS; i++)
        if (pairs[i].sides[0] == socket || pairs[i].sides[1] == socket)
            return &pairs[i];
    return NULL;
}

static void end_pair(struct pair *pair, int failed)
{
    for (int side = 0; side < 2; side++)
        if (failed)
            mnet_abort(pair->sides[side]);
        else
            mnet_close(pair->sides[side]);
    *pair = (struct pair){ 0 };
}

/*
 * Hands on what one side has sent, until the one side or the other has to be waited for. 0; 1: all of it, to its end;
 * -1: a connection has failed.
 */
static int forward(mnet_fd from, mnet_fd to)
{
    for (;;) {
        const void *data;
        int64_t got = mnet_peek(from, &data);
        if (got == MNET_EAGAIN)
            return 0;
        if (got < 0)
            return -1;
        if (got == 0)
            return mnet_shutdown(to, MNET_SHUT_WR) == MNET_EAGAIN ? 0 : 1;
        int64_t taken = mnet_write(to, data, (size_t)got);
        if (taken == MNET_EAGAIN)
            return 0;
        if (taken < 0)
            return -1;
        mnet_consume(from, (size_t)taken);
    }
}

static void serve(struct pair *pair)
{
    for (int side = 0; side < 2; side++) {
        int moved;
        if (!pair->ended[side])
            moved = forward(pair->sides[side], pair->sides[1 - side]);
        else /* It has nothing more to say, but may be gone: what is said to it would be for nobody. */
            moved = mnet_readiness(pair->sides[side]) & MNET_ERROR ? -1 : 1;
        if (moved < 0) {
            end_pair(pair, 1);
            return;
        }
        pair->ended[side] = moved;
    }
    if (pair->ended[0] && pair->ended[1])
        end_pair(pair, 0);
}

/* Connects each client on to the target, from our address on the backend: so it leaves there, whatever routes say. */
static void accept_all(mnet_stack stack, mnet_fd listener, const struct mnet_addr *target, const struct mnet_addr *from)
{
    mnet_fd client;
    while ((client = mnet_accept(listener, NULL)) > 0) {
        struct pair *pair = pair_of(0);
        mnet_fd server = pair == NULL ? MNET_ELIMIT : mnet_connect(stack, target, from, MNET_NONBLOCK);
        if (server < 0) {
            mnet_abort(client);
            continue;
        }
        pair->sides[0] = client;
        pair->sides[1] = server;
        serve(pair);
    }
}

/* -------------------------------------------------------------------------------------------------------- main --- */

int solo5_app_main(const struct solo5_start_info *info)
{
    static const char *const DEVICES[] = { "service", "backend" };
    uint64_t port = 80;
    struct mnet_addr target = { 0 };
    struct mnet_option options[] = {
        { .name = "target", .kind = MNET_OPTION_ENDPOINT, .value = &target, .flags = MNET_OPTION_REQUIRED,
          .help = "where clients are connected on to" },
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port for clients; default 80" },
    };
    struct mnet_args args;
    struct mnet_config config;
    char address[64], behind[64];

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    args.log = mnet_log_console;
    args.devices = DEVICES;
    args.device_count = sizeof DEVICES / sizeof DEVICES[0];
    int status = mnet_program_parse(&args, info, "two-interfaces",
                                    "A TCP proxy from the network of the device service to one address beyond the "
                                    "device backend.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;
    /* Both sides are known by their addresses below. */
    for (size_t i = 0; i < args.device_count; i++)
        if (args.device[i].ipv4 != MNET_ARGS_IPV4_STATIC || args.device[i].ipv6 != MNET_ARGS_IPV6_NONE) {
            mnet_print("two-interfaces: give an IPv4 address to each device: --ipv4=ADDRESS/PREFIX and "
                       "--ipv4:backend=ADDRESS/PREFIX\n");
            return SOLO5_EXIT_FAILURE;
        }

    /* The frames have room for either device; each device may have a VLAN. */
    config.max_mtu = 9000;
    config.max_interfaces = 4;
    config.flags |= MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the networks", stack);
    struct mnet_addr *service = &args.device[0].ipv4_address, *backend = &args.device[1].ipv4_address;
    service->port = (uint16_t)port;
    mnet_fd listener = mnet_listen(stack, service, BACKLOG);
    if (listener < 0)
        return mnet_fail(&args, "cannot listen", listener);
    mnet_addr_format(service, address, sizeof address);
    mnet_addr_format(&target, behind, sizeof behind);
    mnet_print("two-interfaces: %s leads to %s\n", address, behind);

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t count = mnet_events(stack, events, EVENTS, -1);
        if (count < 0)
            return mnet_fail(&args, "the network failed", count);
        for (int64_t i = 0; i < count; i++) {
            struct pair *pair;
            if (events[i].fd == listener)
                accept_all(stack, listener, &target, backend);
            else if ((pair = pair_of(events[i].fd)) != NULL)
                serve(pair);
        }
    }
}
