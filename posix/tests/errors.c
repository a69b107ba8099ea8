/* Calls that go wrong, and what they say: the same here and there. Arguments: a host, a port of it that
   sends "hello" and closes after us, a port that resets, a port that nobody listens on, a port that does
   nothing, and the own address. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void text(const char *words)
{
    if (write(1, words, strlen(words)) < 0)
        exit(9);
}

static void number(long value)
{
    char digits[24], *at = digits + sizeof digits - 1;
    unsigned long rest = value < 0 ? 0 - (unsigned long)value : (unsigned long)value;
    *at = '\0';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0)
        *--at = '-';
    text(at);
}

/* One line: what was done, its result, and errno if it failed. */
static long say(const char *what, long result)
{
    int error = errno;
    text(what);
    text(": ");
    number(result);
    if (result < 0) {
        text(", errno ");
        number(error);
    }
    text("\n");
    return result;
}

static struct sockaddr_in address(const char *host, int port)
{
    struct sockaddr_in in;
    memset(&in, 0, sizeof in);
    in.sin_family = AF_INET;
    in.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        exit(8);
    return in;
}

static int tcp(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int udp(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

static int connected(const char *host, int port)
{
    struct sockaddr_in peer = address(host, port);
    int fd = tcp();
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        exit(7);
    return fd;
}

static long option(int fd, int level, int name)
{
    int value = -77;
    socklen_t size = sizeof value;
    if (getsockopt(fd, level, name, &value, &size) < 0)
        return -1;
    return value;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

static void making(void)
{
    say("the first socket", tcp());
    say("a family of nobody", socket(99, SOCK_STREAM, 0));
    say("UDP as a stream", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    say("TCP as datagrams", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    say("close", close(3));
    say("close again", close(3));
    say("close nothing", close(-1));
    say("the lowest number again", socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
    say("close", close(3));
}

static void binding(const char *own)
{
    struct sockaddr_in local = address(own, 4000), foreign = address("192.0.2.1", 4000), any = address("0.0.0.0", 0);
    struct sockaddr_in6 six;
    struct sockaddr_in got;
    socklen_t size = sizeof got;
    int a = tcp(), b = tcp(), c = udp(), d = udp();
    memset(&six, 0, sizeof six);
    six.sin6_family = AF_INET6;
    say("bind nothing", bind(-1, (struct sockaddr *)&local, sizeof local));
    say("bind the console", bind(1, (struct sockaddr *)&local, sizeof local));
    say("bind half an address", bind(a, (struct sockaddr *)&local, 7));
    say("bind the other family", bind(a, (struct sockaddr *)&six, sizeof six));
    say("bind a foreign address", bind(a, (struct sockaddr *)&foreign, sizeof foreign));
    say("bind", bind(a, (struct sockaddr *)&local, sizeof local));
    say("bind again", bind(a, (struct sockaddr *)&local, sizeof local));
    say("bind the same", bind(b, (struct sockaddr *)&local, sizeof local));
    say("bind datagrams", bind(c, (struct sockaddr *)&local, sizeof local));
    say("bind the same datagrams", bind(d, (struct sockaddr *)&local, sizeof local));
    say("getsockname", getsockname(a, (struct sockaddr *)&got, &size));
    say("its length", (long)size);
    say("its port", ntohs(got.sin_port));
    say("bind any", bind(b, (struct sockaddr *)&any, sizeof any));
    size = sizeof got;
    getsockname(b, (struct sockaddr *)&got, &size);
    say("it has a port", got.sin_port != 0);
    say("listen to datagrams", listen(c, 1));
    say("accept datagrams", accept(c, NULL, NULL));
    say("accept without listening", accept(a, NULL, NULL));
    say("listen", listen(a, 5));
    say("listen again", listen(a, 6));
    say("is a listener", option(a, SOL_SOCKET, SO_ACCEPTCONN));
    say("is none", option(b, SOL_SOCKET, SO_ACCEPTCONN));
    say("O_NONBLOCK", fcntl(a, F_SETFL, O_NONBLOCK));
    say("flags", fcntl(a, F_GETFL) & (O_RDWR | O_NONBLOCK));
    say("accept without waiting", accept(a, NULL, NULL));
    say("read a listener", read(a, &size, 1));
    for (int fd = a; fd <= d; fd++)
        close(fd);
}

static void unconnected(void)
{
    struct pollfd entry = { 0, POLLIN | POLLOUT, 0 };
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    char byte = 0;
    int a = tcp(), b = udp();
    say("send to nobody", send(a, "x", 1, MSG_NOSIGNAL));
    say("receive from nobody", recv(a, &byte, 1, 0));
    say("shut down nothing", shutdown(a, SHUT_WR));
    say("peer of nobody", getpeername(a, (struct sockaddr *)&peer, &size));
    say("shut down how", shutdown(a, 9));
    say("datagram to nobody", send(b, "x", 1, 0));
    say("datagram of nobody", recv(b, &byte, 1, MSG_DONTWAIT));
    entry.fd = a;
    say("poll nobody", poll(&entry, 1, 0));
    say("what there is", entry.revents);
    entry.fd = 99;
    say("poll nothing", poll(&entry, 1, 0));
    say("what there is", entry.revents);
    entry.fd = -1;
    say("poll no entry", poll(&entry, 1, 0));
    say("what there is", entry.revents);
    fd_set set_of;
    struct timeval now = { 0, 0 };
    FD_ZERO(&set_of);
    FD_SET(60, &set_of);
    say("select nothing", select(61, &set_of, NULL, NULL, &now));
    FD_ZERO(&set_of);
    FD_SET(b, &set_of);
    say("select datagrams", select(b + 1, &set_of, NULL, NULL, &now));
    say("is it set", FD_ISSET(b, &set_of) != 0);
    FD_SET(b, &set_of);
    say("select for writing", select(b + 1, NULL, &set_of, NULL, &now));
    close(a);
    close(b);
}

static void options(void)
{
    struct linger linger = { 7, 7 };
    socklen_t size = sizeof linger;
    int a = tcp(), b = udp();
    say("type", option(a, SOL_SOCKET, SO_TYPE));
    say("type of datagrams", option(b, SOL_SOCKET, SO_TYPE));
    say("domain", option(a, SOL_SOCKET, SO_DOMAIN));
    say("protocol", option(b, SOL_SOCKET, SO_PROTOCOL));
    say("error", option(a, SOL_SOCKET, SO_ERROR));
    say("nodelay", option(a, IPPROTO_TCP, TCP_NODELAY));
    say("set nodelay", set(a, IPPROTO_TCP, TCP_NODELAY, 5));
    say("nodelay", option(a, IPPROTO_TCP, TCP_NODELAY));
    say("keep-alive", option(a, SOL_SOCKET, SO_KEEPALIVE));
    say("set keep-alive", set(a, SOL_SOCKET, SO_KEEPALIVE, 1));
    say("keep-alive", option(a, SOL_SOCKET, SO_KEEPALIVE));
    say("idle", option(a, IPPROTO_TCP, TCP_KEEPIDLE));
    say("interval", option(a, IPPROTO_TCP, TCP_KEEPINTVL));
    say("count", option(a, IPPROTO_TCP, TCP_KEEPCNT));
    say("set count 0", set(a, IPPROTO_TCP, TCP_KEEPCNT, 0));
    say("set idle", set(a, IPPROTO_TCP, TCP_KEEPIDLE, 60));
    say("idle", option(a, IPPROTO_TCP, TCP_KEEPIDLE));
    say("set a user timeout", set(a, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000));
    say("user timeout", option(a, IPPROTO_TCP, TCP_USER_TIMEOUT));
    say("time to live", option(a, IPPROTO_IP, IP_TTL));
    say("set it to 0", set(a, IPPROTO_IP, IP_TTL, 0));
    say("set it to 300", set(a, IPPROTO_IP, IP_TTL, 300));
    say("set it to 9", set(a, IPPROTO_IP, IP_TTL, 9));
    say("time to live", option(a, IPPROTO_IP, IP_TTL));
    say("linger", getsockopt(a, SOL_SOCKET, SO_LINGER, &linger, &size));
    say("on", linger.l_onoff);
    say("seconds", linger.l_linger);
    say("set half a linger", setsockopt(a, SOL_SOCKET, SO_LINGER, &linger, 4));
    say("reuse", option(a, SOL_SOCKET, SO_REUSEADDR));
    say("set reuse", set(a, SOL_SOCKET, SO_REUSEADDR, 1));
    say("reuse", option(a, SOL_SOCKET, SO_REUSEADDR));
    say("broadcast", option(b, SOL_SOCKET, SO_BROADCAST));
    say("set half a number", setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &linger, 2));
    say("an option of nobody", set(a, SOL_SOCKET, 9999, 1));
    say("another one", set(a, IPPROTO_TCP, 9999, 1));
    say("TCP of datagrams", set(b, IPPROTO_TCP, TCP_NODELAY, 1));
    say("options of nothing", set(77, SOL_SOCKET, SO_REUSEADDR, 1));
    say("options of the console", set(1, SOL_SOCKET, SO_REUSEADDR, 1));
    close(a);
    close(b);
}

/* Options in other sizes, and numbers that stand for none. */
static void sizes(void)
{
    unsigned char one = 5;
    unsigned char room[4] = { 77, 77, 77, 77 };
    socklen_t size = 2;
    int a = udp(), b = socket(AF_INET6, SOCK_DGRAM, 0);
    say("hops to a group in a byte", setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &one, 1));
    say("hops to a group", option(a, IPPROTO_IP, IP_MULTICAST_TTL));
    say("hops to a group in no byte", setsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, &one, 0));
    say("into two bytes", getsockopt(a, IPPROTO_IP, IP_MULTICAST_TTL, room, &size));
    say("their number", (long)size);
    say("the first", room[0]);
    say("the second", room[1]);
    one = 0;
    say("loop in a byte", setsockopt(a, IPPROTO_IP, IP_MULTICAST_LOOP, &one, 1));
    say("loop", option(a, IPPROTO_IP, IP_MULTICAST_LOOP));
    say("set loop to 300", set(a, IPPROTO_IP, IP_MULTICAST_LOOP, 300));
    say("loop", option(a, IPPROTO_IP, IP_MULTICAST_LOOP));
    one = 200;
    say("time to live in a byte", setsockopt(a, IPPROTO_IP, IP_TTL, &one, 1));
    say("time to live", option(a, IPPROTO_IP, IP_TTL));
    say("set it to -2", set(a, IPPROTO_IP, IP_TTL, -2));
    say("set it to -1", set(a, IPPROTO_IP, IP_TTL, -1));
    say("time to live", option(a, IPPROTO_IP, IP_TTL));
    say("hops to a group -2", set(a, IPPROTO_IP, IP_MULTICAST_TTL, -2));
    say("hops to a group -1", set(a, IPPROTO_IP, IP_MULTICAST_TTL, -1));
    say("hops to a group", option(a, IPPROTO_IP, IP_MULTICAST_TTL));
    say("hops to a group 0", set(a, IPPROTO_IP, IP_MULTICAST_TTL, 0));
    say("hops to a group", option(a, IPPROTO_IP, IP_MULTICAST_TTL));
    say("hops in a byte", setsockopt(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, 1));
    say("hops", set(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7));
    say("hops", option(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
    say("hops -1", set(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1));
    say("hops", option(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
    say("hops to a group", set(b, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 7));
    say("hops to a group -1", set(b, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, -1));
    say("hops to a group", option(b, IPPROTO_IPV6, IPV6_MULTICAST_HOPS));
    say("traffic class", set(b, IPPROTO_IPV6, IPV6_TCLASS, 8));
    say("traffic class -1", set(b, IPPROTO_IPV6, IPV6_TCLASS, -1));
    say("traffic class", option(b, IPPROTO_IPV6, IPV6_TCLASS));
    say("traffic class -2", set(b, IPPROTO_IPV6, IPV6_TCLASS, -2));
    close(a);
    close(b);
    a = tcp();
    say("set a user timeout", set(a, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000));
    say("take it back", set(a, IPPROTO_TCP, TCP_USER_TIMEOUT, 0));
    say("user timeout", option(a, IPPROTO_TCP, TCP_USER_TIMEOUT));
    close(a);
}

/* Times that are too long for one number of nanoseconds. */
static void times(const char *host, int reset)
{
    static const time_t seconds[] = { 8640000, 18446744074, 0x7fffffffffffffff };
    struct timeval time = { 0, 0 };
    socklen_t size = sizeof time;
    char byte = 0;
    fd_set set_of;
    int a;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        a = connected(host, reset);
        time.tv_sec = seconds[i];
        time.tv_usec = 0;
        say("a long time", setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
        size = sizeof time;
        say("how long", getsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &time, &size));
        say("seconds", time.tv_sec);
        say("send for a reset", send(a, "x", 1, 0));
        say("wait for it", recv(a, &byte, 1, 0));
        close(a);
    }
    for (int shift = 40; shift < 63; shift += 22) {
        a = connected(host, reset);
        say("send for a reset", send(a, "x", 1, 0));
        FD_ZERO(&set_of);
        FD_SET(a, &set_of);
        time.tv_sec = (time_t)1 << shift;
        time.tv_usec = 0;
        say("select for it", select(a + 1, &set_of, NULL, NULL, &time));
        say("much is left", time.tv_sec > 1 << 30);
        close(a);
    }
}

/* Nothing drives the network but the calls that find nothing. */
static void spinning(const char *host, int hello, int closed)
{
    struct sockaddr_in peer = address(host, closed);
    struct timeval now;
    char buffer[5];
    long got;
    int a = connected(host, hello);
    gettimeofday(&now, NULL);
    time_t end = now.tv_sec + 5;
    do {
        got = recv(a, buffer, sizeof buffer, MSG_DONTWAIT);
        gettimeofday(&now, NULL);
    } while (got < 0 && errno == EAGAIN && now.tv_sec < end);
    say("spin for hello", got);
    say("send", send(a, "bye", 3, 0));
    say("shut down", shutdown(a, SHUT_WR));
    int waiting = 0;
    close(a);
    a = connected(host, hello);
    while (waiting == 0 && ioctl(a, FIONREAD, &waiting) == 0 && now.tv_sec < end + 5)
        gettimeofday(&now, NULL);
    say("spin for its length", waiting);
    close(a);
    a = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say("connect without waiting", connect(a, (struct sockaddr *)&peer, sizeof peer));
    do {
        got = send(a, "x", 1, MSG_NOSIGNAL);
        gettimeofday(&now, NULL);
    } while (got < 0 && errno == EAGAIN && now.tv_sec < end + 10);
    say("spin for its refusal", got);
    say("its error", option(a, SOL_SOCKET, SO_ERROR));
    say("send", send(a, "x", 1, MSG_NOSIGNAL));
    say("connect again", connect(a, (struct sockaddr *)&peer, sizeof peer));
    say("connect once more", connect(a, (struct sockaddr *)&peer, sizeof peer));
    close(a);
}

static void connecting(const char *host, int hello, int closed)
{
    struct sockaddr_in peer = address(host, closed), got;
    struct sockaddr other;
    struct pollfd entry = { 0, POLLIN | POLLOUT, 0 };
    socklen_t size = sizeof got;
    char byte = 0;
    struct timeval moment = { 0, 50000 };
    int a = tcp(), b = tcp(), c = udp();
    memset(&other, 0, sizeof other);
    other.sa_family = 99;
    peer = address("10.0.0.77", closed);
    setsockopt(b, SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment);
    say("connect to nobody for 50 ms", connect(b, (struct sockaddr *)&peer, sizeof peer));
    fcntl(b, F_SETFL, O_NONBLOCK);
    say("it goes on", connect(b, (struct sockaddr *)&peer, sizeof peer));
    close(b);
    b = tcp();
    peer = address(host, closed);
    say("connect to a closed port", connect(a, (struct sockaddr *)&peer, sizeof peer));
    say("its error", option(a, SOL_SOCKET, SO_ERROR));
    say("connect half an address", connect(a, (struct sockaddr *)&peer, 5));
    say("connect to a strange family", connect(a, &other, sizeof other));
    fcntl(b, F_SETFL, O_NONBLOCK);
    say("connect without waiting", connect(b, (struct sockaddr *)&peer, sizeof peer));
    entry.fd = b;
    say("poll", poll(&entry, 1, 5000));
    say("what there is", entry.revents);
    say("its error", option(b, SOL_SOCKET, SO_ERROR));
    say("its error again", option(b, SOL_SOCKET, SO_ERROR));
    close(b);
    peer = address(host, hello);
    b = tcp();
    fcntl(b, F_SETFL, O_NONBLOCK);
    say("connect without waiting", connect(b, (struct sockaddr *)&peer, sizeof peer));
    entry.events = POLLOUT;
    entry.fd = b;
    say("poll", poll(&entry, 1, 5000));
    say("what there is", entry.revents);
    say("its error", option(b, SOL_SOCKET, SO_ERROR));
    say("connect again", connect(b, (struct sockaddr *)&peer, sizeof peer));
    say("connect once more", connect(b, (struct sockaddr *)&peer, sizeof peer));
    say("listen when connected", listen(b, 1));
    say("accept when connected", accept(b, NULL, NULL));
    say("getpeername", getpeername(b, (struct sockaddr *)&got, &size));
    say("of the peer", got.sin_port == peer.sin_port && got.sin_addr.s_addr == peer.sin_addr.s_addr);
    say("connect datagrams", connect(c, (struct sockaddr *)&peer, sizeof peer));
    say("send a datagram", send(c, "x", 1, 0));
    size = sizeof got;
    say("getpeername", getpeername(c, (struct sockaddr *)&got, &size));
    struct timeval wait = { 5, 0 };
    setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    say("receive its refusal", recv(c, &byte, 1, 0));
    close(a);
    close(b);
    close(c);
}

static void talking(const char *host, int hello, int reset, int holds)
{
    struct timeval wait = { 0, 50000 };
    struct pollfd entry = { 0, POLLIN, 0 };
    char buffer[8] = "";
    int waiting = 0, a = connected(host, hello);
    entry.fd = a;
    say("poll for hello", poll(&entry, 1, 5000));
    say("what there is", entry.revents);
    say("look at a part", recv(a, buffer, 2, MSG_PEEK));
    say("is it hello", strncmp(buffer, "he", 2));
    say("all of it", recv(a, buffer, 5, MSG_WAITALL));
    say("is it hello", strncmp(buffer, "hello", 5));
    say("how much waits", ioctl(a, FIONREAD, &waiting));
    say("nothing", waiting);
    say("without waiting", recv(a, buffer, 5, MSG_DONTWAIT));
    setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    say("for 50 ms", recv(a, buffer, 5, 0));
    say("nothing into nothing", recv(a, buffer, 0, MSG_DONTWAIT) <= 0);
    say("send", send(a, "bye", 3, 0));
    say("send nothing that is there", send(a, NULL, 3, 0));
    say("receive it", recv(a, NULL, 3, MSG_DONTWAIT) < 0);
    say("send no byte of it", send(a, NULL, 0, 0));
    say("shut down", shutdown(a, SHUT_WR));
    say("send after that", send(a, "x", 1, MSG_NOSIGNAL));
    wait.tv_sec = 5;
    setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    say("the end", recv(a, buffer, 5, 0));
    say("the end again", recv(a, buffer, 5, 0));
    say("close", close(a));
    say("send when closed", send(a, "x", 1, 0));
    a = connected(host, holds);
    say("shut down", shutdown(a, SHUT_WR));
    say("shut down again", shutdown(a, SHUT_WR));
    close(a);
    a = connected(host, reset);
    say("send for a reset", send(a, "x", 1, 0));
    entry.fd = a;
    entry.events = POLLIN;
    say("poll for it", poll(&entry, 1, 5000));
    say("receive the reset", recv(a, buffer, 5, 0));
    say("after the reset", recv(a, buffer, 5, 0));
    say("send after the reset", send(a, "x", 1, MSG_NOSIGNAL));
    say("close", close(a));
}

/* The families of the results for no host, in their order. */
static void families(const char *what, const struct addrinfo *hints)
{
    struct addrinfo *found = NULL;
    say(what, getaddrinfo(NULL, "53", hints, &found));
    for (struct addrinfo *one = found; one != NULL; one = one->ai_next)
        say("family", one->ai_family);
    freeaddrinfo(found);
}

/* Addresses as names. */
static void names_back(const char *host)
{
    struct sockaddr_in in = address(host, 80);
    struct sockaddr_storage other;
    char name[INET6_ADDRSTRLEN] = "", port[8] = "";
    int flags = NI_NUMERICHOST | NI_NUMERICSERV;
    say("getnameinfo", getnameinfo((struct sockaddr *)&in, sizeof in, name, sizeof name, port, sizeof port, flags));
    text(name[0] != '\0' ? "a host, " : "no host, ");
    text(port);
    text("\n");
    say("half of it", getnameinfo((struct sockaddr *)&in, 8, name, sizeof name, port, sizeof port, flags));
    memset(&other, 0, sizeof other);
    other.ss_family = 99;
    say("of nobody", getnameinfo((struct sockaddr *)&other, 28, name, sizeof name, port, sizeof port, flags));
}

/* The texts of the errors that sockets have. */
static void texts(void)
{
    static const int errors[] = {
        0, EBADF, EAGAIN, ENOMEM, EACCES, EFAULT, EBUSY, ENODEV, EINVAL, EMFILE, ENOTTY, ENOSPC, EPIPE, EDOM, EDEADLK,
        EPROTO, ENOTSOCK, EDESTADDRREQ, EMSGSIZE, ENOPROTOOPT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EOPNOTSUPP,
        EAFNOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ENETDOWN, ENETUNREACH, ECONNABORTED, ECONNRESET, ENOBUFS, EISCONN,
        ENOTCONN, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, EALREADY, EINPROGRESS, ECANCELED,
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        text(strerror(errors[i]));
        text("\n");
    }
}

/* Addresses as inet_aton() has them. */
static void numbers(void)
{
    static const char *const texts[] = {
        "10.0.0.1", "10.1", "10.1.2", "10.1.65535", "10.1.65536", "10.16777215", "10.16777216", "167772161", "4294967295",
        "4294967296", "0x7f.1", "0X7F000001", "0x", "0xg", "010.0.0.1", "08.0.0.1", "0", "0.0.0.0", "256.1", "1.256.1", "1.2.3.256",
        "10.", "10..1", ".1", "1.2.3.4.5", "1.2.3.4 and more", "1.2.3.4\n", "1.2.3.4x", " 1.2.3.4", "-1", "+1", "a", "",
    };
    struct in_addr in;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        in.s_addr = 0;
        say(texts[i], inet_aton(texts[i], &in));
        say("address", (long)ntohl(in.s_addr));
        say("or", (long)inet_addr(texts[i]));
    }
}

static void names(const char *host)
{
    static const char *const texts[] = { "10.0.0.1", "10.0.0", "10.0.0.256", "010.0.0.1", " 10.0.0.1", "10.0.0.1:7", "::1", "" };
    static const char *const texts6[] = { "::1", "::", "2001:db8::1", "fe80::1%1", "[::1]", "::1:", "::ffff:1.2.3.4", "1::2::3", "10.0.0.1" };
    struct addrinfo hints, *found = NULL;
    struct in_addr in;
    struct in6_addr in6;
    char buffer[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        say(texts[i], inet_pton(AF_INET, texts[i], &in));
    for (size_t i = 0; i < sizeof texts6 / sizeof *texts6; i++) {
        if (say(texts6[i], inet_pton(AF_INET6, texts6[i], &in6)) == 1) {
            text(inet_ntop(AF_INET6, &in6, buffer, sizeof buffer));
            text("\n");
        }
    }
    say("a family of nobody", inet_pton(99, "x", &in));
    inet_pton(AF_INET, "10.20.30.40", &in);
    say("too little room", inet_ntop(AF_INET, &in, buffer, 11) == NULL ? -1 : 0);
    say("just enough", inet_ntop(AF_INET, &in, buffer, 12) == NULL ? -1 : 0);
    text(inet_ntoa(in));
    text("\n");
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    say("getaddrinfo", getaddrinfo(host, "80", &hints, &found));
    say("family", found->ai_family);
    say("type", found->ai_socktype);
    say("protocol", found->ai_protocol);
    say("length", (long)found->ai_addrlen);
    say("port", ntohs(((struct sockaddr_in *)(void *)found->ai_addr)->sin_port));
    say("one only", found->ai_next == NULL);
    freeaddrinfo(found);
    say("a name", getaddrinfo("localhost", "80", &hints, &found));
    say("a service", getaddrinfo(host, "http", &hints, &found));
    say("nothing", getaddrinfo(NULL, NULL, &hints, &found));
    hints.ai_family = AF_INET6;
    say("the other family", getaddrinfo(host, "80", &hints, &found));
    hints.ai_family = 99;
    say("a family of nobody", getaddrinfo(host, "80", &hints, &found));
    hints.ai_family = AF_INET;
    hints.ai_socktype = 77;
    say("a type of nobody", getaddrinfo(host, "80", &hints, &found));
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    say("passive", getaddrinfo(NULL, "53", &hints, &found));
    say("any address", ((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr.s_addr);
    freeaddrinfo(found);
    hints.ai_family = AF_UNSPEC;
    families("passive", &hints);
    hints.ai_flags = AI_NUMERICSERV;
    families("active", &hints);
    hints.ai_flags = 0x10000000;
    say("flags of nobody", getaddrinfo(host, "53", &hints, &found));
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    making();
    binding(argv[6]);
    unconnected();
    options();
    connecting(argv[1], atoi(argv[2]), atoi(argv[4]));
    talking(argv[1], atoi(argv[2]), atoi(argv[3]), atoi(argv[5]));
    numbers();
    names(argv[1]);
    names_back(argv[1]);
    texts();
    sizes();
    times(argv[1], atoi(argv[3]));
    spinning(argv[1], atoi(argv[2]), atoi(argv[4]));
    return 0;
}
