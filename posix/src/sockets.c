/* Sockets: making, connecting, reading, writing, closing. */

#include "internal.h"

#include <fcntl.h>
#include <solo5.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

int mnet_posix_errno;
mnet_stack mnet_internal_stack;
struct entry mnet_internal_table[MNET_POSIX_FDS] = {
    [0] = { .kind = CONSOLE }, [1] = { .kind = CONSOLE }, [2] = { .kind = CONSOLE },
};

const struct in6_addr in6addr_any = IN6ADDR_ANY_INIT;
const struct in6_addr in6addr_loopback = IN6ADDR_LOOPBACK_INIT;

void mnet_posix_init(int64_t stack)
{
    mnet_internal_stack = stack;
}

int mnet_internal_fail(int error)
{
    errno = error;
    return -1;
}

int mnet_internal_error(int64_t code)
{
    switch (code) {
    case MNET_EBADF: return EBADF;
    case MNET_EAGAIN: return EAGAIN;
    case MNET_ENOMEM: return ENOMEM;
    case MNET_ELIMIT: return ENOBUFS;
    case MNET_EADDRINUSE: return EADDRINUSE;
    case MNET_EADDRNOTAVAIL: return EADDRNOTAVAIL;
    case MNET_ECONNREFUSED: return ECONNREFUSED;
    case MNET_ECONNRESET: return ECONNRESET;
    case MNET_ETIMEDOUT: return ETIMEDOUT;
    case MNET_EHOSTUNREACH: return EHOSTUNREACH;
    case MNET_ENETUNREACH: return ENETUNREACH;
    case MNET_EPIPE: return EPIPE;
    case MNET_EMSGSIZE: return EMSGSIZE;
    case MNET_ENODEV: return ENODEV;
    case MNET_EBUSY: return EBUSY;
    case MNET_EAFNOSUPPORT: return EAFNOSUPPORT;
    case MNET_EADDRGONE: return ECONNABORTED;
    case MNET_EACCES: return EACCES;
    case MNET_EISCONN: return EISCONN;
    case MNET_ENOTCONN: return EDESTADDRREQ;
    case MNET_EHOPLIMIT: return EHOSTUNREACH;
    case MNET_ECANCELED: return ECANCELED;
    case MNET_EDEADLK: return EDEADLK;
    default: return code < 0 ? EINVAL : 0;
    }
}

/* The result of a call of mnet.h as POSIX has it. */
static ssize_t result(int64_t code)
{
    return code < 0 ? mnet_internal_fail(mnet_internal_error(code)) : (ssize_t)code;
}

struct entry *mnet_internal_entry(int fd)
{
    if (fd < 0 || fd >= MNET_POSIX_FDS || mnet_internal_table[fd].kind <= RESERVED) {
        errno = EBADF;
        return NULL;
    }
    return &mnet_internal_table[fd];
}

struct entry *mnet_internal_socket(int fd)
{
    struct entry *entry = mnet_internal_entry(fd);
    if (entry != NULL && entry->kind == CONSOLE) {
        errno = ENOTSOCK;
        return NULL;
    }
    return entry;
}

int64_t mnet_posix_handle(int fd)
{
    struct entry *entry = mnet_internal_socket(fd);
    return entry == NULL || entry->handle == 0 ? -1 : entry->handle;
}

/* The lowest free descriptor, or -1 with errno set. */
static int new_fd(int kind, int domain)
{
    for (int fd = 0; fd < MNET_POSIX_FDS; fd++) {
        struct entry *entry = &mnet_internal_table[fd];
        if (entry->kind != FREE)
            continue;
        *entry = (struct entry){ .kind = (uint8_t)kind, .domain = (uint8_t)domain };
        entry->options.multicast_ttl = entry->options.multicast_loop = 1;
        entry->local.family = domain == AF_INET ? MNET_AF_INET : MNET_AF_INET6;
        return fd;
    }
    return mnet_internal_fail(EMFILE);
}

