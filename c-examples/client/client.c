/*
 * Fetches what a URL names and prints it: a client of HTTP/1.0 (RFC 1945, RFC 9112 for what is newer).
 *
 * It waits in its calls, each with a limit of time, and does one thing after the other. See README.md for what to type.
 */
#include <mnet_program.h>

/* Longest URL, with its NUL, and longest head of an answer. */
#define URL_SIZE 1025
#define HEAD_MAX 16384

#define MILLISECOND ((uint64_t)1000000)
#define SECOND (1000 * MILLISECOND)

/* How the program ends, beside SOLO5_EXIT_SUCCESS: with an answer, but not the one that was hoped for. */
#define EXIT_OTHER_STATUS 2

static struct mnet_args args;

/* A piece of text. */
struct text {
    const char *at;
    size_t length;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Takes a text, which is in lower case, off the front of another, in whatever case. */
static int take(struct text *text, const char *front)
{
    size_t i = 0;
    while (i < text->length && front[i] != '\0' && lower(text->at[i]) == front[i])
        i++;
    if (front[i] != '\0')
        return 0;
    text->at += i;
    text->length -= i;
    return 1;
}

static int fail(const char *what)
{
    mnet_print("client: %s\n", what);
    return SOLO5_EXIT_FAILURE;
}

/* Until when all of it has to be done, by the clock of mnet_now(). */
static uint64_t deadline;

/* What is left until then, as calls with a limit want it: not 0, which would be none. */
static uint64_t time_left(void)
{
    uint64_t now = mnet_now();
    return now + MILLISECOND < deadline ? deadline - now : MILLISECOND;
}

/* --------------------------------------------------------------------------------------------------------- URL --- */

struct url {
    /* Where to connect to. */
    struct mnet_addr address;
    /* That as it was written, and path and query. */
    struct text authority, path;
};

/* Reads "http://ADDRESS[:PORT][/PATH]". NULL, or what is wrong with it. */
static const char *parse_url(const char *written, struct url *url)
{
    struct text rest = { written, 0 };
    while (written[rest.length] != '\0') {
        unsigned char c = (unsigned char)written[rest.length];
        /* Or a line break would begin a line of its own in the request. */
        if (c <= ' ' || c >= 0x7f)
            return "a URL has no spaces, control characters or letters beyond ASCII: write them as %20 and so on";
        rest.length++;
    }
    if (take(&rest, "https://"))
        return "https:// is not spoken here, only http://";
    if (!take(&rest, "http://"))
        return "a URL begins with http://";
    url->authority = (struct text){ rest.at, 0 };
    while (url->authority.length < rest.length && rest.at[url->authority.length] != '/'
           && rest.at[url->authority.length] != '?' && rest.at[url->authority.length] != '#')
        url->authority.length++;
    if (mnet_addr_parse(url->authority.at, url->authority.length, &url->address) < 0)
        return "names are not resolved: give an address, as in http://10.0.0.1:8000/ or http://[2001:db8::1]/";
    if (url->address.port == 0)
        url->address.port = 80;
    url->path = (struct text){ rest.at + url->authority.length, 0 };
    /* What is behind a hash is for the reader, not for the server. */
    while (url->path.length < rest.length - url->authority.length && url->path.at[url->path.length] != '#')
        url->path.length++;
    return NULL;
}

/* -------------------------------------------------------------------------------------------------- connecting --- */

/* Whether there is an address from which this one can be reached. Those of DHCP and of IPv6 take a moment. */
static int has_address(mnet_stack stack, const struct mnet_addr *target)
{
    struct mnet_address_info info;
    int is_near = target->ip[0] == 0xfe && (target->ip[1] & 0xc0) == 0x80;
    for (size_t i = 0; mnet_address(stack, 0, i, &info, sizeof info) == 1; i++)
        if (info.address.family == target->family && info.state == MNET_ADDRESS_USABLE
            && (info.origin != MNET_ORIGIN_LINK_LOCAL || target->family == MNET_AF_INET || is_near))
            return 1;
    return 0;
}

/* Connects within so many nanoseconds. Blocks. */
static mnet_fd connect_within(mnet_stack stack, const struct mnet_addr *target, uint64_t time)
{
    uint64_t end = mnet_now() + time, now;
    while (!has_address(stack, target)) {
        struct mnet_network_event event;
        now = mnet_now();
        if (now >= end || mnet_network_events(stack, &event, 1, (int64_t)(end - now)) < 0)
            return MNET_EADDRNOTAVAIL;
    }
    now = mnet_now();
    return mnet_connect_timeout(stack, target, NULL, 0, now + MILLISECOND < end ? end - now : MILLISECOND);
}

/* Writes all of a text. Blocks. */
static int64_t write_all(mnet_fd connection, const char *text, size_t length)
{
    while (length > 0) {
        mnet_set_timeout(connection, MNET_WRITABLE, time_left());
        int64_t written = mnet_write(connection, text, length);
        if (written < 0)
            return written == MNET_EAGAIN ? MNET_ETIMEDOUT : written;
        text += written;
        length -= (size_t)written;
    }
    return 0;
}

/* Reads what there is. Blocks until there is something, the end (0), an error, or the time is over. */
static int64_t peek(mnet_fd connection, const void **data)
{
    mnet_set_timeout(connection, MNET_READABLE, time_left());
    int64_t got = mnet_now() < deadline ? mnet_peek(connection, data) : MNET_ETIMEDOUT;
    return got == MNET_EAGAIN ? MNET_ETIMEDOUT : got;
}

/* ------------------------------------------------------------------------------------------------------ answer --- */

struct answer {
    uint64_t status;
    /* The length of the content; UINT64_MAX: to the end of the connection. */
    uint64_t length;
};

/* Takes a number off the front, or as much of it as surely fits. */
static int take_number(struct text *text, uint64_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < text->length && digits < 19 && text->at[digits] >= '0' && text->at[digits] <= '9')
        *number = *number * 10 + (uint64_t)(text->at[digits++] - '0');
    text->at += digits;
    text->length -= digits;
    return digits > 0;
}

