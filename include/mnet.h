/*
 * mnet.h: TCP/IP for Solo5 unikernels.
 *
 * Generated from the sources of the library by `cargo run -p mnet-codegen -- header`; do not edit.
 *
 * Link with libmnet.a, which needs the functions of solo5.h and nothing else: no libc, no malloc. A server:
 *
 *     struct mnet_config config;
 *     mnet_config_default(&config, sizeof config);
 *     config.arena = memory;
 *     config.arena_size = sizeof memory;
 *     mnet_cidr_parse("10.0.0.2/24", 11, &config.address, &config.prefix_len);
 *     mnet_stack stack = mnet_open(&config);                   negative: an error, see mnet_strerror()
 *     struct mnet_addr local;
 *     mnet_addr_parse("0.0.0.0:7", 9, &local);
 *     mnet_fd listener = mnet_listen(stack, &local, 16);
 *     for (;;) {
 *         mnet_fd client = mnet_accept(listener, NULL);        waits
 *         ... mnet_read(), mnet_write(), mnet_close() ...
 *     }
 *
 * FOUR WAYS TO WAIT, over the same calls, which can be mixed:
 *
 *   - Blocking, the default: a call turns the event loop until it is done, and other connections progress meanwhile.
 *   - Readiness: a non-blocking socket answers MNET_EAGAIN instead of waiting. mnet_poll() waits for some sockets
 *     (level: for as long as they are ready), mnet_events() for all (edge: when their readiness grows).
 *   - Fibers: mnet_spawn() starts a function on a stack of its own, one for each client. A call that waits lets the
 *     others run, and returns MNET_ECANCELED when the fiber is asked to end.
 *   - Driven from outside: mnet_step() does what is due, never sleeps, and says when it wants to be called again. With
 *     MNET_CONFIG_MANUAL frames go in and out by call, too.
 *
 * A non-blocking call only queues what is to be sent; it leaves with the next call that waits, polls or steps. That is
 * cheaper: an acknowledgement travels with the answer, and small writes share a segment.
 *
 * RULES that hold for every function, unless its comment says otherwise:
 *
 *   - Errors are negative, MNET_E*; mnet_strerror() and mnet_error_name() explain them. 0 and above is success.
 *   - Outputs are written on success only, and an error changes nothing.
 *   - NULL, lengths and handles are checked. A stale, foreign or invented handle is MNET_EBADF, never a crash. What
 *     cannot be checked is that a pointer other than NULL designates as much memory as it is said to.
 *   - Pointers are used during the call only, and have no alignment requirement. Memory of an arena belongs to the
 *     library: a buffer must not lie in one (MNET_EINVAL). What fibers have of it, mnet_config.fiber_memory, is
 *     theirs: buffers on their stacks are as good as any.
 *   - Sizes are bytes, times are nanoseconds.
 *   - MNET_EBUSY is the answer to a call on a stack that is inside another call: from within a solo5_* function that
 *     the caller supplies, or from another thread. A fiber that waits is inside of none.
 *   - There are two callbacks, mnet_dhcp.accept and that of mnet_log_set(). Nothing allocates after mnet_open(),
 *     mnet_dhcp_start(), mnet_log_set(), and the first mnet_spawn() or mnet_channel_open(). Fibers and channels have the
 *     caller's memory, or mnet_config.fiber_memory.
 *   - A defect of the library does not return: it prints the place on the console and calls solo5_abort().
 *
 * Usable from C99, C11 and later, and from C++.
 */

#ifndef MNET_H
#define MNET_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header. mnet_version() and mnet_version_number() give the library's. */
#define MNET_VERSION "0.1.0"
#define MNET_VERSION_MAJOR 0
#define MNET_VERSION_MINOR 1
#define MNET_VERSION_PATCH 0
#define MNET_VERSION_NUMBER 1000

/*
 * The version of the binary interface. It changes when a program that was compiled against an
 * older header would no longer work. Compare it with mnet_abi_version().
 */
#define MNET_ABI_VERSION 0

/* Address family: none. All other members are ignored. */
#define MNET_AF_NONE 0

/* Address family: IPv4. */
#define MNET_AF_INET 4

/* Address family: IPv6, where mnet_enable_ipv6() was called. */
#define MNET_AF_INET6 6

/*
 * mnet_config.flags: no device. Frames go in and out by mnet_frame_in() and mnet_frame_out(), and
 * time by mnet_step(). All sockets are non-blocking, and no solo5_* function is called, except for
 * entropy if no seed is given.
 */
#define MNET_CONFIG_MANUAL 1

/* mnet_config.flags: new sockets are non-blocking. */
#define MNET_CONFIG_NONBLOCKING 2

/*
 * mnet_config.flags: new TCP connections send small writes at once instead of collecting them
 * (Nagle's algorithm off, RFC 9293 section 3.7.4).
 */
#define MNET_CONFIG_NODELAY 4

/*
 * mnet_config.flags: the arena is all zero, as the heap of Solo5 is at start, and mnet_open() need
 * not clear it, which for a large arena is most of the work. Not true any more once mnet_open() was
 * called with it.
 */
#define MNET_CONFIG_ARENA_ZERO 8

/*
 * mnet_config.flags: connections have the whole of their buffers at once. Otherwise they get what
 * their path and their program can use, up to that.
 */
#define MNET_CONFIG_NO_AUTOTUNING 16

/*
 * mnet_config.flags: output is sent as soon as the windows allow. Otherwise it is spread over the
 * round-trip time where that is at least 4 ms.
 */
#define MNET_CONFIG_NO_PACING 32

/*
 * mnet_config.flags: mnet_events() also tells that addresses, routes, DNS servers or leases have
 * changed, for programs with one loop. Its event says MNET_NETWORK and no socket.
 */
#define MNET_CONFIG_NETWORK_EVENTS 64

/*
 * mnet_config.flags: the size of segments is learned from ICMP only. Otherwise a path that swallows
 * full segments without a word is found out, and searched for what it carries (RFC 4821).
 */
#define MNET_CONFIG_NO_MTU_PROBING 128

/* SYN cookies: the default. */
#define MNET_SYN_COOKIES_DEFAULT 0

/* SYN cookies: never; SYNs beyond the limits are ignored. */
#define MNET_SYN_COOKIES_OFF 1

/* SYN cookies: when there is no room for one more half-open connection. */
#define MNET_SYN_COOKIES_WHEN_FULL 2

/* SYN cookies: always. */
#define MNET_SYN_COOKIES_ALWAYS 3

/* Congestion control: the default. */
#define MNET_CONGESTION_DEFAULT 0

/* Congestion control: CUBIC (RFC 9438). */
#define MNET_CONGESTION_CUBIC 1

/* Congestion control: NewReno (RFC 5681). */
#define MNET_CONGESTION_NEW_RENO 2

/* Explicit congestion notification: the default. */
#define MNET_ECN_DEFAULT 0

/* Explicit congestion notification: never. */
#define MNET_ECN_OFF 1

/* Explicit congestion notification: where the peer asks for it. */
#define MNET_ECN_PASSIVE 2

/* Explicit congestion notification: asked for by our SYN, too. */
#define MNET_ECN_ACTIVE 3

/*
 * Explicit congestion notification: as MNET_ECN_ACTIVE, but Accurate ECN (RFC 9768) where the peer
 * knows it.
 */
#define MNET_ECN_ACCURATE 4

/* State of a TCP connection (RFC 9293 section 3.3.2): none, or it has ended. */
#define MNET_TCP_CLOSED 0

/* State: a listener. */
#define MNET_TCP_LISTEN 1

/* State: a SYN was sent. */
#define MNET_TCP_SYN_SENT 2

/* State: a SYN was received and sent, its acknowledgement is missing. */
#define MNET_TCP_SYN_RECEIVED 3

/* State: open in both directions. */
#define MNET_TCP_ESTABLISHED 4

/* State: this side has closed; its FIN is not acknowledged yet. */
#define MNET_TCP_FIN_WAIT_1 5

/* State: this side has closed and the peer knows; the peer's FIN is missing. */
#define MNET_TCP_FIN_WAIT_2 6

/* State: the peer has closed, this side has not. */
#define MNET_TCP_CLOSE_WAIT 7

/* State: both sides have closed at the same time; the acknowledgement of our FIN is missing. */
#define MNET_TCP_CLOSING 8

/* State: the peer has closed, then this side; the acknowledgement of our FIN is missing. */
#define MNET_TCP_LAST_ACK 9

/* State: both sides have closed; old segments may still arrive. */
#define MNET_TCP_TIME_WAIT 10

/* mnet_tcp_info.flags: both sides send timestamps (RFC 7323). */
#define MNET_TCP_HAS_TIMESTAMPS 1

/* mnet_tcp_info.flags: both sides understand selective acknowledgements (RFC 2018). */
#define MNET_TCP_HAS_SACK 2

/* mnet_tcp_info.flags: both sides speak explicit congestion notification (RFC 3168). */
#define MNET_TCP_HAS_ECN 4

/* mnet_tcp_info.flags: both sides speak Accurate ECN (RFC 9768); MNET_TCP_HAS_ECN is set too. */
#define MNET_TCP_HAS_ACCURATE_ECN 16

/* mnet_tcp_info.flags: losses are being repaired. */
#define MNET_TCP_IN_RECOVERY 8

/* Ready: a read gives data, the end of the stream or an error; a listener has a connection. */
#define MNET_READABLE 1

/* Ready: a write takes data or gives an error; a connect has completed. */
#define MNET_WRITABLE 2

/* Ready: the connection has failed; reads and writes give the reason. Always reported. */
#define MNET_ERROR 4

/* Ready: both directions have ended. Always reported. */
#define MNET_CLOSED 8

/* mnet_poll() only: the handle is stale or foreign. Always reported. */
#define MNET_INVALID 16

/*
 * Something has changed in the network: mnet_network_events() says what, and until it is asked this
 * is reported again. Of no socket: fd is 0.
 */
#define MNET_NETWORK 32

/* mnet_connect(): do not wait for the connection to be established, and make it non-blocking. */
#define MNET_NONBLOCK 1

/* mnet_shutdown(): end our direction of the connection. */
#define MNET_SHUT_WR 1

/* "No deadline" where a deadline is given in nanoseconds. */
#define MNET_NEVER UINT64_MAX

/*
 * An argument is wrong: NULL where it must not be, a size or a number out of range, text that
 * does not parse. Nothing was changed.
 */
#define MNET_EINVAL (-1)

/*
 * The handle is stale, was never given out, or names another kind of socket. Nothing was
 * changed.
 */
#define MNET_EBADF (-2)

/*
 * The call would have to wait, and the socket is non-blocking. mnet_poll() or mnet_events() tell
 * when to try again.
 */
#define MNET_EAGAIN (-3)

/*
 * The arena does not hold the smallest workable stack with the limits asked for, or it has no room left
 * for what a call makes.
 */
#define MNET_ENOMEM (-4)

/* A limit of the configuration is reached: stacks, interfaces, listeners, connections or sockets. */
#define MNET_ELIMIT (-5)

/* Another socket has this address and port, or no ephemeral port is free. */
#define MNET_EADDRINUSE (-6)

/* The address is not one of the stack's own, or not one that a host can have. */
#define MNET_EADDRNOTAVAIL (-7)

/* The peer refused the connection, or has no socket where a datagram was sent to. */
#define MNET_ECONNREFUSED (-8)

/* The peer reset the connection. What was not delivered is lost. */
#define MNET_ECONNRESET (-9)

/* The peer stopped answering. */
#define MNET_ETIMEDOUT (-10)

/* The network says that the host cannot be reached. */
#define MNET_EHOSTUNREACH (-11)

/* No route leads to the address. */
#define MNET_ENETUNREACH (-12)

/* This side of the connection was shut down: nothing more can be written. */
#define MNET_EPIPE (-13)

/* It does not fit: a datagram into the MTU of the path, or text into a buffer. */
#define MNET_EMSGSIZE (-14)

/* The manifest has no network device of this name. */
#define MNET_ENODEV (-15)

/*
 * In use: the device or part of the arena by another stack, or the stack by a call that has not
 * returned.
 */
#define MNET_EBUSY (-16)

/* The processor has no random source that can be trusted (RDSEED, RDRAND), and no seed was given. */
#define MNET_ENTROPY (-17)

/* The address family is not supported. */
#define MNET_EAFNOSUPPORT (-18)

/* The gateway is not on the network of the address. */
#define MNET_EGATEWAY (-19)

/*
 * The address of the connection is not ours any more: it was removed, its lease or lifetime is over,
 * or somebody else has it.
 */
#define MNET_EADDRGONE (-20)

/* The socket is not set to send broadcasts: MNET_UDP_BROADCAST of mnet_udp_set(). */
#define MNET_EACCES (-21)

/* The socket is connected to another peer. */
#define MNET_EISCONN (-22)

/* The socket is not connected, and no address was given. */
#define MNET_ENOTCONN (-23)

/* A datagram ran out of hops on its way, or of the time to be put together. */
#define MNET_EHOPLIMIT (-24)

/* The calling fiber was asked to end: mnet_cancel(). */
#define MNET_ECANCELED (-25)

/* Nothing could ever end the wait. */
#define MNET_EDEADLK (-26)

/* A level of the log: something does not work, and somebody has to do something about it. */
#define MNET_LOG_ERROR 1

/* Something is wrong that the stack copes with: somebody else has our address, a gateway is gone. */
#define MNET_LOG_WARN 2

/* What an operator may want to know: addresses, leases and routes come and go, connections fail. */
#define MNET_LOG_INFO 3

/* What helps to find a fault: each connection, each reason for which packets are dropped. */
#define MNET_LOG_DEBUG 4

/* Bytes of the longest text of an event, its NUL included. */
#define MNET_LOG_TEXT_SIZE 201

/* mnet_route.flags: packets that match it are not sent. Calls are refused with MNET_ENETUNREACH. */
#define MNET_ROUTE_UNREACHABLE 1

/* mnet_route.flags, of a list only: a router tells of it (RFC 4861, RFC 4191). */
#define MNET_ROUTE_ADVERTISED 2

/*
 * mnet_route.flags, of a list only: the gateway did not answer when it was asked for last. Other ways
 * go first.
 */
#define MNET_ROUTE_SILENT 4

/*
 * mnet_ipv6.flags: addresses that the stack makes itself end in the Ethernet address (EUI-64,
 * RFC 4291 appendix A), instead of in a number that tells nothing (RFC 7217).
 */
#define MNET_IPV6_EUI64 1

/*
 * mnet_ipv6.flags: beside each address that is made of a router's prefix, one that changes every
 * day, from which connections leave (RFC 8981).
 */
#define MNET_IPV6_TEMPORARY 2

/*
 * mnet_ipv6.flags: routers are neither asked nor believed: there are only the link-local address,
 * and what the program gives.
 */
#define MNET_IPV6_NO_ROUTERS 4

/*
 * mnet_ipv6.flags: DHCPv6 servers are asked for DNS servers and search domains (RFC 8415) as soon as
 * there is an address, instead of when a router says so. See mnet_dns_server().
 */
#define MNET_IPV6_DHCP 8

/* mnet_ipv6.flags: DHCPv6 servers are never asked. */
#define MNET_IPV6_NO_DHCP 16

/* Who has named a DNS server or a search domain: the program, by mnet_add_dns_server(). */
#define MNET_ORIGIN_STATIC 1

/* Who has named it: a DHCPv4 server (RFC 2132 section 3.8). */
#define MNET_ORIGIN_DHCPV4 2

/* Who has named it: a DHCPv6 server (RFC 3646). */
#define MNET_ORIGIN_DHCPV6 3

/* Who has named it: a router of the link (RFC 8106). */
#define MNET_ORIGIN_ROUTER 4

/*
 * Where an address comes from: the stack made it, for its link only (RFC 3927, RFC 4862 section
 * 5.3). Others: MNET_ORIGIN_STATIC, _DHCPV4, _ROUTER.
 */
#define MNET_ORIGIN_LINK_LOCAL 5

/* Where an address comes from: made of a router's prefix at random, for a day (RFC 8981). */
#define MNET_ORIGIN_TEMPORARY 6

/*
 * mnet_add_address() flags: ask first whether somebody has the address, three times within 0.4 s.
 * IPv4 only: IPv6 addresses are always asked for.
 */