int mnet_internal_to(const struct sockaddr *from, socklen_t length, int domain, struct mnet_addr *to)
{
    if (from == NULL || length < sizeof(sa_family_t))
        return EINVAL;
    *to = (struct mnet_addr){ 0 };
    if (from->sa_family != domain)
        return EAFNOSUPPORT;
    if (domain == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
        if (length < sizeof *in)
            return EINVAL;
        to->family = MNET_AF_INET;
        to->port = ntohs(in->sin_port);
        memcpy(to->ip, &in->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
        if (length < sizeof *in6)
            return EINVAL;
        to->family = MNET_AF_INET6;
        to->port = ntohs(in6->sin6_port);
        to->zone = in6->sin6_scope_id;
        memcpy(to->ip, &in6->sin6_addr, 16);
    }
    return 0;
}

void mnet_internal_from(const struct mnet_addr *from, int domain, struct sockaddr *to, socklen_t *length)
{
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } whole;
    socklen_t size;
    if (to == NULL || length == NULL)
        return;
    memset(&whole, 0, sizeof whole);
    if (domain == AF_INET) {
        size = sizeof whole.in;
        whole.in.sin_family = AF_INET;
        whole.in.sin_port = htons(from->port);
        memcpy(&whole.in.sin_addr, from->ip, 4);
    } else {
        size = sizeof whole.in6;
        whole.in6.sin6_family = AF_INET6;
        whole.in6.sin6_port = htons(from->port);
        whole.in6.sin6_scope_id = from->zone;
        memcpy(&whole.in6.sin6_addr, from->ip, 16);
    }
    memcpy(to, &whole, *length < size ? *length : size);
    *length = size;
}

static void set_nonblocking(struct entry *entry, int nonblocking)
{
    entry->nonblocking = nonblocking != 0;
    if (entry->handle != 0)
        mnet_set_nonblocking(entry->handle, nonblocking);
}

