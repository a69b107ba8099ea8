/*
 * Keys and values on a block device, so that what was acknowledged is there after every end of the program.
 *
 * What lies where is written in README.md. Nothing here knows of Solo5: the device is a structure of functions, so that
 * the tests can let it fail at every write.
 */
#ifndef STORE_H
#define STORE_H

#include <stddef.h>
#include <stdint.h>

/* Sizes in bytes, and how many keys there can be at most. */
#define STORE_KEY_MAX 64
#define STORE_VALUE_MAX 4096
#define STORE_KEYS 4096
/* Sizes of blocks that the store can be on: from 512. */
#define STORE_BLOCK_MAX 4096
/* Fewest blocks of a device. */
#define STORE_BLOCKS_MIN 33

enum store_result {
    STORE_OK = 0,
    /* There is no such key. */
    STORE_NOT_FOUND = -1,
    /* The device has no room for it, or there are STORE_KEYS keys. Nothing was changed. */
    STORE_FULL = -2,
    /* A key or a value is too long, or the key is empty. */
    STORE_INVALID = -3,
    /* The device has failed to read or write. After a failure to write nothing more is written. */
    STORE_DEVICE_FAILED = -4,
    /* What was read is not what was written: see store.damaged. */
    STORE_DAMAGED = -5,
    /* There is something else on the device. */
    STORE_FOREIGN = -6,
    /* It has too few blocks, or fewer than when the store was made. */
    STORE_TOO_SMALL = -7,
    /* Its blocks are larger than STORE_BLOCK_MAX, or not as large as when the store was made. */
    STORE_BLOCK_SIZE = -8,
};

/* A device of some number of blocks. The functions return 0, or something else if it has failed. */
struct store_device {
    void *context;
    uint32_t block_size;
    uint64_t blocks;
    int (*read)(void *context, uint64_t block, uint8_t *data);
    int (*write)(void *context, uint64_t block, const uint8_t *data);
};

struct store_entry {
    /* Where its record begins: the number of a block in the area, and after a move, of the other area. */
    uint32_t block, moved;
    uint16_t value_length;
    uint8_t key_length;
    char key[STORE_KEY_MAX];
};

struct store {
    struct store_device device;
    /* Which store this is, and which of its logs is read and written: that of generation, in the area 0 or 1. */
    uint64_t id, generation;
    /* The newest generation that was ever written, or begun. */
    uint64_t newest;
    uint32_t area, area_blocks;
    /* Where the next record goes, and blocks of the records of all entries. */
    uint32_t next, live;
    int failed;
    /* The block of the device that is damaged, after STORE_DAMAGED. */
    uint64_t damaged;
    /* Entries by number: order[0] to order[count - 1] in the order of their keys; then those that are free. */
    uint32_t count;
    uint16_t order[STORE_KEYS];
    struct store_entry entries[STORE_KEYS];
};

/* store_open(): make a new store, whatever is on the device. */
#define STORE_FORMAT 1
/* store_open(): go on with what can be read of a damaged one; keys may be missing, or have old values. */
#define STORE_SALVAGE 2

/*
 * Opens the store of a device. A device whose beginning is all zero becomes a new one.
 *
 * - id: a number for a new store, which no store on this device had: the time will do.
 *
 * Returns STORE_OK, STORE_DEVICE_FAILED, STORE_DAMAGED, STORE_FOREIGN, STORE_TOO_SMALL or STORE_BLOCK_SIZE.
 */
int store_open(struct store *store, const struct store_device *device, int flags, uint64_t id);

/*
 * Gets a value: value has room for STORE_VALUE_MAX bytes. Returns STORE_OK, STORE_NOT_FOUND, STORE_DEVICE_FAILED or
 * STORE_DAMAGED.
 */
int store_get(struct store *store, const char *key, size_t key_length, char *value, size_t *value_length);

/*
 * Gives a key a value. When it returns STORE_OK the device has taken it. Also returns STORE_FULL, STORE_INVALID,
 * STORE_DEVICE_FAILED or STORE_DAMAGED.
 */
int store_put(struct store *store, const char *key, size_t key_length, const char *value, size_t value_length);

/* Takes a key away. As store_put(), and STORE_NOT_FOUND. */
int store_delete(struct store *store, const char *key, size_t key_length);

/* The first entry whose key is greater than this one, in the order of bytes; NULL: there is none. Length 0: the first. */
const struct store_entry *store_after(const struct store *store, const char *key, size_t key_length);

/* What a result means. */
const char *store_text(int result);

#endif /* STORE_H */
