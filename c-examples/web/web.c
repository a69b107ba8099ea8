/*
 * A web server of files that are part of the image (HTTP/1.1).
 *
 * One loop serves everybody. A client has a place in a table, with a buffer for the head of its request; what it is sent
 * goes from the image straight into the stack, as much as the stack takes. Every client has a deadline for whatever it is
 * doing, so slow ones do not keep their places. http.c reads requests, and files.c, written by solo5-embed, has the
 * files. See README.md for what to type.
 */
#include <mnet_program.h>
#include <solo5_embed.h>

#include "http.h"

/* Clients at a time. For further ones those are closed that wait longest without a request; if there is none, they wait. */
#define CLIENTS 256
/* Connections, those included that wait to be accepted, or are closed and still deliver an answer. */
#define CONNECTIONS 1024
/* Longest head of a request. */
#define HEAD_MAX 8192
/* Longest request line: what is longer has a target that no file here has. */
#define LINE_MAX 4096
/* Connections that may wait to be accepted. */
#define BACKLOG 256
#define EVENTS 64

#define SECOND ((uint64_t)1000000000)
/* How long a client may take to send the head of a request, from its first byte on. */
#define HEAD_TIME (10 * SECOND)
/* How long it may take until it begins one. */
#define IDLE_TIME (15 * SECOND)
/* How long it may take to take an answer: so long, and a second for each so many bytes. */
#define ANSWER_TIME (20 * SECOND)
#define ANSWER_RATE 16384
/* How long it is listened to after the last answer, so that it gets that (RFC 9112 section 9.6). */
#define LINGER_TIME (2 * SECOND)
/* How often that is looked at. */
#define CHECK_TIME (SECOND / 2)

/* ----------------------------------------------------------------------------------------------------- clients --- */

enum doing {
    FREE = 0,
    /* Waits for a request: nothing of it has arrived. */
    IDLE,
    /* A part of a head has arrived. */
    READING,
    /* The content of a request that has been answered is thrown away. */
    SKIPPING,
    /* An answer is on its way. */
    ANSWERING,
    /* All is said; what the client still sends is thrown away until it closes. */
    LINGERING,
};

static struct client {
    mnet_fd connection;
    enum doing doing;
    /* When it has to be done, by the clock of mnet_now(). */
    uint64_t deadline;
    /* The bytes that have arrived of a request and of those behind it, and how many http_find_end() has seen. */
    size_t arrived, seen;
    /* Bytes of the request's content that are still to come. */
    uint64_t content;
    /* The connection stays open after the answer. */
    int keep_alive;
    /* The answer: its head, and what follows, and how much of both is sent. */
    size_t head_length, head_sent;
    const char *body;
    size_t body_length;
    char head[768];
    char request[HEAD_MAX];
} clients[CLIENTS];

/* Places in use; the client whose connection has this index. */
static size_t client_count;
static uint16_t client_at[CONNECTIONS];
/* Listeners, and whether some connection waits there for a place. */
static mnet_fd listeners[2];
static int waiting;
/* The time, once for each turn of the loop. */
static uint64_t now;

/* The date of answers, made anew once a second. */
static const char *date(void)
{
    static char text[HTTP_DATE_SIZE];
    static uint64_t second, until;
    if (now >= until) {
        uint64_t wall = solo5_clock_wall();
        if (wall / SECOND != second || text[0] == '\0') {
            second = wall / SECOND;
            http_date(second, text);
        }
        until = now + (SECOND - wall % SECOND);
    }
    return text;
}

static void do_next(struct client *client, enum doing doing, uint64_t time)
{
    client->doing = doing;
    client->deadline = now + time;
}

static void end_client(struct client *client)
{
    mnet_close(client->connection);
    client->connection = 0;
    client->doing = FREE;
    client_count--;
}

/* ----------------------------------------------------------------------------------------------------- answers --- */