int socket(int domain, int type, int protocol)
{
    int kind = type & 0xf, fd;
    if (domain != AF_INET && domain != AF_INET6)
        return mnet_internal_fail(EAFNOSUPPORT);
    if ((type & ~(0xf | SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
        return mnet_internal_fail(EINVAL);
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
        return mnet_internal_fail(ESOCKTNOSUPPORT);
    if (protocol != 0 && protocol != (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
        return mnet_internal_fail(EPROTONOSUPPORT);
    if (mnet_internal_stack <= 0)
        return mnet_internal_fail(ENETDOWN);
    fd = new_fd(kind == SOCK_STREAM ? NEW : DATAGRAMS, domain);
    if (fd >= 0)
        mnet_internal_table[fd].nonblocking = (type & SOCK_NONBLOCK) != 0;
    return fd;
}

static int is_any(const struct mnet_addr *address)
{
    static const uint8_t zero[16];
    return memcmp(address->ip, zero, 16) == 0;
}

/* Whether an address is one of the stack's own. */
static int is_ours(const struct mnet_addr *address)
{
    struct mnet_interface interface;
    struct mnet_address_info info;
    if (is_any(address))
        return 1;
    for (uint32_t i = 1; mnet_interface_info(mnet_internal_stack, i, &interface, sizeof interface) == 1; i++)
        for (size_t j = 0; mnet_address(mnet_internal_stack, i, j, &info, sizeof info) == 1; j++)
            if (info.address.family == address->family && memcmp(info.address.ip, address->ip, 16) == 0)
                return 1;
    return 0;
}

/* Whether another TCP socket of the table has the address, or a part of it. */
static int is_taken(const struct entry *self, const struct mnet_addr *address)
{
    for (const struct entry *other = mnet_internal_table; other < mnet_internal_table + MNET_POSIX_FDS; other++) {
        if (other == self || (other->kind != NEW && other->kind != LISTENER) || !other->bound)
            continue;
        if (other->local.family != address->family || other->local.port != address->port)
            continue;
        if (self->options.reuse && other->options.reuse && other->kind == NEW)
            continue;
        if (is_any(address) || is_any(&other->local) || memcmp(address->ip, other->local.ip, 16) == 0)
            return 1;
    }
    return 0;
}

/* Gives a TCP socket an address; the stack hears of it when it listens or connects. */
static int reserve(struct entry *entry, struct mnet_addr *address)
{
    if (!is_ours(address))
        return mnet_internal_fail(EADDRNOTAVAIL);
    if (address->port != 0) {
        if (is_taken(entry, address))
            return mnet_internal_fail(EADDRINUSE);
    } else {
        uint16_t number = 0;
        mnet_random(mnet_internal_stack, &number, sizeof number);
        /* Dynamic ports (RFC 6335 section 6), from a random one on. */
        for (uint32_t i = 0; i < 16384; i++) {
            address->port = (uint16_t)(49152 + (number + i) % 16384);
            if (!is_taken(entry, address))
                break;
        }
    }
    entry->local = *address;
    entry->bound = 1;
    return 0;
}

/* Opens a UDP socket at an address. */
static int open_datagrams(struct entry *entry, const struct mnet_addr *address)
{
    mnet_fd handle = entry->options.reuse ? mnet_udp_bind_shared(mnet_internal_stack, address)
                                          : mnet_udp_bind(mnet_internal_stack, address);
    if (handle < 0)
        return (int)result(handle);
    entry->handle = handle;
    entry->bound = 1;
    mnet_sockname(handle, &entry->local);
    mnet_internal_apply(entry);
    return 0;
}

int mnet_internal_bound(struct entry *entry)
{
    return entry->handle != 0 ? 0 : open_datagrams(entry, &entry->local);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct entry *entry = mnet_internal_socket(fd);
    struct mnet_addr local;
    if (entry == NULL)
        return -1;
    if (entry->bound || entry->handle != 0)
        return mnet_internal_fail(EINVAL);
    int error = mnet_internal_to(address, length, entry->domain, &local);
    if (error != 0)
        return mnet_internal_fail(error);
    return entry->kind == DATAGRAMS ? open_datagrams(entry, &local) : reserve(entry, &local);
}

int listen(int fd, int backlog)
{
    struct entry *entry = mnet_internal_socket(fd);
    if (entry == NULL)
        return -1;
    if (entry->kind == LISTENER)
        return 0;
    if (entry->kind != NEW)
        return mnet_internal_fail(entry->kind == DATAGRAMS ? EOPNOTSUPP : EINVAL);
    if (!entry->bound) {
        struct mnet_addr any = entry->local;
        if (reserve(entry, &any) < 0)
            return -1;
    }
    mnet_fd handle = mnet_listen(mnet_internal_stack, &entry->local, backlog > 0 ? (uint32_t)backlog : 1);
    if (handle < 0)
        return (int)result(handle);
    entry->kind = LISTENER;
    entry->handle = handle;
    mnet_internal_apply(entry);
    return 0;
}

int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return accept4(fd, address, length, 0);
}

/* Lets the network have a turn, and other fibers. Returns 0 or an error of mnet.h. */
static int64_t turn(void)
{
    return mnet_poll(mnet_internal_stack, NULL, 0, 0);
}

/* Whether a call that found nothing, and must not wait, is to be made once more: the network has had a turn.
   Other fibers had one as well, so the socket may be gone; then the code says so. */
static int again(const struct entry *entry, mnet_fd handle, int flags, int *turned, int64_t *code)
{
    if (*code != MNET_EAGAIN || *turned || !(entry->nonblocking || (flags & MSG_DONTWAIT)))
        return 0;
    *turned = 1;
    *code = turn();
    if (*code >= 0 && entry->handle != handle)
        *code = MNET_EBADF;
    return *code >= 0;
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    struct entry *listener = mnet_internal_socket(fd);
    struct mnet_addr peer;
    if (listener == NULL)
        return -1;
    if (listener->kind != LISTENER)
        return mnet_internal_fail(listener->kind == DATAGRAMS ? EOPNOTSUPP : EINVAL);
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
        return mnet_internal_fail(EINVAL);
    /* The descriptor is nobody's until there is a connection; the listener may be gone by then. */
    struct entry from = *listener;
    int client = new_fd(RESERVED, from.domain), turned = 0;
    if (client < 0)
        return -1;
    struct entry *entry = &mnet_internal_table[client];
    mnet_fd handle;
    do
        handle = mnet_accept(from.handle, &peer);
    while (again(listener, from.handle, 0, &turned, &handle));
    if (handle < 0) {
        entry->kind = FREE;
        return (int)result(handle);
    }
    entry->kind = CONNECTION;
    entry->handle = handle;
    entry->remote = peer;
    entry->options = from.options;
    entry->were_set = from.were_set;
    entry->receive_timeout = from.receive_timeout;
    entry->send_timeout = from.send_timeout;
    entry->nonblocking = (flags & SOCK_NONBLOCK) != 0;
    mnet_internal_apply(entry);
    mnet_internal_from(&peer, from.domain, address, length);
    return client;
}

int mnet_internal_failure(const struct entry *entry)
{
    if (entry->kind != CONNECTION || (mnet_readiness(entry->handle) & MNET_ERROR) == 0)
        return 0;
    int64_t code = mnet_write(entry->handle, "", 0);
    return code < 0 ? mnet_internal_error(code) : 0;
}

void mnet_internal_progress(struct entry *entry)
{
    if (!entry->connecting)
        return;
    int ready = mnet_readiness(entry->handle);
    if (ready & MNET_ERROR) {
        entry->error = mnet_internal_failure(entry);
        entry->failed = entry->never_was = 1;
        entry->connecting = 0;
    } else if (ready & MNET_WRITABLE) {
        entry->connecting = 0;
    }
}

/* Makes a socket anew whose connection did not come about. Returns -1, with the reason in errno. */
static int renew(struct entry *entry)
{
    int error = entry->error != 0 ? entry->error : ECONNABORTED;
    mnet_close(entry->handle);
    entry->kind = NEW;
    entry->handle = 0;
    entry->error = entry->failed = entry->never_was = entry->unasked = 0;
    entry->remote.family = MNET_AF_NONE;
    return mnet_internal_fail(error);
}

/* Waits until a connection is made, or has failed, as long as SO_SNDTIMEO says. */
static int wait_connected(struct entry *entry, mnet_fd handle)
{
    struct mnet_pollfd asked = { .fd = handle, .events = MNET_WRITABLE };
    int64_t wait = (int64_t)mnet_internal_nanoseconds(&entry->send_timeout);
    int64_t code = mnet_poll(mnet_internal_stack, &asked, 1, wait != 0 ? wait : -1);
    if (entry->handle != handle)
        return mnet_internal_fail(EBADF);
    mnet_internal_progress(entry);
    if (entry->never_was)
        return renew(entry);
    if (entry->connecting)
        /* It goes on by itself, as when a signal ends the call. */
        return mnet_internal_fail(code < 0 ? mnet_internal_error(code) : EINPROGRESS);
    entry->unasked = 0;
    return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct entry *entry = mnet_internal_socket(fd);
    struct mnet_addr remote;
    if (entry == NULL)
        return -1;
    if (entry->kind == DATAGRAMS) {
        if (mnet_internal_bound(entry) < 0)
            return -1;
        if (address != NULL && length >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC) {
            entry->remote.family = MNET_AF_NONE;
            return (int)result(mnet_udp_connect(entry->handle, NULL));
        }
    }
    int error = mnet_internal_to(address, length, entry->domain, &remote);
    if (error != 0)
        return mnet_internal_fail(error);
    if (entry->kind == DATAGRAMS) {
        if (result(mnet_udp_connect(entry->handle, &remote)) < 0)
            return -1;
        entry->remote = remote;
        return 0;
    }
    mnet_internal_progress(entry);
    if (entry->connecting) {
        mnet_fd handle = entry->handle;
        if (!entry->nonblocking)
            return wait_connected(entry, handle);
        int64_t code = turn();
        if (code < 0 || entry->handle != handle)
            return mnet_internal_fail(code < 0 ? mnet_internal_error(code) : EBADF);
        mnet_internal_progress(entry);
        if (entry->connecting)
            return mnet_internal_fail(EALREADY);
    }
    if (entry->never_was)
        /* Why the last attempt failed is told once; the next one begins anew. */
        return renew(entry);
    if (entry->unasked) {
        /* The first call after it was established is what tells so. */
        entry->unasked = 0;
        return 0;
    }
    if (entry->kind != NEW)
        return mnet_internal_fail(EISCONN);
    mnet_fd handle = mnet_connect(mnet_internal_stack, &remote, entry->bound ? &entry->local : NULL, MNET_NONBLOCK);
    if (handle < 0)
        return (int)result(handle);
    entry->kind = CONNECTION;
    entry->handle = handle;
    entry->remote = remote;
    entry->connecting = entry->unasked = 1;
    mnet_internal_apply(entry);
    if (!entry->nonblocking)
        return wait_connected(entry, handle);
    turn();
    return mnet_internal_fail(EINPROGRESS);
}

int shutdown(int fd, int how)
{
    struct entry *entry = mnet_internal_socket(fd);
    if (entry == NULL)
        return -1;
    if (how < SHUT_RD || how > SHUT_RDWR)
        return mnet_internal_fail(EINVAL);
    mnet_internal_progress(entry);
    if (entry->kind == LISTENER && how != SHUT_WR) {
        mnet_close(entry->handle);
        entry->kind = NEW;
        entry->handle = 0;
        return 0;
    }
    if (entry->kind == DATAGRAMS ? entry->remote.family == MNET_AF_NONE
                                 : entry->kind != CONNECTION || entry->connecting || entry->failed)
        return mnet_internal_fail(ENOTCONN);
    if (how != SHUT_WR)
        entry->read_ended = 1;
    if (how == SHUT_RD || entry->kind == DATAGRAMS)
        return 0;
    int code = mnet_shutdown(entry->handle, MNET_SHUT_WR);
    return code < 0 ? mnet_internal_fail(ENOTCONN) : 0;
}

/* Notes that a connection has failed, if a code says so, and not that the call was wrong or given up. */
static void note_failure(struct entry *entry, mnet_fd handle, int64_t code)
{
    if (entry->handle != handle)
        return;
    if (code != MNET_ECONNREFUSED && code != MNET_ECONNRESET && code != MNET_ETIMEDOUT && code != MNET_EHOSTUNREACH
        && code != MNET_EADDRGONE)
        return;
    entry->failed = 1;
    if (entry->connecting)
        entry->never_was = 1;
    entry->connecting = 0;
}

/* Begins a call that must not wait; end() is its other half. Between them no other fiber runs. */
static void begin(const struct entry *entry, int flags)
{
    if ((flags & MSG_DONTWAIT) && !entry->nonblocking)
        mnet_set_nonblocking(entry->handle, 1);
}

static void end(const struct entry *entry, int flags)
{
    if ((flags & MSG_DONTWAIT) && !entry->nonblocking)
        mnet_set_nonblocking(entry->handle, 0);
}

ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
    struct entry *entry = mnet_internal_socket(fd);
    mnet_fd handle;
    int64_t code;
    int turned = 0;
    if (entry == NULL)
        return -1;
    if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) != 0)
        return mnet_internal_fail(EOPNOTSUPP);
    if (entry->kind == DATAGRAMS) {
        struct mnet_datagram info = { .size = sizeof info };
        if (address != NULL) {
            int error = mnet_internal_to(address, length, entry->domain, &info.remote);
            if (error != 0)
                return mnet_internal_fail(error);
        } else if (entry->remote.family == MNET_AF_NONE) {
            return mnet_internal_fail(EDESTADDRREQ);
        }
        if (buffer == NULL && size != 0)
            return mnet_internal_fail(EFAULT);
        if (mnet_internal_bound(entry) < 0)
            return -1;
        handle = entry->handle;
        do {
            begin(entry, flags);
            code = address != NULL ? mnet_sendto(handle, buffer, size, &info.remote)
                                   : mnet_sendmsg(handle, buffer, size, &info);
            end(entry, flags);
        } while (again(entry, handle, flags, &turned, &code));
        return result(code);
    }
    mnet_internal_progress(entry);
    if (entry->error != 0) {
        int error = entry->error;
        entry->error = 0;
        return mnet_internal_fail(error);
    }
    if (entry->kind != CONNECTION || entry->failed)
        return mnet_internal_fail(EPIPE);
    if (buffer == NULL && size != 0)
        return mnet_internal_fail(EFAULT);
    handle = entry->handle;
    do {
        begin(entry, flags);
        code = mnet_write(handle, buffer, size);
        end(entry, flags);
    } while (again(entry, handle, flags, &turned, &code));
    note_failure(entry, handle, code);
    return result(code);
}

ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    return sendto(fd, buffer, size, flags, NULL, 0);
}

