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

int poll(struct pollfd *entries, nfds_t count, int timeout_ms)
{
    struct mnet_pollfd asked[MNET_POSIX_FDS];
    int64_t timeout = timeout_ms < 0 ? -1 : timeout_ms * MILLISECOND;
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
        if (asked[i].fd >= 0)
            entries[i].revents = translate(mnet_internal_entry(entries[i].fd), asked[i].revents, entries[i].events);
        ready += entries[i].revents != 0;
    }
    return ready;
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
        wait = timeout->tv_sec * 1000 + (timeout->tv_usec + 999) / 1000;
        if (wait > 0x7fffffff)
            wait = 0x7fffffff;
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
    if (poll(entries, (nfds_t)used, (int)wait) < 0)
        return -1;
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
    if (timeout != NULL) {
        /* What is left of it, as Linux does. */
        int64_t left = timeout->tv_sec * 1000000 + timeout->tv_usec - (int64_t)((mnet_now() - start) / 1000);
        if (left < 0)
            left = 0;
        timeout->tv_sec = left / 1000000;
        timeout->tv_usec = left % 1000000;
    }
    return found;
}
