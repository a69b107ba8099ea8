/* Sends every frame back to where it came from, until as many have come as the first number on the
 * command line says; without one, for ever. The second number is how many nanoseconds a wait is. */
#include "support.h"

static uint8_t frame[65536 + SOLO5_NET_HLEN];

static uint64_t number(const char **text)
{
    uint64_t value = 0;
    while (**text >= '0' && **text <= '9')
        value = value * 10 + (uint64_t)(*(*text)++ - '0');
    while (**text == ' ')
        (*text)++;
    return value;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct solo5_net_info net;
    solo5_handle_t handle;
    const char *text = info->cmdline;
    uint64_t limit = number(&text), wait = number(&text), seen = 0;

    if (wait == 0)
        wait = UINT64_C(1000000000);
    EXPECT(solo5_net_acquire("service", &handle, &net) == SOLO5_R_OK);
    EXPECT(net.mtu + SOLO5_NET_HLEN <= sizeof frame);
    say("echoing\n");
    while (limit == 0 || seen < limit) {
        size_t size;
        solo5_result_t result = solo5_net_read(handle, frame, sizeof frame, &size);
        if (result == SOLO5_R_AGAIN) {
            solo5_yield(solo5_clock_monotonic() + wait, NULL);
            continue;
        }
        EXPECT(result == SOLO5_R_OK && size >= SOLO5_NET_HLEN);
        for (size_t i = 0; i < SOLO5_NET_ALEN; i++) {
            frame[i] = frame[SOLO5_NET_ALEN + i];
            frame[SOLO5_NET_ALEN + i] = net.mac_address[i];
        }
        /* A frame that the host does not take is lost, as frames may be. */
        (void)solo5_net_write(handle, frame, size);
        seen++;
    }
    return SUCCESS();
}
