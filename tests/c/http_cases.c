/*
 * Tests of c-examples/web/http.c on Linux, with sanitizers: a table of requests, and each of them cut off, fed byte by
 * byte, and damaged at random. Every buffer is as long as what is in it, so that a byte read too much is found.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http.h"

static int failures;

#define CHECK(condition, ...)                 \
    do {                                      \
        if (!(condition)) {                   \
            failures++;                       \
            printf("%s: ", #condition);       \
            printf(__VA_ARGS__);              \
            printf("\n");                     \
        }                                     \
    } while (0)

struct expected {
    const char *request;
    int status;
    const char *path;
    int keep_alive;
    int head;
    uint64_t content_length;
};

#define HOST "Host: a\r\n\r\n"
#define GET "GET / HTTP/1.1\r\n"

static const struct expected CASES[] = {
    /* Methods, targets, versions. */
    { GET HOST, 200, "/", 1, 0, 0 },
    { "HEAD /a HTTP/1.1\r\n" HOST, 200, "/a", 1, 1, 0 },
    { "GET /a/b.html?x=1&y=?# HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /a/b.html?x=1&y=? HTTP/1.1\r\n" HOST, 200, "/a/b.html", 1, 0, 0 },
    { "GET /%41%2f%e2%82%ac%20 HTTP/1.1\r\n" HOST, 200, "/A/\xe2\x82\xac ", 1, 0, 0 },
    { "GET /a%3Fb HTTP/1.1\r\n" HOST, 200, "/a?b", 1, 0, 0 },
    { "GET /a%0d%0ab HTTP/1.1\r\n" HOST, 200, "/a\r\nb", 1, 0, 0 },
    { "GET /%00 HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /% HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /%4 HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /%4g HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /%g4 HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET http://a HTTP/1.1\r\n" HOST, 200, "/", 1, 0, 0 },
    { "GET HTTP://a:80/x?y HTTP/1.1\r\n" HOST, 200, "/x", 1, 0, 0 },
    { "GET http://a?y HTTP/1.1\r\n" HOST, 200, "/", 1, 0, 0 },
    { "GET http:/a HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    /* Without a host, with a user, with what is in no host (RFC 9110 sections 4.2.1 and 4.2.4). */
    { "GET http://[2001:db8::2]:80/x HTTP/1.1\r\n" HOST, 200, "/x", 1, 0, 0 },
    { "GET http:// HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET http:///x HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET http://?x HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET http://:80/x HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET http://b@a/x HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET http://a\\b/x HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET https://a/ HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET * HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET a HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET  / HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /  HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET / HTTP/1.1 \r\n" HOST, 400, "", 0, 0, 0 },
    { " GET / HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET\t/ HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /\t HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /\xc3\xa4 HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /\x7f HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET /\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET\r\n" HOST, 400, "", 0, 0, 0 },
    { "\r\n" HOST, 400, "", 0, 0, 0 },
    { "/ HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "G(T / HTTP/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET / HTTP/1.0\r\n\r\n", 200, "/", 0, 0, 0 },
    { "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 200, "/", 0, 0, 0 },
    { "GET / HTTP/1.2\r\n" HOST, 200, "/", 1, 0, 0 },
    { "GET / HTTP/2.0\r\n" HOST, 505, "", 0, 0, 0 },
    { "PRI * HTTP/2.0\r\n\r\n", 505, "", 0, 0, 0 },
    { "GET / HTTP/0.9\r\n" HOST, 505, "", 0, 0, 0 },
    { "GET / http/1.1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET / HTTP/1,1\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET / HTTP/11\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET / HTTP/1.10\r\n" HOST, 400, "", 0, 0, 0 },
    { "GET / HTTP/1.x\r\n" HOST, 400, "", 0, 0, 0 },
    { "POST / HTTP/1.1\r\n" HOST, 405, NULL, 1, 0, 0 },
    { "OPTIONS * HTTP/1.1\r\n" HOST, 405, NULL, 1, 0, 0 },
    /* What follows may be meant for the tunnel. */
    { "CONNECT a:80 HTTP/1.1\r\n" HOST, 405, NULL, 0, 0, 0 },
    { "CONNECTED a:80 HTTP/1.1\r\n" HOST, 501, NULL, 0, 0, 0 },
    { "get / HTTP/1.1\r\n" HOST, 501, NULL, 0, 0, 0 },
    { "BREW / HTTP/1.1\r\n" HOST, 501, NULL, 0, 0, 0 },
    /* Host. */
    { GET "\r\n", 400, "", 0, 0, 0 },
    { GET "Host: a\r\nHost: a\r\n\r\n", 400, "", 0, 0, 0 },
    { "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, "", 0, 0, 0 },
    { GET "Host:\r\n\r\n", 200, "/", 1, 0, 0 },
    { GET "Host: [2001:db8::2]:80\r\n\r\n", 200, "/", 1, 0, 0 },
    { GET "Host: a b\r\n\r\n", 400, "", 0, 0, 0 },
    { GET "Host: user@a\r\n\r\n", 400, "", 0, 0, 0 },
    { GET "Host: a/b\r\n\r\n", 400, "", 0, 0, 0 },
    /* Lines of fields. */
    { GET "A: b\r\n" HOST, 200, "/", 1, 0, 0 },
    { GET "A:b\r\n" HOST, 200, "/", 1, 0, 0 },
    { GET "A:\r\n" HOST, 200, "/", 1, 0, 0 },
    { GET "A: \t b\tc \t\r\n" HOST, 200, "/", 1, 0, 0 },
    { GET "A: \xc3\xa4\r\n" HOST, 200, "/", 1, 0, 0 },
    { GET "A : b\r\n" HOST, 400, "", 0, 0, 0 },
    { GET " A: b\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "A: b\r\n c\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "A: b\r\n\tc\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "A\r\n" HOST, 400, "", 0, 0, 0 },
    { GET ": b\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "A: b\x01\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "A: b\x7f\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "\xc3: b\r\n" HOST, 400, "", 0, 0, 0 },
    /* How long the content is (RFC 9112 section 6.3). */
    { GET "Content-Length: 5\r\n" HOST, 200, "/", 1, 0, 5 },
    { "POST / HTTP/1.1\r\nCONTENT-LENGTH: 18446744073709551609\r\n" HOST, 405, NULL, 1, 0, 18446744073709551609u },
    { GET "Content-Length: 184467440737095516160\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: -1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: +1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: 0x1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: 1 1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: 1, 1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length:\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: 1\r\nContent-Length: 1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" HOST, 400, "", 0, 0, 0 },
    { GET "Transfer-Encoding: gzip, chunked\r\n" HOST, 501, "", 0, 0, 0 },
    { GET "Transfer-Encoding: chunked, identity\r\n" HOST, 501, "", 0, 0, 0 },
    { GET "Transfer-Encoding: xchunked\r\n" HOST, 501, "", 0, 0, 0 },
    { GET "Transfer-Encoding:\r\n" HOST, 501, "", 0, 0, 0 },
    { GET "Transfer-Encoding: CHUNKED\r\n" HOST, 200, "/", 1, 0, 0 },
    { "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "", 0, 0, 0 },
    /* Whether the connection stays (RFC 9112 section 9.3). */
    { GET "Connection: close\r\n" HOST, 200, "/", 0, 0, 0 },
    { GET "Connection: a, Close , b\r\n" HOST, 200, "/", 0, 0, 0 },
    { GET "Connection: closed\r\n" HOST, 200, "/", 1, 0, 0 },
    { GET "Connection: keep-alive, close\r\n" HOST, 200, "/", 0, 0, 0 },
    { GET "Connection: keep-alive\r\nConnection: close\r\n" HOST, 200, "/", 0, 0, 0 },
    /* Whether content follows the answer, nobody knows (RFC 9110 section 10.1.1). */
    { GET "Expect: 100-continue\r\nContent-Length: 5\r\n" HOST, 200, "/", 0, 0, 5 },
    { "POST / HTTP/1.1\r\nContent-Length: 5\r\nexpect: x\r\n" HOST, 405, NULL, 0, 0, 5 },
    { GET "Expect: 100-continue\r\n" HOST, 200, "/", 1, 0, 0 },
    { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, "/", 1, 0, 0 },
    { "GET / HTTP/1.0\r\nConnection: ,,\r\n\r\n", 200, "/", 0, 0, 0 },
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A copy that is not a byte too long. */
static char *exact(const char *bytes, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, bytes, length);
    return length > 0 ? copy : realloc(copy, 1);
}

static int is_within(struct http_text text, const char *bytes, size_t length)
{
    return text.at == NULL || (text.at >= bytes && text.at + text.length <= bytes + length);
}

/* What holds of every head, whatever is in it. */
static int parse_anything(const char *bytes, size_t length, struct http_request *request)
{
    memset(request, 0xa5, sizeof *request);
    int status = http_parse(bytes, length, request);
    CHECK(status == 200 || status == 400 || status == 405 || status == 414 || status == 501 || status == 505,
          "status %d", status);
    if (status == 200) {
        CHECK(request->path_length <= HTTP_PATH_MAX && request->path[request->path_length] == '\0', "path");
        CHECK(strlen(request->path) == request->path_length, "a NUL in the path");
        const struct http_text *texts[] = { &request->if_none_match, &request->if_range, &request->range };
        for (size_t i = 0; i < COUNT(texts); i++)
            CHECK(is_within(*texts[i], bytes, length), "text %zu", i);
        CHECK(is_within(request->query, bytes, length), "query");
        struct http_part part;
        int range = http_range(request, "\"tag\"", 1000, &part);
        CHECK(range == 200 || range == 416
                  || (range == 206 && part.length > 0 && part.first < 1000 && part.first + part.length <= 1000),
              "range %d", range);
        http_matches(request->if_none_match, "\"tag\"");
    }
    return status;
}

static void table(void)
{
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct expected *wanted = &CASES[i];
        size_t length = strlen(wanted->request), seen = 0;
        char *bytes = exact(wanted->request, length);
        struct http_request got;
        CHECK(http_find_end(bytes, length, &seen) == (int)length, "%s", wanted->request);
        int status = parse_anything(bytes, length, &got);
        CHECK(status == wanted->status, "%d for %s", status, wanted->request);
        CHECK(got.keep_alive == wanted->keep_alive, "%s", wanted->request);
        if (status == 200)
            CHECK(strcmp(got.path, wanted->path) == 0, "%s for %s", got.path, wanted->request);
        if (status == 200 || status == 405) {
            CHECK(got.content_length == wanted->content_length, "%s", wanted->request);
            CHECK(got.head == wanted->head, "%s", wanted->request);
        }
        /* What is cut off is not complete; byte by byte the end is found where it is. */
        seen = 0;
        for (size_t cut = 0; cut <= length; cut++) {
            char *piece = exact(bytes, cut);
            size_t all = 0;
            int end = http_find_end(piece, cut, &seen);
            CHECK(end == (cut == length ? (int)length : 0), "%zu bytes of %s", cut, wanted->request);
            CHECK(http_find_end(piece, cut, &all) == end, "%zu bytes of %s", cut, wanted->request);
            parse_anything(piece, cut, &got);
            free(piece);
        }
        free(bytes);
    }
}

/* Line ends that are none. */
static void line_ends(void)
{
    static const char *const BAD[] = {
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\rHost: a\r\r",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "\n", "\r\r\n", "GET / HTTP/1.1\r\n\n",
    };
    for (size_t i = 0; i < COUNT(BAD); i++) {
        size_t length = strlen(BAD[i]), seen = 0;
        char *bytes = exact(BAD[i], length);
        CHECK(http_find_end(bytes, length, &seen) == -HTTP_BAD_REQUEST, "%s", BAD[i]);
        free(bytes);
    }
    /* The end of the first request, not of the second. */
    size_t seen = 0;
    const char *two = GET HOST GET HOST;
    CHECK(http_find_end(two, strlen(two), &seen) == (int)strlen(two) / 2, "two requests");
    /* A NUL is a byte like others that are not allowed. */
    static const char NUL[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    struct http_request got;
    CHECK(parse_anything(NUL, sizeof NUL - 1, &got) == 400, "NUL");
    CHECK(parse_anything("", 0, &got) == 400, "nothing");
}

static void long_paths(void)
{
    struct http_request got;
    for (int extra = -1; extra <= 1; extra++) {
        char *text = malloc(4000), *to = text;
        to += sprintf(to, "GET /");
        for (int i = 1; i < HTTP_PATH_MAX + extra; i++)
            to += sprintf(to, i % 2 ? "%%61" : "b");
        to += sprintf(to, "?query HTTP/1.1\r\n" HOST);
        char *bytes = exact(text, (size_t)(to - text));
        int status = parse_anything(bytes, (size_t)(to - text), &got);
        CHECK(status == (extra > 0 ? 414 : 200), "%d: %d", extra, status);
        free(bytes);
        free(text);
    }
}

static struct http_text text_of(const char *text)
{
    return (struct http_text){ text, text == NULL ? 0 : strlen(text) };
}

static void conditions(void)
{
    static const struct { const char *field; int matches; } TAGS[] = {
        { NULL, 0 }, { "", 0 }, { "*", 1 }, { "\"tag\"", 1 }, { "W/\"tag\"", 1 }, { "\"a\", \"tag\"", 1 },
        { "\"a\" ,W/\"tag\" , \"b\"", 1 }, { "tag", 0 }, { "\"tag", 0 }, { "\"tagg\"", 0 }, { "w/\"tag\"", 0 },
        { "\"a\", *", 0 }, { ",,,", 0 }, { "W/", 0 },
    };
    for (size_t i = 0; i < COUNT(TAGS); i++)
        CHECK(http_matches(text_of(TAGS[i].field), "\"tag\"") == TAGS[i].matches, "%s", TAGS[i].field);

    static const struct { const char *range, *if_range; uint64_t size; int status; uint64_t first, length; } RANGES[] = {
        { NULL, NULL, 100, 200, 0, 0 }, { "bytes=0-9", NULL, 100, 206, 0, 10 }, { "bytes=0-0", NULL, 100, 206, 0, 1 },
        { "Bytes= 10 - 19 ", NULL, 100, 206, 10, 10 }, { "bytes=90-", NULL, 100, 206, 90, 10 },
        { "bytes=90-1000", NULL, 100, 206, 90, 10 }, { "bytes=-10", NULL, 100, 206, 90, 10 },
        { "bytes=-1000", NULL, 100, 206, 0, 100 }, { "bytes=100-", NULL, 100, 416, 0, 0 },
        { "bytes=-0", NULL, 100, 416, 0, 0 }, { "bytes=0-", NULL, 0, 416, 0, 0 }, { "bytes=-1", NULL, 0, 416, 0, 0 },
        { "bytes=9-0", NULL, 100, 200, 0, 0 }, { "bytes=0-1,3-4", NULL, 100, 200, 0, 0 },
        { "bytes=", NULL, 100, 200, 0, 0 }, { "bytes=-", NULL, 100, 200, 0, 0 }, { "bytes=a-b", NULL, 100, 200, 0, 0 },
        { "bytes=1", NULL, 100, 200, 0, 0 }, { "bytes=1 ", NULL, 100, 200, 0, 0 },
        { "lines=0-9", NULL, 100, 200, 0, 0 }, { "", NULL, 100, 200, 0, 0 },
        { "bytes=99999999999999999999-", NULL, 100, 200, 0, 0 },
        { "bytes=18446744073709551609-18446744073709551609", NULL, 100, 416, 0, 0 },
        { "bytes=0-18446744073709551609", NULL, 100, 206, 0, 100 },
        { "bytes=0-9", "\"tag\"", 100, 206, 0, 10 }, { "bytes=0-9", "\"other\"", 100, 200, 0, 0 },
        { "bytes=0-9", "W/\"tag\"", 100, 200, 0, 0 }, { "bytes=0-9", "Thu, 01 Jan 1970 00:00:00 GMT", 100, 200, 0, 0 },
    };
    for (size_t i = 0; i < COUNT(RANGES); i++) {
        struct http_request request = { .range = text_of(RANGES[i].range), .if_range = text_of(RANGES[i].if_range) };
        struct http_part part = { 0, 0 };
        int status = http_range(&request, "\"tag\"", RANGES[i].size, &part);
        CHECK(status == RANGES[i].status, "%d for %s", status, RANGES[i].range);
        CHECK(status != 206 || (part.first == RANGES[i].first && part.length == RANGES[i].length), "%s",
              RANGES[i].range);
    }
}

static void dates(void)
{
    char date[HTTP_DATE_SIZE], wanted[64];
    /* The first and the last second of each day of four centuries, and what Linux says of them. */
    for (time_t day = 0; day < 146100; day++)
        for (int last = 0; last < 2; last++) {
            time_t second = day * 86400 + (last ? 86399 : 0);
            strftime(wanted, sizeof wanted, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&second));
            http_date((uint64_t)second, date);
            CHECK(strcmp(date, wanted) == 0, "%s, not %s", date, wanted);
        }
    char to[16];
    CHECK(http_encode_path("/a b", to, sizeof to) && strcmp(to, "/a%20b") == 0, "%s", to);
    CHECK(http_encode_path("/\r\n%", to, sizeof to) && strcmp(to, "/%0D%0A%25") == 0, "%s", to);
    CHECK(!http_encode_path("/\xc3\xa4\xc3\xa4\xc3\xa4", to, sizeof to), "%s", to);
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t random_below(size_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % bound);
}

static void random_damage(long rounds)
{
    static const char SPECIAL[] = "\r\n :,%/?\t\"*-=;\0\x7f\xff" "019azAZ";
    struct http_request got;
    char text[1200];
    for (long round = 0; round < rounds; round++) {
        const char *first = CASES[random_below(COUNT(CASES))].request, *second = CASES[random_below(COUNT(CASES))].request;
        /* The beginning of one and the end of another, then some bytes of it replaced, taken out or doubled. */
        size_t length = random_below(strlen(first) + 1), from = random_below(strlen(second) + 1);
        memcpy(text, first, length);
        memcpy(text + length, second + from, strlen(second) - from);
        length += strlen(second) - from;
        for (size_t change = random_below(4); change > 0 && length > 0; change--) {
            size_t at = random_below(length);
            switch (random_below(3)) {
            case 0:
                text[at] = SPECIAL[random_below(sizeof SPECIAL - 1)];
                break;
            case 1:
                memmove(text + at, text + at + 1, --length - at);
                break;
            default:
                memmove(text + at + 1, text + at, length++ - at);
            }
        }
        char *bytes = exact(text, length);
        size_t seen = 0;
        int end = http_find_end(bytes, length, &seen);
        CHECK(end == -400 || (end >= 0 && (size_t)end <= length), "end %d", end);
        CHECK(end != 0 || seen <= length, "seen %zu", seen);
        if (end > 0) {
            char *head = exact(bytes, (size_t)end);
            parse_anything(head, (size_t)end, &got);
            free(head);
        }
        parse_anything(bytes, length, &got);
        free(bytes);
    }
}

int main(int argc, char **argv)
{
    table();
    line_ends();
    long_paths();
    conditions();
    dates();
    random_damage(argc > 1 ? atol(argv[1]) : 300000);
    printf("%d failures\n", failures);
    return failures > 0;
}
