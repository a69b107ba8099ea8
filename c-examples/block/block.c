/*
 * Keys and values on a block device, which clients reach with lines of text over TCP.
 *
 * store.c keeps them, so that what a client was told to be written is there after the program was ended, whenever that
 * was. Here is what clients say and are told. See README.md for what to type.
 */
#include <mnet_program.h>

#include "store.h"

/* Clients at a time; further ones are told so. */
#define CLIENTS 64
/* Longest line: "set", a key and a value. */
#define LINE_MAX (STORE_KEY_MAX + STORE_VALUE_MAX + 16)
#define BACKLOG 64
#define EVENTS 64
#define SECOND ((uint64_t)1000000000)

static struct store store;

/* A piece of a line. */
struct text {
    const char *at;
    size_t length;
};

/* ----------------------------------------------------------------------------------------------------- clients --- */

static struct client {
    mnet_fd connection; /* 0: free */
    /* What has arrived of a line and of those behind it. */
    size_t arrived;
    /* The answer on its way. */
    size_t answer_length, answer_sent;
    /* After "list", the key that was told last, until all are told. */
    int lists;
    size_t listed_length;
    char listed[STORE_KEY_MAX];
    /* The connection is closed after the answer. */
    int ends;
    /* The line was too long, and the rest of it is passed over. */
    int skips;
    char line[LINE_MAX];
    char answer[LINE_MAX];
} clients[CLIENTS];

static struct client *client_of(mnet_fd connection)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (clients[i].connection == connection)
            return &clients[i];
    return NULL;
}

static void end_client(struct client *client)
{
    mnet_close(client->connection);
    client->connection = 0;
}

/* A line of answer: a word, and what there is to say behind it. */
static void answer(struct client *client, const char *word, const char *text, size_t length)
{
    client->answer_sent = 0;
    client->answer_length = mnet_format(client->answer, sizeof client->answer, "%s%s%.*s\n", word,
                                        length > 0 ? " " : "", (int)length, text);
}

static void answer_error(struct client *client, const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    answer(client, "error", text, length);
}

static void answer_result(struct client *client, int result)
{
    if (result == STORE_OK)
        answer(client, "ok", "", 0);
    else if (result == STORE_NOT_FOUND)
        answer(client, "none", "", 0);
    else
        answer_error(client, store_text(result));
}

/* ---------------------------------------------------------------------------------------------------- commands --- */

/* Takes a word off a line, with the one space behind it. */
static struct text take_word(struct text *line)
{
    struct text word = { line->at, 0 };
    while (word.length < line->length && word.at[word.length] != ' ')
        word.length++;
    size_t taken = word.length < line->length ? word.length + 1 : word.length;
    line->at += taken;
    line->length -= taken;
    return word;
}

static int is(struct text word, const char *text)
{
    size_t i = 0;
    while (i < word.length && text[i] != '\0' && word.at[i] == text[i])
        i++;
    return i == word.length && text[i] == '\0';
}

/* The next key of a list, or its end. */
static void go_on_listing(struct client *client)
{
    const struct store_entry *entry = store_after(&store, client->listed, client->listed_length);
    if (entry == NULL) {
        client->lists = 0;
        answer(client, "end", "", 0);
        return;
    }
    client->listed_length = entry->key_length;
    for (size_t i = 0; i < entry->key_length; i++)
        client->listed[i] = entry->key[i];
    answer(client, "key", entry->key, entry->key_length);
}

static void obey(struct client *client, struct text line)
{
    static char value[STORE_VALUE_MAX];
    struct text word = take_word(&line), key;
    size_t length;
    if (is(word, "get")) {
        int result = store_get(&store, line.at, line.length, value, &length);
        if (result == STORE_OK)
            answer(client, "value", value, length);
        else
            answer_result(client, result);
    } else if (is(word, "set")) {
        key = take_word(&line);
        answer_result(client, store_put(&store, key.at, key.length, line.at, line.length));
    } else if (is(word, "delete")) {
        answer_result(client, store_delete(&store, line.at, line.length));
    } else if (is(word, "list") && line.length == 0) {
        client->lists = 1;
        client->listed_length = 0;
    } else if (is(word, "quit") && line.length == 0) {
        client->ends = 1;
        answer(client, "ok", "", 0);
    } else {
        answer_error(client, "there are set KEY VALUE, get KEY, delete KEY, list and quit");
    }
}

/* Obeys the line that has arrived first. 0: there is no whole line. */
static int take_line(struct client *client)
{
    size_t length = 0;
    while (length < client->arrived && client->line[length] != '\n')
        length++;
    if (length == client->arrived && length < LINE_MAX)
        return 0;
    if (length == LINE_MAX) {
        if (!client->skips)
            answer_error(client, "the line is too long");
        client->skips = 1;
        client->arrived = 0;
        return 1;
    }
    struct text line = { client->line, length };
    if (length > 0 && client->line[length - 1] == '\r')
        line.length--;
    if (!client->skips)
        obey(client, line);
    client->skips = 0;
    client->arrived -= length + 1;
    __builtin_memmove(client->line, client->line + length + 1, client->arrived);
    return 1;
}

