/*
 * Tests of c-examples/block/store.c on Linux, with sanitizers, on a device that fails when it is told to.
 *
 * A script of calls is run against a model that has what was acknowledged. It is ended at every single write, before it
 * and in the middle of it, and again while the store recovers from that; whatever is opened afterwards must have what
 * the model has, or that and the call that was under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define CHECK(condition, ...)                                     \
    do {                                                          \
        if (!(condition)) {                                       \
            printf("line %d: %s: ", __LINE__, #condition);        \
            printf(__VA_ARGS__);                                  \
            printf("\n");                                         \
            exit(1);                                              \
        }                                                         \
    } while (0)

/* ------------------------------------------------------------------------------------------------------ device --- */

struct disk {
    uint32_t block_size;
    uint64_t blocks;
    uint8_t *bytes;
    /* Writes until it stops for ever, and how much of the block it still writes then. */
    long left;
    size_t torn;
    long writes;
};

static int disk_read(void *context, uint64_t block, uint8_t *data)
{
    struct disk *disk = context;
    CHECK(block < disk->blocks, "reads block %lu", (unsigned long)block);
    memcpy(data, disk->bytes + block * disk->block_size, disk->block_size);
    return 0;
}

static int disk_write(void *context, uint64_t block, const uint8_t *data)
{
    struct disk *disk = context;
    CHECK(block < disk->blocks, "writes block %lu", (unsigned long)block);
    if (disk->left <= 0) {
        if (disk->left == 0)
            memcpy(disk->bytes + block * disk->block_size, data, disk->torn);
        disk->left = -1;
        return -1;
    }
    disk->left--;
    disk->writes++;
    memcpy(disk->bytes + block * disk->block_size, data, disk->block_size);
    return 0;
}

static struct disk new_disk(uint32_t block_size, uint64_t blocks)
{
    struct disk disk = { block_size, blocks, calloc(blocks + 1, block_size), 1000000000, 0, 0 };
    return disk;
}

static struct store store;

static int open_disk(struct disk *disk, int flags)
{
    struct store_device device = { disk, disk->block_size, disk->blocks, disk_read, disk_write };
    return store_open(&store, &device, flags, 4711);
}

/* ------------------------------------------------------------------------------------------------------- model --- */

enum { NAMES = 24 };

/* What each key has: the seed of its value; 0: nothing. */
struct model {
    unsigned seeds[NAMES];
};

static size_t value_of(unsigned seed, char *value)
{
    /* Short ones, and some of many blocks. */
    size_t length = seed % 7 == 0 ? seed * 37 % 3500 : seed * 31 % 60;
    for (size_t i = 0; i < length; i++)
        value[i] = (char)(seed * 7 + i * (seed % 5 + 1));
    return length;
}

static size_t key_of(int name, char *key)
{
    return (size_t)sprintf(key, "%.*s%d", name % 3 * 10, "a-long-name-in-front-of-it", name);
}

/* Whether the store has exactly what the model has. */
static int is_as(const struct model *model)
{
    static char got[STORE_VALUE_MAX], wanted[STORE_VALUE_MAX];
    char key[64];
    uint32_t count = 0;
    for (int name = 0; name < NAMES; name++) {
        size_t key_length = key_of(name, key), length = 0;
        int result = store_get(&store, key, key_length, got, &length);
        if ((result == STORE_OK) != (model->seeds[name] != 0) || (result != STORE_OK && result != STORE_NOT_FOUND))
            return 0;
        if (result != STORE_OK)
            continue;
        count++;
        if (length != value_of(model->seeds[name], wanted) || memcmp(got, wanted, length) != 0)
            return 0;
    }
    return count == store.count;
}

static uint64_t random_state;

static unsigned random_below(unsigned bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % bound;
}

/* One call; before it is known how it ends, the model has what would be. Returns the result. */
static int step(struct model *model)
{
    static char value[STORE_VALUE_MAX];
    char key[64];
    int name = (int)random_below(NAMES);
    size_t key_length = key_of(name, key);
    if (random_below(4) == 0) {
        int there = model->seeds[name] != 0;
        model->seeds[name] = 0;
        int result = store_delete(&store, key, key_length);
        return !there && result == STORE_NOT_FOUND ? STORE_OK : result;
    }
    unsigned before = model->seeds[name], seed = 1 + random_below(100000);
    model->seeds[name] = seed;
    int result = store_put(&store, key, key_length, value, value_of(seed, value));
    if (result == STORE_FULL) {
        model->seeds[name] = before;
        return STORE_OK;
    }
    return result;
}