/* Begins an answer; fields are whole lines. The body is not sent in answer to HEAD, though its length is said. */
static void answer(struct client *client, int status, const char *fields, const char *body, size_t length, int head)
{
    client->head_length = mnet_format(
        client->head, sizeof client->head,
        "HTTP/1.1 %d %s\r\nDate: %s\r\n%sContent-Length: %zu\r\nConnection: %s\r\n\r\n", status, http_reason(status),
        date(), fields, length, client->keep_alive ? "keep-alive" : "close");
    client->head_sent = 0;
    client->body = body;
    client->body_length = head ? 0 : length;
    do_next(client, ANSWERING, ANSWER_TIME + length / ANSWER_RATE * SECOND);
}

/* Answers with a status and a page that says no more than it. */
static void refuse(struct client *client, int status, const char *fields, int head)
{
    const char *reason = http_reason(status);
    char more[400];
    size_t length = 0;
    while (reason[length] != '\0')
        length++;
    mnet_format(more, sizeof more, "%sContent-Type: text/plain\r\n", fields);
    answer(client, status, more, reason, length, head);
}

/* A refusal after which nothing that the client says can be understood. */
static void give_up(struct client *client, int status)
{
    client->keep_alive = 0;
    client->arrived = 0;
    client->content = 0;
    refuse(client, status, "", 0);
}

/* Answers a request for a file, or for a part of one. */
static void send_file(struct client *client, const struct http_request *request, const struct solo5_file *file)
{
    char fields[512], range[64] = "";
    struct http_part part = { 0, file->size };
    if (http_matches(request->if_none_match, file->etag)) {
        /* Without a length: RFC 9110 section 15.4.5 has none for what is not there. */
        client->head_length = mnet_format(
            client->head, sizeof client->head,
            "HTTP/1.1 304 Not Modified\r\nDate: %s\r\nETag: %s\r\nCache-Control: no-cache\r\nConnection: %s\r\n\r\n",
            date(), file->etag, client->keep_alive ? "keep-alive" : "close");
        client->head_sent = client->body_length = 0;
        do_next(client, ANSWERING, ANSWER_TIME);
        return;
    }
    int status = request->head ? HTTP_OK : http_range(request, file->etag, file->size, &part);
    if (status == HTTP_RANGE_NOT_SATISFIABLE) {
        mnet_format(fields, sizeof fields, "Content-Range: bytes */%zu\r\n", file->size);
        refuse(client, status, fields, 0);
        return;
    }
    if (status == HTTP_PARTIAL_CONTENT)
        mnet_format(range, sizeof range, "Content-Range: bytes %lu-%lu/%zu\r\n", part.first,
                    part.first + part.length - 1, file->size);
    mnet_format(fields, sizeof fields,
                "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\nETag: %s\r\nCache-Control: no-cache\r\n"
                "Accept-Ranges: bytes\r\n%s",
                file->type, file->etag, range);
    answer(client, status, fields, file->data + part.first, part.length, request->head);
}

/* Finds what a path names: a file, or a folder with an index.html in it. */
static void send_path(struct client *client, struct http_request *request)
{
    static const char INDEX[] = "/index.html";
    size_t length = request->path_length;
    char path[HTTP_PATH_MAX + sizeof INDEX];
    const struct solo5_file *file = solo5_find_file(request->path);
    if (file == NULL) {
        int is_folder = length > 0 && request->path[length - 1] == '/';
        mnet_format(path, sizeof path, "%s%s", request->path, is_folder ? INDEX + 1 : INDEX);
        file = solo5_find_file(path);
        if (file != NULL && !is_folder) {
            /* So that links in the page lead on from the folder. */
            char location[256], fields[300];
            file = NULL;
            if (http_encode_path(request->path, location, sizeof location)) {
                mnet_format(fields, sizeof fields, "Location: %s/\r\n", location);
                refuse(client, HTTP_MOVED_PERMANENTLY, fields, request->head);
                return;
            }
        }
    }
    if (file == NULL)
        refuse(client, HTTP_NOT_FOUND, "", request->head);
    else
        send_file(client, request, file);
}