#define MNET_ADDRESS_PROBE 1

/* mnet_add_address() flags: the same as slowly as RFC 5227 section 1.1 has it: 4 to 7 s. */
#define MNET_ADDRESS_PROBE_FULL 2

/*
 * mnet_add_address() flags: when somebody else uses the address later, defend it once, and give it
 * up if that happens again within 10 s (RFC 5227 section 2.4 (b)). Otherwise it is kept and defended
 * every 10 s at most.
 */
#define MNET_ADDRESS_DEFEND_ONCE 4

/*
 * mnet_add_address() flags: when somebody else uses the address later, give it up at once (RFC 5227
 * section 2.4 (a)).
 */
#define MNET_ADDRESS_GIVE_UP 8

/* State of an address: it is being asked for, and not usable yet. */
#define MNET_ADDRESS_TENTATIVE 1

/* State of an address: it is ours. */
#define MNET_ADDRESS_USABLE 2

/*
 * State of an address: what is open goes on, and new connections leave from others where there are
 * some (RFC 4862 section 5.5.4).
 */
#define MNET_ADDRESS_DEPRECATED 3

/*
 * State of an address: somebody else has it. It stays in the list until it is removed or added
 * again.
 */
#define MNET_ADDRESS_DUPLICATE 4

/* mnet_network_event.changes: an address became usable. */
#define MNET_CHANGE_ADDRESS_USABLE 1

/* mnet_network_event.changes: an address is not ours any more. */
#define MNET_CHANGE_ADDRESS_GONE 2

/*
 * mnet_network_event.changes: somebody else uses an address of ours, or one that was to become
 * ours.
 */
#define MNET_CHANGE_ADDRESS_CONFLICT 4

/* mnet_network_event.changes: a default route came, went, or leads to another gateway. */
#define MNET_CHANGE_DEFAULT_ROUTE 8

/* mnet_network_event.changes: DNS servers or search domains came or went. */
#define MNET_CHANGE_DNS 16

/* mnet_network_event.changes: a DHCP lease was obtained, says something else, or is over. */
#define MNET_CHANGE_LEASE 32

/*
 * mnet_dhcp.flags: use the address at once, without asking the link whether somebody has it. By
 * default it is asked for three times within 0.4 s, and declined if somebody answers.
 */
#define MNET_DHCP_NO_PROBE 1

/* mnet_dhcp.flags: ask the link as slowly as RFC 5227 section 1.1 has it: 4 to 7 s. */
#define MNET_DHCP_PROBE_FULL 2

/*
 * mnet_dhcp.flags: adopt the MTU that the server names, if it is at least 576 and no larger than the
 * device's.
 */
#define MNET_DHCP_ADOPT_MTU 4

/* mnet_dhcp.flags: have a link-local address (RFC 3927) while no server has answered for 10 s. */
#define MNET_DHCP_LINK_LOCAL 8

/* mnet_dhcp.flags: be known by the identifier of RFC 4361 instead of by the Ethernet address. */
#define MNET_DHCP_NODE_ID 16

/* mnet_option.kind: there or not. Its value is an int, which becomes 1. */
#define MNET_OPTION_FLAG 1

/* mnet_option.kind: a whole number from min to max. Its value is a uint64_t. */
#define MNET_OPTION_NUMBER 2

/*
 * mnet_option.kind: a text. Its value is an array of value_size char, and gets a NUL at its end; what
 * does not fit is refused.
 */
#define MNET_OPTION_TEXT 3

/* mnet_option.kind: an address without a port, "10.0.0.2". Its value is a struct mnet_addr. */
#define MNET_OPTION_ADDRESS 4

/*
 * mnet_option.kind: an address and a port, "10.0.0.2:7", as mnet_addr_parse() reads them. Its value is
 * a struct mnet_addr.
 */
#define MNET_OPTION_ENDPOINT 5

/*
 * mnet_option.kind: a time from min to max, a whole number and its unit: ns, us, ms, s, min, h or d.
 * Its value is a uint64_t, in nanoseconds, as min and max are.
 */
#define MNET_OPTION_TIME 6

/*
 * mnet_option.kind: a size from min to max, a whole number of bytes, or with a unit: kB, MB, GB
 * (1000), KiB, MiB, GiB (1024). Its value is a uint64_t, in bytes, as min and max are.
 */
#define MNET_OPTION_SIZE 7

/* mnet_option.flags: it must be there. */
#define MNET_OPTION_REQUIRED 1

/*
 * mnet_option.flags: a word that is no option; its name is what the help calls it. Such words are
 * taken in the order of the table.
 */
#define MNET_OPTION_POSITIONAL 2

/* mnet_args.flags: the program uses no network, and has only its own options. */
#define MNET_ARGS_NO_NETWORK 1

/* Most network devices that a command line can speak of. */
#define MNET_ARGS_DEVICES 8

/* Most name servers that a command line can name. */
#define MNET_ARGS_NAMESERVERS 4

/* mnet_device_args.ipv4: the device is not to speak IPv4. */
#define MNET_ARGS_IPV4_NONE 0

/* mnet_device_args.ipv4: it has the address that was given. */
#define MNET_ARGS_IPV4_STATIC 1

/* mnet_device_args.ipv4: it finds an address of 169.254/16 itself; see mnet_link_local(). */
#define MNET_ARGS_IPV4_LINK_LOCAL 2

/* mnet_device_args.ipv4: it has what a DHCP server lends it; see mnet_dhcp_start(). */
#define MNET_ARGS_IPV4_DHCP 3

/* mnet_device_args.ipv6: the device is not to speak IPv6. */
#define MNET_ARGS_IPV6_NONE 0

/* mnet_device_args.ipv6: its addresses end in numbers that tell nothing (RFC 7217). */
#define MNET_ARGS_IPV6_RANDOM 1

/* mnet_device_args.ipv6: its addresses end in the Ethernet address. */
#define MNET_ARGS_IPV6_EUI64 2

/* mnet_device_args.ipv6: as MNET_ARGS_IPV6_RANDOM, and the address that was given. */
#define MNET_ARGS_IPV6_STATIC 3

/* mnet_udp_set(): hops that a datagram to one host may take, 1 to 255. Default 64. */
#define MNET_UDP_TTL 1

/*
 * mnet_udp_set(): differentiated services code point in the upper six bits, ECN field in the lower
 * two; 0 to 255. Default 0.
 */
#define MNET_UDP_TRAFFIC_CLASS 2

/*
 * mnet_udp_set(): hops that a datagram to a group may take, 0 (it stays on this host) to 255. Default
 * 1: it stays on the link.
 */
#define MNET_UDP_MULTICAST_TTL 3

/*
 * mnet_udp_set(): the interface that datagrams to groups leave by, counted from 1. 0, the default: that
 * of the socket's address, or of a route, or the first one. A socket that is connected to a group keeps
 * the one that it had then.
 */
#define MNET_UDP_MULTICAST_INTERFACE 4

/* mnet_udp_set(): whether members on this host hear what the socket sends to a group. Default 1. */
#define MNET_UDP_MULTICAST_LOOP 5

/* mnet_udp_set(): whether broadcasts may be sent. Default 0. */
#define MNET_UDP_BROADCAST 6

/*
 * mnet_udp_set(): memory for datagrams that wait, in bytes, 1 to 1 GiB. Default
 * mnet_config.udp_receive_buffer.
 */
#define MNET_UDP_RECEIVE_BUFFER 7

/*
 * mnet_udp_set(): whether datagrams leave whole or not at all, and reading tells when the path was too
 * narrow for one (MNET_EMSGSIZE). Default 0.
 */
#define MNET_UDP_DONT_FRAGMENT 8

/* mnet_group(): hear what anybody sends to the group. */
#define MNET_GROUP_JOIN 1

/* mnet_group(): hear nothing more of it. */
#define MNET_GROUP_LEAVE 2

/* mnet_group(): after MNET_GROUP_JOIN, do not hear this source. */
#define MNET_GROUP_BLOCK 3

/* mnet_group(): hear a source again that was blocked. */
#define MNET_GROUP_UNBLOCK 4

/* mnet_group(): hear only this source, and others that are named so. */
#define MNET_GROUP_JOIN_SOURCE 5

/* mnet_group(): do not hear a source any more that was named so. With the last one the group is left. */
#define MNET_GROUP_LEAVE_SOURCE 6

/*
 * The least memory of a fiber, in bytes. It is enough for every function of this header, with a
 * quarter left for the fiber's own frames.
 */
#define MNET_FIBER_SIZE_MIN 8192

/* The memory of a fiber by default, in bytes. */
#define MNET_FIBER_SIZE_DEFAULT 16384

/* Most clean-up handlers of a fiber at a time. */
#define MNET_CLEANUP_MAX 8

/* What a channel needs beside its items, in bytes: mnet_channel_open(). */
#define MNET_CHANNEL_OVERHEAD 192

/*
 * Something that happened in a stack; for the time of the call that gets it. mnet_log_text() makes
 * text of it.
 */
struct mnet_log_event;

/* An IP address and a port. */
struct mnet_addr {
    /* MNET_AF_INET or MNET_AF_INET6; MNET_AF_NONE where an address is optional. */
    uint16_t family;
    /* The port in host byte order; 0 where there is none. */
    uint16_t port;
    /*
     * The zone of a link-local IPv6 address or group: the number of the interface, as
     * mnet_add_interface() and mnet_add_vlan() return it; the first one is 1. Where a stack has only
     * one interface, 0 will do. 0 for other addresses.
     */
    uint32_t zone;
    /* The address in network byte order: 4 bytes for IPv4 (the others are 0), 16 for IPv6. */
    uint8_t ip[16];
};

/*
 * How to open a stack. Fill it with mnet_config_default(), change what is to be different, and
 * pass it to mnet_open(), which copies it: nothing it points to but the arena is used afterwards.
 */
struct mnet_config {
    /* sizeof (struct mnet_config) as the caller knows it. Set by mnet_config_default(). */
    size_t size;
    /*
     * The memory for the stack: it belongs to the stack from a successful mnet_open() until
     * mnet_close_stack() has returned. Required. Any alignment. Must not overlap the arena of
     * another stack.
     */
    void *arena;
    /*
     * Bytes of the arena. 512 KiB make a small stack; more memory means more connections and
     * larger windows. The stack never uses more than this.
     */
    size_t arena_size;
    /*
     * The name of the network device in the manifest, NUL terminated, at most 67 characters.
     * Default "service". Ignored by a manual stack.
     */
    const char *device;
    /* Our address; the port is ignored. MNET_AF_NONE (the default): no address. */
    struct mnet_addr address;
    /*
     * The default gateway; the port is ignored. MNET_AF_NONE (the default): only the network of
     * our own address is reachable.
     */
    struct mnet_addr gateway;
    /* The length of the network's prefix in bits, 1 to 32 for IPv4. Default 24. */
    uint32_t prefix_len;
    /* MNET_CONFIG_* combined. Default 0. */
    uint32_t flags;
    /*
     * 32 random bytes from which the stack derives all its secrets (initial sequence numbers,
     * ports, hash keys). NULL (the default): from the processor's random source. Give a seed only
     * where that is missing, a new one at each start, or in a test.
     */
    const uint8_t *seed;
    /* Bytes of the seed: 32, or 0 with seed NULL. */
    size_t seed_len;
    /*
     * How long a waiting call looks for frames before it sleeps, in nanoseconds. Default 0. Each
     * sleep costs some 20 microseconds of latency, looking costs processor time.
     */
    uint64_t busy_poll_ns;
    /* Most TCP connections. 0 (the default): derived from the arena. */
    uint32_t max_connections;
    /* Most half-open TCP connections, all listeners together. 0 (the default): derived. */
    uint32_t max_half_open;
    /*
     * Most remembered TIME-WAIT states (RFC 9293 section 3.4.1); when full the oldest ends early.
     * 0 (the default): derived.
     */
    uint32_t max_time_wait;
    /* Most TCP listeners. 0 (the default): 32. */
    uint32_t max_listeners;
    /* Most UDP sockets. 0 (the default): 64. */
    uint32_t max_udp_sockets;
    /*
     * Largest receive window of a TCP connection in bytes, 4096 to 2^30; what the arena can spare
     * bounds it further. 0 (the default): 4 MiB.
     */
    uint32_t tcp_receive_buffer;
    /*
     * Most bytes in a TCP connection's send queue, 4096 to 2^30; what the arena can spare bounds
     * it further. 0 (the default): 4 MiB.
     */
    uint32_t tcp_send_buffer;
    /*
     * Manual stacks only: the MTU, 576 to 65000 bytes without the Ethernet header. 0 (the
     * default): 1500. Other stacks take the device's.
     */
    uint32_t mtu;
    /* Manual stacks only: our Ethernet address; required. Other stacks take the device's. */
    uint8_t hardware_address[6];
    /* Must be 0. */
    uint8_t reserved[2];
    /* Manual stacks only: the time at start, in nanoseconds from an epoch of the caller's choice. */
    uint64_t now;
    /*
     * Defaults of new TCP connections from here on. How long nothing has arrived before the peer is
     * probed, 1 s to 24 days (RFC 9293 section 3.8.4). 0 (the default): never.
     */
    uint64_t tcp_keepalive_idle_ns;
    /* Between such probes, 1 s to 24 days. 0 (the default): 75 s. */
    uint64_t tcp_keepalive_interval_ns;
    /*
     * How long data may stay unacknowledged before a connection fails, at least 100 s (RFC 9293
     * section 3.8.3, R2). 0 (the default): 5 minutes. For less see mnet_set_user_timeout().
     */
    uint64_t tcp_user_timeout_ns;
    /*
     * How long a connection may take to be established, 1 ms to 24 days. 0 (the default): 63 s, in
     * which the SYN is sent six times.
     */
    uint64_t tcp_connect_timeout_ns;
    /* How long an acknowledgement may wait for company, up to 500 ms. 0 (the default): 40 ms. */
    uint64_t tcp_delayed_ack_ns;
    /* Unanswered probes after which a connection fails, 1 to 255. 0 (the default): 9. */
    uint32_t tcp_keepalive_count;
    /* MNET_CONGESTION_*. 0 (the default): CUBIC. */
    uint32_t tcp_congestion;
    /* The time to live of packets, 1 to 255. 0 (the default): 64. */
    uint32_t tcp_ttl;
    /* The differentiated services code point of packets, 0 to 63. Default 0. */
    uint32_t tcp_dscp;
    /* MNET_ECN_*: explicit congestion notification (RFC 3168). 0 (the default): where the peer asks. */
    uint32_t tcp_ecn;
    /*
     * Most TCP connections that one peer (an IPv4 address, an IPv6 network of 64 bits) may have open
     * to all listeners together. 0 (the default): no such limit.
     */
    uint32_t max_connections_per_peer;
    /*
     * How long a peer may keep its window closed, answering every probe, without taking a byte of
     * what waits for it. 0 (the default): for ever, unless the stack is short of connections or
     * memory (RFC 9293 section 3.8.6.1, RFC 6429).
     */
    uint64_t tcp_zero_window_timeout_ns;
    /*
     * MNET_SYN_COOKIES_*: when SYNs are answered with cookies (RFC 4987). 0 (the default): when
     * there is no room for one more half-open connection.
     */
    uint32_t tcp_syn_cookies;
    /* How often a SYN of ours is sent again, up to 255. 0 (the default): 5. */
    uint32_t tcp_syn_retries;
    /* How often the SYN-ACK of a listener is sent again, up to 255. 0 (the default): 3. */
    uint32_t tcp_syn_ack_retries;
    /* Must be 0. */
    uint32_t reserved2;
    /*
     * The largest MTU of any interface, those included that are added later: 576 to 65000, not less
     * than that of the first. 0 (the default): that of the first.
     */
    uint32_t max_mtu;
    /*
     * Most interfaces, those of VLANs included: 1 to 64, some 11 KiB of the arena each, used or not.
     * 0 (the default): one for each 256 KiB of the arena, but 2 to 8.
     */
    uint32_t max_interfaces;
    /*
     * Bytes at the end of the arena that are for fibers and channels whose memory the caller does not
     * give (mnet_spawn(), mnet_channel_open()). Default 0.
     */
    size_t fiber_memory;
};

