/*
 * groups.c: a member of an IPv4 and of an IPv6 group, for tests/images/multicast.rs.
 *
 * What comes to a group goes back to the group, to the port of its sender. What comes to the image
 * itself is a command: "leave" and "join" change the membership in the group of that family, and are
 * answered with what mnet_group() returned.
 *
 *   solo5-spt --net:service=tap0 -- groups.spt --ipv4=10.0.0.2/24 --ipv6=2001:db8::2/64
 */
#include <mnet_program.h>

enum { PORT = 5353, MAX_EVENTS = 4 };

static char buffer[2048];

static size_t length(const char *text)
{
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

static void fail(const char *what, int64_t code)
{
    mnet_print("%s: %s\n", what, mnet_error_name((int)code));
    solo5_exit(SOLO5_EXIT_FAILURE);
}

/* A membership, and the socket that has it. */
struct member {
    mnet_fd fd;
    struct mnet_addr group;
};

static void parse(const char *text, struct mnet_addr *address)
{
    int error = mnet_addr_parse(text, length(text), address);
    if (error) fail(text, error);
}

static struct member join(mnet_stack stack, const char *any, const char *group)
{
    struct member member;
    struct mnet_addr local;
    int result;
    parse(any, &local);
    parse(group, &member.group);
    local.port = PORT;
    if ((member.fd = mnet_udp_bind(stack, &local)) < 0) fail("mnet_udp_bind", member.fd);
    /* Or it would answer its own answers, if a sender has our port. */
    if ((result = mnet_udp_set(member.fd, MNET_UDP_MULTICAST_LOOP, 0))) fail("mnet_udp_set", result);
    if ((result = mnet_group(member.fd, MNET_GROUP_JOIN, &member.group, NULL, 0))) fail("mnet_group", result);
    return member;
}

static int is_command(size_t len, const char *command)
{
    if (len != length(command)) return 0;
    for (size_t i = 0; i < len; i++)
        if (buffer[i] != command[i]) return 0;
    return 1;
}

static const char *obey(const struct member *member, size_t len)
{
    uint32_t change;
    int result;
    if (is_command(len, "leave")) change = MNET_GROUP_LEAVE;
    else if (is_command(len, "join")) change = MNET_GROUP_JOIN;
    else return "what?";
    result = mnet_group(member->fd, change, &member->group, NULL, 0);
    return result ? mnet_error_name(result) : "done";
}

static int is_group(const struct mnet_addr *address)
{
    return address->family == MNET_AF_INET ? address->ip[0] >> 4 == 14 : address->ip[0] == 0xff;
}

static void serve(const struct member *member)
{
    struct mnet_datagram info = { .size = sizeof info };
    int64_t n;
    while ((n = mnet_recvmsg(member->fd, buffer, sizeof buffer, &info)) != MNET_EAGAIN) {
        if (n < 0 || (size_t)n > sizeof buffer) continue;
        if (is_group(&info.local)) {
            struct mnet_addr group = info.local;
            group.port = info.remote.port;
            mnet_sendto(member->fd, buffer, (size_t)n, &group);
        } else {
            const char *answer = obey(member, (size_t)n);
            mnet_sendto(member->fd, answer, length(answer), &info.remote);
        }
    }
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct mnet_args args;
    struct mnet_config config;
    struct mnet_event events[MAX_EVENTS];
    struct member members[2];
    mnet_stack stack;
    int begin;

    mnet_args_default(&args, sizeof args);
    args.program = "groups";
    args.summary = "A member of 239.77.78.69 and ff15::4d4e:4554.";
    if ((begin = mnet_args_parse(&args, info->cmdline)) <= 0)
        return begin == 0 ? SOLO5_EXIT_SUCCESS : SOLO5_EXIT_FAILURE;
    mnet_config_default(&config, sizeof config);
    config.flags = MNET_CONFIG_NONBLOCKING;
    config.arena = (void *)info->heap_start;
    config.arena_size = info->heap_size - (1 << 20); /* the rest is for the stack of this program */
    if ((stack = mnet_open_args(&config, &args)) < 0) fail("mnet_open_args", stack);
    members[0] = join(stack, "0.0.0.0", "239.77.78.69");
    members[1] = join(stack, "::", "ff15::4d4e:4554");
    mnet_print("groups: joined\n");
    for (;;) {
        int64_t n = mnet_events(stack, events, MAX_EVENTS, -1);
        if (n < 0) fail("mnet_events", n);
        for (int64_t i = 0; i < n; i++)
            for (int j = 0; j < 2; j++)
                if (events[i].fd == members[j].fd) serve(&members[j]);
    }
}