/* ------------------------------------------------------------------------------------------------------- tests --- */

enum { STEPS = 150, DISK_BLOCKS = 121 };

/* Runs the script from the beginning; what the model was before the call that failed, and what after. */
static int run(struct disk *disk, unsigned seed, struct model *before, struct model *after)
{
    memset(after, 0, sizeof *after);
    *before = *after;
    random_state = seed;
    int result = open_disk(disk, 0);
    for (int i = 0; i < STEPS && result == STORE_OK; i++) {
        *before = *after;
        result = step(after);
    }
    if (result == STORE_OK)
        *before = *after;
    return result;
}

static void every_end(unsigned seed, uint32_t block_size)
{
    struct model before, after;
    struct disk whole = new_disk(block_size, DISK_BLOCKS);
    CHECK(run(&whole, seed, &before, &after) == STORE_OK && is_as(&after), "seed %u", seed);
    CHECK(store.generation > 2, "it was never compacted: %lu", (unsigned long)store.generation);
    static const size_t TORN[] = { 0, 1, 31, 32, 100, 511 };
    for (long writes = 0; writes < whole.writes; writes++) {
        size_t torn = TORN[(size_t)writes % (sizeof TORN / sizeof TORN[0])];
        struct disk disk = new_disk(block_size, DISK_BLOCKS);
        disk.left = writes;
        disk.torn = torn;
        CHECK(run(&disk, seed, &before, &after) == STORE_DEVICE_FAILED, "%ld writes", writes);
        char value[1] = { 0 };
        CHECK(store.failed == 0 || store_put(&store, "k", 1, value, 1) != STORE_OK, "writes after a failure");
        /* Opening it writes, too: let that end at every write. */
        uint8_t *image = malloc(block_size * DISK_BLOCKS);
        memcpy(image, disk.bytes, block_size * DISK_BLOCKS);
        for (long again = 0;; again++) {
            memcpy(disk.bytes, image, block_size * DISK_BLOCKS);
            disk.left = again;
            disk.torn = torn;
            int result = open_disk(&disk, 0);
            /* A superblock that was written in part is nothing of ours: nothing was acknowledged. */
            if (result == STORE_FOREIGN || result == STORE_DAMAGED) {
                static const struct model NOTHING;
                CHECK(memcmp(&before, &NOTHING, sizeof before) == 0 && writes <= 3, "%ld writes: %s", writes,
                      store_text(result));
                break;
            }
            if (result == STORE_OK) {
                CHECK(is_as(&before) || is_as(&after), "%ld writes, then %ld", writes, again);
                break;
            }
            CHECK(result == STORE_DEVICE_FAILED, "%ld, then %ld: %s", writes, again, store_text(result));
            disk.left = 1000000000;
            result = open_disk(&disk, 0);
            if (result != STORE_OK) {
                CHECK(writes <= 3, "%ld, then %ld: %s", writes, again, store_text(result));
                continue;
            }
            CHECK(is_as(&before) || is_as(&after), "%ld writes, then %ld, then all", writes, again);
        }
        /* And it goes on from there. */
        disk.left = 1000000000;
        if (open_disk(&disk, 0) == STORE_OK) {
            struct model now = is_as(&before) ? before : after;
            for (int i = 0; i < 40; i++) {
                CHECK(step(&now) == STORE_OK, "after %ld writes", writes);
                /* What is left of the record that lacks its end must not come to light again behind a short one. */
                if (i < 4)
                    CHECK(open_disk(&disk, 0) == STORE_OK && is_as(&now), "%d calls after %ld writes", i, writes);
            }
            CHECK(is_as(&now), "after %ld writes", writes);
            CHECK(open_disk(&disk, 0) == STORE_OK && is_as(&now), "again after %ld writes", writes);
        }
        free(image);
        free(disk.bytes);
    }
    free(whole.bytes);
}