static void take_blanks(struct text *text)
{
    while (take(text, " ") || take(text, "\t"))
        ;
}

/* The next line of a head, without its end. */
static struct text take_line(struct text *rest)
{
    struct text line = { rest->at, 0 };
    while (line.length < rest->length && line.at[line.length] != '\n')
        line.length++;
    size_t taken = line.length < rest->length ? line.length + 1 : line.length;
    rest->at += taken;
    rest->length -= taken;
    if (line.length > 0 && line.at[line.length - 1] == '\r')
        line.length--;
    return line;
}

/* Reads the head of an answer, and prints its first line. NULL, or what is wrong with it. */
static const char *parse_head(struct text head, struct answer *answer)
{
    struct text line = take_line(&head), first = line;
    uint64_t version, length;
    answer->length = UINT64_MAX;
    if (!take(&line, "http/1.") || !take_number(&line, &version) || !take(&line, " ")
        || !take_number(&line, &answer->status) || answer->status < 100 || answer->status > 999)
        return "this is no answer of HTTP";
    /* What a server says is not to move the cursor about. */
    for (size_t i = 0; i < first.length; i++)
        if ((unsigned char)first.at[i] < ' ' || first.at[i] == 0x7f)
            return "this is no answer of HTTP";
    mnet_print("%.*s\n", (int)first.length, first.at);
    while ((line = take_line(&head)).length > 0) {
        if (take(&line, "transfer-encoding:"))
            return "the content comes in chunks, which were not asked for";
        if (!take(&line, "content-length:"))
            continue;
        take_blanks(&line);
        int is_number = take_number(&line, &length);
        take_blanks(&line);
        if (!is_number || line.length > 0 || (answer->length != UINT64_MAX && answer->length != length))
            return "the answer does not say clearly how long it is";
        answer->length = length;
    }
    if (answer->status < 200 || answer->status == 204 || answer->status == 304)
        answer->length = 0;
    return NULL;
}

