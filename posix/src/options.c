/* getsockopt() and setsockopt(): what the program asked for is remembered, and told to the stack as soon
   as the socket has a handle there. */

#include "internal.h"

#include <netinet/tcp.h>
#include <string.h>

/* An option that is a number, and where it is kept. */
struct number {
    int level, option;
    size_t offset;
    /* What is accepted. */
    int min, max;
    /* SWITCH, BYTE, MINUS. */
    int flags;
};

/* Any number but 0 is 1. */
#define SWITCH 1
/* A byte will do, as BSD has it: there the options of multicast are bytes. */
#define BYTE 2
/* -1 takes back what was set. */
#define MINUS 4

#define AT(member) offsetof(struct options, member)
#define MOST 0x7fffffff
#define ANY -MOST - 1, MOST

/* The longest time that mnet.h takes: 24 days, in seconds. */
#define LONGEST (24 * 86400)
/* The same for calls that wait: 49 days, in milliseconds. */
#define LONGEST_WAIT_MS 0xffffffff
/* The largest buffer that it takes. */
#define MOST_BUFFER (1 << 30)

static const struct number numbers[] = {
    { SOL_SOCKET, SO_REUSEADDR, AT(reuse), ANY, SWITCH },
    { SOL_SOCKET, SO_REUSEPORT, AT(reuse), ANY, SWITCH },
    { SOL_SOCKET, SO_BROADCAST, AT(broadcast), ANY, SWITCH },
    { SOL_SOCKET, SO_KEEPALIVE, AT(keepalive), ANY, SWITCH },
    { SOL_SOCKET, SO_RCVBUF, AT(receive_buffer), 0, MOST, 0 },
    { SOL_SOCKET, SO_SNDBUF, AT(send_buffer), 0, MOST, 0 },
    { IPPROTO_TCP, TCP_NODELAY, AT(nodelay), ANY, SWITCH },
    { IPPROTO_TCP, TCP_CORK, AT(cork), ANY, SWITCH },
    { IPPROTO_TCP, TCP_KEEPIDLE, AT(keep_idle), 1, 32767, 0 },
    { IPPROTO_TCP, TCP_KEEPINTVL, AT(keep_interval), 1, 32767, 0 },
    { IPPROTO_TCP, TCP_KEEPCNT, AT(keep_count), 1, 127, 0 },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, AT(user_timeout_ms), 0, MOST, 0 },
    { IPPROTO_IP, IP_TTL, AT(ttl), 1, 255, BYTE | MINUS },
    { IPPROTO_IP, IP_TOS, AT(tos), 0, 255, BYTE },
    { IPPROTO_IP, IP_MULTICAST_TTL, AT(multicast_ttl), 0, 255, BYTE | MINUS },
    { IPPROTO_IP, IP_MULTICAST_LOOP, AT(multicast_loop), ANY, BYTE | SWITCH },
    { IPPROTO_IPV6, IPV6_UNICAST_HOPS, AT(ttl), 1, 255, MINUS },
    { IPPROTO_IPV6, IPV6_TCLASS, AT(tos), 0, 255, MINUS },
    { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, AT(multicast_ttl), 0, 255, MINUS },
    { IPPROTO_IPV6, IPV6_MULTICAST_LOOP, AT(multicast_loop), 0, 1, SWITCH },
};

/* What the stack has where nothing was set, and 0 stands for that. */
static int standard(size_t offset)
{
    switch (offset) {
    case AT(keep_idle): return 7200;
    case AT(keep_interval): return 75;
    case AT(keep_count): return 9;
    case AT(receive_buffer):
    case AT(send_buffer): return 4 << 20;
    case AT(ttl): return 64;
    default: return 0;
    }
}

static const struct number *find(int level, int option)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].level == level && numbers[i].option == option)
            return &numbers[i];
    return NULL;
}

static int *place(struct entry *entry, const struct number *number)
{
    return (int *)(void *)((char *)&entry->options + number->offset);
}

uint64_t mnet_internal_nanoseconds(const struct timeval *time)
{
    const uint64_t most = LONGEST_WAIT_MS * (uint64_t)MILLISECOND;
    if (time->tv_sec > LONGEST_WAIT_MS / 1000)
        return most;
    uint64_t wait = (uint64_t)(time->tv_sec * SECOND + time->tv_usec * (MILLISECOND / 1000));
    return wait < most ? wait : most;
}

/* The nearest number that mnet.h takes. */
static int within(int number, int least, int most)
{
    return number < least ? least : number > most ? most : number;
}