/* Goes on with a client until it has to be waited for. */
static void serve(struct client *client)
{
    for (;;) {
        while (client->answer_sent < client->answer_length) {
            int64_t sent = mnet_write(client->connection, client->answer + client->answer_sent,
                                      client->answer_length - client->answer_sent);
            if (sent == MNET_EAGAIN)
                return;
            if (sent < 0) {
                end_client(client);
                return;
            }
            client->answer_sent += (size_t)sent;
        }
        if (client->ends) {
            end_client(client);
            return;
        }
        if (client->lists) {
            go_on_listing(client);
            continue;
        }
        if (take_line(client))
            continue;
        int64_t got = mnet_read(client->connection, client->line + client->arrived, LINE_MAX - client->arrived);
        if (got == MNET_EAGAIN)
            return;
        if (got <= 0) {
            end_client(client);
            return;
        }
        client->arrived += (size_t)got;
    }
}

static void accept_all(mnet_fd listener)
{
    static const char FULL[] = "error there are too many clients\n";
    mnet_fd connection;
    while ((connection = mnet_accept(listener, NULL)) > 0) {
        struct client *client = client_of(0);
        if (client == NULL) {
            mnet_write(connection, FULL, sizeof FULL - 1);
            mnet_close(connection);
            continue;
        }
        client->connection = connection;
        client->arrived = client->answer_length = client->answer_sent = 0;
        client->lists = client->ends = client->skips = 0;
        serve(client);
    }
}

/* ------------------------------------------------------------------------------------------------------ device --- */

static solo5_handle_t storage;
static struct solo5_block_info storage_info;

static int read_storage(void *context, uint64_t block, uint8_t *data)
{
    (void)context;
    return solo5_block_read(storage, block * storage_info.block_size, data, storage_info.block_size) != SOLO5_R_OK;
}

static int write_storage(void *context, uint64_t block, const uint8_t *data)
{
    (void)context;
    return solo5_block_write(storage, block * storage_info.block_size, data, storage_info.block_size) != SOLO5_R_OK;
}

/* Opens the store on the device of the manifest. 0, or a failure, which is said. */
static int open_store(int flags)
{
    if (solo5_block_acquire("storage", &storage, &storage_info) != SOLO5_R_OK) {
        mnet_print("block: the manifest has no block device \"storage\"\n");
        return SOLO5_EXIT_FAILURE;
    }
    struct store_device device = { NULL, (uint32_t)storage_info.block_size,
                                   storage_info.capacity / storage_info.block_size, read_storage, write_storage };
    int result = store_open(&store, &device, flags, solo5_clock_wall());
    if (result == STORE_OK)
        return 0;
    mnet_print("block: %s", store_text(result));
    if (result == STORE_DAMAGED)
        mnet_print(", at block %lu; --salvage goes on with what can be read", store.damaged);
    else if (result == STORE_FOREIGN)
        mnet_print("; --format makes a store of it, and nothing else is left there");
    else if (result == STORE_TOO_SMALL)
        mnet_print(": it has %lu blocks, and needs %lu", device.blocks,
                   store.area_blocks > 0 ? 1 + 2 * (uint64_t)store.area_blocks : STORE_BLOCKS_MIN);
    mnet_print("\n");
    return SOLO5_EXIT_FAILURE;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uint64_t port = 7000;
    int wants_format = 0, wants_salvage = 0;
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port to listen on; default 7000" },
        { .name = "format", .kind = MNET_OPTION_FLAG, .value = &wants_format,
          .help = "make a new store, whatever is on the device" },
        { .name = "salvage", .kind = MNET_OPTION_FLAG, .value = &wants_salvage,
          .help = "go on with what can be read of a damaged store" },
    };
    struct mnet_args args;
    struct mnet_config config;
    struct mnet_addr local[2];
    mnet_fd listeners[2] = { 0, 0 };

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "block", "Keys and values on a block device.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;
    if (open_store((wants_format ? STORE_FORMAT : 0) | (wants_salvage ? STORE_SALVAGE : 0)) != 0)
        return SOLO5_EXIT_FAILURE;

    config.flags |= MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY;
    /* Clients may be silent for as long as they like, but must be there. */
    config.tcp_keepalive_idle_ns = 60 * SECOND;
    config.tcp_keepalive_interval_ns = 10 * SECOND;
    config.tcp_zero_window_timeout_ns = 60 * SECOND;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);
    size_t count = mnet_local_addresses(&args, port, local);
    for (size_t i = 0; i < count; i++) {
        char address[64];
        listeners[i] = mnet_listen(stack, &local[i], BACKLOG);
        if (listeners[i] < 0)
            return mnet_fail(&args, "cannot listen", listeners[i]);
        mnet_addr_format(&local[i], address, sizeof address);
        mnet_print("block: %u keys at %s\n", store.count, address);
    }

    for (;;) {
        struct mnet_event events[EVENTS];
        int64_t ready = mnet_events(stack, events, EVENTS, -1);
        if (ready < 0)
            return mnet_fail(&args, "the network failed", ready);
        for (int64_t i = 0; i < ready; i++) {
            mnet_fd socket = events[i].fd;
            struct client *client;
            if (socket == listeners[0] || socket == listeners[1])
                accept_all(socket);
            else if ((client = client_of(socket)) != NULL)
                serve(client);
        }
    }
}
