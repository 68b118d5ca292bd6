"""The relay: carries signaling (TCP) and media (UDP) between browsers and streaming backends."""
