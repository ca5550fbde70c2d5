netlink_request_test_LDFLAGS = -Wl,--wrap=mnl_socket_recvfrom,--wrap=mnl_socket_sendto
control_relay_feed_test_LDFLAGS = -Wl,--wrap=relay_open,--wrap=relay_close,--wrap=relay_set_hub,--wrap=relay_site_set,--wrap=relay_site_adopt,--wrap=relay_site_endpoint,--wrap=relay_site_remove,--wrap=relay_pair_set,--wrap=relay_pair_remove,--wrap=relay_site_pairs,--wrap=log_at
daemon_unanswered_test_LDFLAGS = -Wl,--wrap=id_compare