/* ---------------------------------------------------------------------------------------------------- requests --- */

/* Takes bytes off the front of what has arrived. */
static void forget(struct client *client, size_t length)
{
    client->arrived -= length;
    __builtin_memmove(client->request, client->request + length, client->arrived);
    client->seen = 0;
}

static void answer_request(struct client *client, size_t length)
{
    static struct http_request request; /* More than a kibibyte: not on the stack. */
    int status = http_parse(client->request, length, &request);
    if (status != HTTP_OK && status != HTTP_METHOD_NOT_ALLOWED) {
        give_up(client, status);
        return;
    }
    /* Content is of no use here. Where it ends is known only if it has a length. */
    client->keep_alive = request.keep_alive && !request.chunked;
    client->content = request.content_length;
    if (status == HTTP_METHOD_NOT_ALLOWED)
        refuse(client, status, "Allow: GET, HEAD\r\n", request.head);
    else
        send_path(client, &request);
    forget(client, length);
}

/* Looks for a request in what has arrived. Whether there is an answer now. */
static int take_request(struct client *client)
{
    /* An empty line that an old client has put behind its request (RFC 9112 section 2.2). */
    if (client->arrived >= 2 && client->request[0] == '\r' && client->request[1] == '\n')
        forget(client, 2);
    if (client->arrived == 0)
        return 0;
    if (client->doing == IDLE)
        do_next(client, READING, HEAD_TIME);
    int length = http_find_end(client->request, client->arrived, &client->seen);
    if (length > 0) {
        answer_request(client, (size_t)length);
        return 1;
    }
    if (length < 0) {
        give_up(client, -length);
        return 1;
    }
    if (client->arrived < LINE_MAX)
        return 0;
    size_t line = 0;
    while (line < LINE_MAX && client->request[line] != '\n')
        line++;
    if (line == LINE_MAX)
        give_up(client, HTTP_URI_TOO_LONG);
    else if (client->arrived == HEAD_MAX)
        give_up(client, HTTP_FIELDS_TOO_LARGE);
    else
        return 0;
    return 1;
}

/* ------------------------------------------------------------------------------------------------------ serving --- */

/* Sends what there is of an answer. 1: all of it; 0: the client has to be waited for; -1: the connection has failed. */
static int send_answer(struct client *client)
{
    while (client->head_sent < client->head_length) {
        int64_t sent = mnet_write(client->connection, client->head + client->head_sent,
                                  client->head_length - client->head_sent);
        if (sent < 0)
            return sent == MNET_EAGAIN ? 0 : -1;
        client->head_sent += (size_t)sent;
    }
    while (client->body_length > 0) {
        int64_t sent = mnet_write(client->connection, client->body, client->body_length);
        if (sent < 0)
            return sent == MNET_EAGAIN ? 0 : -1;
        client->body += sent;
        client->body_length -= (size_t)sent;
    }
    return 1;
}

/* Reads on. 1: something; 0: the client has to be waited for; -1: its end, or the connection has failed. */
static int read_more(struct client *client)
{
    int64_t got = mnet_read(client->connection, client->request + client->arrived, HEAD_MAX - client->arrived);
    if (got <= 0)
        return got == MNET_EAGAIN ? 0 : -1;
    client->arrived += (size_t)got;
    return 1;
}

/* Throws away what has arrived of the content of the last request. */
static void skip_content(struct client *client)
{
    size_t length = client->content < client->arrived ? (size_t)client->content : client->arrived;
    client->content -= length;
    forget(client, length);
}

/* What comes after an answer. */
static void after_answer(struct client *client)
{
    if (!client->keep_alive) {
        mnet_shutdown(client->connection, MNET_SHUT_WR);
        client->arrived = 0;
        do_next(client, LINGERING, LINGER_TIME);
    } else {
        skip_content(client);
        if (client->content > 0)
            do_next(client, SKIPPING, ANSWER_TIME);
        else
            do_next(client, IDLE, IDLE_TIME);
    }
}

