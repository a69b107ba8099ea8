/* Packed and scalar floating point. */
#include "support.h"

typedef float vector __attribute__((vector_size(16)));

int solo5_app_main(const struct solo5_start_info *info)
{
    volatile float one = info->cmdline[0] == '\0' ? 1.0f : 2.0f;
    vector a = { one, one * 2, one * 3, one * 4 };
    vector b = a * a + a;
    EXPECT(b[0] == 2.0f && b[1] == 6.0f && b[2] == 12.0f && b[3] == 20.0f);
    volatile double half = (double)one / 2.0;
    EXPECT(half * half == 0.25);
    return SUCCESS();
}
