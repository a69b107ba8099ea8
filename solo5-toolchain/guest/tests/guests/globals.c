/* Data of every kind is where it belongs: initialised, zeroed, common, constant. */
#include "support.h"

static char text[] = "initialised";
static char zeroed[70000];
char common[5000] __attribute__((common));
static const char *const pointers[] = { "one", "two" };

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    EXPECT(same(text, "initialised"));
    text[0] = 'I';
    EXPECT(same(text, "Initialised"));
    for (size_t i = 0; i < sizeof zeroed; i++)
        EXPECT(zeroed[i] == 0);
    for (size_t i = 0; i < sizeof common; i++)
        EXPECT(common[i] == 0);
    zeroed[sizeof zeroed - 1] = common[sizeof common - 1] = 1;
    EXPECT(same(pointers[1], "two"));
    return SUCCESS();
}
