# Portolan as an image of one static file, run by a user that owns nothing.
#
#   docker build -t portolan .                      builds it from the sources (the last target)
#   docker build -t portolan --target prebuilt DIR  takes a binary that is already there: DIR holds a static
#                                                   `portolan` and an empty folder `state`
#
# To run it beside the engine:
#
#   docker run -d --name portolan -p 80:80 -p 443:443 \
#     -v /var/run/docker.sock:/var/run/docker.sock:ro --group-add "$(stat -c %g /var/run/docker.sock)" \
#     -v portolan-state:/state -v "$PWD/routes:/config:ro" portolan run --config /config
#
# The socket belongs to a group of the host, hence --group-add; `:ro` does not make the engine's API read-only, a
# filtering socket proxy and `--docker tcp://…` do. The admin listener is loopback inside the container, which the
# health check needs; `--admin 0.0.0.0:9080` opens it to the container's networks.

# What the images share. Ports below 1024 need no privilege inside a container (Docker 20.10 and later).
FROM scratch AS base
USER 65532:65532
ENV PORTOLAN_STATE_DIR=/state
EXPOSE 80 443 9080
# Not a backend of its own.
LABEL portolan.enable=false
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/portolan", "health"]
ENTRYPOINT ["/portolan"]
CMD ["run"]

# First in the file, so that a builder which goes from the top needs no other image.
FROM base AS prebuilt
ARG BINARY=portolan
COPY --chown=65532:65532 state /state
COPY ${BINARY} /portolan

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY src src
# The checks of documents are made from it.
COPY schema schema
RUN RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --release --locked --bin portolan --target "$(rustc -vV | sed -n 's/^host: //p')" \
 && mkdir -p /out/state \
 && cp target/*/release/portolan /out/portolan

FROM base
COPY --chown=65532:65532 --from=build /out/state /state
COPY --from=build /out/portolan /portolan
