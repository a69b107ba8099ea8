/* A server for talks, as textbooks have it: what one client says goes to all others, and what happens is printed. It
   ends after as many clients as its second argument says. */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static void *address_of(struct sockaddr_storage *from)
{
    if (from->ss_family == AF_INET)
        return &((struct sockaddr_in *)from)->sin_addr;
    return &((struct sockaddr_in6 *)from)->sin6_addr;
}

static int get_listener(const char *port)
{
    struct addrinfo hints, *found, *try;
    int listener = -1, status, yes = 1;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    status = getaddrinfo(NULL, port, &hints, &found);
    if (status != 0) {
        fprintf(stderr, "chat: %s\n", gai_strerror(status));
        exit(1);
    }
    for (try = found; try != NULL; try = try->ai_next) {
        listener = socket(try->ai_family, try->ai_socktype, try->ai_protocol);
        if (listener == -1)
            continue;
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(listener, try->ai_addr, try->ai_addrlen) == 0)
            break;
        close(listener);
    }
    freeaddrinfo(found);
    if (try == NULL || listen(listener, 10) == -1) {
        perror("listen");
        exit(2);
    }
    return listener;
}

int main(int argc, char *argv[])
{
    fd_set all, ready;
    int listener, top;
    char *end;
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT CLIENTS\n", argv[0]);
        return 1;
    }
    long left = strtol(argv[2], &end, 10);
    if (*end != '\0' || left < 1) {
        fprintf(stderr, "how many is '%s'?\n", argv[2]);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    listener = get_listener(argv[1]);
    printf("waiting on port %s for %ld\n", argv[1], left);
    FD_ZERO(&all);
    FD_SET(listener, &all);
    top = listener;
    while (left > 0) {
        ready = all;
        if (select(top + 1, &ready, NULL, NULL, NULL) == -1) {
            perror("select");
            exit(4);
        }
        for (int fd = 0; fd <= top; fd++) {
            char words[256];
            ssize_t got;
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                struct sockaddr_storage from;
                socklen_t length = sizeof from;
                int client = accept(listener, (struct sockaddr *)&from, &length);
                if (client == -1) {
                    perror("accept");
                    continue;
                }
                FD_SET(client, &all);
                top = client > top ? client : top;
                printf("%d: from %s\n", client, inet_ntop(from.ss_family, address_of(&from), words, sizeof words));
                continue;
            }
            got = recv(fd, words, sizeof words, 0);
            if (got <= 0) {
                printf("%d: %s\n", fd, got == 0 ? "has gone" : strerror(errno));
                close(fd);
                FD_CLR(fd, &all);
                left--;
                continue;
            }
            printf("%d: %.*s\n", fd, (int)strcspn(words, "\n"), words);
            for (int other = 0; other <= top; other++)
                if (FD_ISSET(other, &all) && other != listener && other != fd
                    && send(other, words, (size_t)got, 0) == -1)
                    perror("send");
        }
    }
    fflush(stdout);
    return 0;
}
