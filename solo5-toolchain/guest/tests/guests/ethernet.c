/* Sends every frame back to where it came from, until as many have come as the first number on the
 * command line says; without one, for ever. With `send` it sends frames of 60 bytes, for ever. It needs no other file but solo5.h. */
#include <solo5.h>

static uint8_t frame[65536 + SOLO5_NET_HLEN];

static void say(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    solo5_console_write(text, length);
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

static int fail(const char *why)
{
    say("FAILURE: ");
    say(why);
    return SOLO5_EXIT_FAILURE;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct solo5_net_info net;
    solo5_handle_t handle;
    uint64_t limit = number(info->cmdline), seen = 0;

    if (solo5_net_acquire("service", &handle, &net) != SOLO5_R_OK)
        return fail("no network\n");
    if (info->cmdline[0] == 's') {
        for (size_t i = 0; i < SOLO5_NET_ALEN; i++) {
            frame[i] = 0xff;
            frame[SOLO5_NET_ALEN + i] = net.mac_address[i];
        }
        frame[12] = 0x88;
        frame[13] = 0xb5;
        say("sending\n");
        for (;;)
            (void)solo5_net_write(handle, frame, 60);
    }
    say("echoing\n");
    while (limit == 0 || seen < limit) {
        size_t size;
        solo5_result_t result = solo5_net_read(handle, frame, sizeof frame, &size);
        if (result == SOLO5_R_AGAIN) {
            solo5_yield(solo5_clock_monotonic() + UINT64_C(1000000000), NULL);
            continue;
        }
        if (result != SOLO5_R_OK || size < SOLO5_NET_HLEN)
            return fail("no frame\n");
        for (size_t i = 0; i < SOLO5_NET_ALEN; i++) {
            frame[i] = frame[SOLO5_NET_ALEN + i];
            frame[SOLO5_NET_ALEN + i] = net.mac_address[i];
        }
        /* A frame that the host does not take is lost, as frames may be. */
        (void)solo5_net_write(handle, frame, size);
        seen++;
    }
    say("SUCCESS\n");
    return SOLO5_EXIT_SUCCESS;
}
