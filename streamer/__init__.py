"""The streaming-backend library: rendered frames in, a WebRTC stream with input coming back out."""
