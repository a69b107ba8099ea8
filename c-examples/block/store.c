/* Keys and values on a block device: see store.h, and README.md for what lies where. */
#include "store.h"

#define VERSION 1
/* The head of every block: checksum, kind, store, generation, number, zero. */
#define HEAD 32
/* The head of a record: operation, length of the key, length of the value, zero. */
#define RECORD_HEAD 8

enum kind {
    SUPERBLOCK = 0x4b56530a,
    AREA_HEADER = 0x4b564801,
    RETIRED_HEADER = 0x4b564802,
    RECORD = 0x4b565201,
    CONTINUATION = 0x4b565202,
};

enum operation {
    PUT = 1,
    DELETE = 2,
};

/* ------------------------------------------------------------------------------------------------------- bytes --- */

static void put32(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (8 * i));
}

static void put64(uint8_t *to, uint64_t number)
{
    put32(to, (uint32_t)number);
    put32(to + 4, (uint32_t)(number >> 32));
}

static uint32_t get32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static uint64_t get64(const uint8_t *from)
{
    return get32(from) | (uint64_t)get32(from + 4) << 32;
}

/* CRC-32 as Ethernet has it, which notices every error of up to 32 bits in a row. */
static uint32_t checksum(const uint8_t *bytes, size_t length)
{
    static uint32_t table[256];
    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t entry = i;
            for (int bit = 0; bit < 8; bit++)
                entry = entry >> 1 ^ (entry & 1 ? 0xedb88320 : 0);
            table[i] = entry;
        }
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < length; i++)
        sum = sum >> 8 ^ table[(sum ^ bytes[i]) & 0xff];
    return ~sum;
}

static int compare(const char *left, size_t left_length, const char *right, size_t right_length)
{
    size_t length = left_length < right_length ? left_length : right_length;
    for (size_t i = 0; i < length; i++)
        if (left[i] != right[i])
            return (unsigned char)left[i] < (unsigned char)right[i] ? -1 : 1;
    return left_length == right_length ? 0 : left_length < right_length ? -1 : 1;
}

/* ------------------------------------------------------------------------------------------------------ blocks --- */

/* One block at a time is read or written. */
static uint8_t block[STORE_BLOCK_MAX];

static uint64_t block_of(const struct store *store, uint32_t area, uint32_t number)
{
    return 1 + (uint64_t)area * store->area_blocks + number;
}

/* Puts the head on what is in block, and writes that. */
static int write_block(struct store *store, uint64_t at, enum kind kind, uint64_t generation, uint32_t number)
{
    put32(block + 4, kind);
    put64(block + 8, store->id);
    put64(block + 16, generation);
    put32(block + 24, number);
    put32(block + 28, 0);
    put32(block, checksum(block + 4, store->device.block_size - 4));
    if (store->device.write(store->device.context, at, block) == 0)
        return STORE_OK;
    store->failed = 1;
    return STORE_DEVICE_FAILED;
}

/* Writes a block without content. */
static int write_header(struct store *store, uint32_t area, enum kind kind, uint64_t generation)
{
    for (uint32_t i = HEAD; i < store->device.block_size; i++)
        block[i] = 0;
    return write_block(store, block_of(store, area, 0), kind, generation, 0);
}

static int read_block(struct store *store, uint64_t at)
{
    return store->device.read(store->device.context, at, block) == 0 ? STORE_OK : STORE_DEVICE_FAILED;
}

/* Whether what is in block was written as a block, of any store. */
static int is_whole(const struct store *store)
{
    return get32(block) == checksum(block + 4, store->device.block_size - 4);
}

/* Whether it was written as a block of this kind. */
static int is_kind(const struct store *store, enum kind kind)
{
    return get32(block + 4) == kind && is_whole(store);
}

/* Whether it is one of this log, with this number. */
static int is_of_log(const struct store *store, enum kind kind, uint32_t number)
{
    return get32(block + 24) == number && get64(block + 8) == store->id && get64(block + 16) == store->generation
        && is_kind(store, kind);
}

static int is_zero(const struct store *store)
{
    for (uint32_t i = 0; i < store->device.block_size; i++)
        if (block[i] != 0)
            return 0;
    return 1;
}

static int damaged(struct store *store, uint64_t at)
{
    store->damaged = at;
    return STORE_DAMAGED;
}

/* ----------------------------------------------------------------------------------------------------- entries --- */

