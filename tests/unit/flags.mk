netlink_request_test_LDFLAGS = -Wl,--wrap=mnl_socket_recvfrom,--wrap=mnl_socket_sendto