/* A stack: always positive. A negative value is an error code. A number is never used twice. */
typedef int64_t mnet_stack;

/*
 * Takes what a stack has to tell.
 *
 * - context: as given to mnet_log_set().
 * - level: MNET_LOG_ERROR, MNET_LOG_WARN, MNET_LOG_INFO or MNET_LOG_DEBUG.
 * - module: the part of the stack, as in filters: "tcp"; a static text.
 * - event: what happened; for the call only.
 *
 * It is called while the stack waits, polls or steps, by the thread that does so, and must not call
 * functions on the same stack: they answer MNET_EBUSY. mnet_log_text() is not one of them.
 */
typedef void (*mnet_log_function)(void *context, uint32_t level, const char *module, const struct mnet_log_event *event);

/* An interface of a stack. Members are appended in later versions. */
struct mnet_interface {
    /*
     * Its number, counted from 1 in the order in which interfaces were added. The zones of
     * addresses are these numbers, too.
     */
    uint32_t number;
    /* The number of the interface whose device carries its frames, if it is a VLAN; 0: it is none. */
    uint32_t parent;
    /* The VLAN identifier, 1 to 4094; 0: it is no VLAN. */
    uint32_t vlan;
    /* The priority in the tags of what a VLAN sends, 0 to 7. */
    uint32_t priority;
    /* Largest IP packet, in bytes. */
    uint32_t mtu;
    /* 0. */
    uint32_t reserved;
    /* Our Ethernet address on it; a VLAN has its parent's. */
    uint8_t hardware_address[6];
    /* 0. */
    uint8_t reserved2[2];
    /* Frames received. Those of a VLAN count on its parent as well. */
    uint64_t rx_frames;
    /* Their bytes, Ethernet headers and tags included. */
    uint64_t rx_bytes;
    /*
     * Those that were dropped as frames: not for us, malformed, or of a kind or a VLAN that nobody
     * here speaks. The counters whose names begin with "eth_" say why.
     */
    uint64_t rx_dropped;
    /* Frames given to the device. */
    uint64_t tx_frames;
    /* Their bytes. */
    uint64_t tx_bytes;
    /*
     * The name of its device in the manifest, NUL terminated; empty for a VLAN, and on a manual
     * stack.
     */
    char device[72];
};

/* A route. Set all members to 0, size to sizeof (struct mnet_route), and then what is wanted. */
struct mnet_route {
    /* sizeof (struct mnet_route) as the caller knows it. */
    size_t size;
    /*
     * The first of the addresses that it leads to: 0.0.0.0 or :: with prefix_len 0 for a default
     * route. The port is ignored.
     */
    struct mnet_addr destination;
    /*
     * The router, a neighbour on the interface, of the same family; its port is ignored.
     * MNET_AF_NONE: the destinations are neighbours themselves.
     */
    struct mnet_addr gateway;
    /* Bits that all destinations share: 0 to 32, or 0 to 128. */
    uint32_t prefix_len;
    /* The interface, counted from 1; 0: the first. Ignored with MNET_ROUTE_UNREACHABLE. */
    uint32_t interface;
    /* Among routes to the same destinations the least goes first, as long as its gateway answers. */
    uint32_t metric;
    /* MNET_ROUTE_UNREACHABLE, or 0. */
    uint32_t flags;
    /* In a list: when a route of MNET_ROUTE_ADVERTISED ends, MNET_NEVER for others. Otherwise 0. */
    uint64_t expires;
};

/*
 * How a stack speaks IPv6. Fill it with mnet_ipv6_default(), change what is to be different, and
 * pass it to mnet_enable_ipv6(), which copies it.
 */
struct mnet_ipv6 {
    /* sizeof (struct mnet_ipv6) as the caller knows it. Set by mnet_ipv6_default(). */
    size_t size;
    /*
     * An address of ours; the port is ignored. MNET_AF_NONE (the default): only those that the
     * stack makes itself.
     */
    struct mnet_addr address;
    /*
     * The default gateway, link-local or on the network of the address; the port is ignored.
     * MNET_AF_NONE (the default): what routers say.
     */
    struct mnet_addr gateway;
    /* The length of the network's prefix in bits, 1 to 128. Default 64. */
    uint32_t prefix_len;
    /* MNET_IPV6_* combined. Default 0. */
    uint32_t flags;
    /*
     * 16 secret bytes, from which the ends of our addresses are made: with the same secret a
     * unikernel has the same addresses after every start. NULL (the default): new ones each time.
     */
    const uint8_t *secret;
    /* Bytes of the secret: 16, or 0 with secret NULL. */
    size_t secret_len;
    /* Which interface, counted from 1; 0 (the default): the first. */
    uint32_t interface;
    /* Must be 0. */
    uint32_t reserved;
};

/* One of the addresses of a stack. */
struct mnet_address_info {
    /* The address, with port 0; a link-local one of IPv6 with its zone. */
    struct mnet_addr address;
    /* The length of its network's prefix in bits. */
    uint32_t prefix_len;
    /* The interface, counted from 1. */
    uint32_t interface;
    /* MNET_ADDRESS_TENTATIVE, _USABLE, _DEPRECATED or _DUPLICATE. */
    uint32_t state;
    /* MNET_ORIGIN_*: where it comes from. */
    uint32_t origin;
    /* How long from now on it is preferred, in nanoseconds; UINT64_MAX: for ever. */
    uint64_t preferred_ns;
    /* How long from now on it is ours, in nanoseconds; UINT64_MAX: for ever. */
    uint64_t valid_ns;
};

/*
 * Something changed on an interface. Of each interface there is one at most that waits, so none gets
 * lost, and what came and went again is told as both.
 */
struct mnet_network_event {
    /* The interface, counted from 1. */
    uint32_t interface;
    /* MNET_CHANGE_* combined. */
    uint32_t changes;
};

/* What a DHCP server lends. */
struct mnet_dhcp_lease {
    /* The address, with port 0. */
    struct mnet_addr address;
    /* The server, with port 0. */
    struct mnet_addr server;
    /* The first router that the server names, with port 0; MNET_AF_NONE: none. */
    struct mnet_addr gateway;
    /* The length of the network's prefix in bits. */
    uint32_t prefix_len;
    /* The interface, counted from 1. */
    uint32_t interface;
    /* The MTU that the server names; 0: none. */
    uint32_t mtu;
    /* 0. */
    uint32_t reserved;
    /* How long it is lent, in nanoseconds; UINT64_MAX: for ever. */
    uint64_t duration_ns;
    /* From now on until the server is asked to renew it, in nanoseconds; UINT64_MAX: never. */
    uint64_t renew_ns;
    /* From now on until it ends, in nanoseconds; UINT64_MAX: never. */
    uint64_t valid_ns;
};

/*
 * Decides about a lease: 0: no, look for another; otherwise it is taken.
 *
 * - context: as given in struct mnet_dhcp.
 * - offered: what is offered; for the call only.
 * - previous: the lease that the interface has; NULL: none.
 *
 * It is called while the stack waits, polls or steps, by the thread that does so, and must not call
 * functions on the same stack: they answer MNET_EBUSY.
 */
typedef int (*mnet_dhcp_accept)(void *context,
                                const struct mnet_dhcp_lease *offered,
                                const struct mnet_dhcp_lease *previous);

/*
 * How to ask a DHCP server. Fill it with mnet_dhcp_default(), change what is to be different, and
 * pass it to mnet_dhcp_start(), which copies it, with what it points to.
 */
struct mnet_dhcp {
    /* sizeof (struct mnet_dhcp) as the caller knows it. Set by mnet_dhcp_default(). */
    size_t size;
    /* The host's name, for the server to know. NULL (the default): none. */
    const char *hostname;
    /* Bytes of the name, at most 63; no NUL is needed. */
    size_t hostname_len;
    /*
     * Who the client is: the bytes of the option (RFC 2132 section 9.14), the first a type. NULL (the
     * default): the Ethernet address.
     */
    const uint8_t *client_id;
    /* Bytes of the identifier: 2 to 64, or 0 with client_id NULL. */
    size_t client_id_len;
    /*
     * Options to ask for, beside mask, routers, routes, DNS, domains, NTP, MTU and the times. NULL
     * (the default): no others.
     */
    const uint8_t *requests;
    /* How many there are, at most 32. */
    size_t requests_len;
    /*
     * An address of an earlier run: the server is asked whether it still holds; the port is ignored.
     * MNET_AF_NONE (the default): none.
     */
    struct mnet_addr previous;
    /* MNET_DHCP_* combined. Default 0. */
    uint32_t flags;
    /* Must be 0. */
    uint32_t reserved;
    /* Asked about each new lease, but not about renewals. NULL (the default): each is taken. */
    mnet_dhcp_accept accept;
    /* Passed to it. */
    void *context;
};

/*
 * An option of a program. What is not mentioned is 0, as with designated initializers:
 *
 *     uint64_t port = 7;
 *     struct mnet_option options[] = {
 *         { .name = "port", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
 *           .help = "the port to listen on; default 7" },
 *     };
 */
struct mnet_option {
    /* Its name, as in --port=VALUE or --port VALUE. */
    const char *name;
    /* One line for the help. NULL: none. */
    const char *help;
    /* What the help calls the value. NULL: by its kind. */
    const char *value_name;
    /* Where the value goes; it has the default before. With times above 1, an array of so many. */
    void *value;
    /* MNET_OPTION_TEXT: bytes of one value, its NUL included, 1 to 1025. Ignored for other kinds. */
    size_t value_size;
    /* The least value of a number, time or size. */
    uint64_t min;
    /* The largest. 0: no limit. */
    uint64_t max;
    /* MNET_OPTION_FLAG, MNET_OPTION_NUMBER and so on. */
    uint32_t kind;
    /* MNET_OPTION_REQUIRED and MNET_OPTION_POSITIONAL, combined. */
    uint32_t flags;
    /* A letter for short, as in -p VALUE; 0: none. */
    uint32_t letter;
    /* How often it may be there. 0: once. */
    uint32_t times;
    /* Set by mnet_args_parse(): how often it was there. */
    uint32_t given;
    /* Must be 0. */
    uint32_t reserved;
};

/* What the command line says of one network device. */
struct mnet_device_args {
    /* --ipv4: our address; MNET_AF_NONE where none was given. */
    struct mnet_addr ipv4_address;
    /* --ipv4-gateway; MNET_AF_NONE where none was given. */
    struct mnet_addr ipv4_gateway;
    /* --ipv6: our address; MNET_AF_NONE where none was given. */
    struct mnet_addr ipv6_address;
    /* --ipv6-gateway; MNET_AF_NONE where none was given. */
    struct mnet_addr ipv6_gateway;
    /* The length of the prefix of the IPv4 network, in bits. */
    uint32_t ipv4_prefix_len;
    /* The length of the prefix of the IPv6 network, in bits. */
    uint32_t ipv6_prefix_len;
    /* MNET_ARGS_IPV4_*: how it speaks IPv4. */
    uint32_t ipv4;
    /* MNET_ARGS_IPV6_*: how it speaks IPv6. */
    uint32_t ipv6;
    /* --vlan: all that is about this VLAN of the device, 1 to 4094; 0: none was given. */
    uint32_t vlan;
    /* 0. For later versions. */
    uint32_t reserved[11];
};

/* Begins a log on a stack, as mnet_log_console() does: mnet_args.log. */
typedef int (*mnet_log_start)(mnet_stack stack, const char *filter);

/*
 * What a program says of its command line, and what the command line says. Fill it with
 * mnet_args_default(), say what the program has, and pass it to mnet_args_parse().
 */
struct mnet_args {
    /* sizeof (struct mnet_args) as the caller knows it. Set by mnet_args_default(). */
    size_t size;
    /* The name of the program, in front of every message. Default "unikernel". */
    const char *program;
    /* What the program does, one line for the help. NULL (the default): not said. */
    const char *summary;
    /* The options of the program. NULL (the default): none. */
    struct mnet_option *options;
    /* How many. */
    size_t option_count;
    /* sizeof (struct mnet_option) as the caller knows it. Required where there are options. */
    size_t option_size;
    /*
     * The names of the network devices, as the manifest has them. Options of the network are about
     * the first, or about the one that they name: --ipv4:NAME=... NULL (the default): one device,
     * "service".
     */
    const char *const *devices;
    /* How many, up to MNET_ARGS_DEVICES. */
    size_t device_count;
    /* MNET_ARGS_* combined. Default 0. */
    uint32_t flags;
    /* Set by mnet_args_parse(): how many name servers the command line names. */
    uint32_t nameserver_count;
    /* Set by mnet_args_parse(): --nameserver, in the order given, with port 0. */
    struct mnet_addr nameservers[MNET_ARGS_NAMESERVERS];
    /* Set by mnet_args_parse(): what the command line says of each device. */
    struct mnet_device_args device[MNET_ARGS_DEVICES];
    /* Set by mnet_args_parse(): --dhcp-hostname, with a NUL at its end; empty where none was given. */
    char dhcp_hostname[64];
    /*
     * Begins the log of the stack that mnet_open_args() opens: mnet_log_console, or a function of the
     * program's. With it there are the options --log and --verbosity. NULL (the default): no log.
     */
    mnet_log_start log;
    /*
     * Set by mnet_args_parse(): what --log and --verbosity say, as for mnet_log_filter(), with a NUL
     * at its end; empty where they were not given. Passed to the function.
     */
    char log_filter[128];
};

/*
 * A socket: always positive. A negative value is an error code. The handle of a socket that was
 * closed, or whose stack was closed, is recognised as stale (MNET_EBADF).
 */
typedef int64_t mnet_fd;

/* The settings of a TCP connection or listener. Members are appended in later versions. */
struct mnet_tcp_settings {
    /* mnet_set_keepalive(): 0 while that is off. */
    uint64_t keepalive_idle_ns;
    /* mnet_set_keepalive(): 0 while that is off. */
    uint64_t keepalive_interval_ns;
    /* mnet_set_user_timeout(): 0 where the configuration says. */
    uint64_t user_timeout_ns;
    /* mnet_connect_timeout(): 0 where there is none. */
    uint64_t connect_timeout_ns;
    /* mnet_set_linger(): -1 where there is none. */
    int64_t linger_ns;
    /* mnet_set_delayed_ack(). */
    uint64_t delayed_ack_ns;
    /* mnet_set_receive_buffer(), in bytes. */
    uint64_t receive_buffer;
    /* mnet_set_send_buffer(), in bytes. */
    uint64_t send_buffer;
    /* mnet_set_keepalive(): 0 while that is off. */
    uint32_t keepalive_count;
    /* mnet_set_congestion(): MNET_CONGESTION_CUBIC or MNET_CONGESTION_NEW_RENO. */
    uint32_t congestion;
    /* mnet_set_ttl(). */
    uint32_t ttl;
    /* mnet_set_dscp(). */
    uint32_t dscp;
    /* mnet_set_nodelay(): 0 or 1. */
    uint32_t nodelay;
    /* mnet_set_cork(): 0 or 1. */
    uint32_t cork;
};

/* Choices for one listener. */
struct mnet_listen_options {
    /* sizeof (struct mnet_listen_options). */
    size_t size;
    /* How many connections may wait for mnet_accept(), at least 1. */
    uint32_t backlog;
    /*
     * Most connections open at a time that the listener has brought; 0: as many as the stack has room
     * for. Beyond it SYNs are not answered.
     */
    uint32_t max_connections;
    /*
     * Fast Open (RFC 7413): most connections at a time that have sent data with their SYN, and whose
     * handshake is not complete. Such data may be read, and answered, before it is, and the network
     * may bring it twice: only for requests that may be served twice. 0: off.
     */
    uint32_t fast_open;
};

/*
 * What a TCP connection is doing. What was not measured yet is 0. Members are appended in later
 * versions.
 */