static ssize_t receive_datagram(struct entry *entry, void *buffer, size_t size, int flags, struct sockaddr *address,
                                socklen_t *length)
{
    struct mnet_datagram info = { .size = sizeof info };
    const void *data;
    if (mnet_internal_bound(entry) < 0)
        return -1;
    if (entry->read_ended)
        flags |= MSG_DONTWAIT;
    mnet_fd handle = entry->handle;
    int domain = entry->domain, turned = 0;
    int64_t code;
    do {
        begin(entry, flags);
        if (flags & MSG_PEEK) {
            code = mnet_datagram_peek(handle, &data, &info);
            if (code > 0)
                memcpy(buffer, data, (uint64_t)code < size ? (size_t)code : size);
        } else {
            code = mnet_recvmsg(handle, buffer, size, &info);
        }
        end(entry, flags);
    } while (again(entry, handle, flags, &turned, &code));
    if (code == MNET_EAGAIN && entry->read_ended)
        return 0;
    if (code < 0)
        return result(code);
    mnet_internal_from(&info.remote, domain, address, length);
    return (ssize_t)(flags & MSG_TRUNC || (uint64_t)code < size ? (size_t)code : size);
}

static int64_t receive_stream(mnet_fd handle, void *buffer, size_t size, int flags)
{
    const void *data;
    if (!(flags & MSG_PEEK))
        return mnet_read(handle, buffer, size);
    int64_t code = mnet_peek(handle, &data);
    if (code > 0 && (uint64_t)code > size)
        code = (int64_t)size;
    if (code > 0)
        memcpy(buffer, data, (size_t)code);
    return code;
}

ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
    struct entry *entry = mnet_internal_socket(fd);
    if (entry == NULL)
        return -1;
    if ((flags & ~(MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL)) != 0)
        return mnet_internal_fail(EOPNOTSUPP);
    if (buffer == NULL && size != 0)
        return mnet_internal_fail(EFAULT);
    if (entry->kind == DATAGRAMS)
        return receive_datagram(entry, buffer, size, flags, address, length);
    mnet_internal_progress(entry);
    if (entry->error != 0) {
        int error = entry->error;
        entry->error = 0;
        return mnet_internal_fail(error);
    }
    if (entry->kind != CONNECTION)
        return mnet_internal_fail(ENOTCONN);
    if (entry->failed)
        return 0;
    if (entry->read_ended)
        flags |= MSG_DONTWAIT;
    mnet_fd handle = entry->handle;
    int turned = 0;
    int64_t code;
    do {
        begin(entry, flags);
        code = receive_stream(handle, buffer, size, flags);
        end(entry, flags);
    } while (again(entry, handle, flags, &turned, &code));
    /* The rest of it, as long as the socket is there and may wait. */
    while ((flags & MSG_WAITALL) && !(flags & (MSG_PEEK | MSG_DONTWAIT)) && code > 0 && (size_t)code < size
           && entry->handle == handle && !entry->nonblocking) {
        int64_t more = mnet_read(handle, (char *)buffer + code, size - (size_t)code);
        if (more <= 0)
            break;
        code += more;
    }
    if (code == MNET_EAGAIN && entry->read_ended)
        return 0;
    note_failure(entry, handle, code);
    if (code >= 0 && length != NULL && address != NULL)
        *length = 0;
    return result(code);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    return recvfrom(fd, buffer, size, flags, NULL, NULL);
}