/* A byte changes: it is noticed, or it was in the last record, or in nothing that counts. */
static void every_damage(unsigned seed)
{
    struct model before, after;
    struct disk disk = new_disk(512, DISK_BLOCKS);
    CHECK(run(&disk, seed, &before, &after) == STORE_OK, "seed %u", seed);
    /* So that the script ends with a call that has written. */
    while (memcmp(&before, &after, sizeof after) == 0) {
        before = after;
        step(&after);
    }
    uint8_t *image = malloc(512 * DISK_BLOCKS);
    memcpy(image, disk.bytes, 512 * DISK_BLOCKS);
    int noticed = 0, lost = 0, untouched = 0, salvaged = 0;
    for (int block = 0; block < DISK_BLOCKS; block++)
        for (int round = 0; round < 8; round++) {
            memcpy(disk.bytes, image, 512 * DISK_BLOCKS);
            disk.bytes[block * 512 + (int)random_below(512)] ^= (uint8_t)(1 + random_below(255));
            int result = open_disk(&disk, 0);
            if (result == STORE_OK) {
                int all = is_as(&after);
                CHECK(all || is_as(&before), "block %d", block);
                untouched += all;
                lost += !all;
                continue;
            }
            noticed++;
            CHECK(result == STORE_DAMAGED || (result == STORE_FOREIGN && block == 0), "block %d: %s", block,
                  store_text(result));
            /* What is left can be had, and is not damaged any more. Without its superblock it is nothing of ours. */
            int salvage = open_disk(&disk, STORE_SALVAGE);
            CHECK(salvage == STORE_OK || block == 0, "block %d: %s", block, store_text(salvage));
            CHECK((block - 1) % 60 != 0 || block == 0 || is_as(&after), "without the header in block %d", block);
            if (salvage == STORE_OK) {
                salvaged++;
                CHECK(store.count > 0, "block %d", block);
                CHECK(open_disk(&disk, 0) == STORE_OK, "block %d", block);
                char key[64];
                static char value[STORE_VALUE_MAX];
                for (int name = 0; name < NAMES; name++) {
                    size_t length, key_length = key_of(name, key);
                    result = store_get(&store, key, key_length, value, &length);
                    CHECK(result == STORE_OK || result == STORE_NOT_FOUND, "block %d", block);
                }
            }
        }
    CHECK(noticed > 50 && lost > 0 && untouched > 50 && salvaged > 50, "%d %d %d %d", noticed, lost, untouched, salvaged);
    /* Damage while it is open is noticed by who reads. */
    memcpy(disk.bytes, image, 512 * DISK_BLOCKS);
    CHECK(open_disk(&disk, 0) == STORE_OK, "whole");
    memset(disk.bytes + 512, 0x55, 512 * (DISK_BLOCKS - 1));
    char key[64], value[STORE_VALUE_MAX];
    size_t length, key_length = key_of(0, key);
    for (int name = 0; name < NAMES; name++) {
        key_length = key_of(name, key);
        int result = store_get(&store, key, key_length, value, &length);
        CHECK(result == (after.seeds[name] ? STORE_DAMAGED : STORE_NOT_FOUND), "%s", store_text(result));
    }
    free(image);
    free(disk.bytes);
}