static void tell_tcp(const struct options *options, mnet_fd handle, size_t offset)
{
    switch (offset) {
    case AT(nodelay):
        mnet_set_nodelay(handle, options->nodelay);
        break;
    case AT(cork):
        mnet_set_cork(handle, options->cork);
        break;
    case AT(keepalive):
        mnet_set_keepalive(handle, options->keepalive, (uint64_t)(options->keep_idle * SECOND),
                           (uint64_t)(options->keep_interval * SECOND), (uint32_t)options->keep_count);
        break;
    case AT(user_timeout_ms):
        /* 0: as the stack was opened. */
        mnet_set_user_timeout(handle, options->user_timeout_ms == 0
                                          ? 0
                                          : (uint64_t)(within(options->user_timeout_ms, 100, LONGEST * 1000) * MILLISECOND));
        break;
    case AT(linger_on):
        mnet_set_linger(handle, options->linger_on ? within(options->linger_seconds, 0, LONGEST) * SECOND : -1);
        break;
    case AT(receive_buffer):
        if (options->receive_buffer != 0)
            mnet_set_receive_buffer(handle, (size_t)within(options->receive_buffer, 4096, MOST_BUFFER));
        break;
    case AT(send_buffer):
        if (options->send_buffer != 0)
            mnet_set_send_buffer(handle, (size_t)within(options->send_buffer, 4096, MOST_BUFFER));
        break;
    case AT(ttl):
        mnet_set_ttl(handle, (uint32_t)(options->ttl != 0 ? options->ttl : standard(offset)));
        break;
    case AT(tos):
        mnet_set_dscp(handle, (uint32_t)options->tos >> 2);
        break;
    default:
        break;
    }
}

static void tell_udp(const struct options *options, mnet_fd handle, size_t offset)
{
    uint32_t setting;
    int number;
    switch (offset) {
    case AT(broadcast): setting = MNET_UDP_BROADCAST, number = options->broadcast; break;
    case AT(tos): setting = MNET_UDP_TRAFFIC_CLASS, number = options->tos; break;
    case AT(multicast_ttl): setting = MNET_UDP_MULTICAST_TTL, number = options->multicast_ttl; break;
    case AT(multicast_loop): setting = MNET_UDP_MULTICAST_LOOP, number = options->multicast_loop; break;
    case AT(ttl): setting = MNET_UDP_TTL, number = options->ttl != 0 ? options->ttl : standard(offset); break;
    case AT(receive_buffer):
        if (options->receive_buffer == 0)
            return;
        setting = MNET_UDP_RECEIVE_BUFFER, number = within(options->receive_buffer, 1, MOST_BUFFER);
        break;
    default: return;
    }
    mnet_udp_set(handle, setting, (uint64_t)number);
}

static void tell(const struct entry *entry, size_t offset)
{
    if (entry->kind == DATAGRAMS)
        tell_udp(&entry->options, entry->handle, offset);
    else
        tell_tcp(&entry->options, entry->handle, offset);
}

/* Notes that an option was set, and tells the stack if it has the socket. */
static void note(struct entry *entry, size_t offset)
{
    /* The stack hears of keep-alive all at once, and of its times when it is switched on. */
    if (offset == AT(keep_idle) || offset == AT(keep_interval) || offset == AT(keep_count)) {
        if (!entry->options.keepalive)
            return;
        offset = AT(keepalive);
    }
    entry->were_set |= 1u << offset / sizeof(int);
    if (entry->handle != 0)
        tell(entry, offset);
}

static void tell_timeouts(const struct entry *entry)
{
    mnet_set_timeout(entry->handle, MNET_READABLE, mnet_internal_nanoseconds(&entry->receive_timeout));
    mnet_set_timeout(entry->handle, MNET_WRITABLE, mnet_internal_nanoseconds(&entry->send_timeout));
}

void mnet_internal_apply(struct entry *entry)
{
    for (size_t i = 0; i < sizeof entry->options / sizeof(int); i++)
        if (entry->were_set & 1u << i)
            tell(entry, i * sizeof(int));
    mnet_set_nonblocking(entry->handle, entry->nonblocking);
    if (mnet_internal_nanoseconds(&entry->receive_timeout) != 0 || mnet_internal_nanoseconds(&entry->send_timeout) != 0)
        tell_timeouts(entry);
}

