/* Sockets on a stack that the program opens itself, beside calls of mnet.h. */

#include <mnet.h>
#include <mnet/posix.h>
#include <netinet/in.h>
#include <solo5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int solo5_app_main(const struct solo5_start_info *info)
{
    struct mnet_config config;
    struct mnet_tcp_info tcp;
    struct sockaddr_in any;
    mnet_config_default(&config, sizeof config);
    config.arena = (void *)info->heap_start;
    config.arena_size = (size_t)2 << 20;
    mnet_cidr_parse("10.0.0.2/24", 11, &config.address, &config.prefix_len);
    mnet_stack stack = mnet_open(&config);
    if (stack < 0)
        return 2;
    mnet_posix_init(stack);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    memset(&any, 0, sizeof any);
    any.sin_family = AF_INET;
    any.sin_port = htons(7);
    if (mnet_posix_handle(listener) != -1 || bind(listener, (struct sockaddr *)&any, sizeof any) < 0
        || listen(listener, 1) < 0)
        return 3;
    int client = accept(listener, NULL, NULL);
    if (mnet_tcp_info(mnet_posix_handle(client), &tcp, sizeof tcp) != 0)
        return 4;
    const char *state = mnet_tcp_state_name(tcp.state);
    if (send(client, "CLOSE-WAIT? ", 12, 0) != 12 || write(client, state, strlen(state)) < 0)
        return 5;
    close(client);
    exit(0);
}
