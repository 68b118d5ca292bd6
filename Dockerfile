# One image for every command: `docker run --rm --network host pixelferry [up|broker|relay|streamer] …`.
FROM debian:bookworm-slim
COPY . /usr/src/pixelferry
# One script holds the steps, so that a test can run them where no image can be built.
RUN /usr/src/pixelferry/scripts/image.sh && rm -rf /usr/src/pixelferry
USER pixelferry
WORKDIR /home/pixelferry
EXPOSE 8080/tcp 31000-31999/tcp 31000-31999/udp
STOPSIGNAL SIGTERM
ENTRYPOINT ["pixelferry"]
CMD ["up"]
