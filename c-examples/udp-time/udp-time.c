/*
 * What time it is, over UDP: for clients of NTP (RFC 5905, as a server whose clock is its host's), and by the Time
 * Protocol (RFC 868).
 *
 * An answer is never longer than its question, so nobody is flooded by questions in his name. See README.md for what to
 * type.
 */
#include <mnet_program.h>

#define EVENTS 8
/* Seconds from 1900, when both protocols begin to count, to 1970. */
#define SECONDS_TO_1970 UINT64_C(2208988800)
#define SECOND UINT64_C(1000000000)

static void put32(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (24 - 8 * i));
}

/* --------------------------------------------------------------------------------------------------------- NTP --- */

/* RFC 5905 section 7.3: the header, by the offset of each part. */
enum {
    FLAGS = 0,
    STRATUM = 1,
    POLL = 2,
    PRECISION = 3,
    ROOT_DELAY = 4,
    ROOT_DISPERSION = 8,
    REFERENCE_ID = 12,
    REFERENCE_TIME = 16,
    ORIGIN_TIME = 24,
    RECEIVE_TIME = 32,
    TRANSMIT_TIME = 40,
    NTP_SIZE = 48,
};

enum { MODE_CLIENT = 3, MODE_SERVER = 4 };

static uint64_t stratum = 10;

/* A time in seconds since 1900, modulo 2^32, and the fraction of a second in 2^-32. */
static void put_timestamp(uint8_t *to, uint64_t wall)
{
    put32(to, (uint32_t)(wall / SECOND + SECONDS_TO_1970));
    put32(to + 4, (uint32_t)(((wall % SECOND) << 32) / SECOND));
}

/* Makes the answer to a question, in place. Its length; 0: it gets none. */
static size_t answer_ntp(uint8_t *packet, size_t length)
{
    uint64_t arrived = solo5_clock_wall();
    unsigned version = packet[FLAGS] >> 3 & 7;
    /* Only clients: two servers that answer each other would never stop. */
    if (length < NTP_SIZE || (packet[FLAGS] & 7) != MODE_CLIENT || version < 1 || version > 4)
        return 0;
    packet[FLAGS] = (uint8_t)(version << 3 | MODE_SERVER);
    packet[STRATUM] = (uint8_t)stratum;
    /* POLL stays the client's. 2^-20 s: about a microsecond. */
    packet[PRECISION] = (uint8_t)-20;
    put32(packet + ROOT_DELAY, 0);
    /* How wrong the host is, nobody knows: 10 ms, in 2^-16 s. */
    put32(packet + ROOT_DISPERSION, 655);
    /* Stratum 1 names a kind of clock, others the address of who they have it from: this machine. */
    put32(packet + REFERENCE_ID, stratum == 1 ? 0x4c4f434c /* LOCL */ : 0x7f000001);
    put_timestamp(packet + REFERENCE_TIME, arrived);
    for (int i = 0; i < 8; i++)
        packet[ORIGIN_TIME + i] = packet[TRANSMIT_TIME + i];
    put_timestamp(packet + RECEIVE_TIME, arrived);
    put_timestamp(packet + TRANSMIT_TIME, solo5_clock_wall());
    return NTP_SIZE;
}

/* ------------------------------------------------------------------------------------------------ Time Protocol --- */

/* RFC 868: whatever is asked, the seconds since 1900. A question shorter than the answer is what clients send. */
static size_t answer_time(uint8_t *packet, size_t length)
{
    (void)length;
    put32(packet, (uint32_t)(solo5_clock_wall() / SECOND + SECONDS_TO_1970));
    return 4;
}

/* -------------------------------------------------------------------------------------------------------- main --- */

/* A socket, and how what comes there is answered. */
static struct service {
    mnet_fd socket;
    size_t (*answer)(uint8_t *packet, size_t length);
} services[4];
static size_t service_count;

/* Answers all that waits, from the address that was asked. */
static void serve(const struct service *service)
{
    static uint8_t packet[NTP_SIZE];
    for (;;) {
        struct mnet_datagram question = { .size = sizeof question };
        int64_t length = mnet_recvmsg(service->socket, packet, sizeof packet, &question);
        if (length == MNET_EAGAIN)
            return;
        if (length < 0)
            continue; /* An error about an earlier answer: nobody's concern. */
        /* Nobody else's service, which might answer in turn. */
        if (question.remote.port < 1024 && service->answer == answer_time)
            continue;
        size_t size = service->answer(packet, (size_t)length);
        struct mnet_datagram answer = { .size = sizeof answer, .remote = question.remote, .local = question.local };
        if (size > 0)
            mnet_sendmsg(service->socket, packet, size, &answer);
    }
}

/* Opens a service at all addresses. */
static int begin_service(const struct mnet_args *args, mnet_stack stack, uint64_t port, const char *name,
                         size_t (*answer)(uint8_t *packet, size_t length))
{
    struct mnet_addr local[2];
    size_t count = mnet_local_addresses(args, port, local);
    for (size_t i = 0; i < count; i++) {
        char address[64];
        mnet_fd socket = mnet_udp_bind(stack, &local[i]);
        if (socket < 0)
            return mnet_fail(args, "cannot open a socket", socket);
        services[service_count].socket = socket;
        services[service_count++].answer = answer;
        mnet_addr_format(&local[i], address, sizeof address);
        mnet_print("udp-time: %s at %s\n", name, address);
    }
    return SOLO5_EXIT_SUCCESS;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uint64_t port = 123, time_port = 37;
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port of NTP; default 123" },
        { .name = "time-port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &time_port, .min = 1,
          .max = 65535, .help = "the port of the Time Protocol; default 37" },
        { .name = "stratum", .kind = MNET_OPTION_NUMBER, .value = &stratum, .min = 1, .max = 15,
          .help = "how far from a clock that is right clients shall take this one to be; default 10" },
    };
    struct mnet_args args;
    struct mnet_config config;

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "udp-time", "Tells the time, by NTP and by the Time Protocol.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;
    config.flags |= MNET_CONFIG_NONBLOCKING;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);
    if (begin_service(&args, stack, port, "NTP", answer_ntp) != SOLO5_EXIT_SUCCESS
        || begin_service(&args, stack, time_port, "the Time Protocol", answer_time) != SOLO5_EXIT_SUCCESS)
        return SOLO5_EXIT_FAILURE;

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t ready = mnet_events(stack, events, EVENTS, -1);
        if (ready < 0)
            return mnet_fail(&args, "the network failed", ready);
        for (int64_t i = 0; i < ready; i++)
            for (size_t j = 0; j < service_count; j++)
                if (services[j].socket == events[i].fd)
                    serve(&services[j]);
    }
}
