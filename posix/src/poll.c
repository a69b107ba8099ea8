/* poll() and select() over mnet_poll(). */

#include "internal.h"

#include <poll.h>
#include <sys/select.h>

/* What a descriptor is ready for without asking the stack; -1: ask it. */
static int known(struct entry *entry, int events)
{
    switch (entry->kind) {
    case CONSOLE:
        return events & (POLLIN | POLLOUT);
    case NEW:
        return POLLHUP | (events & POLLOUT);
    case DATAGRAMS:
        return mnet_internal_bound(entry) < 0 ? POLLERR : -1;
    default:
        return entry->error != 0 || entry->failed ? POLLHUP | (entry->error ? POLLERR : 0) | (events & (POLLIN | POLLOUT))
                                                  : -1;
    }
}

static short translate(struct entry *entry, uint32_t ready, int events)
{
    int revents = 0;
    if (ready & MNET_READABLE)
        revents |= events & (POLLIN | POLLRDNORM);
    if (ready & MNET_WRITABLE)
        revents |= events & (POLLOUT | POLLWRNORM);
    if (ready & MNET_ERROR)
        revents |= POLLERR | POLLHUP | (events & (POLLIN | POLLOUT));
    if (ready & MNET_CLOSED)
        revents |= POLLHUP;
    mnet_internal_progress(entry);
    /* The error is still to be asked for. */
    return (short)revents;
}

/* poll() with a time in nanoseconds; below 0: for ever. */
static int poll_for(struct pollfd *entries, nfds_t count, int64_t timeout)
{
    struct mnet_pollfd asked[MNET_POSIX_FDS];
    int ready = 0;
    if (entries == NULL && count > 0)
        return mnet_internal_fail(EFAULT);
    if (count > MNET_POSIX_FDS)
        return mnet_internal_fail(EINVAL);
    for (nfds_t i = 0; i < count; i++) {
        struct pollfd *entry = &entries[i];
        entry->revents = 0;
        asked[i] = (struct mnet_pollfd){ .fd = -1 };
        if (entry->fd < 0)
            continue;
        struct entry *socket = mnet_internal_entry(entry->fd);
        int now = socket == NULL ? POLLNVAL : known(socket, entry->events);
        if (now >= 0) {
            entry->revents = (short)now;
            if (now != 0)
                timeout = 0;
            continue;
        }
        asked[i].fd = socket->handle;
        if (entry->events & (POLLIN | POLLRDNORM))
            asked[i].events |= MNET_READABLE;
        if (entry->events & (POLLOUT | POLLWRNORM))
            asked[i].events |= MNET_WRITABLE;
    }
    int64_t code = mnet_poll(mnet_internal_stack, asked, count, timeout);
    if (code < 0)
        return mnet_internal_fail(mnet_internal_error(code));
    for (nfds_t i = 0; i < count; i++) {
        if (asked[i].fd >= 0) {
            /* While this fiber waited, another one may have closed the socket, and have opened one in its place. */
            struct entry *socket = mnet_internal_entry(entries[i].fd);
            entries[i].revents = socket == NULL || socket->handle != asked[i].fd || (asked[i].revents & MNET_INVALID)
                                     ? POLLNVAL
                                     : translate(socket, asked[i].revents, entries[i].events);
        }
        ready += entries[i].revents != 0;
    }
    return ready;
}

int poll(struct pollfd *entries, nfds_t count, int timeout_ms)
{
    return poll_for(entries, count, timeout_ms < 0 ? -1 : timeout_ms * MILLISECOND);
}

/* The longest time to wait that counts: it does not end, and is for ever. */
#define AGES (0x7fffffffffffffff / SECOND - 1)

/* What is left of a time after so many nanoseconds, as Linux tells it. */
static void subtract(struct timeval *time, uint64_t nanoseconds)
{
    time_t seconds = (time_t)(nanoseconds / (uint64_t)SECOND);
    suseconds_t micros = (suseconds_t)(nanoseconds % (uint64_t)SECOND / 1000);
    if (time->tv_usec < micros) {
        seconds++;
        micros -= 1000000;
    }
    if (time->tv_sec < seconds) {
        time->tv_sec = time->tv_usec = 0;
        return;
    }
    time->tv_sec -= seconds;
    time->tv_usec -= micros;
}

int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
    struct pollfd entries[MNET_POSIX_FDS];
    int64_t wait = -1;
    int used = 0, found = 0;
    if (count < 0)
        return mnet_internal_fail(EINVAL);
    if (timeout != NULL) {
        if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
            return mnet_internal_fail(EINVAL);
        if (timeout->tv_sec < AGES && timeout->tv_usec / 1000000 < AGES - timeout->tv_sec)
            wait = timeout->tv_sec * SECOND + timeout->tv_usec * (MILLISECOND / 1000);
    }
    for (int fd = 0; fd < count && fd < FD_SETSIZE; fd++) {
        int events = (readable != NULL && FD_ISSET(fd, readable) ? POLLIN : 0)
                     | (writable != NULL && FD_ISSET(fd, writable) ? POLLOUT : 0)
                     | (exceptional != NULL && FD_ISSET(fd, exceptional) ? POLLPRI : 0);
        if (events == 0)
            continue;
        if (mnet_internal_entry(fd) == NULL)
            return -1;
        entries[used++] = (struct pollfd){ .fd = fd, .events = (short)events };
    }
    uint64_t start = mnet_now();
    if (poll_for(entries, (nfds_t)used, wait) < 0)
        return -1;
    for (int i = 0; i < used; i++)
        if (entries[i].revents & POLLNVAL)
            return mnet_internal_fail(EBADF);
    for (int i = 0; i < used; i++) {
        int fd = entries[i].fd, events = entries[i].events, revents = entries[i].revents;
        if (events & POLLIN && !(revents & (POLLIN | POLLHUP | POLLERR)))
            FD_CLR(fd, readable);
        else
            found += (events & POLLIN) != 0;
        if (events & POLLOUT && !(revents & (POLLOUT | POLLERR)))
            FD_CLR(fd, writable);
        else
            found += (events & POLLOUT) != 0;
        if (events & POLLPRI)
            FD_CLR(fd, exceptional);
    }
    if (timeout != NULL)
        subtract(timeout, mnet_now() - start);
    return found;
}