/* Reads the head of the answer up to its empty line. Its length, or an error: MNET_EMSGSIZE, 0 at the end. */
static int64_t read_head(mnet_fd connection, char *head)
{
    size_t length = 0;
    while (length < HEAD_MAX) {
        const void *data;
        int64_t got = peek(connection, &data);
        if (got <= 0)
            return got;
        size_t used = 0;
        while (used < (size_t)got && length < HEAD_MAX) {
            head[length++] = ((const char *)data)[used++];
            if (head[length - 1] == '\n' && length > 1
                && (head[length - 2] == '\n' || (length > 2 && head[length - 2] == '\r' && head[length - 3] == '\n'))) {
                mnet_consume(connection, used);
                return (int64_t)length;
            }
        }
        mnet_consume(connection, used);
    }
    return MNET_EMSGSIZE;
}

/* Prints the content as it comes. */
static int print_content(mnet_fd connection, uint64_t length)
{
    uint64_t printed = 0;
    while (printed < length) {
        const void *data;
        int64_t got = peek(connection, &data);
        if (got == 0 && length == UINT64_MAX)
            return SOLO5_EXIT_SUCCESS;
        if (got <= 0) {
            mnet_print("\nclient: the answer was cut off after %lu bytes: %s\n", printed,
                       got == 0 ? "the server closed the connection" : mnet_strerror((int)got));
            return SOLO5_EXIT_FAILURE;
        }
        size_t size = (uint64_t)got < length - printed ? (size_t)got : (size_t)(length - printed);
        solo5_console_write(data, size);
        mnet_consume(connection, size);
        printed += size;
    }
    return SOLO5_EXIT_SUCCESS;
}

/* Asks for the path, and prints the answer. */
static int fetch(mnet_fd connection, const struct url *url)
{
    static char request[2 * URL_SIZE + 200], head[HEAD_MAX];
    struct answer answer;
    size_t length = mnet_format(request, sizeof request,
                                "GET %s%.*s HTTP/1.0\r\nHost: %.*s\r\nUser-Agent: mnet-client\r\nAccept: */*\r\n"
                                "Connection: close\r\n\r\n",
                                url->path.length > 0 && url->path.at[0] == '/' ? "" : "/", (int)url->path.length,
                                url->path.at, (int)url->authority.length, url->authority.at);
    int64_t result = write_all(connection, request, length);
    if (result < 0)
        return mnet_fail(&args, "the request was not taken", result);
    result = read_head(connection, head);
    if (result == 0)
        return fail("the server closed the connection without an answer");
    if (result < 0)
        return mnet_fail(&args, "there is no answer", result);
    const char *wrong = parse_head((struct text){ head, (size_t)result }, &answer);
    if (wrong != NULL)
        return fail(wrong);
    int end = print_content(connection, answer.length);
    if (end != SOLO5_EXIT_SUCCESS)
        return end;
    return answer.status >= 200 && answer.status < 300 ? SOLO5_EXIT_SUCCESS : EXIT_OTHER_STATUS;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    static char written[URL_SIZE];
    uint64_t connect_time = 5 * SECOND, time = 30 * SECOND;
    struct mnet_option options[] = {
        { .name = "URL", .kind = MNET_OPTION_TEXT, .value = written, .value_size = sizeof written,
          .flags = MNET_OPTION_POSITIONAL | MNET_OPTION_REQUIRED, .help = "what to fetch: http://ADDRESS[:PORT]/PATH" },
        { .name = "connect-timeout", .kind = MNET_OPTION_TIME, .value = &connect_time, .min = MILLISECOND,
          .max = 3600 * SECOND, .help = "how long connecting may take; default 5s" },
        { .name = "timeout", .kind = MNET_OPTION_TIME, .value = &time, .min = MILLISECOND, .max = 3600 * SECOND,
          .help = "how long all of it may take; default 30s" },
    };
    struct mnet_config config;
    struct url url;

    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    int status = mnet_program_parse(&args, info, "client", "Fetches what a URL names, and prints it.",
                                    options, sizeof options / sizeof options[0]);
    if (status >= 0)
        return status;
    const char *wrong = parse_url(written, &url);
    if (wrong != NULL)
        return fail(wrong);

    deadline = mnet_now() + time;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);
    mnet_fd connection = connect_within(stack, &url.address, connect_time < time ? connect_time : time);
    if (connection < 0)
        return mnet_fail(&args, "cannot connect", connection);
    int end = fetch(connection, &url);
    mnet_close(connection);
    /* So that the server is told before this ends. */
    mnet_poll(stack, NULL, 0, 0);
    return end;
}
