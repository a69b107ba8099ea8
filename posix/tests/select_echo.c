/* An echo server as textbooks have it: select(), any number of clients at once. It ends after as many
   clients as its second argument says. */

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int listener, top, left, on = 1;
    struct sockaddr_in local;
    fd_set watched;
    if (argc != 3)
        return 2;
    left = atoi(argv[2]);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        return 3;
    memset(&local, 0, sizeof local);
    local.sin_family = AF_INET;
    local.sin_port = htons((uint16_t)atoi(argv[1]));
    local.sin_addr.s_addr = htonl(INADDR_ANY);
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0
        || bind(listener, (struct sockaddr *)&local, sizeof local) < 0 || listen(listener, 16) < 0)
        return 4;
    FD_ZERO(&watched);
    FD_SET(listener, &watched);
    top = listener;
    while (left > 0) {
        fd_set ready = watched;
        if (select(top + 1, &ready, NULL, NULL, NULL) < 0)
            return 5;
        for (int fd = 0; fd <= top; fd++) {
            char buffer[4096];
            ssize_t got, sent = 0;
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client < 0)
                    return 6;
                FD_SET(client, &watched);
                if (client > top)
                    top = client;
                continue;
            }
            got = read(fd, buffer, sizeof buffer);
            while (sent < got) {
                ssize_t part = write(fd, buffer + sent, (size_t)(got - sent));
                if (part < 0)
                    break;
                sent += part;
            }
            if (got <= 0) {
                FD_CLR(fd, &watched);
                close(fd);
                left--;
            }
        }
    }
    close(listener);
    return write(1, "done\n", 5) == 5 ? 0 : 7;
}