static void sizes(void)
{
    static char value[STORE_VALUE_MAX + 1];
    for (uint64_t blocks = 0; blocks < 70; blocks++) {
        struct disk disk = new_disk(512, blocks);
        int result = open_disk(&disk, 0);
        CHECK(result == (blocks < STORE_BLOCKS_MIN ? STORE_TOO_SMALL : STORE_OK), "%lu blocks", (unsigned long)blocks);
        if (result == STORE_OK) {
            CHECK(store_put(&store, "k", 1, value, STORE_VALUE_MAX) == STORE_OK, "%lu blocks", (unsigned long)blocks);
            CHECK(open_disk(&disk, 0) == STORE_OK && store.count == 1, "%lu blocks", (unsigned long)blocks);
        }
        free(disk.bytes);
    }
    for (uint32_t block_size = 256; block_size <= 16384; block_size *= 2) {
        struct disk disk = new_disk(block_size, 64);
        int good = block_size >= 512 && block_size <= STORE_BLOCK_MAX;
        CHECK(open_disk(&disk, 0) == (good ? STORE_OK : STORE_BLOCK_SIZE), "blocks of %u", block_size);
        free(disk.bytes);
    }
    /* A device that has grown, one that has shrunk, one whose blocks have another size. */
    struct disk disk = new_disk(512, 200);
    disk.blocks = 100;
    CHECK(open_disk(&disk, 0) == STORE_OK && store_put(&store, "k", 1, "v", 1) == STORE_OK, "100 blocks");
    disk.blocks = 200;
    CHECK(open_disk(&disk, 0) == STORE_OK && store.count == 1, "grown");
    disk.blocks = 99;
    CHECK(open_disk(&disk, 0) == STORE_OK && store.count == 1, "one less, of an odd number");
    disk.blocks = 98;
    CHECK(open_disk(&disk, 0) == STORE_TOO_SMALL, "shrunk");
    disk.blocks = 50;
    disk.block_size = 1024;
    CHECK(open_disk(&disk, 0) == STORE_FOREIGN, "other blocks");
    free(disk.bytes);
    /* Something else, and what is made of it when that is wanted. */
    disk = new_disk(512, 100);
    memset(disk.bytes + 3 * 512, 'x', 512);
    CHECK(open_disk(&disk, 0) == STORE_FOREIGN, "something else");
    CHECK(open_disk(&disk, STORE_FORMAT) == STORE_OK && store.count == 0, "made new");
    CHECK(store_put(&store, "k", 1, "v", 1) == STORE_OK && open_disk(&disk, 0) == STORE_OK && store.count == 1, "kept");
    /* Made new with another number: nothing of the old one is found. */
    struct store_device device = { &disk, 512, 100, disk_read, disk_write };
    CHECK(store_open(&store, &device, STORE_FORMAT, 4712) == STORE_OK && store.count == 0, "made new again");
    CHECK(open_disk(&disk, 0) == STORE_OK && store.count == 0, "still new");
    /* What is not allowed. */
    CHECK(store_put(&store, "", 0, "v", 1) == STORE_INVALID, "no key");
    CHECK(store_put(&store, value, STORE_KEY_MAX + 1, "v", 1) == STORE_INVALID, "a long key");
    CHECK(store_put(&store, "k", 1, value, STORE_VALUE_MAX + 1) == STORE_INVALID, "a long value");
    free(disk.bytes);
}

static void full(void)
{
    struct disk disk = new_disk(512, 101);
    static char value[STORE_VALUE_MAX];
    char key[64];
    int count = 0;
    size_t length;
    CHECK(open_disk(&disk, 0) == STORE_OK, "new");
    for (;; count++) {
        size_t key_length = (size_t)sprintf(key, "%d", count);
        int result = store_put(&store, key, key_length, value, 1000);
        if (result == STORE_FULL)
            break;
        CHECK(result == STORE_OK && count < 50, "%s", store_text(result));
    }
    CHECK(count == 12, "%d of 3 blocks in 49", count);
    /* What is there can still be changed, and taken away, ever again. */
    for (int i = 0; i < 500; i++) {
        size_t key_length = (size_t)sprintf(key, "%d", i % count);
        CHECK(store_put(&store, key, key_length, value, 1000) == STORE_OK, "change %d", i);
    }
    for (int i = 0; i < 500; i++) {
        CHECK(store_delete(&store, "0", 1) == STORE_OK && store_put(&store, "0", 1, value, 1000) == STORE_OK, "%d", i);
    }
    CHECK(store_put(&store, "another", 7, value, 1000) == STORE_FULL, "full");
    CHECK(store_delete(&store, "0", 1) == STORE_OK && store_delete(&store, "0", 1) == STORE_NOT_FOUND, "gone");
    CHECK(store_put(&store, "another", 7, value, 1000) == STORE_OK, "room again");
    CHECK(store_get(&store, "another", 7, value, &length) == STORE_OK && length == 1000, "there");
    free(disk.bytes);
    /* As many keys as there can be. */
    disk = new_disk(512, 2 * STORE_KEYS * 2);
    CHECK(open_disk(&disk, 0) == STORE_OK, "new");
    for (int i = 0; i < STORE_KEYS; i++)
        CHECK(store_put(&store, key, (size_t)sprintf(key, "%d", i), "v", 1) == STORE_OK, "%d", i);
    CHECK(store_put(&store, "x", 1, "v", 1) == STORE_FULL && store_put(&store, "0", 1, "w", 1) == STORE_OK, "keys");
    CHECK(open_disk(&disk, 0) == STORE_OK && store.count == STORE_KEYS, "all keys");
    const struct store_entry *entry = NULL;
    int listed = 0;
    while ((entry = store_after(&store, entry ? entry->key : NULL, entry ? entry->key_length : 0)) != NULL)
        listed++;
    CHECK(listed == STORE_KEYS, "%d keys listed", listed);
    free(disk.bytes);
}