struct mnet_tcp_info {
    /* The smoothed round-trip time (RFC 6298). */
    uint64_t srtt_ns;
    /* Its variation. */
    uint64_t rttvar_ns;
    /* The smallest round-trip time of the last minutes. */
    uint64_t min_rtt_ns;
    /* The retransmission timeout, with its backoff. */
    uint64_t rto_ns;
    /* Bytes of data that the peer has acknowledged. */
    uint64_t bytes_delivered;
    /* Bytes of data that have arrived in order. */
    uint64_t bytes_received;
    /* MNET_TCP_CLOSED to MNET_TCP_TIME_WAIT. */
    uint32_t state;
    /* MNET_TCP_HAS_* and MNET_TCP_IN_RECOVERY combined. */
    uint32_t flags;
    /* The payload of a full segment, in bytes. */
    uint32_t mss;
    /* The largest packet of the path as far as known, in bytes. */
    uint32_t path_mtu;
    /* MNET_CONGESTION_*; mnet_congestion_name() has its name. */
    uint32_t congestion;
    /* The congestion window, in bytes. */
    uint32_t cwnd;
    /* The slow start threshold, in bytes; 2^32 - 1 before the first reduction. */
    uint32_t ssthresh;
    /* What the peer lets us send, in bytes. */
    uint32_t snd_wnd;
    /* What we let the peer send, in bytes. */
    uint32_t rcv_wnd;
    /* The shift count of the peer's windows (RFC 7323). */
    uint32_t snd_scale;
    /* The shift count of our windows. */
    uint32_t rcv_scale;
    /* Bytes that were sent and are not acknowledged. */
    uint32_t in_flight;
    /* Bytes of the send queue that were not sent. */
    uint32_t unsent;
    /* Bytes that have arrived and were not read. */
    uint32_t unread;
    /* Segments that were sent again. */
    uint32_t retransmits;
    /* How often the retransmission timer expired since the last acknowledgement. */
    uint32_t backoff;
};

/* An entry of mnet_tcp_list(). */
struct mnet_tcp_entry {
    /* The handle; 0 where there is none: before a connection is accepted, and after it was closed. */
    mnet_fd fd;
    /* Our address and port. */
    struct mnet_addr local;
    /* The peer's; MNET_AF_NONE for a listener. */
    struct mnet_addr remote;
    /* MNET_TCP_CLOSED to MNET_TCP_TIME_WAIT. */
    uint32_t state;
    /* 0. */
    uint32_t reserved;
};

/* What is known of a datagram. Set size to sizeof(struct mnet_datagram) first. */
struct mnet_datagram {
    /* Size of the structure as the caller knows it. */
    size_t size;
    /* Received: who sent it. To send: where to; MNET_AF_NONE: the peer. */
    struct mnet_addr remote;
    /*
     * Received: what it was sent to (one of our addresses, a broadcast, a group), with the port of the
     * socket. To send: the address of ours to send from; MNET_AF_NONE: as the route says.
     */
    struct mnet_addr local;
    /* Received: the interface that it came by, counted from 1. To send: 0. */
    uint32_t interface;
    /* Received: hops that it could still have taken. To send: 0. */
    uint16_t hop_limit;
    /* Received: code point (upper six bits) and ECN field (lower two). To send: 0. */
    uint16_t traffic_class;
};

/* What the network has said of a datagram. Set size to sizeof(struct mnet_udp_error) first. */
struct mnet_udp_error {
    /* Size of the structure as the caller knows it. */
    size_t size;
    /* Where the datagram was sent to; MNET_AF_NONE: there was no error. */
    struct mnet_addr remote;
    /* The error, one of MNET_ECONNREFUSED, MNET_EHOSTUNREACH, MNET_EMSGSIZE, MNET_EHOPLIMIT; or 0. */
    int error;
    /* With MNET_EMSGSIZE: the largest packet that the path carries, in bytes, IP header included. */
    uint32_t mtu;
};

/* One entry of mnet_poll(). */
struct mnet_pollfd {
    /* The socket; 0 with MNET_NETWORK. An entry with a negative value is skipped. */
    mnet_fd fd;
    /* What is waited for: MNET_READABLE, MNET_WRITABLE or both; with fd 0 MNET_NETWORK. */
    uint32_t events;
    /* Written by mnet_poll(): what is there. */
    uint32_t revents;
};

/* The readiness of a socket has grown, or the network has changed. */
struct mnet_event {
    /* The socket; 0 with MNET_NETWORK. */
    mnet_fd fd;
    /* What it can do now: MNET_READABLE, MNET_WRITABLE, MNET_ERROR, MNET_CLOSED; or MNET_NETWORK. */
    uint32_t ready;
    /* 0. */
    uint32_t reserved;
};

/* A fiber: always positive. A negative value is an error code. A number is never used twice. */
typedef int64_t mnet_fiber;

/*
 * What a fiber does.
 *
 * - arg: as given to mnet_spawn().
 *
 * Returns what mnet_join() is to give.
 */
typedef void *(*mnet_fiber_main)(void *arg);

/*
 * Something that is to be done when a fiber ends.
 *
 * - arg: as given to mnet_cleanup_push().
 */
typedef void (*mnet_cleanup)(void *arg);

/* A channel: always positive. A negative value is an error code. A number is never used twice. */
typedef int64_t mnet_channel;

