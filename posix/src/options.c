/* getsockopt() and setsockopt(): what the program asked for is remembered, and told to the stack as soon
   as the socket has a handle there. */

#include "internal.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

/* An option that is a number, and where it is kept. */
struct number {
    int level, option;
    size_t offset;
    /* What is accepted. */
    int min, max;
    /* Any number but 0 is 1. */
    int is_switch;
};

#define AT(member) offsetof(struct options, member)
#define MOST 0x7fffffff

static const struct number numbers[] = {
    { SOL_SOCKET, SO_REUSEADDR, AT(reuse), -MOST - 1, MOST, 1 },
    { SOL_SOCKET, SO_REUSEPORT, AT(reuse), -MOST - 1, MOST, 1 },
    { SOL_SOCKET, SO_BROADCAST, AT(broadcast), -MOST - 1, MOST, 1 },
    { SOL_SOCKET, SO_KEEPALIVE, AT(keepalive), -MOST - 1, MOST, 1 },
    { SOL_SOCKET, SO_RCVBUF, AT(receive_buffer), 0, MOST, 0 },
    { SOL_SOCKET, SO_SNDBUF, AT(send_buffer), 0, MOST, 0 },
    { IPPROTO_TCP, TCP_NODELAY, AT(nodelay), -MOST - 1, MOST, 1 },
    { IPPROTO_TCP, TCP_CORK, AT(cork), -MOST - 1, MOST, 1 },
    { IPPROTO_TCP, TCP_KEEPIDLE, AT(keep_idle), 1, 32767, 0 },
    { IPPROTO_TCP, TCP_KEEPINTVL, AT(keep_interval), 1, 32767, 0 },
    { IPPROTO_TCP, TCP_KEEPCNT, AT(keep_count), 1, 127, 0 },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, AT(user_timeout_ms), 0, MOST, 0 },
    { IPPROTO_IP, IP_TTL, AT(ttl), 1, 255, 0 },
    { IPPROTO_IP, IP_TOS, AT(tos), 0, 255, 0 },
    { IPPROTO_IP, IP_MULTICAST_TTL, AT(multicast_ttl), 0, 255, 0 },
    { IPPROTO_IP, IP_MULTICAST_LOOP, AT(multicast_loop), 0, 255, 1 },
    { IPPROTO_IPV6, IPV6_UNICAST_HOPS, AT(ttl), 1, 255, 0 },
    { IPPROTO_IPV6, IPV6_TCLASS, AT(tos), 0, 255, 0 },
    { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, AT(multicast_ttl), 0, 255, 0 },
    { IPPROTO_IPV6, IPV6_MULTICAST_LOOP, AT(multicast_loop), 0, 1, 1 },
};

/* What the stack has where nothing was set. */
static int standard(const struct number *number)
{
    switch (number->offset) {
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

static void apply_tcp(const struct options *options, mnet_fd handle)
{
    mnet_set_nodelay(handle, options->nodelay);
    mnet_set_cork(handle, options->cork);
    mnet_set_keepalive(handle, options->keepalive, (uint64_t)(options->keep_idle * SECOND),
                       (uint64_t)(options->keep_interval * SECOND), (uint32_t)options->keep_count);
    if (options->user_timeout_ms != 0)
        mnet_set_user_timeout(handle, (uint64_t)(options->user_timeout_ms * MILLISECOND));
    mnet_set_linger(handle, options->linger_on ? options->linger_seconds * SECOND : -1);
    if (options->receive_buffer != 0)
        mnet_set_receive_buffer(handle, options->receive_buffer < 4096 ? 4096 : (size_t)options->receive_buffer);
    if (options->send_buffer != 0)
        mnet_set_send_buffer(handle, options->send_buffer < 4096 ? 4096 : (size_t)options->send_buffer);
    if (options->ttl != 0)
        mnet_set_ttl(handle, (uint32_t)options->ttl);
    mnet_set_dscp(handle, (uint32_t)options->tos >> 2);
}

static void apply_udp(const struct options *options, mnet_fd handle)
{
    mnet_udp_set(handle, MNET_UDP_BROADCAST, (uint64_t)options->broadcast);
    mnet_udp_set(handle, MNET_UDP_TRAFFIC_CLASS, (uint64_t)options->tos);
    mnet_udp_set(handle, MNET_UDP_MULTICAST_TTL, (uint64_t)options->multicast_ttl);
    mnet_udp_set(handle, MNET_UDP_MULTICAST_LOOP, (uint64_t)options->multicast_loop);
    if (options->ttl != 0)
        mnet_udp_set(handle, MNET_UDP_TTL, (uint64_t)options->ttl);
    if (options->receive_buffer != 0)
        mnet_udp_set(handle, MNET_UDP_RECEIVE_BUFFER, (uint64_t)options->receive_buffer);
}

void mnet_internal_apply(struct entry *entry)
{
    if (entry->handle == 0)
        return;
    if (entry->kind == DATAGRAMS)
        apply_udp(&entry->options, entry->handle);
    else
        apply_tcp(&entry->options, entry->handle);
    mnet_set_nonblocking(entry->handle, entry->nonblocking);
    mnet_set_timeout(entry->handle, MNET_READABLE, (uint64_t)entry->receive_timeout);
    mnet_set_timeout(entry->handle, MNET_WRITABLE, (uint64_t)entry->send_timeout);
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
        mnet_internal_apply(entry);
        return 0;
    }
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        struct timeval time;
        if (length < sizeof time)
            return mnet_internal_fail(EINVAL);
        memcpy(&time, value, sizeof time);
        if (time.tv_usec < 0 || time.tv_usec >= 1000000)
            return mnet_internal_fail(EDOM);
        int64_t wait = time.tv_sec < 0 ? 0 : time.tv_sec * SECOND + time.tv_usec * (MILLISECOND / 1000);
        *(option == SO_RCVTIMEO ? &entry->receive_timeout : &entry->send_timeout) = wait;
        mnet_internal_apply(entry);
        return 0;
    }
    int number;
    if (length < sizeof number)
        return mnet_internal_fail(EINVAL);
    memcpy(&number, value, sizeof number);
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
        /* Sockets of one family hear nothing of the other. */
        return number != 0 ? 0 : mnet_internal_fail(EINVAL);
    const struct number *known = find(level, option);
    if (known == NULL || (level == IPPROTO_TCP && entry->kind == DATAGRAMS))
        return mnet_internal_fail(ENOPROTOOPT);
    if (number < known->min || number > known->max)
        return mnet_internal_fail(EINVAL);
    *place(entry, known) = known->is_switch ? number != 0 : number;
    mnet_internal_apply(entry);
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
        if (number == 0 && !known->is_switch)
            number = standard(known);
        return answer(&number, sizeof number, value, length);
    }
    if (level == SOL_SOCKET && option == SO_LINGER) {
        struct linger linger = { entry->options.linger_on, entry->options.linger_seconds };
        return answer(&linger, sizeof linger, value, length);
    }
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        int64_t wait = option == SO_RCVTIMEO ? entry->receive_timeout : entry->send_timeout;
        struct timeval time = { wait / SECOND, wait % SECOND / (MILLISECOND / 1000) };
        return answer(&time, sizeof time, value, length);
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
