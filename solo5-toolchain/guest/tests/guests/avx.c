/* Uses 256-bit registers if the processor says that it may, and keeps them across calls of the host. */
#include "support.h"

static void cpuid(uint32_t leaf, uint32_t *c)
{
    uint32_t a = leaf, b, d;
    *c = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(*c), "=d"(d));
}

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    uint32_t features;
    cpuid(1, &features);
    const uint32_t osxsave_and_avx = 1u << 27 | 1u << 28;
    uint32_t states = 0, high;
    if ((features & osxsave_and_avx) == osxsave_and_avx)
        __asm__ volatile("xgetbv" : "=a"(states), "=d"(high) : "c"(0));
    if ((states & 6) != 6) {
        say("no AVX\n");
        return SUCCESS();
    }
    static float a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, sum[8];
    __asm__ volatile("vmovups %0, %%ymm7" : : "m"(a) : "xmm7");
    for (int i = 0; i < 20; i++) {
        /* Out of the machine and back. */
        (void)solo5_clock_wall();
        solo5_yield(solo5_clock_monotonic() + 100000, NULL);
    }
    __asm__ volatile("vaddps %%ymm7, %%ymm7, %%ymm7\n\tvmovups %%ymm7, %0\n\tvzeroupper"
                     : "=m"(sum)
                     :
                     : "xmm7");
    for (int i = 0; i < 8; i++)
        EXPECT(sum[i] == 2 * a[i]);
    say("AVX\n");
    return SUCCESS();
}