/* What a stack has in use. Members are appended in later versions. */
struct mnet_usage {
    /* Frames in the pool. */
    uint64_t frames;
    /* Frames that are free now. */
    uint64_t frames_free;
    /* The fewest frames that were ever free. */
    uint64_t frames_lowest;
    /* TCP connections in use, those that finish closing in the background included. */
    uint64_t connections;
    /* Those of them that were closed by the program and finish closing in the background. */
    uint64_t orphaned;
    /* Most TCP connections. */
    uint64_t max_connections;
    /* TCP connections being opened by a peer. */
    uint64_t half_open;
    /* TCP connections that are remembered in TIME-WAIT. */
    uint64_t time_wait;
    /* UDP sockets. */
    uint64_t udp_sockets;
    /* Fibers that have not ended. */
    uint64_t fibers;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 * The version of the library as text, as in "0.1.0". Static, never NULL. Compare it with
 * MNET_VERSION to see whether header and library belong together. Does not block.
 */
const char *mnet_version(void);

/*
 * The version of the library as a number: major * 1000000 + minor * 1000 + patch, as in
 * MNET_VERSION_NUMBER. Does not block.
 */
int mnet_version_number(void);

/*
 * The library's MNET_ABI_VERSION. A program compares it with the constant that it was compiled
 * with, before anything else: if they differ, no other call may be made. Does not block.
 */
int mnet_abi_version(void);

/*
 * The text of an error code, as in "connection reset by peer".
 *
 * Any number may be passed: "success" for 0 and above, "unknown error" for a negative number that
 * is no code. Never NULL; the text is static. Does not block.
 */
const char *mnet_strerror(int code);

/*
 * The name of an error code, as in "MNET_ECONNRESET".
 *
 * Any number may be passed: "0" for 0 and above, "?" for a negative number that is no code.
 * Never NULL; the text is static. Does not block.
 */
const char *mnet_error_name(int code);

/*
 * Parses an address with an optional port: "10.0.0.2", "10.0.0.2:7", "2001:db8::2". An IPv6 address
 * stands in brackets if a port follows (RFC 3986 section 3.2.2). A link-local one may have a zone:
 * "fe80::2%1".
 *
 * - text, text_len: the text; no NUL is needed at its end, none may be inside.
 * - addr: receives the address; the port is 0 if the text has none.
 *
 * Returns 0, or MNET_EINVAL: NULL, or not such a text. Does not block.
 */
int mnet_addr_parse(const char *text, size_t text_len, struct mnet_addr *addr);

/*
 * Parses an address with the length of its network's prefix: "10.0.0.2/24" or "2001:db8::2/64".
 *
 * - text, text_len: the text; no NUL is needed at its end, none may be inside.
 * - addr: receives the address, with port 0.
 * - prefix_len: receives the length in bits, 1 to 32 or 1 to 128.
 *
 * Returns 0, or MNET_EINVAL: NULL, or not such a text. Does not block.
 */
int mnet_cidr_parse(const char *text, size_t text_len, struct mnet_addr *addr, uint32_t *prefix_len);

/*
 * Writes an address as text, as mnet_addr_parse() reads it: "10.0.0.2:7", or "10.0.0.2" if the port
 * is 0, and a NUL.
 *
 * - addr: the address.
 * - buf, len: where the text goes; 64 bytes are enough for every address.
 *
 * Returns the length of the text without the NUL, or
 *   MNET_EINVAL         NULL, or not an address
 *   MNET_EAFNOSUPPORT   the family is not supported
 *   MNET_EMSGSIZE       the text does not fit; nothing was written
 * Does not block.
 */
int64_t mnet_addr_format(const struct mnet_addr *addr, char *buf, size_t len);

/*
 * Fills a configuration with the defaults: no arena yet, device "service", no address, prefix
 * length 24, seed from the processor, limits derived from the arena.
 *
 * - config: the structure to fill.
 * - size: sizeof (struct mnet_config), so that the library knows how old the caller is.
 *
 * Returns 0, or MNET_EINVAL: config is NULL, or size is not that of any version.
 * Does not block.
 */
int mnet_config_default(struct mnet_config *config, size_t size);

/*
 * Opens a stack on a network device of the manifest.
 *
 * - config: see struct mnet_config. Copied; only the arena is used after the call.
 *
 * Returns the stack, or
 *   MNET_EINVAL          NULL, a member out of range, a seed that is not 32 bytes, an unknown flag
 *   MNET_ENOMEM          the arena is too small, or the limits are too large for it
 *   MNET_EBUSY           the device or part of the arena belongs to another stack
 *   MNET_ENODEV          the manifest has no network device of this name
 *   MNET_EADDRNOTAVAIL   not an address that a host can have (multicast, broadcast, 0.0.0.0)
 *   MNET_EGATEWAY        the gateway is not on the network of the address
 *   MNET_EAFNOSUPPORT    not an IPv4 address
 *   MNET_ENTROPY         no seed was given, and the processor has no random source
 *   MNET_ELIMIT          8 stacks are open
 * On an error nothing has changed. Does not block. The address is announced by ARP (RFC 5227
 * section 3) with the first frames that are sent.
 */
mnet_stack mnet_open(const struct mnet_config *config);

/*
 * Closes a stack: its sockets become stale, its device is released, its arena is the caller's
 * again. Peers are not told; to part from them, close the sockets and go on driving the stack
 * until mnet_usage() shows no connections.
 *
 * Returns 0, or
 *   MNET_EBADF   no such stack; 0 and below are accepted as "none" and harmless
 *   MNET_EBUSY   a call on this stack has not returned, or a fiber of it has not ended: mnet_cancel_all()
 *                first. Fibers that have ended and channels go with the stack.
 * Does not block.
 */
int mnet_close_stack(mnet_stack stack);

/*
 * The clock of all stacks that have a device: nanoseconds since some fixed point before the
 * program started. Never goes back. Does not block.
 */
uint64_t mnet_now(void);

/*
 * Drives a stack from outside: sends what is queued, takes in what the device has received (64
 * frames at most), runs the timers that are due, and fibers that are ready. Never sleeps.
 *
 * For owners of an event loop. Call it when a frame has arrived, when the deadline has come, and
 * after calls that queue something to send; then look at mnet_events() or mnet_poll() with
 * timeout 0. On a manual stack it only runs the timers and the fibers.
 *
 * - now: the time, mnet_now() for a stack with a device. A time before one seen earlier counts as
 *   that one.
 * - next_deadline: receives when to call again at the latest; MNET_NEVER: only when a frame
 *   arrives or something was queued. May be NULL.
 *
 * Returns 0, or
 *   MNET_EBADF    no such stack
 *   MNET_EBUSY    a call on this stack has not returned
 *   MNET_EINVAL   now is MNET_NEVER
 */
int mnet_step(mnet_stack stack, uint64_t now, uint64_t *next_deadline);

/*
 * Hands a received frame to a manual stack (MNET_CONFIG_MANUAL): to its first interface, as
 * mnet_frame_in_on() does to any.
 *
 * - now: the time, as for mnet_step().
 * - frame, len: the frame with its Ethernet header and without checksum (FCS). Copied.
 *
 * Returns 0: the stack has looked at the frame, and counted it if it dropped it; or
 *   MNET_EBADF    no such stack
 *   MNET_EBUSY    a call on this stack has not returned
 *   MNET_EINVAL   not a manual stack, frame is NULL, or now is MNET_NEVER
 * Does not block.
 */
int mnet_frame_in(mnet_stack stack, uint64_t now, const void *frame, size_t len);

/*
 * Hands a received frame to an interface of a manual stack (MNET_CONFIG_MANUAL). A frame with the tag
 * of a VLAN goes to the VLAN's parent.
 *
 * - interface: counted from 1; 0: the first.
 * - now: the time, as for mnet_step().
 * - frame, len: the frame with its Ethernet header and without checksum (FCS). Copied.
 *
 * Returns 0: the stack has looked at the frame, and counted it if it dropped it; or
 *   MNET_EBADF    no such stack
 *   MNET_EBUSY    a call on this stack has not returned
 *   MNET_EINVAL   not a manual stack, no such interface, frame is NULL, or now is MNET_NEVER
 * Does not block.
 */
int mnet_frame_in_on(mnet_stack stack, uint32_t interface, uint64_t now, const void *frame, size_t len);

/*
 * Takes the next frame that a manual stack (MNET_CONFIG_MANUAL) has to send. Call it until it
 * returns 0 after each batch of other calls.
 *
 * - now: the time, as for mnet_step().
 * - buf, len: where the frame goes; len must be at least the MTU plus 14, or plus 18 if there are
 *   VLANs.
 *
 * Which interface it leaves by, mnet_frame_out_on() tells as well.
 *
 * Returns the length of the frame, 0 if there is none, or
 *   MNET_EBADF      no such stack
 *   MNET_EBUSY      a call on this stack has not returned
 *   MNET_EINVAL     not a manual stack, buf is NULL, or now is MNET_NEVER
 *   MNET_EMSGSIZE   len is too small; no frame was taken
 * Does not block.
 */
int64_t mnet_frame_out(mnet_stack stack, uint64_t now, void *buf, size_t len);

/*
 * Takes the next frame that a manual stack (MNET_CONFIG_MANUAL) has to send, as mnet_frame_out()
 * does, and tells where.
 *
 * - interface: receives the number of the interface that it leaves by, counted from 1; for a frame of
 *   a VLAN, which has its tag, the number of the parent. NULL: not asked for.
 * - now: the time, as for mnet_step().
 * - buf, len: where the frame goes; len must be at least the largest MTU plus 14, or plus 18 if there
 *   are VLANs.
 *
 * Returns the length of the frame, 0 if there is none, or
 *   MNET_EBADF      no such stack
 *   MNET_EBUSY      a call on this stack has not returned
 *   MNET_EINVAL     not a manual stack, buf is NULL, or now is MNET_NEVER
 *   MNET_EMSGSIZE   len is too small; no frame was taken
 * Does not block.
 */
int64_t mnet_frame_out_on(mnet_stack stack, uint32_t *interface, uint64_t now, void *buf, size_t len);

/*
 * Begins to tell a function what the stack has to tell a person: connections that open and end, and
 * why; addresses, leases, routes and neighbours; conflicts; paths that carry less; and what was
 * dropped, by its reason. Warnings and errors, until mnet_log_filter() says otherwise.
 *
 * The function takes the place of one that was there. Nobody on the network can make it be called
 * more often than 64 times at once and 16 times in a second: what was dropped comes once a second for
 * each reason, with its number, and connections that come faster are counted. Takes some 26 KiB of
 * the arena while it lasts.
 *
 * - function: see mnet_log_function; NULL ends the log.
 * - context: passed to it.
 *
 * Returns 0, or MNET_ENOMEM (the arena has no 40 KiB left), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_log_set(mnet_stack stack, mnet_log_function function, void *context);

/*
 * Says what the log of a stack tells.
 *
 * - filter: "tcp=debug,*=warn": parts of the stack with a level each; * is all that are not named, and
 *   what is neither named nor covered by * stays as it is. The parts are link, neighbour, ip, icmp,
 *   group, dhcp, udp and tcp; the levels error, warn, info, debug, and off. A level alone is that of
 *   *, and a part alone has the level debug.
 *
 * Returns 0, or
 *   MNET_EINVAL   not a filter, or NULL; or the stack has no log: mnet_log_set() first
 *   MNET_EMSGSIZE the text is longer than 65536 bytes
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_log_filter(mnet_stack stack, const char *filter);

/*
 * The text of an event, without its level, its part of the stack and a newline:
 * "10.0.0.2:7 with 10.0.0.1:4000 ended: reset by peer".
 *
 * - event: what a mnet_log_function got.
 * - buf, size: receives the text and a NUL. MNET_LOG_TEXT_SIZE bytes are enough; what does not fit is
 *   left out.
 *
 * Returns the length of the text in buf, or MNET_EINVAL (NULL, or size 0). Does not block, and may be
 * called from a mnet_log_function.
 */
int64_t mnet_log_text(const struct mnet_log_event *event, char *buf, size_t size);

/*
 * Begins a log on the console, a line for each event: "info tcp: ...". For programs that have nothing
 * else to do with it; mnet_args.log connects it with the command line.
 *
 * - filter: as for mnet_log_filter(); NULL: warnings and errors.
 *
 * Returns what mnet_log_set() and mnet_log_filter() return. Does not block.
 */
int mnet_log_console(mnet_stack stack, const char *filter);

/*
 * Adds an interface with another network device of the manifest. Give it an address next, with
 * mnet_add_address().
 *
 * The frames of a stack are as large as its configuration says: set max_mtu of struct mnet_config
 * if this device's MTU is larger than that of the first one, and max_interfaces if there are more than its
 * default.
 *
 * - device: the name in the manifest.
 *
 * Returns the number of the interface (2 for the first that is added so), or
 *   MNET_EINVAL     NULL, or a manual stack
 *   MNET_ENODEV     the manifest has no network device of this name
 *   MNET_EBUSY      the device belongs to another stack, or to this one; or a call on this stack has
 *                   not returned
 *   MNET_EMSGSIZE   the device's MTU is larger than the stack's frames
 *   MNET_ELIMIT     max_interfaces are there
 *   MNET_ENOMEM     DHCP clients have taken the arena's last 10 KiB
 *   MNET_EBADF
 * On an error nothing has changed. Does not block.
 */
int mnet_add_interface(mnet_stack stack, const char *device);

/*
 * Adds an interface to a manual stack (MNET_CONFIG_MANUAL): its frames go in and out with
 * mnet_frame_in_on() and mnet_frame_out_on().
 *
 * - hardware_address: 6 bytes, our Ethernet address on it.
 * - mtu: 576 to max_mtu of struct mnet_config, without the Ethernet header; 0: 1500.
 *
 * Returns the number of the interface, or
 *   MNET_EINVAL     NULL, a group address, an MTU below 576, or not a manual stack
 *   MNET_EMSGSIZE   the MTU is larger than the stack's frames
 *   MNET_ELIMIT     max_interfaces are there
 *   MNET_ENOMEM     DHCP clients have taken the arena's last 10 KiB
 *   MNET_EBADF, MNET_EBUSY
 * On an error nothing has changed. Does not block.
 */
int mnet_add_manual_interface(mnet_stack stack, const uint8_t *hardware_address, uint32_t mtu);

/*
 * Adds an interface for a VLAN (IEEE 802.1Q). Its frames travel with a tag over the device of
 * another interface, its parent, whose Ethernet address it has. It is configured and used as any
 * other: mnet_add_address(), mnet_enable_ipv6(), mnet_add_route(). The parent need not have
 * addresses.
 *
 * - interface: the parent, which is no VLAN itself; counted from 1; 0: the first.
 * - vlan: the VLAN identifier, 1 to 4094.
 * - priority: 0, best effort, to 7, in the tags of what we send.
 * - mtu: largest IP packet, 576 to the parent's MTU; 0: the parent's. The parent's device must carry
 *   four bytes more.
 *
 * Returns the number of the new interface, or
 *   MNET_EINVAL       a number out of range, no such interface, or the parent is a VLAN
 *   MNET_EADDRINUSE   the interface has this VLAN already
 *   MNET_ELIMIT       max_interfaces are there
 *   MNET_ENOMEM       DHCP clients have taken the arena's last 10 KiB
 *   MNET_EBADF, MNET_EBUSY
 * On an error nothing has changed. Does not block.
 */
int mnet_add_vlan(mnet_stack stack, uint32_t interface, uint32_t vlan, uint32_t priority, uint32_t mtu);

/*
 * An interface of a stack, and what passed it.
 *
 * - interface: counted from 1; 0: the first.
 * - info: receives it.
 * - size: sizeof (struct mnet_interface). A shorter structure of an older version is filled as far as
 *   it goes; members that this version does not know become 0.
 *
 * Returns 1, or 0 if there are not so many interfaces (nothing is written), or MNET_EINVAL (NULL),
 * MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_interface_info(mnet_stack stack, uint32_t interface, struct mnet_interface *info, size_t size);

/*
 * Adds a route. The longest prefix wins; among routes to the same destinations a gateway that
 * answers goes before one that does not (which is asked again every minute), then what is added here
 * before what routers advertise, then the least metric. A route to the same destinations over the
 * same interface with the same metric is replaced.
 *
 * Packets from an address of ours take the routes of the interface that has it, if one of these
 * leads to their destination, and any other if not (RFC 1122 section 3.3.4.2): with a default route
 * on each of two interfaces, who has come in by one of them is answered by it.
 *
 * - route: see struct mnet_route. Copied.
 *
 * Returns 0, or
 *   MNET_EINVAL          NULL, no such interface, an unknown flag, expires not 0
 *   MNET_EADDRNOTAVAIL   two families, a prefix longer than an address, or one that leaves out bits
 *                        of the destination
 *   MNET_EGATEWAY        the gateway is no neighbour on the interface, or is ourselves
 *   MNET_EAFNOSUPPORT    no destination; or IPv6, which the interface does not speak
 *   MNET_ELIMIT          64 routes are there, those to the networks of our addresses included
 *   MNET_EBADF, MNET_EBUSY
 * On an error nothing has changed. Does not block.
 */
int mnet_add_route(mnet_stack stack, const struct mnet_route *route);

/*
 * Removes a route that mnet_add_route() has added, or the configuration.
 *
 * - route: as it was added; metric is ignored.
 *
 * Returns 0, or
 *   MNET_ENETUNREACH   there is no such route
 *   MNET_EINVAL, MNET_EADDRNOTAVAIL, MNET_EAFNOSUPPORT as for mnet_add_route()
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_remove_route(mnet_stack stack, const struct mnet_route *route);

/*
 * The routes that there are now, one for each index from 0 on, best first: those that were added,
 * those to the networks of our addresses, and those that routers advertise. These come and go, so
 * indices change with time.
 *
 * - route: receives it.
 * - size: sizeof (struct mnet_route). A shorter structure of an older version is filled as far as it
 *   goes; members that this version does not know become 0.
 *
 * Returns 1, or 0 if there are not so many (nothing is written), or MNET_EINVAL (NULL), MNET_EBADF,
 * MNET_EBUSY. Does not block.
 */
int mnet_route_list(mnet_stack stack, size_t index, struct mnet_route *route, size_t size);

/*
 * Fills the structure with the defaults: a link-local address, and what routers give.
 *
 * - ipv6: the structure to fill.
 * - size: sizeof (struct mnet_ipv6), so that the library knows how old the caller is.
 *
 * Returns 0, or MNET_EINVAL: ipv6 is NULL, or size is not that of any version. Does not block.
 */
int mnet_ipv6_default(struct mnet_ipv6 *ipv6, size_t size);

/*
 * Lets an interface speak IPv6 beside IPv4 (RFC 8200). It makes itself a link-local address, asks
 * whether somebody has it (RFC 4862), and then asks routers for prefixes and routes (RFC 4861).
 * Addresses are usable a second or two later, as soon as mnet_address() tells them; listeners and
 * sockets on "::" may be opened at once.
 *
 * - ipv6: see struct mnet_ipv6; NULL: the defaults. Copied.
 *
 * Returns 0, or
 *   MNET_EINVAL          a member out of range, no such interface, an unknown or contradicting
 *                        flag; or it speaks IPv6 already
 *   MNET_EADDRINUSE      MNET_IPV6_EUI64, and another interface with the same Ethernet address has
 *                        it, too: VLANs would have the same link-local address as their parent
 *   MNET_EADDRNOTAVAIL   not an address that a host can have (multicast, ::, ::1)
 *   MNET_EGATEWAY        the gateway is neither link-local nor on the network of the address
 *   MNET_ELIMIT          no room for another address or route
 *   MNET_EAFNOSUPPORT    not an IPv6 address
 *   MNET_EBADF, MNET_EBUSY
 * MNET_EINVAL also if the device's MTU is below 1280 (RFC 8200 section 5). After
 * MNET_EADDRNOTAVAIL, MNET_EGATEWAY and MNET_ELIMIT the interface speaks IPv6, without that address or
 * gateway.
 * Does not block.
 */
int mnet_enable_ipv6(mnet_stack stack, const struct mnet_ipv6 *ipv6);

/*
 * Names a DNS server. It comes before those that DHCP and routers name, and stays. The stack itself
 * resolves no names: this is for what reads mnet_dns_server().
 *
 * - interface: counted from 1; 0: the first.
 * - server: the address; its port is ignored.
 *
 * Returns 0, or
 *   MNET_EINVAL          NULL, no address, or no such interface
 *   MNET_EADDRNOTAVAIL   not an address that a host can have
 *   MNET_ELIMIT          there are 4 on this interface
 *   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_add_dns_server(mnet_stack stack, uint32_t interface, const struct mnet_addr *server);

/*
 * Forgets the servers that mnet_add_dns_server() has named on an interface.
 *
 * - interface: counted from 1; 0: the first.
 *
 * Returns 0, or MNET_EINVAL (no such interface), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_clear_dns_servers(mnet_stack stack, uint32_t interface);

/*
 * The DNS servers that are known, one for each index from 0 on, the one to ask first at 0: those of
 * mnet_add_dns_server(), then of DHCP, then of router advertisements (RFC 8106 section 5.3.1), at
 * most 4 of each. They come and go, so indices change with time.
 *
 * - interface: counted from 1; 0: the first.
 * - server: receives the address, with port 0; a link-local one with its zone.
 * - origin: receives MNET_ORIGIN_*: who has named it. NULL: not asked for.
 * - lifetime_ns: receives for how long that holds from now on, in nanoseconds; UINT64_MAX: for ever.
 *   NULL: not asked for.
 *
 * Returns 1, or 0 if there are not so many (nothing is written), or MNET_EINVAL (server is NULL, or
 * no such interface), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_dns_server(mnet_stack stack,
                    uint32_t interface,
                    size_t index,
                    struct mnet_addr *server,
                    uint32_t *origin,
                    uint64_t *lifetime_ns);

/*
 * The search domains that are known, one for each index from 0 on: in which to look up names that
 * are not complete, in this order. At most 3 of each origin. They come and go, so indices change
 * with time.
 *
 * - interface: counted from 1; 0: the first.
 * - buf, len: where the name goes, without a dot at its end, and a NUL; 254 bytes are enough for
 *   every name.
 * - origin: receives MNET_ORIGIN_*: who has named it. NULL: not asked for.
 * - lifetime_ns: receives for how long that holds from now on, in nanoseconds; UINT64_MAX: for ever.
 *   NULL: not asked for.
 *
 * Returns the length of the name without the NUL, at least 1; 0 if there are not so many (nothing is
 * written); or
 *   MNET_EINVAL     NULL, or no such interface
 *   MNET_EMSGSIZE   the name does not fit; nothing was written
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int64_t mnet_search_domain(mnet_stack stack,
                           uint32_t interface,
                           size_t index,
                           char *buf,
                           size_t len,
                           uint32_t *origin,
                           uint64_t *lifetime_ns);

/*
 * Gives an interface an address, with a route to the hosts that share its prefix. An IPv4 address is
 * ours at once, announced (RFC 5227 section 2.3) and kept whatever others say, unless the flags say
 * otherwise; an IPv6 address is ours a second or two later, if nobody has it (RFC 4862 section 5.4).
 * mnet_address() and mnet_network_events() tell what becomes of it. One that turned out to be
 * somebody else's may be added again.
 *
 * - interface: counted from 1; 0: the first.
 * - addr: the address; its port is ignored.
 * - prefix_len: the length of the network's prefix in bits, 1 to 32 or 1 to 128.
 * - flags: MNET_ADDRESS_PROBE, _PROBE_FULL, _DEFEND_ONCE, _GIVE_UP combined, or 0. They mean nothing
 *   for IPv6.
 *
 * Returns 0, or
 *   MNET_EINVAL          NULL, no address, no such interface, an unknown flag, or two that exclude
 *                        each other
 *   MNET_EADDRNOTAVAIL   not an address that a host can have on such a network, or it is ours
 *   MNET_EAFNOSUPPORT    IPv6, which the interface does not speak; or another family
 *   MNET_ELIMIT          8 IPv4 or 16 IPv6 addresses are there, or 64 routes
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_add_address(mnet_stack stack,
                     uint32_t interface,
                     const struct mnet_addr *addr,
                     uint32_t prefix_len,
                     uint32_t flags);

/*
 * Takes an address away that the program gave. Its connections end with MNET_EADDRGONE and without a
 * word to their peers; sockets that are bound to it get nothing more until it is ours again. With it
 * go the route to its network, and those whose gateways no other address of the interface reaches.
 *
 * - interface: counted from 1; 0: the first.
 * - addr: the address; its port is ignored.
 *
 * Returns 0, or
 *   MNET_EINVAL          NULL, no address, or no such interface
 *   MNET_EADDRNOTAVAIL   the interface has no such address that the program gave
 *   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_remove_address(mnet_stack stack, uint32_t interface, const struct mnet_addr *addr);

/*
 * Looks for an IPv4 address of 169.254/16, which only hosts on the same link can reach (RFC 3927),
 * or ends that. It is usable after 4 to 7 s; when somebody else insists on it, another one is tried.
 *
 * - interface: counted from 1; 0: the first.
 * - enable: not 0: look for one; 0: give it up.
 *
 * Returns 0, or
 *   MNET_EINVAL          no such interface, or it looks for one already
 *   MNET_EADDRNOTAVAIL   there is none to be given up
 *   MNET_ELIMIT          there are 8 addresses, or 64 routes
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_link_local(mnet_stack stack, uint32_t interface, int enable);

/*
 * The addresses of an interface, one for each index from 0 on: IPv4 first, then IPv6. Also those that
 * are not usable yet, and those that turned out to be somebody else's. They come and go, so indices
 * change with time.
 *
 * - interface: counted from 1; 0: the first.
 * - info: receives the address and what is known of it.
 * - size: sizeof (struct mnet_address_info). A shorter structure of an older version is filled as
 *   far as it goes; members that this version does not know become 0.
 *
 * Returns 1, or 0 if there are not so many (nothing is written), or MNET_EINVAL (info is NULL, or no
 * such interface), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_address(mnet_stack stack, uint32_t interface, size_t index, struct mnet_address_info *info, size_t size);

/*
 * Waits until something has changed in the network, and says on which interfaces: look there what is
 * true now, with mnet_address() and mnet_dns_server(). Each change is told once. mnet_events() and
 * mnet_poll() tell a program that waits there when to call it, with timeout 0: see MNET_NETWORK.
 *
 * - events, max: where the events go, and room for how many (at least 1). Events that find no room
 *   wait for the next call.
 * - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
 *
 * Returns the number of events; 0 when the time is over; or
 *   MNET_EINVAL   events is NULL or max is 0
 *   MNET_EBADF    no such stack
 *   MNET_EBUSY
 * Sends what is queued and takes in what has arrived, also with timeout 0. BLOCKS for as long as
 * said; a manual stack never does.
 */
int64_t mnet_network_events(mnet_stack stack, struct mnet_network_event *events, size_t max, int64_t timeout_ns);

/*
 * Waits until an interface has a usable address that others than its neighbours can reach: not a
 * link-local one. For programs that get theirs from DHCP or from a router.
 *
 * - interface: counted from 1; 0: the first.
 * - family: MNET_AF_INET, MNET_AF_INET6, or MNET_AF_NONE for either.
 * - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
 * - addr: receives the address, with port 0. NULL: not asked for.
 *
 * Returns 1, or 0 when the time is over (nothing is written), or
 *   MNET_EINVAL         no such interface
 *   MNET_EAFNOSUPPORT   another family
 *   MNET_EBADF, MNET_EBUSY
 * BLOCKS for as long as said; a manual stack never does.
 */
int mnet_wait_address(mnet_stack stack,
                      uint32_t interface,
                      uint16_t family,
                      int64_t timeout_ns,
                      struct mnet_addr *addr);

/*
 * Fills the structure with the defaults: the client is known by its Ethernet address, takes what the
 * server lends, and makes sure that nobody on the link has it.
 *
 * - dhcp: the structure to fill.
 * - size: sizeof (struct mnet_dhcp), so that the library knows how old the caller is.
 *
 * Returns 0, or MNET_EINVAL: dhcp is NULL, or size is not that of any version. Does not block.
 */
int mnet_dhcp_default(struct mnet_dhcp *dhcp, size_t size);

/*
 * Starts a DHCPv4 client on an interface (RFC 2131). The address that it is lent is ours as long as
 * the lease is renewed, with the server's routes and DNS servers; mnet_wait_address() waits for it,
 * and mnet_network_events() tells what changes. Sockets on "0.0.0.0" may be opened at once. Routes
 * that the program gives go first. Takes a few KiB of the arena.
 *
 * - interface: counted from 1; 0: the first.
 * - dhcp: see struct mnet_dhcp; NULL: the defaults. Copied.
 *
 * Returns 0, or
 *   MNET_EINVAL         a member out of range, an unknown flag, no such interface, or it has a client
 *                       already
 *   MNET_ENOMEM         the arena has no 10 KiB left
 *   MNET_EAFNOSUPPORT   the previous address is not IPv4
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_dhcp_start(mnet_stack stack, uint32_t interface, const struct mnet_dhcp *dhcp);

/*
 * Ends the DHCP client of an interface; its address goes, and connections of it end with
 * MNET_EADDRGONE.
 *
 * - interface: counted from 1; 0: the first.
 * - release: not 0: tell the server that it may lend the address to others. With 0 it stays set
 *   aside, and the same client gets it again.
 *
 * Returns 0, or MNET_EINVAL (no such interface, or it has no client), MNET_EBADF, MNET_EBUSY. Sends
 * the message at once, unless the stack is manual. Does not block.
 */
int mnet_dhcp_stop(mnet_stack stack, uint32_t interface, int release);

/*
 * The lease of an interface.
 *
 * - interface: counted from 1; 0: the first.
 * - lease: receives it.
 * - size: sizeof (struct mnet_dhcp_lease). A shorter structure of an older version is filled as far
 *   as it goes; members that this version does not know become 0.
 *
 * Returns 1, or 0 if there is none (nothing is written), or MNET_EINVAL (lease is NULL, or no such
 * interface), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_dhcp_lease(mnet_stack stack, uint32_t interface, struct mnet_dhcp_lease *lease, size_t size);

/*
 * An option that the server has sent with the lease, as it lies in the message (RFC 2132); parts of a
 * long one joined (RFC 3396).
 *
 * - interface: counted from 1; 0: the first.
 * - tag: which option, 1 to 254.
 * - buf, len: where its bytes go.
 * - option_len: receives how many there are.
 *
 * Returns 1, or 0 if there is no lease, or no such option in it (nothing is written), or
 *   MNET_EINVAL     NULL, or no such interface
 *   MNET_EMSGSIZE   it does not fit; nothing was written
 *   MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
int mnet_dhcp_option(mnet_stack stack, uint32_t interface, uint8_t tag, void *buf, size_t len, size_t *option_len);

/*
 * Fills the structure with the defaults: a program "unikernel" without options of its own, and one
 * network device, "service".
 *
 * - args: the structure to fill.
 * - size: sizeof (struct mnet_args), so that the library knows how old the caller is.
 *
 * Returns 0, or MNET_EINVAL: args is NULL, or size is not that of any version. Does not block.
 */
int mnet_args_default(struct mnet_args *args, size_t size);

/*
 * Reads the command line of a unikernel: the program's options, those of its network, and --help.
 * What there is to be said is written to the console: the help, or what is wrong with the command
 * line, and the usage. The stack need not be open.
 *
 * Words may be quoted with ' and " and \, as in a shell. The options of the network are --ipv4,
 * --ipv4-gateway, --ipv6, --ipv6-gateway and --nameserver; docs/commandline.md has them all.
 *
 * - args: what the program has; receives what the command line says. Pass it to mnet_open_args().
 * - cmdline: the command line, as solo5_app_main() gets it.
 *
 * Returns 1: begin. Or 0: the help was asked for and written, end with success. Or negative:
 *   MNET_EINVAL     the command line is wrong, which was written; or NULL, or the program's table is
 *                   wrong: a name that is empty, used twice or the network's, a kind or flag that is
 *                   unknown, a value that is NULL, min above max
 *   MNET_EMSGSIZE   a text is longer than 65536 bytes
 * After anything but 1 some values may have been changed. Does not block.
 *
 *     struct mnet_args args;
 *     mnet_args_default(&args, sizeof args);
 *     args.program = "echo";
 *     args.options = options;
 *     args.option_count = sizeof options / sizeof options[0];
 *     args.option_size = sizeof options[0];
 *     int begin = mnet_args_parse(&args, info->cmdline);
 *     if (begin <= 0)
 *         return begin == 0 ? SOLO5_EXIT_SUCCESS : SOLO5_EXIT_FAILURE;
 */
int mnet_args_parse(struct mnet_args *args, const char *cmdline);

/*
 * Opens a stack as the command line says: mnet_open() with the first device of the program and
 * mnet_add_interface() with the others, so that they are interfaces 1, 2 and so on; then VLANs in the
 * order of their devices, with the numbers that follow (mnet_add_vlan()); then addresses, gateways,
 * IPv6 (mnet_enable_ipv6()) and name servers (mnet_add_dns_server()).
 *
 * - config: as for mnet_open(). Its device, address, gateway and prefix_len are ignored.
 * - args: what mnet_args_parse() has filled.
 *
 * Returns the stack, or what these functions return; then there is no stack. MNET_EINVAL also if args
 * says MNET_ARGS_NO_NETWORK. Does not block.
 */
mnet_stack mnet_open_args(const struct mnet_config *config, const struct mnet_args *args);

/*
 * Listens for TCP connections (RFC 9293 section 3.10.1, passive OPEN).
 *
 * - local: our address and port; the address 0.0.0.0 means all of ours.
 * - backlog: how many connections may wait for mnet_accept(), at least 1. Further ones are not
 *   answered, so that peers try again.
 *
 * Returns the listener, or
 *   MNET_EINVAL          local is NULL, its port is 0, or backlog is 0
 *   MNET_EADDRNOTAVAIL   not one of our addresses
 *   MNET_EADDRINUSE      another listener has this address and port
 *   MNET_ELIMIT          max_listeners exist
 *   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
mnet_fd mnet_listen(mnet_stack stack, const struct mnet_addr *local, uint32_t backlog);

/*
 * Accepts a connection. It is blocking or non-blocking as the listener is.
 *
 * - listener: from mnet_listen().
 * - peer: receives the peer's address; may be NULL.
 *
 * Returns the connection, or
 *   MNET_EAGAIN   none waits (non-blocking listener): wait for MNET_READABLE
 *   MNET_EBADF    not a listener
 *   MNET_EINVAL, MNET_EBUSY
 * A blocking listener waits for a connection.
 */
mnet_fd mnet_accept(mnet_fd listener, struct mnet_addr *peer);

/*
 * Opens a TCP connection (RFC 9293 section 3.10.1, active OPEN).
 *
 * - remote: where to.
 * - local: from which of our addresses and ports; NULL, MNET_AF_NONE or port 0: chosen.
 * - flags: 0, or MNET_NONBLOCK: return at once, with a non-blocking connection that becomes
 *   MNET_WRITABLE once it is established; mnet_write() gives the reason if it failed.
 *
 * Returns the connection, or
 *   MNET_EINVAL          remote is NULL or cannot be connected to; unknown flags
 *   MNET_ENETUNREACH     no route
 *   MNET_EADDRNOTAVAIL   local is not one of our addresses
 *   MNET_EADDRINUSE      this pair of addresses and ports is in use, or no port is free
 *   MNET_ELIMIT          max_connections exist
 *   MNET_ECONNREFUSED    the peer refused                  (only when waiting)
 *   MNET_ETIMEDOUT       the peer did not answer           (only when waiting)
 *   MNET_EHOSTUNREACH    the network cannot reach the peer (only when waiting)
 *   MNET_EADDRGONE       our address went away             (only when waiting)
 *   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
 * Waits until the connection is established or has failed, unless MNET_NONBLOCK is given or the
 * stack was opened with MNET_CONFIG_NONBLOCKING or MNET_CONFIG_MANUAL.
 */
mnet_fd mnet_connect(mnet_stack stack, const struct mnet_addr *remote, const struct mnet_addr *local, int flags);

/*
 * Opens a TCP connection as mnet_connect() does, with a limit to the time that it takes.
 *
 * - timeout_ns: 1 ms to 24 days; 0: as the configuration says.
 *
 * Returns what mnet_connect() returns. When the time is over it is MNET_ETIMEDOUT, and on a
 * non-blocking connection the next mnet_write() gives that; MNET_EINVAL if the time is out of range.
 * Waits as mnet_connect() does.
 */
mnet_fd mnet_connect_timeout(mnet_stack stack,
                             const struct mnet_addr *remote,
                             const struct mnet_addr *local,
                             int flags,
                             uint64_t timeout_ns);

/*
 * Reads from a TCP connection: copies what has arrived, up to len bytes.
 *
 * - buf, len: where the data goes. Must not lie in an arena. NULL is allowed with len 0.
 *
 * Returns the number of bytes, 0 at the end of the stream (or if len is 0), or
 *   MNET_EAGAIN       nothing has arrived (non-blocking): wait for MNET_READABLE
 *   MNET_ECONNRESET   the peer reset the connection
 *   MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE   the connection failed
 *   MNET_EBADF        not a connection
 *   MNET_EINVAL, MNET_EBUSY
 * A blocking connection waits for data. After an error close the handle.
 */
int64_t mnet_read(mnet_fd fd, void *buf, size_t len);

/*
 * Shows received data without copying it, and without taking it: mnet_consume() does that.
 *
 * - data: receives the address of the data. It may be read, and given to mnet_write(), until the
 *   next call on this stack other than mnet_write(). Where fibers share the connection's stack, an
 *   mnet_write() that waits lets them make such calls: make its connection non-blocking, or use
 *   mnet_read().
 *
 * Returns how many bytes there are: not all that have arrived, but those that lie together; 0 at
 * the end of the stream; or an error as mnet_read() does. Waits as mnet_read() does.
 *
 * A server that passes data on gets backpressure for free: peek, write, and consume only what
 * the write took. The rest stays in the stack, and the peer's window closes.
 */
int64_t mnet_peek(mnet_fd fd, const void **data);

/*
 * Takes received data that mnet_peek() has shown.
 *
 * - len: how many bytes, at most as many as mnet_peek() has returned.
 *
 * Returns 0, or
 *   MNET_EINVAL   len is larger than what can be peeked; nothing was taken
 *   MNET_EBADF    not a connection
 *   MNET_EBUSY
 * Does not block.
 */
int mnet_consume(mnet_fd fd, size_t len);

/*
 * Writes to a TCP connection: queues up to len bytes of buf for sending. buf is copied before the
 * call returns.
 *
 * - buf, len: the data. May be what mnet_peek() has shown; must not lie in an arena otherwise.
 *   NULL is allowed with len 0.
 *
 * Returns the number of bytes taken, which on a non-blocking connection may be fewer than len, or
 *   MNET_EAGAIN       no room, or not yet connected (non-blocking): wait for MNET_WRITABLE
 *   MNET_EPIPE        our direction was shut down
 *   MNET_ECONNRESET   the peer reset the connection
 *   MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE   the connection failed
 *   MNET_EBADF        not a connection
 *   MNET_EINVAL, MNET_EBUSY
 * A blocking connection waits until all is queued, and sends before it returns; if the connection
 * fails after a part was taken, the length of that part is returned and the next call gives the
 * error. A non-blocking one queues; the data is sent by the next call that drives the stack
 * (mnet_poll(), mnet_events(), mnet_step(), or any call that waits). After an error close the
 * handle.
 */
int64_t mnet_write(mnet_fd fd, const void *buf, size_t len);

/*
 * Ends our direction of a TCP connection: the peer reads the end of the stream after everything
 * that was written (RFC 9293 section 3.10.4, CLOSE). Reading goes on. Doing it again is harmless.
 *
 * - how: MNET_SHUT_WR.
 *
 * Returns 0, or
 *   MNET_EAGAIN   the connection is not established yet
 *   MNET_ECONNRESET, MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE   it has
 *                 failed
 *   MNET_EBADF    not a connection
 *   MNET_EINVAL   how is something else
 *   MNET_EBUSY
 * Does not block.
 */
int mnet_shutdown(mnet_fd fd, int how);

/*
 * Closes any socket. The handle is stale from now on.
 *
 * - fd: the socket; 0 and below are accepted as "none" and harmless.
 *
 * A connection goes on in the background until everything that was written is delivered; if data
 * has arrived that was not read, the peer gets a reset instead (RFC 9293 section 3.6, RFC 2525
 * section 2.17). A listener resets the connections that were not accepted.
 *
 * Returns 0, or
 *   MNET_EBADF    stale or foreign handle
 *   MNET_EAGAIN   the time of mnet_set_linger() is over; delivery goes on in the background
 *   MNET_ECONNRESET, MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE
 *                 the connection failed before everything was delivered (only with
 *                 mnet_set_linger())
 *   MNET_EBUSY
 * Does not block, unless mnet_set_linger() has given a blocking connection a time: then it waits for
 * at most that long until the peer has acknowledged everything.
 */
int mnet_close(mnet_fd fd);

/*
 * Ends a TCP connection at once with a reset (RFC 9293 section 3.10.5). What was not delivered is
 * lost. The handle is stale from now on.
 *
 * Returns 0, or
 *   MNET_EBADF   not a connection
 *   MNET_EBUSY
 * Does not block.
 */
int mnet_abort(mnet_fd fd);

/*
 * Makes any socket blocking (0) or non-blocking (anything else). On a manual stack calls on a blocking
 * socket wait in fibers only; elsewhere there is nothing to wait for, and they answer MNET_EAGAIN.
 *
 * Returns 0, or
 *   MNET_EBADF    stale or foreign handle
 *   MNET_EBUSY
 * Does not block.
 */
int mnet_set_nonblocking(mnet_fd fd, int nonblocking);

/*
 * Our address and port of any socket.
 *
 * - addr: receives them.
 *
 * Returns 0, MNET_EBADF, MNET_EINVAL (addr is NULL) or MNET_EBUSY. Does not block.
 */
int mnet_sockname(mnet_fd fd, struct mnet_addr *addr);

/*
 * The peer's address and port of a TCP connection.
 *
 * - addr: receives them.
 *
 * Returns 0, MNET_EBADF, MNET_EINVAL (addr is NULL) or MNET_EBUSY. Does not block.
 */
int mnet_peername(mnet_fd fd, struct mnet_addr *addr);

/*
 * Makes a TCP connection collect small writes while data is unacknowledged (0, Nagle's algorithm,
 * RFC 9293 section 3.7.4) or send them at once (anything else).
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 *
 * Returns 0, or
 *   MNET_EBADF    neither a connection nor a listener
 *   MNET_ELIMIT   connections have 256 different combinations of settings already
 *   MNET_EBUSY
 * Does not block.
 */
int mnet_set_nodelay(mnet_fd fd, int nodelay);

/*
 * Corks a TCP connection (anything but 0): a segment that is not full is held back until more data
 * fills it, the cork is taken out (0), our direction is shut down, or 200 ms have passed. Stronger
 * than mnet_set_nodelay().
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 *
 * Returns 0, MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or MNET_EBUSY. Does not block.
 */
int mnet_set_cork(mnet_fd fd, int cork);

/*
 * Probes the peer of a TCP connection when nothing arrives (RFC 9293 section 3.8.4), or stops that.
 * Off by default. A peer that does not answer is gone: MNET_ETIMEDOUT. While data is under way
 * nothing is probed.
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - on: 0: off; the other arguments are ignored.
 * - idle_ns: how long nothing has arrived before the first probe, 1 s to 24 days. 0: 2 hours.
 * - interval_ns: between probes, 1 s to 24 days. 0: 75 s.
 * - count: unanswered probes after which the connection fails, 1 to 255. 0: 9.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_keepalive(mnet_fd fd, int on, uint64_t idle_ns, uint64_t interval_ns, uint32_t count);

/*
 * How long the peer of a TCP connection may leave data unacknowledged, a SYN or probes unanswered,
 * before the connection fails with MNET_ETIMEDOUT (RFC 9293 section 3.8.3, RFC 5482; nothing is sent
 * about it).
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - time_ns: 100 ms to 24 days; 0: as the configuration says.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_user_timeout(mnet_fd fd, uint64_t time_ns);

/*
 * What mnet_close() means for a TCP connection while data is unacknowledged, as SO_LINGER.
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - time_ns: negative, the default: it is delivered in the background. 0: the peer gets a reset,
 *   and what was not delivered is lost. Positive, up to 24 days: mnet_close() of a blocking
 *   connection waits for at most so long until it is delivered; that of a non-blocking one does not
 *   wait.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_linger(mnet_fd fd, int64_t time_ns);

/*
 * How long an acknowledgement of a TCP connection may wait for company (RFC 9293 section 3.8.6.3).
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - time_ns: 0 to 500 ms; 0 acknowledges every batch of frames at once.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_delayed_ack(mnet_fd fd, uint64_t time_ns);

/*
 * What governs the rate at which a TCP connection sends. The new algorithm goes on with the window of
 * the old one.
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - algorithm: MNET_CONGESTION_CUBIC (the default) or MNET_CONGESTION_NEW_RENO.
 *
 * Returns 0, MNET_EINVAL (unknown), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or MNET_EBUSY.
 * Does not block.
 */
int mnet_set_congestion(mnet_fd fd, uint32_t algorithm);

/*
 * The largest receive window of a TCP connection. What the handshake could announce, which follows
 * from tcp_receive_buffer of the configuration, and what the arena can spare bound it further.
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - bytes: 4096 to 2^30.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_receive_buffer(mnet_fd fd, size_t bytes);

/*
 * Most bytes in the send queue of a TCP connection; what the arena can spare bounds it further.
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - bytes: 4096 to 2^30.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_send_buffer(mnet_fd fd, size_t bytes);

/*
 * The time to live of the packets of a TCP connection.
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - hops: 1 to 255.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_ttl(mnet_fd fd, uint32_t hops);

/*
 * The differentiated services code point of the packets of a TCP connection (RFC 2474 section 3).
 *
 * - fd: a connection, or a listener: then it holds for the connections to come.
 * - code_point: 0 to 63.
 *
 * Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
 * MNET_EBUSY. Does not block.
 */
int mnet_set_dscp(mnet_fd fd, uint32_t code_point);

/*
 * How long calls on a blocking socket wait at most. When the time is over they return MNET_EAGAIN,
 * and nothing else has changed; mnet_write() returns the length of what it has got rid of instead, if
 * that is not 0. Every call, and every part that a write gets rid of, starts the time over. A new socket waits for ever; connections do not inherit from their listener.
 *
 * - fd: any socket.
 * - which: MNET_READABLE (mnet_accept(), mnet_read(), mnet_peek(), mnet_recvfrom()), MNET_WRITABLE
 *   (mnet_write(), mnet_sendto()) or both.
 * - time_ns: rounded up to milliseconds, at most 49 days; 0: for ever.
 *
 * Returns 0, or
 *   MNET_EINVAL   which is something else, or time_ns is out of range
 *   MNET_EBADF    stale or foreign handle
 *   MNET_EBUSY
 * Does not block. For the time that connecting takes see mnet_connect_timeout().
 */
int mnet_set_timeout(mnet_fd fd,
                     uint32_t which,
                     uint64_t time_ns);

/*
 * All settings of a TCP connection or a listener, as they are now.
 *
 * - settings: receives them.
 * - size: sizeof (struct mnet_tcp_settings). A shorter structure of an older version is filled as far
 *   as it goes; members that this version does not know become 0.
 *
 * Returns 0, MNET_EINVAL (NULL), MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_tcp_settings(mnet_fd fd, struct mnet_tcp_settings *settings, size_t size);

/*
 * Listens for TCP connections as mnet_listen() does, with all choices.
 *
 * - local: our address and port; the address 0.0.0.0 means all of ours.
 * - options: what to choose, with its size.
 *
 * Returns what mnet_listen() returns. Does not block.
 */
mnet_fd mnet_listen_with(mnet_stack stack, const struct mnet_addr *local, const struct mnet_listen_options *options);

/*
 * Opens a TCP connection as mnet_connect_timeout() does, with data that is sent first: with the SYN, to
 * a server that has given us a cookie for that before, so that the answer comes a round trip earlier
 * (Fast Open, RFC 7413). To others the SYN asks for a cookie, and the data follows the handshake. Only
 * for data that the server may take twice: a SYN that the network repeats is a request of its own.
 *
 * - remote, local, flags, timeout_ns: as for mnet_connect_timeout().
 * - data, len: what is sent first; NULL is allowed with len 0.
 * - taken: receives how many bytes of it were taken: at most what a segment carries. The rest is for
 *   mnet_write().
 *
 * Returns what mnet_connect() returns, or MNET_EINVAL if taken is NULL. Waits as mnet_connect() does.
 */
mnet_fd mnet_connect_early(mnet_stack stack,
                           const struct mnet_addr *remote,
                           const struct mnet_addr *local,
                           int flags,
                           uint64_t timeout_ns,
                           const void *data,
                           size_t len,
                           size_t *taken);

/*
 * The name of a state (MNET_TCP_*), as in "FIN-WAIT-1".
 *
 * Any number may be passed: "?" for one that is no state. Never NULL; the text is static. Does not
 * block.
 */
const char *mnet_tcp_state_name(uint32_t state);

/*
 * The name of a congestion control algorithm (MNET_CONGESTION_*), as in "cubic".
 *
 * Any number may be passed: "?" for one that is no algorithm. Never NULL; the text is static. Does
 * not block.
 */
const char *mnet_congestion_name(uint32_t algorithm);

/*
 * What a TCP connection is doing (RFC 9293 section 3.10.6, STATUS).
 *
 * - info: receives it.
 * - size: sizeof (struct mnet_tcp_info). A shorter structure of an older version is filled as far as
 *   it goes; members that this version does not know become 0.
 *
 * Returns 0, MNET_EINVAL (NULL), MNET_EBADF (not a connection) or MNET_EBUSY. Does not block.
 */
int mnet_tcp_info(mnet_fd fd, struct mnet_tcp_info *info, size_t size);

/*
 * Both ends of a TCP connection.
 *
 * - local, remote: receive our address and port, and the peer's; each may be NULL.
 *
 * Returns 0, MNET_EBADF (not a connection), MNET_EINVAL or MNET_EBUSY. Does not block.
 */
int mnet_peers(mnet_fd fd, struct mnet_addr *local, struct mnet_addr *remote);

/*
 * Lists what TCP has: listeners, connections, half-open ones, TIME-WAIT. Call it until it returns 0.
 *
 * - cursor: where the list goes on; set it to 0 for the beginning, and leave it to the calls then.
 * - entries, max: where the entries go, and room for how many (at least 1).
 *
 * Returns how many entries were written, 0 at the end, or
 *   MNET_EINVAL   NULL, or max is 0
 *   MNET_EBADF    no such stack
 *   MNET_EBUSY
 * Does not block. What comes and goes between two calls may be missed; nothing is listed twice.
 */
int64_t mnet_tcp_list(mnet_stack stack, uint64_t *cursor, struct mnet_tcp_entry *entries, size_t max);

/*
 * Opens a UDP socket (RFC 768).
 *
 * - local: our address and port; the address 0.0.0.0 means all of ours, port 0 takes a free one.
 *
 * Returns the socket, or
 *   MNET_EADDRNOTAVAIL   not one of our addresses
 *   MNET_EADDRINUSE      another socket has this address and port, or no port is free
 *   MNET_ELIMIT          max_udp_sockets exist
 *   MNET_EINVAL, MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
 * Does not block.
 */
mnet_fd mnet_udp_bind(mnet_stack stack, const struct mnet_addr *local);

/*
 * Sends one datagram. It is copied before the call returns. It may have up to 65,507 bytes to an IPv4
 * address and 65,527 to an IPv6 address. What the path does not carry in one packet leaves in fragments
 * (RFC 791, RFC 8200 section 4.5), all of them or none; one lost fragment loses the datagram.
 *
 * - buf, len: the payload; 0 bytes make an empty datagram. Must not lie in an arena.
 * - remote: where to.
 *
 * Returns len, or
 *   MNET_EAGAIN        not as many buffers are free as it takes (non-blocking)
 *   MNET_EMSGSIZE      it is longer than a datagram can be, or than the arena has buffers for
 *   MNET_ENETUNREACH   no route
 *   MNET_EACCES        to a broadcast address: MNET_UDP_BROADCAST of mnet_udp_set() allows that
 *   MNET_EISCONN       not the peer that the socket is connected to
 *   MNET_EADDRNOTAVAIL the address that the socket is bound to is not ours any more
 *   MNET_EINVAL        NULL, or an address that cannot be sent to
 *   MNET_EBADF         not a UDP socket
 *   MNET_EAFNOSUPPORT, MNET_EBUSY
 * A blocking socket waits for a buffer, and sends before it returns; a non-blocking one queues
 * the datagram for the next call that drives the stack.
 */
int64_t mnet_sendto(mnet_fd fd, const void *buf, size_t len, const struct mnet_addr *remote);

/*
 * Receives one datagram, of up to 65,507 bytes over IPv4 and 65,527 over IPv6; one that came in
 * fragments is whole.
 *
 * - buf, len: where the payload goes; what does not fit is cut off. Must not lie in an arena.
 * - remote: receives the sender's address; may be NULL.
 *
 * Returns the length of the datagram, which is larger than len if it was cut; 0 is an empty
 * datagram; or
 *   MNET_EAGAIN         none waits (non-blocking): wait for MNET_READABLE
 *   MNET_ECONNREFUSED   an earlier datagram was answered by "port unreachable" (RFC 1122
 *                       section 4.1.3.3)
 *   MNET_EHOSTUNREACH   an earlier datagram was answered by "host" or "net unreachable"
 *   MNET_EHOPLIMIT      an earlier datagram ran out of hops
 *   MNET_EMSGSIZE       an earlier datagram was too large for its path (MNET_UDP_DONT_FRAGMENT)
 *   MNET_EBADF          not a UDP socket
 *   MNET_EINVAL, MNET_EBUSY
 * A blocking socket waits for a datagram.
 */
int64_t mnet_recvfrom(mnet_fd fd, void *buf, size_t len, struct mnet_addr *remote);

/*
 * As mnet_udp_bind(), and other sockets that were opened so may have the same address and port: at
 * most 16, and any number that are connected (mnet_udp_connect()). A datagram to a broadcast or a group
 * reaches each of them that wants it; any other the one that is connected to its sender, or else the
 * one that was opened last.
 *
 * Returns and errors as mnet_udp_bind(). Does not block.
 */
mnet_fd mnet_udp_bind_shared(mnet_stack stack, const struct mnet_addr *local);

/*
 * Connects a UDP socket to a peer: it hears only that peer and errors about what it sends there, and
 * mnet_sendmsg() and mnet_send_commit() without an address go to it. Nothing is sent. What waits from others is dropped.
 *
 * - remote: the peer; NULL: none any more, the socket is as it was bound.
 *
 * Returns 0, or
 *   MNET_ENETUNREACH     no route
 *   MNET_EADDRNOTAVAIL   the socket's address is not ours any more
 *   MNET_EADDRINUSE      another socket has the same addresses and ports
 *   MNET_ELIMIT          too many sockets without a peer share the port
 *   MNET_EINVAL, MNET_EBADF, MNET_EAFNOSUPPORT, MNET_EBUSY
 * Does not block.
 */
int mnet_udp_connect(mnet_fd fd, const struct mnet_addr *remote);

/*
 * Changes a setting of a UDP socket.
 *
 * - setting: one of MNET_UDP_*, where the values are explained.
 *
 * Returns 0, or MNET_EINVAL (no such setting, or out of range), MNET_EBADF, MNET_EBUSY. Does not
 * block.
 */
int mnet_udp_set(mnet_fd fd, uint32_t setting, uint64_t value);

/*
 * Changes what a UDP socket hears of a group (RFC 3678), and tells the routers and switches of the
 * link: IGMP (RFC 3376) or multicast listener discovery (RFC 3810). Only sockets that are bound to all
 * addresses hear groups. Closing a socket ends its memberships.
 *
 * - change: one of MNET_GROUP_*.
 * - group: the group; its port is ignored.
 * - source: for the changes that name one, a host of the group's family; NULL for the others.
 * - interface: counted from 1. 0: to join, the one that datagrams to the group leave by; otherwise the
 *   one on which the socket is a member.
 *
 * Returns 0, or
 *   MNET_EADDRINUSE      a member, or the source named, already
 *   MNET_EADDRNOTAVAIL   not a member, or the source not named
 *   MNET_ELIMIT          too many memberships, sources (16) or groups of the interface (32)
 *   MNET_ENODEV          no interface for the group
 *   MNET_EINVAL          no group, no such change or interface, a source of the other kind of membership
 *   MNET_EBADF, MNET_EAFNOSUPPORT, MNET_EBUSY
 * Does not block.
 */
int mnet_group(mnet_fd fd,
               uint32_t change,
               const struct mnet_addr *group,
               const struct mnet_addr *source,
               uint32_t interface);

/*
 * As mnet_recvfrom(), and says more of the datagram.
 *
 * - info: receives what is known of it.
 *
 * Returns, errors and waiting as mnet_recvfrom(); MNET_EINVAL also if info is NULL or its size is not
 * set.
 */
int64_t mnet_recvmsg(mnet_fd fd, void *buf, size_t len, struct mnet_datagram *info);

/*
 * As mnet_sendto(), from a chosen address of ours.
 *
 * - info: remote and local say where to and from where; the members behind them are 0.
 *
 * Returns, errors and waiting as mnet_sendto(); MNET_ENOTCONN if no address is given and there is no
 * peer, MNET_EADDRNOTAVAIL if local is not one of our addresses.
 */
int64_t mnet_sendmsg(mnet_fd fd, const void *buf, size_t len, const struct mnet_datagram *info);

/*
 * Room for a datagram, to be written in place and sent by mnet_send_commit(). The memory belongs to the
 * stack: it may be written until mnet_send_commit() succeeds, mnet_send_cancel() or mnet_close(), and
 * its content is arbitrary at first. A socket has one such room: asking again gives the same, with its
 * content.
 *
 * - len: most bytes of the datagram.
 * - data: receives the address of the room.
 *
 * Returns 0, or
 *   MNET_EAGAIN     no buffer is free (non-blocking)
 *   MNET_EMSGSIZE   more than one packet holds
 *   MNET_EINVAL, MNET_EBADF, MNET_EBUSY
 * A blocking socket waits for a buffer.
 */
int mnet_send_reserve(mnet_fd fd, size_t len, void **data);

/*
 * Sends what was written into the room of mnet_send_reserve().
 *
 * - len: bytes of the datagram, at most as many as were reserved.
 * - remote: where to; NULL: the peer.
 *
 * Returns 0, or MNET_EINVAL (nothing was reserved, or less), MNET_ENOTCONN (no address, and no peer),
 * or an error as mnet_sendto() does; the room is still reserved then. Does not wait. A blocking socket
 * sends before it returns.
 */
int mnet_send_commit(mnet_fd fd, size_t len, const struct mnet_addr *remote);

/*
 * Gives the room of mnet_send_reserve() back; without one nothing happens.
 *
 * Returns 0, MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_send_cancel(mnet_fd fd);

/*
 * Shows the next datagram without copying it, and without taking it: mnet_datagram_consume() does that.
 *
 * - data: receives the address of the datagram. It may be read until the next call on this stack.
 * - info: receives what is known of it; may be NULL.
 *
 * Returns how many bytes lie together: all of the datagram, unless it came in fragments, which
 * mnet_recvfrom() puts together; or an error, as mnet_recvfrom() does. Waits as that does.
 */
int64_t mnet_datagram_peek(mnet_fd fd, const void **data, struct mnet_datagram *info);

/*
 * Takes the datagram that mnet_datagram_peek() has shown.
 *
 * Returns 0, MNET_EAGAIN (none waits), MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_datagram_consume(mnet_fd fd);

/*
 * The error that a UDP socket has heard of last, and which datagram it is about. It stays until another
 * one comes or the socket is connected; reading reports it once.
 *
 * Returns 0, MNET_EINVAL (NULL, or the size is not set), MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_udp_last_error(mnet_fd fd, struct mnet_udp_error *info);

/*
 * Waits until one of several sockets is ready, as poll() of POSIX does: an entry is reported for
 * as long as its condition lasts. The cost grows with count; for many sockets see mnet_events(). An
 * entry with fd 0 and MNET_NETWORK stands for the network: it is reported while mnet_network_events()
 * has something to tell.
 *
 * - stack: the stack that all the sockets belong to.
 * - fds, count: what to wait for, and where the result goes (revents). With count 0 it only lets
 *   the stack work for the given time.
 * - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
 *
 * Returns how many entries have a revents that is not 0; 0 when the time is over; or
 *   MNET_EINVAL   fds is NULL with a count, or an entry asks for something unknown
 *   MNET_EBADF    no such stack (a stale socket is reported in its entry: MNET_INVALID)
 *   MNET_EBUSY
 * revents of all entries is written unless an error is returned. Sends what is queued and takes in
 * what has arrived, also with timeout 0. BLOCKS for as long as said; a manual stack never does.
 */
int64_t mnet_poll(mnet_stack stack, struct mnet_pollfd *fds, size_t count, int64_t timeout_ns);

/*
 * Waits until the readiness of sockets has grown, and says of which. Each growth is reported
 * once, so act on a socket until it says MNET_EAGAIN. The cost does not depend on how many
 * sockets there are. Of a stack that was opened with MNET_CONFIG_NETWORK_EVENTS it tells as well that
 * the network has changed: an event with MNET_NETWORK and fd 0, before those of sockets unless
 * earlier ones wait, and again until mnet_network_events() was asked.
 *
 * - events, max: where the events go, and room for how many (at least 1). Events that find no
 *   room wait for the next call.
 * - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
 *
 * Returns the number of events; 0 when the time is over; or
 *   MNET_EINVAL   events is NULL or max is 0
 *   MNET_EBADF    no such stack
 *   MNET_EBUSY
 * A socket that was closed after its event was noticed can still be reported; calls on it give
 * MNET_EBADF. Where there are fibers, the events of blocking sockets wake those that wait for them,
 * and only non-blocking sockets are reported. Sends what is queued and takes in what has arrived, also
 * with timeout 0, unless earlier events wait. BLOCKS for as long as said; a manual stack never does.
 */
int64_t mnet_events(mnet_stack stack, struct mnet_event *events, size_t max, int64_t timeout_ns);

/*
 * Waits for some time; in a fiber, the others run meanwhile.
 *
 * - duration_ns: how long at least, in nanoseconds; 0 is mnet_yield(), 2^63 and more: for ever.
 *
 * Returns 0, or
 *   MNET_EAGAIN      a manual stack, and the caller is no fiber: there is no sleep
 *   MNET_ECANCELED   the calling fiber is canceled
 *   MNET_EDEADLK     for ever, and no fiber could run again: see mnet_join()
 *   MNET_EBADF, MNET_EBUSY
 */
int mnet_sleep(mnet_stack stack, uint64_t duration_ns);

/*
 * Lets the network, and fibers that are ready, have a turn: sends what is queued, and takes in what
 * has arrived.
 *
 * Returns 0, or MNET_ECANCELED (the calling fiber is canceled), MNET_EBADF or MNET_EBUSY. Does not
 * sleep.
 */
int mnet_yield(mnet_stack stack);

/*
 * The place of a socket in its table: a number below max_connections, max_listeners or
 * max_udp_sockets (see mnet_usage() for the derived ones) that no other open socket of its kind
 * has. For a program that keeps data for each connection in an array of its own.
 *
 * Returns the number, or MNET_EBADF. Does not block.
 */
int64_t mnet_index(mnet_fd fd);

/*
 * What a socket can do now without waiting: MNET_READABLE, MNET_WRITABLE, MNET_ERROR and
 * MNET_CLOSED combined.
 *
 * Returns that (0: nothing), or MNET_EBADF or MNET_EBUSY. Does not block, and does not drive the
 * stack.
 */
int mnet_readiness(mnet_fd fd);

/*
 * FIBERS. A fiber is a function that runs beside others, on a stack of its own: straight-line code for
 * each client of a server. A call that waits (mnet_accept(), mnet_connect(), mnet_read(), mnet_write(),
 * mnet_recvfrom(), mnet_poll(), mnet_events(), mnet_sleep(), ...) lets the others run until it is done.
 * Nothing else does: between two calls that wait, a fiber has the processor and all data to itself. So
 * there are no locks; what has to stay together must only not wait in between.
 *
 * Fibers belong to a stack. They run inside the calls on that stack that wait, poll or step and come
 * from the program itself: from solo5_app_main() and what it calls, or from a fiber of another stack,
 * which then waits as a program would. Each such call gives up to 64 of them a turn, then the network,
 * and sleeps when no fiber is ready. All that happens on one thread.
 *
 * The memory of a fiber holds its stack and what the library keeps of it, some 700 bytes. There is no
 * page protection on Solo5 that would catch an overflow. Instead, whenever a fiber waits, begins or
 * ends, the library looks at the stack pointer and at 256 bytes at the low end that nobody may write
 * to, and if either shows an overflow it names the fiber on the console and calls solo5_abort(). So a
 * fiber that has written below its stack is found out when it next waits, at the latest by itself: what
 * lies below may be damaged by then, but nobody works with it any more, since no other fiber has run
 * in between. Not noticed is a large array that reaches across the zone, was written only below it,
 * and is gone when the fiber waits: give fibers that have such more memory.
 *
 * Fibers may share a socket, one reading while another writes. When one closes or aborts it, the calls
 * in which others wait for it return MNET_EBADF.
 *
 * The floating-point control words (rounding mode, masks) belong to all fibers together.
 *
 * Starts a fiber. It does not run before the caller waits.
 *
 * - function, arg: what it does.
 * - memory, size: its memory, for as long as the fiber exists: until it has ended, and was joined or
 *   detached. NULL: from mnet_config.fiber_memory, which has it back then. size is at least
 *   MNET_FIBER_SIZE_MIN; 0 is MNET_FIBER_SIZE_DEFAULT, only with NULL.
 *
 * Returns the fiber, or
 *   MNET_EINVAL   function is NULL, or size is too small
 *   MNET_ENOMEM   mnet_config.fiber_memory has no room, or the arena none for the first fiber
 *   MNET_EBUSY    a fiber that exists has this memory, or the stack is entered
 *   MNET_EBADF    no such stack
 * Does not block. Whoever starts a fiber joins it (mnet_join()) or lets it go (mnet_detach()).
 */
mnet_fiber mnet_spawn(mnet_stack stack, mnet_fiber_main function, void *arg, void *memory, size_t size);

/*
 * Waits for a fiber to end, and takes what its function has returned. The handle is stale then, and
 * memory that was given to mnet_spawn() is the caller's again.
 *
 * - result: receives what the function returned; may be NULL.
 * - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
 *
 * Returns 0, or
 *   MNET_EAGAIN      the fiber has not ended in that time
 *   MNET_EBADF       no such fiber: a stale handle, or somebody else joined it first
 *   MNET_EINVAL      it is detached, or result lies in an arena
 *   MNET_EDEADLK     it is the calling fiber; or nothing could ever end the wait: no fiber is ready, and
 *                    none waits for the network or a time (only for callers that are no fiber)
 *   MNET_ECANCELED   the calling fiber is canceled
 *   MNET_EBUSY
 * Waits as said. On a manual stack a caller that is no fiber does not wait: it lets fibers run once.
 */
int mnet_join(mnet_fiber fiber, void **result, int64_t timeout_ns);

/*
 * Lets a fiber go: nobody will join it. When it ends, the handle is stale and its memory free; of one
 * that has ended already that is so now. Memory of the caller's own may be used again once a call with
 * the handle gives MNET_EBADF.
 *
 * Returns 0, or MNET_EINVAL (it is detached), MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_detach(mnet_fiber fiber);

/*
 * Asks a fiber to end. The call in which it waits, or the next one in which it would, returns
 * MNET_ECANCELED, and so does every further one; calls that need not wait work as ever. It is the
 * fiber's function that ends it, by returning. A fiber that has not begun begins, so that it can give
 * back what its argument stands for. The calling fiber may cancel itself. One that has ended is left
 * as it is. In its clean-up handlers a fiber is not disturbed.
 *
 * Returns 0, or MNET_EBADF or MNET_EBUSY. Does not block: mnet_join() waits for the end.
 */
int mnet_cancel(mnet_fiber fiber);

/*
 * Asks all fibers of a stack to end, but the calling one, and waits until they have: the way to
 * mnet_close_stack(). Fibers that are started meanwhile are asked as well.
 *
 * - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
 *
 * Returns 0 when no other fiber lives (those that nobody has joined keep their results), or
 *   MNET_EAGAIN      some have not ended in that time
 *   MNET_EDEADLK     as mnet_join(): their clean-up handlers wait for what cannot come
 *   MNET_ECANCELED   the calling fiber is canceled
 *   MNET_EBADF, MNET_EBUSY
 * Waits as mnet_join() does.
 */
int mnet_cancel_all(mnet_stack stack, int64_t timeout_ns);

/*
 * Whether the calling fiber was asked to end: for one that computes for long and seldom waits.
 *
 * Returns 1 if so, else 0; 0 as well for a caller that is no fiber. Does not block.
 */
int mnet_canceled(void);

/*
 * The calling fiber.
 *
 * Returns its handle, or 0 for a caller that is no fiber. Does not block.
 */
mnet_fiber mnet_self(void);

/*
 * Has a function called when the calling fiber ends, after its own function has returned, whether it
 * was canceled or not: the place to close a socket, or to give memory back. Handlers are called in the
 * reverse order of their coming, on the fiber's stack; they may wait, and cancellation does not disturb
 * them. The fiber keeps the function and the argument: unlike with pthread_cleanup_push() there is no
 * frame that has to stay.
 *
 * - function, arg: what is called.
 *
 * Returns 0, or
 *   MNET_EINVAL   function is NULL, or the caller is no fiber
 *   MNET_ELIMIT   MNET_CLEANUP_MAX handlers wait already
 * Does not block.
 */
int mnet_cleanup_push(mnet_cleanup function, void *arg);

/*
 * Takes the clean-up handler back that the calling fiber has pushed last.
 *
 * - execute: 0: only that; anything else: it is called as well.
 *
 * Returns 0, or MNET_EINVAL: there is none, or the caller is no fiber. Does not block itself.
 */
int mnet_cleanup_pop(int execute);

/*
 * CHANNELS. A channel is a queue of a fixed number of items of a fixed size, which are copied in and
 * out. Whoever sends to a full one waits until there is room, whoever receives from an empty one until
 * there is an item: fibers, and the program itself, which runs fibers meanwhile.
 *
 * It is the only means of its kind here, because it contains the others. One whose items have 0 bytes
 * is a semaphore: mnet_channel_send() is its post, bounded by the capacity, and mnet_channel_receive()
 * its wait. With a capacity of 1, and sending as locking, that is a mutex; mnet_channel_finish() wakes
 * everybody, as a broadcast does. Most programs need no mutex: see mnet_spawn().
 *
 * Opens a channel for the fibers of a stack.
 *
 * - item_size: bytes of an item; may be 0.
 * - capacity: most items that wait, at least 1.
 * - memory, size: its memory until mnet_channel_close(): item_size * capacity and
 *   MNET_CHANNEL_OVERHEAD bytes. NULL, 0: from mnet_config.fiber_memory.
 *
 * Returns the channel, or
 *   MNET_EINVAL   capacity is 0, the items together are larger than memory can be, or size too small
 *   MNET_ENOMEM   mnet_config.fiber_memory has no room, or the arena none for the first channel
 *   MNET_EBUSY    a channel that exists has this memory, or the stack is entered
 *   MNET_EBADF    no such stack
 * Does not block.
 */
mnet_channel mnet_channel_open(mnet_stack stack, size_t item_size, size_t capacity, void *memory, size_t size);

/*
 * Puts an item into a channel.
 *
 * - item: what is copied; NULL if items have 0 bytes.
 * - timeout_ns: how long to wait for room, in nanoseconds; 0: not at all; negative: for ever.
 *
 * Returns 0, or
 *   MNET_EAGAIN      there was no room in that time
 *   MNET_EPIPE       mnet_channel_finish() was called: no more items go in
 *   MNET_EINVAL      item is NULL, or lies in an arena
 *   MNET_EDEADLK     nothing could ever end the wait: see mnet_join()
 *   MNET_ECANCELED   the calling fiber is canceled
 *   MNET_EBADF       no such channel, or it was closed meanwhile
 *   MNET_EBUSY
 * Waits as said. On a manual stack a caller that is no fiber does not wait: it lets fibers run once.
 */
int mnet_channel_send(mnet_channel channel, const void *item, int64_t timeout_ns);

/*
 * Takes the oldest item of a channel.
 *
 * - item: where it is copied to; NULL if items have 0 bytes.
 * - timeout_ns: how long to wait for one, in nanoseconds; 0: not at all; negative: for ever.
 *
 * Returns 0, or
 *   MNET_EAGAIN      none has come in that time
 *   MNET_EPIPE       all were taken, and mnet_channel_finish() was called: there will be no more
 *   MNET_EINVAL, MNET_EDEADLK, MNET_ECANCELED, MNET_EBADF, MNET_EBUSY as mnet_channel_send()
 * Waits as mnet_channel_send() does.
 */
int mnet_channel_receive(mnet_channel channel, void *item, int64_t timeout_ns);

/*
 * How many items wait in a channel.
 *
 * Returns the number, or MNET_EBADF or MNET_EBUSY. Does not block.
 */
int64_t mnet_channel_count(mnet_channel channel);

/*
 * Lets no more items into a channel. Those that wait can be received; after them, and to whoever sends
 * or waits to, the answer is MNET_EPIPE. Doing it again is harmless.
 *
 * Returns 0, or MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_channel_finish(mnet_channel channel);

/*
 * Closes a channel: the handle is stale, its items are lost, its memory is the caller's again. To
 * whoever waits the answer is MNET_EBADF.
 *
 * - channel: 0 and below are accepted as "none" and harmless.
 *
 * Returns 0, or MNET_EBADF or MNET_EBUSY. Does not block.
 */
int mnet_channel_close(mnet_channel channel);

/*
 * How many counters a stack has. New versions append, and the order may change with the library's
 * version. Does not block.
 */
size_t mnet_counter_count(void);

/*
 * The name of a counter, as in "ip_bad_checksum".
 *
 * - index: 0 to mnet_counter_count() - 1.
 *
 * Returns a static text, or NULL if there is no such counter. Does not block.
 */
const char *mnet_counter_name(size_t index);

/*
 * The value of a counter: how often it happened since the stack was opened.
 *
 * - index: 0 to mnet_counter_count() - 1.
 * - value: receives it.
 *
 * Returns 0, or MNET_EINVAL (no such counter, or NULL), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_counter_value(mnet_stack stack, size_t index, uint64_t *value);

/*
 * What a stack has in use.
 *
 * - usage: receives it.
 * - size: sizeof (struct mnet_usage). A shorter structure of an older version is filled as far as
 *   it goes; members that this version does not know become 0.
 *
 * Returns 0, or MNET_EINVAL (NULL), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_usage(mnet_stack stack, struct mnet_usage *usage, size_t size);

/*
 * Fills a buffer with cryptographically strong random numbers, from a generator that was seeded
 * when the stack was opened (ChaCha).
 *
 * - buf, len: what to fill.
 *
 * Returns 0, or MNET_EINVAL (NULL), MNET_EBADF, MNET_EBUSY. Does not block.
 */
int mnet_random(mnet_stack stack, void *buf, size_t len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MNET_H */
