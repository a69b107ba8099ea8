/* Clocks move, and waiting takes as long as it should. No device. */
#include "support.h"

#define MS UINT64_C(1000000)

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    solo5_handle_set_t ready;

    solo5_time_t start = solo5_clock_monotonic();
    solo5_time_t before = start, now;
    for (int i = 0; i < 1000; i++) {
        now = solo5_clock_monotonic();
        EXPECT(now >= before);
        before = now;
    }
    EXPECT(now > start);
    /* After 2020, before 2200. */
    EXPECT(solo5_clock_wall() > UINT64_C(1577836800) * 1000 * MS);
    EXPECT(solo5_clock_wall() < UINT64_C(7258118400) * 1000 * MS);

    /* A deadline that has passed, as far as the bindings know or not. */
    ready = 7;
    solo5_yield(0, &ready);
    EXPECT(ready == 0);
    solo5_yield(now, &ready);
    solo5_yield(now + 1, NULL);
    EXPECT(solo5_clock_monotonic() - now < 1000 * MS);

    /* Deadlines that come: in order, out of order, and the same one twice. */
    for (int i = 0; i < 5; i++) {
        solo5_time_t deadline = solo5_clock_monotonic() + 20 * MS;
        ready = 7;
        solo5_yield(deadline, &ready);
        now = solo5_clock_monotonic();
        EXPECT(ready == 0);
        EXPECT(now >= deadline);
        EXPECT(now < deadline + 1000 * MS);
        solo5_yield(deadline, &ready);
        EXPECT(solo5_clock_monotonic() < now + 1000 * MS);
    }
    solo5_time_t late = solo5_clock_monotonic() + 60000 * MS;
    solo5_time_t early = solo5_clock_monotonic() + 10 * MS;
    solo5_yield(0, NULL);
    solo5_yield(early, NULL);
    now = solo5_clock_monotonic();
    EXPECT(now >= early && now < late - 10000 * MS);
    return SUCCESS();
}