ssize_t read(int fd, void *buffer, size_t size)
{
    struct entry *entry = mnet_internal_entry(fd);
    if (entry == NULL)
        return -1;
    return entry->kind == CONSOLE ? 0 : recv(fd, buffer, size, 0);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    struct entry *entry = mnet_internal_entry(fd);
    if (entry == NULL)
        return -1;
    if (entry->kind != CONSOLE)
        return send(fd, buffer, size, 0);
    solo5_console_write(buffer, size);
    return (ssize_t)size;
}

int close(int fd)
{
    struct entry *entry = mnet_internal_entry(fd);
    if (entry == NULL)
        return -1;
    mnet_fd handle = entry->handle;
    entry->kind = FREE;
    entry->handle = 0;
    /* What SO_LINGER could not deliver goes on in the background. */
    if (handle != 0)
        mnet_close(handle);
    return 0;
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    struct entry *entry = mnet_internal_socket(fd);
    if (entry == NULL)
        return -1;
    if (address == NULL || length == NULL)
        return mnet_internal_fail(EFAULT);
    struct mnet_addr local = entry->local;
    if (entry->handle != 0 && mnet_sockname(entry->handle, &local) < 0)
        local = entry->local;
    mnet_internal_from(&local, entry->domain, address, length);
    return 0;
}