/* Goes on with a client until it has to be waited for. */
static void serve(struct client *client)
{
    for (;;) {
        int moved;
        switch (client->doing) {
        case FREE:
            return;
        case ANSWERING:
            moved = send_answer(client);
            if (moved > 0)
                after_answer(client);
            break;
        case SKIPPING:
            moved = read_more(client);
            skip_content(client);
            if (moved >= 0 && client->content == 0)
                do_next(client, IDLE, IDLE_TIME);
            break;
        case LINGERING:
            client->arrived = 0;
            moved = read_more(client);
            break;
        default:
            moved = take_request(client) ? 1 : read_more(client);
        }
        if (moved < 0)
            end_client(client);
        if (moved <= 0)
            return;
    }
}

/* A place in the table, taken from whoever waits longest without a request if need be. NULL: all are busy. */
static struct client *find_place(void)
{
    struct client *longest = NULL;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        if (client->doing == FREE)
            return client;
        if (client->doing == IDLE && (longest == NULL || client->deadline < longest->deadline))
            longest = client;
    }
    if (longest != NULL)
        end_client(longest);
    return longest;
}

/* Accepts clients while there are places for them. */
static void accept_all(void)
{
    for (int i = 0; i < 2; i++) {
        while (listeners[i] > 0 && mnet_readiness(listeners[i]) & MNET_READABLE) {
            struct client *client = find_place();
            if (client == NULL)
                return;
            mnet_fd connection = mnet_accept(listeners[i], NULL);
            if (connection < 0)
                break;
            client_count++;
            client->connection = connection;
            client->arrived = client->seen = 0;
            client->content = 0;
            do_next(client, IDLE, IDLE_TIME);
            client_at[mnet_index(connection)] = (uint16_t)(client - clients);
            serve(client);
        }
    }
    waiting = 0;
}

/* Ends what has taken too long. */
static void check_deadlines(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        if (client->doing == FREE || client->deadline > now)
            continue;
        if (client->doing == READING) {
            give_up(client, HTTP_REQUEST_TIMEOUT);
            serve(client);
        } else if (client->doing == IDLE || client->doing == LINGERING) {
            end_client(client);
        } else {
            /* What it has not taken until now it is not sent. */
            mnet_abort(client->connection);
            end_client(client);
        }
    }
}

int solo5_app_main(const struct solo5_start_info *info)
{
    uint64_t port = 80;
    struct mnet_option options[] = {
        { .name = "port", .value_name = "PORT", .kind = MNET_OPTION_NUMBER, .value = &port, .min = 1, .max = 65535,
          .help = "the port to listen on; default 80" },
    };
    struct mnet_args args;
    struct mnet_config config;
    struct mnet_addr local[2];

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "web", "A web server of the files that are part of the image.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;

    config.flags |= MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NODELAY;
    config.max_connections = CONNECTIONS;
    /* Who takes nothing at all is not sent to for ever. */
    config.tcp_zero_window_timeout_ns = 30 * SECOND;
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
        mnet_print("web: %zu files at http://%s/\n", solo5_file_count, address);
    }

    for (uint64_t check = 0;;) {
        struct mnet_event events[EVENTS];
        now = mnet_now();
        if (now >= check) {
            check_deadlines();
            check = now + CHECK_TIME;
        }
        if (waiting)
            accept_all();
        int64_t ready = mnet_events(stack, events, EVENTS, client_count > 0 ? (int64_t)(check - now) : -1);
        if (ready < 0)
            return mnet_fail(&args, "the network failed", ready);
        now = mnet_now();
        for (int64_t i = 0; i < ready; i++) {
            mnet_fd socket = events[i].fd;
            int64_t index = mnet_index(socket);
            if (socket == listeners[0] || socket == listeners[1])
                waiting = 1;
            else if (index >= 0 && clients[client_at[index]].connection == socket)
                serve(&clients[client_at[index]]);
        }
    }
}