/* Puts a value of a length, which is the key over and over; or takes the key away if it is negative. */
static int change(const char *key, int length)
{
    static char value[STORE_VALUE_MAX];
    for (int i = 0; i < length; i++)
        value[i] = key[0];
    return length < 0 ? store_delete(&store, key, 1) : store_put(&store, key, 1, value, (size_t)length);
}

/*
 * A log is written anew and ended in the middle of that, twice, at every write; then it has become shorter, and is
 * written anew to its end. What the first two times have left behind it must not come to light again.
 */
static void remains(void)
{
    static const size_t TORN[] = { 0, 1, 40, 511 };
    static const char KEYS[][2] = { "a", "b", "c", "d", "e", "f" };
    int finished = 0, finished_again = 0, reached = 0;
    for (int first = 0; first < 14; first++)
        for (int second = 0; second < 14; second++)
            for (int torn = 0; torn < 4; torn++) {
                struct disk disk = new_disk(512, STORE_BLOCKS_MIN);
                CHECK(open_disk(&disk, 0) == STORE_OK && store.area_blocks == 16, "%u blocks", store.area_blocks);
                for (int i = 0; i < 6; i++)
                    CHECK(change(KEYS[i], 10) == STORE_OK, "%s", KEYS[i]);
                while (store.next < 14)
                    CHECK(change("a", 10) == STORE_OK, "changed");
                /* Two blocks are left: not enough for this one, so the others are written anew. */
                disk.left = first;
                disk.torn = TORN[torn];
                int result = change("x", 1000);
                CHECK(result == STORE_OK || result == STORE_DEVICE_FAILED, "%s", store_text(result));
                finished += result == STORE_OK;
                disk.left = 1000000000;
                CHECK(open_disk(&disk, 0) == STORE_OK, "%d writes", first);
                if (store.next != 14) {
                    free(disk.bytes);
                    continue;
                }
                CHECK(change("f", -1) == STORE_OK && store.next == 15, "f is taken away");
                disk.left = second;
                disk.torn = TORN[3 - torn];
                result = change("x", 1000);
                CHECK(result == STORE_OK || result == STORE_DEVICE_FAILED, "%s", store_text(result));
                finished_again += result == STORE_OK;
                disk.left = 1000000000;
                CHECK(open_disk(&disk, 0) == STORE_OK, "%d writes, then %d", first, second);
                if (store.next != 15) {
                    free(disk.bytes);
                    continue;
                }
                CHECK(change("e", -1) == STORE_OK && store.next == 16, "full");
                CHECK(change("y", 10) == STORE_OK && store.next == 6, "%u", store.next);
                result = open_disk(&disk, 0);
                CHECK(result == STORE_OK, "%d writes, then %d: %s", first, second, store_text(result));
                CHECK(store.count == 5, "%u keys instead of 5: %d writes, then %d", store.count, first, second);
                reached++;
                free(disk.bytes);
            }
    CHECK(finished > 0 && finished_again > 0 && reached >= 100, "%d and %d came to the end, %d were both cut short",
          finished, finished_again, reached);
}

/* Devices of anything: never anything but an answer. */
static void anything(void)
{
    struct disk disk = new_disk(512, 64);
    struct model before, after;
    for (unsigned round = 0; round < 2000; round++) {
        disk.left = 1000000000;
        memset(disk.bytes, 0, 512 * 64);
        if (round % 2 == 0) {
            run(&disk, round, &before, &after);
            for (unsigned i = random_below(200); i > 0; i--)
                disk.bytes[random_below(512 * 64)] = (uint8_t)random_below(256);
        } else {
            for (int i = 0; i < 512 * 64; i++)
                disk.bytes[i] = (uint8_t)random_below(256);
        }
        int result = open_disk(&disk, round % 3 == 0 ? STORE_SALVAGE : 0);
        CHECK(result != STORE_DEVICE_FAILED && result <= STORE_OK, "%d", result);
        if (result == STORE_OK)
            for (int i = 0; i < 10; i++)
                step(&after);
    }
    free(disk.bytes);
}

int main(void)
{
    sizes();
    full();
    remains();
    for (unsigned seed = 1; seed <= 4; seed++)
        every_end(seed, seed % 2 == 0 ? 512 : 1024);
    for (unsigned seed = 1; seed <= 4; seed++)
        every_damage(seed);
    anything();
    printf("all right\n");
    return 0;
}