int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    struct entry *entry = mnet_internal_socket(fd);
    if (entry == NULL)
        return -1;
    if (address == NULL || length == NULL)
        return mnet_internal_fail(EFAULT);
    mnet_internal_progress(entry);
    if (entry->connecting || entry->failed || entry->remote.family == MNET_AF_NONE)
        return mnet_internal_fail(ENOTCONN);
    mnet_internal_from(&entry->remote, entry->domain, address, length);
    return 0;
}

int fcntl(int fd, int command, ...)
{
    struct entry *entry = mnet_internal_entry(fd);
    va_list arguments;
    va_start(arguments, command);
    int flags = command == F_SETFL ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if (entry == NULL)
        return -1;
    switch (command) {
    case F_GETFL:
        return O_RDWR | (entry->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL:
        set_nonblocking(entry, flags & O_NONBLOCK);
        return 0;
    case F_GETFD:
    case F_SETFD:
        return 0;
    default:
        return mnet_internal_fail(EINVAL);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    struct entry *entry = mnet_internal_entry(fd);
    va_list arguments;
    va_start(arguments, request);
    int *value = va_arg(arguments, int *);
    va_end(arguments);
    if (entry == NULL)
        return -1;
    if (request == FIONBIO) {
        set_nonblocking(entry, *value);
        return 0;
    }
    if (request != FIONREAD || entry->kind == CONSOLE)
        return mnet_internal_fail(ENOTTY);
    if (entry->kind == CONNECTION) {
        struct mnet_tcp_info info;
        mnet_fd handle = entry->handle;
        int turned = 0;
        int64_t code;
        do {
            *value = mnet_tcp_info(handle, &info, sizeof info) == 0 ? (int)info.unread : 0;
            code = *value == 0 ? MNET_EAGAIN : 0;
        } while (again(entry, handle, MSG_DONTWAIT, &turned, &code));
        return code == MNET_EAGAIN ? 0 : (int)result(code);
    }
    if (entry->kind != DATAGRAMS)
        return mnet_internal_fail(EINVAL);
    ssize_t there = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    *value = there > 0 ? (int)there : 0;
    return 0;
}

int usleep(unsigned int microseconds)
{
    mnet_poll(mnet_internal_stack, NULL, 0, microseconds * (MILLISECOND / 1000));
    return 0;
}

unsigned int sleep(unsigned int seconds)
{
    mnet_poll(mnet_internal_stack, NULL, 0, seconds * SECOND);
    return 0;
}

int gettimeofday(struct timeval *now, void *zone)
{
    uint64_t time = solo5_clock_wall();
    (void)zone;
    now->tv_sec = (time_t)(time / 1000000000);
    now->tv_usec = (suseconds_t)(time / 1000 % 1000000);
    return 0;
}