/* A change of a membership in a group. */
static int membership(struct entry *entry, int level, int joins, const void *value, socklen_t length)
{
    struct mnet_addr group = { 0 };
    uint32_t interface = 0;
    if (entry->kind != DATAGRAMS)
        return mnet_internal_fail(EPROTO);
    if (level == IPPROTO_IP) {
        struct ip_mreq request;
        if (length < sizeof request)
            return mnet_internal_fail(EINVAL);
        memcpy(&request, value, sizeof request);
        group.family = MNET_AF_INET;
        memcpy(group.ip, &request.imr_multiaddr, 4);
    } else {
        struct ipv6_mreq request;
        if (length < sizeof request)
            return mnet_internal_fail(EINVAL);
        memcpy(&request, value, sizeof request);
        group.family = MNET_AF_INET6;
        memcpy(group.ip, &request.ipv6mr_multiaddr, 16);
        interface = request.ipv6mr_interface;
    }
    if (mnet_internal_bound(entry) < 0)
        return -1;
    int code = mnet_group(entry->handle, joins ? MNET_GROUP_JOIN : MNET_GROUP_LEAVE, &group, NULL, interface);
    return code < 0 ? mnet_internal_fail(mnet_internal_error(code)) : 0;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    struct entry *entry = mnet_internal_socket(fd);
    if (entry == NULL)
        return -1;
    if (value == NULL)
        return mnet_internal_fail(EFAULT);
    if ((level == IPPROTO_IP && (option == IP_ADD_MEMBERSHIP || option == IP_DROP_MEMBERSHIP))
        || (level == IPPROTO_IPV6 && (option == IPV6_JOIN_GROUP || option == IPV6_LEAVE_GROUP)))
        return membership(entry, level, option == IP_ADD_MEMBERSHIP || (level == IPPROTO_IPV6 && option == IPV6_JOIN_GROUP),
                          value, length);
    if (level == SOL_SOCKET && option == SO_LINGER) {
        struct linger linger;
        if (length < sizeof linger)
            return mnet_internal_fail(EINVAL);
        memcpy(&linger, value, sizeof linger);
        entry->options.linger_on = linger.l_onoff != 0;
        entry->options.linger_seconds = linger.l_linger;
        note(entry, AT(linger_on));
        return 0;
    }
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        struct timeval time;
        if (length < sizeof time)
            return mnet_internal_fail(EINVAL);
        memcpy(&time, value, sizeof time);
        if (time.tv_usec < 0 || time.tv_usec >= 1000000)
            return mnet_internal_fail(EDOM);
        /* As Linux says it again: no time, and one that is too long to be counted, are none. */
        if (time.tv_sec < 0 || time.tv_sec >= 0x7fffffffffffffff / 1000)
            time = (struct timeval){ 0 };
        *(option == SO_RCVTIMEO ? &entry->receive_timeout : &entry->send_timeout) = time;
        if (entry->handle != 0)
            tell_timeouts(entry);
        return 0;
    }
    const struct number *known = find(level, option);
    uint8_t byte;
    int number;
    if (length >= sizeof number) {
        memcpy(&number, value, sizeof number);
    } else if (known != NULL && (known->flags & BYTE) && length > 0) {
        memcpy(&byte, value, sizeof byte);
        number = byte;
    } else {
        return mnet_internal_fail(EINVAL);
    }
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
        /* Sockets of one family hear nothing of the other. */
        return number != 0 ? 0 : mnet_internal_fail(EINVAL);
    if (known == NULL || (level == IPPROTO_TCP && entry->kind == DATAGRAMS))
        return mnet_internal_fail(ENOPROTOOPT);
    if (number == -1 && (known->flags & MINUS))
        number = known->offset == AT(multicast_ttl);
    else if (number < known->min || number > known->max)
        return mnet_internal_fail(EINVAL);
    *place(entry, known) = known->flags & SWITCH ? number != 0 : number;
    note(entry, known->offset);
    return 0;
}

/* Copies an answer out, as much as there is room for. */
static int answer(const void *from, socklen_t size, void *value, socklen_t *length)
{
    if (*length > size)
        *length = size;
    memcpy(value, from, *length);
    return 0;
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    struct entry *entry = mnet_internal_socket(fd);
    int number = 0;
    if (entry == NULL)
        return -1;
    if (value == NULL || length == NULL)
        return mnet_internal_fail(EFAULT);
    mnet_internal_progress(entry);
    const struct number *known = find(level, option);
    if (known != NULL && !(level == IPPROTO_TCP && entry->kind == DATAGRAMS)) {
        number = *place(entry, known);
        if (number == 0)
            number = standard(known->offset);
        if ((known->flags & BYTE) && *length > 0 && *length < sizeof number) {
            uint8_t byte = (uint8_t)number;
            return answer(&byte, sizeof byte, value, length);
        }
        return answer(&number, sizeof number, value, length);
    }
    if (level == SOL_SOCKET && option == SO_LINGER) {
        struct linger linger = { entry->options.linger_on, entry->options.linger_seconds };
        return answer(&linger, sizeof linger, value, length);
    }
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        const struct timeval *time = option == SO_RCVTIMEO ? &entry->receive_timeout : &entry->send_timeout;
        return answer(time, sizeof *time, value, length);
    }
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY) {
        number = 1;
    } else if (level == IPPROTO_TCP && option == TCP_MAXSEG && entry->kind != DATAGRAMS) {
        struct mnet_tcp_info info;
        number = entry->kind == CONNECTION && mnet_tcp_info(entry->handle, &info, sizeof info) == 0 ? (int)info.mss : 536;
    } else if (level != SOL_SOCKET) {
        return mnet_internal_fail(ENOPROTOOPT);
    } else {
        switch (option) {
        case SO_ERROR:
            number = entry->error;
            if (number == 0 && !entry->failed) {
                number = mnet_internal_failure(entry);
                entry->failed = number != 0;
            }
            entry->error = 0;
            break;
        case SO_TYPE: number = entry->kind == DATAGRAMS ? SOCK_DGRAM : SOCK_STREAM; break;
        case SO_PROTOCOL: number = entry->kind == DATAGRAMS ? IPPROTO_UDP : IPPROTO_TCP; break;
        case SO_DOMAIN: number = entry->domain; break;
        case SO_ACCEPTCONN: number = entry->kind == LISTENER; break;
        default: return mnet_internal_fail(ENOPROTOOPT);
        }
    }
    return answer(&number, sizeof number, value, length);
}