/* The place in the order of the first key that is not less than this one. */
static uint32_t place_of(const struct store *store, const char *key, size_t key_length)
{
    uint32_t first = 0, end = store->count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        const struct store_entry *entry = &store->entries[store->order[middle]];
        if (compare(entry->key, entry->key_length, key, key_length) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static struct store_entry *find(struct store *store, const char *key, size_t key_length)
{
    uint32_t place = place_of(store, key, key_length);
    if (place == store->count)
        return NULL;
    struct store_entry *entry = &store->entries[store->order[place]];
    return compare(entry->key, entry->key_length, key, key_length) == 0 ? entry : NULL;
}

/* Blocks of a record. */
static uint32_t blocks_for(const struct store *store, size_t key_length, size_t value_length)
{
    size_t payload = store->device.block_size - HEAD;
    return (uint32_t)((RECORD_HEAD + key_length + value_length + payload - 1) / payload);
}

static uint32_t blocks_of(const struct store *store, const struct store_entry *entry)
{
    return blocks_for(store, entry->key_length, entry->value_length);
}

static void remove_entry(struct store *store, const char *key, size_t key_length)
{
    struct store_entry *entry = find(store, key, key_length);
    if (entry == NULL)
        return;
    store->live -= blocks_of(store, entry);
    store->count--;
    for (uint32_t place = place_of(store, key, key_length); place < store->count; place++)
        store->order[place] = store->order[place + 1];
    store->order[store->count] = (uint16_t)(entry - store->entries);
}

/* Notes that a key's record is in these blocks. There must be room for one more. */
static void set_entry(struct store *store, const char *key, size_t key_length, size_t value_length, uint32_t at)
{
    struct store_entry *entry = find(store, key, key_length);
    if (entry == NULL) {
        uint32_t place = place_of(store, key, key_length);
        uint16_t free = store->order[store->count];
        for (uint32_t i = store->count; i > place; i--)
            store->order[i] = store->order[i - 1];
        store->order[place] = free;
        store->count++;
        entry = &store->entries[free];
        for (size_t i = 0; i < key_length; i++)
            entry->key[i] = key[i];
        entry->key_length = (uint8_t)key_length;
    } else {
        store->live -= blocks_of(store, entry);
    }
    entry->value_length = (uint16_t)value_length;
    entry->block = at;
    store->live += blocks_of(store, entry);
}

/* ----------------------------------------------------------------------------------------------------- records --- */

/* A record that is read, or is to be written. */
struct record {
    enum operation operation;
    size_t key_length, value_length;
    const char *key, *value;
};

/* The byte of a record at this distance from its beginning. */
static uint8_t byte_of(const struct record *record, size_t at)
{
    uint8_t head[RECORD_HEAD] = { (uint8_t)record->operation, (uint8_t)record->key_length,
                                  (uint8_t)record->value_length, (uint8_t)(record->value_length >> 8) };
    if (at < RECORD_HEAD)
        return head[at];
    at -= RECORD_HEAD;
    if (at < record->key_length)
        return (uint8_t)record->key[at];
    at -= record->key_length;
    return at < record->value_length ? (uint8_t)record->value[at] : 0;
}

/* Writes the blocks of a record one after the other. It counts when the last one is written. */
static int write_record(struct store *store, const struct record *record)
{
    size_t payload = store->device.block_size - HEAD, at = 0;
    uint32_t blocks = blocks_for(store, record->key_length, record->value_length);
    for (uint32_t i = 0; i < blocks; i++) {
        for (size_t j = 0; j < payload; j++)
            block[HEAD + j] = byte_of(record, at++);
        int result = write_block(store, block_of(store, store->area, store->next + i), i == 0 ? RECORD : CONTINUATION,
                                 store->generation, store->next + i);
        if (result != STORE_OK)
            return result;
    }
    store->next += blocks;
    return STORE_OK;
}

/*
 * Reads the record that begins in this block of the log: key and value get its key and value. STORE_NOT_FOUND: there is
 * none, or not all of it.
 */
static int read_record(struct store *store, uint32_t number, struct record *record, char *key, char *value)
{
    size_t payload = store->device.block_size - HEAD, at = 0, length = 0;
    uint32_t blocks = 1;
    for (uint32_t i = 0; i < blocks; i++) {
        if (number + i >= store->area_blocks)
            return STORE_NOT_FOUND;
        if (read_block(store, block_of(store, store->area, number + i)) != STORE_OK)
            return STORE_DEVICE_FAILED;
        if (!is_of_log(store, i == 0 ? RECORD : CONTINUATION, number + i))
            return STORE_NOT_FOUND;
        if (i == 0) {
            record->operation = block[HEAD];
            record->key_length = block[HEAD + 1];
            record->value_length = block[HEAD + 2] | (size_t)block[HEAD + 3] << 8;
            record->key = key;
            record->value = value;
            if (record->key_length == 0 || record->key_length > STORE_KEY_MAX || record->value_length > STORE_VALUE_MAX)
                return STORE_NOT_FOUND;
            length = record->key_length + record->value_length;
            blocks = blocks_for(store, record->key_length, record->value_length);
        }
        for (size_t j = i == 0 ? RECORD_HEAD : 0; j < payload && at < length; j++, at++)
            if (at < record->key_length)
                key[at] = (char)block[HEAD + j];
            else
                value[at - record->key_length] = (char)block[HEAD + j];
    }
    return STORE_OK;
}

/* Reads the record of an entry. */
static int read_entry(struct store *store, const struct store_entry *entry, struct record *record, char *key,
                      char *value)
{
    int result = read_record(store, entry->block, record, key, value);
    if (result == STORE_OK
        && (record->operation != PUT || record->value_length != entry->value_length
            || compare(entry->key, entry->key_length, key, record->key_length) != 0))
        result = STORE_NOT_FOUND;
    return result == STORE_NOT_FOUND ? damaged(store, block_of(store, store->area, entry->block)) : result;
}

/* Keys and values are read to here. */
static char read_key[STORE_KEY_MAX], read_value[STORE_VALUE_MAX];

/*
 * Writes what is alive into the other area. It counts from one moment on, when that area's header is written. Then this
 * one's is taken away, so that there is one at any other time, and its loss is noticed.
 *
 * If it is ended before that moment, records remain there. They must not come to light behind those of a later time, so
 * each time has a generation of its own; a header which does not count says first which, for find_newest().
 */
static int compact(struct store *store)
{
    uint32_t old = store->area, new = 1 - old, next = store->next;
    uint64_t generation = store->generation, newest = ++store->newest;
    int result = write_header(store, new, RETIRED_HEADER, newest);
    struct record record;
    store->next = 1;
    for (uint32_t i = 0; i < store->count && result == STORE_OK; i++) {
        struct store_entry *entry = &store->entries[store->order[i]];
        result = read_entry(store, entry, &record, read_key, read_value);
        if (result != STORE_OK)
            break;
        entry->moved = store->next;
        store->area = new;
        store->generation = newest;
        result = write_record(store, &record);
        store->area = old;
        store->generation = generation;
    }
    if (result == STORE_OK)
        result = write_header(store, new, AREA_HEADER, newest);
    if (result != STORE_OK) {
        store->next = next;
        return result;
    }
    store->area = new;
    store->generation = newest;
    for (uint32_t i = 0; i < store->count; i++) {
        struct store_entry *entry = &store->entries[store->order[i]];
        entry->block = entry->moved;
    }
    return write_header(store, old, RETIRED_HEADER, generation);
}

/* Writes a record behind the others; makes room for it first if need be. */
static int append(struct store *store, const struct record *record, uint32_t *at)
{
    uint32_t blocks = blocks_for(store, record->key_length, record->value_length);
    if (store->failed)
        return STORE_DEVICE_FAILED;
    if (store->next + blocks > store->area_blocks) {
        int result = compact(store);
        if (result != STORE_OK)
            return result;
        /* A salvaged store can have more in it than others. */
        if (store->next + blocks > store->area_blocks)
            return STORE_FULL;
    }
    *at = store->next;
    return write_record(store, record);
}

/* ----------------------------------------------------------------------------------------------------- opening --- */

/* Makes a store. It counts when the superblock is written; the first opening writes a header. */
static int format(struct store *store, uint64_t id)
{
    for (uint32_t i = 0; i < store->device.block_size; i++)
        block[i] = 0;
    for (uint32_t area = 0; area < 2; area++)
        if (store->device.write(store->device.context, block_of(store, area, 0), block) != 0)
            return STORE_DEVICE_FAILED;
    store->id = id;
    put32(block + HEAD, VERSION);
    put32(block + HEAD + 4, store->device.block_size);
    put32(block + HEAD + 8, store->area_blocks);
    return write_block(store, 0, SUPERBLOCK, 0, 0);
}

/* Finds the store, or makes one. */
static int find_store(struct store *store, int flags, uint64_t id)
{
    uint64_t blocks = store->device.blocks;
    if (store->device.block_size < 512 || store->device.block_size > STORE_BLOCK_MAX)
        return STORE_BLOCK_SIZE;
    if (blocks < STORE_BLOCKS_MIN)
        return STORE_TOO_SMALL;
    uint64_t area_blocks = (blocks - 1) / 2;
    store->area_blocks = area_blocks < UINT32_MAX / 2 ? (uint32_t)area_blocks : UINT32_MAX / 2;
    if (flags & STORE_FORMAT)
        return format(store, id);
    if (read_block(store, 0) != STORE_OK)
        return STORE_DEVICE_FAILED;
    if (is_kind(store, SUPERBLOCK) && get32(block + HEAD) == VERSION) {
        store->id = get64(block + 8);
        store->area_blocks = get32(block + HEAD + 8);
        if (get32(block + HEAD + 4) != store->device.block_size)
            return STORE_BLOCK_SIZE;
        if (store->area_blocks < (STORE_BLOCKS_MIN - 1) / 2)
            return damaged(store, 0);
        return 1 + 2 * (uint64_t)store->area_blocks > blocks ? STORE_TOO_SMALL : STORE_OK;
    }
    /* File systems leave the first blocks free, but not so many. */
    for (uint64_t i = 0; i < STORE_BLOCKS_MIN; i++) {
        if (read_block(store, i) != STORE_OK)
            return STORE_DEVICE_FAILED;
        if (!is_zero(store))
            return STORE_FOREIGN;
    }
    return format(store, id);
}

/* Raises a generation to the newest one that a block of this area has. */
static int find_newest_in(struct store *store, uint32_t area, uint64_t *newest)
{
    for (uint32_t number = 0; number < store->area_blocks; number++) {
        if (read_block(store, block_of(store, area, number)) != STORE_OK)
            return STORE_DEVICE_FAILED;
        if (get64(block + 8) == store->id && get64(block + 16) > *newest && is_whole(store))
            *newest = get64(block + 16);
    }
    return STORE_OK;
}

/* Finds the area whose log counts. */
static int find_area(struct store *store, int flags)
{
    int zero = 0, found = 0;
    uint32_t without = 0; /* The area whose header is neither retired nor zero, if none counts. */
    uint64_t other = 0;
    for (uint32_t area = 0; area < 2; area++) {
        if (read_block(store, block_of(store, area, 0)) != STORE_OK)
            return STORE_DEVICE_FAILED;
        zero += is_zero(store);
        int is_ours = get64(block + 8) == store->id && get32(block + 24) == 0;
        if (area == 0 && (is_zero(store) || (is_ours && is_kind(store, RETIRED_HEADER))))
            without = 1;
        if (!is_ours || !is_kind(store, AREA_HEADER))
            continue;
        uint64_t generation = get64(block + 16);
        if (found == 0 || generation > store->generation) {
            other = store->generation;
            store->generation = generation;
            store->area = area;
        } else {
            other = generation;
        }
        found++;
    }
    if (found == 2) /* It ended between the two headers of compact(). */
        return write_header(store, 1 - store->area, RETIRED_HEADER, other);
    if (found == 1)
        return STORE_OK;
    if (zero < 2 && !(flags & STORE_SALVAGE))
        return damaged(store, block_of(store, without, 0));
    if (zero < 2) {
        /* Whatever was begun there before its log is older. */
        store->area = without;
        return find_newest_in(store, without, &store->generation);
    }
    store->area = 0;
    store->generation = 1;
    return write_header(store, 0, AREA_HEADER, 1);
}

/*
 * Finds the newest generation of which there may be blocks. It is that of the log if the other area was never written
 * to, or its header is as it was left when it was retired; otherwise compact() was ended there.
 */
static int find_newest(struct store *store)
{
    uint32_t other = 1 - store->area;
    store->newest = store->generation;
    if (read_block(store, block_of(store, other, 0)) != STORE_OK)
        return STORE_DEVICE_FAILED;
    if ((store->generation == 1 && is_zero(store))
        || (get64(block + 8) == store->id && get64(block + 16) < store->generation && is_kind(store, RETIRED_HEADER)))
        return STORE_OK;
    return find_newest_in(store, other, &store->newest);
}

static int apply(struct store *store, const struct record *record, uint32_t number)
{
    if (record->operation == DELETE) {
        remove_entry(store, record->key, record->key_length);
        return 1;
    }
    if (record->operation != PUT
        || (store->count == STORE_KEYS && find(store, record->key, record->key_length) == NULL))
        return 0;
    set_entry(store, record->key, record->key_length, record->value_length, number);
    return 1;
}

/*
 * Reads the log. A record that is not complete ends it: nobody was told that it was written. Anything of this log behind
 * that is the sign of a damage.
 */
static int read_log(struct store *store, int flags)
{
    struct record record;
    uint32_t gap = 0; /* The first block that does not belong to a record. */
    int rewrite = 0, of_gap = 0;
    store->next = 1;
    while (store->next < store->area_blocks) {
        int result = read_record(store, store->next, &record, read_key, read_value);
        if (result == STORE_OK && (gap == 0 || flags & STORE_SALVAGE) && apply(store, &record, store->next)) {
            store->next += blocks_for(store, record.key_length, record.value_length);
            continue;
        }
        if (result == STORE_DEVICE_FAILED)
            return result;
        /* One block on. Blocks of one record that lacks its end are as they have to be, others are not. */
        if (read_block(store, block_of(store, store->area, store->next)) != STORE_OK)
            return STORE_DEVICE_FAILED;
        int first = is_of_log(store, RECORD, store->next), other = is_of_log(store, CONTINUATION, store->next);
        if (gap == 0) {
            gap = store->next;
            of_gap = first;
        } else if (of_gap && other) {
            /* Goes on. */
        } else {
            of_gap = 0;
            if ((first || other) && !(flags & STORE_SALVAGE))
                return damaged(store, block_of(store, store->area, gap));
        }
        if (first || other)
            rewrite = 1;
        store->next++;
    }
    if (gap != 0 && !(flags & STORE_SALVAGE))
        store->next = gap;
    /* Remains would come to light again behind the next record. In the other area there are none. */
    return rewrite || flags & STORE_SALVAGE ? compact(store) : STORE_OK;
}

int store_open(struct store *store, const struct store_device *device, int flags, uint64_t id)
{
    store->device = *device;
    store->id = store->generation = store->newest = store->damaged = 0;
    store->area = store->area_blocks = store->next = store->live = store->count = 0;
    store->failed = 0;
    for (uint32_t i = 0; i < STORE_KEYS; i++)
        store->order[i] = (uint16_t)i;
    int result = find_store(store, flags, id);
    if (result == STORE_OK)
        result = find_area(store, flags);
    if (result == STORE_OK)
        result = find_newest(store);
    return result == STORE_OK ? read_log(store, flags) : result;
}

/* ------------------------------------------------------------------------------------------------------- calls --- */

int store_get(struct store *store, const char *key, size_t key_length, char *value, size_t *value_length)
{
    struct store_entry *entry = find(store, key, key_length);
    struct record record;
    if (entry == NULL)
        return STORE_NOT_FOUND;
    int result = read_entry(store, entry, &record, read_key, value);
    if (result == STORE_OK)
        *value_length = record.value_length;
    return result;
}

int store_put(struct store *store, const char *key, size_t key_length, const char *value, size_t value_length)
{
    struct record record = { PUT, key_length, value_length, key, value };
    uint32_t at, blocks = blocks_for(store, key_length, value_length);
    if (key_length == 0 || key_length > STORE_KEY_MAX || value_length > STORE_VALUE_MAX)
        return STORE_INVALID;
    struct store_entry *entry = find(store, key, key_length);
    uint32_t others = store->live - (entry == NULL ? 0 : blocks_of(store, entry));
    /* The old value lies there until the new one does. A quarter is kept free, or the log would be rewritten ever more often. */
    if ((entry == NULL && store->count == STORE_KEYS) || others + blocks > (store->area_blocks - 1) / 4 * 3
        || store->live + blocks > store->area_blocks - 1)
        return STORE_FULL;
    int result = append(store, &record, &at);
    if (result == STORE_OK)
        set_entry(store, key, key_length, value_length, at);
    return result;
}

int store_delete(struct store *store, const char *key, size_t key_length)
{
    struct record record = { DELETE, key_length, 0, key, NULL };
    uint32_t at;
    if (find(store, key, key_length) == NULL)
        return STORE_NOT_FOUND;
    int result = append(store, &record, &at);
    if (result == STORE_OK)
        remove_entry(store, key, key_length);
    return result;
}

const struct store_entry *store_after(const struct store *store, const char *key, size_t key_length)
{
    uint32_t place = place_of(store, key, key_length);
    while (place < store->count) {
        const struct store_entry *entry = &store->entries[store->order[place]];
        if (key_length == 0 || compare(entry->key, entry->key_length, key, key_length) > 0)
            return entry;
        place++;
    }
    return NULL;
}

const char *store_text(int result)
{
    switch (result) {
    case STORE_OK:
        return "done";
    case STORE_NOT_FOUND:
        return "there is no such key";
    case STORE_FULL:
        return "there is no room for it";
    case STORE_INVALID:
        return "a key has 1 to 64 bytes, and a value at most 4096";
    case STORE_DEVICE_FAILED:
        return "the device has failed";
    case STORE_DAMAGED:
        return "the store is damaged";
    case STORE_FOREIGN:
        return "something else is on the device";
    case STORE_TOO_SMALL:
        return "the device is too small";
    case STORE_BLOCK_SIZE:
        return "the device has blocks of the wrong size";
    default:
        return "?";
    }
}
